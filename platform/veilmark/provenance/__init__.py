"""Provenance: images that are marked, signed and verifiable by anyone, offline, with the base install alone."""
