"""The audit of the DP claim: broken trainers are falsified, correct ones are not, and the bounds are what is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from audits.base import AuditInput, Measurement, Status
from audits.claims import bounds, release_canaries, releases, steps
from audits.claims.bounds import Tally
from audits.claims.record import Claim, Part
from audits.claims.release_canaries import known_releases
from audits.claims.releases import audit_release
from audits.claims.sampler import sampler_test
from audits.claims.steps import audit_clipping, audit_steps
from audits.cli import app
from audits.privacy.dp_claim import LEVEL, claim_measurements, dp_claim
from generators import training
from generators.accounting import gaussian_epsilon, spend_of
from generators.base import GeneratorCard
from generators.folder import versions, write_card
from generators.latent import release as latent_release
from generators.latent.release import PHASES as LATENTS
from generators.privacy import GaussianEvent, PrivacyBudget, StepRecord
from generators.releases import votes
from generators.steps_log import StepsLog
from generators.training import PrivateSettings
from tests.audits.broken_trainers import FAULTS, noise_times

PART = Part(phase="train", noise_multiplier=0.8, sample_rate=0.25, steps=20)
SETTINGS = PrivateSettings(max_grad_norm=2.0)
N_CANARIES = 48
FOUND_BY = {
    "noise off": "bound",
    "noise x 0.8": "bound",
    "the sum clipped": "clipping",
    "rate x 1.5": "sampler",
    "shuffled": "sampler",
    "images drawn apart": "sampler",
    "images clipped apart": "bound",
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer observations: what is looked for here is far out."""
    monkeypatch.setattr(steps, "LEAST_OBSERVED", 1500)
    monkeypatch.setattr(releases, "LEAST_RUNS", 300)


def step_verdicts(trainer: Callable[..., None] = training.train_network, *, seed: int = 0) -> dict[str, bool]:
    """Whether the bound and the sampler's tests accuse."""
    found = audit_steps(PART, SETTINGS, n_canaries=N_CANARIES, alpha=LEVEL, seed=seed, trainer=trainer)
    return {"bound": found.bound.exceeds, "sampler": found.sampler.p_value <= LEVEL}


def clipping_verdict(trainer: Callable[..., None] = training.train_network, *, seed: int = 0) -> dict[str, bool]:
    return {"clipping": audit_clipping(PART, SETTINGS, alpha=LEVEL, seed=seed, trainer=trainer).exceeds}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_trainer_is_falsified(fault: str) -> None:
    ask = clipping_verdict if FOUND_BY[fault] == "clipping" else step_verdicts
    assert ask(FAULTS[fault])[FOUND_BY[fault]]


def refute_level(n_accused: int, n: int, level: float) -> bool:
    """Whether so many accusations of the innocent would happen with chance below 1 in 10,000 at that level."""
    return bool(stats.binom.sf(n_accused - 1, n, level) < 1e-4)


@pytest.mark.usefixtures("quick")
def test_a_correct_trainer_is_not_accused() -> None:
    # By chances of 1 in 100,000: noise and draws are the trainer's own and differ each time.
    found = audit_steps(PART, SETTINGS, n_canaries=N_CANARIES, alpha=LEVEL, seed=0)
    assert found.bound.p_value > 1e-5
    assert found.sampler.inclusion > 1e-5
    assert audit_clipping(PART, SETTINGS, alpha=LEVEL, seed=0).p_value > 1e-5


def test_fair_coins_are_accused_no_more_than_the_level_allows() -> None:
    rng = np.random.default_rng(0)
    p_values = [sampler_test(rng.random((30, 20)) < 0.25, 0.25, seed=seed).p_value for seed in range(20)]
    assert not refute_level(sum(p <= LEVEL for p in p_values), 20, LEVEL)
    assert max(p_values) == 1


@pytest.mark.proofs
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("verdicts", [step_verdicts, clipping_verdict])
def test_correct_trainers_of_200_seeds_are_accused_no_more_than_the_level_allows(
    verdicts: Callable[..., dict[str, bool]],
) -> None:
    rows = [verdicts(seed=seed) for seed in range(200)]
    counts = {name: sum(row[name] for row in rows) for name in rows[0]}
    print(f"accused of 200: {counts}")  # noqa: T201 - the figure of the report
    assert not any(refute_level(count, 200, LEVEL) for count in counts.values()), counts


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("path", ["vmap", "layers"])
def test_every_kind_of_canary_arrives_at_the_clipping_norm(path: str) -> None:
    settings = replace(SETTINGS, path=path, views=3, microbatch=16)
    found = audit_steps(PART, settings, n_canaries=N_CANARIES, alpha=LEVEL, seed=0, trainer=noise_times(0.01))
    assert all(part == pytest.approx(1, abs=0.01) for part in found.parts.values())


@pytest.mark.usefixtures("quick")
def test_full_batches_are_judged_by_places_of_nobody() -> None:
    part = replace(PART, sample_rate=1.0)
    found = audit_steps(part, SETTINGS, n_canaries=N_CANARIES, alpha=LEVEL, seed=0)
    assert found.bound.found > 0.9
    assert found.sampler.p_value == 1


