"""The registry itself: what was declared and what was found, made into rows and a journal.

All functions work within the transaction of the caller's connection and are wholly done or not at all::

    summary = database.write(lambda c: registry.apply_config(c, declared, vault, now=now))
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any, assert_never

from sqlalchemy import Connection, func, select

from sharpeyes.domain.camera import Camera, Device, Origin, Stream
from sharpeyes.domain.dossier import EMPTY, FIELDS
from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.organisation import Area
from sharpeyes.domain.time import Ms
from sharpeyes.registry import numbering, organise
from sharpeyes.registry.changes import (
    AddCamera,
    AddDevice,
    AttachCamera,
    Change,
    ChangeDevice,
    Inventory,
    MoveDevice,
    NoteConflict,
    RetireCamera,
    UpdateStreams,
)
from sharpeyes.registry.declared import Declared, Network, network_of
from sharpeyes.store import causes, dossiers, organisation, schema
from sharpeyes.store.cameras import CameraFilter, Put, get_camera, get_cameras, list_cameras, put_cameras
from sharpeyes.store.credentials import forget_credentials, put_credential
from sharpeyes.store.devices import get_device, list_devices, put_devices
from sharpeyes.store.events import Event, list_events, record
from sharpeyes.store.vault import Vault
from sharpeyes.wire.rtsp.url import mask

NETWORK_FIELDS = ("tier", "department", "area", "zone", "credential")
"""What a network says of the cameras that are found in it."""
REPEAT_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many cameras a call touched."""

    added: int = 0
    changed: int = 0
    retired: int = 0
    restored: int = 0
    numbered: int = 0


def inventory(connection: Connection) -> Inventory:
    """All devices and cameras in service."""
    cameras = tuple(list_cameras(connection))
    hosts: dict[str, list[str]] = {}
    for key, dossier in dossiers.get_dossiers(connection, [c.id for c in cameras if not c.watched]).items():
        for address in (dossier.ipv4, dossier.ipv6):
            if address is not None:
                hosts.setdefault(address, []).append(key)
    return Inventory(
        devices=tuple(list_devices(connection)),
        cameras=cameras,
        awaited={address: keys[0] for address, keys in hosts.items() if len(keys) == 1},
    )


def apply_config(
    connection: Connection,
    declared: Declared,
    vault: Vault,
    *,
    networks: Sequence[Network] = (),
    now: Ms,
) -> Summary:
    """Make the registry say what the configuration says; a second time changes nothing.

    What discovery has learnt about a declared camera stays: its device and channel, codec and size, and a
    stream that the configuration does not name. A camera that was declared before and no longer is, is
    retired. ConflictError if a declared code belongs to another camera already.

    Cameras that were found in one of ``networks`` get what holds there now, but for what was set by hand. Of
    tiers, departments and areas the console may know better: see :mod:`sharpeyes.registry.settings`.
    """
    organisation.put_zones(connection, declared.zones)
    kept = organise.put_in_force(connection, declared, now=now)
    for subject, message in organise.contradictions(connection, declared):
        _note_once(connection, now, subject, message)
    for account in declared.credentials:
        changed = put_credential(
            connection,
            vault,
            account.id,
            account.username,
            account.password,
            now=now,
            allow_basic=account.allow_basic,
        )
        if changed:
            message = f"credential stored for user {account.username}"
            record(connection, [Event(at=now, kind="credential", subject=account.id, message=message)])
    stored = get_cameras(connection, [camera.id for camera in declared.cameras])
    wanted = [_keep_learnt(camera, stored.get(camera.id)) for camera in declared.cameras]
    names = {camera.id for camera in declared.cameras}
    gone = [
        replace(camera, retired_ms=now, credential=None)
        for camera in list_cameras(connection, CameraFilter(origin=Origin.CONFIG))
        if camera.id not in names
    ]
    _check_codes(connection, wanted)
    done = put(connection, [*wanted, *gone], now)
    done = _merge([done, _follow_networks(connection, networks, now)])
    _note_forbidden(connection, declared, now)
    _put_dossiers(connection, declared, now)
    nodes = [(one.node, one.cameras) for one in declared.nodes]
    for node, message in causes.sync_nodes(connection, nodes, now=now):
        _note_once(connection, now, node, message)
    organisation.retire_missing(
        connection,
        zones=[z.id for z in declared.zones],
        departments=kept.departments,
        areas=kept.areas,
        now=now,
    )
    forget_credentials(connection, keep=frozenset(account.id for account in declared.credentials))
    return _summary(done, number_cameras(connection, now=now))


