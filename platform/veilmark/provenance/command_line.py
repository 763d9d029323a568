"""Running a typer app so that whatever is refused is one line on standard error and exit code 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer


def run(app: typer.Typer, *, refusals: tuple[type[Exception], ...]) -> NoReturn:
    """Run `app` and end the process. `refusals` are the errors whose text is written for a person."""
    try:
        code = app(standalone_mode=False)
    except refusals as error:
        _refuse(str(error))
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # typer's own usage errors, whose classes have moved between its versions: this method has not.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _refuse(f"{message()}; try --help")
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - the line a command owes its user
    sys.exit(2)
