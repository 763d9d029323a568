"""The `veilmark` command. Each command is a function of its own module, named here."""

from __future__ import annotations

import typer

from veilmark.client.commands import app as commands
from veilmark.client.errors import ClientError
from veilmark.client.log import app as log
from veilmark.client.trust import app as trust
from veilmark.client.verify import verify
from veilmark.provenance.command_line import run
from veilmark.provenance.errors import ProvenanceError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.add_typer(commands)
app.command()(verify)
app.add_typer(trust, name="trust")
app.add_typer(log, name="log")


@app.callback()
def veilmark() -> None:
    """Synthetic medical images with a known origin: find, request, download, verify."""


def main() -> None:
    """Run the command; a refusal is one line on standard error and exit code 2."""
    run(app, refusals=(ClientError, ProvenanceError))
