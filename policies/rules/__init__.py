"""One rule kind, one file. `registry.rule_kinds` imports them all; a new file needs no other line."""
