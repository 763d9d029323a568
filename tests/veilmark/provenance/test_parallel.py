"""Work in several processes: the order of the items, one error as it was raised, and nobody left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from veilmark.provenance.errors import FileError, ProvenanceError
from veilmark.provenance.parallel import each, usable_cores


@contextmanager
def opened(base: int) -> Iterator[int]:
    yield base


def add(base: int, item: int) -> tuple[int, int]:
    return base + item, os.getpid()


def refuse_seven(base: int, item: int) -> int:
    if item == 7:
        raise FileError("cannot be read", where="images/seven.png", remedy="look at it")
    return base + item


def die_at_seven(base: int, item: int) -> int:
    if item == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return base + item


@pytest.mark.parametrize("n_processes", [1, 2])
def test_results_keep_the_order_and_progress_counts_items(n_processes: int) -> None:
    told: list[tuple[int, int]] = []
    found = list(
        each(
            add,
            range(50),
            setup=partial(opened, 100),
            n_processes=n_processes,
            chunk=3,
            progress=lambda *done: told.append(done),
        )
    )
    assert [value for value, _ in found] == list(range(100, 150))
    assert ({process for _, process in found} == {os.getpid()}) is (n_processes == 1)
    assert told[-1] == (50, 50)
    assert told == sorted(told)


def test_what_a_worker_refuses_is_refused_here_in_one_line() -> None:
    with pytest.raises(FileError) as refused:
        list(each(refuse_seven, range(40), setup=partial(opened, 0), n_processes=2, chunk=1))
    assert str(refused.value) == "images/seven.png: cannot be read; look at it"
    assert (refused.value.where, refused.value.remedy) == ("images/seven.png", "look at it")


def test_a_worker_that_dies_is_one_error() -> None:
    with pytest.raises(ProvenanceError, match="a worker process died"):
        list(each(die_at_seven, range(40), setup=partial(opened, 0), n_processes=2, chunk=1))


def test_few_items_start_no_process() -> None:
    found = list(each(add, range(10), setup=partial(opened, 0), n_processes=8, chunk=1))
    assert {process for _, process in found} == {os.getpid()}


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
