"""The public vocabulary of demographic groups (privacy.md 6): the same for every cohort, so it tells nothing of one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from generators.base import DataError
from generators.data import Strings

AGE_GROUPS = ("0-17", "18-39", "40-64", "65+")
SEXES = ("F", "M")
OLDEST_WRITTEN_AGE = 89
_UPPER_AGES = (17, 39, 64)
_SEX_WORDS = {
    **dict.fromkeys(("f", "female", "w"), "F"),
    **dict.fromkeys(("m", "male"), "M"),
    **dict.fromkeys(("", "o", "u", "unknown", "nan"), ""),
}


def age_group(age: float | None) -> str:
    """The group of an age in years; an empty string where it is unknown. Raises DataError below 0 or above 130."""
    if age is None or math.isnan(age):
        return ""
    if not 0 <= age <= 130:
        raise DataError(f"is {age:g} years", where="age", remedy="give years from 0 to 130, or leave it empty")
    return AGE_GROUPS[sum(math.floor(age) > upper for upper in _UPPER_AGES)]


def written_age(age: float | None) -> str:
    """An age as it may be written: whole years, `90+` above 89 (45 CFR 164.514(b)(2)(i)(C)), empty where unknown."""
    if age is None or math.isnan(age):
        return ""
    return "90+" if age > OLDEST_WRITTEN_AGE else str(math.floor(age))


def age_groups(ages: Iterable[float | None]) -> Strings:
    """`age_group` of each."""
    return np.array([age_group(age) for age in ages], dtype=np.str_)


def normal_sex(word: str) -> str:
    """`F`, `M` or an empty string for any usual spelling. Raises DataError for another word."""
    try:
        return _SEX_WORDS[word.strip().lower()]
    except KeyError:
        raise DataError(f"{str(word)!r} is no known sex", where="sex", remedy="write F, M or leave it empty") from None
