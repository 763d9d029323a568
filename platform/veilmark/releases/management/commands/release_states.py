"""`manage.py release_states`: the table of states as the page of the documentation."""

from typing import Any

from django.core.management.base import BaseCommand

from veilmark.releases.states_doc import states_page


class Command(BaseCommand):
    help = "Print docs/release-states.md."

    def handle(self, *_: Any, **__: Any) -> None:
        self.stdout.write(states_page(), ending="")
