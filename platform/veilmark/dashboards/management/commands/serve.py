"""`make serve`: the site and its worker until Ctrl-C."""

import signal
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from veilmark.dashboards.processes import site, worker


class Command(BaseCommand):
    help = "Migrate, then run the site with its worker until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *_: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that site and worker stop as well
        call_command("migrate", verbosity=0)
        with worker(), site(host=options["host"], port=options["port"]) as address:
            self.stdout.write(f"Veilmark is at {address} (Ctrl-C stops it)")
            self.stdout.write(f"for anybody: trust roots {address}/trust, transparency log {address}/log/checkpoint")
            self._wait()

    def _wait(self) -> None:
        try:
            signal.pause()
        except KeyboardInterrupt:
            self.stdout.write("stopping")
