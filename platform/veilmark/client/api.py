"""The Python SDK of researchers: what the `veilmark` command does, as functions.

with VeilmarkClient("https://veilmark.example.org") as client:
    client.sign_in("ada", password)
    client.accept(client.agreement())
    client.request("chest-1", purpose="research", project="a classifier of nodules")
    ...                                       # an officer decides
    path = client.download("chest-1", Path("data"))
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from veilmark.client.downloads import Download, Progress, fetch
from veilmark.client.errors import ClientError, RefusedError
from veilmark.client.records import AccessRequest, Agreement, Grant, Release

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
PREPARING_SECONDS = 900.0
POLL_SECONDS = 1.0
TIMEOUT = httpx.Timeout(60, connect=10)


class VeilmarkClient:
    """One server, and after `sign_in` one person. Use it as a context manager, or call `close`.

    Every method raises ClientError where the server cannot be reached, and RefusedError (a ClientError) where it
    refuses. Redirects are not followed: a token goes to the named server and nowhere else.
    """

    def __init__(self, server: str, *, token: str = "") -> None:
        self.server = checked_server(server)
        self._http = httpx.Client(base_url=self.server, timeout=TIMEOUT)
        self._use(token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def sign_in(self, username: str, password: str) -> str:
        """Sign in with a password and return the token, which ends by itself after some hours."""
        token = str(self._call("POST", "/api/tokens/", {"username": username, "password": password})["token"])
        self._use(token)
        return token

    def sign_out(self) -> None:
        """End the token at the server."""
        self._call("DELETE", "/api/tokens/current/")
        self._use("")

    def search(self, words: str = "") -> list[Release]:
        """The released sets whose name, title or description hold every word; all of them without words."""
        return [Release.of(row) for row in self._pages("/api/v1/releases/", {"search": words})]

    def release(self, name: str) -> Release:
        return Release.of(self._call("GET", f"/api/v1/releases/{_segment(name)}/"))

    def agreement(self) -> Agreement:
        """The agreement in its present wording."""
        return Agreement.of(self._call("GET", "/api/v1/agreement/"))

    def accept(self, agreement: Agreement) -> Agreement:
        """Accept exactly this wording: refused where it has changed since it was read."""
        return Agreement.of(self._call("POST", "/api/v1/agreement/", {"digest": agreement.digest}))

    def request(self, release: str, *, purpose: str, project: str) -> AccessRequest:
        """Ask for a release by its name. purpose: one that it permits. project: a sentence."""
        body = {"release": release, "purpose": purpose, "project": project}
        return AccessRequest.of(self._call("POST", "/api/v1/requests/", body))

    def requests(self) -> list[AccessRequest]:
        """One's own requests, newest first."""
        return [AccessRequest.of(row) for row in self._pages("/api/v1/requests/")]

    def grants(self) -> list[Grant]:
        """One's own grants, newest first, those that have ended among them."""
        return [Grant.of(row) for row in self._pages("/api/v1/grants/")]

    def download(
        self, release: str, out: Path, *, progress: Progress | None = None, wait_seconds: float = PREPARING_SECONDS
    ) -> Download:
        """Fetch the bundle of a release into the folder `out`; what an earlier call began is continued.

        The server prepares a copy for each grant: where it is not ready, it is asked for and waited for.
        progress: called with the bytes that are there and the total. Raises ClientError where no open grant names
        the release, or the bytes are not those that were published.
        """
        grant = next((grant for grant in self.grants() if grant.release == release and grant.is_open), None)
        if grant is None:
            remedy = f"run veilmark request {release}, or see veilmark status"
            raise ClientError("no open grant", where=f"release {release}", remedy=remedy)
        grant = self._prepared(grant, wait_seconds)
        address = f"/api/v1/grants/{grant.id}/download/"
        return fetch(
            self._http, address, out / f"{_segment(release)}.zip", digest=grant.bundle_digest, progress=progress
        )

    def _prepared(self, grant: Grant, wait_seconds: float) -> Grant:
        if grant.bundle_digest:
            return grant
        where, deadline = f"release {grant.release}", time.monotonic() + wait_seconds
        grant = Grant.of(self._call("POST", f"/api/v1/grants/{grant.id}/prepare/"))
        while not grant.bundle_digest:
            if grant.copy_error:
                raise ClientError(
                    f"your copy was not prepared ({grant.copy_error})", where=where, remedy="ask the site"
                )
            if time.monotonic() > deadline:
                raise ClientError("your copy is being prepared", where=where, remedy="run it again in a minute")
            time.sleep(POLL_SECONDS)
            grant = Grant.of(self._call("GET", f"/api/v1/grants/{grant.id}/"))
        return grant

    def _use(self, token: str) -> None:
        self._http.headers.pop("Authorization", None)
        if token:
            self._http.headers["Authorization"] = f"Token {token}"

    def _call(
        self, method: str, address: str, body: dict[str, str] | None = None, query: dict[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            response = self._http.request(method, address, json=body, params=query)
        except httpx.TransportError as error:
            raise ClientError(
                f"cannot be reached ({error})", where=self.server, remedy="check address and network"
            ) from error
        if not response.is_success:
            raise RefusedError.of(response)
        answer = _json(response) if response.content else {}
        if not isinstance(answer, dict):
            raise ClientError("is no answer of Veilmark", where=self.server, remedy="check the address")
        return answer

    def _pages(self, address: str, query: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        n_page = 1
        while True:
            page = self._call("GET", address, query={**(query or {}), "page": str(n_page)})
            yield from page.get("results", [])
            if not page.get("next"):
                return
            n_page += 1


def checked_server(server: str) -> str:
    """The address without a trailing slash. Raises ClientError for what is no https address of a server.

    Plain http is for this very machine alone: elsewhere it would show password and token to the network.
    """
    parts = urlsplit(server)
    is_local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise ClientError("is no https address", where=server, remedy="use https://NAME (http for localhost alone)")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ClientError("is more than an address", where=parts.hostname, remedy="use https://NAME")
    return server.rstrip("/")


def _segment(name: str) -> str:
    """A release's name as part of an address and of a file's name. Raises ClientError for what is none."""
    if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ClientError("is no name of a release", where=repr(name), remedy="see veilmark search")
    return name


def _json(response: httpx.Response) -> object:
    try:
        answer: object = response.json()
    except ValueError:
        return None
    return answer
