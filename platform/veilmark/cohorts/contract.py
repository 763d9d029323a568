"""The data contract: what a cohort must be before a generator may see it, checked by Great Expectations.

The suite runs in an ephemeral context in this process: its analytics are off and nothing leaves the machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from generators.base import DataError
from generators.groups import normal_sex
from generators.label_rules import MIN_SUBJECTS_A_LABEL
from veilmark.cohorts.source import SourceCohort

if TYPE_CHECKING:
    import pandas as pd

MIN_SUBJECTS = 30
MIN_SUBJECTS_PER_LABEL = MIN_SUBJECTS_A_LABEL
MAX_MISSING_RATE = 0.5


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expectation: what was asked of which column, what was found. A `warn` is shown and blocks nothing."""

    name: str
    column: str
    severity: str
    passed: bool
    wanted: str
    found: str


@dataclass(frozen=True, kw_only=True)
class ContractOutcome:
    checks: tuple[Check, ...]
    suite_digest: str

    @property
    def passed(self) -> bool:
        return all(check.passed or check.severity == "warn" for check in self.checks)

    @property
    def first_failure(self) -> Check:
        return next(check for check in self.checks if not check.passed and check.severity == "block")

    def as_json(self) -> list[dict[str, object]]:
        return [asdict(check) for check in self.checks]


def contract_table(source: SourceCohort) -> pd.DataFrame:
    """One row an image: the columns that the suite speaks of. Age is a number, NaN where the source says nothing."""
    import pandas as pd  # noqa: PLC0415 - loaded where a cohort comes in, not with every page

    n = len(source.names)

    def column(role: str) -> tuple[str, ...]:
        return source.columns.get(role, ("",) * n)

    per_label = _subjects_per_label(source)
    return pd.DataFrame(
        {
            "image": source.names,
            "subject": [value or None for value in source.columns.get("subject", source.names)],
            "label": [value or None for value in column("label")],
            "label_subjects": [per_label[value] for value in column("label")],
            "sex": [_sex(value) or None for value in column("sex")],
            "age_text": [value or None for value in column("age")],
            "age": [_age(value) for value in column("age")],
            "height": source.images.shape[1],
            "width": source.images.shape[2],
            "contrast": np.ptp(source.images.reshape(n, -1), axis=1).astype(int),
            "pixels": pixel_digests(source),
        }
    )


def pixel_digests(source: SourceCohort) -> list[str]:
    """SHA-256 of each image's pixels, to find one image under two names."""
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in source.images]


def check_contract(source: SourceCohort) -> ContractOutcome:
    """Run the suite on a source. Never raises for what it finds: the outcome says it."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, or it reports home
    import great_expectations as gx  # noqa: PLC0415 - takes seconds; and the line above must come first

    # It tells of its temporary folders, and sets its own level when it is imported.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415 - as above

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("cohort").add_dataframe_asset("images")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": contract_table(source)})
    result = batch.validate(_suite(gx))
    checks = tuple(_check(found) for found in result.results)
    wanted = [(check.name, check.column, check.severity, check.wanted) for check in checks]
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    return ContractOutcome(checks=checks, suite_digest=f"sha256:{digest}")


def _suite(gx: Any) -> Any:
    e = gx.expectations
    block, warn = {"severity": "block"}, {"severity": "warn"}
    numeric = r"^\d{1,3}(?:\.\d+)?$"
    return gx.ExpectationSuite(
        name="cohort contract",
        expectations=[
            e.ExpectColumnValuesToNotBeNull(column="subject", meta=block | {"wanted": "a subject for every image"}),
            e.ExpectColumnUniqueValueCountToBeBetween(
                column="subject", min_value=MIN_SUBJECTS, meta=block | {"wanted": f"at least {MIN_SUBJECTS} subjects"}
            ),
            e.ExpectColumnValuesToNotBeNull(column="label", meta=block | {"wanted": "a label for every image"}),
            e.ExpectColumnUniqueValueCountToBeBetween(
                column="label", min_value=1, max_value=50, meta=block | {"wanted": "1 to 50 different labels"}
            ),
            e.ExpectColumnValuesToBeBetween(
                column="label_subjects",
                min_value=MIN_SUBJECTS_PER_LABEL,
                meta=block
                | {"wanted": f"every label on at least {MIN_SUBJECTS_PER_LABEL} subjects (merge it, or leave it out)"},
            ),
            e.ExpectColumnValuesToBeInSet(column="sex", value_set=["F", "M"], meta=block | {"wanted": "F, M or empty"}),
            e.ExpectColumnValuesToMatchRegex(
                column="age_text", regex=numeric, meta=block | {"wanted": "an age in years, or empty"}
            ),
            e.ExpectColumnValuesToBeBetween(
                column="age", min_value=0, max_value=120, meta=block | {"wanted": "an age of 0 to 120 years"}
            ),
            e.ExpectColumnValuesToBeBetween(
                column="height", min_value=16, max_value=4096, meta=block | {"wanted": "16 to 4,096 pixels high"}
            ),
            e.ExpectColumnValuesToBeBetween(
                column="width", min_value=16, max_value=4096, meta=block | {"wanted": "16 to 4,096 pixels wide"}
            ),
            e.ExpectColumnValuesToBeBetween(
                column="contrast", min_value=1, meta=block | {"wanted": "no image of one single value"}
            ),
            e.ExpectColumnValuesToBeUnique(column="pixels", meta=warn | {"wanted": "no two images with equal pixels"}),
            e.ExpectColumnValuesToNotBeNull(
                column="sex", mostly=1 - MAX_MISSING_RATE, meta=warn | {"wanted": "sex known for at least half"}
            ),
            e.ExpectColumnValuesToNotBeNull(
                column="age_text", mostly=1 - MAX_MISSING_RATE, meta=warn | {"wanted": "age known for at least half"}
            ),
        ],
    )


def _check(found: Any) -> Check:
    config = found.expectation_config
    return Check(
        name=config.type.removeprefix("expect_").replace("_", " "),
        column=config.kwargs["column"],
        severity=config.meta["severity"],
        passed=bool(found.success),
        wanted=config.meta["wanted"],
        found=_found(found.result),
    )


def _found(result: Mapping[str, Any]) -> str:
    if "observed_value" in result:
        return f"{result['observed_value']}"
    if "unexpected_count" not in result:
        return "not evaluated"
    examples: Sequence[Any] = [value for value in result.get("partial_unexpected_list", []) if value is not None][:3]
    shown = f", such as {', '.join(str(value)[:24] for value in examples)}" if examples else ""
    return f"{result['unexpected_count']} of {result['element_count']} otherwise{shown}"


def _sex(text: str) -> str:
    try:
        return normal_sex(text)
    except DataError:
        return text  # an unknown word stays, so that the check names it


def _age(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _subjects_per_label(source: SourceCohort) -> Counter[str]:
    labels = source.columns.get("label", ("",) * len(source.names))
    subjects = source.columns.get("subject", source.names)
    return Counter(label for label, _ in set(zip(labels, subjects, strict=True)))
