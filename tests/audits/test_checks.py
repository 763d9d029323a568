"""Arms that cannot be audited are refused in one line; what would bias an audit is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditError, AuditInput
from audits.checks import identical_to, prepare
from audits.registry import run_audits
from generators.data import ImageSet

N = 60


def _arm(start: int, *, seed: int, n: int = N) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 16, 16)).astype(np.uint8)
    return ImageSet(images=pixels, subject=np.array([f"p{start + i}" for i in range(n)]))


@pytest.fixture
def arms() -> AuditInput:
    return AuditInput(
        train=_arm(0, seed=1),
        holdout=_arm(100, seed=2),
        control=_arm(200, seed=3),
        synthetic=replace(_arm(300, seed=4), subject=None),
    )


def _holdout(change: Callable[[ImageSet], ImageSet]) -> Callable[[AuditInput], AuditInput]:
    return lambda data: replace(data, holdout=change(data.holdout))


BAD = {
    "no images": (_holdout(lambda arm: arm.select(np.arange(0))), "holdout: no images"),
    "constant images": (
        lambda data: replace(data, synthetic=ImageSet(images=np.full((5, 16, 16), 7, np.uint8))),
        "synthetic: every image is constant",
    ),
    "another size": (_holdout(lambda arm: replace(arm, images=arm.images[:, :8, :8])), "holdout: size is (8, 8)"),
    "another depth": (_holdout(lambda arm: replace(arm, images=arm.images.astype(np.uint16))), "bit depth is 16"),
    "colour beside grey": (
        _holdout(lambda arm: replace(arm, images=np.repeat(arm.images[..., None], 3, axis=3))),
        "holdout: channels is 3",
    ),
    "a shared subject": (
        _holdout(lambda arm: replace(arm, subject=np.array(["p0", *arm.subjects()[1:]]))),
        "holdout: 1 subjects are also in train",
    ),
    "a holdout that is the training arm": (
        lambda data: replace(data, holdout=replace(data.holdout, images=data.train.images)),
        "holdout without its copies of training images: no images",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), BAD.values(), ids=BAD)
def test_bad_arms_are_refused_in_one_line(
    arms: AuditInput, spoil: Callable[[AuditInput], AuditInput], said: str
) -> None:
    with pytest.raises(AuditError) as refusal:
        run_audits(spoil(arms))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.remedy


def test_an_unknown_audit_is_refused_with_the_names_that_exist(arms: AuditInput) -> None:
    with pytest.raises(AuditError, match=r"no such audit: horoscope; choose of .*nearest_copies"):
        run_audits(arms, only=["horoscope"])


def test_identical_images_of_unseen_arms_are_counted_and_left_out(arms: AuditInput) -> None:
    images = arms.holdout.images.copy()
    images[:3] = arms.train.images[[9, 9, 4]]
    cleaned, (identical, *_) = prepare(replace(arms, holdout=replace(arms.holdout, images=images)))
    assert (identical.status, identical.details["n_identical"]) == ("detected", {"holdout": 3, "control": 0})
    assert len(cleaned.holdout) == N - 3
    assert not identical_to(cleaned.train, cleaned.holdout).any()


def test_constant_images_are_counted_arm_by_arm(arms: AuditInput) -> None:
    images = arms.synthetic.images.copy()
    images[5] = 0
    _, (_, constant, _) = prepare(replace(arms, synthetic=replace(arms.synthetic, images=images)))
    assert constant.details["n_constant"] == {"train": 0, "holdout": 0, "synthetic": 1, "control": 0}


def test_sound_arms_pass_unchanged(arms: AuditInput) -> None:
    cleaned, found = prepare(arms)
    assert [m.status.value for m in found] == ["not_detected", "not_detected", "not_assessable"]  # 16 px show no JPEG
    assert [arm.digest for arm in (cleaned.holdout, cleaned.control) if arm] == [
        arm.digest for arm in (arms.holdout, arms.control) if arm
    ]
