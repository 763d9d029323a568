"""A refusal reaches its person as one line, by page and by API; a defect is never dressed up as one."""

import json

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.test import APIRequestFactory

from audits.base import AuditError
from generators.base import BudgetError
from policies.base import PolicyError
from veilmark.core.api_errors import exception_handler
from veilmark.core.errors import ApplicationError, NotAllowedError, NotFoundError, StateError, refusal_of
from veilmark.core.middleware import ErrorPageMiddleware
from veilmark.crypto.base import CryptoError

PURE = [BudgetError, AuditError, PolicyError, CryptoError]


@pytest.mark.parametrize("kind", PURE, ids=lambda kind: kind.__name__)
def test_the_errors_of_the_pure_packages_are_mapped(kind):
    refusal = refusal_of(kind("is 0", where="epsilon", remedy="give a number above 0"))
    assert refusal is not None
    assert refusal.status == 400
    assert str(refusal) == "epsilon: is 0; give a number above 0"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x")])
def test_a_defect_is_not_mapped(error):
    assert refusal_of(error) is None


@pytest.mark.parametrize(
    ("kind", "status"), [(ApplicationError, 400), (NotAllowedError, 403), (NotFoundError, 404), (StateError, 409)]
)
def test_the_api_answers_problem_details(kind, status):
    answer = exception_handler(kind("what", where="where", remedy="do this"), {"request": APIRequestFactory().get("/")})
    assert answer is not None
    assert (answer.status_code, answer.data["title"]) == (status, "where: what; do this")
    assert json.loads(json.dumps(answer.data)) == answer.data


def test_a_page_shows_the_line_escaped(rf: RequestFactory):
    middleware = ErrorPageMiddleware(lambda _: HttpResponse())
    answer = middleware.process_exception(rf.get("/"), StateError("<b>no</b>", where="release 1", remedy="wait"))
    assert answer is not None
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "What to do: wait." in page
    assert middleware.process_exception(rf.get("/"), ValueError("defect")) is None
