"""`python -m veilmark.client` is `veilmark`."""

from veilmark.client.cli import main

main()
