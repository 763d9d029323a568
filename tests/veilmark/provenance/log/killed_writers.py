"""A process whose children append to a log until they are killed: `python killed_writers.py`, one job a line.

A job says `folder`, `start` (the number of the next entry) and `delay` (seconds after the child's first append); the
answer is whether the kill met the child `inside` an append. Children are forked, so that none imports anything, and
they do not wait for the disk: a kill takes nothing out of the page cache.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from veilmark.crypto.base import Algorithm
from veilmark.crypto.signatures import SeedSigner
from veilmark.provenance.log.writer import TransparencyLog

N_ENTRIES = 97  # an append: a prime, so that tiles are filled at every width
BEGUN, DONE = b"<", b">"
SIGNER = SeedSigner((1).to_bytes(32, "big"), Algorithm.ED25519)


def append_for_ever(folder: Path, start: int, told: int) -> NoReturn:
    os.fsync = os.sync = lambda *_: None
    log = TransparencyLog(folder=folder, signer=SIGNER, origin="hospital.example/log")
    while True:
        os.write(told, BEGUN)
        log.append([b"entry %d" % i for i in range(start, start + N_ENTRIES)])
        os.write(told, DONE)
        start += N_ENTRIES


def kill_one(job: dict[str, Any]) -> bool:
    """Whether the child died inside an append. Raises RuntimeError where it ended by itself."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            append_for_ever(Path(job["folder"]), job["start"], writer)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        os._exit(3)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        stream.read(2)
        time.sleep(job["delay"])
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = stream.read()
    if status != -signal.SIGKILL:
        raise RuntimeError(f"the writer ended with {status}")
    return told.endswith(BEGUN)


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(kill_one(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
