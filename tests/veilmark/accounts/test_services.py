"""People: who may be created, who is who, who is locked out."""

import pytest

from veilmark.accounts.models import User
from veilmark.accounts.services import person_create, reauthenticate, require_reauthenticated
from veilmark.core.errors import ApplicationError, NotAllowedError
from veilmark.ledger.models import Event

pytestmark = [pytest.mark.django_db, pytest.mark.database]
GOOD = {"username": "ada", "password": "a long enough passphrase", "role": "custodian", "display_name": "Ada"}


def test_a_person_and_the_event_of_it_are_made_together():
    person = person_create(**GOOD)
    assert person.check_password(GOOD["password"])
    event = Event.objects.get()
    assert (event.kind, event.subject_id, event.payload["role"]) == ("person:created", str(person.pk), "custodian")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param({"role": "root"}, "role", id="unknown role"),
        pytest.param({"username": "CUSTODIAN"}, "username", id="taken but for case"),
        pytest.param({"username": "no spaces"}, "person", id="characters that a name cannot have"),
        pytest.param({"password": "short"}, "person", id="short password"),
        pytest.param({"password": "qwerty123456"}, "person", id="common password"),
    ],
)
def test_bad_input_makes_nobody(people, change, where):
    n_people, n_events = User.objects.count(), Event.objects.count()
    with pytest.raises(ApplicationError) as refused:
        person_create(**{**GOOD, **change})
    assert refused.value.where.startswith(where)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)
    assert (User.objects.count(), Event.objects.count()) == (n_people, n_events)


def test_only_an_operator_makes_people(people):
    with pytest.raises(NotAllowedError):
        person_create(**GOOD, acting_user=people.custodian)
    assert person_create(**GOOD, acting_user=people.operator).role == "custodian"


def test_proof_of_identity_is_fresh_only_after_the_right_password(people, settings):
    with pytest.raises(NotAllowedError):
        require_reauthenticated(people.officer)
    with pytest.raises(NotAllowedError):
        reauthenticate(user=people.officer, password="another person's password")
    with pytest.raises(NotAllowedError):
        require_reauthenticated(people.officer)
    reauthenticate(user=people.officer, password=people.password)
    require_reauthenticated(people.officer)
    settings.VEILMARK_REAUTHENTICATION_MAX_AGE *= 0
    with pytest.raises(NotAllowedError, match="fresh proof"):
        require_reauthenticated(people.officer)


def test_five_wrong_passwords_lock_even_the_right_one_out(people):
    for _ in range(5):
        with pytest.raises(NotAllowedError):
            reauthenticate(user=people.officer, password="wrong")
    with pytest.raises(NotAllowedError):
        reauthenticate(user=people.officer, password=people.password)
    reauthenticate(user=people.second_officer, password=people.password)


def test_a_suspended_person_cannot_prove_who_they_are(people):
    people.officer.is_active = False
    people.officer.save()
    with pytest.raises(NotAllowedError):
        reauthenticate(user=people.officer, password=people.password)
