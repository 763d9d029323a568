"""Policies: typed facts in, a decision with reasons out. Missing is refused, unknown is not a pass."""
