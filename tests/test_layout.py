"""The shape of the tree: what would break Python, or blur the layers, is caught here."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ["platform", "generators", "audits", "policies"]


def python_files() -> list[Path]:
    return [path for name in SOURCES for path in (ROOT / name).rglob("*.py")]


def test_the_standard_librarys_platform_is_not_shadowed():
    assert platform.system()
    assert Path(str(platform.__file__)).parent != ROOT


@pytest.mark.parametrize("path", ["platform/__init__.py", "tests/platform"])
def test_nothing_makes_a_package_of(path):
    assert not (ROOT / path).exists()


def test_no_folder_of_tests_is_a_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_layers_hold():
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_there_are_files_to_look_at():
    assert len(python_files()) > 50


CODE_RUNNING_LOADERS = {("torch", "load"), ("joblib", "load"), ("marshal", "loads"), ("yaml", "load")}


def runs_code(node: ast.AST) -> bool:
    """Does this line read data in a form that can run code?"""
    if isinstance(node, ast.Import):
        return any(alias.name in {"pickle", "dill", "cloudpickle"} for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in {"pickle", "dill", "cloudpickle"}
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
    allows = any(key.arg == "allow_pickle" and ast.unparse(key.value) != "False" for key in node.keywords)
    return allows or (owner, node.func.attr) in CODE_RUNNING_LOADERS


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from pickle import loads", "torch.load(path)", "np.load(path, allow_pickle=True)"],
)
def test_what_runs_code_is_recognised(line):
    assert any(runs_code(node) for node in ast.walk(ast.parse(line)))


def test_nothing_is_unpickled():
    """Weights, jobs and files are data: nothing that is read may run code."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if runs_code(node)
    ]
    assert found == []


def test_only_the_settings_read_the_platforms_variables():
    """One source of settings: a setting that is read elsewhere can be neither found nor checked."""
    standalone = {"client", "provenance", "settings"}  # the first two run without the platform
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "platform" / "veilmark").rglob("*.py")
        if path.relative_to(ROOT / "platform" / "veilmark").parts[0] not in standalone
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Subscript | ast.Call)
        and ast.unparse(node).startswith(("os.environ[", "os.environ.get(", "os.getenv("))
        and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        and "VEILMARK_" in ast.unparse(node)
    ]
    assert found == []
