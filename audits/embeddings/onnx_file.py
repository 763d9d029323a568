"""An operator's own network as the extractor: an ONNX file, run by onnxruntime, named by its digest in every result."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audits.base import AuditError
from audits.embeddings.plain import Embedding
from audits.pixels import Floats, resize

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # ships no types

BLOCK = 64
REMEDY = "export it with one float32 input [N, 1 or 3, H, W], values 0 to 1, and features [N, D] as its first output"


def onnx_embedding(path: Path) -> Embedding:
    """The network in an ONNX file; grey goes into each channel, and images are averaged to its own height and width.

    Raises AuditError in one line for a file that cannot be read, or whose input or output has another form.
    """
    content = _read(path)
    session = _session(content, path)
    _check_input(session, path)
    extract = partial(_extract, session, path)
    extract(np.zeros((2, 32, 32), dtype=np.float32))
    return Embedding(name=f"{path.name}, sha256:{hashlib.sha256(content).hexdigest()}", extract=extract)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError("no such file, or not readable", where=str(path), remedy="check the path") from error


def _session(content: bytes, path: Path) -> InferenceSession:
    import onnxruntime  # noqa: PLC0415 - slow to load, and seldom wanted

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an exception, on one line of ours
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class below Exception
        raise AuditError("not a network that onnxruntime can load", where=str(path), remedy=REMEDY) from error


def _check_input(session: InferenceSession, path: Path) -> None:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise AuditError(_told([(i.type, i.shape) for i in inputs]), where=str(path), remedy=REMEDY)
    channels = inputs[0].shape[1]
    if isinstance(channels, int) and channels not in {1, 3}:
        raise AuditError(f"takes {channels} channels", where=str(path), remedy=REMEDY)


def _told(inputs: list[tuple[str, list[int | str | None]]]) -> str:
    return "takes " + (" and ".join(f"{kind} {shape}" for kind, shape in inputs) or "no input")


def _extract(session: InferenceSession, path: Path, grey: Floats) -> Floats:
    """[N, D] of grey images [N, H, W]."""
    wanted = session.get_inputs()[0]
    n, channels, height, width = (size if isinstance(size, int) else None for size in wanted.shape)
    shaped = resize(grey, (height or grey.shape[1], width or grey.shape[2]))
    filled = np.repeat(shaped[:, None], channels or 1, axis=1)
    step = n or BLOCK
    parts = [_run(session, path, filled[start : start + step], n) for start in range(0, len(filled), step)]
    features = np.concatenate(parts).astype(np.float32)
    if features.shape[1] < 2 or not np.isfinite(features).all():
        raise AuditError(f"gives {features.shape[1]} features, or no numbers", where=str(path), remedy=REMEDY)
    return features


def _run(session: InferenceSession, path: Path, images: Floats, n: int | None) -> Floats:
    """Features [len(images), D] of one block; a network for blocks of `n` alone gets zeros behind the last images."""
    short = (n or len(images)) - len(images)
    block = np.concatenate([images, np.zeros((short, *images.shape[1:]), dtype=np.float32)])
    try:
        output = np.asarray(session.run(None, {session.get_inputs()[0].name: block})[0])
    except Exception as error:  # its errors share no class below Exception
        size = "x".join(map(str, images.shape[1:]))
        raise AuditError(f"does not run on images of {size}", where=str(path), remedy=REMEDY) from error
    if output.ndim < 2 or len(output) != len(block):
        raise AuditError(f"gives {list(output.shape)} for {len(block)} images", where=str(path), remedy=REMEDY)
    return np.asarray(output.reshape(len(block), -1)[: len(images)], dtype=np.float32)
