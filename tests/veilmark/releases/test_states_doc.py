"""The documentation of the release states is the table that the code follows."""

from pathlib import Path

from veilmark.releases.states_doc import states_page

PAGE = Path(__file__).parents[3] / "docs" / "release-states.md"


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == states_page(), "run: python manage.py release_states > docs/release-states.md"
