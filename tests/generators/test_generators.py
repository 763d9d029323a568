"""Whole runs of every generator: card, folder, repeatability, refusals, death and resumption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.base import BudgetError, CellCount, ConfigError, DataError, GeneratorError, ResumeError
from generators.config import describe_config
from generators.data import ImageSet
from generators.folder import load_tensors, refuse_pickle, save_tensors
from generators.groups import AGE_GROUPS, SEXES
from generators.phantoms import LABELS, draw_phantoms
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS, get_generator
from generators.runner import load_card, sample_generator, train_generator
from generators.steps_log import read_log, spent_from_log
from tests.generators.recorders import Recorder

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
SMALL = {
    "latent-statistics": {"n_components": 8},
    "vae": {"n_steps": 4, "public_steps": 2, "batch_size": 10, "width": 8, "checkpoint_every": 2},
}
NAMES = pytest.mark.parametrize("name", list(SMALL))


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=50, size=32, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=60, size=32, seed=9, max_images=1).images


@NAMES
def test_a_run_leaves_a_folder_that_says_what_it_cost(
    name: str, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    out = tmp_path / "generator"
    card = train_generator(name=name, images=cohort, budget=BUDGET, config=SMALL[name], out=out, public=public, seed=3)
    assert load_card(out).spend == card.spend == spent_from_log(out)
    assert 7.5 < card.spend.spent_epsilon <= 8
    assert (card.spend.accountant, card.spend.privacy_unit, card.spend.adjacency) == (
        "prv",
        "subject",
        "add_remove_subject",
    )
    assert (card.data_digest, card.seed, card.image_size, card.bit_depth) == (cohort.digest, 3, 32, 8)
    assert (sorted(card.labels), tuple(card.sexes), tuple(card.age_groups)) == (sorted(LABELS), SEXES, AGE_GROUPS)
    assert card.public_data[0]["digest"] == public.digest
    assert (logged := read_log(out)) is not None
    assert logged.settled
    wanted = [CellCount(label="nodule", n=3, sex="F", age_group="65+"), CellCount(label="normal", n=2)]
    first, again, other = (sample_generator(out, wanted, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert first.images.shape == (5, 32, 32)
    assert dict(first.columns())["sex"].tolist() == ["F", "F", "F", "", ""]


@NAMES
def test_the_noise_differs_under_one_seed(name: str, cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    file = {"latent-statistics": "release.safetensors", "vae": "network.safetensors"}[name]
    runs = [tmp_path / "a", tmp_path / "b"]
    for out in runs:
        train_generator(name=name, images=cohort, budget=BUDGET, config=SMALL[name], out=out, public=public, seed=3)
    first, second = (load_tensors(out / file) for out in runs)
    assert any(not np.array_equal(first[key], second[key]) for key in first)


@NAMES
def test_empty_and_rare_labels_and_sixteen_bits(name: str, public: ImageSet, tmp_path: Path) -> None:
    images = draw_phantoms(n_subjects=40, size=32, bit_depth=12, labels=("normal", "nodule"), max_images=1).images
    rare = replace(images, label=np.where(np.arange(len(images)) == 0, "nodule", "normal"), sex=None)
    settings = {**SMALL[name], "labels": "normal,nodule,opacity"}
    card = train_generator(name=name, images=rare, budget=BUDGET, config=settings, out=tmp_path / "g", public=public)
    drawn = sample_generator(tmp_path / "g", [CellCount(label=label, n=4) for label in card.labels])
    assert drawn.images.dtype == np.uint16
    assert drawn.images.std() > 0
    with pytest.raises(ConfigError, match="vocabulary"):
        sample_generator(tmp_path / "g", [CellCount(label="normal", n=1, sex="F")])


def test_only_the_train_split_is_looked_at(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    kept = np.arange(len(cohort)) % 2 == 0
    split = replace(cohort, split=np.where(kept, "train", "holdout"))
    card = train_generator(
        name="latent-statistics", images=split, budget=BUDGET, config={"n_components": 4}, out=tmp_path, public=public
    )
    assert card.data_digest == split.select(kept).digest


def test_images_without_subjects_are_counted_by_record(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    card = train_generator(
        name="latent-statistics",
        images=replace(cohort, subject=None),
        budget=BUDGET,
        config={"n_components": 4},
        out=tmp_path,
        public=public,
    )
    assert card.spend.privacy_unit == "record"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"name": "nope"}, ConfigError, "no generator 'nope'; choose among", id="unknown generator"),
        pytest.param({"config": {"colour": 1}}, ConfigError, "colour: no such setting", id="unknown setting"),
        pytest.param({"config": {"n_components": "many"}}, ConfigError, "n_components", id="word for a number"),
        pytest.param({"config": {"n_components": 1}}, ConfigError, "choose 2 to 512", id="out of range"),
        pytest.param({"config": {"sums_share": 0.95}}, ConfigError, "nothing for covariance", id="shares"),
        pytest.param({"config": {"labels": "normal"}}, DataError, "not among the declared labels", id="vocabulary"),
        pytest.param({"device": "tpu"}, ConfigError, "device", id="device"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    change: dict[str, object],
    error: type[GeneratorError],
    message: str,
    cohort: ImageSet,
    public: ImageSet,
    tmp_path: Path,
) -> None:
    out = tmp_path / "generator"
    call = {"name": "latent-statistics", "images": cohort, "budget": BUDGET, "out": out, "public": public} | change
    with pytest.raises(error, match=message) as refusal:
        train_generator(**call)
    assert "\n" not in str(refusal.value)
    assert not out.exists() or not (out / "steps.log").exists()


def test_a_folder_in_use_or_out_of_reach_is_refused(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("")
    for out, message in ((tmp_path / "full", "not an empty folder"), (tmp_path / "file" / "below", "cannot be made")):
        with pytest.raises(GeneratorError, match=message):
            train_generator(name="latent-statistics", images=cohort, budget=BUDGET, out=out, public=public)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("network.pt", b"", id="by name"),
        pytest.param("network.safetensors", b"\x80\x04\x95.", id="by content"),
    ],
)
def test_a_folder_with_a_pickle_is_refused(
    name: str, content: bytes, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    train_generator(
        name="latent-statistics", images=cohort, budget=BUDGET, config={"n_components": 4}, out=tmp_path, public=public
    )
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ResumeError, match="pickle"):
        sample_generator(tmp_path, [CellCount(label="normal", n=1)])


@pytest.mark.parametrize("n_tensors", [2, 22])
def test_tensors_whose_file_begins_like_a_pickle_are_none(n_tensors: int, tmp_path: Path) -> None:
    """The header's length, which comes first, is 128 and 1408 here."""
    path = tmp_path / "network.safetensors"
    save_tensors(path, {f"tensor.{number}": np.zeros(3, np.float32) for number in range(n_tensors)})
    assert path.read_bytes()[0] == 0x80
    refuse_pickle(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ResumeError, match="pickle"):
        refuse_pickle(tmp_path)


