"""Debian's Chromium as the console's user: Playwright drives it, and what it complains about is collected."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, ConsoleMessage, Error, Locator, Page, Request, async_playwright
from playwright.async_api import TimeoutError as Late

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60.0
POLL_MS = 50
FLAGS = (
    "--disable-gpu",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


class Tab:
    """One tab. ``page`` and ``devtools``: all that Playwright and Chromium can do with it.

    ``complaints``: uncaught errors and violated policies; ``hosts``: who was asked.
    """

    def __init__(self, page: Page, devtools: CDPSession) -> None:
        self.page = page
        self.devtools = devtools
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("pageerror", self._hear_error)
        page.on("console", self._hear)
        page.on("request", self._note)

    async def open(self, url: str) -> None:
        """Go to a page of the console, and wait until it is in its frame, if it has one."""
        await self.page.goto(url)
        await self.page.locator("#content > *, #app > :not(.frame)").first.wait_for(state="attached")

    async def call(self, function: str, *arguments: object) -> Any:
        """Call a JavaScript function in the page; gives its result."""
        return await self.page.evaluate(f"given => ({function})(...given)", arguments)

    async def until(self, condition: str, *arguments: object, patience_s: float = PATIENCE_S) -> Any:
        """Wait until a JavaScript function gives something true, and give it."""
        try:
            found = await self.page.wait_for_function(
                f"given => ({condition})(...given)",
                arg=arguments,
                polling=POLL_MS,
                timeout=patience_s * 1000,
            )
        except Late:
            raise AssertionError(await self._never(f"{condition} {arguments}")) from None
        return await found.json_value()

    async def sees(self, text: str, patience_s: float = PATIENCE_S) -> None:
        await self.until("text => document.body.innerText.includes(text)", text, patience_s=patience_s)

    def shown(self, selector: str, text: str = "") -> Locator:
        """The first of those that are seen, hold ``text`` and are not disabled."""
        found = self.page.locator(selector).and_(self.page.locator(":not(:disabled)"))
        return found.filter(has_text=re.compile(re.escape(text)), visible=True).first

    async def click(self, selector: str, text: str = "") -> None:
        """Click what is :meth:`shown`, once there is one, it stands still and nothing lies on it."""
        try:
            await self.shown(selector, text).click()
        except Late as late:
            raise AssertionError(await self._never(f"{selector} {text!r}: {late}")) from None

    async def type(self, selector: str, text: str) -> None:
        """Replace what an input holds."""
        await self.page.locator(selector).first.fill(text)

    async def press(self, key: str) -> None:
        await self.page.keyboard.press(key)

    async def size(self, width: int, height: int) -> None:
        await self.page.set_viewport_size({"width": width, "height": height})

    async def _never(self, what: str) -> str:
        try:
            shown = await self.page.evaluate("() => document.body.innerText.slice(0, 600)")
        except Error as error:
            shown = str(error)
        return f"never: {what}\n{self.page.url}\n{self.complaints}\n{shown}"

    def _hear_error(self, error: Error) -> None:
        self.complaints.append(error.stack or error.message)

    def _hear(self, said: ConsoleMessage) -> None:
        # That the service refuses is what many a test is about; a page that minds says so besides.
        if said.type in ("error", "assert", "warning") and not said.text.startswith(
            "Failed to load resource"
        ):
            self.complaints.append(said.text)

    def _note(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob", "about"):
            self.hosts.add(url.netloc)


@asynccontextmanager
async def browser(language: str = "en") -> AsyncIterator[Tab]:
    """A tab of a Chromium of its own, without a window, of 1366x768; it ends with the block."""
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_S * 1000
        ) as chromium,
    ):
        context = await chromium.new_context(locale=language, viewport={"width": 1366, "height": 768})
        context.set_default_timeout(PATIENCE_S * 1000)
        page = await context.new_page()
        yield Tab(page, await context.new_cdp_session(page))
