"""A demo of one's own to take pictures of: with data, ports and accounts that nothing else uses."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_S = 300
"""Its pictures are drawn first, if they never were on this machine."""
STORY_S = 900
ROLES = {
    "operator": "police",
    "requester": "school",
    "approver": "traffic-chief",
    "auditor": "auditor",
    "maintainer": "police-repair",
    "admin": "admin",
}
"""Accounts of the demo, by the role that they stand for."""


@dataclass(frozen=True)
class Stage:
    url: str
    token: str
    """An administrator's."""
    passwords: Mapping[str, str]
    """By user name."""

    async def ask(self, path: str, **query: object) -> Any:
        """What the API answers to the token."""
        async with httpx.AsyncClient(base_url=self.url) as http:
            headers = {"Authorization": f"Bearer {self.token}"}
            answer = await http.get(f"/api/v1/{path}", params=query, headers=headers)
            answer.raise_for_status()
            return answer.json()

    @contextlib.asynccontextmanager
    async def acting(self, username: str) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody who has logged in, and may write."""
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1/", timeout=30) as http:
            form = {"username": username, "password": self.passwords[username]}
            session = await http.post("session", json=form)
            session.raise_for_status()
            http.headers["X-CSRF-Token"] = session.json()["csrf"]
            yield http

    async def camera_ids(self, **query: object) -> list[str]:
        return [one["id"] for one in (await self.ask("cameras", limit=500, **query))["items"]]

    async def story(self) -> None:
        """Wait until there is something to see: pictures that were diagnosed, a ticket for several cameras,
        one that a probe has closed. Some minutes."""
        async with asyncio.timeout(STORY_S):
            while True:
                open_now = (await self.ask("tickets", open=True, limit=500))["items"]
                closed = (await self.ask("tickets", open=False, limit=500))["items"]
                degraded = [one for one in open_now if one["kind"] == "degraded"]
                above = [one for one in (*open_now, *closed) if one["scope"] == "node"]
                if len(degraded) >= 2 and above and closed:
                    return
                await asyncio.sleep(2)


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[Stage]:
    """``sharpeyes demo`` until the block ends. RuntimeError, with what it said, if it does not come up."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        said = Path(folder) / "said"
        rtsp, onvif = _free_ports()
        command = [str(Path(sys.executable).with_name("sharpeyes")), "demo", "--port", "0"]
        command += ["--language", "en"]
        command += ["--rtsp-port", str(rtsp), "--onvif-port", str(onvif), "--data-dir", f"{folder}/demo"]
        with said.open("wb") as output:
            process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        try:
            yield await _greeting(said, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await process.wait()


def greeted(said: Path) -> Stage | None:
    """The demo that has printed this, once it has printed all of its greeting."""
    text = said.read_text("utf-8", "replace")
    url = re.search(r"SharpEyes listens on (\S+)", text)
    token = re.search(r"token\s+(se_\S+)", text)
    people = dict(re.findall(r"^\s+(\S+)\s+((?:[a-z0-9]{4}-){2}[a-z0-9]{4}) ", text, re.MULTILINE))
    return Stage(url[1], token[1], people) if url and token and set(ROLES.values()) <= set(people) else None


async def _greeting(said: Path, process: asyncio.subprocess.Process) -> Stage:
    async with asyncio.timeout(START_S):
        while (stage := greeted(said)) is None:
            if process.returncode is not None:
                raise RuntimeError(f"the demo ended at once:\n{said.read_text()}")  # noqa: ASYNC240
            await asyncio.sleep(0.2)
        return stage


def _free_ports() -> tuple[int, int]:
    """For all addresses of the demo's cameras, and outside of what the system gives to connections."""
    found: list[int] = []
    while len(found) < 2:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            found.append(port)
    return found[0], found[1]
