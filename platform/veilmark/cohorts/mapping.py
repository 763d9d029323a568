"""The cohort mapping: a small TOML that says which column of a custodian's table means what.

[columns]
index = "index"            # row in images.npz, or instead: image = "file_name"
subject = "patient_id"
label = "finding"
sex = "sex"                # optional, as are age, view, site, licence
[label]
positive = ["Pneumonia"]
merge = { opacity = ["Consolidation", "Infiltrate"] } # optional; labels too rare on their own, taken in as one
[dataset]
name = "..."
licence = "..."
legal_basis = "..."
purposes = ["research"]
permits_derivatives = true # optional; a profile refuses a release where it is not stated
public_n_subjects = 700    # optional; the custodian's declared, rounded bound on the number of subjects
bits = 12                  # optional; used bits of 16-bit images (9 to 16), of DICOM images 8 or 12
modality = "CR"            # optional; DICOM modality that synthetic images are written in (DX, CT, MR, US, XC ...)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veilmark.core.errors import ApplicationError

COLUMN_ROLES = ("image", "index", "subject", "label", "sex", "age", "view", "site", "licence")
SHIPPED = Path(__file__).parent / "mappings"
MAX_TEXT = 300
_MODALITY = re.compile(r"[A-Z0-9]{2,16}")  # a code string (PS3.5 6.2) as DICOM's defined terms are
MAX_ITEM = 100  # a purpose or a label


class MappingError(ApplicationError):
    """A cohort mapping that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class CohortMapping:
    """columns: role to the table's column name. positive: labels that count as a finding, may be empty.

    permits_derivatives: does the licence let derived images be made and passed on; None where it is not stated.
    public_n_subjects: the declared, rounded bound on the number of subjects; None where it is declared elsewhere.
    bits: the declared number of used bits, never read from the pixels; None for all that the files store.
    modality: the declared DICOM modality of all images; empty where none is, or where they are of several.
    merged: a source's label to the label that it is taken in as. Declared, so it tells nothing of the cohort.
    """

    columns: Mapping[str, str]
    name: str
    licence: str
    legal_basis: str
    purposes: tuple[str, ...]
    positive: tuple[str, ...] = field(default_factory=tuple)
    permits_derivatives: bool | None = None
    public_n_subjects: int | None = None
    bits: int | None = None
    modality: str = ""
    merged: Mapping[str, str] = field(default_factory=dict)

    def with_merged_labels(self, columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Columns by role, labels replaced by those that they are taken in as."""
        merged = tuple(self.merged.get(word, word) for word in columns.get("label", ()))
        return {**columns, **({"label": merged} if "label" in columns else {})}


def parse_mapping(text: str, *, where: str = "mapping") -> CohortMapping:
    """Read a mapping's TOML. Raises MappingError in one line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(
            f"is no TOML ({error})", where=where, remedy="see docs/custodians.md for an example"
        ) from error
    columns = _table(document, "columns", where)
    dataset = _table(document, "dataset", where)
    unknown = sorted(set(columns) - set(COLUMN_ROLES))
    if unknown:
        raise MappingError(
            f"unknown column role {unknown[0]!r}", where=where, remedy=f"roles are {', '.join(COLUMN_ROLES)}"
        )
    return CohortMapping(
        columns={role: _text(columns, role, where) for role in columns},
        name=_text(dataset, "name", where),
        licence=_text(dataset, "licence", where),
        legal_basis=_text(dataset, "legal_basis", where),
        purposes=_texts(dataset, "purposes", where),
        positive=_texts(_table(document, "label", where), "positive", where) if "label" in document else (),
        permits_derivatives=_flag(dataset, "permits_derivatives", where),
        public_n_subjects=_count(dataset, "public_n_subjects", where),
        bits=_used_bits(dataset, where),
        modality=_modality(dataset, where),
        merged=_merged(document, where),
    )


def load_mapping(path: Path) -> CohortMapping:
    """Read a mapping file. Raises MappingError in one line."""
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError("cannot be read", where=str(path), remedy="check the path and that it is text") from error


def find_mapping(source: Path) -> CohortMapping:
    """The mapping that lies in the cohort's folder, or the one shipped under the folder's name."""
    candidates = [source / "mapping.toml", SHIPPED / f"{source.stem}.toml"]
    for candidate in candidates:
        if candidate.is_file():
            return load_mapping(candidate)
    raise MappingError("has no mapping", where=str(source), remedy="give one with --mapping FILE.toml")


def _table(document: Mapping[str, object], name: str, where: str) -> Mapping[str, object]:
    table = document.get(name)
    if not isinstance(table, dict):
        raise MappingError(f"has no table [{name}]", where=where, remedy=f"add [{name}]")
    return table


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise MappingError(f"{key} is missing or no text", where=where, remedy=f'write {key} = "..."')
    if len(value) > MAX_TEXT:
        raise MappingError(f"{key} has {len(value)} characters", where=where, remedy=f"write at most {MAX_TEXT}")
    return value.strip()


def _texts(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise MappingError(f"{key} is no list of texts", where=where, remedy=f'write {key} = ["..."]')
    if not all(0 < len(value.strip()) <= MAX_ITEM for value in values):
        raise MappingError(f"{key} holds an empty or endless text", where=where, remedy=f"1 to {MAX_ITEM} characters")
    return tuple(values)


def _flag(table: Mapping[str, object], key: str, where: str) -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        raise MappingError(f"{key} is neither true nor false", where=where, remedy=f"write {key} = true")
    return value


def _count(table: Mapping[str, object], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise MappingError(f"{key} is no whole number above 0", where=where, remedy=f"write {key} = 700")
    return value


def _used_bits(table: Mapping[str, object], where: str) -> int | None:
    bits = _count(table, "bits", where)
    if bits is not None and not 8 <= bits <= 16:
        raise MappingError(f"bits is {bits}", where=where, remedy="write bits = 12, or another number from 8 to 16")
    return bits


def _modality(table: Mapping[str, object], where: str) -> str:
    if "modality" not in table:
        return ""
    modality = _text(table, "modality", where)
    if not _MODALITY.fullmatch(modality):
        raise MappingError(
            f"modality is {modality[:20]!r}", where=where, remedy='write a DICOM code as modality = "CR"'
        )
    return modality


def _merged(document: Mapping[str, object], where: str) -> Mapping[str, str]:
    """[label] merge = { new = ["old", "old"] }, turned around."""
    label = _table(document, "label", where) if "label" in document else {}
    if "merge" not in label:
        return {}
    table = _table(label, "merge", where)
    merged: dict[str, str] = {}
    for new in _texts({"merge": list(table)}, "merge", where):
        for old in _texts(table, new, where):
            if merged.setdefault(old, new) != new:
                raise MappingError(f"merges {old!r} into two labels", where=where, remedy="name each label once")
    return merged
