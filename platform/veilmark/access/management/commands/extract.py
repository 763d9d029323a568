"""`manage.py extract`: whose copy did leaked images come from? On the site's own machine, in an officer's name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veilmark.access.leaks import Inquiry, leak_examine
from veilmark.accounts.models import User
from veilmark.core.errors import ApplicationError

NOBODY_NAMED = 14


class Command(BaseCommand):
    help = "Name release, image and recipient of leaked images. Exit code 0: named; 14: nobody can be named."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", type=Path, nargs="+", help="leaked images; several of one source say more")
        parser.add_argument("--officer", required=True, help="the username of the compliance officer who asks")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        officer = User.objects.filter(username=options["officer"]).first()
        if officer is None:
            raise ApplicationError("no such person", where=options["officer"], remedy="manage.py create_person")
        inquiry = leak_examine(files=[(str(path), _read(path)) for path in options["files"]], acting_user=officer)
        if options["json"]:
            self.stdout.write(json.dumps(inquiry.to_json()))
        else:
            self._print(inquiry)
        if not inquiry.named:
            sys.exit(NOBODY_NAMED)

    def _print(self, inquiry: Inquiry) -> None:
        for file in inquiry.files:
            found = f"release {file.release}, image {file.image_id} (mark: {file.stage})" if file.release else "no mark"
            self.stdout.write(f"{file.name}: {found}")
        for row in inquiry.named:
            rate = f"false-accusation rate at most {row.false_accusation_rate:.1e}"
            self.stdout.write(f"recipient {row.recipient}, grant {row.grant}: z {row.z:.1f}, {rate}")
        self.stdout.write(inquiry.answer)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ApplicationError(f"cannot be read ({error.strerror})", where=str(path), remedy="check it") from error
