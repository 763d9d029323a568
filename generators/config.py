"""Settings of generators: frozen dataclasses whose fields carry their meaning, limits and bearing on privacy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from generators.base import ConfigError

Config = TypeVar("Config")


def setting(
    default: float | str | bool,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    changes_privacy: bool = False,
) -> Any:
    """A field of a config: its default, what it means with its unit, its limits (both allowed).

    changes_privacy: whether it enters the mechanisms that the guarantee is of: noise, clipping and other bounds of a
    subject's part, rates, steps, shares of the budget. The budget bounds epsilon all the same. What does not enter can
    be changed freely: it costs quality or time, never privacy.
    """
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "changes_privacy": changes_privacy})


def build_config(cls: type[Config], values: Mapping[str, object]) -> Config:
    """A config of `cls` from `--set key=value` pairs or a mapping. Raises ConfigError naming the key."""
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]  # every config is a dataclass
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError("no such setting", where=unknown[0], remedy=f"choose among {', '.join(known)}")
    return cls(**{name: _checked(known[name], value) for name, value in values.items()})


def describe_config(cls: type[object]) -> list[dict[str, object]]:
    """Each setting with its default, meaning, limits and whether it changes the privacy guarantee."""
    return [
        {"name": item.name, "default": item.default, **item.metadata}
        for item in fields(cls)  # type: ignore[arg-type]  # as above
    ]


def _checked(item: Field[Any], value: object) -> object:
    parsed = _parsed(item, value)
    low, high = item.metadata["low"], item.metadata["high"]
    if (low is not None and parsed < low) or (high is not None and parsed > high):
        limits = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
        raise ConfigError(f"is {parsed}", where=item.name, remedy=f"choose {limits}")
    return parsed


def _parsed(item: Field[Any], value: object) -> Any:
    kind: Any = type(item.default)
    words: dict[str, object] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        if kind is bool:
            return words[str(value).lower()]
        number = kind(str(value))
    except (ValueError, KeyError):
        raise ConfigError(f"{value!r} is no {kind.__name__}", where=item.name, remedy=f"as in {item.default}") from None
    if kind is float and not math.isfinite(number):
        raise ConfigError(f"is {value}", where=item.name, remedy=f"as in {item.default}")
    return number
