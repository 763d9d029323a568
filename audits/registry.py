"""The audits by name. An audit is one decorated function in one file of privacy/, fidelity/, utility/ or fairness/."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audits import checks
from audits.base import Audit, AuditError, AuditInput, Progress
from audits.report import AuditReport

FAMILIES = ("privacy", "fidelity", "utility", "fairness")

_AUDITS: dict[str, RegisteredAudit] = {}


@dataclass(frozen=True, kw_only=True)
class RegisteredAudit:
    """An audit with its family and the sentence that says what it asks."""

    name: str
    family: str
    question: str
    run: Audit


def audit(name: str, *, question: str) -> Callable[[Audit], Audit]:
    """Register the decorated function as the audit `name`. Raises ValueError when the name is taken."""

    def register(function: Audit) -> Audit:
        if name in _AUDITS:
            raise ValueError(f"two audits are called {name}")
        family = getattr(function, "__module__", "").split(".")[1]
        _AUDITS[name] = RegisteredAudit(name=name, family=family, question=question, run=function)
        return function

    return register


def list_audits() -> Mapping[str, RegisteredAudit]:
    """Every audit by name, family by family; the audits' modules are imported on the first call."""
    for family in FAMILIES:
        package = importlib.import_module(f"audits.{family}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"audits.{family}.{module.name}")
    return dict(sorted(_AUDITS.items(), key=lambda item: (FAMILIES.index(item[1].family), item[0])))


def run_audits(data: AuditInput, *, only: Sequence[str] | None = None, progress: Progress | None = None) -> AuditReport:
    """Check the arms, run the audits (all, or those named in `only`) and gather the report.

    Raises AuditError when the arms cannot be audited at all or a name is unknown.
    """
    chosen = _choose(only)
    arms, measurements = checks.prepare(data)
    for done, registered in enumerate(chosen):
        if progress:
            progress(done, len(chosen), registered.name)
        measurements = [*measurements, *registered.run(arms)]
    if progress:
        progress(len(chosen), len(chosen), "done")
    return AuditReport.of(data, measurements, audits=[registered.name for registered in chosen])


def _choose(only: Sequence[str] | None) -> list[RegisteredAudit]:
    known = list_audits()
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise AuditError(f"no such audit: {', '.join(unknown)}", where="only", remedy=f"choose of {', '.join(known)}")
    return [registered for name, registered in known.items() if not only or name in only]
