"""Devices: the boxes that cameras sit in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from sharpeyes.domain.camera import Device, Identity
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.schema import chunks, device

_IDENTITY = tuple(f.name for f in fields(Identity))
_COLUMNS = (
    *_IDENTITY,
    "xaddr",
    "firmware",
    "session_limit",
    "credential",
    "fingerprint",
    "retired_ms",
)


def put_devices(connection: Connection, devices: Iterable[Device], *, now: Ms) -> None:
    """Insert or replace by id; a device that is stored as retired is in service again if given so."""
    items = list(devices)
    known: set[str] = set()
    for chunk in chunks(item.id for item in items):
        known.update(connection.scalars(select(device.c.id).where(device.c.id.in_(chunk))))
    new, old = [], []
    for item in items:
        row = _row(item) | {"changed_ms": now}
        if item.id in known:
            old.append(row | {"key": item.id})
        else:
            new.append(row | {"id": item.id, "created_ms": now})
    if new:
        connection.execute(insert(device), new)
    if old:
        values: dict[str, Any] = {name: bindparam(name) for name in (*_COLUMNS, "changed_ms")}
        connection.execute(update(device).where(device.c.id == bindparam("key")).values(values), old)


def list_devices(connection: Connection, *, include_retired: bool = False) -> list[Device]:
    query = select(device).order_by(device.c.id)
    if not include_retired:
        query = query.where(device.c.retired_ms.is_(None))
    return [_device(row) for row in connection.execute(query)]


def get_device(connection: Connection, device_id: str) -> Device:
    """The device, retired ones included; NotFoundError if there never was one of this id."""
    row = connection.execute(select(device).where(device.c.id == device_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no device {device_id}")
    return _device(row)


def _row(item: Device) -> dict[str, Any]:
    return {name: getattr(item.identity if name in _IDENTITY else item, name) for name in _COLUMNS}


def _device(row: Any) -> Device:
    return Device(
        id=row.id,
        identity=Identity(**{name: getattr(row, name) for name in _IDENTITY}),
        xaddr=row.xaddr,
        firmware=row.firmware,
        session_limit=row.session_limit,
        credential=row.credential,
        fingerprint=row.fingerprint,
        retired_ms=row.retired_ms,
    )
