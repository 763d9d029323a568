"""Django's command line with `platform/` on the path, and refusals as one line: where, what, what to do."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

from veilmark.core.errors import refusal_of


def line_of(error: Exception) -> str:
    """The one line that a person gets, or nothing where the error is a defect."""
    if isinstance(error, OperationalError):
        return f"database: {error}; is it running, and up to date? (manage.py migrate)".replace("\n", " ")
    return str(error) if isinstance(error, ImproperlyConfigured) or refusal_of(error) else ""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veilmark.settings.embedded")
    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        line = line_of(error)
        if not line:
            raise
        sys.stderr.write(f"error: {line}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
