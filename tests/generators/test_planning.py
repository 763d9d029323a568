"""Plans from public numbers and measured figures; refusals before a budget is spent on noise."""

import json
import math
from pathlib import Path

import pytest

from generators.accounting import epsilon_of
from generators.base import BudgetError, ConfigError, DataError
from generators.conditions import Vocabulary
from generators.latent.design import Design
from generators.latent.settings import LatentStatisticsConfig
from generators.plans.drowning import ENOUGH_ERROR, DrownedError, mean_error, require_signal, signal_of
from generators.plans.planning import Wish, plan_lines, recommend
from generators.plans.record import SCHEMA, RecordRow, expectation_of, load_record
from generators.privacy import GaussianEvent, PrivacyBudget
from generators.registry import GENERATORS
from generators.vae import VaeConfig


def budget(n: int, epsilon: float) -> PrivacyBudget:
    return PrivacyBudget(target_epsilon=epsilon, target_delta=1e-6, public_n_subjects=n)


def row(**change: object) -> RecordRow:
    values = {"data": "chest", "n_subjects": 1000, "size": 64, "epsilon": 8, "row": "vae", "seconds": 100.0}
    return RecordRow(**values | change)


RECORD = [
    row(epsilon=1, accuracy_ratio=0.6, auc_difference=-0.3),
    row(epsilon=4, accuracy_ratio=0.8, auc_difference=-0.1, seconds=200.0),
    row(data="skin", size=128, accuracy_ratio=0.5),
    row(row="latent-statistics", accuracy_ratio=0.7, seconds=5.0),
    row(row="gan", device="cuda", accuracy_ratio=0.99),
]


def expected(epsilon: float, n: int = 1000, size: int = 64, device: str = "cpu") -> object:
    return expectation_of(RECORD, row="vae", n_subjects=n, epsilon=epsilon, size=size, device=device)


def test_between_measured_points_figures_go_with_the_logarithm() -> None:
    found = expected(2)
    assert found.accuracy_ratio == pytest.approx(0.7)
    assert found.auc_difference == pytest.approx(-0.2)
    assert found.seconds == pytest.approx(150)
    assert found.source == "chest (64 px, 1000 subjects at epsilon 1 and 1000 subjects at epsilon 4, cpu)"
    assert expected(4, n=500).accuracy_ratio == pytest.approx(found.accuracy_ratio), (
        "half the people, twice the epsilon"
    )


def test_beyond_them_the_nearest_holds_up_to_a_factor_of_three() -> None:
    assert expected(0.4).accuracy_ratio == 0.6
    assert expected(0.3) is None
    assert expected(4, size=32).seconds == pytest.approx(200 / 4), "a quarter of the pixels"
    assert expected(4, size=16) is None
    assert expected(8, size=128).source.startswith("skin")
    assert expected(4, device="cuda") is None


def test_the_best_measured_generator_within_the_time_is_recommended() -> None:
    wish = Wish(budget=budget(1000, 4), n_images=3000)
    found = recommend(wish, RECORD)
    assert (found.generator, found.expected.accuracy_ratio) == ("vae", 0.8)
    assert found.settings == {"views": 3}
    assert found.others["latent-statistics"].accuracy_ratio == 0.7
    hurried = recommend(Wish(budget=budget(1000, 4), minutes=1), RECORD)
    assert (hurried.generator, hurried.enough_subjects) == ("latent-statistics", True)


@pytest.mark.parametrize(("n", "generator"), [(1000, "latent-statistics"), (20_000, "vae")])
def test_without_a_record_the_plan_says_that_nothing_was_measured(n: int, generator: str) -> None:
    wish = Wish(budget=budget(n, 4))
    found = recommend(wish, [])
    assert (found.generator, found.expected) == (generator, None)
    assert "not measured" in "\n".join(plan_lines(found, wish))


def test_a_cohort_too_small_is_told_what_would_be_enough() -> None:
    wish = Wish(budget=budget(60, 0.3), n_labels=4)
    found = recommend(wish, [])
    assert not found.enough_subjects
    told = "\n".join(plan_lines(found, wish))
    assert f"TOO SMALL: 60 subjects are too few for epsilon 0.3 and 4 labels: about {found.needed_subjects}" in told
    for better in (budget(found.needed_subjects, 0.3), budget(60, found.needed_epsilon * 1.01)):
        assert recommend(Wish(budget=better, n_labels=4), []).enough_subjects


