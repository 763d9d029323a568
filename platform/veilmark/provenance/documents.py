"""What a bundle says to people: its release, the table of labels, the datasheet, why it was allowed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from veilmark.provenance.digests import ImageMetadata, check_digest, check_name
from veilmark.provenance.errors import FormatError
from veilmark.provenance.manifest import Manifest, check_time
from veilmark.provenance.strict_json import readable_json

INDEX_NAME = "images/index.csv"
INDEX_COLUMNS = ("image_id", "file", "label", "sex", "age_group")


@dataclass(frozen=True, kw_only=True)
class GeneratorInfo:
    """What drew the images. `digest`: of its weights, or empty; `parameters` are public settings, name to text.

    `public_data` names data sets that it was made with beside the cohort; the cohort itself is never named.
    """

    name: str
    version: str
    digest: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    public_data: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.digest:
            check_digest(self.digest, where=self.name)


@dataclass(frozen=True, kw_only=True)
class ReleaseInfo:
    """What a publisher says about a release. `created_at` is UTC (2026-11-21T09:30:00Z); `licence` a name or URL.

    `facts` are further lines of the datasheet, name to text (such as the privacy claim with its accountant).
    """

    release_id: str
    created_at: str
    title: str
    description: str
    licence: str
    creator: str
    version: str = "1.0.0"
    keywords: Sequence[str] = ("synthetic", "medical images", "differential privacy")
    facts: Mapping[str, str] = field(default_factory=dict)
    generator: GeneratorInfo | None = None

    def __post_init__(self) -> None:
        check_name(self.release_id, where="release_id")
        check_time(self.created_at, where="created_at")
        for name in ("title", "description", "licence", "creator"):
            if not getattr(self, name).strip():
                raise FormatError(f"{name} is empty", where=self.release_id)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why the release was allowed: the decision with its reasons, and the publishable form of the audit report."""

    decision: Mapping[str, object]
    report: Mapping[str, object]
    report_html: str

    def files(self) -> dict[str, bytes]:
        """Path in the bundle to bytes."""
        return {
            "decision.json": readable_json(dict(self.decision)),
            "report/report.json": readable_json(dict(self.report)),
            "report/report.html": self.report_html.encode(),
        }


def index_csv(manifest: Manifest, metadata: Sequence[ImageMetadata]) -> bytes:
    """One row an image: its PNG, label and groups."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for image, row in zip(manifest.images, metadata, strict=True):
        name = image.files[0].path.removeprefix("images/")
        writer.writerow((row.image_id, name, row.label, row.sex, row.age_group))
    return text.getvalue().encode()


def datasheet(release: ReleaseInfo, manifest: Manifest, metadata: Sequence[ImageMetadata], *, image_kind: str) -> bytes:
    """The facts a receiver needs before using the images, in Markdown."""
    n_marked = sum(bool(image.mark_id) for image in manifest.images)
    lines = [
        f"# {release.title}",
        "",
        release.description,
        "",
        "**Every image is synthetic. None shows a real person, and none may be used for diagnosis.**",
        "",
        f"- Release: `{release.release_id}`, version {release.version}, {release.created_at}",
        f"- Published by: {release.creator}",
        f"- Licence: {release.licence}",
        f"- Images: {len(manifest.images)}, {image_kind}",
        f"- Watermarked: {n_marked} of {len(manifest.images)} (mark release {manifest.mark_release})",
        f"- Merkle root of the content digests: `{manifest.merkle_root}`",
        *(f"- {name}: {text}" for name, text in release.facts.items()),
        "",
        "## What the images show",
        "",
        *_counts("Label", [row.label for row in metadata]),
        *_counts("Sex", [row.sex for row in metadata]),
        *_counts("Age group", [row.age_group for row in metadata]),
        "## How to check it",
        "",
        "Run `veilmark verify` on this folder with the publisher's trust root. It needs no network.",
        "The mark in the pixels points back to this release; it is no proof, and its absence proves nothing.",
        "The measured privacy and fidelity stand in `report/`, the rules and their outcome in `decision.json`.",
        "",
    ]
    return "\n".join(lines).encode()


def _counts(title: str, values: Sequence[str]) -> list[str]:
    counted = sorted(Counter(value for value in values if value).items())
    return [f"{title}: " + ", ".join(f"{value} ({n})" for value, n in counted), ""] if counted else []
