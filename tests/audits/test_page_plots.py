"""The page shows what each audit found, and the publishable form shows nothing that rests on single images."""

from __future__ import annotations

import pytest

from audits.base import AuditInput
from audits.page import render_html
from audits.registry import run_audits
from audits.report import Audience, AuditReport

PLOTS = (
    "Fidelity beside the real floor",
    "Real images and so many synthetic ones",
    "Who was in the training data (nearest image): ROC",
    "How much nearer train is than unseen",
    "How much like a copy, by six detectors",
    "Flagged images, each with its nearest training image to its right",
)
AUDITS = ("manifold", "membership_inference", "memorisation", "mix_curve", "nearest_copies")


@pytest.fixture(scope="module")
def report(copier: AuditInput) -> AuditReport:
    return run_audits(copier, only=AUDITS)


def test_the_internal_page_draws_each_finding(report: AuditReport) -> None:
    page = render_html(report, Audience.INTERNAL)
    assert [caption for caption in PLOTS if caption not in page] == []


def test_the_publishable_page_draws_only_what_holds_no_person(report: AuditReport) -> None:
    page = render_html(report, Audience.PUBLISHABLE)
    assert [caption for caption in PLOTS if caption in page] == list(PLOTS[:2])
