"""The report as one page: first what a compliance officer asks, then what a statistician asks.

Self-contained (inline style and SVG, no script), so that it can be mailed, printed and kept. In the publishable form
it shows verdicts and intervals only: no distance, no figure of one person, no index, no real image (privacy.md 11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from audits import plots
from audits.base import Measurement, ReleaseMode, Status
from audits.page_plots import all_plots
from audits.report import Audience, AuditReport
from audits.verdict_wording import law_words, mode_words, verdict_sentence
from audits.verdicts import Verdict
from audits.wording import figure, in_percent, sentence, title

FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Privacy": (
        "Does the set tell who was in the cohort?",
        (
            "nearest_copies.",
            "memorisation.",
            "re_identification.",
            "rare_cell_extraction.",
            "membership_inference.",
            "weights_membership.",
            "dp_claim.",
            "attribute_inference.",
            "singling_out.",
            "linkability.",
        ),
    ),
    "Fidelity": (
        "Does it look like the cohort?",
        (
            "manifold.",
            "frechet_distance.",
            "kernel_distance.",
            "vendi_score.",
            "diversity.",
            "spectrum_distance.",
            "texture_distance.",
            "detectability.",
            "mark_detection.",
        ),
    ),
    "Utility": ("Can one learn from it what one learns from the cohort?", ("train_on_synthetic.", "mix_curve.")),
    "Fairness": ("Does it serve every group alike?", ("group_gaps.", "label_shares.", "cell_fidelity.")),
    "The data itself": ("Are the arms fit for an audit?", ("arms.", "quasi_identifiers.")),
}
LABELS = {
    Status.DETECTED: "Detected",
    Status.NOT_DETECTED: "Not detected",
    Status.NO_POWER: "No power",
    Status.NOT_ASSESSABLE: "Not assessable",
}
FINDING = {"Fidelity": "Shortfall", "Utility": "Shortfall", "Fairness": "Gap", "The data itself": "Found"}
CLEAR = {
    "Fidelity": "At the floor",
    "Utility": "No loss detected",
    "Fairness": "No gap detected",
    "The data itself": "None",
}
FORMS = {
    Audience.INTERNAL: "Internal form: stays on site",
    Audience.PUBLISHABLE: "Publishable form: verdicts and intervals only",
}


def render_html(report: AuditReport, audience: Audience) -> str:
    """The whole page as a string, for one audience."""
    report = report.seen_by(audience)
    groups = {name: _of(report, prefixes) for name, (_, prefixes) in FAMILIES.items()}
    style = (files("audits") / "page.css").read_text(encoding="utf-8")
    body = [
        _head(report, audience),
        _verdicts(report),
        *(_family(name, FAMILIES[name][0], found) for name, found in groups.items() if found),
        '<section class="detail"><h2>For the statistician</h2>',
        *all_plots(report.measurements),
        _cells(report),
        *(_method(m) for found in groups.values() for m in found),
        "</section>",
        _foot(report),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit report</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _of(report: AuditReport, prefixes: tuple[str, ...]) -> list[Measurement]:
    return [m for prefix in prefixes for m in report.measurements if m.name.startswith(prefix)]


def _head(report: AuditReport, audience: Audience) -> str:
    real = {name: n for name, n in report.n.items() if name != "synthetic"}
    arms = ", ".join(f"{n['images']} {name} images of {n['subjects']} people" for name, n in real.items())
    return (
        f'<header><p class="form {audience.value}">{FORMS[audience]}</p><h1>Audit of a synthetic image set</h1>'
        f"<p class='lead'>{escape(_lead(report.verdicts))}</p>"
        f"<p class='meta'>{report.n['synthetic']['images']} synthetic images, measured against {escape(arms)}. "
        f"{escape(report.created_at[:16].replace('T', ' '))} UTC.</p>"
        "<p class='meta'>In each row: a dot for the value, a line for its 95 % interval, a dashed tick for "
        "the same figure where synthetic images play no part.</p></header>"
    )


def _lead(verdicts: Sequence[Verdict]) -> str:
    count = {status: sum(v.status is status for v in verdicts) for status in Status}
    parts = [f"{count[Status.DETECTED]} of {len(verdicts)} risks were detected"]
    if count[Status.NO_POWER]:
        parts.append(f"{count[Status.NO_POWER]} could not be seen")
    return ", ".join(parts) + ". Audits measure; whether the set may be released is decided by rules and by people."


def _verdicts(report: AuditReport) -> str:
    """What the privacy audits say together: a row for each risk of the law under each release mode."""
    found = {m.name: m for m in report.measurements}
    rows = "".join(
        f"<article class='{v.status.value} risk wide-say'><p class='chip'>{LABELS[v.status]}</p><div class='say'>"
        f"<h3>{law_words(v.law)}, from {mode_words(v.release_mode)}</h3>"
        f"<p>{escape(verdict_sentence(v, found))}</p></div></article>"
        for v in report.verdicts
    )
    audited = {v.release_mode for v in report.verdicts}
    silent = " or ".join(mode_words(mode) for mode in ReleaseMode if mode not in audited)
    note = f"<p class='meta'>Nothing is known of a release of {silent}: no audit looked at it.</p>" if silent else ""
    return (
        "<section><h2>Verdicts</h2><p class='question'>What can a receiver find out about one person?</p>"
        f"<div class='rows'>{rows}</div>{note}</section>"
    )


def _family(name: str, question: str, found: Sequence[Measurement]) -> str:
    rows = "".join(_row(name, m) for m in found)
    return f"<section><h2>{name}</h2><p class='question'>{question}</p><div class='rows'>{rows}</div></section>"


def _row(family: str, m: Measurement) -> str:
    percent = in_percent(m)
    numbers = bar = ""
    if m.value is not None and m.ci_low is not None and m.ci_high is not None:
        interval = f"{figure(m.ci_low, percent=percent)} to {figure(m.ci_high, percent=percent)}"
        numbers = f"<b>{figure(m.value, percent=percent)}</b> <span>{interval}</span>"
        bar = plots.interval_bar(m.value, m.ci_low, m.ci_high, m.baseline, span=_span(m))
    return (
        f"<article class='{m.status.value} {'risk' if family == 'Privacy' else 'worth'}'>"
        f"<p class='chip'>{_chip(family, m.status)}</p>"
        f"<div class='say'><h3>{escape(title(m))}</h3><p>{escape(sentence(m))}</p></div>"
        f"<div class='numbers'>{numbers}{bar}</div></article>"
    )


def _chip(family: str, status: Status) -> str:
    if status is Status.DETECTED:
        return FINDING.get(family, LABELS[status])
    if status is Status.NOT_DETECTED:
        return CLEAR.get(family, LABELS[status])
    return LABELS[status]


def _span(m: Measurement) -> tuple[float, float]:
    """The axis of a row's bar: the whole scale for shares and AUC, else what holds interval and baseline."""
    reach = 1.25 * max(abs(x) for x in (m.value, m.ci_low, m.ci_high, m.baseline) if x is not None)
    if in_percent(m) or m.name.endswith(".auc") or m.name.startswith(("membership", "weights_membership")):
        return 0.0, 1.0
    return (-reach, reach) if (m.ci_low or 0) < 0 else (0.0, reach)


