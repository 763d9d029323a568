"""Whom receivers are to believe: this site's trust root, and its repository of roots by The Update Framework.

All holders of the root lie with this site's keys at first, so that their number protects against the loss of one, not
against whoever has the machine. The root's own keys (`roots-N-first`, `-second`) may be taken away: saying what is
believed needs `roots-N-targets` and `-online` alone. A key that is away is never replaced by a new one of its name.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from veilmark.core.files import folder_lock
from veilmark.core.keys import key_provider, signing_identity, site_identity
from veilmark.crypto.base import Algorithm, CryptoError
from veilmark.ledger.services import event_append
from veilmark.provenance.digests import digest_of
from veilmark.provenance.errors import RootsError
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.roots.holders import Holders, Keepers
from veilmark.provenance.roots.repository import (
    create_repository,
    publish_content,
    read_published,
    root_version,
    rotate_root,
)
from veilmark.provenance.timestamps import read_roots
from veilmark.provenance.trust import TrustRoot
from veilmark.releases.models import Release
from veilmark.releases.seals import certificate_root
from veilmark.releases.selectors import trust_root_path
from veilmark.releases.states import ReleaseState

KEEP_TASK = "releases:keep_roots"
RENEW_BEFORE = timedelta(days=29, hours=12)  # of the thirty days that a statement of time lasts: daily, that is
ROTATE_BEFORE = timedelta(days=60)  # of the year that a root lasts


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
    """Say whom to believe and what was taken back, for thirty days more. A new identity of this site is added.

    Raises RootsError, CryptoError (a key is not at hand).
    """
    with folder_lock(roots_folder()):
        return _publish(_completed(), "published")


def roots_keep(now: datetime | None = None) -> bool:
    """Publish where something changed since or the statement of time is a day old; hand over to new keys before the
    root expires. Whether anything was signed. Called by the job, which may run as often as it likes.

    Raises as `roots_publish` does: what was published last then stays, until it expires.
    """
    now = now or datetime.now(UTC)
    with folder_lock(roots_folder()):
        published, root = read_published(roots_folder()), _completed()
        is_changed = published is None or not published.says(_content(root))
        is_due = published is not None and published.expires - now < RENEW_BEFORE
        if is_changed or is_due:
            _publish(root, "published" if is_changed else "renewed", now)
        is_ending = published is not None and published.root_expires - now < ROTATE_BEFORE
        if is_ending:
            _rotate(root, now)
    return is_changed or is_due or is_ending


def roots_line() -> str:
    """Until when receivers believe what was published last, in a line; or what is wrong with it."""
    try:
        published = read_published(roots_folder())
    except RootsError as error:
        return str(error)
    if published is None:
        return "not published yet: the worker does it"
    has_expired = published.expires <= datetime.now(UTC)
    return f"{'expired on' if has_expired else 'signed until'} {published.expires:%Y-%m-%d}"


def roots_rotate() -> Roots:
    """New keys for all that sign the roots, signed over by the old ones. Raises RootsError, CryptoError."""
    with folder_lock(roots_folder()):
        return _rotate(trust_root_current())


def identity_revoke(identity_id: str) -> Roots:
    """No statement of that identity is believed any more, whenever it was signed. Raises FormatError."""
    with folder_lock(roots_folder()):
        trust_root_current().revoke(identity_id, revoked_at=_now()).write(trust_root_path())
        return _publish(_completed(), "published")


def _completed() -> TrustRoot:
    """The trust root with this site's present identity and stamping authorities, written where it said less."""
    root, mine = trust_root_current(), site_identity()
    present, stamp_roots = root, dict.fromkeys([*root.timestamp_roots, *_stamp_roots()])
    if mine.id not in {identity.id for identity in root.identities}:
        root = replace(root, identities=(*root.identities, mine.public(created_at=_now())))
    root = replace(root, timestamp_roots=tuple(stamp_roots))
    if root != present:
        root.write(trust_root_path())
    return root


def _publish(root: TrustRoot, what: str, now: datetime | None = None) -> Roots:
    content, version, now = _content(root), root_version(roots_folder()), now or datetime.now(UTC)
    if version:
        publish_content(roots_folder(), content, _keepers(version), now=now)
    else:
        create_repository(roots_folder(), content, _holders(1), now=now)
    _record(what, root)
    return content


def _rotate(root: TrustRoot, now: datetime | None = None) -> Roots:
    version, content = root_version(roots_folder()), _content(root)
    if not version:
        raise RootsError("holds no root to hand over", where=str(roots_folder()), remedy="publish it first")
    old = [_present(name) for name in _root_names(version)]
    rotate_root(roots_folder(), content, _holders(version + 1), old=old, now=now or datetime.now(UTC))
    _record("rotated", root)
    return content


@transaction.atomic
def _record(what: str, root: TrustRoot) -> None:
    revoked = {identity.id: identity.revoked_at for identity in root.identities}
    subject = ("trust_root", digest_of(root.to_bytes()))
    event_append(kind=f"trust_root:{what}", actor=None, subject=subject, payload={"revoked_at": revoked})


def _content(root: TrustRoot) -> Roots:
    revoked = Release.objects.filter(state=ReleaseState.REVOKED).exclude(manifest_digest="")
    return Roots(trust_root=root, revoked=tuple(revoked.values_list("manifest_digest", flat=True)))


def _root_names(version: int) -> list[str]:
    return [f"roots-{version}-{place}" for place in ("first", "second")]


def _holders(version: int) -> Holders:
    """All who sign that version of the root, with new keys where there are none yet."""
    root = [signing_identity(name) for name in _root_names(version)]
    targets, online = (signing_identity(f"roots-{version}-{role}") for role in ("targets", "online"))
    return Holders(root=root, threshold=len(root), targets=targets, online=online)


def _keepers(version: int) -> Keepers:
    targets, online = (_present(f"roots-{version}-{role}") for role in ("targets", "online"))
    return Keepers(targets=targets, online=online)


def _present(name: str) -> SigningIdentity:
    """The keys of that name. Raises CryptoError where they are away: new ones would sign what nobody believes."""
    if not all(key_provider().has_signing_key(name, algorithm) for algorithm in Algorithm):
        remedy = "bring it back; until then receivers believe what was published last, for thirty days"
        raise CryptoError("is not at hand", where=f"key {name} of the trust roots", remedy=remedy)
    return signing_identity(name)


def _stamp_roots() -> list[bytes]:
    return read_roots(Path(settings.VEILMARK_STAMP_ROOTS)) if settings.VEILMARK_STAMP_ROOTS else []


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
