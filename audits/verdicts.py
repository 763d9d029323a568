"""Verdicts: what the privacy measurements say together, per release mode and in the law's three words.

Every registered test has its chance of accusing an innocent set, and six of them together have nearly six times it. So
a leak is called detected only where it stands after Holm's adjustment over all registered tests of the report, or where
it needs no test: pixels that are equal bit for bit. A risk that no audit could see has no power, never a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audits.base import Law, Measurement, ReleaseMode, Status
from audits.stats import holm

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One risk under one release mode.

    adjusted_p: the smallest of its measurements' p-values, adjusted; None where none of them is a test.
    rests_on: names of the measurements that could tell. unable: those that could not.
    """

    release_mode: ReleaseMode
    law: Law
    status: Status
    adjusted_p: float | None
    rests_on: Sequence[str]
    unable: Sequence[str]


def decide(measurements: Sequence[Measurement]) -> list[Verdict]:
    """One verdict for each risk under each release mode that an audit could look at; `samples` always.

    A mode that is absent was not audited: nothing is known of it.
    """
    privacy = [m for m in measurements if m.law is not None]
    tests = [m for m in privacy if m.p_value is not None and m.status in {Status.DETECTED, Status.NOT_DETECTED}]
    adjusted = dict(zip([m.name for m in tests], holm([float(m.p_value or 0) for m in tests]), strict=True))
    looked_at = {m.release_mode for m in privacy if m.status is not Status.NOT_ASSESSABLE} | {ReleaseMode.SAMPLES}
    modes = [mode for mode in ReleaseMode if mode in looked_at]
    return [
        _verdict(mode, law, [m for m in privacy if m.release_mode is mode and m.law is law], adjusted)
        for mode in modes
        for law in Law
    ]


def _verdict(mode: ReleaseMode, law: Law, found: Sequence[Measurement], adjusted: dict[str, float]) -> Verdict:
    able = [m for m in found if m.status in {Status.DETECTED, Status.NOT_DETECTED}]
    p_values = [adjusted[m.name] for m in able if m.name in adjusted]
    return Verdict(
        release_mode=mode,
        law=law,
        status=_status(able, adjusted),
        adjusted_p=min(p_values) if p_values else None,
        rests_on=tuple(m.name for m in able),
        unable=tuple(m.name for m in found if m not in able),
    )


def _status(able: Sequence[Measurement], adjusted: dict[str, float]) -> Status:
    if not able:
        return Status.NO_POWER
    guilty = [m for m in able if m.status is Status.DETECTED]
    # A finding without a p-value is one that chance cannot make.
    if any(adjusted.get(m.name, 0.0) <= LEVEL for m in guilty):
        return Status.DETECTED
    return Status.NOT_DETECTED
