"""What anybody may fetch without signing in: the transparency log, and whom to believe.

    /log/checkpoint                     the log's last signed state
    /log/tile/<L>/<N>[.p/<W>]           hashes (c2sp.org/tlog-tiles)
    /log/tile/entries/<N>[.p/<W>]       entries: digests and random names, never a pixel or a person
    /trust/metadata/<name>.json         The Update Framework: `1.root.json` is what receivers pin
    /trust/targets/<digest>.<name>.json the trust root, and the releases taken back
    /trust/certificate-root.pem         the root of the signatures inside image files

Names are taken apart and put together again, so no address leads out of these folders. A tile is served once a
signed checkpoint covers it: what a process left that died before it signed may still change, and caches keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import conditional_page, require_safe

from veilmark.core.transparency import log_folder
from veilmark.provenance.errors import FileError
from veilmark.provenance.log.reader import HEAD_NAME, LogFolder
from veilmark.provenance.log.tiles import HEIGHT, WIDTH, tile_path
from veilmark.provenance.reading import read_file
from veilmark.releases.selectors import certificate_root_path
from veilmark.releases.trust_roots import roots_folder

FOREVER = "public, max-age=31536000, immutable"
FRESH = "public, no-cache"  # caches may keep it, and ask each time whether its ETag is still the one
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
_TILE = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([0-9]{1,3}))?")
_METADATA = re.compile(r"metadata/(?:[1-9][0-9]{0,8}\.(?:root|targets|snapshot)|timestamp)\.json")
_TARGET = re.compile(r"targets/[0-9a-f]{64}\.(?:trust-root|revoked)\.json")


@require_safe
@conditional_page
def log_file(request: HttpRequest, name: str) -> HttpResponse:
    """A file of the log: the last checkpoint, or a tile that a checkpoint covers."""
    if name == HEAD_NAME:
        return _answer(request, lambda: LogFolder(log_folder()).read(HEAD_NAME), content_type=TEXT, cache=FRESH)
    return _answer(request, lambda: _read_tile(name), content_type="application/octet-stream", cache=FOREVER)


@require_safe
@conditional_page
def trust_file(request: HttpRequest, name: str) -> HttpResponse:
    """A file of the roots by The Update Framework, or the certificate root."""
    if name == "certificate-root.pem":
        path = certificate_root_path()
        return _answer(request, lambda: read_file(path), content_type="application/x-pem-file", cache=FRESH)
    cache = FOREVER if _TARGET.fullmatch(name) else FRESH
    return _answer(request, lambda: _read_root(name), content_type=JSON, cache=cache)


def _answer(request: HttpRequest, read: Callable[[], bytes], *, content_type: str, cache: str) -> HttpResponse:
    """The file; one line and 404 where there is none. Whoever asks is not looked at: no cookie is read or set."""
    try:
        response = HttpResponse(read(), content_type=content_type)
    except FileError as error:
        response = HttpResponse(f"{request.get_full_path()}: {error.what}\n", content_type=TEXT, status=404)
        cache = "no-cache"
    response["Cache-Control"] = cache
    return response


def _read_root(name: str) -> bytes:
    if not _METADATA.fullmatch(name) and not _TARGET.fullmatch(name):
        raise FileError("is no file of the roots", where=name)
    return read_file(roots_folder() / name)


def _read_tile(name: str) -> bytes:
    """Raises FileError for what is no name of a tile, and for a tile that no checkpoint covers."""
    found = _TILE.fullmatch(name)
    if found is None:
        raise FileError("is no file of the log", where=name)
    level, index, width = found.groups()
    place, n = int(index.replace("x", "").replace("/", "")), int(width or WIDTH)
    log = LogFolder(log_folder())
    height = 0 if level == "entries" else HEIGHT * int(level)
    # A partial tile is as wide as some checkpoint made it; a full one keeps its content from its first checkpoint on.
    covered = {min((size >> height) - place * WIDTH, WIDTH) for size in log.sizes()}
    if tile_path(level, place, n) != name or n not in covered:
        raise FileError("is no tile of the log", where=name)
    return log.read(name)
