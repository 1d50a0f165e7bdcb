"""Outages of our own: what was found out about them reaches the fleet and what is stored, and an operator may
say that one was real.

The loop of faults finds them (``blind``, ``upstream`` of its outcome) and keeps when they began and ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Connection

from sharpeyes.domain.errors import ConflictError, SharpEyesError
from sharpeyes.domain.time import Ms
from sharpeyes.faults.causes import BlindReason
from sharpeyes.faults.round import Outcome
from sharpeyes.health.fleet import Fleet
from sharpeyes.health.hindsight import Blindness, Upstream
from sharpeyes.health.recorder import Recorder
from sharpeyes.store import own_outages as store
from sharpeyes.store.database import Database
from sharpeyes.store.events import Event, record
from sharpeyes.store.own_outages import StoredOutage

log = logging.getLogger(__name__)

Change = Callable[[Connection], StoredOutage]


def blindness(reason: str, since: Ms) -> Blindness:
    """What an outage of our own means for the zone's cameras."""
    return Blindness(since, f"prober_{reason}", whole=reason == BlindReason.CANARY)


class OwnOutages:
    """:meth:`resume` before the fleet starts, :meth:`found` after each tick of the loop."""

    def __init__(self, database: Database, fleet: Fleet, recorder: Recorder) -> None:
        self._database = database
        self._fleet = fleet
        self._recorder = recorder
        self._blind: dict[str, Blindness] = {}
        self._stored: dict[str, Blindness] = {}
        """What has been said of that which was stored before, too."""
        self._upstream: dict[str, Upstream] = {}
        self._believed: dict[str, Blindness] = {}
        self._turn = asyncio.Lock()

    @property
    def upstream(self) -> Mapping[str, Upstream]:
        """Camera -> what its being offline is put down to."""
        return self._upstream

    async def resume(self) -> None:
        """What was not seen when an earlier run ended is not seen yet."""
        lasting = await self._database.aread(store.open_outages)
        self._blind = {
            zone: blindness(outage.reason, outage.since)
            for zone, outage in lasting.items()
            if outage.real is None
        }
        self._fleet.explain(self._blind, {})

    async def found(self, outcome: Outcome) -> None:
        """Tell the fleet, and say the same of what is stored already. What fails is done with the next."""
        async with self._turn:
            blind = {zone: blindness(o.reason.value, o.since) for zone, o in outcome.blind.items()}
            self._blind = {z: b for z, b in blind.items() if self._believed.get(z) != b}
            self._upstream = {c: Upstream(above.node, above.until) for c, above in outcome.upstream.items()}
            self._fleet.explain(self._blind, self._upstream)
            for zone, one in self._blind.items():
                if self._stored.get(zone) == one:
                    continue
                try:
                    count = await self._recorder.recast(zone, one)
                except SharpEyesError:
                    return
                self._stored[zone] = one
                log.warning("we do not see %s (%s): %d stored intervals are unknown", zone, one.cause, count)

    async def say_real(
        self,
        key: int,
        *,
        by: str,
        remark: str,
        at: Ms,
        commit: Callable[[Change], Awaitable[StoredOutage]],
    ) -> StoredOutage:
        """It was real: the cameras did stand as they were seen. What was unknown counts as that from now on.

        ``commit`` runs a change within the register's transaction. Raises NotFoundError, ConflictError
        (said already), UnavailableError (telemetry cannot be stored).
        """
        async with self._turn:
            outage = await self._database.aread(lambda connection: store.get(connection, key))
            if outage.real is not None:
                raise ConflictError(f"outage {key} is said to be real already, by {outage.real_by}")
            if outage.ended is None:
                self._believed[outage.zone] = blindness(outage.reason, outage.since)
                self._blind.pop(outage.zone, None)
                self._fleet.explain(self._blind, self._upstream, real=True)
            try:
                await self._recorder.settle()
                return await commit(lambda connection: _believed(connection, key, by, remark, at))
            except BaseException:
                self._believed.pop(outage.zone, None)
                raise


def _believed(connection: Connection, key: int, by: str, remark: str, at: Ms) -> StoredOutage:
    outage = store.say_real(connection, key, by=by, remark=remark, at=at)
    count = store.believe(connection, outage)
    message = f"Outage {key} of our own in {outage.zone} was real, says {by}: {count} intervals count as seen"
    detail = {"outage": key, "by": by, "remark": remark, "intervals": count}
    record(connection, [Event(at=at, kind="own_outage", subject=outage.zone, message=message, detail=detail)])
    return outage
