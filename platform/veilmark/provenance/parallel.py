"""The same work on many items, in several processes where that pays. Results keep the order of the items.

Processes are spawned, never forked: threads, locks and connections of the caller stay where they are. What goes to
them (work, setup, items) must be picklable, and so must what comes back.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar, cast

from veilmark.provenance.errors import ProvenanceError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
_MIN_CHUNKS = 16  # a process costs a second of imports: fewer chunks are done sooner without
_opened: list[object] = []  # in a worker process: what its setup gave
_kept = ExitStack()


def no_progress(done: int, total: int) -> None:
    """The progress callback of callers who do not look."""


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    work: Callable[[Context, Item], Result],
    items: Sequence[Item],
    *,
    setup: Callable[[], AbstractContextManager[Context]],
    n_processes: int = 1,
    chunk: int = 64,
    progress: Progress = no_progress,
) -> Iterator[Result]:
    """`work(context, item)` for each item; `setup` opens the context once a process. `progress` counts items.

    What `work` raises is raised here, once. Raises ProvenanceError where a process died.
    """
    chunks = [items[i : i + chunk] for i in range(0, len(items), chunk)]
    if n_processes < 2 or len(chunks) < _MIN_CHUNKS:
        with setup() as context:
            for done, item in enumerate(items, 1):
                yield work(context, item)
                progress(done, len(items))
        return
    done = 0
    for results in _in_processes(work, chunks, setup, min(n_processes, len(chunks))):
        yield from results
        done += len(results)
        progress(done, len(items))


def _in_processes(
    work: Callable[[Context, Item], Result],
    chunks: Sequence[Sequence[Item]],
    setup: Callable[[], AbstractContextManager[Context]],
    n_processes: int,
) -> Iterator[list[Result]]:
    """A few chunks wait at a time, so that memory holds these and not all items."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_processes, mp_context=context, initializer=_start, initargs=(setup,))
    pending: deque[Future[list[Result]]] = deque()
    try:
        for chunk in chunks:
            pending.append(pool.submit(_work, work, chunk))
            if len(pending) > 2 * n_processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        remedy = "free memory, or use fewer processes"
        raise ProvenanceError("a worker process died", where=f"{n_processes} processes", remedy=remedy) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(setup: Callable[[], AbstractContextManager[object]]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _opened.append(_kept.enter_context(setup()))


def _end_with_parent() -> None:
    """A killed parent cannot tell its workers to stop: without this they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(work: Callable[[Context, Item], Result], chunk: Sequence[Item]) -> list[Result]:
    context = cast("Context", _opened[0])
    return [work(context, item) for item in chunk]
