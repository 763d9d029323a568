"""JSON without surprises: one meaning for the bytes that were signed, or none.

Two parsers may read a repeated key, NaN or an unknown field differently, and then a signature covers two documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from veilmark.provenance.errors import FormatError

T = TypeVar("T")
MAX_JSON_BYTES = 256 * 1024 * 1024


def canonical_json(value: object) -> bytes:
    """The one encoding of `value`: keys sorted, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def readable_json(value: object) -> bytes:
    """For files that people open: indented, sorted, closed by a newline; as deterministic as `canonical_json`."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parse_object(data: bytes, *, where: str, max_bytes: int = MAX_JSON_BYTES) -> dict[str, object]:
    """Parse a JSON object. Raises FormatError for repeated keys, NaN, excessive size or depth, anything else."""
    if len(data) > max_bytes:
        raise FormatError(f"larger than {max_bytes} bytes", where=where)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not valid JSON ({_one_line(error)})", where=where) from error
    if not isinstance(value, dict):
        raise FormatError("not a JSON object", where=where)
    return value


def check_keys(value: Mapping[str, object], names: tuple[str, ...], *, where: str) -> None:
    """Refuse a missing or an unknown field."""
    if missing := sorted(set(names) - set(value)):
        raise FormatError(f"field {missing[0]!r} is missing", where=where)
    if unknown := sorted(set(value) - set(names)):
        raise FormatError(f"unknown field {unknown[0][:40]!r}", where=where)


def take(value: Mapping[str, object], name: str, kind: type[T], *, where: str) -> T:
    """The field `name`, which must be exactly of type `kind` (so that true is no integer)."""
    got = value.get(name)
    if type(got) is not kind:
        raise FormatError(f"field {name!r} is not of type {kind.__name__}", where=where)
    return got


def take_list(value: Mapping[str, object], name: str, kind: type[T], *, where: str) -> list[T]:
    """The field `name`, a list whose items are all exactly of type `kind`."""
    got = take(value, name, list, where=where)
    if not all(type(item) is kind for item in got):
        raise FormatError(f"field {name!r} holds items that are not of type {kind.__name__}", where=where)
    return got


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)[:40]!r} is repeated")
    return result


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
