"""The list of found devices: each finding put to the device that it is, and how it stands with that.

A device is known again by its MAC; by maker, model and serial; or by its address, where no stronger sign
contradicts: what was decided about it goes on to hold when it moves, and not for who moves in after it.
All functions work within the transaction of the caller's connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from sharpeyes.discovery.found import FoundDevice, document
from sharpeyes.discovery.reconcile import serial_key
from sharpeyes.discovery.sweep import Range, host_of
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.discovery import FoundStatus, How
from sharpeyes.domain.time import Ms
from sharpeyes.net.onvif import Trouble
from sharpeyes.registry.declared import Network, network_of
from sharpeyes.store.discovery import (
    MOST,
    Enrolled,
    Found,
    count_found,
    enrolled_at,
    found_like,
    found_of,
    mark_unreachable,
    put_found,
)

LOGIN = frozenset(
    {Trouble.CREDENTIALS_MISSING, Trouble.AUTH_FAILED, Trouble.AUTH_UNSUPPORTED, Trouble.FORBIDDEN}
)
"""Somebody gives it credentials, and it is asked again."""
AWAY = frozenset(
    {Trouble.REFUSED, Trouble.UNREACHABLE, Trouble.TIMEOUT, Trouble.CLOSED, Trouble.NAME_UNKNOWN}
)
NO_STREAMS = "no_streams"
UNBELIEVED = "xaddr_refused"
"""Somebody announced a device at another's address: no word of it may change what is known of any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one device told in a run, and how it was asked."""

    device: FoundDevice
    credential: str | None = None
    like: Network | None = None
    """The declared network whose defaults hold where its own address lies in none."""


def note(
    connection: Connection, findings: Iterable[Finding], *, run: str, now: Ms, networks: Sequence[Network]
) -> list[Found]:
    """Put findings to the list; the rows as they are now. A list that is full takes no new ones."""
    best: dict[str, Finding] = {}
    for one in findings:  # of several answers of one address the fullest counts
        if (other := best.get(one.device.address)) is None or _worth(one) > _worth(other):
            best[one.device.address] = one
    order = sorted(best.values(), key=_worth, reverse=True)
    known = Known(found_like(connection, [one.device.identity for one in order]))
    at = enrolled_at(connection, best)
    room = MOST - count_found(connection)
    rows: dict[str, Found] = {}
    for one in order:
        row = known.find(one.device.identity)
        if row is not None and row.id in rows:
            continue  # one device at two addresses
        if row is None:
            if room <= 0:
                continue
            room -= 1
        row = _row(row, one, at.get(one.device.address), networks, run, now)
        rows[row.id] = row
        known.put(row)
    put_found(connection, rows.values())
    return list(rows.values())


Swept = tuple[Range, frozenset[int]]
"""Addresses, and the ports of theirs that were asked."""


def miss(connection: Connection, swept: Sequence[Swept], *, run: str) -> int:
    """Mark those as unreachable that are known where this run asked, and that it did not see."""
    waiting = (FoundStatus.NEW, FoundStatus.NEEDS_CREDENTIALS, FoundStatus.ERROR)
    gone = [
        one.id for one in found_of(connection, waiting) if one.run != run and _was_asked(one.address, swept)
    ]
    mark_unreachable(connection, gone)
    return len(gone)


_SIGNS: tuple[Callable[[Identity], Hashable], ...] = (
    lambda one: one.mac,
    serial_key,
    lambda one: one.address,
)
"""What tells devices apart, strongest first."""


class Known:
    """Rows of the list, to be found again by what a device says of itself."""

    def __init__(self, rows: Iterable[Found]) -> None:
        self._rows: dict[str, Found] = {}
        self._by: tuple[dict[Hashable, list[str]], ...] = tuple({} for _ in _SIGNS)
        for row in rows:
            self.put(row)

    def put(self, row: Found) -> None:
        self._rows[row.id] = row
        for carriers, sign in zip(self._by, _SIGNS, strict=True):
            if (value := sign(row.identity)) is not None:
                carriers.setdefault(value, []).append(row.id)

    def find(self, identity: Identity) -> Found | None:
        """The row of this device: by its strongest sign that nothing stronger contradicts; None if new."""
        for number, sign in enumerate(_SIGNS):
            if (value := sign(identity)) is None:
                continue
            for row in (self._rows[key] for key in self._by[number].get(value, ())):
                if sign(row.identity) == value and not any(
                    apart(stronger(row.identity), stronger(identity)) for stronger in _SIGNS[:number]
                ):
                    return row
        return None


