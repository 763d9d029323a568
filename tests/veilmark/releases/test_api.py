"""A release through the API, from draft to revocation, by the people whose steps they are."""

import pytest

from veilmark.accounts.services import person_create
from veilmark.jobs.models import Job
from veilmark.releases.models import Endorsement, Release

pytestmark = [pytest.mark.django_db, pytest.mark.database]

YES = {"vote": "approve", "reason": "evidence is complete"}


@pytest.fixture
def step(api):
    """`step(person, "suspend", {...})` on release chest-1: the status and the answer."""

    def take(person, name, body=None):
        response = api(person, "post", f"releases/chest-1/{name}/", body)
        return response.status_code, response.json()

    return take


def signature(people, release, **change):
    digest = release.synthetic_set.content_root
    return {"digest": digest, "meaning": "reviewed and approved", "password": people.password} | change


def test_from_draft_to_approval(api, step, people, synthetic_set):
    draft = {"synthetic_set": str(synthetic_set.pk), "name": "chest-1", "title": "Chest X-rays"}
    made = api(people.custodian, "post", "releases/", draft)
    assert (made.status_code, made.json()["state"]) == (201, "draft")
    assert step(people.custodian, "submit")[1]["state"] == "auditing"
    from veilmark.releases.services import release_assess

    release_assess(release=Release.objects.get(), progress=lambda *_: None)
    assert step(people.custodian, "send-to-clinicians")[1]["state"] == "in_review"
    assert step(people.officer, "vote", YES)[0] == 201
    assert api(people.second_officer, "get", "releases/chest-1/reviews/").json() == []
    assert step(people.second_officer, "vote", YES)[0] == 201
    assert len(api(people.second_officer, "get", "releases/chest-1/reviews/").json()) == 2
    release = Release.objects.get()
    for officer in (people.officer, people.second_officer):
        status, endorsement = step(officer, "endorse", signature(people, release))
        assert (status, endorsement["digest"]) == (201, synthetic_set.content_root)
        assert "password" not in endorsement
    assert api(people.officer, "get", "releases/chest-1/").json()["state"] == "approved"
    assert Job.objects.filter(task="releases:publish").count() == 1


def test_a_researcher_sees_what_is_released_and_nothing_else(api, step, people, released):
    shown = api(people.researcher, "get", "releases/?search=x-ray").json()["results"]
    assert [release["name"] for release in shown] == ["chest-1"]
    assert (shown[0]["privacy"]["epsilon"], shown[0]["privacy"]["delta"]) == (4.0, 1e-5)
    assert step(people.officer, "suspend", {"reason": "a doubt"})[1]["state"] == "suspended"
    assert api(people.researcher, "get", "releases/").json()["results"] == []
    assert api(people.researcher, "get", "releases/chest-1/").status_code == 404
    for officer in (people.officer, people.second_officer):
        assert step(officer, "propose", {"target": "revoked", "reason": "a copy was found"})[0] == 201
    assert api(people.officer, "get", "releases/chest-1/").json()["state"] == "revoked"


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        pytest.param({"digest": f"sha256:{'0' * 64}"}, 400, "release chest-1", id="another digest"),
        pytest.param({"digest": ""}, 400, "digest", id="no digest"),
        pytest.param({"meaning": " "}, 400, "meaning", id="no meaning"),
        pytest.param({"password": "wrong"}, 403, "officer", id="a wrong password"),
        pytest.param({"password": ""}, 400, "password", id="no password"),
    ],
)
def test_a_bad_signature_signs_nothing(step, people, in_review, change, status, where):
    for officer in (people.officer, people.second_officer):
        step(officer, "vote", YES)
    answer = step(people.officer, "endorse", signature(people, in_review, **change))
    assert (answer[0], answer[1]["where"]) == (status, where)
    assert people.password not in str(answer)
    assert not Endorsement.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        pytest.param({"name": "chest 1"}, 400, "release 'chest 1'", id="a name with a space"),
        pytest.param({"name": "../chest"}, 400, "release '../chest'", id="a name that leads elsewhere"),
        pytest.param({"profile": "./mine.toml"}, 400, "profile", id="a profile by path"),
        pytest.param({"profile": "lenient"}, 400, "profile", id="a profile that does not ship"),
        pytest.param({"synthetic_set": "17"}, 400, "synthetic_set", id="no id"),
        pytest.param({"synthetic_set": "00000000-0000-4000-8000-000000000000"}, 404, "synthetic set", id="no such set"),
        pytest.param({"name": "chest-1"}, 400, "release 'chest-1'", id="a name that is taken"),
    ],
)
def test_a_bad_draft_makes_nothing(api, people, drafted, change, status, where):
    draft = {"synthetic_set": str(drafted.synthetic_set_id), "name": "chest-2"} | change
    refused = api(people.custodian, "post", "releases/", draft)
    assert refused.status_code == status
    assert where in refused.json()["where"]
    assert Release.objects.count() == 1


def test_steps_out_of_turn_are_refused(step, people, drafted):
    for person, name, body in (
        (people.custodian, "send-to-clinicians", None),
        (people.custodian, "reopen", None),
        (people.officer, "vote", YES),
        (people.officer, "endorse", signature(people, drafted)),
        (people.officer, "suspend", {"reason": "a doubt"}),
    ):
        status, problem = step(person, name, body)
        assert (status, problem["where"]) == (409, "release chest-1"), name
    drafted.refresh_from_db()
    assert (drafted.state, drafted.round) == ("draft", 1)


def test_another_custodian_cannot_move_a_release(step, people, drafted):
    other = person_create(username="other", password=people.password, role="custodian")
    assert step(other, "submit")[0] == 404
    assert step(other, "withdraw", {"reason": "mine"})[0] == 404


def test_withdrawn_with_a_reason(step, people, drafted):
    assert step(people.custodian, "withdraw", {})[1]["where"] == "reason"
    assert step(people.custodian, "withdraw", {"reason": "no longer wanted"})[1]["state"] == "withdrawn"
