"""The words and exit codes of verifying."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from veilmark.provenance.embedded.seal import Seal
from veilmark.provenance.timestamps import ProvenTime
from veilmark.provenance.watermark import Detection


class Verdict(Enum):
    """One word and one exit code each (two words for "not known"); the meanings stand in the README."""

    AUTHENTIC = ("authentic", 0)
    ALTERED = ("altered but ours", 10)
    MARK_ONLY = ("mark only", 11)
    COPIED_MARK = ("copied mark", 12)
    RECALLED = ("recalled", 13)
    UNMARKED = ("unmarked", 14)
    UNDETERMINED = ("undetermined", 15)
    SEALED = ("sealed", 15)  # a lone file: its seal holds, of its release nothing is known

    def __init__(self, word: str, exit_code: int) -> None:
        self.word, self.exit_code = word, exit_code


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with which file."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The outcome. `problems` name every file that fails; `grant_id` is there for a grant's copy of a release;
    `detection` is there when a mark was searched for, `seal` when an image given alone carries one."""

    verdict: Verdict
    problems: tuple[Problem, ...] = ()
    release_id: str = ""
    grant_id: str = ""
    image_id: str = ""
    n_images: int = 0
    proven_time: ProvenTime | None = None
    detection: Detection | None = None
    seal: Seal | None = None

    @property
    def exit_code(self) -> int:
        """The verdict's."""
        return self.verdict.exit_code

    def to_json(self) -> dict[str, object]:
        """For `veilmark verify --json`."""
        mark = self.detection and {
            "detected": self.detection.detected,
            "id": self.detection.id.hex if self.detection.id else None,
            "stage": self.detection.stage,
            "false_positive_rate": self.detection.false_positive_rate,
        }
        return {
            "verdict": self.verdict.word,
            "exit_code": self.exit_code,
            "problems": [{"where": problem.where, "what": problem.what} for problem in self.problems],
            "release_id": self.release_id or None,
            "grant_id": self.grant_id or None,
            "image_id": self.image_id or None,
            "n_images": self.n_images,
            "mark": mark,
            "seal": self.seal and self.seal.to_json(),
            "time_stamp": self.proven_time
            and {"proven_time": self.proven_time.text, "authority": self.proven_time.authority},
        }
