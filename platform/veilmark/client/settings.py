"""Where the client keeps its sign-in: one file of mode 0600, so that no other user of the machine can read the token.

The folder is `$VEILMARK_CONFIG`, else `$XDG_CONFIG_HOME/veilmark`, else `~/.config/veilmark`.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from veilmark.client.errors import ClientError


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One person's token at one server. The token never appears in `repr`."""

    server: str
    username: str
    token: str = field(repr=False)


def sign_in_file() -> Path:
    """Where the sign-in lies, whether or not there is one."""
    if own := os.environ.get("VEILMARK_CONFIG"):
        return Path(own) / "sign-in.json"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "veilmark" / "sign-in.json"


def save_sign_in(sign_in: SignIn) -> None:
    """Write the file, whole or not at all. Raises ClientError where the folder cannot be written."""
    path = sign_in_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=path.parent)  # 0600 from its first moment
        try:
            with os.fdopen(handle, "w") as stream:
                json.dump(asdict(sign_in), stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ClientError("cannot be written", where=str(path), remedy="set VEILMARK_CONFIG to a folder") from error


def load_sign_in() -> SignIn:
    """Raises ClientError where nobody signed in, others can read the file, or it is damaged."""
    path = sign_in_file()
    remedy = "run veilmark login SERVER"
    try:
        if path.stat().st_mode & 0o077:
            raise ClientError("can be read by others", where=str(path), remedy=f"chmod 600 it, or {remedy}")
        fields = json.loads(path.read_text())
        return SignIn(**{name: str(fields[name]) for name in ("server", "username", "token")})
    except FileNotFoundError:
        raise ClientError("nobody is signed in", remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClientError("cannot be read", where=str(path), remedy=remedy) from error


def delete_sign_in() -> None:
    """Nothing happens where there is none."""
    sign_in_file().unlink(missing_ok=True)