def test_the_record_that_ships_is_read_and_names_generators() -> None:
    rows = load_record()
    assert rows
    assert {found.row for found in rows} <= set(GENERATORS)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="no object"),
        pytest.param('{"rows": []}', id="no schema"),
        pytest.param(json.dumps({SCHEMA: [{"data": "x"}]}), id="row without its numbers"),
        pytest.param(
            json.dumps({SCHEMA: [{"data": "x", "n_subjects": 0, "size": 8, "epsilon": 1, "row": "vae"}]}), id="nobody"
        ),
    ],
)
def test_a_damaged_record_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(DataError, match="no readable benchmark record"):
        load_record(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"n_images": 10}, "10 images of 50 subjects", id="fewer images than people"),
        pytest.param({"size": 4}, "size: is 4", id="size"),
        pytest.param({"n_labels": 0}, "labels: is 0", id="no labels"),
        pytest.param({"minutes": math.nan}, "minutes: is nan", id="no time"),
        pytest.param({"device": "tpu"}, "device: is 'tpu'", id="device"),
    ],
)
def test_a_wish_that_is_none_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wish(**{"budget": budget(50, 1)} | change)


SETTINGS = pytest.mark.parametrize("settings", [LatentStatisticsConfig(), VaeConfig()], ids=["statistics", "gradients"])


@SETTINGS
@pytest.mark.parametrize(
    ("n", "epsilon", "drowned"),
    [
        pytest.param(100, 0.01, True, id="a hundredth"),
        pytest.param(100, 0.05, True, id="a twentieth"),
        pytest.param(100, 0.1, True, id="a tenth"),
        pytest.param(100, 1, False, id="epsilon 1"),
        pytest.param(100, 2, False, id="epsilon 2"),
        pytest.param(500, 1, False, id="five hundred people"),
        pytest.param(5000, 0.05, False, id="many people"),
        pytest.param(500, 8, False, id="the usual"),
    ],
)
def test_what_noise_would_drown_is_refused(settings: object, n: int, epsilon: float, drowned: bool) -> None:
    assert signal_of(budget(n, epsilon), settings, n_labels=3).drowned == drowned


@pytest.mark.parametrize("n_labels", [1, 3, 7])
def test_the_error_is_that_of_the_release_whose_settings_are_given(n_labels: int) -> None:
    """In words of the release: noise of sums, radius sqrt(latents), over the people of a label."""
    settings = LatentStatisticsConfig()
    few = LatentStatisticsConfig(n_components=10, detail="none", sums_share=0.2)  # asks for no look either
    wish = Wish(budget=budget(500, 1), n_labels=n_labels)
    noise = recommend(wish, []).noise_multiplier
    of_latents = 1 - settings.spectrum_share
    for chosen, n_latents, part in ((settings, settings.n_components + settings.n_texture, of_latents), (few, 10, 1)):
        std = noise * math.sqrt(n_latents) / math.sqrt(chosen.shares(n_labels).sums * part)
        assert mean_error(wish.budget, n_labels=n_labels, settings=chosen) == pytest.approx(std / (500 / n_labels))
    assert recommend(wish, []).label_error == mean_error(wish.budget, n_labels=n_labels, settings=settings)


def test_the_noise_of_counts_is_that_which_the_release_draws() -> None:
    settings = LatentStatisticsConfig()
    vocabulary = Vocabulary(labels=("a", "b"), sexes=("F", "M"), age_groups=("0-17", "18-39"))
    norm = Design(vocabulary=vocabulary, group_weight=settings.group_weight).norm
    found = recommend(Wish(budget=budget(500, 1)), [])
    assert found.count_noise == pytest.approx(found.noise_multiplier * norm**2 / settings.shares(2).counts ** 0.5)


@SETTINGS
def test_the_refusal_says_what_would_be_worth_a_try(settings: object) -> None:
    with pytest.raises(DrownedError, match=r"drown the signal at 0\.01 for 100 subjects") as refusal:
        require_signal(budget(100, 0.01), settings, n_labels=3)
    assert isinstance(refusal.value, BudgetError)
    words = refusal.value.remedy.split()
    n, epsilon = (float(words[words.index(word) + step]) for word, step in (("subjects", -1), ("epsilon", 1)))
    for better in (budget(int(n), 0.01), budget(100, epsilon)):
        require_signal(better, settings, n_labels=3)


def test_a_reference_without_privacy_has_no_noise_to_drown_in() -> None:
    require_signal(PrivacyBudget.without_privacy(public_n_subjects=1), VaeConfig(), n_labels=1)


def test_needed_epsilon_is_that_of_the_needed_noise() -> None:
    found = recommend(Wish(budget=budget(60, 0.3), n_labels=4), [])
    noise = found.noise_multiplier * ENOUGH_ERROR / found.label_error
    event = GaussianEvent(noise_multiplier=noise, sample_rate=1.0, steps=1)
    assert epsilon_of([event], 1e-6, "prv") == pytest.approx(found.needed_epsilon, rel=1e-6)
