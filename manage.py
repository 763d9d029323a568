"""Django's command line with `platform/` on the path (see "The platform trap" in docs/adr)."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veilmark.settings.embedded")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the path set above

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
