"""`make demo`: the whole path with demo people, through the same services and API as the site."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from policies.profile import load_profile
from veilmark.dashboards.demo import display, path
from veilmark.dashboards.demo.people import demo_people
from veilmark.dashboards.demo.summary import print_summary
from veilmark.dashboards.processes import site, worker
from veilmark.ledger.verify import ledger_verify
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.releases.selectors import trust_root_path


class Command(BaseCommand):
    help = "Run the whole path, from a cohort to a release that a researcher downloads and verifies."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--cohort", type=Path, help="a folder or zip of images with metadata.csv; default: phantoms"
        )
        parser.add_argument("--mapping", type=Path, help="the cohort's mapping; default: found by itself")
        parser.add_argument("--profile", default="internal")
        parser.add_argument("--generator", default="latent-statistics")
        parser.add_argument("--epsilon", type=float, default=8.0)
        parser.add_argument("--images", type=int, default=1000)
        parser.add_argument("--size", type=int, default=64)
        parser.add_argument(
            "--visible-label", choices=list(VisibleLabel), default=VisibleLabel.NONE, help="SYNTHETIC in each image"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        started = time.monotonic()
        load_profile(options["profile"])  # a misspelt one is told now, not after the training
        chosen = path.DemoOptions(
            cohort=options["cohort"],
            mapping=options["mapping"],
            profile=options["profile"],
            generator=options["generator"],
            epsilon=options["epsilon"],
            n_images=options["images"],
            image_size=options["size"],
            visible_label=VisibleLabel(options["visible_label"]),
        )
        passed = self._run(chosen)
        display.console.print(f"The demo took {time.monotonic() - started:.0f} s.")
        if not passed:
            sys.exit(1)

    def _run(self, options: path.DemoOptions) -> bool:
        call_command("migrate", verbosity=0)
        people = demo_people()
        with worker(), site() as address:
            cohort = path.take_in_cohort(people, options)
            run = path.train(people, cohort, options)
            synthetic_set = path.draw(people, run, options)
            release = path.assess(people, synthetic_set, options)
            if not path.is_ready(release):
                print_summary(release)
                return False
            release = path.endorse_and_publish(people, release)
            bundle = path.download(people, release, address)
        print_summary(release)
        return self._verify(bundle)

    def _verify(self, bundle: Path) -> bool:
        """Verify offline, as the researcher would, and the ledger, as an auditor would."""
        command = [
            sys.executable,
            "-m",
            "veilmark.client",
            "verify",
            str(bundle),
            "--trust-root",
            str(trust_root_path()),
        ]
        verified = subprocess.run(command, check=False)  # noqa: S603 - our own program
        ledger = ledger_verify()
        display.console.print(f"ledger: {ledger.n_events} events, {'whole' if ledger.ok else ledger.problem}")
        return verified.returncode == 0 and ledger.ok
