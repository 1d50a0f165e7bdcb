"""Runs of discovery and the devices they found: what waits for a decision survives a restart."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, insert, or_, select, update

from sharpeyes.domain.camera import Identity
from sharpeyes.domain.discovery import FoundStatus, How, Outcome
from sharpeyes.domain.time import Ms
from sharpeyes.store.discovery_schema import discovery_run, discovery_sighting, found_device
from sharpeyes.store.schema import camera, chunks, device

RUNS = 200
"""Runs that are kept."""
MOST = 65_536
"""Devices that are kept."""
FORGET_MS = 180 * 24 * 3600 * 1000
"""After which a device that was not seen again, and that nobody decided about, is forgotten."""


@dataclass(frozen=True, slots=True)
class RunError:
    """What one device or network failed with; ``kind`` is a stable word."""

    where: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One search. ``step``, ``done``, ``total``, ``rate`` and ``remaining_s`` are of one under way alone."""

    id: str
    started: Ms
    by: str
    """Who began it: a caller's name, or ``schedule``."""
    scope: Mapping[str, Any]
    """Where was searched, as whom, and what was to become of what is found; holds no secret."""
    ended: Ms | None = None
    """None while it goes on, and of one that was cut short, for nobody knows when."""
    outcome: Outcome | None = None
    stopped_by: str | None = None
    step: str | None = None
    done: int = 0
    total: int = 0
    """Of the step; 0 if that is not known."""
    asked: int = 0
    """Ports of addresses that were asked, of ``to_ask``."""
    to_ask: int = 0
    answered: int = 0
    """Addresses that answered as devices do."""
    rate: float | None = None
    """Of the step, per second."""
    remaining_s: float | None = None
    """Of the step."""
    found: int = 0
    """Devices that were asked what they are."""
    enrolled: int = 0
    """Of those, the ones in the registry; known at its end."""
    waiting: int = 0
    """Of those, the ones that wait for a decision."""
    added: int = 0
    """Cameras that are new in the registry."""
    errors: tuple[RunError, ...] = ()


_RUN_COLUMNS = ("asked", "to_ask", "answered", "found", "enrolled", "waiting", "added")


def put_run(connection: Connection, run: Run) -> None:
    """Insert or update by id; older runs than the last :data:`RUNS` are forgotten."""
    row = {name: getattr(run, name) for name in _RUN_COLUMNS} | {
        "started_ms": run.started,
        "ended_ms": run.ended,
        "started_by": run.by,
        "stopped_by": run.stopped_by,
        "outcome": run.outcome,
        "scope": dict(run.scope),
        "errors": [[one.where, one.kind, one.message] for one in run.errors],
    }
    done = connection.execute(update(discovery_run).where(discovery_run.c.id == run.id).values(row))
    if done.rowcount == 0:
        connection.execute(insert(discovery_run).values(row | {"id": run.id}))
        kept = select(discovery_run.c.id).order_by(discovery_run.c.started_ms.desc()).limit(RUNS)
        connection.execute(delete(discovery_run).where(discovery_run.c.id.not_in(kept)))
        connection.execute(
            delete(discovery_sighting).where(discovery_sighting.c.run_id.not_in(select(discovery_run.c.id)))
        )


def list_runs(connection: Connection, *, limit: int = RUNS) -> list[Run]:
    """Newest first."""
    query = select(discovery_run).order_by(discovery_run.c.started_ms.desc(), discovery_run.c.id)
    return [
        Run(
            id=row.id,
            started=Ms(row.started_ms),
            ended=None if row.ended_ms is None else Ms(row.ended_ms),
            by=row.started_by,
            stopped_by=row.stopped_by,
            outcome=None if row.outcome is None else Outcome(row.outcome),
            scope=row.scope,
            errors=tuple(RunError(*one) for one in row.errors),
            **{name: getattr(row, name) for name in _RUN_COLUMNS},
        )
        for row in connection.execute(query.limit(limit))
    ]


def cut_short(connection: Connection) -> int:
    """Mark the runs that a service before this one did not end; how many there were."""
    going = discovery_run.c.outcome.is_(None)
    return connection.execute(update(discovery_run).where(going).values(outcome=Outcome.CUT_SHORT)).rowcount


# --- found devices ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A device that a run found: what it told, and how it stands with it."""

    id: str
    identity: Identity
    """Its address is the last that it had."""
    xaddr: str
    firmware: str | None = None
    name: str | None = None
    location: str | None = None
    fingerprint: str | None = None
    clock_offset_s: float | None = None
    channels: int = 0
    streams: int = 0
    status: FoundStatus
    kind: str | None = None
    """Of what stands in the way; a stable word."""
    reason: str | None = None
    """The same in a sentence."""
    how: How
    network: str | None = None
    """The declared network whose defaults apply."""
    run: str | None = None
    """The last that saw it."""
    first: Ms
    last: Ms
    device: str | None = None
    """The device of the registry that it is."""
    credential: str | None = None
    """The account that it was asked with, or is to be."""
    decided_by: str | None = None
    decided: Ms | None = None
    remark: str | None = None
    """Why it is ignored."""
    told: Mapping[str, Any] | None = field(default=None, repr=False)
    """Its channels, while somebody may approve it."""

    @property
    def address(self) -> str:
        return self.identity.address or ""


