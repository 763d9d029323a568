"""`manage.py cohort_upload`: take a cohort in from the command line of the site's own machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import Progress

from veilmark.accounts.models import User
from veilmark.cohorts.mapping import find_mapping, load_mapping
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.services import CohortTerms, cohort_create
from veilmark.core.errors import ApplicationError


class Command(BaseCommand):
    help = "Read a folder or zip of images, check its data contract, keep it encrypted as a new cohort."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="folder or zip: images.npz or images with metadata.csv, or DICOM")
        parser.add_argument("--custodian", required=True, help="the username of the custodian who answers for it")
        parser.add_argument("--mapping", type=Path, help="TOML; default: mapping.toml in the folder, or a shipped one")
        parser.add_argument("--name", help="default: the mapping's name")
        parser.add_argument("--public-n", type=int, help="declared, rounded bound on the number of subjects")
        parser.add_argument("--epsilon-budget", type=float, default=10.0)
        parser.add_argument("--delta-budget", type=float, default=1e-5)
        parser.add_argument("--split-seed", type=int, default=0)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        cohort = self._take_in(options)
        if options["json"]:
            self.stdout.write(json.dumps(_description(cohort)))
            return
        for name, value in _description(cohort).items():
            self.stdout.write(f"{name}: {value}")

    def _take_in(self, options: dict[str, Any]) -> Cohort:
        mapping = load_mapping(options["mapping"]) if options["mapping"] else find_mapping(options["source"])
        custodian = User.objects.filter(username=options["custodian"]).first()
        if custodian is None:
            raise ApplicationError("no such person", where=options["custodian"], remedy="manage.py create_person")
        public_n = options["public_n"] or mapping.public_n_subjects
        if public_n is None:
            raise ApplicationError("is not declared", where="public number of subjects", remedy="give --public-n 1000")
        terms = CohortTerms(
            name=options["name"] or mapping.name,
            public_n_subjects=public_n,
            epsilon_budget=options["epsilon_budget"],
            delta_budget=options["delta_budget"],
            split_seed=options["split_seed"],
        )
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("taking the cohort in", total=None)

            def move(done: int, total: int, message: str = "") -> None:
                progress.update(bar, completed=done, total=total or None, description=message or None)

            return cohort_create(
                source=options["source"], mapping=mapping, terms=terms, acting_user=custodian, progress=move
            )


def _description(cohort: Cohort) -> dict[str, object]:
    return {
        "id": str(cohort.pk),
        "name": cohort.name,
        "subjects": cohort.n_subjects,
        "images": cohort.n_images,
        "splits": cohort.n_subjects_by_split,
        "duplicates": cohort.duplicates,
        "data_digest": cohort.data_digest,
    }
