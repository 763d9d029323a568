"""Data at rest: authenticated encryption in chunks, and the keys for it and for signatures. Pure, no Django."""
