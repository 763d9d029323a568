"""What a measurement says in plain words: one title and one sentence, never more than the figure carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audits.base import Measurement, Status


@dataclass(frozen=True, kw_only=True)
class Words:
    """Templates over a measurement's figures: `value`, `low`, `high`, `baseline`."""

    title: str
    detected: str
    not_detected: str
    percent: bool = False


_SHARE = "{value} against {baseline} for real images"
WORDS: Mapping[str, Words] = {
    "arms.identical_images": Words(
        title="The same image in train and in an unseen arm",
        detected="{value} of the unseen images are training images; they were left out of every audit.",
        not_detected="No unseen image equals a training image.",
        percent=True,
    ),
    "arms.constant_images": Words(
        title="Images without content",
        detected="{value} of all images have a single pixel value.",
        not_detected="Every image has content.",
        percent=True,
    ),
    "arms.jpeg_history": Words(
        title="Compression unlike that of the training images",
        detected="An arm was compressed otherwise: AUC {value}, where 0.50 is alike. Figures may show that alone.",
        not_detected="No arm was compressed otherwise than the training images.",
    ),
    "nearest_copies.copy_rate": Words(
        title="Copies of training images",
        detected="Copies were found: {low} to {high} of the synthetic images, beyond what real unseen images give.",
        not_detected="Copies were not detected above {high} of the synthetic images at 95 % confidence.",
        percent=True,
    ),
    "membership_inference.nearest": Words(
        title="Who was in the training data (nearest image)",
        detected="Members can be told from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "membership_inference.density_ratio": Words(
        title="Who was in the training data (density ratio)",
        detected="Members can be told from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "manifold.precision": Words(
        title="Realism (precision)",
        detected=f"Fewer synthetic images look real than should: {_SHARE}.",
        not_detected=f"As many look real as real images do: {_SHARE}.",
        percent=True,
    ),
    "manifold.recall": Words(
        title="Variety (recall)",
        detected=f"Part of the real variety is missing: {_SHARE}.",
        not_detected=f"The real variety is there: {_SHARE}.",
        percent=True,
    ),
    "manifold.density": Words(
        title="Realism, robust to outliers (density)",
        detected=f"Synthetic images crowd less around real ones: {_SHARE}.",
        not_detected=f"Synthetic images lie among real ones: {_SHARE}.",
    ),
    "manifold.coverage": Words(
        title="Variety, robust to outliers (coverage)",
        detected=f"Real images without a synthetic neighbour: coverage {_SHARE}.",
        not_detected=f"Real images have synthetic neighbours: coverage {_SHARE}.",
        percent=True,
    ),
    "kernel_distance.mmd": Words(
        title="Distance from the real images as a whole",
        detected="Synthetic images differ from real ones: {value}, real images among themselves {baseline}.",
        not_detected="No more apart than real images are: {value}, real among themselves {baseline}.",
    ),
    "train_on_synthetic.auc": Words(
        title="Learning from synthetic images",
        detected="A classifier trained on them reaches AUC {value} on real people; real training gives {baseline}.",
        not_detected="A classifier trained on them reaches AUC {value} on real people; real training gives {baseline}.",
    ),
    "train_on_synthetic.auc_difference": Words(
        title="What is lost against real training",
        detected="Training on synthetic images costs AUC: the difference lies between {low} and {high}.",
        not_detected="No loss of AUC detected; the difference lies between {low} and {high}.",
    ),
}
_GAP = Words(
    title="Gap by {grouping}",
    detected="One group is served worse: the gap in AUC is {value}; real training differs by {baseline} there.",
    not_detected="No gap detected: {value} in AUC, at most {high}; real training differs by {baseline} there.",
)
_MIX = Words(
    title="Mix of labels by {grouping}",
    detected="The mix of labels changed by up to {value}; real unseen people differ by {baseline}.",
    not_detected="No change of the mix detected: up to {value}; real unseen people differ by {baseline}.",
    percent=True,
)
_PREFIXES = {"group_gaps.": _GAP, "label_shares.": _MIX}


def title(m: Measurement) -> str:
    """What was measured, for someone who knows no statistics."""
    return _words(m).title.format(grouping=m.name.rpartition(".")[2].replace("_", " "))


def sentence(m: Measurement) -> str:
    """What was found, with its figures; for no power and not assessable the reason."""
    if m.status is Status.NO_POWER:
        return f"This audit could not have found it: {m.reason}."
    if m.status is Status.NOT_ASSESSABLE:
        return f"Not assessable: {m.reason}."
    words = _words(m)
    template = words.detected if m.status is Status.DETECTED else words.not_detected
    return template.format(
        value=figure(m.value, percent=words.percent),
        low=figure(m.ci_low, percent=words.percent),
        high=figure(m.ci_high, percent=words.percent),
        baseline=figure(m.baseline, percent=words.percent),
    )


def in_percent(m: Measurement) -> bool:
    """Whether this measurement's figures read as shares."""
    return _words(m).percent


def figure(value: float | None, *, percent: bool = False) -> str:
    """A number as people read it: 12.3 % or 0.12; a dash where there is none."""
    if value is None:
        return "-"
    if percent:
        return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
    text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _words(m: Measurement) -> Words:
    if m.name in WORDS:
        return WORDS[m.name]
    for prefix, words in _PREFIXES.items():
        if m.name.startswith(prefix):
            return words
    return Words(title=m.name, detected="Detected: {value}.", not_detected="Not detected: {value}, at most {high}.")
