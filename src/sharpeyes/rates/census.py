"""How far up the ladder the cameras of each tier stand now: counted in the store for metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from sqlalchemy import Connection

from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates.background import in_background
from sharpeyes.rates.rate import Climb
from sharpeyes.store import rungs, telemetry
from sharpeyes.store.database import Database

log = logging.getLogger(__name__)

EVERY_S = 15.0


def climbs(connection: Connection, now: Ms) -> dict[str, Climb]:
    """By tier, cameras in place of milliseconds; those that were not seen lately are not among them."""
    beat = telemetry.get_heartbeat(connection)
    if beat is None:
        return {}
    end = Ms(min(beat, now))
    found = rungs.climbed(connection, Span(Ms(end - 1), end), "tier", known_until=end)
    return {tier: Climb.of(steps) for tier, steps in found.items()}


class Census:
    """Counts for as long as :meth:`running` lasts; ``at``: when it last did, None before."""

    def __init__(self, database: Database, clock: Callable[[], Ms]) -> None:
        self._database = database
        self._clock = clock
        self.tiers: Mapping[str, Climb] = {}
        self.at: Ms | None = None

    async def count(self) -> None:
        now = self._clock()
        self.tiers = await self._database.aread(partial(climbs, now=now))
        self.at = now

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), "rates-census")

    async def _run(self) -> None:
        broken = False
        while True:
            try:
                await self.count()
            except Exception:  # whatever it is, figures that are not told go stale, and that is seen
                if not broken:
                    log.exception("rungs cannot be counted; it is tried again")
                broken = True
            else:
                broken = False
            await asyncio.sleep(EVERY_S)
