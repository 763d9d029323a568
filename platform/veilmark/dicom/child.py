"""The parent's end of the limited child: ask for one file, wait at most so long, believe nothing unchecked."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import Any

import numpy as np

from veilmark.dicom.base import Pixels, ReadLimits
from veilmark.dicom.worker import options_of

_MAX_LINE = 2**20
_PIECE = 2**20
_DTYPES = {"uint8": 1, "uint16": 2}
_START_SECONDS = 30


class ChildFailedError(Exception):
    """The child died, fell silent or answered nonsense while reading a file. Its message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the child said of one file: a reason, or header (identifiers in clear) and frames."""

    refused: str
    header: dict[str, Any]
    frames: list[Pixels]


class Child:
    """One limited process. Use it as a context; after a `ChildFailedError` it is dead and a new one is needed."""

    def __init__(self, *, bit_depth: int, size: int | None, limits: ReadLimits) -> None:
        self._limits = limits
        command = [sys.executable, "-W", "ignore", "-m", "veilmark.dicom.worker"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, with our own options
            [*command, options_of(bit_depth=bit_depth, size=size, limits=limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise ChildFailedError("has no pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._buffer = bytearray()
        self._fresh = True

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, path: str) -> Answer:
        """What the child makes of the file. Raises ChildFailedError."""
        seconds = self._limits.seconds + (_START_SECONDS if self._fresh else 0)
        self._deadline, self._fresh = time.monotonic() + seconds, False
        try:
            self._requests.write(json.dumps(path).encode() + b"\n")
            return self._answer()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ChildFailedError("crashed the reading process") from error

    def _answer(self) -> Answer:
        answer = json.loads(self._line())
        if "refused" in answer:
            return Answer(refused=str(answer["refused"]), header={}, frames=[])
        shapes = [(tuple(map(int, frame["shape"])), str(frame["dtype"])) for frame in answer["frames"]]
        sizes = [prod(shape) * _DTYPES[dtype] for shape, dtype in shapes]
        if sum(sizes) > self._limits.pixel_bytes or len(shapes) > self._limits.n_frames or min(sizes, default=0) < 0:
            raise ValueError("more pixels than the limits allow")
        frames: list[Pixels] = [
            np.frombuffer(self._bytes(n_bytes), dtype=dtype).reshape(shape)
            for n_bytes, (shape, dtype) in zip(sizes, shapes, strict=True)
        ]
        return Answer(refused="", header=dict(answer["header"]), frames=frames)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _MAX_LINE:
                raise ValueError("an answer without an end")
            self._receive()
        return self._taken(end + 1)

    def _bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        return self._taken(size)

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self) -> None:
        waiting = max(self._deadline - time.monotonic(), 0)
        if not select.select([self._answers], [], [], waiting)[0]:
            raise ChildFailedError(f"took longer than {self._limits.seconds} seconds")
        piece = os.read(self._answers.fileno(), _PIECE)
        if not piece:
            raise ChildFailedError("crashed the reading process")
        self._buffer += piece
