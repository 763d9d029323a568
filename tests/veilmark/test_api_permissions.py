"""Who may call what: one table, every role at every call of the API, and no call outside of it."""

import json

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator

pytestmark = [pytest.mark.django_db, pytest.mark.database]

ROLES = ("custodian", "officer", "clinician", "researcher", "operator")
KEEPERS, MAKERS, WATCHERS = {"custodian", "officer", "operator"}, {"custodian", "officer"}, {"officer", "operator"}
ASKERS = {"researcher", "officer", "operator"}
CUSTODIAN, OFFICER, RESEARCHER, OPERATOR = {"custodian"}, {"officer"}, {"researcher"}, {"operator"}
EVERYONE = set(ROLES)
ID = "00000000-0000-4000-8000-000000000000"

# The address under /api/v1/ as the schema names it, the method, the roles that may call it.
TABLE = [
    ("cohorts/", "get", KEEPERS),
    ("cohorts/", "post", CUSTODIAN),
    ("cohorts/{id}/", "get", KEEPERS),
    ("training-runs/", "get", KEEPERS),
    ("training-runs/", "post", CUSTODIAN),
    ("training-runs/{id}/", "get", KEEPERS),
    ("synthetic-sets/", "get", {"custodian", "officer", "clinician"}),
    ("synthetic-sets/", "post", CUSTODIAN),
    ("synthetic-sets/{id}/", "get", {"custodian", "officer", "clinician"}),
    ("synthetic-sets/{id}/preview/", "get", {"custodian", "officer", "clinician"}),
    ("audit-runs/", "get", MAKERS),
    ("audit-runs/", "post", MAKERS),
    ("audit-runs/{id}/", "get", MAKERS),
    ("audit-runs/{id}/copies/", "get", OFFICER),
    ("audit-runs/{id}/copies/{number}/picture/", "get", OFFICER),
    ("audit-runs/{id}/copies/{number}/review/", "post", OFFICER),
    ("decisions/", "get", MAKERS),
    ("decisions/{id}/", "get", MAKERS),
    ("releases/", "get", EVERYONE),
    ("releases/", "post", CUSTODIAN),
    ("releases/{name}/", "get", EVERYONE),
    ("releases/{name}/submit/", "post", CUSTODIAN),
    ("releases/{name}/send-to-clinicians/", "post", CUSTODIAN),
    ("releases/{name}/open-review/", "post", CUSTODIAN),
    ("releases/{name}/reopen/", "post", CUSTODIAN),
    ("releases/{name}/withdraw/", "post", CUSTODIAN),
    ("releases/{name}/reviews/", "get", OFFICER),
    ("releases/{name}/vote/", "post", OFFICER),
    ("releases/{name}/endorse/", "post", OFFICER),
    ("releases/{name}/suspend/", "post", OFFICER),
    ("releases/{name}/propose/", "post", OFFICER),
    ("agreement/", "get", EVERYONE),
    ("agreement/", "post", RESEARCHER),
    ("requests/", "get", ASKERS),
    ("requests/", "post", RESEARCHER),
    ("requests/{id}/", "get", ASKERS),
    ("requests/{id}/decide/", "post", OFFICER),
    ("grants/", "get", ASKERS),
    ("grants/{id}/", "get", ASKERS),
    ("grants/{id}/revoke/", "post", OFFICER),
    ("grants/{id}/renew/", "post", OFFICER),
    ("grants/{id}/prepare/", "post", RESEARCHER),
    ("grants/{id}/download/", "get", RESEARCHER),
    ("leaks/", "post", OFFICER),
    ("jobs/", "get", EVERYONE),
    ("jobs/{id}/", "get", EVERYONE),
    ("jobs/{id}/cancel/", "post", OPERATOR),
    ("ledger/events/", "get", WATCHERS),
    ("ledger/events/{sequence}/", "get", WATCHERS),
    ("ledger/events/verify/", "get", WATCHERS),
]


def call(api, person, address, method):
    place = address.format(id=ID, name="no-such-release", sequence=999, number=1)
    if (address, method) in {("cohorts/", "post"), ("leaks/", "post")}:
        return api(person, method, place, body="", **{"Content-Type": "multipart/form-data; boundary=x"})
    return api(person, method, place, {} if method == "post" else None)


@pytest.mark.parametrize(("address", "method", "roles"), TABLE, ids=[f"{row[1]} {row[0]}" for row in TABLE])
def test_each_role_is_let_in_or_refused(api, people, address, method, roles):
    for role in ROLES:
        status = call(api, getattr(people, role), address, method).status_code
        # Who is let in asked for nothing that is there, or sent nothing: never that they may not ask.
        assert status in {200, 400, 404, 409} if role in roles else status == 403, (role, status)
    assert call(api, None, address, method).status_code == 401


def test_every_documented_call_stands_in_the_table():
    documented = {
        (address.removeprefix("/api/v1/"), method)
        for address, methods in SchemaGenerator().get_schema(public=True)["paths"].items()
        for method in methods
        if address.startswith("/api/v1/")
    }
    assert documented == {(address, method) for address, method, _ in TABLE}


def test_the_schema_is_valid_and_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", "--file", tmp_path / "api")
    schema = json.loads((tmp_path / "api").read_text())
    for address, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {address} says nothing"
            if address.startswith("/api/v1/"):
                assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_the_schema_is_served_without_a_sign_in(client):
    assert client.get("/api/schema/").status_code == 200


def test_a_wrong_token_is_refused_with_a_problem(client):
    response = client.get("/api/v1/releases/", headers={"Authorization": "Token made-up"})
    assert (response.status_code, response["Content-Type"]) == (401, "application/problem+json")
    assert response["WWW-Authenticate"] == "Token"
    assert response.json()["remedy"]
