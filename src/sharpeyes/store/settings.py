"""What was said in the console about departments, areas, tiers, recipients: kept beside ``cameras.yaml``.

An entry that the console *made* has all of its fields here; one that the file declares has only those that
were changed. What both together mean is decided in :mod:`sharpeyes.registry.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from sharpeyes.domain.time import Ms
from sharpeyes.store.schema import setting


class Kind(StrEnum):
    """What an entry is about."""

    TIER = "tier"
    DEPARTMENT = "department"
    AREA = "area"
    BOUNDARY = "boundary"
    """Of an area, by the area's id: its field ``geometry``, None for none."""
    RECIPIENT = "recipient"
    ROUTING = "routing"
    """The one entry :data:`ROUTING`."""


ROUTING = "routing"
"""Id of the entry about who is responsible for which faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One entry."""

    kind: Kind
    id: str
    values: Mapping[str, Any]
    """Field -> value, as JSON has it; never a secret."""
    made: bool
    """Made in the console; False: changes what the file declares."""
    version: int
    """Grows with every change."""
    by: str
    at: Ms
    reason: str = ""
    sealed: bytes | None = None
    """The secrets, a JSON object of texts under :func:`settings_context`."""


def list_said(connection: Connection, kind: Kind) -> dict[str, Said]:
    """All entries of a kind, by id."""
    query = select(setting).where(setting.c.kind == kind.value).order_by(setting.c.id)
    return {row.id: _said(row) for row in connection.execute(query)}


def put_said(connection: Connection, entry: Said) -> None:
    """Store the entry in place of the one before."""
    values = {
        "said": dict(entry.values),
        "made": entry.made,
        "version": entry.version,
        "by": entry.by,
        "at_ms": entry.at,
        "reason": entry.reason,
        "sealed": entry.sealed,
    }
    where = (setting.c.kind == entry.kind.value, setting.c.id == entry.id)
    if connection.execute(update(setting).where(*where).values(values)).rowcount == 0:
        connection.execute(insert(setting).values(kind=entry.kind.value, id=entry.id, **values))


def drop_said(connection: Connection, kind: Kind, key: str) -> None:
    connection.execute(delete(setting).where(setting.c.kind == kind.value, setting.c.id == key))


def settings_context(key: str) -> str:
    """What the vault binds the secrets of a recipient to."""
    return f"recipient {key}"


def _said(row: Row[Any]) -> Said:
    return Said(
        kind=Kind(row.kind),
        id=row.id,
        values=row.said,
        made=row.made,
        version=row.version,
        by=row.by,
        at=Ms(row.at_ms),
        reason=row.reason,
        sealed=row.sealed,
    )
