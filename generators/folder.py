"""A generator's folder: the card, the run's fingerprint, tensors, and never a pickle."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.base import GeneratorCard, GeneratorError, ResumeError
from generators.files import remove_unfinished, replacing, write_text
from generators.privacy import NO_ACCOUNTANT, GaussianEvent, PrivacyBudget, PrivacySpend

CARD = "generator.json"
RUN = "run.json"
PICKLE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".bin", ".npy", ".dill")


def open_folder(out: Path, *, resume: bool) -> None:
    """Make the folder of a new run, or check the one to resume. Raises ResumeError, GeneratorError."""
    if resume and not out.is_dir():
        raise ResumeError("no such folder", where=str(out), remedy="train without --resume")
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ResumeError("is not an empty folder", where=str(out), remedy="name a new folder, or use --resume")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeneratorError("cannot be made", where=str(out), remedy="choose a writable place") from error
    if resume and (out / RUN).exists():
        remove_unfinished(out)
    refuse_pickle(out)


def discard(out: Path, *, whole: bool) -> None:
    """Take back what `open_folder` made for a run that was refused: the folder itself, or what it holds since."""
    for path in [out] if whole else list(out.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def refuse_pickle(folder: Path) -> None:
    """Raise ResumeError where any file is a pickle by its name or its content: loading one can run its code."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix in PICKLE_SUFFIXES or _holds_pickle(path)):
            raise ResumeError(
                f"holds a pickle, {path.relative_to(folder)}", where=str(folder), remedy="remove it: pickles run code"
            )


def _holds_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(2)
    if len(start) == 2 and start[0] == 0x80 and start[1] <= 5:
        return not _is_safetensors(path)  # whose header may have a length of these two bytes
    if start != b"PK" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith((".pkl", ".npy")) for name in archive.namelist())


def _is_safetensors(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 (listing generators needs no tensors)

    try:
        with safe_open(path, framework="numpy"):
            return True
    except (OSError, SafetensorError):
        return False


def check_same_run(out: Path, fingerprint: Mapping[str, object], *, resume: bool) -> None:
    """Write a new run's fingerprint, or refuse to resume one that differs. Raises ResumeError naming what differs."""
    path = out / RUN
    wanted = json.loads(json.dumps(fingerprint))
    if resume and path.exists():
        found = read_json(path)
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if differing:
            raise ResumeError(
                f"belongs to a run with another {', '.join(differing)}", where=str(out), remedy="train in a new folder"
            )
    else:
        write_text(path, json.dumps(wanted, indent=1))


def write_card(out: Path, card: GeneratorCard) -> None:
    write_text(out / CARD, json.dumps(strict_json(asdict(card)), indent=1, allow_nan=False))


def strict_json(value: Any) -> Any:
    """A tree as JSON can hold it: an infinite number, the epsilon of a reference without privacy, becomes null."""
    if isinstance(value, Mapping):
        return {name: strict_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def load_card(folder: Path) -> GeneratorCard:
    """Read `generator.json`. Raises ResumeError where there is none, it is damaged, or a pickle lies beside it."""
    if not (folder / CARD).is_file():
        raise ResumeError("holds no generator.json", where=str(folder), remedy="name a folder that `train` finished")
    refuse_pickle(folder)
    row = read_json(folder / CARD)
    try:
        spend, budget = ({**row[part]} for part in ("spend", "budget"))
        if budget["accountant"] == NO_ACCOUNTANT:
            budget["target_epsilon"] = spend["spent_epsilon"] = math.inf
        spend["events"] = tuple(GaussianEvent(**event) for event in spend["events"])
        return GeneratorCard(**{**row, "budget": PrivacyBudget(**budget), "spend": PrivacySpend(**spend)})
    except (KeyError, TypeError, ValueError) as error:
        raise ResumeError("generator.json is damaged", where=str(folder), remedy="train again") from error


def read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError("is damaged", where=str(path), remedy="train again in a new folder") from error


def save_tensors(path: Path, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a safetensors file atomically."""
    from safetensors.numpy import save  # noqa: PLC0415 (listing generators needs no tensors)

    with replacing(path) as stream:
        stream.write(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))


def load_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a safetensors file. Raises ResumeError."""
    from safetensors import SafetensorError  # noqa: PLC0415 (as above)
    from safetensors.numpy import load  # noqa: PLC0415

    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError) as error:
        raise ResumeError("is missing or damaged", where=str(path), remedy="train again") from error


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, for the card."""
    found = {}
    for package in ("veilmark", "numpy", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def folder_digest(folder: Path) -> str:
    """`sha256:<hex>` over names and bytes of the card and the tensors: what a synthetic set was drawn from."""
    total = hashlib.sha256()
    for path in sorted((folder / CARD, *folder.glob("*.safetensors"))):
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return f"sha256:{total.hexdigest()}"