@pytest.mark.parametrize("step", [0, 1])
def test_a_killed_release_is_charged_and_resumed_within_a_larger_budget(
    step: int, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": "latent-statistics", "images": cohort, "out": tmp_path, "public": public}
    call["config"] = {"n_components": 4, "detail": "none"}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, budget=BUDGET, recorder=Recorder(dies_at=step))
    lost = spent_from_log(tmp_path)
    assert sum(event.steps for event in lost.events) == step + 1
    if step == 1:
        with pytest.raises(BudgetError, match="already spent"):
            train_generator(**call, budget=replace(BUDGET, target_epsilon=lost.spent_epsilon), resume=True)
    card = train_generator(**call, budget=replace(BUDGET, target_epsilon=16), resume=True)
    assert sum(event.steps for event in card.spend.events) == step + 4
    assert lost.spent_epsilon < card.spend.spent_epsilon <= 16
    again = train_generator(**call, budget=replace(BUDGET, target_epsilon=16), resume=True)
    assert again.spend == card.spend


@pytest.mark.parametrize("change", [{"seed": 5}, {"config": {"n_components": 5}}])
def test_another_run_does_not_resume_here(
    change: dict[str, object], cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": "latent-statistics", "images": cohort, "budget": BUDGET, "out": tmp_path, "public": public}
    train_generator(**call, config={"n_components": 4})
    with pytest.raises(ResumeError, match=f"another {next(iter(change))}"):
        train_generator(**({"config": {"n_components": 4}} | call | change), resume=True)


LOOP = {"batch_size", "n_steps", "max_grad_norm"}
IN_THE_MECHANISMS = {
    "latent-statistics": {
        "radius_quantile", "residual_factor", "counts_share", "sums_share", "discriminant_share", "group_weight",
        "of_each_label", "spectrum_share",
    },
    "latent-diffusion": LOOP | {"statistics_share"},
    "private-evolution": {"n_rounds"},
    "vae": LOOP | {"latents_share"},
    "diffusion": LOOP | {"central_share"},
    "gan": LOOP,
    "lora": LOOP,
    "mean-embedding": {"count_weight", "group_weight"},
}  # fmt: skip


def test_what_enters_the_mechanisms_stands_apart() -> None:
    """Noise, bounds of a subject's part, rates, steps and shares of the budget, in every family."""
    found = {
        name: {str(row["name"]) for row in describe_config(get_generator(name).config_class) if row["changes_privacy"]}
        for name in GENERATORS
    }
    assert found == IN_THE_MECHANISMS
