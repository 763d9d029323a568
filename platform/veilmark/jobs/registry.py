"""Tasks: named functions, found in each app's `tasks.py`.

    @task("training_runs:train")
    def train(job: JobContext, *, run_id: str) -> None: ...

A task may be run again from its start after a crash, so it must pick up what it finds: it is written to be resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import autodiscover_modules

from veilmark.core.errors import NotFoundError

Task = Callable[..., Any]

_TASKS: dict[str, Task] = {}


def task(name: str) -> Callable[[Task], Task]:
    """Register a function under `app:verb`. Names are stored in the database: they outlive a rename of the function."""

    def register(function: Task) -> Task:
        if _TASKS.setdefault(name, function) is not function:
            raise ValueError(f"two tasks are called {name}")
        return function

    return register


def task_named(name: str) -> Task:
    """Raises NotFoundError."""
    autodiscover_modules("tasks")
    if name not in _TASKS:
        raise NotFoundError("there is no such task", where=name, remedy=f"known are {', '.join(sorted(_TASKS))}")
    return _TASKS[name]
