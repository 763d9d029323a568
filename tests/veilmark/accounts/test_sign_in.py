"""Signing in by page and by API: what people see, what the ledger keeps, what an attacker gets."""

import pytest
from django.urls import reverse

from veilmark.ledger.models import Event

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SIGN_IN = "/accounts/sign-in/"


def kinds() -> list[str]:
    return [kind for kind in Event.objects.values_list("kind", flat=True) if kind != "person:created"]


def test_a_person_signs_in_and_out_and_the_ledger_says_so(client, people, settings):
    settings.LOGIN_REDIRECT_URL = "/healthz"
    page = client.get(SIGN_IN)
    assert "Sign in" in page.content.decode()
    answer = client.post(SIGN_IN, {"username": "officer", "password": people.password})
    assert (answer.status_code, answer["Location"]) == (302, "/healthz")
    assert client.session.get_expiry_age() == 15 * 60
    assert client.get(reverse("accounts:sign_out")).status_code == 405
    client.post(reverse("accounts:sign_out"))
    assert kinds() == ["person:signed_in", "person:signed_out"]
    assert Event.objects.get(kind="person:signed_in").actor == people.officer


def test_a_wrong_password_is_refused_in_one_line_and_recorded_without_what_was_typed(client, people):
    page = client.post(SIGN_IN, {"username": "my secret, in the wrong field", "password": "wrong"})
    assert "was not accepted" in page.content.decode()
    client.post(SIGN_IN, {"username": "officer", "password": "wrong"})
    failed = Event.objects.filter(kind="person:sign_in_failed")
    assert [event.subject_id for event in failed] == ["", str(people.officer.pk)]
    assert "secret" not in "".join(event.payload_text for event in failed)


def test_after_five_wrong_passwords_the_account_is_locked_by_page_and_by_api(client, people):
    for _ in range(5):
        last = client.post(SIGN_IN, {"username": "officer", "password": "wrong"})
    assert last.status_code == 429
    assert "locked" in last.content.decode()
    right = {"username": "officer", "password": people.password}
    assert client.post(SIGN_IN, right).status_code == 429
    answer = client.post("/api/tokens/", right, content_type="application/json")
    assert answer.status_code == 429
    assert answer.json()["remedy"].startswith("wait 15 minutes")
    assert client.post(SIGN_IN, right | {"username": "second_officer"}).status_code == 302


def test_a_token_opens_the_api_and_nothing_else_does(client, people):
    credentials = {"username": "researcher", "password": people.password}
    assert client.get("/api/me/").status_code == 401
    token = client.post("/api/tokens/", credentials, content_type="application/json").json()["token"]
    me = client.get("/api/me/", headers={"Authorization": f"Token {token}"})
    assert me.json()["role"] == "researcher"
    assert client.get("/api/me/", headers={"Authorization": f"Token {token}x"}).status_code == 401
    assert kinds() == ["person:signed_in", "person:token_created"]
    people.researcher.is_active = False
    people.researcher.save()
    assert client.get("/api/me/", headers={"Authorization": f"Token {token}"}).status_code == 401


def test_a_refused_token_request_is_problem_details(client, people):
    answer = client.post("/api/tokens/", {"username": "officer", "password": "wrong"}, content_type="application/json")
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "what", "where", "remedy"}


def test_no_open_redirect_after_sign_in(client, people):
    answer = client.post(SIGN_IN, {"username": "officer", "password": people.password, "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_pages_bear_the_strict_policy_and_carry_nothing_inline(client):
    page = client.get(SIGN_IN)
    policy = page["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert page["X-Frame-Options"] == "DENY"
    text = page.content.decode()
    assert "style=" not in text
    assert "<style" not in text
    assert text.count("<script") == text.count("<script src=")
