"""Membership from weights: an overfitted generator is found, one that never saw the members is not accused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from audits.base import AuditInput, Law, Measurement, ReleaseMode, Status
from audits.page import render_html
from audits.privacy.weights_membership import weights_membership
from audits.registry import run_audits
from audits.report import Audience
from audits.shadows import attack
from audits.shadows.attack import Arms, Found, half_of, likelihood_ratio, loss_attack, rates, ratio_attack
from audits.shadows.command import weights_command
from audits.shadows.measuring import Shadows, membership_from_weights
from audits.shadows.training import plan_shadows, train_shadow, train_shadows
from audits.stats import Doubles
from audits.verdicts import decide
from generators.base import CellCount, GeneratorCard
from generators.data import ImageSet
from generators.folder import load_card, save_tensors, write_card
from generators.networks.checkpoints import network_tensors
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator
from generators.scoring.base import ImageScorer, NetworkScorer
from generators.scoring.loading import load_scorer
from tests.audits.arms import statuses, with_few_people

N, N_UNSEEN = 60, 120
SMALL_VAE = {"public_steps": 0, "n_steps": 1, "batch_size": 20, "width": 16, "n_latents": 16, "checkpoint_every": 1}
NO_TIME = Shadows(n=3, most_seconds=0.0)
SMALL = Shadows(n=4, most_seconds=None)


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=2 * N + 2 * N_UNSEEN, size=16, seed=3, max_images=1).images


@pytest.fixture(scope="module")
def arms(cohort: ImageSet) -> AuditInput:
    """The synthetic arm is of people whom nobody trains on, but for generators that shall be innocent."""
    ends = np.cumsum([N, N_UNSEEN, N_UNSEEN])
    train, holdout, control, others = (cohort.select(part) for part in np.split(np.arange(len(cohort)), ends))
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=others)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps of references and planted leaks: these images are small."""
    monkeypatch.setattr(attack, "N_STEPS", 120)
    monkeypatch.setattr("audits.shadows.measuring.N_STEPS", 120)


def trained(
    name: str, images: ImageSet, out: Path, config: Mapping[str, object], *, epsilon: float | None = None
) -> GeneratorCard:
    budget = PrivacyBudget.without_privacy(public_n_subjects=N)
    if epsilon:
        budget = PrivacyBudget(target_epsilon=epsilon, public_n_subjects=N, accountant="rdp")
    return train_generator(
        name=name, images=images, budget=budget, config=config, out=out, device="cpu", even_if_drowned=True
    )


def vae_of(images: ImageSet, named: ImageSet, out: Path, *, n_steps: int) -> Path:
    """A folder whose card names `named` and whose weights learned `images` by plain steps: fast, without privacy."""
    trained("vae", named, out, SMALL_VAE)
    scorer = load_scorer(out).taught(images, n_steps=n_steps, seed=0, afresh=True)
    assert isinstance(scorer, NetworkScorer)
    save_tensors(out / "network.safetensors", network_tensors(scorer.network))
    return out


