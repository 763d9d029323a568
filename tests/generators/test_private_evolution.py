"""Votes bound what a person can do, and whole runs of `private-evolution` on phantoms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.base import BudgetError, CellCount, ConfigError, GeneratorError, ResumeError
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.latent.basis import fit_basis
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.private_evolution import POPULATION
from generators.public.simulators import LatentSimulator, PhantomSimulator, Simulator
from generators.releases.votes import Voters, exact_votes, nearest_candidates, noisy_votes, survivors, weights_of
from generators.runner import sample_generator, train_generator
from generators.steps_log import read_log, spent_from_log
from tests.generators.recorders import Recorder

NAME = "private-evolution"
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
VOCABULARY = Vocabulary(labels=("normal", "nodule", "opacity"), sexes=("F", "M"), age_groups=("0-17", "18-39", "40-64"))
SMALL = {"n_rounds": 2}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=50, size=32, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=80, size=32, seed=9, max_images=1).images


@pytest.fixture(scope="module", params=["phantoms", "public"])
def simulator(request: pytest.FixtureRequest, public: ImageSet) -> Simulator:
    if request.param == "phantoms":
        return PhantomSimulator(VOCABULARY, 32)
    return LatentSimulator.of(public, fit_basis(public, n_components=8, radius_quantile=0.9, whitening=1), VOCABULARY)


def voters(seed: int, n_people: int, most_images: int = 6) -> Voters:
    """People with several images each, of any labels."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), rng.integers(1, most_images + 1, n_people)).astype(str)
    return Voters(latents=rng.normal(size=(len(people), 3)), labels=rng.integers(0, 3, len(people)), subjects=people)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n_nearest=st.integers(1, 4))
def test_adding_a_person_moves_the_histogram_by_at_most_one(seed: int, n_nearest: int) -> None:
    rng = np.random.default_rng(seed)
    everyone, places, labels = voters(seed, 5), rng.normal(size=(15, 3)), np.repeat([0, 1, 2], 5)
    nearest = nearest_candidates(everyone, places, labels, n_nearest=n_nearest)
    others = everyone.subjects != "0"
    with_them = exact_votes(nearest, everyone.subjects, 15)
    without = exact_votes(nearest[others], everyone.subjects[others], 15)
    assert np.linalg.norm(with_them - without) == pytest.approx(1.0)


def test_an_image_votes_within_its_label_and_copies_of_it_change_nothing() -> None:
    people, places, labels = voters(1, 6), np.random.default_rng(2).normal(size=(9, 3)), np.repeat([0, 1, 2], 3)
    nearest = nearest_candidates(people, places, labels, n_nearest=2)
    assert np.array_equal(labels[nearest], np.repeat(people.labels[:, None], 2, axis=1))
    once = exact_votes(nearest, people.subjects, 9)
    assert np.allclose(once, exact_votes(np.tile(nearest, (3, 1)), np.tile(people.subjects, 3), 9))


