"""`croissant.json`: the data set for catalogues and loaders, in Croissant 1.0 (MLCommons)."""

from __future__ import annotations

from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import INDEX_COLUMNS, INDEX_NAME, ReleaseInfo
from veilmark.provenance.strict_json import readable_json

_TERMS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
    "subField transform"
)
_CONTEXT = {  # the specification's own, whole: readers compare it
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
}


def croissant(release: ReleaseInfo, index: bytes) -> bytes:
    """The table of labels, the set of PNG files, and how they join."""
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"images/{column}",
            "name": column,
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": "index"}, "extract": {"column": column}},
        }
        for column in INDEX_COLUMNS
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
