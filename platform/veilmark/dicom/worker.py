"""The limited child process that parses: `python -m veilmark.dicom.worker OPTIONS`, driven by `reader`.

pydicom allocates what a file declares, and decoders are C code that hostile files have broken before. So parsing
happens here, where memory and processor time are limited, no file can be written and no process started (root is
exempt from that last limit), with no secret in the environment. A line of JSON asks for a file; the answer is a line of
JSON and then the raw pixels. Never pickle: the parent must be able to read what a broken child says.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from dataclasses import asdict
from typing import BinaryIO

from veilmark.dicom.base import Pixels, ReadLimits
from veilmark.dicom.header import Refusal
from veilmark.dicom.one_file import read_file


def main(options: str) -> None:
    """Answer every request on standard input until it ends."""
    settings = json.loads(options)
    limits = ReadLimits(**settings["limits"])
    answers = _take_standard_output()
    _limit_resources(limits)
    for request in sys.stdin.buffer:
        _limit_processor_time(limits.seconds)
        answer, frames = _answer(json.loads(request), settings["bit_depth"], settings["size"], limits)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.writelines(frame.tobytes() for frame in frames)
        answers.flush()


def options_of(*, bit_depth: int, size: int | None, limits: ReadLimits) -> str:
    """The one argument of this program."""
    return json.dumps({"bit_depth": bit_depth, "size": size, "limits": asdict(limits)})


def _answer(path: str, bit_depth: int, size: int | None, limits: ReadLimits) -> tuple[dict[str, object], list[Pixels]]:
    try:
        header, frames = read_file(path, bit_depth=bit_depth, size=size, limits=limits)
    except Refusal as refusal:
        return {"refused": str(refusal)}, []
    except MemoryError:
        return {"refused": "needs more memory than it may have"}, []
    shapes = [{"shape": frame.shape, "dtype": str(frame.dtype)} for frame in frames]
    return {"header": header, "frames": shapes}, frames


def _take_standard_output() -> BinaryIO:
    # decoders print to file descriptor 1; what they say may not stand between the answers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_resources(limits: ReadLimits) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _limit_processor_time(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1])
