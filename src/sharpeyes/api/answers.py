"""Answers that many pages ask for at a time, reckoned once for all of them.

A rate over the last day takes a core for a fiftieth of a second, and every wall, overview and report asks for
the same ones. An answer says up to when it is reckoned, and stands for a few seconds; while somebody goes on
asking, the next one is reckoned before anybody has to wait for it. What was changed by hand, in the registry
or by a decision, makes a new one at once: only time that goes by may be a few seconds behind.

Only for what is the same for whoever may ask at all: a key names all that an answer depends on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from sharpeyes.api.packed import Packed
from sharpeyes.domain.time import Ms

FRESH_MS = 5_000
"""An answer is given for this long, and nobody works at another one."""
STANDING_MS = 20_000
"""It is given for this long while the next one is being made; whoever comes later waits for that."""
MOST_BYTES = 8 << 20
"""Of all answers that are kept. One that is larger than a quarter of it is not."""


@dataclass(frozen=True, slots=True)
class _Answer:
    stamp: object
    at: Ms
    packed: Packed


class Answers:
    """Those that stand, by what was asked. For one event loop."""

    def __init__(self, clock: Callable[[], Ms]) -> None:
        self._clock = clock
        self._standing: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._coming: dict[tuple[Hashable, object], asyncio.Task[Packed]] = {}
        self._bytes = 0

    async def get(self, key: Hashable, stamp: object, make: Callable[[], Awaitable[Packed]]) -> Packed:
        """The answer to ``key``, by ``make`` if there is none that stands.

        ``stamp``: another one whenever something was changed that makes every answer before untrue. Whoever
        asks while one is being made waits for that one.
        """
        found = self._standing.get(key)
        age = None if found is None or found.stamp != stamp else self._clock() - found.at
        if found is not None and age is not None and 0 <= age < STANDING_MS:
            self._standing.move_to_end(key)
            if age >= FRESH_MS:
                self._begin(key, stamp, make)
            return found.packed
        return await asyncio.shield(self._begin(key, stamp, make))

    def _begin(
        self, key: Hashable, stamp: object, make: Callable[[], Awaitable[Packed]]
    ) -> asyncio.Task[Packed]:
        task = self._coming.get((key, stamp))
        if task is None:
            task = asyncio.create_task(self._make(key, stamp, make), name="answer")
            self._coming[key, stamp] = task
            task.add_done_callback(lambda done: self._end(key, stamp, done))
        return task

    def _end(self, key: Hashable, stamp: object, task: asyncio.Task[Packed]) -> None:
        del self._coming[key, stamp]
        if not task.cancelled():
            task.exception()  # whoever waits has it; if nobody does, the next one who asks tries again

    async def _make(self, key: Hashable, stamp: object, make: Callable[[], Awaitable[Packed]]) -> Packed:
        at = self._clock()
        made = await make()
        self._drop(key)
        if made.size <= MOST_BYTES // 4:
            self._standing[key] = _Answer(stamp, at, made)
            self._bytes += made.size
            while self._bytes > MOST_BYTES:
                self._drop(next(iter(self._standing)))
        return made

    def _drop(self, key: Hashable) -> None:
        gone = self._standing.pop(key, None)
        if gone is not None:
            self._bytes -= gone.packed.size
