"""`bom.json`: what a release was made from, as a CycloneDX 1.6 bill of materials for machine learning.

The data set is what it is about; the generator is a component with its model card. Its serial number follows from the
release's content, so that the same release gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import INDEX_NAME, GeneratorInfo, ReleaseInfo
from veilmark.provenance.manifest import Manifest
from veilmark.provenance.strict_json import readable_json

_CAVEAT = "Every image is synthetic. None shows a real person, and none may be used for diagnosis."


def bill_of_materials(release: ReleaseInfo, manifest: Manifest, documents: Mapping[str, bytes]) -> bytes:
    """The file. `documents` are those it refers to, by their path in the bundle."""
    generator = _generator(release.generator, release) if release.generator else None
    return readable_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{release.release_id} {manifest.merkle_root}')}",
            "version": 1,
            "metadata": {"timestamp": release.created_at, "component": _data_set(release, manifest, documents)},
            "components": [generator] if generator else [],
            "dependencies": [
                {"ref": "data-set", "dependsOn": ["generator"] if generator else []},
                *([{"ref": "generator", "dependsOn": []}] if generator else []),
            ],
        }
    )


def _data_set(release: ReleaseInfo, manifest: Manifest, documents: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "type": "data",
        "bom-ref": "data-set",
        "name": release.release_id,
        "version": release.version,
        "description": f"{release.title}. {release.description} {_CAVEAT}",
        "supplier": {"name": release.creator},
        "licenses": [{"license": _licence(release.licence)}],
        "data": [
            {
                "type": "dataset",
                "name": release.title,
                "contents": {"url": INDEX_NAME},
                "classification": "synthetic",
                "description": f"{len(manifest.images)} images with labels",
            }
        ],
        "externalReferences": [
            {"type": kind, "url": name, "hashes": [_hash(documents[name])]}
            for kind, name in (
                ("distribution", INDEX_NAME),
                ("documentation", "datasheet.md"),
                ("quality-metrics", "report/report.json"),
                ("evidence", "decision.json"),
            )
        ],
        "properties": _properties({"merkle_root": manifest.merkle_root, "n_images": str(len(manifest.images))}),
    }


def _generator(generator: GeneratorInfo, release: ReleaseInfo) -> dict[str, object]:
    public_data = [
        {"type": "dataset", "name": name, "governance": {"owners": []}, "description": "public, at no privacy cost"}
        for name in generator.public_data
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": "generator",
        "name": generator.name,
        "version": generator.version,
        **({"hashes": [_sha256(generator.digest)]} if generator.digest else {}),
        "modelCard": {
            "modelParameters": {
                "task": "image generation",
                "architectureFamily": generator.name,
                "datasets": public_data,
                "outputs": [{"format": "image"}],
            },
            "considerations": {
                "useCases": ["drawing the images of this release"],
                "technicalLimitations": [_CAVEAT],
                "ethicalConsiderations": [
                    {"name": name, "mitigationStrategy": text} for name, text in release.facts.items()
                ],
            },
            "properties": _properties(generator.parameters),
        },
    }


def _licence(licence: str) -> dict[str, str]:
    is_url = licence.startswith(("http://", "https://"))
    return {"name": licence, "url": licence} if is_url else {"name": licence}


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"veilmark:{name}", "value": value} for name, value in sorted(values.items())]


def _hash(data: bytes) -> dict[str, str]:
    return _sha256(digest_of(data))


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}
