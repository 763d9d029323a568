"""Membership from the weights: does a generator's own folder tell the people whom it was trained on from others?"""

from __future__ import annotations

from audits.base import AuditInput, Measurement
from audits.registry import audit


@audit("weights_membership", question="Can one tell from the generator's weights who was in the training data?")
def weights_membership(data: AuditInput) -> list[Measurement]:
    """AUC, by subject, of two attacks that hold the weights of `data.generator`; `loss` is the registered one."""
    from audits.shadows.measuring import Shadows, membership_from_weights  # noqa: PLC0415 - listing needs no torch

    return membership_from_weights(data, Shadows(public=data.public))
