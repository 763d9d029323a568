"""Sources of cohorts as custodians hand them over: good ones of every kind, from which the bad ones are made."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generators.base import no_progress

N_SUBJECTS = 40
COLUMNS = ("subject", "label", "sex", "age")
MAPPING = """
[columns]
{place} = "{place}"
subject = "subject"
label = "label"
sex = "sex"
age = "age"
[dataset]
name = "{name}"
licence = "CC0-1.0"
legal_basis = "none needed"
purposes = ["research"]
"""


@pytest.fixture(scope="session")
def truth() -> SimpleNamespace:
    """Grey images uint8 [50, 24, 20] of 40 people, ten of them with two, and a row of text about each image."""
    rng = np.random.default_rng(7)
    n_images = N_SUBJECTS + 10
    rows = [
        {
            "subject": f"Nobody^Norma {i % N_SUBJECTS}",
            "label": "nodule" if i % N_SUBJECTS % 4 == 0 else "normal",
            "sex": "FM"[i % N_SUBJECTS % 2],
            "age": str(20 + i % N_SUBJECTS),
        }
        for i in range(n_images)
    ]
    return SimpleNamespace(images=rng.integers(0, 256, (n_images, 24, 20), dtype=np.uint8), rows=rows)


def write_table(folder: Path, place: str, places: list[str], rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, (place, *rows[0]))
        writer.writeheader()
        writer.writerows({place: value} | row for value, row in zip(places, rows, strict=True))
    (folder / "mapping.toml").write_text(MAPPING.format(place=place, name=folder.name))


@pytest.fixture
def arrays(tmp_path: Path, truth: SimpleNamespace) -> Path:
    """A folder with images.npz, in another order than its table."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    order = np.random.default_rng(1).permutation(len(truth.images))
    np.savez(folder / "images.npz", images=truth.images[np.argsort(order)])
    write_table(folder, "index", [str(index) for index in order], truth.rows)
    return folder


@pytest.fixture
def write_files(tmp_path: Path, truth: SimpleNamespace) -> Callable[..., Path]:
    """`write_files(images, ".png")`: a folder with one file an image."""

    def write(images: np.ndarray[Any, Any] | None = None, suffix: str = ".png", **options: Any) -> Path:
        folder = tmp_path / "files"
        (folder / "pictures").mkdir(parents=True)
        pixels = truth.images if images is None else images
        names = [f"pictures/{i}{suffix}" for i in range(len(pixels))]
        for name, image in zip(names, pixels, strict=True):
            Image.fromarray(image).save(folder / name, **options)
        write_table(folder, "image", names, truth.rows)
        return folder

    return write


@pytest.fixture
def files(write_files: Callable[..., Path]) -> Path:
    """A folder with one 8-bit PNG an image."""
    return write_files()


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """`pack(folder)`: its zip, `inside` a top folder or not. The mapping stays where it was."""

    def zipped(folder: Path, inside: str = "") -> Path:
        path = tmp_path / "upload.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and file.name != "mapping.toml":
                    archive.write(file, f"{inside}{file.relative_to(folder)}")
        return path

    return zipped


@pytest.fixture
def traces(people: Any, var: Path) -> Callable[[], dict[str, Any]]:
    """What an upload leaves: rows, kinds of events, and files of the store and of the scratch folder."""
    from veilmark.cohorts.models import Cohort, ContractResult
    from veilmark.ledger.models import Event

    def files() -> set[Path]:
        return {path for name in ("files", "scratch") for path in (var / name).rglob("*") if path.is_file()}

    before = files()

    def found() -> dict[str, Any]:
        return {
            "cohorts": Cohort.objects.count(),
            "results": ContractResult.objects.count(),
            "events": list(Event.objects.exclude(kind="person:created").values_list("kind", flat=True)),
            "files": sorted(files() - before),
        }

    return found


@pytest.fixture
def take_in(people: Any) -> Callable[..., Any]:
    """`take_in(source)`: the custodian uploads it, with the mapping that lies in `mapped` or in the source."""
    from veilmark.cohorts.mapping import load_mapping
    from veilmark.cohorts.services import CohortTerms, cohort_create

    def upload(source: Path, mapped: Path | None = None, acting_user: Any = None, **terms: Any) -> Any:
        return cohort_create(
            source=source,
            mapping=load_mapping((mapped or source) / "mapping.toml"),
            terms=CohortTerms(**{"name": "uploaded", "public_n_subjects": 100} | terms),
            acting_user=acting_user or people.custodian,
            progress=no_progress,
        )

    return upload
