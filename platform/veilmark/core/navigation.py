"""The header's links, as data: each app adds its pages in `AppConfig.ready()`, and a role sees what is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

_ITEMS: list[Item] = []


@dataclass(frozen=True, kw_only=True)
class Item:
    """A page without arguments. roles: role names that see it; position: the smaller, the further left."""

    label: str
    url_name: str
    roles: frozenset[str]
    position: int = 100


def register(*items: Item) -> None:
    """Adding the same item again changes nothing."""
    _ITEMS.extend(item for item in items if item not in _ITEMS)
    _ITEMS.sort(key=lambda item: item.position)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation` is a list of (label, url, whether the reader is there)."""
    role = getattr(getattr(request, "user", None), "role", "")
    links = [(item.label, reverse(item.url_name)) for item in _ITEMS if role in item.roles]
    return {"navigation": [(label, url, request.path.startswith(url)) for label, url in links]}
