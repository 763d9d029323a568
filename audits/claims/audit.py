"""Every part of a claim put to its audit, and what the parts say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audits.base import AuditError
from audits.claims.bounds import MuBound
from audits.claims.canaries import Trainer
from audits.claims.record import Claim, Part
from audits.claims.release_canaries import known_releases
from audits.claims.releases import audit_release
from audits.claims.steps import N_CANARIES, StepAudit, audit_clipping, audit_steps
from generators.config import build_config
from generators.folder import versions
from generators.registry import get_generator
from generators.training import PHASE as TRAIN
from generators.training import PrivateSettings, train_network

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class ClaimAudit:
    """bounds: of each function that was run, by name. shares: the part of its claimed mu that each mechanism kept.

    unaudited: phases that no canary was put through; they count as if they had cost nothing.
    """

    claim: Claim
    bounds: Mapping[str, MuBound]
    parts: Mapping[str, tuple[Part, ...]]
    steps: StepAudit | None
    clipping: MuBound | None
    unaudited: tuple[str, ...]

    @property
    def epsilon(self) -> float:
        """What was spent at least, at 95 % over all parts."""
        return self._epsilon({name: bound.mu for name, bound in self.bounds.items()})

    @property
    def ceiling(self) -> float:
        """The most that `epsilon` could have been for so many observations."""
        return self._epsilon({name: bound.ceiling for name, bound in self.bounds.items()})

    @property
    def p_value(self) -> float:
        """Of "every part hides one person behind the noise that it names" (Bonferroni over the parts)."""
        return min(1.0, len(self.bounds) * min((bound.p_value for bound in self.bounds.values()), default=1.0))

    def _epsilon(self, mus: Mapping[str, float]) -> float:
        kept = {name: mu / self.bounds[name].claimed_mu for name, mu in mus.items()}
        return self.claim.epsilon_at({part: kept[name] * part.mu for name in mus for part in self.parts[name]})


def audit_claim(
    folder: Path, *, n_canaries: int = N_CANARIES, seed: int = 0, trainer: Trainer = train_network
) -> ClaimAudit:
    """Audit the installed code at what the folder's log says. Raises AuditError, GeneratorError.

    n_canaries: for the private loop. seed: of canaries and null distributions; noise and draws are the trainer's own.
    """
    claim = Claim.of(folder)
    _same_code(claim, folder)
    trained = [part for part in claim.parts if part.phase == TRAIN]
    releases = known_releases([part for part in claim.parts if part.phase != TRAIN], seed=seed)
    n_parts = len(releases) + bool(trained)
    if not n_parts:
        raise AuditError(f"no phase of its log is known: {', '.join(p.phase for p in claim.parts)}", where=str(folder))
    alpha = LEVEL / n_parts
    bounds = {known.name: audit_release(known.draw, known.mu, alpha=alpha, seed=seed) for known in releases}
    parts = {known.name: known.parts for known in releases}
    steps = clipping = None
    if trained:
        settings = settings_of(claim)
        steps = audit_steps(trained[0], settings, n_canaries=n_canaries, alpha=alpha, seed=seed, trainer=trainer)
        clipping = audit_clipping(trained[0], settings, alpha=LEVEL, seed=seed, trainer=trainer)
        bounds[TRAIN], parts[TRAIN] = steps.bound, tuple(trained)
    audited = [part for own in parts.values() for part in own]
    return ClaimAudit(
        claim=claim,
        bounds=bounds,
        parts=parts,
        steps=steps,
        clipping=clipping,
        unaudited=tuple(part.phase for part in claim.parts if part not in audited),
    )


def settings_of(claim: Claim) -> PrivateSettings:
    """The private loop's settings as the card has them: bound, views, precision, path."""
    card = claim.card
    settings = build_config(get_generator(card.name).config_class, card.config)
    if not isinstance(settings, PrivateSettings):
        raise AuditError(f"its log has private steps, {card.name} has none", where="steps.log")
    return settings


def _same_code(claim: Claim, folder: Path) -> None:
    """The audit runs the installed code: it says nothing about a folder that another version made."""
    here, made = versions()["veilmark"], claim.card.versions.get("veilmark", "unknown")
    if here != made:
        raise AuditError(f"was made by version {made}, this is {here}", where=str(folder), remedy="audit with that one")
