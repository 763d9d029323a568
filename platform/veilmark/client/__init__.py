"""The researcher's client: the `veilmark` command."""
