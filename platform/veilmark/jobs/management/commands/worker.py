import logging
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veilmark.core.errors import ApplicationError
from veilmark.jobs.worker import Worker

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run jobs until stopped (SIGTERM), or with --until-idle until none is left."
    requires_system_checks: tuple[str, ...] = ()  # they load every page of the site, which a worker never shows

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-idle", action="store_true")
        parser.add_argument("--concurrency", type=int, default=1, help="jobs at the same time in this process")

    def handle(self, *_: Any, **options: Any) -> None:
        code = 0
        try:
            Worker(until_idle=options["until_idle"], concurrency=options["concurrency"]).run()
        except ApplicationError as error:
            self.stderr.write(f"error: {error}")
            code = 2
        except Exception:
            logger.exception("the worker ends by a defect")
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: a task still running in its thread would hold the process, and, where the lock on the worker's name
        # is lost, might run twice. Its job is safe: the next worker takes it over once this process is gone.
        os._exit(code)
