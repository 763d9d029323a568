"""The receiver's side of The Update Framework: from one pinned root.json to whatever the publisher says today.

A folder keeps what was fetched and verified: `metadata/` and `targets/`. It is verified again at every use, with no
network, so that it may be copied to a machine that has none.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from veilmark.provenance.errors import ProvenanceError, RootsError
from veilmark.provenance.roots.content import REVOKED, TRUST_ROOT, Roots

_WEB = ("https://", "http://")  # the files are signed: TLS would add no trust
_HISTORY = "root_history"


def update_roots(folder: Path, source: str, *, pinned: bytes | None = None) -> Roots:
    """Fetch what `source` (an address, or a folder) says into `folder`, and give it. Raises RootsError.

    `pinned`: the publisher's root.json, got by a way that the receiver trusts; needed once, and never again.
    """
    is_new = not (folder / "metadata" / "root.json").exists()
    if is_new is (pinned is None):
        what = "holds no pinned root yet" if is_new else "has a pinned root already"
        remedy = "give the publisher's root.json" if is_new else "leave root.json out, or choose another folder"
        raise RootsError(what, where=str(folder), remedy=remedy)
    try:
        return _update(folder, source, pinned)
    except ProvenanceError:
        if is_new:
            shutil.rmtree(folder / "metadata", ignore_errors=True)  # a root that led nowhere is not to be pinned
        raise


def _update(folder: Path, source: str, pinned: bytes | None) -> Roots:
    metadata, targets = folder / "metadata", folder / "targets"
    with _refusals(source):
        for part in (metadata, targets):
            part.mkdir(parents=True, exist_ok=True)
        is_web = source.startswith(_WEB)
        base = source.rstrip("/") if is_web else "."
        updater = Updater(
            str(metadata),
            f"{base}/metadata/",
            str(targets),
            f"{base}/targets/",
            fetcher=None if is_web else _Files(lambda name: Path(source) / name),
            bootstrap=_first_root(folder) if pinned is None else pinned,
        )
        return _fetch(updater)


def read_roots(folder: Path) -> Roots:
    """What was fetched into `folder`, verified anew with no network and nothing written there.

    Raises RootsError: changed since, not signed as its root asks, or expired.
    """
    with _refusals(str(folder)), tempfile.TemporaryDirectory() as scratch:
        updater = Updater(
            scratch,
            "metadata/",
            scratch,
            "targets/",
            fetcher=_Files(lambda name: _fetched(folder, name)),
            config=UpdaterConfig(prefix_targets_with_hash=False),
            bootstrap=_first_root(folder),
        )
        return _fetch(updater)


def _fetch(updater: Updater) -> Roots:
    updater.refresh()
    files = {}
    for name in (TRUST_ROOT, REVOKED):
        target = updater.get_targetinfo(name)
        if target is None:
            raise RootsError(f"does not name {name}", where="targets", remedy="ask the publisher")
        path = updater.find_cached_target(target) or updater.download_target(target)
        files[name] = Path(path).read_bytes()
    return Roots.parse(files)


def _first_root(folder: Path) -> bytes:
    """The one that was pinned: all later ones must follow from it."""
    roots = (folder / "metadata" / _HISTORY).glob("*.root.json")
    return min(roots, key=lambda path: int(path.name.partition(".")[0])).read_bytes()


def _fetched(folder: Path, name: str) -> Path:
    """Where the framework's client keeps what a repository calls `name`."""
    part, _, file = name.rpartition("/")
    version, _, plain = file.partition(".")
    if part == "metadata" and version.isdecimal():
        return folder / part / _HISTORY / file if plain == "root.json" else folder / part / plain
    return folder / part / file


class _Files(FetcherInterface):
    """Fetches files of this machine. locate: where a name of the repository lies."""

    def __init__(self, locate: Callable[[str], Path]) -> None:
        self._locate = locate

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([self._locate(url.removeprefix("./")).read_bytes()])
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is missing", 404) from error


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """The framework's errors in one line of ours."""
    try:
        yield
    except ExpiredMetadataError as error:
        remedy = "update it; where it is new, ask the publisher to sign anew"
        raise RootsError(f"has expired ({_line(error)})", where=where, remedy=remedy) from error
    except BadVersionNumberError as error:
        raise RootsError(f"is older than what was seen before ({_line(error)})", where=where) from error
    except (UnsignedMetadataError, LengthOrHashMismatchError) as error:
        raise RootsError(f"is not what the pinned root's holders signed ({_line(error)})", where=where) from error
    except (RepositoryError, DownloadError) as error:
        raise RootsError(f"cannot be believed ({_line(error)})", where=where) from error
    except (OSError, ValueError) as error:  # ValueError: no root at all
        remedy = "check the folder; fetch anew with the publisher's root.json"
        raise RootsError(f"cannot be read ({_line(error)})", where=where, remedy=remedy) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
