import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veilmark.ledger.verify import ledger_verify


class Command(BaseCommand):
    help = "Find any edit, removal, reorder, cut tail or forged head. Exit code 0: none; 1: names the first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        result = ledger_verify()
        if options["json"]:
            self.stdout.write(json.dumps({"ok": result.ok, **asdict(result)}))
        elif result.problem:
            self.stderr.write(f"event {result.problem.sequence}: {result.problem.what}")
        else:
            self.stdout.write(f"{result.n_events} events, none changed, removed or reordered; the head is signed")
        if not result.ok:
            sys.exit(1)
