"""Clocks of devices: as they stand, and how they stood. All functions take a connection within a transaction.

An open interval speaks until :attr:`~sharpeyes.domain.clock.ClockPolicy.validity_ms` after ``at``; time
without an interval was not seen. A camera without a device has no clock that could be asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from sharpeyes.domain.clock import ClockInterval, ClockReading, ClockState, DeviceClock
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import upsert
from sharpeyes.store.device_schema import clock_interval, device_clock
from sharpeyes.store.schema import chunks, device
from sharpeyes.store.telemetry import mark_stale, rewritten_since


def put_clocks(
    connection: Connection, clocks: Iterable[DeviceClock], closed: Iterable[ClockInterval] = ()
) -> None:
    """Clocks as they stand now, and intervals that have ended. Written twice, it is as once; what is of a
    device that is not in the registry is left out."""
    standing, ended = list(clocks), [interval for interval in closed if interval.end is not None]
    known: set[str] = set()
    for some in chunks({clock.device for clock in standing} | {interval.device for interval in ended}):
        known.update(connection.scalars(select(device.c.id).where(device.c.id.in_(some))))
    rows = [_row(clock) for clock in standing if clock.device in known]
    intervals = [
        {
            "device_id": interval.device,
            "started_ms": interval.start,
            "ended_ms": interval.end,
            "state": interval.state.value,
        }
        for interval in ended
        if interval.device in known
    ]
    since = rewritten_since(connection, device_clock, ("state",), intervals, rows)
    if since is not None:  # the intact rate of days already added up
        mark_stale(connection, since)
    if rows:
        connection.execute(upsert(connection, device_clock, ("device_id",)), rows)
    if intervals:
        connection.execute(upsert(connection, clock_interval, ("device_id", "started_ms")), intervals)


def load_clocks(connection: Connection, *, failing: bool = False) -> dict[str, DeviceClock]:
    """Clocks of devices in service, by device; with ``failing`` only those outside tolerance."""
    query = select(device_clock).join(device, device.c.id == device_clock.c.device_id)
    query = query.where(device.c.retired_ms.is_(None))
    if failing:
        query = query.where(device_clock.c.state == ClockState.FAIL.value)
    return {row.device_id: _clock(row) for row in connection.execute(query)}


def clocks_of(connection: Connection, devices: Iterable[str]) -> dict[str, DeviceClock]:
    """The clocks of these devices, as far as they were ever asked."""
    found: dict[str, DeviceClock] = {}
    for some in chunks(set(devices)):
        rows = connection.execute(select(device_clock).where(device_clock.c.device_id.in_(some)))
        found |= {row.device_id: _clock(row) for row in rows}
    return found


def forget_intervals(connection: Connection, before: Ms) -> None:
    """Drop closed intervals that ended before this instant."""
    connection.execute(delete(clock_interval).where(clock_interval.c.ended_ms < before))


def _row(clock: DeviceClock) -> dict[str, object]:
    reading = clock.reading
    return {
        "device_id": clock.device,
        "state": clock.state.value,
        "since_ms": clock.since,
        "at_ms": clock.at,
        "read_ms": reading.at if reading else None,
        "offset_ms": reading.offset_ms if reading else None,
        "uncertainty_ms": reading.uncertainty_ms if reading else None,
        "why": clock.why,
        "against_ms": clock.against,
    }


def _clock(row: object) -> DeviceClock:
    found = row._mapping  # type: ignore[attr-defined]
    reading = None
    if found["read_ms"] is not None:
        reading = ClockReading(
            at=Ms(found["read_ms"]), offset_ms=found["offset_ms"], uncertainty_ms=found["uncertainty_ms"]
        )
    return DeviceClock(
        device=found["device_id"],
        state=ClockState(found["state"]),
        since=Ms(found["since_ms"]),
        at=Ms(found["at_ms"]),
        reading=reading,
        why=found["why"],
        against=found["against_ms"],
    )
