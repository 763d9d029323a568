"""Tasks: named functions in an app's `tasks.py`.

    @task("training_runs:train")
    def train(job: JobContext, *, run_id: str) -> None: ...

The part before the colon is the label of the app, whose tasks are imported only when one of them is named. A task may
be run again from its start after a crash, so it must pick up what it finds: it is written to be resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

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
    app = apps.app_configs.get(name.partition(":")[0])
    if app and app.module and module_has_submodule(app.module, "tasks"):
        import_module(f"{app.name}.tasks")
    if name not in _TASKS:
        raise NotFoundError("there is no such task", where=name, remedy="name it app:verb, as its @task does")
    return _TASKS[name]
