"""A real Chromium against a live site."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def chromium(require_program: Callable[[str, str], Path]) -> Iterator[Browser]:
    program = require_program("chromium", "chromium")
    # Playwright keeps an event loop in this thread: Django would refuse the database, although nothing here awaits.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def sign_in(chromium: Browser, live_server: Any, people: Any) -> Iterator[Callable[..., Page]]:
    """`sign_in("custodian")`: a page of a browser of that person's own, signed in through the sign-in page.

    Whatever the browser complains of (a blocked style, a script's error) fails the test at its end.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def enter(role: str, **options: Any) -> Page:
        context = chromium.new_context(base_url=live_server.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/accounts/sign-in/")
        page.get_by_label("User name").fill(role)
        page.get_by_label("Password").fill(people.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("/")
        return page

    yield enter
    for context in contexts:
        context.close()
    assert complaints == []
