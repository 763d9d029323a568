"""Extraction from rare cells: asked for its rarest people alone, does the generator give away their images?

Whoever may draw on demand chooses what to draw. A label or group of few people is where a generator memorises first,
and among images drawn in the cohort's own shares hardly any would show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from audits.base import AuditInput, Law, Measurement, ReleaseMode, Status
from audits.checks import identical_to, same_source, too_few, unseen_arms, white_level
from audits.copies.comparison import Compared, compare
from audits.copies.detector import learn_detector, lesson_of
from audits.copies.known import Known
from audits.copies.rare_cells import Cell, rarest_cell, rarest_label
from audits.flags import LEVEL, MIN_RECALL, Copies, only_identity
from audits.pixels import GreyView
from audits.registry import audit
from audits.stats import excess_rate
from generators.base import GeneratorCard, GeneratorError
from generators.data import ImageSet
from generators.runner import load_card, sample_generator

ALARM_RATE = 0.01
N_CALIBRATING = round(1 / ALARM_RATE) - 1
N_DRAWN = 300  # images of each cell
N_DEALS = 4999
LEAST_DEALS = 150  # ways to deal who was trained on; with fewer no finding could reach the level
N_PLANTED = 20
TOO_FEW = "too few people share the cell to tell a leak from chance"

Mask = NDArray[np.bool_]
KINDS: dict[str, Callable[[ImageSet, GeneratorCard], Cell | None]] = {"label": rarest_label, "cell": rarest_cell}
_WORDS = {"label": "label", "cell": "label, sex and age group"}


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Draws of a cell, which of them equal a training image bit for bit, and on whom the alarm is set."""

    cell: Cell
    images: ImageSet
    identical: Mask
    unseen: ImageSet
    learning: ImageSet

    def calibrating(self) -> tuple[ImageSet, str]:
        """Unseen people of the same label where they are enough to set the alarm, else those of all labels."""
        same = self.unseen.select(Cell(label=self.cell.label).rows(self.unseen))
        if same.n_subjects >= N_CALIBRATING:
            return same, "unseen people of the same label"
        return self.unseen, "unseen people of all labels, for want of enough of this one"


@audit("rare_cell_extraction", question="Does the generator give away people of rare groups when asked for them?")
def rare_cell_extraction(data: AuditInput) -> list[Measurement]:
    """The share of copies among draws of the rarest label, and of the rarest label by sex by age group."""
    if data.generator is None:
        return [_report(kind)(status=Status.NOT_ASSESSABLE, reason="no generator was given") for kind in KINDS]
    return [_asked(data, data.generator, kind) for kind in KINDS]


def _report(kind: str) -> partial[Measurement]:
    return partial(
        Measurement,
        name=f"rare_cell_extraction.{kind}",
        law=Law.SINGLING_OUT,
        release_mode=ReleaseMode.QUERY,
        unit="share of draws flagged, beyond real unseen people",
        method=(
            f"{N_DRAWN} draws of the rarest {_WORDS[kind]}; six copy detectors against its training images; alarm "
            f"rate {ALARM_RATE:.0%} set for this cell on unseen people; accused at level {LEVEL:.0%} where more are "
            "flagged than the alarm rate explains, and than dealing people anew explains"
        ),
        source="after Carlini et al. 2021, arXiv:2012.07805; Carlini et al. 2023, arXiv:2301.13188",
    )


def _asked(data: AuditInput, folder: Path, kind: str) -> Measurement:
    report = _report(kind)
    try:
        card = load_card(folder)
        cell = KINDS[kind](data.train, card)
        if cell is None:
            reason = f"no {_WORDS[kind]} is known both of the training people and to the generator"
            return report(status=Status.NOT_ASSESSABLE, reason=reason)
        draws = sample_generator(folder, [cell.ordered(N_DRAWN)], seed=data.seed)
    except GeneratorError as error:
        return report(status=Status.NOT_ASSESSABLE, reason=f"the generator could not be asked ({error.what})")
    if (draws.images.shape[1:], draws.used_bits) != (data.train.images.shape[1:], data.train.used_bits):
        return report(status=Status.NOT_ASSESSABLE, reason="the generator draws images of another size or depth")
    unseen, learning = unseen_arms(data)
    identical = identical_to(data.train, draws)
    drawn = _Drawn(cell=cell, images=draws, identical=identical, unseen=unseen, learning=learning)
    return _tested(data, drawn, report)


def _tested(data: AuditInput, drawn: _Drawn, report: partial[Measurement]) -> Measurement:
    alone = partial(only_identity, report, drawn.identical, train=data.train, asked=drawn.images)
    reason = too_few(train=data.train, holdout=drawn.unseen, control=drawn.learning)
    if not reason and drawn.unseen.n_subjects < N_CALIBRATING:
        reason = f"{drawn.unseen.n_subjects} people set the alarm, {N_CALIBRATING} are needed"
    if reason:
        return alone(status=Status.NO_POWER, reason=reason)
    if mismatch := same_source(data):
        return alone(status=Status.NOT_ASSESSABLE, reason=mismatch)
    white = white_level(data)
    people, whom = drawn.calibrating()
    known = Known.of(data.train.select(drawn.cell.rows(data.train)), people, white=white)
    detector = learn_detector(*lesson_of(drawn.learning, white=white, seed=data.seed), seed=data.seed)
    compared = compare(detector.asking_all(), known, GreyView(sets=(drawn.images,), white=white), alarm_rate=ALARM_RATE)
    return _measure(report, drawn, compared, whom, seed=data.seed)


def _measure(report: partial[Measurement], drawn: _Drawn, compared: Compared, whom: str, *, seed: int) -> Measurement:
    known, identical, n = compared.known, drawn.identical, len(drawn.images)
    flagged = (compared.ours > compared.cut) | identical
    n_flagged, n_innocent = int(flagged.sum()), int((compared.real > compared.cut).sum())
    more_than_alarms = float(bdtrc(n_flagged - 1, n, ALARM_RATE)) if n_flagged else 1.0
    copies = Copies(
        n_flagged=n_flagged,
        n=n,
        n_identical=int(identical.sum()),
        p_value=max(compared.leak(n_deals=N_DEALS, seed=seed), more_than_alarms),
        recalls=compared.recalls(N_PLANTED, seed=seed),
        images="draws",
        blind=TOO_FEW if known.n_deals < LEAST_DEALS else "",
    )
    value, low, high = excess_rate(n_flagged, n, n_innocent, len(compared.real))
    status, reason = copies.verdict()
    return report(
        status=status,
        reason=f"{reason}; the alarm was set on {whom}",
        p_value=0.0 if identical.any() else copies.p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, max(0.0, high) / max(copies.recall, MIN_RECALL)),  # some copies are missed
        n={
            "draws": n,
            "train_in_cell": known.n_members,
            "holdout": known.n_unseen,
            "control": drawn.learning.n_subjects,
        },
        baseline=n_innocent / len(compared.real),
        positive_control=copies.recall,
        negative_control=float((compared.mirrored > compared.cut).mean()),
        details=copies.details(ALARM_RATE) | {"calibrated_on": whom},
        # Which cell is the rarest is private too. The same seed draws the flagged images again.
        internal={"cell": drawn.cell.words(), "threshold": compared.cut, **compared.shown(flagged, identical)},
    )
