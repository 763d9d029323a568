"""Whose copy did leaked images come from? Officers ask; every question is in the ledger, whatever the answer.

The public mark names release and image; the secret layer of the grants' copies names the recipient, or nobody. A name
is a lead: it says whose copy was leaked, not who leaked it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from django.db import transaction
from numpy.typing import NDArray
from PIL import Image

from veilmark.access.copies import TRACING_SECRET
from veilmark.access.models import GrantCopy
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.core.errors import ApplicationError, IntegrityError
from veilmark.core.keys import secret_of
from veilmark.ledger.services import event_append
from veilmark.provenance.digests import digest_of
from veilmark.provenance.files import FinalImage, read_final
from veilmark.provenance.manifest import ImageEntry, Manifest, parse_manifest
from veilmark.provenance.source import open_bundle
from veilmark.provenance.statements import MANIFEST_NAME
from veilmark.provenance.tracing import FALSE_ACCUSATION_RATE, Leak, Trace, find_recipients
from veilmark.provenance.watermark import Detection, MarkId, detect_mark
from veilmark.provenance.watermark.plane import stretched
from veilmark.releases.models import Release
from veilmark.releases.selectors import bundle_folder

MAX_FILES = 100
NOBODY = "no recipient can be named"
Pixels = NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One leaked file. `release` and `image_id` are empty where no mark of a release with grants was found."""

    name: str
    digest: str
    release: str
    image_id: str
    stage: str
    mark_false_positive_rate: float


@dataclass(frozen=True, kw_only=True)
class Named:
    """A recipient. `grant_id` is what the copy's own statement says."""

    release: str
    recipient: str
    grant: str
    grant_id: str
    z: float
    false_accusation_rate: float


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """`named` is empty where nobody can be named; `answer` says it in a line. `n_recipients` were compared."""

    files: Sequence[Examined]
    named: Sequence[Named]
    n_recipients: int
    false_accusation_rate: float
    answer: str

    def to_json(self) -> dict[str, object]:
        """For the command line and the API."""
        return asdict(self)


def leak_examine(*, files: Sequence[tuple[str, bytes]], acting_user: User) -> Inquiry:
    """Examine leaked image files (name, bytes) together: several of one recipient say more than one.

    Raises NotAllowedError, ApplicationError (no files, too many), ProvenanceError (no image).
    """
    require(acting_user, "leak:examine")
    if not 1 <= len(files) <= MAX_FILES:
        raise ApplicationError(f"{len(files)} files", where="leak", remedy=f"give 1 to {MAX_FILES} images")
    images = [read_final(data, where=name).pixels for name, data in files]
    known = _Known.read()
    found = [known.find(image) for image in images]
    examined = [_examined(name, data, *result) for (name, data), result in zip(files, found, strict=True)]
    leaks: dict[Release, list[Leak]] = {}
    for image, (_, place) in zip(images, found, strict=True):
        if place is not None:
            original = _original(place.release, place.image)
            leak = Leak(image_id=place.image.image_id, pixels=image, original=original)
            leaks.setdefault(place.release, []).append(leak)
    copies = {release: _copies(release) for release in leaks}
    traces = {release: _trace(part, copies[release]) for release, part in leaks.items()}
    named = [row for release, trace in traces.items() for row in _named(release, trace, copies[release])]
    inquiry = Inquiry(
        files=examined,
        named=named,
        n_recipients=sum(trace.n_recipients for trace in traces.values()),
        false_accusation_rate=FALSE_ACCUSATION_RATE * max(len(traces), 1),
        answer=_answer(examined, named),
    )
    _record(inquiry, acting_user)
    return inquiry


