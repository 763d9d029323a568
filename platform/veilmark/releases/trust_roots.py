"""Whom receivers are to believe: this site's trust root, and its repository of roots by The Update Framework.

All holders of the root lie with this site's keys, so that their number protects against the loss of one, not against
whoever has the machine. A site that wants more keeps them elsewhere and calls `rotate_root` with them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from veilmark.core.keys import signing_identity, site_identity
from veilmark.ledger.services import event_append
from veilmark.provenance.digests import digest_of
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.roots.repository import Holders, create_repository, publish_content, root_version, rotate_root
from veilmark.provenance.timestamps import read_roots
from veilmark.provenance.trust import TrustRoot
from veilmark.releases.models import Release
from veilmark.releases.seals import certificate_root
from veilmark.releases.selectors import trust_root_path
from veilmark.releases.states import ReleaseState


def roots_folder() -> Path:
    """What a web server gives to receivers; `metadata/1.root.json` is what they pin."""
    return Path(settings.VEILMARK_VAR) / "roots"


def trust_root_current() -> TrustRoot:
    """`var/trust-root.json`, made with this site's identity where there is none.

    One of before certificates were in it is completed.
    """
    if not trust_root_path().exists():
        TrustRoot.of(site_identity(), created_at=_now(), timestamp_roots=_stamp_roots()).write(trust_root_path())
    root = TrustRoot.read(trust_root_path())
    if not root.certificate_roots:
        root = replace(root, certificate_roots=(certificate_root(),))
        root.write(trust_root_path())
    return root


def roots_publish() -> Roots:
    """Say whom to believe and what was taken back, for thirty days more. A new identity of this site is added."""
    root, mine = trust_root_current(), site_identity()
    if mine.id not in {identity.id for identity in root.identities}:
        root = replace(root, identities=(*root.identities, mine.public(created_at=_now())))
    stamp_roots = dict.fromkeys([*root.timestamp_roots, *_stamp_roots()])
    root = replace(root, timestamp_roots=tuple(stamp_roots))
    root.write(trust_root_path())
    content, version = _content(root), root_version(roots_folder())
    publish = publish_content if version else create_repository
    publish(roots_folder(), content, _holders(version or 1), now=datetime.now(UTC))
    _record("published", root)
    return content


def roots_rotate() -> Roots:
    """New keys for all that sign the roots, signed over by the old ones. Raises RootsError."""
    version, content = root_version(roots_folder()), _content(trust_root_current())
    old = _holders(version).root
    rotate_root(roots_folder(), content, _holders(version + 1), old=old, now=datetime.now(UTC))
    _record("rotated", content.trust_root)
    return content


def identity_revoke(identity_id: str) -> Roots:
    """No statement of that identity is believed any more, whenever it was signed. Raises FormatError."""
    trust_root_current().revoke(identity_id, revoked_at=_now()).write(trust_root_path())
    return roots_publish()


@transaction.atomic
def _record(what: str, root: TrustRoot) -> None:
    revoked = {identity.id: identity.revoked_at for identity in root.identities}
    subject = ("trust_root", digest_of(root.to_bytes()))
    event_append(kind=f"trust_root:{what}", actor=None, subject=subject, payload={"revoked_at": revoked})


def _content(root: TrustRoot) -> Roots:
    revoked = Release.objects.filter(state=ReleaseState.REVOKED).exclude(manifest_digest="")
    return Roots(trust_root=root, revoked=tuple(revoked.values_list("manifest_digest", flat=True)))


def _holders(version: int) -> Holders:
    root = [signing_identity(f"roots-{version}-{place}") for place in ("first", "second")]
    targets, online = (signing_identity(f"roots-{version}-{role}") for role in ("targets", "online"))
    return Holders(root=root, threshold=len(root), targets=targets, online=online)


def _stamp_roots() -> list[bytes]:
    return read_roots(Path(settings.VEILMARK_STAMP_ROOTS)) if settings.VEILMARK_STAMP_ROOTS else []


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