def known_log(seed: int = 0) -> dict[str, tuple[releases.Draw, float]]:
    parts = [
        Part(phase=phase, noise_multiplier=noise, sample_rate=1.0, steps=1)
        for phase, noise in (
            *zip(LATENTS, (1.0, 1.2, 1.5, 0.8), strict=True),
            (release_canaries.VOTES, 0.8),
            (release_canaries.LOOK, 0.8),
            (release_canaries.EMBEDDING, 0.8),
            (release_canaries.WARM_UP, 0.8),
        )
    ]
    return {known.name: (known.draw, known.mu) for known in known_releases(parts, seed=seed)}


RELEASES = ("latents", LATENTS[3], "votes", "spectrum", "embedding", "warm-up")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", RELEASES)
def test_a_release_without_half_its_noise_is_falsified_and_a_correct_one_is_not(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    draw, mu = known_log()[name]
    found = audit_release(draw, mu, alpha=LEVEL, seed=0)
    assert found.p_value > 1e-5
    assert found.mu > 0.5 * mu
    halve_noise(monkeypatch)
    assert audit_release(draw, mu, alpha=LEVEL, seed=0).exceeds


def halve_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    from generators.latent import discriminant
    from generators.releases import central_images, embedding, spectrum

    for module in (latent_release, discriminant, votes, spectrum, embedding, central_images):
        for name in ("secure_normal", "secure_symmetric_normal"):
            if hasattr(module, name):
                real = getattr(module, name)
                monkeypatch.setattr(module, name, lambda shape, std, real=real: real(shape, std / 2))


@pytest.mark.usefixtures("quick")
def test_latents_that_are_not_clipped_are_falsified(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, mu = known_log()["latents"]
    monkeypatch.setattr(latent_release, "clip_norms", lambda rows, _: rows)
    assert audit_release(draw, mu, alpha=LEVEL, seed=0).exceeds


@pytest.mark.usefixtures("quick")
def test_votes_counted_by_image_are_falsified(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, mu = known_log()["votes"]
    real = votes.exact_votes
    monkeypatch.setattr(votes, "exact_votes", lambda near, _, n: real(near, np.arange(len(near)).astype(str), n))
    assert audit_release(draw, mu, alpha=LEVEL, seed=0).exceeds


def test_the_bound_covers_a_gaussian_of_known_mu() -> None:
    rng = np.random.default_rng(0)
    n, mu, n_wrong = 500, 1.3, 0
    for _ in range(1000):
        tally = Tally.of(1 + rng.standard_normal(n) / mu, rng.standard_normal(5 * n) / mu, threshold=0.6)
        n_wrong += tally.mu_bound(LEVEL) > mu
    assert not refute_level(n_wrong, 1000, LEVEL)
    assert (tally.p_value(mu) < LEVEL) == (tally.mu_bound(LEVEL) > mu)


def test_the_ceiling_is_that_of_no_error() -> None:
    tally = Tally(n_inside=100, n_missed=40, n_outside=400, n_alarms=10)
    misses, alarms = (1 - (LEVEL / 2) ** (1 / n) for n in (100, 400))
    expected = -stats.norm.ppf(misses) - stats.norm.ppf(alarms)
    assert tally.ceiling(LEVEL) == pytest.approx(expected, rel=1e-9)
    assert bounds.MuBound.of(tally, 1.0, threshold=0.5, alpha=LEVEL, seed=0).ceiling > tally.mu_bound(LEVEL)


def test_epsilon_of_a_plain_gaussian_and_of_sampled_steps_agree_with_exact_accounting(tmp_path: Path) -> None:
    from dp_accounting.pld import privacy_loss_distribution as pld

    claim = Claim.of(folder_of(tmp_path, [PART]))
    plain = replace(PART, sample_rate=1.0, steps=1)
    exact = pld.from_gaussian_mechanism(1 / 1.7, value_discretization_interval=1e-3)
    assert claim.epsilon_at({plain: 1.7}) == pytest.approx(exact.get_epsilon_for_delta(1e-5), abs=0.01)
    assert claim.epsilon_at({plain: 1.7}) == pytest.approx(gaussian_epsilon(1.7, 1e-5))
    exact = pld.from_gaussian_mechanism(1.0, sampling_prob=0.25, value_discretization_interval=1e-3).self_compose(20)
    assert claim.epsilon_at({PART: 1.0}) == pytest.approx(exact.get_epsilon_for_delta(1e-5), abs=0.05)


def folder_of(
    place: Path, parts: list[Part], *, name: str = "vae", claimed: float | None = None, version: str | None = None
) -> Path:
    """A generator's folder whose log holds these parts, without the generator."""
    log = StepsLog(place)
    events = [
        GaussianEvent(noise_multiplier=p.noise_multiplier, sample_rate=p.sample_rate, steps=p.steps) for p in parts
    ]
    spend = spend_of(events, delta=1e-5, accountant="rdp", privacy_unit="subject")
    log.reserve(spend)
    for part in parts:
        for step in range(part.steps):
            log.step(
                StepRecord(
                    step=step,
                    noise_multiplier=part.noise_multiplier,
                    sample_rate=part.sample_rate,
                    phase=part.phase,
                )
            )
    card = GeneratorCard(
        name=name,
        config={"max_grad_norm": 2.0} if name == "vae" else {},
        data_digest="sha256:0",
        budget=PrivacyBudget(target_epsilon=30, public_n_subjects=100, accountant="rdp"),
        spend=spend if claimed is None else replace(spend, spent_epsilon=claimed),
        labels=("a",),
        sexes=(),
        age_groups=(),
        image_size=16,
        bit_depth=8,
        channels=1,
        public_data=(),
        seed=0,
        versions=versions() if version is None else {"veilmark": version},
    )
    write_card(place, card)
    return place


def answers(folder: Path) -> dict[str, Measurement]:
    return {m.name.removeprefix("dp_claim."): m for m in claim_measurements(folder, seed=0, n_canaries=N_CANARIES)}


@pytest.mark.usefixtures("quick")
def test_a_correct_folder_is_not_accused_and_noise_left_out_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, [PART])
    found = answers(folder)
    bound = found["empirical_epsilon_lower_bound"]
    assert bound.status in {Status.NOT_DETECTED, Status.DETECTED}  # one in twenty may be accused
    assert 0.6 * float(bound.baseline or 0) < float(bound.value or 0) < float(bound.details["ceiling"])  # type: ignore[arg-type]
    assert bound.details["claimed_epsilon"] == bound.baseline
    assert bound.details["n_canaries"] == N_CANARIES
    assert found["record"].status is Status.NOT_DETECTED
    real = training.add_noise
    monkeypatch.setattr(training, "add_noise", lambda total, plan: real(total, replace(plan, noise_multiplier=0.0)))
    bound = answers(folder)["empirical_epsilon_lower_bound"]
    assert bound.status is Status.DETECTED
    assert "claimed noise" in bound.reason
    assert float(bound.value or 0) > float(bound.baseline or 0)
    assert bound.p_value is not None
    assert bound.p_value < 1e-6


@pytest.mark.usefixtures("quick")
def test_a_claim_beyond_the_ceiling_gives_no_power(tmp_path: Path) -> None:
    part = replace(PART, noise_multiplier=0.12, sample_rate=1.0, steps=1)
    found = answers(folder_of(tmp_path, [part]))["empirical_epsilon_lower_bound"]
    assert found.status is Status.NO_POWER
    assert "ceiling" in found.reason


@pytest.mark.usefixtures("quick")
def test_a_card_that_claims_less_than_its_log_is_detected(tmp_path: Path) -> None:
    found = answers(folder_of(tmp_path, [PART], claimed=1.0))
    assert found["record"].status is Status.DETECTED
    assert float(found["record"].value or 0) > 1


@pytest.mark.usefixtures("quick")
def test_a_one_shot_generator_has_no_step_to_sample(tmp_path: Path) -> None:
    part = replace(PART, phase="embedding", sample_rate=1.0, steps=1)
    unknown = replace(part, phase="a new idea")
    found = answers(folder_of(tmp_path, [part, unknown], name="mean-embedding"))
    assert found["sampler"].status is found["clipping"].status is Status.NOT_ASSESSABLE
    assert found["empirical_epsilon_lower_bound"].details["not_audited"] == "a new idea"


@pytest.mark.usefixtures("quick")
def test_the_command_says_claimed_and_found_side_by_side(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [replace(PART, phase="embedding", sample_rate=1.0, steps=1)], name="mean-embedding")
    done = CliRunner().invoke(app, ["claim", "--generator", str(folder)])
    assert done.exit_code == 0, done.output
    assert "Epsilon claimed 6.12, found at least" in done.output
    assert "the method's ceiling is" in done.output
    assert CliRunner().invoke(app, ["claim", "--generator", "/"]).exit_code == 2


def test_what_cannot_be_audited_is_not_assessable_with_the_reason(tmp_path: Path, leak_free: AuditInput) -> None:
    (found,) = dp_claim(leak_free)
    assert (found.status, found.reason) == (Status.NOT_ASSESSABLE, "no generator was given")
    places = [tmp_path / name for name in ("old", "unknown", "empty")]
    for place in places:
        place.mkdir()
    said = {
        folder_of(places[0], [PART], version="0.0.1"): "was made by version 0.0.1",
        folder_of(places[1], [replace(PART, phase="a new idea")]): "no phase of its log is known",
        places[2]: "holds no generator.json",
    }
    for folder, reason in said.items():
        (found,) = dp_claim(replace(leak_free, generator=folder))
        assert found.status is Status.NOT_ASSESSABLE
        assert reason in found.reason
        assert math.isnan(found.value or math.nan)
