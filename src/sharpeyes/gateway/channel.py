"""A stream that somebody watches: it lives as long as that, and a little longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from enum import StrEnum

from sharpeyes.gateway.hub import Hub
from sharpeyes.gateway.picture import StreamFacts


class PullState(StrEnum):
    """What viewers are told about their picture."""

    STARTING = "starting"
    PLAYING = "playing"
    LOST = "lost"
    """The camera does not deliver at present; it is tried again."""


class Channel:
    """What viewers join: a camera's own stream, or one that is made of it. Base of both."""

    def __init__(self, grace_s: float, left: Callable[[], None]) -> None:
        """``grace_s``: how long it goes on after its last viewer left; then ``left`` is called."""
        self._left = left
        self.facts: StreamFacts | None = None
        self.hub = Hub(idle=self._rest)
        self._loop = asyncio.get_running_loop()
        self._grace_s = grace_s
        self._grace: asyncio.TimerHandle | None = None
        self._claims = 0
        self._news = asyncio.Event()
        self._rest()

    def told(self) -> PullState:
        """How it does, for those who watch."""
        raise NotImplementedError

    async def ready(self, within_s: float, *, picture: bool = False) -> StreamFacts:
        """What the stream is; with ``picture``, once there is one to begin with. UnavailableError if it does
        not come."""
        raise NotImplementedError

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """While somebody is about to watch, the stream does not end."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Somebody watches or is about to, until :meth:`release`."""
        self._claims += 1

    def release(self) -> None:
        self._claims -= 1
        self._rest()

    @property
    def idle(self) -> bool:
        """Nobody watches, or is about to."""
        return not self.hub and not self._claims

    def _rest(self) -> None:
        """Nobody watches now."""
        self._forget_grace()
        self._grace = self._loop.call_later(self._grace_s, self._over)

    def _over(self) -> None:
        self._grace = None
        if self.idle:
            self._left()

    def _forget_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