def _was_asked(address: str, swept: Sequence[Swept]) -> bool:
    host, port = host_of(address), address.rpartition(":")[2]
    return host is not None and any(host in span and port in map(str, ports) for span, ports in swept)


def apart(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def status_of(device: FoundDevice) -> tuple[FoundStatus, str | None, str | None]:
    """How it stands with a device that nobody decided about: the status, what is in the way, and why."""
    error = device.error
    kind, reason = (error.kind, error.message) if error is not None else (None, None)
    if device.streams:
        return FoundStatus.NEW, kind, reason
    if error is None:
        return FoundStatus.ERROR, NO_STREAMS, "it names no stream that could be looked at"
    if kind in LOGIN:
        return FoundStatus.NEEDS_CREDENTIALS, kind, reason
    return (FoundStatus.UNREACHABLE if kind in AWAY else FoundStatus.ERROR), kind, reason


def _row(
    row: Found | None,
    one: Finding,
    enrolled: Enrolled | None,
    networks: Sequence[Network],
    run: str,
    now: Ms,
) -> Found:
    device = one.device
    status, kind, reason = status_of(device)
    if status is FoundStatus.NEEDS_CREDENTIALS and row is not None and row.credential and not one.credential:
        # It was only asked without the account that it is known to want.
        status, kind, reason = row.status, row.kind, row.reason
    if enrolled is not None and (not enrolled.cameras or _contradict(enrolled.identity, device.identity)):
        enrolled = None
    if enrolled is not None:
        status = FoundStatus.ENROLLED
    elif row is not None and row.status is FoundStatus.IGNORED:
        status, kind, reason = FoundStatus.IGNORED, None, None
    told = row.told if row is not None else None
    if device.streams:
        told = {"channels": document(device)["channels"]}
    network = network_of(networks, device.address) or one.like
    before = row.identity if row is not None else Identity()
    now_is = device.identity
    identity = Identity(
        mac=now_is.mac or before.mac,
        manufacturer=now_is.manufacturer or before.manufacturer,
        model=now_is.model or before.model,
        serial=now_is.serial or before.serial,
        endpoint=now_is.endpoint or before.endpoint,
        address=device.address,
    )
    made = Found(
        id=row.id if row is not None else f"fnd-{secrets.token_hex(6)}",
        identity=identity,
        xaddr=device.xaddr,
        firmware=device.firmware or (row.firmware if row is not None else None),
        name=device.name or (row.name if row is not None else None),
        location=device.location or (row.location if row is not None else None),
        fingerprint=device.fingerprint,
        clock_offset_s=device.clock_offset_seconds,
        channels=len(device.channels) or (row.channels if row is not None else 0),
        streams=device.streams or (row.streams if row is not None else 0),
        status=status,
        kind=kind,
        reason=reason[:500] if reason is not None else None,
        # Whoever is asked again was named; how it came to be found was told then.
        how=row.how if row is not None and device.how is How.NAMED else device.how,
        network=network.id if network is not None else None,
        run=run,
        first=row.first if row is not None else now,
        last=now,
        device=enrolled.id if enrolled is not None else None,
        credential=one.credential,
        told=None if enrolled is not None else told,
    )
    if row is None:
        return made
    return replace(
        made,
        credential=one.credential or row.credential,
        decided_by=row.decided_by,
        decided=row.decided,
        remark=row.remark,
    )


def _contradict(one: Identity, other: Identity) -> bool:
    return apart(one.mac, other.mac) or apart(serial_key(one), serial_key(other))


def _worth(one: Finding) -> tuple[bool, bool, int]:
    device = one.device
    return device.error is None, device.identity.mac is not None, device.streams


def tally(rows: Iterable[Found]) -> Mapping[FoundStatus, int]:
    """How many there are of each status."""
    counts = dict.fromkeys(FoundStatus, 0)
    for row in rows:
        counts[row.status] += 1
    return counts
