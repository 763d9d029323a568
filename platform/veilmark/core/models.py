"""What models of the platform share: an id and times, and rows that are added and never changed."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn, TypeVar

from django.db import models

from veilmark.core.errors import StateError


class BaseModel(models.Model):
    """An id that tells nothing (it appears in addresses) and the two times everyone asks for, in UTC."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound="AppendOnly")


class AppendOnlyQuerySet(models.QuerySet[Row]):
    """Refuses what would change rows after the fact."""

    def update(self, **_: Any) -> NoReturn:
        raise self.model.refusal("changed")

    def delete(self) -> NoReturn:
        raise self.model.refusal("removed")


class AppendOnly(models.Model):
    """A row that is added and never changed: an attempt raises StateError. Database triggers are a model's own."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise self.refusal("changed")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise self.refusal("removed")

    @classmethod
    def refusal(cls, done: str) -> StateError:
        """In the model's own words. done: what was tried, `changed` or `removed`."""
        raise NotImplementedError


def label_of(instance: models.Model) -> str:
    """`app.model`, as events and jobs name the type of their subject."""
    return instance._meta.label_lower  # noqa: SLF001 - Django's documented way to a model's names
