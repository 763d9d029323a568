"""What a bundle says to people and to catalogues: `images/index.csv`, `croissant.json`, `datasheet.md`."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from veilmark.provenance.digests import ImageMetadata, check_name, digest_of
from veilmark.provenance.errors import FormatError
from veilmark.provenance.manifest import Manifest, check_time
from veilmark.provenance.strict_json import readable_json

INDEX_NAME = "images/index.csv"
_COLUMNS = ("image_id", "file", "label", "sex", "age_group")
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "includes": "cr:includes",
    "key": "cr:key",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "sc": "https://schema.org/",
    "source": "cr:source",
}


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
    writer.writerow(_COLUMNS)
    for image, row in zip(manifest.images, metadata, strict=True):
        name = image.files[0].path.removeprefix("images/")
        writer.writerow((row.image_id, name, row.label, row.sex, row.age_group))
    return text.getvalue().encode()


def croissant(release: ReleaseInfo, index: bytes) -> bytes:
    """Croissant 1.0 (MLCommons): the table of labels, the set of PNG files, and how they join."""
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"images/{column}",
            "name": column,
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": "index"}, "extract": {"column": column}},
        }
        for column in _COLUMNS
    ]
    fields[1]["references"] = {"fileSet": {"@id": "png"}, "extract": {"fileProperty": "filename"}}
    return readable_json(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "name": release.release_id,
            "description": f"{release.title}. {release.description} All images are synthetic.",
            "license": release.licence,
            "creator": {"@type": "sc:Organization", "name": release.creator},
            "datePublished": release.created_at,
            "version": release.version,
            "keywords": list(release.keywords),
            "url": f"urn:veilmark:release:{release.release_id}",
            "citeAs": f"{release.creator}: {release.title}, version {release.version}, {release.created_at[:4]}",
            "distribution": [
                {
                    "@type": "cr:FileObject",
                    "@id": "index",
                    "name": "index.csv",
                    "contentUrl": INDEX_NAME,
                    "encodingFormat": "text/csv",
                    "sha256": digest_of(index).removeprefix("sha256:"),
                },
                {
                    "@type": "cr:FileSet",
                    "@id": "png",
                    "name": "png",
                    "includes": "images/*.png",
                    "encodingFormat": "image/png",
                },
            ],
            "recordSet": [{"@type": "cr:RecordSet", "@id": "images", "name": "images", "field": fields}],
        }
    )


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