@pytest.mark.parametrize("noise_multiplier", [0.8, 5.0])
def test_the_noise_is_recorded_first_and_is_that_of_the_mechanism(
    noise_multiplier: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import generators.releases.votes as module

    recorder, real, recorded_at_draw = Recorder(), module.secure_normal, []

    def watched(shape: tuple[int, ...], std: float = 1.0) -> object:
        recorded_at_draw.append(len(recorder.steps))
        return real(shape, std)

    monkeypatch.setattr(module, "secure_normal", watched)
    nobody = Voters(latents=np.zeros((0, 2)), labels=np.zeros(0, dtype=np.intp), subjects=np.array([], dtype=np.str_))
    noisy = noisy_votes(
        nobody,
        np.zeros((3000, 2)),
        np.zeros(3000, dtype=np.intp),
        n_nearest=1,
        noise_multiplier=noise_multiplier,
        step=0,
        recorder=recorder,
    )
    assert recorded_at_draw == [1]
    assert (recorder.steps[0].sample_rate, recorder.steps[0].noise_multiplier) == (1.0, noise_multiplier)
    assert noisy.std() == pytest.approx(noise_multiplier, rel=0.06)


def test_weights_sum_to_one_in_each_label_and_survivors_follow_them() -> None:
    votes, labels = np.array([9.0, 1.0, 0.2, -3.0, -1.0, -2.0]), np.array([0, 0, 0, 1, 1, 1])
    weights = weights_of(votes, labels, threshold=0.5)
    assert weights.tolist() == pytest.approx([8.5 / 9, 0.5 / 9, 0, 1 / 3, 1 / 3, 1 / 3])
    drawn = survivors(weights, labels, np.random.default_rng(0))
    assert labels[drawn].tolist() == labels.tolist()
    assert np.count_nonzero(drawn[:3] == 0) >= 2
    assert sorted(drawn[3:]) == [3, 4, 5]


def test_a_variation_stays_near_and_keeps_the_label(simulator: Simulator) -> None:
    labels = np.repeat([0, 1, 2], 10)
    drawn = simulator.draw(labels, np.random.default_rng(0))
    shown = simulator.render(drawn, np.random.default_rng(1))
    assert shown.shape == (30, 32 * 32)
    unchanged, near, far = (simulator.vary(drawn, strength, np.random.default_rng(2)) for strength in (0.0, 0.2, 1.0))
    assert np.allclose(unchanged.parameters, drawn.parameters)
    apart = [
        np.linalg.norm(simulator.render(other, np.random.default_rng(1)) - shown, axis=1).mean()
        for other in (near, far)
    ]
    assert 0 < apart[0] < apart[1]
    assert np.array_equal(near.numbers[:, 0], labels)


def test_a_person_of_another_sex_looks_like_one(simulator: Simulator) -> None:
    labels = np.zeros(300, dtype=np.intp)
    drawn = simulator.draw(labels, np.random.default_rng(0))
    women, men = (simulator.moved(drawn, np.tile([sex, -1], (300, 1))) for sex in (0, 1))
    effect = simulator.render(women, np.random.default_rng(1)).mean(0) - simulator.render(
        men, np.random.default_rng(1)
    ).mean(0)
    real = draw_phantoms(n_subjects=400, size=32, seed=5, max_images=1, labels=("normal",)).images
    pixels, sex = real.images.reshape(len(real), -1) / 255.0, dict(real.columns())["sex"]
    truth = pixels[sex == "F"].mean(0) - pixels[sex == "M"].mean(0)
    assert np.corrcoef(effect, truth)[0, 1] > 0.6
    unseen = simulator.moved(drawn, np.tile([-1, 0], (300, 1)))  # no phantom is a child
    assert np.allclose(unseen.parameters, drawn.parameters)


@pytest.mark.parametrize("kind", ["phantoms", "public"])
def test_a_run_costs_its_rounds_and_draws_more_than_its_population(
    kind: str, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    config = {**SMALL, "simulator": kind}
    card = train_generator(
        name=NAME, images=cohort, budget=BUDGET, config=config, out=tmp_path / "g", public=public, seed=3
    )
    assert 7.9 < card.spend.spent_epsilon <= 8
    assert [(event.steps, event.sample_rate) for event in card.spend.events] == [(2, 1.0)]
    assert (logged := read_log(tmp_path / "g")) is not None
    assert (logged.settled, logged.steps_of("votes")) == (True, 2)
    n_candidates = len(load_tensors(tmp_path / "g" / POPULATION)["votes"]) // 3
    wanted = [CellCount(label="nodule", n=4 * n_candidates, sex="F", age_group="65+"), CellCount(label="normal", n=2)]
    first, again, other = (sample_generator(tmp_path / "g", wanted, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert len(np.unique(first.images, axis=0)) == len(first)


def test_votes_find_the_finding_behind_an_unknown_word(tmp_path: Path) -> None:
    """The simulator does not know what `b` means: only votes can tell it that these people have opacities."""
    drawn = draw_phantoms(n_subjects=300, size=32, seed=1, max_images=1, labels=("normal", "opacity")).images
    words = np.where(dict(drawn.columns())["label"] == "opacity", "b", "a")
    train_generator(
        name=NAME,
        images=replace(drawn, label=words),
        budget=PrivacyBudget(target_epsilon=50, public_n_subjects=300),
        out=tmp_path / "g",
    )
    population = load_tensors(tmp_path / "g" / POPULATION)
    simulator = PhantomSimulator(Vocabulary(labels=("a", "b"), sexes=("F", "M"), age_groups=()), 32)
    finding = population["parameters"][:, list(simulator._widths).index("finding")]
    votes, label = np.maximum(population["votes"], 0), population["numbers"][:, 0]
    shares = [np.average(finding[label == no] > 0, weights=votes[label == no]) for no in (0, 1)]
    assert shares[1] > shares[0] + 0.2


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_a_killed_round_stays_charged_and_is_not_cast_again(
    dies_at: int, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g", "public": public}
    call["config"] = {"n_rounds": 3}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_at=dies_at))
    assert sum(event.steps for event in spent_from_log(tmp_path / "g").events) == dies_at + 1
    card = train_generator(**call, resume=True)
    assert sum(event.steps for event in card.spend.events) == 3
    assert card.spend.spent_epsilon <= 8
    assert sample_generator(tmp_path / "g", [CellCount(label="normal", n=2)]).images.shape == (2, 32, 32)


def test_a_run_that_kept_no_round_is_refused_in_a_line(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g", "public": public}
    call["config"] = {"n_rounds": 1}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_at=0))
    with pytest.raises(ResumeError, match="none was kept") as refusal:
        train_generator(**call, resume=True)
    assert "\n" not in str(refusal.value)
    assert sum(event.steps for event in spent_from_log(tmp_path / "g").events) == 1


def test_a_reference_without_privacy_is_labelled(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    budget = PrivacyBudget.without_privacy(public_n_subjects=60)
    card = train_generator(name=NAME, images=cohort, budget=budget, config=SMALL, out=tmp_path / "g", public=public)
    assert card.notes[0].startswith("NOT PRIVATE")
    votes = load_tensors(tmp_path / "g" / POPULATION)["votes"]
    assert votes.min() == 0
    assert sample_generator(tmp_path / "g", [CellCount(label="opacity", n=2)]).images.std() > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"config": {"simulator": "gan"}}, ConfigError, "simulator", id="unknown simulator"),
        pytest.param({"config": {"simulator": "public"}}, ConfigError, "without a public set", id="no public set"),
        pytest.param({"budget": replace(BUDGET, target_epsilon=1.5)}, BudgetError, "would drown", id="too little"),
        pytest.param({"config": {"n_rounds": 0}}, ConfigError, "n_rounds", id="no round"),
    ],
)
def test_bad_input_is_named_and_costs_nothing(
    change: dict[str, object], error: type[GeneratorError], message: str, cohort: ImageSet, tmp_path: Path
) -> None:
    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g"} | change
    with pytest.raises(error, match=message) as refusal:
        train_generator(**call)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "g" / "steps.log").exists()


def test_colour_needs_a_public_set(tmp_path: Path) -> None:
    colour = ImageSet(images=np.zeros((20, 32, 32, 3), dtype=np.uint8), label=np.repeat(["a", "b"], 10))
    with pytest.raises(ConfigError, match="phantoms are grey"):
        train_generator(name=NAME, images=colour, budget=BUDGET, out=tmp_path / "g")
