"""Devices that speak ONVIF, met politely: few at once, one call at a time at each host, each at its own time.

A stream is a camera's affair (:mod:`.fleet`); its clock and its events are its device's, and a recorder with
32 channels has one of each. Nothing here is urgent, so it keeps out of the way of probes: it is paced by the
same places in a cadence (:mod:`.pacing`) and holds few sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from sharpeyes.domain.camera import Camera, Device
from sharpeyes.domain.credentials import Credentials
from sharpeyes.net.tls import TlsPolicy

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Devices in a dialogue at a time, whatever it is about."""
WAITING = 96
"""Of one rota: those included that wait for a place or for their host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A device with an ONVIF service, and all that is needed to talk to it."""

    device: Device
    cameras: tuple[Camera, ...]
    """Its channels that are in service."""
    credentials: Credentials | None = field(default=None, repr=False)
    tls: TlsPolicy | None = None
    """What is asked of its certificate; None: it has to be the one that it was found with."""
    events: bool = True
    """Whether it may be asked what it reports of its scenes."""

    def deaf(self) -> Box:
        """The same, its events not to be asked for."""
        return replace(self, events=False)

    @property
    def id(self) -> str:
        return self.device.id

    @property
    def xaddr(self) -> str:
        return self.device.xaddr or ""

    @property
    def host(self) -> str:
        return (urlsplit(self.xaddr).hostname or "").lower()


class Calls:
    """The bound on dialogues that every rota shares."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._hosts: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @contextlib.asynccontextmanager
    async def at(self, host: str) -> AsyncIterator[None]:
        """A place, and the host to oneself."""
        lock, users = self._hosts.setdefault(host, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock, self._places:
                yield
        finally:
            users.pop()
            if not users:
                self._hosts.pop(host, None)


class Rota:
    """Who is met when. ``meet`` gets a name and says when it is to be met next (the loop's time), or None."""

    def __init__(self, name: str, meet: Callable[[str], Awaitable[float | None]]) -> None:
        self._name = name
        self._meet = meet
        self._due: dict[str, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._met: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._broken = False

    def __contains__(self, name: str) -> bool:
        return name in self._due or name in self._met

    def put(self, name: str, due: float) -> None:
        """Meet it then. Of one that is being met just now, its own answer decides."""
        if name in self._met:
            return
        entry = due, next(self._numbers)
        self._due[name] = entry
        heapq.heappush(self._heap, (*entry, name))
        self._news.set()

    def sooner(self, name: str, due: float) -> None:
        """Meet it then, if that is earlier than its turn."""
        if name in self._due and due < self._due[name][0]:
            self.put(name, due)

    async def drop(self, name: str) -> None:
        """Meet it no more; a meeting under way ends first."""
        self._due.pop(name, None)
        if (task := self._met.get(name)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._due.pop(name, None)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        tasks = [*self._met.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._heap and len(self._met) < WAITING and self._heap[0][0] <= loop.time():
                due, number, name = heapq.heappop(self._heap)
                if self._due.get(name) == (due, number):
                    del self._due[name]
                    self._met[name] = loop.create_task(self._one(name))
            self._news.clear()
            pause = None
            if self._heap and len(self._met) < WAITING:
                pause = max(self._heap[0][0] - loop.time(), 0.005)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _one(self, name: str) -> None:
        again: float | None = None
        try:
            again = await self._meet(name)
            self._broken = False
        except Exception:  # a fault of ours: neither the device's, nor the end of the rota
            if not self._broken:
                log.exception("%s: the meeting with %s failed", self._name, name)
            self._broken = True
            again = asyncio.get_running_loop().time() + 600.0
        finally:
            self._met.pop(name, None)
            self._news.set()
        if again is not None:
            self.put(name, again)
