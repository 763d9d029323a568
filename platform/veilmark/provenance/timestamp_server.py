"""Stamping authorities that are reached by HTTP. Verifying a stamp needs none of this."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from veilmark.provenance.errors import StampError
from veilmark.provenance.timestamps import MAX_STAMP_BYTES


@dataclass(frozen=True, kw_only=True)
class HttpAuthority:
    """A stamping server (RFC 3161, 3.4). It sees a digest and nothing else."""

    url: str
    timeout_s: float = 30.0

    def reply(self, request: bytes) -> bytes:
        """Raises StampError where it does not answer with a stamp."""
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            with httpx.stream("POST", self.url, content=request, headers=headers, timeout=self.timeout_s) as response:
                if response.status_code != httpx.codes.OK:
                    raise StampError(f"answered {response.status_code}", where=self.url, remedy="try again later")
                return self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StampError(
                f"cannot be reached ({type(error).__name__})", where=self.url, remedy="try again later"
            ) from error

    def _read(self, response: httpx.Response) -> bytes:
        data = b""
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > MAX_STAMP_BYTES:
                raise StampError(f"answered more than {MAX_STAMP_BYTES} bytes", where=self.url)
        return data
