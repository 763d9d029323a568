from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from veilmark.crypto.base import CryptoError
from veilmark.provenance.errors import ProvenanceError
from veilmark.releases.trust_roots import identity_revoke, roots_folder, roots_publish, roots_rotate


class Command(BaseCommand):
    help = "Sign whom receivers are to believe into var/roots: at least every thirty days, and after each change."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("publish", help="say what is believed and what was taken back; makes the folder at first")
        actions.add_parser("rotate", help="hand over to new keys, signed by the old ones")
        revoke = actions.add_parser("revoke", help="believe nothing that an identity signed or will sign")
        revoke.add_argument("identity", help="sha256:...")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            if options["action"] == "revoke":
                roots = identity_revoke(options["identity"])
            else:
                roots = roots_publish() if options["action"] == "publish" else roots_rotate()
        except (ProvenanceError, CryptoError) as error:
            raise CommandError(str(error)) from error
        for identity in roots.trust_root.identities:
            state = f"revoked at {identity.revoked_at}" if identity.revoked_at else "believed"
            self.stdout.write(f"{identity.id} {state}")
        self.stdout.write(f"{roots_folder()}: {len(roots.revoked)} releases taken back")
