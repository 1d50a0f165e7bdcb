"""From found to enrolled: at once where a network says so, else by somebody's approval.

All functions work within the transaction of the caller's connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import count

from sqlalchemy import Connection

from sharpeyes.discovery.found import FoundDevice, FoundError, channels_of
from sharpeyes.discovery.listing import UNBELIEVED, Finding, Known, note
from sharpeyes.discovery.reconcile import reconcile, serial_key
from sharpeyes.discovery.sweep import host_of
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.discovery import Enrol, FoundStatus
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.registry import registry
from sharpeyes.registry.changes import AddCamera, AddDevice, AttachCamera, Change, Inventory, MoveDevice
from sharpeyes.registry.declared import Method, Network, check_pattern, network_of
from sharpeyes.store.cameras import get_cameras
from sharpeyes.store.credentials import list_credentials
from sharpeyes.store.devices import get_device, put_devices
from sharpeyes.store.discovery import Found, enrolled_at, found_like, get_found, put_found
from sharpeyes.store.dossiers import mark_edited
from sharpeyes.store.events import Event, record
from sharpeyes.store.organisation import list_areas, list_departments, list_zones

PLACED = ("tier", "department", "area", "zone", "credential")
"""What an approval says of a camera, and its network does not undo."""
AS_FOUND = "as_found"
"""The account that the device was asked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where approved cameras belong, and what they are called."""

    tier: Tier
    department: str
    area: str
    zone: str
    camera_name: str
    credential: str | None = AS_FOUND
    """Name of an account, :data:`AS_FOUND`, or None for open streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """One camera that an approval brought, or would bring."""

    found: str
    camera: Camera
    known: bool
    """The camera was in the registry before; now it has a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    cameras: tuple[Approved, ...]
    moved: Mapping[str, str]
    """Found device -> the address that the registry had for it until now."""
    refused: Mapping[str, str]
    """Found device -> why nothing came of it."""


def take(
    connection: Connection,
    findings: Sequence[Finding],
    policies: Mapping[str, Enrol],
    networks: Sequence[Network],
    *,
    run: str,
    now: Ms,
) -> tuple[list[Found], registry.Summary]:
    """The end of a run: known devices are kept up to date, new ones enrolled where ``policies`` (by address)
    says so; all of them are put to the list.

    What waits for approval changes nothing: no new camera, and no known device moves to where it is said to
    be, for a MAC is quickly claimed. Neither does what was ignored, nor what only an announcement says.
    """
    known = Known(found_like(connection, [one.device.identity for one in findings]))
    heard = [
        one
        for one in findings
        if ((row := known.find(one.device.identity)) is None or row.status is not FoundStatus.IGNORED)
        and (one.device.error is None or one.device.error.kind != UNBELIEVED)
    ]
    inventory = registry.inventory(connection)
    names = {area.id: area.name for area in list_areas(connection)}
    where, own = _with_accounts(heard, networks)
    devices = [one.device for one in heard]
    held = {one.address for one in devices if policies.get(one.address) is not Enrol.AUTOMATIC}
    changes = _reconciled(inventory, devices, where, names)
    while pending := _undecided(changes, inventory, devices) & held:
        devices = [one for one in devices if one.address not in pending]
        changes = _reconciled(inventory, devices, where, names)
    summary = registry.apply(connection, changes, now=now)
    added = [
        change.camera.id
        for change in changes
        if isinstance(change, AddCamera) and change.camera.credential in own
    ]
    mark_edited(connection, dict.fromkeys(get_cameras(connection, added), ("credential",)))
    return note(connection, findings, run=run, now=now, networks=networks), summary


def approve(connection: Connection, ids: Iterable[str], place: Place, *, by: str, now: Ms) -> Approval:
    """Enrol found devices by what they told; their cameras get numbers where area and department allow it.

    :raises InvalidInputError: the place names something that is not there.
    """
    _check(connection, place)
    refused: dict[str, str] = {}
    moved: dict[str, str] = {}
    cameras: list[Approved] = []
    wanted = list(dict.fromkeys(ids))
    rows = get_found(connection, wanted)
    refused |= {key: "there is no such device" for key in wanted if key not in rows}
    names = {area.id: area.name for area in list_areas(connection)}
    left = list(rows.values())
    for row in tuple(left):
        if (why := _unfit(row)) is not None:
            refused[row.id] = why
            left.remove(row)
    while left:  # several devices behind one address (ports of a router) may have accounts of their own
        group = {host_of(row.address): row for row in reversed(left)}
        left = [row for row in left if row not in group.values()]
        inventory = registry.inventory(connection)
        devices = [device_of(row) for row in group.values()]
        changes = _reconciled(inventory, devices, [_network(row, place) for row in group.values()], names)
        registry.apply(connection, changes, now=now)
        by_address = {row.address: row for row in group.values()}
        at = {c.device.id: c.device.identity.address for c in changes if isinstance(c, AddDevice)}
        at |= {device.id: device.identity.address for device in inventory.devices}
        at |= {c.device: c.address for c in changes if isinstance(c, MoveDevice)}
        for change in changes:
            if isinstance(change, MoveDevice) and change.address in by_address:
                moved[by_address[change.address].id] = change.was or ""
        came = {
            (c.camera.id if isinstance(c, AddCamera) else c.camera): (
                c.camera.device if isinstance(c, AddCamera) else c.device,
                isinstance(c, AttachCamera),
            )
            for c in changes
            if isinstance(c, AddCamera | AttachCamera)
        }
        stored = get_cameras(connection, came)
        for key, (device, known) in came.items():
            whose = by_address.get(at.get(device or "") or "")
            if whose is not None and key in stored:
                cameras.append(Approved(found=whose.id, camera=stored[key], known=known))
        mark_edited(
            connection, {key: PLACED for key, (_, known) in came.items() if not known and key in stored}
        )
        _settle(connection, group.values(), place, refused, by=by, now=now)
    return Approval(cameras=tuple(cameras), moved=moved, refused=refused)


def device_of(row: Found) -> FoundDevice:
    """What was found, from its row."""
    return FoundDevice(
        address=row.address,
        xaddr=row.xaddr,
        identity=row.identity,
        firmware=row.firmware,
        name=row.name,
        location=row.location,
        clock_offset_seconds=row.clock_offset_s,
        channels=channels_of(row.told) if row.told is not None else (),
        fingerprint=row.fingerprint,
        error=FoundError(row.kind, row.reason or "") if row.kind is not None else None,
        how=row.how,
    )


def _settle(
    connection: Connection,
    rows: Iterable[Found],
    place: Place,
    refused: dict[str, str],
    *,
    by: str,
    now: Ms,
) -> None:
    """Mark as enrolled whoever has cameras now, and say in the journal who approved it."""
    rows = list(rows)
    at = enrolled_at(connection, [row.address for row in rows])
    done = []
    for row in rows:
        device = at.get(row.address)
        if device is None or not device.cameras:
            refused[row.id] = "no camera came of it: the journal has the conflict"
            continue
        known = get_device(connection, device.id)
        account = known.credential or _account(row, place)
        if account != known.credential:  # it was in the registry before anybody knew how to log in to it
            put_devices(connection, [replace(known, credential=account)], now=now)
        done.append(
            replace(
                row,
                status=FoundStatus.ENROLLED,
                device=device.id,
                credential=account,
                decided_by=by,
                decided=now,
                remark=None,
                told=None,
            )
        )
    put_found(connection, done)
    record(
        connection,
        [
            Event(
                at=now,
                kind="found_approved",
                subject=row.device or row.id,
                message=f"device at {row.address} approved by {by}",
                detail={"found": row.id, "by": by},
            )
            for row in done
        ],
    )


def _unfit(row: Found) -> str | None:
    if row.status is FoundStatus.ENROLLED:
        return "is enrolled already"
    if row.status is FoundStatus.IGNORED:
        return "is ignored: take that back first"
    if row.told is None:
        return "has told no streams: give it credentials, or ask it again"
    return None


def _check(connection: Connection, place: Place) -> None:
    for name, known in (
        ("department", {one.id for one in list_departments(connection)}),
        ("area", {one.id for one in list_areas(connection)}),
        ("zone", {one.id for one in list_zones(connection)}),
        ("credential", {*list_credentials(connection), AS_FOUND, None}),
    ):
        value = getattr(place, name)
        if value not in known:
            raise InvalidInputError(f"{name}: there is no {name} {value}", mend="Choose one in service")
    try:
        check_pattern(place.camera_name)
    except InvalidInputError as error:
        raise InvalidInputError(f"camera_name: {error.message}", mend=error.mend) from None


def _account(row: Found, place: Place) -> str | None:
    return row.credential if place.credential == AS_FOUND else place.credential


def _network(row: Found, place: Place) -> Network:
    """A network of one: what holds for this device."""
    return Network(
        cidr=ip_network(str(host_of(row.address))),
        tier=place.tier,
        department=place.department,
        area=place.area,
        zone=place.zone,
        credential=_account(row, place),
        ports=(80,),
        methods=frozenset({Method.SWEEP}),
        camera_name=place.camera_name,
    )


def _with_accounts(
    findings: Sequence[Finding], networks: Sequence[Network]
) -> tuple[list[Network], set[str | None]]:
    """The networks, and one of its own for each device that lies in none or has an account of its own; and
    these accounts."""
    where, own = list(networks), set[str | None]()
    for one in findings:
        declared = network_of(networks, one.device.address)
        network = declared or one.like
        if network is None or (declared and one.credential in (None, declared.credential)):
            continue
        host = host_of(one.device.address)
        where.append(replace(network, cidr=ip_network(str(host)), credential=one.credential))
        own.add(one.credential)
    return where, own


def _reconciled(
    inventory: Inventory,
    devices: Sequence[FoundDevice],
    networks: Sequence[Network],
    names: Mapping[str, str],
) -> list[Change]:
    # Numbers are given in the order of ids: so that a rehearsal tells those that come, ids follow the order
    # in which they are made.
    start, numbers = secrets.token_hex(5), count()
    return reconcile(
        inventory,
        devices,
        networks,
        new_id=lambda noun: f"{noun[:3]}-{start}{next(numbers):04x}",
        area_names=names,
    )


def _undecided(changes: Iterable[Change], inventory: Inventory, devices: Sequence[FoundDevice]) -> set[str]:
    """The addresses of devices by which the registry would grow or a known device move."""
    at = {device.id: device.identity.address for device in inventory.devices}
    found: set[str | None] = set()
    for change in changes:
        if isinstance(change, AddDevice):
            at[change.device.id] = change.device.identity.address
            found.add(change.device.identity.address)
        elif isinstance(change, MoveDevice):
            found.add(change.address)
        elif isinstance(change, AddCamera):
            found.add(at.get(change.camera.device or ""))
    # Whoever is held to be the same device must not come in by another of its addresses.
    for sign in (lambda one: one.mac, serial_key):
        signs = {sign(one.identity) for one in devices if one.address in found} - {None}
        found |= {one.address for one in devices if sign(one.identity) in signs}
    return {address for address in found if address is not None}
