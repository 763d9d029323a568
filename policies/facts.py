"""Facts: typed, measured values that a decision rests on, checked against the table of `fact_table`.

A fact that nobody measured is absent (or None, which means the same); it is never zero, false or empty. A name that
the table does not hold, a value of another type, NaN, infinity or a value out of its range is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from policies.base import PolicyError, digest_of
from policies.fact_table import FACTS, FactSpec, FactType

FactValue = bool | int | float | str | tuple[str, ...]

_WORDS = {
    FactType.FLAG: "true or false",
    FactType.COUNT: "a whole number",
    FactType.NUMBER: "a number",
    FactType.TEXT: "a text",
    FactType.TEXTS: "a list of texts",
}


def fact_spec(name: str) -> FactSpec:
    """The declaration of one fact. Raises PolicyError for a name that the table does not hold."""
    if name not in FACTS:
        raise PolicyError("is no fact", where=f"fact {name!r}", remedy="see `python -m policies list`")
    return FACTS[name]


class Facts(Mapping[str, FactValue]):
    """An immutable mapping from a fact's name to its value, valid by construction.

    Raises PolicyError for the first value that the table refuses.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        present = {name: value for name, value in values.items() if value is not None or name not in FACTS}
        self._values = {name: _checked(fact_spec(name), present[name]) for name in sorted(present)}

    def __getitem__(self, name: str) -> FactValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def number(self, name: str) -> float:
        """The value of a COUNT or NUMBER."""
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PolicyError(f"is {value!r}, not a number", where=f"fact {name!r}")
        return value

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over the canonical JSON of all facts."""
        return digest_of(self._values)


def shown(value: FactValue) -> str:
    """A value as people read it in tables and reasons."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _checked(spec: FactSpec, value: object) -> FactValue:
    where = f"fact {spec.name!r}"
    typed = typed_value(spec.type, value)
    if typed is None:
        raise PolicyError(f"is {value!r}, not {_WORDS[spec.type]}", where=where, remedy="measure it or leave it out")
    if isinstance(typed, (int, float)) and not spec.minimum <= typed <= spec.maximum:
        raise PolicyError(f"is {typed!r}, outside {spec.minimum:g} .. {spec.maximum:g}", where=where)
    if spec.choices and typed not in spec.choices:
        raise PolicyError(f"is {typed!r}", where=where, remedy=f"choose one of {', '.join(spec.choices)}")
    return typed


def typed_value(kind: FactType, value: object) -> FactValue | None:
    """`value` as the fact type asks, or None where it is of another type or not finite."""
    if isinstance(value, bool):
        return value if kind is FactType.FLAG else None
    if isinstance(value, int):
        return value if kind is FactType.COUNT else (float(value) if kind is FactType.NUMBER else None)
    if isinstance(value, float):
        return value if kind is FactType.NUMBER and math.isfinite(value) else None
    if isinstance(value, str):
        return value if kind is FactType.TEXT else None
    if isinstance(value, (list, tuple)) and kind is FactType.TEXTS and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
