"""SQLite by default; PostgreSQL by one setting, `VEILMARK_DATABASE_URL=postgresql://user:password@host:port/name`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from veilmark.settings.environment import make_folder


def database(url: str, var: Path) -> dict[str, Any]:
    """Django's settings of the database: of `url`, or of the SQLite file in `var` where there is none."""
    return postgresql(url) if url else sqlite(var / "veilmark.sqlite3")


def sqlite(path: Path) -> dict[str, Any]:
    make_folder(path.parent)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # A deferred transaction that reads, then writes, fails at once under a second writer: it cannot wait.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def postgresql(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise ImproperlyConfigured("VEILMARK_DATABASE_URL: is no postgresql://user:password@host:port/name; correct it")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 20}},
    }


def jobs_url(url: str, var: Path) -> str:
    """The database of durable workflows: its own SQLite file, or its own schema `dbos` on PostgreSQL."""
    if not url:
        return f"sqlite:///{var / 'jobs.sqlite3'}"
    return "postgresql+psycopg://" + url.split("://", 1)[1]