_SAME = (
    *("xaddr", "firmware", "name", "location", "fingerprint", "clock_offset_s", "channels", "streams"),
    *("status", "kind", "reason", "how", "network", "device", "credential", "decided_by", "remark", "told"),
)
_COLUMNS = (
    *(f.name for f in fields(Identity)),
    *_SAME,
    *("position", "run_id", "first_ms", "last_ms", "decided_ms"),
)
_LIGHT = [column for column in found_device.c if column.name != "told"]
URGENCY = (
    *(FoundStatus.NEW, FoundStatus.NEEDS_CREDENTIALS, FoundStatus.ERROR, FoundStatus.UNREACHABLE),
    *(FoundStatus.ENROLLED, FoundStatus.IGNORED),
)
"""The order of ``status``: first what somebody can do something about."""


def put_found(connection: Connection, items: Iterable[Found]) -> None:
    """Insert or replace by id."""
    by_id = {item.id: item for item in items}
    rows = {key: _row(item) for key, item in by_id.items()}
    known: set[str] = set()
    for some in chunks(rows):
        known.update(connection.scalars(select(found_device.c.id).where(found_device.c.id.in_(some))))
    if new := [row | {"id": key} for key, row in rows.items() if key not in known]:
        connection.execute(insert(found_device), new)
    if old := [row | {"key": key} for key, row in rows.items() if key in known]:
        values: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS}
        connection.execute(
            update(found_device).where(found_device.c.id == bindparam("key")).values(values), old
        )
    _put_sightings(connection, {key: item.run for key, item in by_id.items() if item.run is not None})


def _put_sightings(connection: Connection, runs: Mapping[str, str]) -> None:
    """Each device was seen by a run; what is known stays."""
    table = discovery_sighting.c
    known: set[tuple[str, str]] = set()
    for some in chunks(runs):
        query = select(table.run_id, table.found_id).where(
            table.run_id.in_(set(runs.values())), table.found_id.in_(some)
        )
        known.update((row.run_id, row.found_id) for row in connection.execute(query))
    new = [{"run_id": run, "found_id": key} for key, run in runs.items() if (run, key) not in known]
    if new:
        connection.execute(insert(discovery_sighting), new)


def get_found(connection: Connection, ids: Iterable[str]) -> dict[str, Found]:
    """The devices by id, with what they told, in the order of ``ids``; those that are not there left out."""
    order = list(dict.fromkeys(ids))
    found = {}
    for some in chunks(order):
        query = select(found_device).where(found_device.c.id.in_(some))
        found.update({row.id: _found(row) for row in connection.execute(query)})
    return {key: found[key] for key in order if key in found}


def found_like(connection: Connection, identities: Sequence[Identity]) -> list[Found]:
    """Whoever has an address, a MAC or a serial of these."""
    seen: dict[str, Found] = {}
    for column in (found_device.c.address, found_device.c.mac, found_device.c.serial):
        values = {getattr(one, column.name) for one in identities} - {None}
        for some in chunks(sorted(values)):
            query = select(found_device).where(column.in_(some))
            seen.update({row.id: _found(row) for row in connection.execute(query)})
    return [seen[key] for key in sorted(seen)]


def found_of(connection: Connection, statuses: Collection[FoundStatus]) -> list[Found]:
    """All of these statuses, without what they told."""
    query = select(*_LIGHT).where(found_device.c.status.in_(list(statuses))).order_by(found_device.c.id)
    return [_found(row) for row in connection.execute(query)]


def mark_unreachable(connection: Connection, ids: Iterable[str]) -> None:
    """They were asked again and did not answer; what they told stays."""
    for some in chunks(ids):
        connection.execute(
            update(found_device)
            .where(found_device.c.id.in_(some))
            .values(status=FoundStatus.UNREACHABLE, kind="unreachable", reason=None)
        )


def count_found(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(found_device)) or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFilter:
    """Which found devices; None and empty leave a field open."""

    statuses: tuple[FoundStatus, ...] = ()
    kinds: tuple[str, ...] = ()
    run: str | None = None
    """That saw it, even if a later one did too."""
    search: str = ""
    """Words that all occur in an address, a name, a model, a serial, a MAC, a firmware or a place."""
    addresses: bool = True
    """Whether who searches may see addresses: else none can be found out by searching for it."""


