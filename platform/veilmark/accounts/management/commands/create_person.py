import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veilmark.accounts.models import Role
from veilmark.accounts.services import person_create


class Command(BaseCommand):
    help = "Create a person. The password is asked for, or read from standard input with --password-stdin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("role", choices=Role.values)
        parser.add_argument("--name", default="", help="the name that others see")
        parser.add_argument("--password-stdin", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        password = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else getpass.getpass()
        person = person_create(
            username=options["username"], password=password, role=options["role"], display_name=options["name"]
        )
        self.stdout.write(f"created {person.username} ({person.role})")
