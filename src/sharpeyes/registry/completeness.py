"""How full the dossiers are: what is known of a camera from any source, and what is missing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sharpeyes.domain.camera import Camera, Device, StreamRole
from sharpeyes.domain.dossier import COLUMNS, DUTIES, EMPTY, MANDATORY, Dossier, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Of one camera, out of the 27 columns."""

    mandatory: int
    """Mandatory columns that are filled, of :data:`MANDATORY`."""
    filled: int
    """Columns that are filled, of :data:`COLUMNS`."""
    missing: tuple[str, ...]
    """Mandatory columns that are not."""
    duties: tuple[str, ...]
    """What Order 799 wants before activation and is not there: filing number and date, the sign."""

    @property
    def whole(self) -> bool:
        return not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Of many cameras."""

    cameras: int
    whole: int
    """Cameras with every mandatory column."""
    mandatory: float
    """Share of mandatory cells that are filled, 0..1."""
    filled: float
    """Share of all cells that are filled, 0..1."""
    filed: int
    """Cameras that have a filing number, a filing date and a sign."""
    missing: Mapping[str, int]
    """Cameras that lack a mandatory column, by column."""


def known(
    camera: Camera,
    dossier: Dossier = EMPTY,
    device: Device | None = None,
    *,
    region: str | None = None,
    department: str | None = None,
) -> dict[str, Value | None]:
    """The 27 columns of a camera in order: its dossier's word, else what the registry knows itself.

    ``region``: code of its area or the nearest above it; ``department``: name of its department.
    """
    identity = device.identity if device else None
    host = identity.address.rpartition(":")[0].strip("[]") if identity and identity.address else None
    main = camera.stream(StreamRole.MAIN) if camera.streams else None
    learnt: dict[str, Value | None] = {
        "code": camera.code,
        "name": camera.name,
        "manufacturer": identity.manufacturer if identity else None,
        "model": identity.model if identity else None,
        "mac": identity.mac if identity else None,
        "ipv4": host if host and ":" not in host else None,
        "ipv6": host if host and ":" in host else None,
        "encoding": main.codec if main else None,
        "region": region,
        "industry": department,
    }
    values: dict[str, Value | None] = {}
    for column in COLUMNS:
        said = getattr(dossier, column.field, None)
        values[column.field] = learnt.get(column.field) if said is None else said
    return values


def completeness(values: Mapping[str, Value | None], dossier: Dossier = EMPTY) -> Completeness:
    """What of :func:`known` is there."""
    filled = {name for name, value in values.items() if value not in (None, "")}
    return Completeness(
        mandatory=sum(name in filled for name in MANDATORY),
        filled=len(filled),
        missing=tuple(name for name in MANDATORY if name not in filled),
        duties=tuple(duty.field for duty in DUTIES if getattr(dossier, duty.field) is None),
    )


def totals(items: Iterable[tuple[str, Completeness]]) -> dict[str, Total]:
    """Cameras added up by a key: a department, an area, a tier."""
    groups: dict[str, list[Completeness]] = {}
    for key, one in items:
        groups.setdefault(key, []).append(one)
    return {key: _total(group) for key, group in sorted(groups.items())}


def _total(group: list[Completeness]) -> Total:
    return Total(
        cameras=len(group),
        whole=sum(one.whole for one in group),
        mandatory=sum(one.mandatory for one in group) / (len(group) * len(MANDATORY)),
        filled=sum(one.filled for one in group) / (len(group) * len(COLUMNS)),
        filed=sum(not one.duties for one in group),
        missing=dict(Counter(name for one in group for name in one.missing)),
    )