@pytest.fixture(scope="module")
def overfitted(arms: AuditInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vae_of(arms.train, arms.train, tmp_path_factory.mktemp("overfitted") / "g", n_steps=600)


def found_by(data: AuditInput, folder: Path, shadows: Shadows = NO_TIME) -> dict[str, Measurement]:
    measurements = membership_from_weights(replace(data, generator=folder), shadows)
    return {m.name.removeprefix("weights_membership."): m for m in measurements}


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_an_overfitted_vae_is_detected_by_its_weights(arms: AuditInput, overfitted: Path) -> None:
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
@pytest.mark.usefixtures("quick")
def test_a_vae_that_never_saw_the_members_is_not_accused(arms: AuditInput, tmp_path: Path) -> None:
    loss = found_by(arms, vae_of(arms.synthetic, arms.train, tmp_path / "g", n_steps=200))["loss"]
    assert loss.status is Status.NOT_DETECTED
    assert loss.positive_control is not None
    assert loss.positive_control > 0.8


@pytest.mark.usefixtures("quick")
def test_statistics_without_noise_are_detected_by_both_attacks_and_noisy_ones_are_not(
    arms: AuditInput, tmp_path: Path
) -> None:
    for name, epsilon in (("plain", None), ("private", 8.0)):
        trained("latent-statistics", arms.train, tmp_path / name, {"n_components": 40}, epsilon=epsilon)
    plain, private = (found_by(arms, tmp_path / name, SMALL) for name in ("plain", "private"))
    assert {m.status for m in plain.values()} == {Status.DETECTED}
    assert float(plain["lira"].details["tpr_at_1pct"]) > 0.5  # type: ignore[arg-type]
    # Noise is the trainer's own and differs each time: by chances of 1 in 10,000.
    assert all((m.p_value or 0) > 1e-4 for m in private.values())
    assert all((m.positive_control or 0) > 0.9 for m in private.values())
    assert all(0.3 < (m.negative_control or 0) < 0.7 for m in (*plain.values(), *private.values()))


@pytest.mark.usefixtures("quick")
def test_a_private_vae_is_not_accused(arms: AuditInput, tmp_path: Path) -> None:
    config = {**SMALL_VAE, "public_steps": 20, "n_steps": 5, "width": 8, "n_latents": 8}
    trained("vae", arms.train, tmp_path / "g", config, epsilon=8.0)
    assert (found_by(arms, tmp_path / "g")["loss"].p_value or 0) > 1e-4


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
    assert train_shadow(planned[0]) == folders[0]
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
        getattr(arms, name).save(tmp_path / f"{name}.npz")
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
    found = Found(members=members, others=others, planted=1.0, n_planted=50, innocent=0.5)
    figures = rates(found)
    assert figures["tpr_at_1pct"] == pytest.approx((members > others[-11]).mean())
    assert float(figures["tpr_at_0.1pct_low"]) < float(figures["tpr_at_0.1pct"])  # type: ignore[arg-type]
    few = rates(replace(found, others=others[:150]))
    assert few["tpr_at_0.1pct"] is None
    assert set(few["roc"]) == {"0.01", "0.03", "0.1", "0.3"}  # type: ignore[call-overload]


@dataclass
class Remembered:
    """A scorer whose answers on a pool are remembered, so that 200 deals of the same people cost one."""

    inner: ImageScorer
    pool: ImageSet
    known: dict[str, Remembered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores = self.inner.scores(self.pool)
        self.table = {image.tobytes(): score for image, score in zip(self.pool.images, scores, strict=True)}

    def scores(self, images: ImageSet) -> Doubles:
        return np.array([self.table[image.tobytes()] for image in images.images])

    def taught(self, images: ImageSet, *, n_steps: int, seed: int, afresh: bool = False) -> Remembered:
        key = f"{images.digest} {afresh}"
        if key not in self.known:
            inner = self.inner.taught(images, n_steps=n_steps, seed=seed, afresh=afresh)
            self.known[key] = Remembered(inner, self.pool)
        return self.known[key]


@pytest.mark.proofs
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", ["vae", "latent-statistics"])
def test_on_200_leak_free_splits_the_interval_covers_one_half(family: str, tmp_path: Path) -> None:
    """One generator, its references and shadows; 200 deals of 240 people whom none of them saw."""
    cohort = draw_phantoms(n_subjects=N + N_UNSEEN + 240, size=16, seed=11, max_images=1).images
    trained_on, control, pool = (cohort.select(p) for p in np.split(np.arange(len(cohort)), [N, N + N_UNSEEN]))
    if family == "vae":
        vae_of(trained_on, trained_on, tmp_path / "g", n_steps=300)
        shadows = [
            load_scorer(tmp_path / "g").taught(half_of(control, seed=k), n_steps=100, seed=k, afresh=True)
            for k in range(4)
        ]
    else:
        trained(family, trained_on, tmp_path / "g", {}, epsilon=8.0)
        planned = plan_shadows(load_card(tmp_path / "g"), control, tmp_path, n=8, seed=0)
        shadows = [load_scorer(folder) for folder in train_shadows(planned)]
    target = Remembered(load_scorer(tmp_path / "g"), pool)
    known = [Remembered(shadow, pool) for shadow in shadows]
    covered: dict[str, list[bool]] = {"loss": [], "lira": []}
    for seed in range(200):
        member = np.random.default_rng(seed).permutation(240) < N_UNSEEN
        arms = Arms(member=pool.select(member), other=pool.select(~member))
        for name, found in (
            ("loss", loss_attack(target, target, arms, control, seed=0)),
            ("lira", ratio_attack(target, target, arms, known, seed=0)),
        ):
            low, high = found.interval(found.auc)
            covered[name].append(low <= 0.5 <= high)
    shares = {name: float(np.mean(rows)) for name, rows in covered.items()}
    print(f"{family}: AUC interval covers .5 in {shares}")  # noqa: T201 - the figure of the report
    assert min(shares.values()) >= 0.93


@pytest.mark.proofs
@pytest.mark.timeout(3600)
def test_an_overfitted_vae_passes_the_audits_of_samples_and_leaks_through_its_weights(
    people: ImageSet, tmp_path: Path
) -> None:
    """Trained by the trainer itself, without privacy, on 120 people for 320 epochs."""
    train, holdout, control = (people.select(np.arange(n, n + N_UNSEEN)) for n in (0, 240, 360))
    config = {
        "public_steps": 0, "n_steps": 1200, "batch_size": 32, "width": 16, "n_latents": 32, "learning_rate": 2e-3,
        "average": 0.98, "microbatch": 32, "checkpoint_every": 1200,
    }  # fmt: skip
    budget = PrivacyBudget.without_privacy(public_n_subjects=N_UNSEEN)
    train_generator(name="vae", images=train, budget=budget, config=config, out=tmp_path / "g", device="cpu")
    labels, counts = np.unique(train.label, return_counts=True)  # type: ignore[arg-type]
    cells = [CellCount(label=str(label), n=int(2 * n)) for label, n in zip(labels, counts, strict=True)]
    synthetic = sample_generator(tmp_path / "g", cells)
    data = AuditInput(train=train, holdout=holdout, control=control, synthetic=synthetic, generator=tmp_path / "g")
    said = {name: statuses(data, name) for name in ("nearest_copies", "memorisation", "membership_inference")}
    found = found_by(data, tmp_path / "g")["loss"]
    print(said, found.value, found.details)  # noqa: T201 - the figures of the report
    assert found.status is Status.DETECTED
    assert float(found.details["tpr_at_1pct"]) >= 0.95  # type: ignore[arg-type]
    assert "detected" not in {status for answers in said.values() for status in answers.values()}
