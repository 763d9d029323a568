"""`python -m policies`."""

from __future__ import annotations

from policies.cli import main

raise SystemExit(main())
