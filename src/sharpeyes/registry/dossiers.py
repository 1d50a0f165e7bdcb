"""Dossiers read together with what the registry knows of their cameras."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.dossier import EMPTY, Dossier, Value
from sharpeyes.registry.completeness import Completeness, completeness, known
from sharpeyes.registry.registry import regions
from sharpeyes.store.cameras import EVERYTHING, CameraFilter, get_cameras, list_cameras
from sharpeyes.store.devices import list_devices
from sharpeyes.store.dossiers import get_dossiers, list_dossiers
from sharpeyes.store.organisation import list_areas, list_departments


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that is known of one camera: a row of the dossier."""

    camera: Camera
    dossier: Dossier
    values: dict[str, Value | None]
    """The 27 columns in order."""
    completeness: Completeness


def sheets(
    connection: Connection, where: CameraFilter = EVERYTHING, *, ids: Collection[str] | None = None
) -> list[Sheet]:
    """Of the cameras of a filter, or of these, by id."""
    if ids is None:
        cameras = list_cameras(connection, where)
        dossiers = list_dossiers(connection)
    else:
        cameras = list(get_cameras(connection, ids).values())
        dossiers = get_dossiers(connection, ids)
    devices = {device.id: device for device in list_devices(connection)}
    codes = regions(list_areas(connection, include_retired=True))
    names = {one.id: one.name for one in list_departments(connection, include_retired=True)}
    found = []
    for camera in cameras:
        dossier = dossiers.get(camera.id, EMPTY)
        device = devices.get(camera.device or "")
        values = known(
            camera, dossier, device, region=codes.get(camera.area), department=names.get(camera.department)
        )
        found.append(
            Sheet(
                camera=camera,
                dossier=dossier,
                values=values,
                completeness=completeness(values, dossier),
            )
        )
    return found
