"""`python -m generators`."""

from generators.cli import main

main()