def list_found(
    connection: Connection,
    wanted: FoundFilter,
    *,
    sort: str = "last",
    down: bool = True,
    offset: int = 0,
    limit: int = 100,
) -> tuple[list[Found], int]:
    """A page without what the devices told, and how many there are in all."""
    conditions = _conditions(wanted)
    column = {
        "address": found_device.c.position,
        "first": found_device.c.first_ms,
        "last": found_device.c.last_ms,
        "model": func.coalesce(found_device.c.manufacturer, "")
        + " "
        + func.coalesce(found_device.c.model, ""),
        "name": func.coalesce(found_device.c.name, ""),
        "status": case(
            {status.value: number for number, status in enumerate(URGENCY)}, value=found_device.c.status
        ),
    }[sort]
    order = column.desc() if down else column.asc()
    query = select(*_LIGHT).where(*conditions).order_by(order, found_device.c.position, found_device.c.id)
    total = connection.scalar(select(func.count()).select_from(found_device).where(*conditions)) or 0
    return [_found(row) for row in connection.execute(query.offset(offset).limit(limit))], total


def tally_found(connection: Connection, wanted: FoundFilter, by: str) -> dict[str, int]:
    """How many there are of each ``status`` or ``kind``, whatever of it was wanted."""
    column = found_device.c[by]
    open_ = {"status": {"statuses": ()}, "kind": {"kinds": ()}}[by]
    conditions = _conditions(
        FoundFilter(**({f.name: getattr(wanted, f.name) for f in fields(wanted)} | open_))
    )
    query = select(column, func.count()).where(*conditions, column.is_not(None)).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}


def forget_found(connection: Connection, *, now: Ms) -> int:
    """Forget whom nobody saw for long, but for those that are enrolled or that somebody decided about."""
    stale = found_device.c.status.not_in([FoundStatus.ENROLLED, FoundStatus.IGNORED])
    gone = connection.execute(
        delete(found_device).where(stale, found_device.c.last_ms < now - FORGET_MS)
    ).rowcount
    if gone:
        connection.execute(
            delete(discovery_sighting).where(discovery_sighting.c.found_id.not_in(select(found_device.c.id)))
        )
    return gone


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device of the registry, and how many cameras of it are in service."""

    id: str
    identity: Identity
    credential: str | None
    cameras: int


def enrolled_at(connection: Connection, addresses: Iterable[str]) -> dict[str, Enrolled]:
    """The devices of the registry at these addresses (``host:port``)."""
    found: dict[str, Enrolled] = {}
    names = [f.name for f in fields(Identity)]
    for some in chunks(addresses):
        query = (
            select(device, func.count(camera.c.id).label("cameras"))
            .outerjoin(camera, (camera.c.device == device.c.id) & camera.c.retired_ms.is_(None))
            .where(device.c.address.in_(some), device.c.retired_ms.is_(None))
            .group_by(device.c.id)
            .order_by(device.c.id)
        )
        for row in connection.execute(query):
            identity = Identity(**{name: getattr(row, name) for name in names})
            best = found.get(row.address)
            if best is None or row.cameras > best.cameras:
                found[row.address] = Enrolled(row.id, identity, row.credential, row.cameras)
    return found


def _conditions(wanted: FoundFilter) -> list[ColumnElement[bool]]:
    table = found_device.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(table.status.in_(list(wanted.statuses)))
    if wanted.kinds:
        conditions.append(table.kind.in_(list(wanted.kinds)))
    if wanted.run is not None:
        seen = select(discovery_sighting.c.found_id).where(discovery_sighting.c.run_id == wanted.run)
        conditions.append(table.id.in_(seen))
    searched = ["name", "manufacturer", "model", "serial", "firmware", "location"]
    searched += ["address", "mac"] if wanted.addresses else []
    for word in wanted.search.lower().split()[:8]:
        plain = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append(
            or_(*(func.lower(table[name]).like(f"%{plain}%", escape="\\") for name in searched))
        )
    return conditions


def position(address: str) -> str:
    """A text that sorts ``host:port`` by number."""
    host, _, port = (
        address.rpartition(":") if address.count(":") == 1 or "]" in address else (address, "", "")
    )
    try:
        parsed = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"9{address[:39]}"
    return f"{parsed.version}{int(parsed):0{8 if parsed.version == 4 else 32}x}{int(port or 0):04x}"


def _row(item: Found) -> dict[str, Any]:
    row = {f.name: getattr(item.identity, f.name) for f in fields(Identity)}
    row |= {name: getattr(item, name) for name in _SAME}
    return row | {
        "address": item.address,
        "position": position(item.address),
        "run_id": item.run,
        "first_ms": item.first,
        "last_ms": item.last,
        "decided_ms": item.decided,
    }


def _found(row: Any) -> Found:
    values: dict[str, Any] = {name: getattr(row, name, None) for name in _SAME}
    return Found(
        id=row.id,
        identity=Identity(**{f.name: getattr(row, f.name) for f in fields(Identity)}),
        **values | {"status": FoundStatus(row.status), "how": How(row.how)},
        run=row.run_id,
        first=Ms(row.first_ms),
        last=Ms(row.last_ms),
        decided=None if row.decided_ms is None else Ms(row.decided_ms),
    )