@dataclass(frozen=True, kw_only=True)
class _Place:
    release: Release
    image: ImageEntry


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The marks of all releases that somebody was granted."""

    places: Mapping[MarkId, _Place]
    sizes: Sequence[int]

    @classmethod
    def read(cls) -> _Known:
        granted = Release.objects.filter(requests__grant__copy__isnull=False).exclude(manifest_digest="").distinct()
        releases = list(granted.select_related("synthetic_set__training_run"))
        places = {
            MarkId.from_hex(image.mark_id): _Place(release=release, image=image)
            for release in releases
            for image in _manifest(release).images
            if image.mark_id
        }
        sizes = {release.synthetic_set.training_run.image_size for release in releases}
        return cls(places=places, sizes=sorted(sizes))

    def find(self, image: Pixels) -> tuple[Detection, _Place | None]:
        """The mark as the image is, then at the sizes of released images: a screenshot is seldom of the same size."""
        first: Detection | None = None
        for view in self._views(image):
            detection = detect_mark(view, known_ids=list(self.places))
            first = first or detection
            if detection.id is not None:
                return detection, self.places.get(detection.id)
        return first or detect_mark(image), None

    def _views(self, image: Pixels) -> Iterator[Pixels]:
        yield image
        plane = np.clip(np.rint(stretched(image[None])[0]), 0, 255).astype(np.uint8)
        for size in self.sizes:
            if max(plane.shape) != size:
                scale = size / max(plane.shape)
                height, width = (max(round(length * scale), 1) for length in plane.shape)
                yield np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def _manifest(release: Release) -> Manifest:
    with open_bundle(bundle_folder(release)) as source:
        data = source.read(MANIFEST_NAME)
    if digest_of(data) != release.manifest_digest:
        raise IntegrityError(
            "its manifest is not the one that was published",
            where=f"release {release.name}",
            remedy="restore the bundle from a copy",
        )
    return parse_manifest(data, where=MANIFEST_NAME)


def _original(release: Release, image: ImageEntry) -> Pixels:
    entry = image.files[0]
    with open_bundle(bundle_folder(release)) as source:
        data = source.read(entry.path)
    if digest_of(data) != entry.digest:
        raise IntegrityError("was changed since it was released", where=entry.path, remedy="restore it from a copy")
    final: FinalImage = read_final(data, where=entry.path)
    return final.pixels


def _examined(name: str, data: bytes, detection: Detection, place: _Place | None) -> Examined:
    return Examined(
        name=name,
        digest=digest_of(data),
        release=place.release.name if place else "",
        image_id=place.image.image_id if place else "",
        stage=detection.stage,
        mark_false_positive_rate=detection.false_positive_rate,
    )


def _copies(release: Release) -> dict[str, GrantCopy]:
    copies = GrantCopy.objects.filter(grant__request__release=release).select_related("grant__request__researcher")
    return {str(copy.public_id): copy for copy in copies}


def _trace(leaks: Sequence[Leak], copies: Mapping[str, GrantCopy]) -> Trace:
    return find_recipients(leaks, list(copies), secret=secret_of(TRACING_SECRET))


def _named(release: Release, trace: Trace, copies: Mapping[str, GrantCopy]) -> list[Named]:
    return [
        Named(
            release=release.name,
            recipient=copies[suspect.recipient].grant.request.researcher.get_username(),
            grant=str(copies[suspect.recipient].grant_id),
            grant_id=suspect.recipient,
            z=round(suspect.z, 2),
            false_accusation_rate=suspect.false_accusation_rate,
        )
        for suspect in trace.named
    ]


def _answer(files: Sequence[Examined], named: Sequence[Named]) -> str:
    if named:
        return "from the copy of " + ", ".join(f"{row.recipient} ({row.release})" for row in named)
    if not any(file.release for file in files):
        return f"no mark of a granted release was found, which proves nothing; {NOBODY}"
    return NOBODY


@transaction.atomic
def _record(inquiry: Inquiry, acting_user: User) -> None:
    payload = {
        "files": [file.digest for file in inquiry.files],
        "releases": sorted({file.release for file in inquiry.files if file.release}),
        "grants_named": [row.grant for row in inquiry.named],
        "n_recipients": inquiry.n_recipients,
    }
    event_append(kind="leak:examined", actor=acting_user, payload=payload)