def apply(connection: Connection, changes: Iterable[Change], *, now: Ms) -> Summary:
    """Apply changes in their order, with a line in the journal for each, then number what can be numbered.

    NotFoundError if a change names a device or camera that is not there.
    """
    done = _merge(_apply_run(connection, tuple(run), now) for _, run in groupby(changes, type))
    return _summary(done, number_cameras(connection, now=now))


def _follow_networks(connection: Connection, networks: Sequence[Network], now: Ms) -> Put:
    """What was found and not set by hand since says what its network says now."""
    if not networks:
        return Put((), ())
    devices = {device.id: device for device in list_devices(connection)}
    found = list_cameras(connection, CameraFilter(origin=Origin.DISCOVERED))
    by_hand = dossiers.edited(connection, [camera.id for camera in found])
    changed, accounts = [], {}
    for camera in found:
        device = devices.get(camera.device or "")
        network = network_of(networks, device.identity.address) if device else None
        if device is None or network is None:
            continue
        kept = by_hand.get(camera.id, set())
        values: dict[str, Any] = {name: getattr(network, name) for name in NETWORK_FIELDS if name not in kept}
        if replace(camera, **values) != camera:
            changed.append(replace(camera, **values))
        if "credential" in values and device.credential != network.credential:
            accounts[device.id] = replace(device, credential=network.credential)
    put_devices(connection, accounts.values(), now=now)
    return put(connection, changed, now, "follows its network in cameras.yaml")


def _note_forbidden(connection: Connection, declared: Declared, now: Ms) -> None:
    """A camera that is known to stand where the law allows none, and is declared nevertheless: nobody can see
    its picture, and somebody should take it down."""
    forbidden = dossiers.forbidden_cameras(connection)
    for camera in declared.cameras:
        if (place := forbidden.get(camera.id)) is not None:
            _note_once(connection, now, camera.id, f"declared, but the law allows no camera there: {place}")


def _put_dossiers(connection: Connection, declared: Declared, now: Ms) -> None:
    stored = dossiers.get_dossiers(connection, declared.dossiers)
    wanted = {}
    for key, said in declared.dossiers.items():
        before = stored.get(key, EMPTY)
        values: dict[str, Any] = {
            name: value for name in FIELDS if (value := getattr(said, name)) is not None
        }
        if (after := replace(before, **values)) != before:
            wanted[key] = after
    dossiers.put_dossiers(connection, wanted, now=now)


def number_cameras(connection: Connection, *, now: Ms, only: Collection[str] | None = None) -> int:
    """Give a code to every camera in service (or ``only`` to these) that has none and whose area, department
    and zone allow it.

    The area (or the nearest above it) gives the region, the department its industry, the zone the network.
    Returns how many were numbered.
    """
    table = schema.camera
    unnumbered = select(table.c.id).where(table.c.code.is_(None), table.c.retired_ms.is_(None))
    if only is not None:
        unnumbered = unnumbered.where(table.c.id.in_(only))
    ids = connection.scalars(unnumbered.order_by(table.c.id)).all()
    if not ids:
        return 0
    bare = get_cameras(connection, ids).values()
    codes = regions(organisation.list_areas(connection, include_retired=True))
    industries = {d.id: d.industry for d in organisation.list_departments(connection, include_retired=True)}
    networks = {z.id: z.network for z in organisation.list_zones(connection, include_retired=True)}
    series: dict[str, Any] = {}
    numbered = []
    for camera in bare:
        region, industry = codes.get(camera.area), industries.get(camera.department)
        if region is None or industry is None:
            continue
        first = numbering.compose(region=region, industry=industry, network=networks[camera.zone], serial=1)
        if first.prefix not in series:
            series[first.prefix] = numbering.free_codes(first, _used(connection, first, len(ids)))
        numbered.append(replace(camera, code=str(next(series[first.prefix]))))
    put_cameras(connection, numbered, now=now)
    record(
        connection,
        [
            Event(at=now, kind="camera_numbered", subject=camera.id, message=f"numbered {camera.code}")
            for camera in numbered
        ],
    )
    return len(numbered)


def _used(connection: Connection, first: numbering.Code, wanted: int) -> list[str]:
    """The numbers of its prefix that matter to so many more: the highest, until the top is near. An import
    numbers some cameras at a time, and a city has a hundred thousand."""
    code, width = schema.camera.c.code, len(first.serial)
    series = code.between(first.prefix + "0" * width, first.prefix + "9" * width)
    highest = connection.scalar(select(func.max(code)).where(series))
    if highest is None or int(highest[-width:]) + wanted < 10**width:
        return [] if highest is None else [highest]
    return list(connection.scalars(select(code).where(series)))


