"""Days added up once, so that a month is not read from its intervals each time it is asked for.

A day is due when the prober was alive after its end, so that all it saw of the day is stored; and again
whenever something changes what it was added up from: an interval that is dated back over midnight, or the
approval of an exclusion. It is read in one snapshot and written in one transaction, and only if nothing has
changed between the two: whenever the process dies, the next turn makes up for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, tzinfo
from functools import partial

from sqlalchemy import Connection

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.background import in_background
from sharpeyes.rates.rates import excluded_of
from sharpeyes.rates.timeline import Every
from sharpeyes.store import exclusions, ranking, rollups, rungs, state_time, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.exclusions import ExclusionStage
from sharpeyes.store.ranking import Month
from sharpeyes.store.rollups import GROUPS, Figures
from sharpeyes.store.state_time import Dimension, Stay

log = logging.getLogger(__name__)

EVERY_S = 60.0
GRACE_MS = 120_000
"""After midnight: most of what is dated back over it has come by then."""

_EVER = Ms(2**53)

Groups = dict[tuple[Dimension, str], Figures]


def due(connection: Connection, zone: tzinfo, now: Ms) -> list[Span]:
    """The days to add up, newest first: what is asked for most."""
    beat = telemetry.get_heartbeat(connection)
    first = rollups.first_member(connection)
    if beat is None or first is None:
        return []
    since = Ms(max(first, rollups.archived_until(connection)))
    until = Ms(min(beat, now - GRACE_MS))
    known = {day.span for day in rollups.days(connection) if day.fresh}
    if since >= until:
        return []
    wanted = [day for day in timeline.days(Span(since, until), zone) if day.end <= until]
    return [day for day in reversed(wanted) if day not in known]


def misfits(connection: Connection, zone: tzinfo) -> list[Span]:
    """Days kept with other bounds than the zone's: it was another zone once. The archive's are left."""
    kept = rollups.archived_until(connection)
    found = [day.span for day in rollups.days(connection) if day.span.start >= kept]
    if not found:
        return []
    right = set(timeline.days(Span(found[0].start, max(day.end for day in found)), zone))
    return [day for day in found if day not in right]


def add_up(connection: Connection, day: Span) -> tuple[dict[str, Figures], Groups]:
    """The figures of a day: of each camera, and of each key of each dimension that is kept."""
    cameras: dict[str, Figures] = defaultdict(Figures)
    groups: Groups = defaultdict(Figures)
    seen: dict[tuple[Dimension, str], set[str]] = defaultdict(set)
    climbed = rungs.climbed_by_stay(connection, day, known_until=day.end)
    for stay in state_time.stays(connection, day, known_until=day.end):
        for group in _keys(stay):
            seen[group].add(stay.camera)
        steps = climbed.get((stay.camera, stay.since), Counter())
        for figures in _of(stay, cameras, groups):
            figures.member_ms += stay.ms
            _add(figures.states, stay.states)
            for step, ms in steps.items():
                figures.rungs[step] += ms
    for group, members in seen.items():
        groups[group].cameras = len(members)
    for stay in state_time.stays(connection, Span(Ms(day.end - 1), day.end), known_until=day.end):
        for figures in _of(stay, cameras, groups):
            figures.present += 1
            _add(figures.heads, stay.states)
    approved = exclusions.overlapping(connection, day, stage=ExclusionStage.APPROVED)
    for piece, over in timeline.slices([x.span for x in approved], day):
        where = exclusions.members_of(connection, [approved[n] for n in over])
        for stay in state_time.stays(connection, piece, known_until=day.end, where=where):
            x = excluded_of(stay.ms, dict(zip(State, stay.states, strict=True)))
            for figures in _of(stay, cameras, groups):
                _add(figures.excluded, (x.obliged_ms, x.online_ms, x.offline_ms))
    return cameras, groups


def put(
    connection: Connection, day: Span, revision: int, found: tuple[dict[str, Figures], Groups], now: Ms
) -> bool:
    cameras, groups = found
    by_group = [(by, key, figures) for (by, key), figures in sorted(groups.items())]
    return rollups.put_day(connection, day, revision, sorted(cameras.items()), by_group, now=now)


def months_due(connection: Connection, zone: tzinfo) -> list[tuple[Span, Month]]:
    """The months whose days have changed since their cameras were added up, and what of each is kept: the
    first of its days that follow each other."""
    known = {month.span for month in ranking.months(connection)}
    found: list[tuple[Span, Month]] = []
    seen: set[Span] = set()
    for fresh in rollups.fresh_spans(connection, Span(Ms(0), _EVER)):
        for part in timeline.steps(fresh, Every.MONTH, zone):
            whole = timeline.month(datetime.fromtimestamp(part.start / 1000, zone).date(), zone)
            if whole in seen:
                continue  # behind a day that is not kept
            seen.add(whole)
            revisions = ranking.revisions_of(connection, part)
            if part not in known and revisions is not None:
                found.append((whole, Month(part, revisions)))
    return found


class Roller:
    """Adds up what is due, for as long as :meth:`running` lasts."""

    def __init__(self, database: Database, zone: tzinfo, clock: Callable[[], Ms]) -> None:
        self._database = database
        self._zone = zone
        self._clock = clock

    async def turn(self) -> int:
        """Add up every day that is due; returns how many were. Reads beside the writer, writes briefly."""
        database, now = self._database, self._clock
        if wrong := await database.aread(partial(misfits, zone=self._zone)):
            await database.awrite(partial(rollups.forget_days, spans=wrong))
        done = 0
        for day in await database.aread(partial(due, zone=self._zone, now=now())):
            revision = await database.awrite(partial(rollups.open_day, day=day))
            found = await database.aread(partial(add_up, day=day))
            done += await database.awrite(partial(put, day=day, revision=revision, found=found, now=now()))
        for within, month in await database.aread(partial(months_due, zone=self._zone)):
            rows = await database.aread(partial(ranking.add_up_month, span=month.span))
            await database.awrite(partial(ranking.put_month, within=within, month=month, rows=rows))
        return done

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), "rates-rollup")

    async def _run(self) -> None:
        broken = False
        while True:
            try:
                if done := await self.turn():
                    log.info("added up %d days", done)
            except Exception:  # whatever it is, the next turn makes up for it
                if not broken:
                    log.exception("days cannot be added up; it is tried again")
                broken = True
            else:
                broken = False
            await asyncio.sleep(EVERY_S)


def _keys(stay: Stay) -> list[tuple[Dimension, str]]:
    return [(by, "all" if by == "all" else getattr(stay, by)) for by in GROUPS]


def _of(stay: Stay, cameras: dict[str, Figures], groups: Groups) -> list[Figures]:
    """Every sum that a membership counts in."""
    return [cameras[stay.camera], *(groups[group] for group in _keys(stay))]


def _add(to: list[int], numbers: tuple[int, ...]) -> None:
    for n, number in enumerate(numbers):
        to[n] += number
