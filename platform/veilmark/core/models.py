"""What every model of the platform has."""

import uuid

from django.db import models


class BaseModel(models.Model):
    """An id that tells nothing (it appears in addresses) and the two times everyone asks for, in UTC."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


def label_of(instance: models.Model) -> str:
    """`app.model`, as events and jobs name the type of their subject."""
    return instance._meta.label_lower  # noqa: SLF001 - Django's documented way to a model's names