def _apply_run(connection: Connection, changes: Sequence[Change], now: Ms) -> Put:
    """Apply a run of changes of one kind; a first discovery adds thousands, so these go in together."""
    devices = [change.device for change in changes if isinstance(change, AddDevice)]
    cameras = [change.camera for change in changes if isinstance(change, AddCamera)]
    if devices:
        put_devices(connection, devices, now=now)
        record(
            connection,
            [
                Event(at=now, kind="device_added", subject=d.id, message=f"device found at {_where(d)}")
                for d in devices
            ],
        )
        return Put((), ())
    if cameras:
        known = get_cameras(connection, [camera.id for camera in cameras])
        forbidden = dossiers.forbidden_cameras(connection)
        for camera in cameras:
            if camera.id in forbidden:
                message = f"not registered: the law allows no camera there: {forbidden[camera.id]}"
                _note_once(connection, now, camera.id, message)
        kept = [  # a number is for life, also of a camera that was away
            replace(camera, code=camera.code or known[camera.id].code) if camera.id in known else camera
            for camera in cameras
            if camera.id not in forbidden
        ]
        return put(connection, kept, now)
    return _merge([_apply(connection, change, now) for change in changes])


def _merge(puts: Iterable[Put]) -> Put:
    every = tuple(puts)
    return Put(tuple(c for one in every for c in one.added), tuple(p for one in every for p in one.changed))


def _apply(connection: Connection, change: Change, now: Ms) -> Put:
    match change:
        case AddDevice() | AddCamera():
            return _apply_run(connection, [change], now)
        case ChangeDevice():
            before = get_device(connection, change.device.id)
            put_devices(connection, [change.device], now=now)
            told = _device_difference(before, change.device)
            message = change.message or f"changed: {', '.join(told) or 'nothing'}"
            _note(connection, now, "device_changed", change.device.id, message, told)
        case MoveDevice():
            device = get_device(connection, change.device)
            identity = replace(device.identity, address=change.address)
            put_devices(connection, [replace(device, identity=identity, xaddr=change.xaddr)], now=now)
            message = f"moved from {change.was or 'an unknown address'} to {change.address}"
            detail = {"address": [change.was, change.address]}
            _note(connection, now, "device_moved", change.device, message, detail)
        case AttachCamera():
            camera = get_camera(connection, change.camera)
            return put(connection, [replace(camera, device=change.device, channel=change.channel)], now)
        case UpdateStreams():
            camera = get_camera(connection, change.camera)
            streams, contradictions = _streams(camera, change.streams)
            for message in contradictions:
                _note_once(connection, now, camera.id, message)
            snapshot = change.snapshot_url or camera.snapshot_url
            return put(connection, [replace(camera, streams=streams, snapshot_url=snapshot)], now)
        case RetireCamera():
            camera = get_camera(connection, change.camera)
            return put(connection, [replace(camera, retired_ms=now, credential=None)], now, change.reason)
        case NoteConflict():
            _note_once(connection, now, change.subject, change.message, change.detail)
        case _:
            assert_never(change)
    return Put((), ())


def _where(device: Device) -> str:
    return device.identity.address or device.xaddr or "an unknown address"


def put(connection: Connection, cameras: Sequence[Camera], now: Ms, reason: str = "") -> Put:
    """Write cameras, with a line in the journal for each that is new or changed."""
    done = put_cameras(connection, cameras, now=now)
    record(connection, _camera_events(done, now, reason))
    return done


def _keep_learnt(declared: Camera, stored: Camera | None) -> Camera:
    """The declared camera with what is known of it besides."""
    if stored is None:
        return declared
    known = {stream.role: stream for stream in stored.streams}
    streams = [
        replace(known[s.role], profile=None) if s.role in known and known[s.role].url == s.url else s
        for s in declared.streams
    ]
    named = {stream.role for stream in declared.streams}
    streams += [s for s in stored.streams if s.role not in named and s.profile is not None]
    return replace(
        declared,
        streams=tuple(sorted(streams, key=lambda s: s.role)),
        code=declared.code or stored.code,
        device=declared.device or stored.device,
        channel=declared.channel or stored.channel,
        snapshot_url=declared.snapshot_url or stored.snapshot_url,
    )


