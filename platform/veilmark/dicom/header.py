"""What is kept of a header: nothing but the listed elements, each checked against what it may hold."""

from __future__ import annotations

import re
from datetime import date, datetime

from pydicom.dataset import Dataset

OLDEST = 90  # 45 CFR 164.514(b)(2)(i)(C): all ages over 89 become one group

_NO_IMAGES = {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "PR", "KO", "SR", "REG", "DOC"}
_DAYS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
_MAX_TEXT = 64


class Refusal(Exception):  # noqa: N818 - no error: an answer about one file
    """Why a file gives no image, in words that hold nothing of its header."""


def header_of(dataset: Dataset) -> dict[str, str | int | None]:
    """The elements that `DicomImage` needs, with the identifiers still in clear. Raises Refusal."""
    _refuse_by_header(dataset)
    return {
        "subject": _needed(dataset, "PatientID"),
        "study": _needed(dataset, "StudyInstanceUID"),
        "series": _needed(dataset, "SeriesInstanceUID"),
        "instance": _needed(dataset, "SOPInstanceUID"),
        "sex": sex if (sex := _text(dataset, "PatientSex").upper()) in {"M", "F", "O"} else "",
        "age": age_of(dataset),
        "view": _code_string(dataset, "ViewPosition"),
        "modality": _code_string(dataset, "Modality"),
        "body_part": _code_string(dataset, "BodyPartExamined"),
        "site": _text(dataset, "Manufacturer")[:_MAX_TEXT],
    }


def age_of(dataset: Dataset) -> int | None:
    """Whole years from PatientAge (PS3.5 6.2, VR AS), else from birth and study date; 90 for all above 89."""
    stated = re.fullmatch(r"(\d{3})([DWMY])", _text(dataset, "PatientAge"))
    years = int(int(stated[1]) * _DAYS[stated[2]]) if stated else _years_between(dataset)
    return None if years is None or years < 0 else min(years, OLDEST)


def _years_between(dataset: Dataset) -> int | None:
    born, studied = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    if born is None or studied is None:
        return None
    return studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))


def _refuse_by_header(dataset: Dataset) -> None:
    if "DirectoryRecordSequence" in dataset:
        raise Refusal("is a DICOMDIR: a list of files, no image")
    if _text(dataset, "Modality").upper() in _NO_IMAGES:
        raise Refusal("is a report, plan, dose or segmentation, no acquired image")
    if "PixelData" not in dataset:
        raise Refusal("has no pixels")
    if _text(dataset, "BurnedInAnnotation").upper() == "YES":
        raise Refusal("says that its pixels hold burned-in text")
    if _text(dataset, "RecognizableVisualFeatures").upper() == "YES":
        raise Refusal("says that its pixels show a recognisable face")


def _needed(dataset: Dataset, keyword: str) -> str:
    value = _text(dataset, keyword)
    if not value:
        raise Refusal(f"has no {keyword}, so its images cannot be told to one person and study")
    return value


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    text = "" if value is None else str(value)
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _code_string(dataset: Dataset, keyword: str) -> str:
    text = _text(dataset, keyword).upper()
    return text if _CODE_STRING.fullmatch(text) else ""


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(_text(dataset, keyword), "%Y%m%d").date()  # noqa: DTZ007 - a date without a time
    except ValueError:
        return None
