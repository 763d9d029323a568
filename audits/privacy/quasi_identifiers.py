"""k: how many real people share each combination of quasi-identifiers."""

from __future__ import annotations

from functools import partial

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few
from audits.metadata.tables import People
from audits.registry import audit

QUASI_IDENTIFIERS = ("sex", "age_group", "site")
# A figure that is published must not be a count of few people: k is rounded down to one of these.
BANDS = (0, 5, 11, 20, 50, 100)
WANTED_K = 11

_report = partial(
    Measurement,
    name="quasi_identifiers.smallest_k",
    # No law: small cells are a trait of the cohort and accuse no synthetic set.
    unit="people in the smallest cell, rounded down to 0, 5, 11, 20, 50 or 100",
    method=(
        "people of train by every combination of sex, age group and site that occurs, an unknown value being one of "
        f"its own; counted, not estimated; found where a cell has fewer than {WANTED_K} people"
    ),
    source="EMA policy 0070 practice (risk .09, k = 11); Sweeney 2002, k-anonymity",
)


@audit("quasi_identifiers", question="How many real people share each combination of quasi-identifiers?")
def quasi_identifiers(data: AuditInput) -> list[Measurement]:
    """The smallest k of the training arm, banded; exact cells stay in the internal form."""
    columns = [name for name in QUASI_IDENTIFIERS if getattr(data.train, name) is not None]
    if not columns:
        return [_report(status=Status.NOT_ASSESSABLE, reason="train has no quasi-identifier")]
    reason = too_few(train=data.train)
    if reason:
        return [_report(status=Status.NO_POWER, reason=reason)]
    sizes = People.of(data.train, columns).cell_sizes()
    smallest = min(sizes.values())
    value = float(max(band for band in BANDS if band <= smallest))
    small = smallest < WANTED_K
    return [
        _report(
            status=Status.DETECTED if small else Status.NOT_DETECTED,
            reason=f"a cell has fewer than {WANTED_K} people" if small else "",
            value=value,
            ci_low=value,
            ci_high=value,
            n={"train": data.train.n_subjects},
            details={"columns": ", ".join(columns)},
            internal={
                "smallest_k": smallest,
                "cells": {", ".join(cell): size for cell, size in sorted(sizes.items())},
            },
        )
    ]