def _streams(camera: Camera, found: Sequence[Stream]) -> tuple[tuple[Stream, ...], list[str]]:
    """The streams that the camera has from now on, and what contradicts its declaration.

    A declared URL is the operator's word: it stays, while what was found about it is taken over.
    """
    ordered = sorted(found, key=lambda s: s.role)
    if camera.origin is not Origin.CONFIG:
        return tuple(ordered), []
    declared = {stream.role: stream for stream in camera.streams if stream.profile is None}
    contradictions = []
    streams = {stream.role: stream for stream in camera.streams}
    for stream in ordered:
        word = declared.get(stream.role)
        if word is None:
            streams[stream.role] = stream
        elif word.url == stream.url:
            streams[stream.role] = replace(stream, profile=None)
        else:
            contradictions.append(
                f"the {stream.role} stream is declared as {mask(word.url)} but found at {mask(stream.url)}"
            )
    return tuple(sorted(streams.values(), key=lambda s: s.role)), contradictions


def _check_codes(connection: Connection, cameras: Sequence[Camera]) -> None:
    coded = {camera.code: camera.id for camera in cameras if camera.code is not None}
    owned = select(schema.camera.c.id, schema.camera.c.code).where(schema.camera.c.code.is_not(None))
    ours = {camera.id for camera in cameras}
    for camera_id, code in connection.execute(owned):
        if code in coded and camera_id not in ours:
            raise ConflictError(
                f"code {code} of camera {coded[code]} was given to camera {camera_id} before",
                mend="A number is never given twice: declare another, or none to have one assigned",
            )
    seen: dict[str, str] = {}
    for camera in cameras:
        if camera.code is not None and (other := seen.setdefault(camera.code, camera.id)) != camera.id:
            raise ConflictError(
                f"code {camera.code} of camera {camera.id} was given to camera {other} before",
                mend="A number is never given twice: declare another, or none to have one assigned",
            )


def regions(areas: Iterable[Area]) -> dict[str, str | None]:
    """The region code that holds in each area: its own or the nearest above it."""
    known = {area.id: area for area in areas}
    found: dict[str, str | None] = {}
    for area in known.values():
        node: Area | None = area
        while node is not None and node.code is None:
            node = known.get(node.parent) if node.parent else None
        found[area.id] = node.code if node else None
    return found


def _camera_events(put: Put, now: Ms, reason: str = "") -> list[Event]:
    events = [
        Event(at=now, kind="camera_added", subject=camera.id, message=f"{camera.name}: {camera.origin.value}")
        for camera in put.added
    ]
    for old, new in put.changed:
        told = _camera_difference(old, new)
        if new.retired_ms is not None and old.retired_ms is None:
            kind, message = "camera_retired", reason or "no longer declared"
        elif new.retired_ms is None and old.retired_ms is not None:
            kind, message = "camera_restored", reason or "in service again"
        else:
            kind, message = "camera_changed", reason or f"changed: {', '.join(told)}"
        events.append(Event(at=now, kind=kind, subject=new.id, message=message, detail=told))
    return events


def _camera_difference(old: Camera, new: Camera) -> dict[str, Any]:
    """What changed: name of the field to [before, after]."""
    told = {}
    for f in fields(Camera):
        before, after = getattr(old, f.name), getattr(new, f.name)
        if before != after:
            told[f.name] = [_plain(before), _plain(after)]
    return told


def _device_difference(old: Device, new: Device) -> dict[str, Any]:
    told = {}
    for before, after in ((old.identity, new.identity), (old, new)):
        for f in fields(before):
            if f.name != "identity" and getattr(before, f.name) != getattr(after, f.name):
                told[f.name] = [getattr(before, f.name), getattr(after, f.name)]
    return told


def _plain(value: Any) -> Any:
    """For JSON: a stream is its role and URL. Some cameras put the account into the path of a URL."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Stream):
        return {"role": value.role.value, "url": mask(value.url)}
    return mask(value) if isinstance(value, str) else value


def _note(
    connection: Connection,
    now: Ms,
    kind: str,
    subject: str,
    message: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(connection, [Event(at=now, kind=kind, subject=subject, message=message, detail=detail)])


def _note_once(
    connection: Connection, now: Ms, subject: str, message: str, detail: Mapping[str, Any] | None = None
) -> None:
    """A conflict that is found at every search is said once a day."""
    recent = list_events(connection, subject=subject, kind="conflict", limit=50)
    if not any(one.message == message and now - one.at < REPEAT_MS for one in recent):
        _note(connection, now, "conflict", subject, message, dict(detail) if detail else None)


def _summary(put: Put, numbered: int) -> Summary:
    retired = sum(new.retired_ms is not None and old.retired_ms is None for old, new in put.changed)
    restored = sum(new.retired_ms is None and old.retired_ms is not None for old, new in put.changed)
    return Summary(
        added=len(put.added),
        changed=len(put.changed) - retired - restored,
        retired=retired,
        restored=restored,
        numbered=numbered,
    )
