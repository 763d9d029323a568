"""Small plots as inline SVG: no script, no font, no file beside the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 42
ROC_FLOOR = 1e-3


def interval_bar(value: float, low: float, high: float, baseline: float | None, *, span: tuple[float, float]) -> str:
    """A value with its interval on a line from `span[0]` to `span[1]`, the baseline as a tick. Says so in its label."""
    start, stop = span

    def at(x: float) -> float:
        return 6 + 148 * (min(max(x, start), stop) - start) / ((stop - start) or 1)

    tick = "" if baseline is None else f'<path class="base" d="M{at(baseline):.1f} 2V18"/>'
    label = f"value {value:.3g}, interval {low:.3g} to {high:.3g}" + (
        "" if baseline is None else f", baseline {baseline:.3g}"
    )
    return (
        f'<svg class="bar" viewBox="0 0 160 20" role="img" aria-label="{label}"><path class="axis" d="M6 10H154"/>'
        f'<path class="ci" d="M{at(low):.1f} 10H{at(high):.1f}"/>{tick}'
        f'<circle cx="{at(value):.1f}" cy="10" r="4"/></svg>'
    )


def roc(members: Sequence[float], others: Sequence[float]) -> str:
    """ROC of an attack on log-log axes, where the few surest guesses can be seen; the diagonal is guessing."""
    cuts = np.unique(np.asarray(others))[::-1]
    false = np.array([(np.asarray(others) >= cut).mean() for cut in cuts])
    true = np.array([(np.asarray(members) >= cut).mean() for cut in cuts])
    floor = max(ROC_FLOOR, 1 / (2 * len(others)))
    x, y = (np.log10(np.maximum(rate, floor)) / -np.log10(floor) + 1 for rate in (false, true))
    ticks = [(1 + np.log10(rate) / -np.log10(floor), f"{rate:g}") for rate in (0.01, 0.1, 1.0)]
    body = f'<path class="guess" d="{_path(np.array([0, 1]), np.array([0, 1]))}"/><path class="a" d="{_path(x, y)}"/>'
    return _frame("ROC, both axes logarithmic", "false alarm rate", "members found", ticks, ticks, body)


def histogram(groups: Sequence[tuple[str, Sequence[float]]], cut: float, *, axis: str) -> str:
    """Two overlaid histograms as shares, with the threshold as a line."""
    values = np.concatenate([np.asarray(group) for _, group in groups])
    low, high = float(values.min()), max(float(values.max()), cut * 1.05)
    edges = np.linspace(low, high, 41)
    shares = [np.histogram(group, edges)[0] / len(group) for _, group in groups]
    top = max(float(share.max()) for share in shares)
    at = (edges - low) / (high - low)
    body = "".join(
        f'<path class="{css} filled" d="{_path(np.repeat(at, 2)[1:-1], np.repeat(share / top, 2))}V{HEIGHT - BOTTOM}'
        f'H{LEFT}Z"/>'
        for css, share in zip("ab", shares, strict=False)
    )
    x_cut = LEFT + (WIDTH - LEFT - RIGHT) * (cut - low) / (high - low)
    body += f'<path class="base" d="M{x_cut:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
    ticks = [((t - low) / (high - low), f"{t + 0.0:.1f}") for t in np.round(np.linspace(low, high, 5), 1)]
    legend = _legend([name for name, _ in groups] + ["alarm threshold"])
    return _frame(f"Histogram of {axis}", axis, "share", ticks, [(1.0, f"{top:.0%}")], body) + legend


def paired_bars(rows: Sequence[tuple[str, float, float]]) -> str:
    """Synthetic beside the real-against-real floor, one pair a row, from 0 to the largest value."""
    top = max(1.0, *(max(value, floor) for _, value, floor in rows))
    step, left = 44, 96
    height = step * len(rows) + 10
    width = WIDTH - left - 48
    parts = []
    for i, (name, value, floor) in enumerate(rows):
        y = 8 + step * i
        parts.append(f'<text x="{left - 8}" y="{y + 20}" text-anchor="end">{escape(name)}</text>')
        for css, figure, offset in (("a", value, 0), ("b", floor, 16)):
            long = width * max(figure, 0) / top
            parts.append(f'<rect class="{css}" x="{left}" y="{y + offset}" width="{long:.1f}" height="13" rx="2"/>')
            parts.append(f'<text x="{left + long + 6:.1f}" y="{y + offset + 11}">{figure:.2f}</text>')
    svg = f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Fidelity beside the real floor">'
    return svg + "".join(parts) + "</svg>" + _legend(["synthetic", "real training images"])


def differences(rows: Sequence[tuple[str, float, float, float]], margin: float, *, axis: str) -> str:
    """A difference with its interval for each row, 0 as a line, the margin that harm may not pass as a dashed one."""
    reach = 1.15 * max(margin, *(abs(x) for _, *figures in rows for x in figures))
    left, step = 76, 30
    height = step * len(rows) + 46

    def at(x: float) -> float:
        return left + (WIDTH - left - RIGHT) * (x + reach) / (2 * reach)

    floor = step * len(rows) + 8
    parts = [f'<path class="axis" d="M{at(0):.1f} 4V{floor}"/><path class="base" d="M{at(-margin):.1f} 4V{floor}"/>']
    for i, (name, value, low, high) in enumerate(rows):
        y = 20 + step * i
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<path class="ci" d="M{at(low):.1f} {y}H{at(high):.1f}"/>')
        parts.append(f'<circle cx="{at(value):.1f}" cy="{y}" r="4"/>')
    for x, text in ((-margin, f"-{margin:g}"), (0.0, "0"), (reach / 1.15, f"+{reach / 1.15:.2g}")):
        parts.append(f'<text x="{at(x):.1f}" y="{floor + 14}" text-anchor="middle">{text}</text>')
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 6}" text-anchor="middle">{escape(axis)}</text>')
    svg = f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(axis)}">'
    return svg + "".join(parts) + "</svg>"


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """An SVG path through points in the unit square, y upwards."""
    across = LEFT + (WIDTH - LEFT - RIGHT) * x
    down = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(across, down, strict=True))


def _frame(
    label: str,
    x_name: str,
    y_name: str,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    body: str,
) -> str:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{right}"/>', body]
    for at, text in x_ticks:
        x = LEFT + (right - LEFT) * at
        parts.append(f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{text}</text>')
    for at, text in y_ticks:
        y = floor - (floor - TOP) * at
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    middle = (floor + TOP) / 2
    parts.append(f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
    frame = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    return frame + "".join(parts) + "</svg>"


def _legend(names: Sequence[str]) -> str:
    keys = "".join(f'<span class="key {css}">{escape(name)}</span>' for css, name in zip("abc", names, strict=False))
    return f'<p class="legend">{keys}</p>'
