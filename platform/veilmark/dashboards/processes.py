"""The two processes of an installation without a supervisor: the site and its worker, started and stopped together."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from django.conf import settings

from veilmark.core.errors import ConfigurationError
from veilmark.settings.environment import ROOT

SECONDS_TO_START = 60


@contextmanager
def worker() -> Iterator[None]:
    """A worker that runs the queued jobs while the block lasts."""
    with _process([sys.executable, str(ROOT / "manage.py"), "worker"], "worker"):
        yield


@contextmanager
def site(*, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The site on `port` (0: a free one) while the block lasts; yields its address once it answers."""
    port = port or _free_port(host)
    address = f"http://{host}:{port}"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(ROOT / "platform"),
        "--host",
        host,
        "--port",
        str(port),
    ]
    with _process([*command, "--log-level", "warning", "veilmark.asgi:application"], "site") as process:
        _wait_until_healthy(address, process)
        yield address


@contextmanager
def _process(command: list[str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    log = settings.VEILMARK_VAR / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=ROOT)  # noqa: S603 - our own programs
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/healthz", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    log = settings.VEILMARK_VAR / "logs" / "site.log"
    raise ConfigurationError("the site did not start", where=address, remedy=f"see {log}")


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
