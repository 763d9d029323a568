"""The one source of settings: the environment. No other module of the platform reads a VEILMARK_ variable."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[3]


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    """True for 1, true, yes, on. Raises ImproperlyConfigured for anything that is neither yes nor no."""
    value = os.environ.get(name, "yes" if default else "no").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"", "0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}: is {value!r}; set yes or no")


def one_of(name: str, *choices: str) -> str:
    """One of `choices`, the first by default. Raises ImproperlyConfigured for any other."""
    value = os.environ.get(name, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name}: is {value!r}; set one of {', '.join(choices)}")
    return value


def secret(name: str) -> str:
    """The variable, or the first line of the file that NAME_FILE names: for what must not stand in settings.

    Raises ImproperlyConfigured where neither is given, or others may read the file.
    """
    if value := os.environ.get(name, ""):
        return value
    path = Path(required(f"{name}_FILE", f"give it, or {name}"))
    try:
        if path.stat().st_mode & 0o077:
            raise ImproperlyConfigured(f"{path}: may be read by others; chmod 600 it")
        return path.read_text().partition("\n")[0]
    except OSError as error:
        raise ImproperlyConfigured(f"{path}: cannot be read ({error.strerror}); check {name}_FILE") from error


def words(name: str) -> list[str]:
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def required(name: str, remedy: str) -> str:
    """The variable, or a refusal to start: production has no defaults for what protects people."""
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name}: is not set; {remedy}")
    return value


def var_folder() -> Path:
    """Where files, keys and SQLite databases lie."""
    return Path(os.environ.get("VEILMARK_VAR", str(ROOT / "var"))).resolve()


def make_folder(folder: Path) -> None:
    """Raises ImproperlyConfigured where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        remedy = "give a folder that can be written"
        raise ImproperlyConfigured(f"{folder}: cannot be made ({error.strerror}); {remedy}") from error


def secret_file(path: Path) -> str:
    """The secret in `path`, generated at first start with mode 0600.

    Two processes that start together agree: the secret is written whole beside its place and linked into it, which
    fails for all but the first.
    """
    if not path.exists():
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        draft = Path(name)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_urlsafe(48))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its secret is the one
        finally:
            draft.unlink()
    return path.read_text().strip()
