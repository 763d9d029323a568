"""The plots of a report's page. Those of internals are absent from the publishable form, which does not hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from audits import plots
from audits.base import Measurement
from audits.wording import title

# Attacks with a score for every person of either arm.
ATTACKS = (
    "membership_inference.nearest",
    "membership_inference.density_ratio",
    "weights_membership.loss",
    "weights_membership.lira",
)


def all_plots(measurements: Sequence[Measurement]) -> Iterable[str]:
    """Figures in HTML, each with its caption: fidelity, attacks, copies."""
    found = {m.name: m for m in measurements}
    yield from _fidelity(measurements)
    if "mix_curve.auc_difference" in found:
        yield from _mixtures(found["mix_curve.auc_difference"].details)
    for name in ATTACKS:
        if name in found and "member_scores" in found[name].internal:
            yield _roc(found[name])
    if "nearest_copies.copy_rate" in found:
        yield from _margins(found["nearest_copies.copy_rate"].internal)
    if "memorisation.copy_rate" in found:
        yield from _surprise(found["memorisation.copy_rate"].internal)
    for m in measurements:
        yield from _flagged_pairs(m)


def _fidelity(measurements: Sequence[Measurement]) -> Iterable[str]:
    bars = [
        (m.name.rpartition(".")[2], m.value, m.baseline)
        for m in measurements
        if m.name.startswith("manifold.") and m.value is not None and m.baseline is not None
    ]
    if bars:
        yield _figure("Fidelity beside the real floor", plots.paired_bars(bars))


def _mixtures(curve: Mapping[str, object]) -> Iterable[str]:
    """What synthetic images beside all real ones change, share by share."""
    shares, margin = curve.get("by_share"), curve.get("margin")
    if isinstance(shares, Mapping) and shares and isinstance(margin, float):
        rows = [
            (str(share), float(point["difference"]), float(point["ci_low"]), float(point["ci_high"]))
            for share, point in shares.items()
        ]
        axis = "AUC with synthetic images, minus real images alone"
        yield _figure("Real images and so many synthetic ones", plots.differences(rows, margin, axis=axis))


def _roc(m: Measurement) -> str:
    members, others = (_floats(m.internal[key]) for key in ("member_scores", "other_scores"))
    return _figure(f"{title(m)}: ROC", plots.roc(members, others))


def _margins(copies: Mapping[str, object]) -> Iterable[str]:
    if "margins" in copies:
        groups = [
            ("synthetic images", _floats(copies["margins"])),
            ("real unseen images", _floats(copies["real_margins"])),
        ]
        cut = _floats([copies["threshold"]])[0]
        yield _figure("How much nearer train is than unseen", plots.histogram(groups, cut, axis="margin (log ratio)"))


def _surprise(copies: Mapping[str, object]) -> Iterable[str]:
    if "unseen_scores" in copies:
        groups = [
            ("synthetic images", _floats(copies["scores"])),
            ("real unseen people", _floats(copies["unseen_scores"])),
        ]
        cut = _floats([copies["threshold"]])[0]
        yield _figure("How much like a copy, by six detectors", plots.histogram(groups, cut, axis="surprise, in nats"))


def _flagged_pairs(m: Measurement) -> Iterable[str]:
    """Flagged images beside their nearest training image."""
    if "sheet" in m.internal:
        image = f'<img alt="" src="data:image/png;base64,{escape(str(m.internal["sheet"]))}">'
        caption = f"Flagged images, each with its nearest training image to its right: {title(m)}"
        yield f"<figure class='wide'><figcaption>{escape(caption)}</figcaption>{image}</figure>"


def _floats(values: object) -> list[float]:
    return [float(value) for value in values] if isinstance(values, list) else []


def _figure(caption: str, plot: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{plot}</figure>"
