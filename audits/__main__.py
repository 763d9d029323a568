"""`python -m audits`."""

from audits.cli import app

app()
