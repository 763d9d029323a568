"""The table from a rule kind's name to its class, filled by the decorated files of `rules/`.

A new rule kind is one file: a frozen keyword-only dataclass under `@rule_kind("name")`. Nothing else changes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import TypeVar

from policies.base import Check, PolicyError

_KINDS: dict[str, type[Check]] = {}

CheckType = TypeVar("CheckType", bound=type[Check])


def rule_kind(name: str) -> Callable[[CheckType], CheckType]:
    """Register the decorated class as the rule kind `name`. Raises PolicyError where the name is taken."""

    def register(kind: CheckType) -> CheckType:
        if name in _KINDS:
            raise PolicyError("is registered twice", where=f"rule kind {name!r}", remedy="rename one of them")
        _KINDS[name] = kind
        return kind

    return register


@cache
def rule_kinds() -> MappingProxyType[str, type[Check]]:
    """Every rule kind by name, sorted; imports the files of `rules/` once."""
    package = importlib.import_module("policies.rules")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"policies.rules.{module.name}")
    return MappingProxyType(dict(sorted(_KINDS.items())))
