"""What the client refuses, in one line: where, what, what to do.

Errors::

    ClientError          what was wrong, where, what to do next
    +-- RefusedError     the server said no; `status` is its HTTP status
    +-- DownloadError    bytes that are missing, or not those that were published
"""

from __future__ import annotations

from typing import Self

import httpx


class ClientError(Exception):
    """A refusal that a person can act on."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class RefusedError(ClientError):
    """The server said no; `status` is its HTTP status."""

    status: int = 0

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """The refusal that an answer holds (problem details), or one in our words where it holds none."""
        try:
            problem = response.json()
            parts = {name: " ".join(str(problem[name]).split()) for name in ("what", "where", "remedy")}
        except (ValueError, KeyError, TypeError):
            parts = {
                "what": f"answered {response.status_code}",
                "where": str(response.request.url.host),
                "remedy": "check the address, or ask the operator",
            }
        if response.status_code == httpx.codes.UNAUTHORIZED:
            parts["remedy"] = "run veilmark login SERVER"
        refusal = cls(parts["what"], where=parts["where"], remedy=parts["remedy"])
        refusal.status = response.status_code
        return refusal


class DownloadError(ClientError):
    """Bytes that are missing, or not those that were published."""
