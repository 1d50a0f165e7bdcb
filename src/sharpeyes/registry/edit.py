"""Fields of many cameras set by hand, with a line in the journal for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection

from sharpeyes.domain.access import Place, forbids
from sharpeyes.domain.camera import Camera, Origin
from sharpeyes.domain.dossier import DUTIES, EMPTY
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.registry import registry
from sharpeyes.store.cameras import get_cameras
from sharpeyes.store.dossiers import forbidden_cameras, get_dossiers, mark_edited
from sharpeyes.store.organisation import list_areas, list_departments

DECLARED = "is declared in cameras.yaml, which would undo this at the next start: change it there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What to set; None leaves a field as it is."""

    name: str | None = None
    tier: Tier | None = None
    department: str | None = None
    area: str | None = None
    maintenance: bool | None = None
    liveness_s: float | None = None
    """0: the tier's."""
    quality_s: float | None = None
    """0: the tier's."""
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return self == Edit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an edit did, or would do."""

    changed: Mapping[str, tuple[str, ...]]
    """Camera -> the fields that changed."""
    unchanged: int
    refused: Mapping[str, str]
    """Camera -> why it stays as it is."""
    unfiled: tuple[str, ...]
    """Cameras put to use without filing number and date or without a sign (Order 799, articles 13, 14)."""


def edit(
    connection: Connection, ids: Collection[str], wanted: Edit, *, by: str, now: Ms, dry_run: bool = False
) -> Edited:
    """Set fields of cameras, within the caller's transaction; with ``dry_run`` only say what would change.

    InvalidInputError if there is nothing to set, or if a department or an area is not in service.
    """
    if wanted.empty:
        raise InvalidInputError("there is nothing to set", mend="Name at least one field")
    for name, known in (
        ("department", {one.id for one in list_departments(connection)}),
        ("area", {one.id for one in list_areas(connection)}),
    ):
        value = getattr(wanted, name)
        if value is not None and value not in known:
            raise InvalidInputError(f"{name}: there is no {name} {value}", mend="Choose one in service")
    stored = get_cameras(connection, ids)
    forbidden = forbidden_cameras(connection)
    refused: dict[str, str] = {key: "there is no such camera" for key in ids if key not in stored}
    changed: dict[str, tuple[str, ...]] = {}
    cameras: list[Camera] = []
    activated = []
    for key, before in stored.items():
        after = _edited(before, wanted)
        if after == before:
            continue
        if before.retired_ms is not None:
            refused[key] = "is retired"
        elif before.origin is Origin.CONFIG:
            refused[key] = DECLARED
        elif wanted.maintenance is False and (no := forbids(Place(forbidden.get(key, Place.OPEN)))):
            refused[key] = no.message
        else:
            cameras.append(after)
            changed[key] = tuple(
                f.name for f in fields(Camera) if getattr(before, f.name) != getattr(after, f.name)
            )
            if before.maintenance and not after.maintenance:
                activated.append(key)
    dossiers = get_dossiers(connection, activated)
    if not dry_run:
        registry.put(connection, cameras, now, f"edited by {by}")
        mark_edited(connection, changed)
    return Edited(
        changed=changed,
        unchanged=len(stored) - len(changed) - sum(key in stored for key in refused),
        refused=refused,
        unfiled=tuple(
            key
            for key in activated
            if any(getattr(dossiers.get(key, EMPTY), duty.field) is None for duty in DUTIES)
        ),
    )


def _edited(camera: Camera, wanted: Edit) -> Camera:
    values: dict[str, Any] = {
        name: value
        for name in ("name", "tier", "department", "area", "maintenance")
        if (value := getattr(wanted, name)) is not None
    }
    for name in ("liveness_s", "quality_s"):
        if (value := getattr(wanted, name)) is not None:
            values[name] = value or None
    kept = [tag for tag in camera.tags if tag not in wanted.remove_tags]
    return replace(camera, **values, tags=tuple(dict.fromkeys((*kept, *wanted.add_tags))))
