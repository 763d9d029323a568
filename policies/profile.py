"""Profiles: which rules with which limits, as TOML. Read strictly: a key that nobody knows is refused.

A profile is data, so a typing error in it must not switch a rule off: unknown keys, missing keys, wrong types, facts
that do not exist, two rules of one id and an empty list are all refused when the profile is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar, get_type_hints

from policies.base import Check, Phase, PolicyError, Severity, digest_of
from policies.fact_table import FactType
from policies.facts import fact_spec, typed_value
from policies.registry import rule_kinds

FOLDER = Path(__file__).parent / "profiles"
_OWN_KEYS = {"id", "kind", "severity", "phase", "citation", "remedy", "when"}
_LIMIT_TYPES: Mapping[object, FactType] = {
    float: FactType.NUMBER,
    int: FactType.COUNT,
    str: FactType.TEXT,
    tuple[str, ...]: FactType.TEXTS,
}
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of a profile.

    limits: the check's settings as data. when: the flag that must be set for the rule to apply; empty: always.
    """

    id: str
    kind: str
    check: Check
    limits: Mapping[str, object]
    severity: Severity
    phase: Phase
    citation: str
    remedy: str
    when: str = ""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named list of rules. Raises PolicyError for an empty list and for an id that stands twice."""

    name: str
    title: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        where = f"profile {self.name!r}"
        if not self.rules:
            raise PolicyError("has no rules", where=where, remedy="a profile without rules releases nothing")
        ids = [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise PolicyError(f"rule {twice[0]!r} stands twice", where=where, remedy="give each rule its own id")

    @cached_property
    def digest(self) -> str:
        """`sha256:<hex>` over name, title and every rule with its limits; comments and layout do not count."""
        return digest_of(
            {"name": self.name, "title": self.title, "rules": [rule_settings(rule) for rule in self.rules]}
        )


def rule_settings(rule: Rule) -> dict[str, object]:
    """A rule as plain data, limits included, as a profile file would hold it."""
    return {key: getattr(rule, key) for key in sorted(_OWN_KEYS)} | dict(rule.limits)


def profile_names() -> list[str]:
    """The shipped profiles, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """A shipped profile by name, or any TOML file by path. Raises PolicyError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in profile_names():
        raise PolicyError("is no profile", where=f"profile {name!r}", remedy=f"one of {', '.join(profile_names())}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError("cannot be read", where=str(path), remedy="check the path") from error
    return parse_profile(text, where=path.name)


def parse_profile(text: str, *, where: str = "profile") -> Profile:
    """A profile from TOML text. Raises PolicyError that names the rule and the key."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"is no TOML ({error})", where=where, remedy="correct the file") from error
    _known_keys(table, {"name", "title", "rules"}, where)
    rows = table.get("rules", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PolicyError("rules is no list of tables", where=where, remedy="write each rule under [[rules]]")
    rules = tuple(_rule(row, f"{where}: rule {row.get('id', number)}") for number, row in enumerate(rows, start=1))
    return Profile(name=_text(table, "name", where), title=_text(table, "title", where), rules=rules)


def _rule(row: Mapping[str, object], where: str) -> Rule:
    kind = _text(row, "kind", where)
    if kind not in rule_kinds():
        raise PolicyError(f"no rule kind {kind!r}", where=where, remedy=f"one of {', '.join(rule_kinds())}")
    when = _text(row, "when", where) if "when" in row else ""
    if when and fact_spec(when).type is not FactType.FLAG:
        raise PolicyError(f"when names {when!r}, which is no flag", where=where, remedy="name a flag")
    limits = _limits(rule_kinds()[kind], row, where)
    return Rule(
        id=_text(row, "id", where),
        kind=kind,
        check=_check(rule_kinds()[kind], limits, where),
        limits=limits,
        severity=_choice(Severity, row, "severity", where),
        phase=_choice(Phase, row, "phase", where),
        citation=_text(row, "citation", where),
        remedy=_text(row, "remedy", where),
        when=when,
    )


def _check(kind: type[Check], limits: Mapping[str, object], where: str) -> Check:
    try:
        return kind(**limits)
    except PolicyError as error:
        raise PolicyError(error.what, where=f"{where}: {error.where}", remedy=error.remedy) from error


def _limits(kind: type[Check], row: Mapping[str, object], where: str) -> dict[str, object]:
    hints = get_type_hints(kind)
    _known_keys(row, _OWN_KEYS | hints.keys(), where)
    return {key: _limit(row, key, hint, where) for key, hint in hints.items()}


def _limit(row: Mapping[str, object], key: str, hint: object, where: str) -> object:
    value = typed_value(_LIMIT_TYPES[hint], row.get(key))
    if value is None or value == "":
        wanted = getattr(hint, "__name__", str(hint))
        raise PolicyError(f"{key} is {row.get(key)!r}, not {wanted}", where=where, remedy="state every limit")
    return value


def _known_keys(table: Mapping[str, object], known: Set[str], where: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise PolicyError(f"unknown key {unknown[0]!r}", where=where, remedy=f"known: {', '.join(sorted(known))}")


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise PolicyError(f"{key} is {value!r}, not a text", where=where, remedy=f"give {key}")
    return value


def _choice(choices: type[_Choice], table: Mapping[str, object], key: str, where: str) -> _Choice:
    value = _text(table, key, where)
    if value not in set(choices):
        raise PolicyError(f"{key} is {value!r}", where=where, remedy=f"one of {', '.join(choices)}")
    return choices(value)
