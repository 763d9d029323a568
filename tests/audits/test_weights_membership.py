"""Membership from weights: an overfitted generator is found, one that never saw the members is not accused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from audits.base import AuditError, AuditInput, Law, ReleaseMode, Status
from audits.page import render_html
from audits.privacy.weights_membership import weights_membership
from audits.rates import rates
from audits.registry import run_audits
from audits.report import Audience
from audits.shadows.attack import Found, likelihood_ratio
from audits.shadows.command import weights_command
from audits.shadows.measuring import Shadows
from audits.shadows.training import in_processes, plan_shadows, train_shadow, train_shadows
from audits.verdicts import decide
from generators.data import ImageSet
from generators.folder import load_card, write_card
from tests.audits.arms import statuses, with_few_people
from tests.audits.leaking_weights import (
    N_UNSEEN,
    NO_TIME,
    SMALL_VAE,
    fewer_steps,
    found_by,
    phantom_arms,
    trained,
    vae_of,
)

SMALL = Shadows(n=4, most_seconds=None)


@pytest.fixture(scope="module")
def arms() -> AuditInput:
    return phantom_arms()


@pytest.fixture(scope="module")
def overfitted(arms: AuditInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vae_of(arms.train, arms.train, tmp_path_factory.mktemp("overfitted") / "g", n_steps=1000)


@pytest.mark.slow
def test_an_overfitted_vae_is_detected_by_its_weights(
    arms: AuditInput, overfitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer_steps(monkeypatch, 150)
    found = found_by(arms, overfitted)
    loss = found["loss"]
    assert (loss.status, loss.law, loss.release_mode) == (Status.DETECTED, Law.INFERENCE, ReleaseMode.WEIGHTS)
    assert float(loss.details["tpr_at_1pct"]) >= 0.95  # type: ignore[arg-type]
    assert loss.details["tpr_at_0.1pct"] is None
    assert loss.ci_low is not None
    assert loss.ci_low > 0.9
    assert "too long" in found["lira"].reason
    assert found["lira"].status is Status.NOT_ASSESSABLE
    (verdict,) = (v for v in decide(list(found.values())) if (v.release_mode, v.law) == ("weights", "inference"))
    assert verdict.status is Status.DETECTED


@pytest.mark.slow
def test_a_vae_that_never_saw_the_members_is_not_accused(
    arms: AuditInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer_steps(monkeypatch, 60)
    loss = found_by(arms, vae_of(arms.synthetic, arms.train, tmp_path / "g", n_steps=200))["loss"]
    assert loss.status is Status.NOT_DETECTED
    assert loss.positive_control is not None
    assert loss.positive_control > 0.8


def test_statistics_without_noise_are_detected_by_both_attacks(arms: AuditInput, tmp_path: Path) -> None:
    trained("latent-statistics", arms.train, tmp_path / "g", {"n_components": 40})
    found = found_by(arms, tmp_path / "g", SMALL)
    assert {m.status for m in found.values()} == {Status.DETECTED}
    assert float(found["lira"].details["tpr_at_1pct"]) > 0.5  # type: ignore[arg-type]
    assert all(0.3 < (m.negative_control or 0) < 0.7 for m in found.values())


def test_private_statistics_are_not_accused(arms: AuditInput, tmp_path: Path) -> None:
    """Noise is the trainer's own and differs each time: the middle one of three releases is judged."""
    for number in range(3):
        trained("latent-statistics", arms.train, tmp_path / f"{number}", {"n_components": 40}, epsilon=8.0)
    first, *rest = (found_by(arms, tmp_path / f"{n}", SMALL if n == 0 else NO_TIME) for n in range(3))
    assert sorted(float(found["loss"].p_value or 0) for found in (first, *rest))[1] > 1e-3
    assert (first["lira"].p_value or 0) > 1e-5
    assert all((m.positive_control or 0) > 0.9 for m in first.values())


