"""References without privacy: every family trains one, says so plainly, and nothing lets it out."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from generators.accounting import compose_spends, spend_of
from generators.base import BudgetError, CellCount, GeneratorCard, ResumeError
from generators.data import ImageSet
from generators.folder import CARD
from generators.phantoms import draw_phantoms
from generators.privacy import NON_PRIVATE_NOTE, GaussianEvent, PrivacyBudget
from generators.registry import GENERATORS
from generators.runner import load_card, sample_generator, train_generator
from policies.base import Outcome, PolicyError
from policies.engine import decide
from policies.facts import Facts
from policies.profile import load_profile
from tests.generators.tiny_networks import tiny_unet

BUDGET = PrivacyBudget.without_privacy(public_n_subjects=50)
STEPS = {"n_steps": 2, "batch_size": 10, "checkpoint_every": 2}
DENOISING = {"views": 2, "solver_steps": 2}
TINY: Mapping[str, Mapping[str, object]] = {
    "latent-statistics": {"n_components": 6, "detail": "none"},
    "latent-diffusion": {
        "n_components": 6, "width": 8, "depth": 1, "public_steps": 1, "draw_steps": 1, "n_draws": 100, "detail": "none",
        "sampling_steps": 2, **STEPS, "views": 2,
    },
    "private-evolution": {"n_rounds": 1, "detail": False},
    "vae": {"width": 8, "n_latents": 4, "public_steps": 1, **STEPS},
    "diffusion": {"width": 8, "public_steps": 1, "central_steps": 1, "central_side": 4, **STEPS, **DENOISING},
    "gan": {"width": 8, "n_latents": 4, "warm_steps": 1, "public_steps": 1, "discriminator_steps": 1, **STEPS},
    "lora": {"rank": 1, **STEPS, **DENOISING},
    "mean-embedding": {"n_components": 6, "n_frequencies": 10, "public_steps": 1, "n_steps": 2, "detail": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=60, size=16, seed=9, max_images=1).images


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local diffusers folder with a tiny network, which `lora` starts from."""
    folder = tmp_path_factory.mktemp("base")
    tiny_unet().save_pretrained(folder / "unet")
    DDPMScheduler(num_train_timesteps=100).save_pretrained(folder / "scheduler")
    return folder


def reference(name: str, cohort: ImageSet, public: ImageSet, base: Path, out: Path) -> GeneratorCard:
    config = dict(TINY[name]) | ({"base": str(base)} if name == "lora" else {})
    return train_generator(name=name, images=cohort, budget=BUDGET, config=config, out=out, public=public, device="cpu")


def test_every_family_is_looked_at() -> None:
    assert set(TINY) == set(GENERATORS)


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_reference_says_what_it_is_wherever_it_is_read(
    name: str, cohort: ImageSet, public: ImageSet, base: Path, tmp_path: Path
) -> None:
    card = reference(name, cohort, public, base, tmp_path / "g")
    assert card.notes[0] == NON_PRIVATE_NOTE
    assert (card.spend.spent_epsilon, card.spend.accountant, card.spend.privacy_unit) == (math.inf, "none", "none")
    assert card.spend.events
    assert {event.noise_multiplier for event in card.spend.events} == {0}
    assert load_card(tmp_path / "g").spend == card.spend
    written = json.loads((tmp_path / "g" / CARD).read_text())
    assert written["spend"]["spent_epsilon"] is None
    assert written["budget"]["target_epsilon"] is None
    assert written["notes"][0].startswith("NOT PRIVATE")
    drawn = sample_generator(tmp_path / "g", [CellCount(label=card.labels[0], n=2)])
    assert drawn.images.shape == (2, 16, 16)
    assert_refused(written)


def assert_refused(written: Mapping[str, dict[str, object]]) -> None:
    """Facts as the platform takes them from a card: "none" is no fact, and what is left passes no profile."""
    names = ("spent_epsilon", "delta", "privacy_unit", "adjacency", "accountant")
    facts = {name: written["spend"][name] for name in names}
    for name in ("privacy_unit", "accountant"):
        with pytest.raises(PolicyError, match=name):
            Facts({name: facts[name]})
    with pytest.raises(PolicyError, match="spent_epsilon"):
        Facts({"spent_epsilon": math.inf})
    left = Facts({name: value for name, value in facts.items() if name not in ("privacy_unit", "accountant")})
    assert "spent_epsilon" not in left
    for profile in ("internal", "controlled", "public"):
        decision = decide(load_profile(profile), left)
        assert decision.outcome is not Outcome.PASS
        blocked = {result.id for result in decision.results if result.outcome is not Outcome.PASS}
        assert {"epsilon", "unit", "accountant"} <= blocked


def test_the_same_rules_let_a_private_card_through() -> None:
    """So that it is the reference which is refused above, not every card."""
    facts = Facts({"spent_epsilon": 2.9, "delta": 1e-6, "privacy_unit": "subject", "accountant": "prv"})
    for profile in ("internal", "controlled", "public"):
        found = {result.id: result.outcome for result in decide(load_profile(profile), facts).results}
        assert {found[name] for name in ("epsilon", "unit", "accountant")} == {Outcome.PASS}


def test_a_reference_never_resumes_a_private_run_nor_the_other_way(
    cohort: ImageSet, public: ImageSet, base: Path, tmp_path: Path
) -> None:
    reference("mean-embedding", cohort, public, base, tmp_path)
    with pytest.raises(ResumeError, match="accountant"):
        train_generator(
            name="mean-embedding",
            images=cohort,
            budget=PrivacyBudget(target_epsilon=8, public_n_subjects=50),
            config=TINY["mean-embedding"],
            out=tmp_path,
            public=public,
            device="cpu",
            resume=True,
        )


def test_a_cohort_with_one_reference_among_its_runs_has_no_bound() -> None:
    spends = [
        spend_of(
            [GaussianEvent(noise_multiplier=noise, sample_rate=1, steps=1)],
            delta=1e-5,
            accountant=accountant,
            privacy_unit="subject",
        )
        for noise, accountant in ((2, "prv"), (0, "none"))
    ]
    whole = compose_spends(spends, delta=1e-5, accountant="prv")
    assert (whole.spent_epsilon, whole.privacy_unit) == (math.inf, "none")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"target_epsilon": 8.0}, id="none but a finite epsilon"),
        pytest.param({"accountant": "prv"}, id="an infinite epsilon that somebody is to count"),
    ],
)
def test_no_budget_is_half_private(change: Mapping[str, object]) -> None:
    with pytest.raises(BudgetError):
        replace(BUDGET, **change)


def test_the_platforms_forms_offer_no_run_without_privacy() -> None:
    from veilmark.training_runs.api import TrainingPlanSerializer
    from veilmark.training_runs.forms import TrainingForm

    asked = {
        "generator": "vae", "epsilon": "8", "delta": "0.00001", "image_size": "64", "seed": "0", "accountant": "none",
    }  # fmt: skip
    form = TrainingForm(asked)
    assert not form.is_valid()
    assert set(form.errors) == {"accountant"}
    assert TrainingForm(asked | {"accountant": "prv"}).is_valid()
    sent = TrainingPlanSerializer(data={"cohort": "00000000-0000-0000-0000-000000000000", "accountant": "none"})
    assert not sent.is_valid()
    assert set(sent.errors) == {"accountant"}
