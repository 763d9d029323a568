"""The command line `python -m policies`. Exit codes: 0 PASS, 1 FAIL, 3 UNKNOWN, 2 bad usage or input."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from policies.base import Outcome, Phase, PolicyError
from policies.decision import Decision
from policies.engine import decide
from policies.fact_table import FACTS
from policies.facts import Facts
from policies.profile import Profile, Rule, load_profile, profile_names, rule_settings
from policies.registry import rule_kinds

EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNKNOWN: 3}
_COLOURS: dict[str, str] = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.UNKNOWN: "yellow"}


class _Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PolicyError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _parser() -> _Parser:
    parser = _Parser(prog="python -m policies", description="Rules over measured facts, with reasons.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="profiles, rule kinds and facts")
    check = commands.add_parser("check", help="evaluate a profile over facts")
    diff = commands.add_parser("diff", help="where two profiles differ")
    explain = commands.add_parser("explain", help="every rule of a profile with its citation")
    check.add_argument("--profile", required=True, help="name, or path of a TOML file")
    check.add_argument("--facts", required=True, type=Path, help="JSON object from fact to value")
    check.add_argument("--phase", type=Phase, choices=list(Phase), default=Phase.ENDORSEMENT)
    diff.add_argument("a")
    diff.add_argument("b")
    explain.add_argument("profile", nargs="?", default="internal")
    for command, run in ((listing, _list), (check, _check), (diff, _diff), (explain, _explain)):
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)
    return parser


def _list(options: argparse.Namespace) -> int:
    profiles = {name: load_profile(name).title for name in profile_names()}
    if options.json:
        facts = {spec.name: {"type": spec.type, "unit": spec.unit, "source": spec.source} for spec in FACTS.values()}
        return _print_json({"profiles": profiles, "rule_kinds": list(rule_kinds()), "facts": facts})
    _print_table("Profiles", ("profile", "title"), list(profiles.items()))
    _print_table(
        "Facts",
        ("fact", "type", "unit", "what", "source"),
        [(spec.name, spec.type, spec.unit, spec.description, spec.source) for spec in FACTS.values()],
    )
    sys.stdout.write(f"rule kinds: {', '.join(rule_kinds())}\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    decision = decide(load_profile(options.profile), read_facts(options.facts), phase=options.phase)
    if options.json:
        sys.stdout.write(decision.to_json() + "\n")
    else:
        _print_decision(decision)
    return EXIT_CODES[decision.outcome]


def _diff(options: argparse.Namespace) -> int:
    left, right = (_rules(load_profile(name)) for name in (options.a, options.b))
    changed = {
        name: {options.a: left.get(name), options.b: right.get(name)}
        for name in (*left, *(name for name in right if name not in left))
        if left.get(name) != right.get(name)
    }
    if options.json:
        return _print_json({"rules": changed})
    rows = [(name, *(_limits_as_text(side) for side in sides.values())) for name, sides in changed.items()]
    _print_table(f"{options.a} against {options.b}", ("rule", options.a, options.b), rows)
    return 0


def _explain(options: argparse.Namespace) -> int:
    profile = load_profile(options.profile)
    if options.json:
        return _print_json({"name": profile.name, "digest": profile.digest, "rules": list(_rules(profile).values())})
    rows = [(rule.id, rule.phase, rule.severity, _wanted(rule), rule.citation) for rule in profile.rules]
    columns = ("rule", "from phase", "severity", "wanted", "citation")
    _print_table(f"{profile.name}: {profile.title}", columns, rows)
    return 0


def read_facts(path: Path) -> Facts:
    """Facts from a JSON object. Raises PolicyError; a name that stands twice is refused, for one would be hidden."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_name_twice)
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"cannot be read ({error})", where=str(path), remedy="give a JSON object of facts") from error
    if not isinstance(values, dict):
        raise PolicyError("is no JSON object", where=str(path), remedy="give a JSON object of facts")
    return Facts(values)


def _no_name_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _rules(profile: Profile) -> dict[str, dict[str, object]]:
    return {rule.id: rule_settings(rule) for rule in profile.rules}


def _limits_as_text(settings: dict[str, object] | None) -> str:
    if settings is None:
        return "-"
    hidden = {"id", "citation", "remedy", "phase"}
    return ", ".join(f"{key} {value}" for key, value in settings.items() if key not in hidden and value)


def _wanted(rule: Rule) -> str:
    condition = f" where {rule.when}" if rule.when else ""
    return f"{rule.check.needs[0]} {rule.check.want}{condition}"


def _print_decision(decision: Decision) -> None:
    rows = [
        (result.outcome, result.id, result.severity, result.got, result.want, result.citation)
        for result in decision.results
    ]
    columns = ("outcome", "rule", "severity", "got", "wanted", "citation")
    _print_table(f"{decision.profile} at {decision.phase}", columns, rows)
    for result in decision.results:
        if result.outcome is not Outcome.PASS:
            sys.stdout.write(f"{result.outcome} {result.id} ({result.severity}): {result.reason}; {result.remedy}\n")
    sys.stdout.write(f"{decision.outcome}: {decision.reason}\n")


def _print_table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        # Text, not markup: a fact's value may hold brackets
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console(file=sys.stdout).print(table)


def _print_json(value: object) -> int:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return 0
