import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veilmark.jobs.worker import Worker


class Command(BaseCommand):
    help = "Run jobs until stopped (SIGTERM), or with --until-idle until none is left."
    requires_system_checks: tuple[str, ...] = ()  # they load every page of the site, which a worker never shows

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-idle", action="store_true")
        parser.add_argument("--concurrency", type=int, default=1, help="jobs at the same time in this process")

    def handle(self, *_: Any, **options: Any) -> None:
        Worker(until_idle=options["until_idle"], concurrency=options["concurrency"]).run()
        sys.stdout.flush()
        # A task that outlasts the patience goes on in its thread, and would hold the process. Its job is safe: the
        # next worker takes it over once this process, and with it the lock on its name, is gone.
        os._exit(0)