def _cells(report: AuditReport) -> str:
    """Groups with their people and AUC, and those too small to be shown."""
    rows = [row for m in _of(report, ("group_gaps.",)) for row in _group_rows(m)]
    if not rows:
        return ""
    names = ("Grouping", "Group", "People", "AUC, synthetic training", "AUC, real training")
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<figure class='wide'><figcaption>Groups</figcaption><table><tr>{head}</tr>{cells}</table></figure>"


def _group_rows(m: Measurement) -> Iterable[tuple[str, ...]]:
    grouping = m.name.rpartition(".")[2].replace("_", " ")
    ours, real, suppressed = (m.details.get(key) for key in ("auc", "auc_trained_on_real", "suppressed"))
    if isinstance(ours, Mapping) and isinstance(real, Mapping):
        for name, value in ours.items():
            yield grouping, name, str(m.n[name]), figure(value), figure(real[name])
    if isinstance(suppressed, list):
        for name in suppressed:
            yield grouping, name, "too few", figure(None), figure(None)


def _method(m: Measurement) -> str:
    percent = in_percent(m)
    facts = {
        "Measured": m.name,
        "Unit": m.unit,
        "Method": m.method,
        "Source": m.source,
        "Release mode": m.release_mode,
        "n": ", ".join(f"{name} {count}" for name, count in m.n.items()),
        "Baseline": figure(m.baseline, percent=percent) if m.baseline is not None else "",
        "Positive control": _control(m.positive_control, m),
        "Negative control": _control(m.negative_control, m),
        "Details": _flat(m.details),
        "Note": m.reason,
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items() if text)
    return f"<details><summary>{escape(title(m))}</summary><dl>{listed}</dl></details>"


def _flat(details: Mapping[str, object]) -> str:
    """The figures among the details, one level deep, as text."""
    parts = []
    for name, value in details.items():
        if isinstance(value, Mapping):
            inner = _flat(value)
            parts += [f"{name} ({inner})"] if inner else []
        elif isinstance(value, float):
            parts.append(f"{name} {value:.3g}")
        elif isinstance(value, str | int):
            parts.append(f"{name} {value}")
    return ", ".join(parts).replace("_", " ")


def _control(value: float | None, m: Measurement) -> str:
    if value is None:
        return ""
    return figure(value, percent=in_percent(m))


def _foot(report: AuditReport) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    digests = "".join(f"<li>{name}: <code>{digest}</code></li>" for name, digest in report.inputs.items())
    runs = "" if report.n_runs is None else f" Training runs on this cohort so far: {report.n_runs}."
    return (
        f"<footer><p>{escape(report.claim)}{runs}</p><ul>{digests}</ul>"
        f"<p>Schema {report.schema}, seed {report.seed}; {escape(versions)}.</p></footer>"
    )
