"""The ledger finds whatever was done to it behind its back."""

import json
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from veilmark.core.errors import StateError
from veilmark.ledger.append_only import ADD, REMOVE
from veilmark.ledger.chain import digest_of, head_path, sign
from veilmark.ledger.models import Event
from veilmark.ledger.services import event_append
from veilmark.ledger.verify import ledger_verify

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def append(n: int = 1, **payload: object) -> None:
    for index in range(n):
        with transaction.atomic():
            event_append(kind="test:happened", actor=None, subject=("thing", "1"), payload={"index": index, **payload})


def behind_its_back(sql: str, *parameters: object) -> None:
    """As somebody would who owns the database: without the triggers."""
    with connection.cursor() as cursor:
        for statement in REMOVE[connection.vendor]:
            cursor.execute(statement)
        cursor.execute(sql, parameters)
        for statement in ADD[connection.vendor]:
            cursor.execute(statement)


def test_an_untouched_ledger_verifies():
    append(5, value=0.1, text="é", nothing=None)
    assert ledger_verify().ok
    assert ledger_verify().n_events == 5
    call_command("ledger_verify")


def test_an_empty_ledger_verifies():
    assert ledger_verify().ok


def test_an_event_needs_the_transaction_of_its_change():
    with pytest.raises(RuntimeError):
        event_append(kind="test:happened", actor=None)
    assert not Event.objects.exists()


def test_an_event_of_a_change_that_failed_is_not_there():
    append(1)
    with transaction.atomic():
        event_append(kind="test:happened", actor=None)
        transaction.set_rollback(True)
    append(1)
    assert [event.sequence for event in Event.objects.all()] == [1, 2]
    assert ledger_verify().ok


@pytest.mark.parametrize("payload", [{"x": float("nan")}, {"x": object()}], ids=["not a number", "no json"])
def test_a_payload_that_json_cannot_hold_is_refused(payload):
    with pytest.raises((ValueError, TypeError)), transaction.atomic():
        event_append(kind="test:happened", actor=None, payload=payload)
    assert not Event.objects.exists()


def resign_third() -> None:
    """A forger who recomputes the digest, but has no key."""
    event = Event.objects.get(sequence=3)
    event.payload_text = '{"index":99}'
    behind_its_back(
        "UPDATE ledger_event SET payload_text = %s, digest = %s WHERE sequence = 3",
        event.payload_text,
        digest_of(event),
    )


def swap() -> None:
    for old, new in ((2, 1000), (3, 2), (1000, 3)):
        behind_its_back("UPDATE ledger_event SET sequence = %s WHERE sequence = %s", new, old)


def forge_head() -> None:
    """Cut the tail and set the head back, with the signature that the event itself bears."""
    behind_its_back("DELETE FROM ledger_event WHERE sequence > 3")
    third = Event.objects.get(sequence=3)
    head_path().write_text(json.dumps({"sequence": 3, "digest": third.digest, "signature": third.signature}))


def add_without_key() -> None:
    last = Event.objects.get(sequence=5)
    forged = Event(sequence=6, kind="release:published", payload_text="{}", created_at=last.created_at)
    forged.previous_digest = last.digest
    forged.digest = digest_of(forged)
    forged.signature = last.signature
    forged.save(force_insert=True)


@pytest.mark.parametrize(
    ("harm", "sequence", "what"),
    [
        pytest.param(
            lambda: behind_its_back("UPDATE ledger_event SET payload_text = '{}' WHERE sequence = 2"),
            2, "changed", id="payload edited",
        ),
        pytest.param(
            lambda: behind_its_back("UPDATE ledger_event SET kind = 'test:other' WHERE sequence = 5"),
            5, "changed", id="newest event edited",
        ),
        pytest.param(
            lambda: behind_its_back("UPDATE ledger_event SET subject_id = '2' WHERE sequence = 1"),
            1, "changed", id="first event edited",
        ),
        pytest.param(resign_third, 3, "not signed", id="edited with its digest"),
        pytest.param(
            lambda: behind_its_back("DELETE FROM ledger_event WHERE sequence = 3"),
            3, "missing", id="removed from the middle",
        ),
        pytest.param(
            lambda: behind_its_back("DELETE FROM ledger_event WHERE sequence = 1"),
            1, "missing", id="removed from the start",
        ),
        pytest.param(
            lambda: behind_its_back("DELETE FROM ledger_event WHERE sequence > 3"),
            4, "tail is cut", id="tail cut",
        ),
        pytest.param(lambda: behind_its_back("DELETE FROM ledger_event"), 1, "tail is cut", id="all removed"),
        pytest.param(swap, 2, "does not follow", id="reordered"),
        pytest.param(forge_head, 3, "head outside the database is not signed", id="tail cut, head set back"),
        pytest.param(lambda: head_path().unlink(), 5, "head", id="head removed"),
        pytest.param(lambda: head_path().write_text("[]"), 5, "head", id="head damaged"),
        pytest.param(add_without_key, 6, "not signed", id="event added without the key"),
    ],
)  # fmt: skip
def test_harm_is_found_and_the_first_bad_event_named(harm, sequence, what, capsys):
    append(5)
    harm()
    problem = ledger_verify().problem
    assert problem is not None
    assert (problem.sequence, what in problem.what) == (sequence, True), problem
    with pytest.raises(SystemExit) as ended:
        call_command("ledger_verify", "--json")
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["problem"]["sequence"] == sequence


def test_a_head_left_behind_by_a_crash_is_no_fault():
    append(3)
    old = head_path().read_text()
    append(2)
    head_path().write_text(old)
    assert ledger_verify().ok


def test_a_damaged_head_is_not_painted_over():
    append(2)
    head_path().write_text("damaged")
    append(1)
    assert not ledger_verify().ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_event SET kind = 'x'",
        "DELETE FROM ledger_event",
        "INSERT INTO ledger_event SELECT * FROM ledger_event",
    ],
    ids=["update", "delete", "insert again"],
)
def test_the_database_itself_refuses(sql):
    append(2)
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(sql)
    assert ledger_verify().ok


def test_sqlite_refuses_to_replace_an_event():
    if connection.vendor != "sqlite":
        pytest.skip("INSERT OR REPLACE is SQLite's")
    append(2)
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("INSERT OR REPLACE INTO ledger_event SELECT * FROM ledger_event WHERE sequence = 1")


def test_django_refuses_to_change_an_event():
    append(1)
    event = Event.objects.get()
    for attempt in (event.save, event.delete, Event.objects.all().delete, lambda: Event.objects.update(kind="x")):
        with pytest.raises(StateError):
            attempt()


def test_many_writers_make_one_chain():
    errors = []

    def write() -> None:
        try:
            append(5)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [event.sequence for event in Event.objects.all()] == list(range(1, 31))
    assert ledger_verify().ok
    assert json.loads(Path(head_path()).read_text())["sequence"] == 30


def test_the_signature_is_of_the_ledgers_own_key():
    append(1)
    event = Event.objects.get()
    assert event.signature == sign(event.digest)