def test_a_private_vae_is_not_accused(arms: AuditInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer_steps(monkeypatch, 20)
    config = {**SMALL_VAE, "public_steps": 20, "n_steps": 5, "width": 8, "n_latents": 8}
    trained("vae", arms.train, tmp_path / "g", config, epsilon=8.0)
    assert (found_by(arms, tmp_path / "g")["loss"].p_value or 0) > 1e-5


@pytest.fixture(scope="module")
def statistics(arms: AuditInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release without noise: seconds to train, seconds to attack."""
    out = tmp_path_factory.mktemp("statistics") / "g"
    trained("latent-statistics", arms.train, out, {"n_components": 12, "detail": "none"})
    return out


def test_what_cannot_be_attacked_is_not_assessable_with_the_reason(
    arms: AuditInput, statistics: Path, tmp_path: Path
) -> None:
    assert {m.reason for m in weights_membership(arms)} == {"no generator was given"}
    config = {"n_components": 6, "n_frequencies": 10, "public_steps": 1, "n_steps": 2, "detail": False}
    trained("mean-embedding", arms.train, tmp_path / "g", config)
    no_sex = replace(arms, holdout=replace(arms.holdout, sex=None))
    inverted = replace(arms, holdout=replace(arms.holdout, images=255 - arms.holdout.images))
    for data, folder, said in (
        (arms, tmp_path / "g", "score no single image"),
        (arms, tmp_path, "holds no generator.json"),
        (no_sex, statistics, "sex: is missing"),
        (inverted, statistics, "differ in source"),
    ):
        found = found_by(data, folder)
        assert {m.status for m in found.values()} == {Status.NOT_ASSESSABLE}
        assert all(said in m.reason and m.value is None for m in found.values())


def test_too_few_people_have_no_power(arms: AuditInput, statistics: Path) -> None:
    data = replace(with_few_people(arms, 40), generator=statistics)
    assert set(statuses(data, "weights_membership").values()) == {"no_power"}


def test_a_card_of_other_images_excludes_nothing(arms: AuditInput, statistics: Path) -> None:
    """The wrong training arm would make every generator look innocent."""
    wrong = replace(arms, train=arms.synthetic)
    loss = found_by(wrong, statistics)["loss"]
    assert loss.status is Status.NO_POWER
    assert "names other training images" in loss.reason


def test_a_planted_leak_that_is_missed_has_no_power_and_a_biased_control_refuses(
    arms: AuditInput, statistics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on_all = load_card(statistics)
    for planted, innocent, status in ((0.5, 0.5, "no_power"), (0.9, 0.9, "not_assessable"), (0.9, 0.5, "not_detected")):
        scores = np.random.default_rng(0).random(120)
        found = Found(members=scores[:60], others=scores[60:], planted=planted, n_planted=30, innocent=innocent)
        monkeypatch.setattr("audits.shadows.measuring.loss_attack", lambda *_, found=found, **__: found)
        assert found_by(arms, statistics)["loss"].status == status
    assert trained_on_all.data_digest == arms.train.digest


def test_the_report_has_a_verdict_on_the_weights_and_tells_no_ones_score(arms: AuditInput, statistics: Path) -> None:
    report = run_audits(replace(arms, generator=statistics), only=["weights_membership"])
    assert {verdict.release_mode for verdict in report.verdicts} == {"samples", "weights"}
    page = render_html(report, Audience.PUBLISHABLE)
    assert "told from the weights" in page
    assert "the generator's weights" in page or "the generator&#x27;s weights" in page
    body = json.dumps(report.to_json(Audience.PUBLISHABLE))
    assert "member_scores" not in body
    assert "p_values" not in body
    assert "ROC" in render_html(report, Audience.INTERNAL)


def test_shadows_are_kept_resumed_and_spread(arms: AuditInput, statistics: Path, tmp_path: Path) -> None:
    card, control = load_card(statistics), arms.control
    assert control is not None
    planned = plan_shadows(card, control, tmp_path, n=3, seed=0)
    assert len({shadow.folder for shadow in planned}) == len({shadow.images.digest for shadow in planned}) == 3
    assert all(shadow.images.n_subjects == N_UNSEEN // 2 for shadow in planned)
    assert {s.folder for s in plan_shadows(card, control, tmp_path, n=3, seed=1)}.isdisjoint(s.folder for s in planned)
    with pytest.raises(AuditError, match="at least 3"):
        plan_shadows(card, control, tmp_path, n=2, seed=0)
    planned[1].folder.mkdir(parents=True)
    (planned[1].folder / "run.json").write_text('{"name": "of a killed run"}')
    asked: list[Path] = []

    def spread(train, shadows):  # type: ignore[no-untyped-def]
        asked.extend(shadow.folder for shadow in shadows)
        return map(train, shadows)

    folders = train_shadows(planned, spread=spread)
    assert folders == asked == [shadow.folder for shadow in planned]
    cards = [load_card(folder) for folder in folders]
    assert {(c.name, c.seed, tuple(c.labels), c.budget) for c in cards} == {
        (card.name, card.seed, tuple(card.labels), card.budget)
    }
    before = (folders[0] / "generator.json").stat().st_mtime_ns
    assert in_processes(1)(train_shadow, planned) == folders
    assert (folders[0] / "generator.json").stat().st_mtime_ns == before


def test_shadows_of_a_generator_with_unknown_public_data_are_not_guessed(
    arms: AuditInput, statistics: Path, tmp_path: Path
) -> None:
    card = replace(load_card(statistics), public_data=[{"name": "operator's public set", "digest": "sha256:1"}])
    for path in statistics.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_card(tmp_path, card)
    found = found_by(arms, tmp_path, SMALL)
    assert found["lira"].status is Status.NOT_ASSESSABLE
    assert "public data that was not given" in found["lira"].reason
    assert found["loss"].status is Status.DETECTED


def test_the_command_asks_for_shadows_by_name(arms: AuditInput, statistics: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(weights_command)
    for name in ("train", "holdout", "control"):
        arm: ImageSet = getattr(arms, name)
        replace(arm, split=np.full(len(arm), name)).save(tmp_path / f"{name}.npz")
    words = [f"--{name}={tmp_path / name}.npz" for name in ("train", "holdout", "control")]
    out, keep = tmp_path / "found.json", tmp_path / "shadows"
    done = CliRunner().invoke(
        app, [f"--generator={statistics}", *words, "--shadows=3", f"--keep={keep}", f"--out={out}"]
    )
    assert done.exit_code == 0, done.output
    assert "told from the weights (against shadow generators): " in done.output
    assert [m["details"]["n_shadows"] for m in json.loads(out.read_text())["measurements"][1:]] == [3]
    assert len(list(keep.glob("shadow-*/generator.json"))) == 3


def test_the_ratio_is_a_standard_gaussian_for_strangers() -> None:
    rng = np.random.default_rng(0)
    centre, scale = rng.normal(0, 5, 4000), 0.7
    drawn = centre + scale * rng.standard_normal((9, 4000))
    ratio = likelihood_ratio(drawn[0], drawn[1:])
    assert abs(ratio.mean()) < 0.06
    assert ratio.std() == pytest.approx(1, abs=0.04)
    assert stats.norm.sf(likelihood_ratio(centre + 4 * scale, drawn[1:])).mean() < 0.01


def test_rates_are_given_where_enough_others_set_them() -> None:
    members, others = np.linspace(0, 1, 200) + 0.5, np.linspace(0, 1, 1000)
    figures = rates(members, others)
    assert figures["tpr_at_1pct"] == pytest.approx((members > others[-11]).mean())
    assert float(figures["tpr_at_0.1pct_low"]) < float(figures["tpr_at_0.1pct"])  # type: ignore[arg-type]
    few = rates(members, others[:150])
    assert few["tpr_at_0.1pct"] is None
    assert set(few["roc"]) == {"0.01", "0.03", "0.1", "0.3"}  # type: ignore[call-overload]
