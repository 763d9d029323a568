"""What the pages of every app share: finding a row or refusing, and a refusal shown on the form that caused it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.forms import BaseForm
from django.http import HttpRequest, QueryDict

from veilmark.core.errors import NotFoundError, refusal_of

Row = TypeVar("Row", bound=Model)
ROWS_PER_PAGE = 50


def find(rows: QuerySet[Row], pk: UUID, *, what: str) -> Row:
    """The row among those that the person may see. Raises NotFoundError: the same for what is absent and hidden."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise NotFoundError("there is none here", where=f"{what} {pk}", remedy="go back to the list and choose another")
    return row


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form was sent with; None where it was only opened. An empty form that is sent is still sent."""
    return request.POST if request.method == "POST" else None


@contextmanager
def refusals_on(form: BaseForm) -> Iterator[None]:
    """Show a refusal raised inside the block as the form's one line. Defects pass through."""
    try:
        yield
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        form.add_error(None, str(refusal))


def page_of(rows: QuerySet[Row], request: HttpRequest) -> Page[Row]:
    """The page that `?page=` asks for; the nearest one where there is no such page."""
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
