"""Peak memory grows by what is kept of an image, not by a row of all pairs and not by floats of whole arms."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditInput
from audits.copies import matching
from audits.copies.detector import CopyDetector, learn_detector
from audits.copies.ranking import Lineup, Ranked, rank
from audits.embeddings import raw_pixels
from audits.neighbours import registered_correlation
from audits.pixels import GreyView, to_grey
from audits.stats import rows_by_subject
from generators.data import ImageSet

FEW, MANY = 100, 400
KIB = 1024


def _repeated(images: ImageSet, n: int) -> GreyView:
    """So many images, which cost nothing by themselves: the growth is that of the work."""
    return GreyView(sets=(ImageSet(images=images.images[np.arange(n) % len(images)]),), white=255)


def _kib_per_image(work: Callable[[GreyView], object], images: ImageSet) -> float:
    peaks = []
    for view in (_repeated(images, FEW), _repeated(images, MANY)):
        tracemalloc.start()
        work(view)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW) / KIB


def _lineup(data: AuditInput) -> Lineup:
    groups = [(arm, np.arange(len(arm))) for arm in (data.train, data.holdout)]
    return Lineup.of(groups, white=255)


def test_ranking_keeps_a_kilobyte_or_two_of_an_image(leak_free: AuditInput) -> None:
    lineup = _lineup(leak_free)
    grown = _kib_per_image(lambda view: rank(view, lineup, block_floats=1 << 12), leak_free.synthetic)
    assert grown < 6  # sorting copies what is kept; 90 windows of an image in floats would be 250


def test_matching_keeps_a_few_kilobytes_of_an_image(leak_free: AuditInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "QUERIES_AT_ONCE", 64)
    detector = _learned(leak_free)
    small = leak_free.train.select(np.arange(40))
    gallery = detector.matcher.gallery(GreyView(sets=(small,), white=255), small.subjects())
    assert _kib_per_image(lambda view: detector.match(view, gallery), leak_free.synthetic) < 6


def test_features_are_made_block_by_block(leak_free: AuditInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audits.pixels.BLOCK_PIXELS", 1 << 14)
    assert _kib_per_image(raw_pixels().of, leak_free.synthetic) < 3  # features themselves: 1 KiB, twice when joined


def test_a_matrix_of_all_pairs_would_be_seen(leak_free: AuditInput) -> None:
    """The bound above can fail: held whole, the same comparison costs a row of the gallery an image."""
    gallery = _repeated(leak_free.train, 4000)
    grown = _kib_per_image(lambda view: registered_correlation(view[:MANY], gallery[:4000]), leak_free.synthetic)
    assert grown > 12


def test_ranking_equals_the_matrix_whatever_the_block(leak_free: AuditInput) -> None:
    rng = np.random.default_rng(0)
    named = replace(leak_free.train, subject=rng.integers(0, 80, len(leak_free.train)).astype(str))
    lineup = Lineup.of([(named, np.arange(240)), (leak_free.holdout, np.arange(120))], white=255)
    queries = to_grey(leak_free.synthetic.select(np.arange(30)), white=255)
    found = [rank(queries, lineup, block_floats=size) for size in (1 << 6, 1 << 22)]
    whole = registered_correlation(queries, lineup.view[:])
    people = np.stack([whole[:, lineup.person == i].max(axis=1) for i in range(lineup.person.max() + 1)], axis=1)
    for ranked in found:
        for group in (0, 1):
            mine = np.where(lineup.group == group, whole, -2)
            np.testing.assert_allclose(ranked.best[:, group], mine.max(axis=1), atol=1e-5)
        np.testing.assert_allclose(ranked.correlation[:, 0], people.max(axis=1), atol=1e-5)
        _is_falling_and_true(ranked, people)


def _is_falling_and_true(ranked: Ranked, people: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    assert (np.diff(ranked.correlation, axis=1) <= 0).all()
    own = np.take_along_axis(people, ranked.person.astype(np.intp), axis=1)
    assert (ranked.correlation <= own + 1e-5).all()


def test_a_lineup_keeps_people_together_and_knows_where_each_image_came_from(leak_free: AuditInput) -> None:
    shuffled = replace(leak_free.train, subject=np.array([f"p{i % 50}" for i in range(240)]))
    lineup = Lineup.of([(shuffled, np.arange(0, 240, 2)), (leak_free.holdout, np.arange(120))], white=255)
    assert (np.diff(lineup.person) >= 0).all()
    assert lineup.person.max() + 1 == 25 + 120
    np.testing.assert_array_equal(lineup.view[:120], to_grey(shuffled, white=255)[lineup.row[:120]])
    assert len(rows_by_subject(lineup.person.astype(str))) == 145


def _learned(data: AuditInput) -> CopyDetector:
    assert data.control is not None
    return learn_detector(to_grey(data.control, white=255), data.control.subjects(), seed=0, n_steps=1)
