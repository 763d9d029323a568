"""`python -m policies`: exit codes, JSON, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.cli import main
from policies.decision import Decision


@pytest.fixture
def facts_file(tmp_path: Path, good_facts: dict[str, object]) -> Path:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(good_facts))
    return path


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [({}, 0, "PASS"), ({"spent_epsilon": 9.0}, 1, "FAIL"), ({"spent_epsilon": None}, 3, "UNKNOWN")],
    ids=["pass", "fail", "unknown"],
)
def test_exit_code_and_last_line(
    facts_file: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], code: int, word: str
) -> None:
    facts_file.write_text(json.dumps(json.loads(facts_file.read_text()) | change))
    arguments = ["check", "--profile", "internal", "--facts", str(facts_file), "--phase", "download"]
    assert main(arguments) == code
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{word}: ")
    assert main([*arguments, "--json"]) == code
    assert Decision.from_json(capsys.readouterr().out).outcome == word


BAD = {
    "unknown profile": ["check", "--profile", "strict", "--facts", "FACTS"],
    "no facts file": ["check", "--profile", "internal", "--facts", "nowhere.json"],
    "profile file missing": ["explain", "nowhere.toml"],
    "diff of one": ["diff", "internal", "nothing"],
}
BAD_FACTS = {
    "no JSON": "{",
    "a list": "[1]",
    "a name twice": '{"spent_epsilon": 1.0, "spent_epsilon": 99.0}',
    "NaN": '{"spent_epsilon": NaN}',
    "unknown fact": '{"epsilon": 1.0}',
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line(facts_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main([str(facts_file) if word == "FACTS" else word for word in arguments]) == 2
    assert_one_line(capsys)


@pytest.mark.parametrize("text", BAD_FACTS.values(), ids=BAD_FACTS.keys())
def test_bad_facts_are_one_line(facts_file: Path, capsys: pytest.CaptureFixture[str], text: str | bytes) -> None:
    facts_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["check", "--profile", "internal", "--facts", str(facts_file)]) == 2
    assert_one_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [[], ["judge"], ["check"], ["check", "--profile", "internal", "--facts", "f", "--phase", "later"]],
    ids=["none", "unknown command", "missing options", "unknown phase"],
)
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert_one_line(capsys)


def assert_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_list_explain_diff_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "at_most" in listed["rule_kinds"]
    assert listed["facts"]["spent_epsilon"]["type"] == "number"
    assert main(["explain", "public", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"]
    assert main(["diff", "internal", "public", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)["rules"]
    assert changed["epsilon"]["internal"]["limit"] == 8
    assert changed["epsilon"]["public"]["limit"] == 3
    assert changed["readers"]["internal"] is None
    assert "unit" not in changed


@pytest.mark.parametrize("arguments", [["list"], ["explain"], ["diff", "internal", "public"]], ids=lambda a: a[0])
def test_tables_name_their_rows(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    assert "epsilon" in capsys.readouterr().out
