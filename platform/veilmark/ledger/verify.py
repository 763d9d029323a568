"""Does the ledger say what was written? Reads every event, its signature and the head outside the database."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from veilmark.ledger.chain import GENESIS, Head, digest_of, head_read, is_signed, public_key
from veilmark.ledger.models import Event


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The first thing that is wrong. sequence: of the event, or of the place where one is missing."""

    sequence: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    n_events: int
    problem: Problem | None

    @property
    def ok(self) -> bool:
        return self.problem is None


def ledger_verify() -> Verification:
    """Walk the chain from the first event. Stops at the first problem."""
    key = public_key()
    previous, sequence, head_matches = GENESIS, 0, False
    head, head_problem = _head(key)
    for event in Event.objects.order_by("sequence").iterator():
        sequence += 1
        problem = _problem_of(event, sequence, previous, key)
        if problem:
            return Verification(n_events=sequence, problem=Problem(sequence=sequence, what=problem))
        if head and event.sequence == head.sequence:
            if event.digest != head.digest:
                what = "the signed head names another event here"
                return Verification(n_events=sequence, problem=Problem(sequence=sequence, what=what))
            head_matches = True
        previous = event.digest
    if head_problem and (sequence or head_problem != NO_HEAD):
        return Verification(n_events=sequence, problem=Problem(sequence=sequence, what=head_problem))
    if head and not head_matches:
        what = f"the tail is cut: the signed head stands at {head.sequence}"
        return Verification(n_events=sequence, problem=Problem(sequence=sequence + 1, what=what))
    return Verification(n_events=sequence, problem=None)


NO_HEAD = "the head outside the database is missing"


def _head(key: Ed25519PublicKey) -> tuple[Head | None, str]:
    try:
        head = head_read()
    except ValueError:
        return None, "the head outside the database cannot be read"
    if head is None:
        return None, NO_HEAD
    if not is_signed(head.claim, head.signature, key):
        return None, "the head outside the database is not signed by the ledger's key"
    return head, ""


def _problem_of(event: Event, sequence: int, previous: str, key: Ed25519PublicKey) -> str:
    if event.sequence != sequence:
        return f"an event is missing: the next one is {event.sequence}"
    if event.previous_digest != previous:
        return "does not follow the event before it"
    digest = digest_of(event)
    if digest != event.digest:
        return "was changed after it was written"
    return "" if is_signed(digest, event.signature, key) else "is not signed by the ledger's key"
