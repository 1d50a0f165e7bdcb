"""A dossier file compared with the registry: what each row would change, or why it cannot.

:func:`plan` is pure; its digest is over the effect on the registry, so that what was previewed is what is
done (see ``staged``): it is planned again then, and refused if the outcome is another.

An empty cell leaves what is stored. A camera of cameras.yaml gets a dossier; what the file declares stays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from sharpeyes.domain.access import forbids
from sharpeyes.domain.camera import Camera, Device, Origin, Stream, StreamRole
from sharpeyes.domain.dossier import (
    BY_FIELD,
    DUTIES,
    EMPTY,
    FIELDS,
    MANDATORY,
    PERSONAL,
    TIER_OF_POINT,
    Dossier,
    Value,
    place_of,
    read,
    shown,
)
from sharpeyes.domain.errors import ConflictError, InvalidInputError
from sharpeyes.domain.organisation import Area, Tier
from sharpeyes.domain.time import Ms
from sharpeyes.registry import numbering, registry
from sharpeyes.registry.completeness import known
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.sheet import SOME, Row, Table
from sharpeyes.store import organisation
from sharpeyes.store.cameras import CameraFilter, list_cameras
from sharpeyes.store.credentials import list_credentials
from sharpeyes.store.devices import list_devices
from sharpeyes.store.dossiers import (
    edited_cameras,
    forbidden_cameras,
    list_dossiers,
)
from sharpeyes.wire.rtsp.url import mask, parse_url

TITLE_ROWS = 20
"""The row of headings stands among so many."""
PLACED = ("tier", "department", "area", "zone", "credential")
IN_USE, REPAIR, DISMANTLED = "1", "2", "3"


class Step(StrEnum):
    """What an import is at, in the order of the work."""

    READ = "read"
    CHECKED = "checked"
    WRITTEN = "written"


Told = Callable[[Step, int, int | None], None]
"""Hears how far it is: a step, how many rows (or cameras written), of how many if known."""


def tell_nobody(step: Step, done: int, of: int | None) -> None:
    """Where nobody asks how far it is."""


class Outcome(StrEnum):
    """What becomes of a row."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about one cell, or about the row (``field`` is then empty)."""

    field: str = ""
    column: str = ""
    """The heading, as the file has it."""
    value: str = ""
    message: str
    mend: str = ""
    fatal: bool = True
    """The row is rejected; else it is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of a camera or its dossier, as it would be shown."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlan:
    """What one row would do."""

    number: int
    outcome: Outcome
    camera: str | None = None
    name: str = ""
    changes: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file would do to the registry."""

    rows: tuple[RowPlan, ...]
    columns: Mapping[str, str]
    """Heading -> field."""
    ignored: tuple[str, ...]
    """Headings that mean nothing here."""
    form: str
    encoding: str | None
    digest: str
    cameras: tuple[Camera, ...] = ()
    dossiers: Mapping[str, Dossier] = field(default_factory=dict)
    stated: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Fields of each camera that the file states."""

    @property
    def counts(self) -> dict[Outcome, int]:
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in Outcome}


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """The registry at one moment, as far as a file can touch it."""

    cameras: tuple[Camera, ...] = ()
    """Retired ones included."""
    dossiers: Mapping[str, Dossier] = field(default_factory=dict)
    devices: Mapping[str, Device] = field(default_factory=dict)
    areas: tuple[Area, ...] = ()
    departments: Mapping[str, str] = field(default_factory=dict)
    """Names by id; zones likewise."""
    zones: Mapping[str, str] = field(default_factory=dict)
    credentials: frozenset[str] = frozenset()
    forbidden: Mapping[str, str] = field(default_factory=dict)
    """Cameras known to stand where the law allows none."""
    coded: frozenset[str] = frozenset()
    """Cameras whose number a file stated, and not the registry."""


def snapshot(connection: Connection) -> City:
    """The registry now."""
    return City(
        cameras=tuple(list_cameras(connection, CameraFilter(include_retired=True))),
        dossiers=list_dossiers(connection),
        devices={device.id: device for device in list_devices(connection)},
        areas=tuple(organisation.list_areas(connection)),
        departments={one.id: one.name for one in organisation.list_departments(connection)},
        zones={one.id: one.name for one in organisation.list_zones(connection)},
        credentials=frozenset(list_credentials(connection)),
        forbidden=forbidden_cameras(connection),
        coded=frozenset(edited_cameras(connection, "code")),
    )


def plan(table: Table, how: ImportMap, city: City, *, now: Ms, told: Told = tell_nobody) -> Plan:
    """What the rows would change.

    Raises InvalidInputError if no row of headings is found, or two columns mean the same.
    """
    head, columns, ignored = _headings(table.rows, how)
    planner = _Planner(how, city, columns, now)
    below = table.rows[head + 1 :]
    rows: list[RowPlan] = []
    for row in below:
        if len(rows) % SOME == 0:
            told(Step.CHECKED, len(rows), len(below))
        rows.append(planner.row(row))
    effect = [
        [row.number, row.outcome, row.camera, [[d.field, d.before, d.after] for d in row.changes]]
        for row in rows
    ]
    text = json.dumps([how.document(), effect], ensure_ascii=False, sort_keys=True)
    return Plan(
        rows=tuple(rows),
        columns=dict(columns.values()),
        ignored=ignored,
        form=table.form,
        encoding=table.encoding,
        digest=sha256(text.encode()).hexdigest(),
        cameras=tuple(planner.cameras.values()),
        dossiers=planner.dossiers,
        stated=planner.stated,
    )


def check(wanted: Plan, digest: str | None, *, partial: bool) -> None:
    """ConflictError if the effect is not that of ``digest``, or rows are rejected and not left out."""
    if digest is not None and digest != wanted.digest:
        raise ConflictError(
            "the registry has changed since this file was previewed", mend="Preview it again, then apply that"
        )
    if (rejected := wanted.counts[Outcome.REJECTED]) and not partial:
        raise ConflictError(
            f"{rejected} rows are rejected, so nothing was imported",
            mend="Mend them, or have the others imported without them (partial)",
        )


def detail_of(changes: Iterable[Difference]) -> dict[str, list[str]]:
    """For the journal: people's telephones are not kept in it for ever."""
    return {
        d.field: ["…", "…"] if d.field in PERSONAL else [d.before, d.after]
        for d in changes
        if d.field in FIELDS
    }


def _headings(rows: Sequence[Row], how: ImportMap) -> tuple[int, dict[int, tuple[str, str]], tuple[str, ...]]:
    """Where the row of headings is, and the columns: index -> (heading, field)."""
    best: tuple[int, int] = (0, -1)
    for index, (_, cells) in enumerate(rows[:TITLE_ROWS]):
        best = max(best, (sum(bool(how.field_of(cell)) for cell in cells), -index))
    known, head = best[0], -best[1]
    if known < 2:
        raise InvalidInputError(
            "no row of headings was found",
            mend="Name the columns as the 27 of the dossier are (设备编码, 名称, ...), or map them",
        )
    columns: dict[int, tuple[str, str]] = {}
    ignored = []
    for index, heading in enumerate(rows[head][1]):
        name = how.field_of(heading) if heading else ""
        if not name:
            ignored += [heading] if heading else []
            continue
        double = next((other for other, target in columns.values() if target == name), None)
        if double is not None:
            raise InvalidInputError(
                f"the columns {double[:40]!r} and {heading[:40]!r} both mean {name}",
                mend="Map one of them to nothing, or to another column",
            )
        columns[index] = (heading, name)
    return head, columns, tuple(ignored)


class _Refused(Exception):  # noqa: N818 - a problem on its way to its row
    def __init__(self, name: str, message: str, mend: str = "", value: str = "") -> None:
        super().__init__(message)
        self.name, self.message, self.mend, self.value = name, message, mend, value


class _Planner:
    """The rows of one file, one after the other."""

    def __init__(self, how: ImportMap, city: City, columns: Mapping[int, tuple[str, str]], now: Ms) -> None:
        self.how = how
        self.city = city
        self.columns = columns
        self.now = now
        self.heading = {name: heading for heading, name in columns.values()}
        self.cameras: dict[str, Camera] = {}
        self.dossiers: dict[str, Dossier] = {}
        self.stated: dict[str, frozenset[str]] = {}
        self.first_row: dict[str, int] = {}
        self.by_id = {camera.id: camera for camera in city.cameras}
        self.by_code = {camera.code: camera for camera in city.cameras if camera.code is not None}
        self.by_key = {name: self._index(name) for name in how.keys}
        self.regions = registry.regions(city.areas)
        self.above = {area.id: area.parent for area in city.areas}

    def row(self, row: Row) -> RowPlan:
        number, cells = row
        values, problems = self._values(cells)
        name = str(values.get("name", ""))
        camera: Camera | None = None
        changes: tuple[Difference, ...] = ()
        outcome = Outcome.REJECTED
        try:
            self._check_place(values)
            camera = self._find(values)
            if not any(problem.fatal for problem in problems):
                outcome, camera, changes = self._settle(number, values, camera, problems)
        except _Refused as no:
            # what cannot be read is not missing as well
            if not any(problem.fatal and problem.field == no.name for problem in problems):
                problems.append(self._problem(no.name, no.value, no.message, no.mend))
        return RowPlan(
            number=number,
            outcome=outcome,
            camera=camera.id if camera else None,
            name=name or (camera.name if camera else ""),
            changes=changes,
            problems=tuple(problems),
        )

    def _problem(self, name: str, value: str, message: str, mend: str = "", *, fatal: bool = True) -> Problem:
        heading = self.heading.get(name) or (BY_FIELD[name].heading if name in BY_FIELD else "")
        value = mask(value) if name in ("main", "sub") else value
        return Problem(field=name, column=heading, value=value[:80], message=message, mend=mend, fatal=fatal)

    # --- what stands there --------------------------------------------------------------------------

    def _values(self, cells: Sequence[str]) -> tuple[dict[str, Value], list[Problem]]:
        texts = {
            name: cells[index].strip()
            for index, (_, name) in self.columns.items()
            if index < len(cells) and cells[index].strip()
        }
        given = dict(self.how.defaults) | texts
        values: dict[str, Value] = {}
        problems = []
        for name, text in given.items():
            if not text:
                continue
            try:
                values[name] = read(name, text, self.how.codes.get(name))
            except InvalidInputError as error:
                problems.append(self._problem(name, text, error.message, error.mend))
        problems += [
            self._problem(name, "", "the mandatory cell is empty", "Fill it", fatal=False)
            for name in MANDATORY
            if name in self.heading and name not in given
        ]
        if isinstance(code := values.get("code"), str):
            mend = "Taken as it is: it may follow the rule of 2016"
            problems += [
                self._problem("code", code, doubt, mend, fatal=False)
                for doubt in numbering.doubts(numbering.parse(code))
            ]
        return values, problems

    def _check_place(self, values: Mapping[str, Value]) -> None:
        place = place_of(str(values.get("place_type", "")))
        if (refusal := forbids(place)) is not None:
            raise _Refused(
                "place_type",
                refusal.message,
                "It cannot be registered (Order 799, article 8); if the cell is wrong, correct it",
                str(values["place_type"]),
            )

    # --- which camera it is -------------------------------------------------------------------------

    def _index(self, name: str) -> dict[str, list[Camera]]:
        found: dict[str, list[Camera]] = {}
        for camera in self.city.cameras:
            for value in self._keys_of(camera, name):
                found.setdefault(value.casefold(), []).append(camera)
        return found

    def _keys_of(self, camera: Camera, name: str) -> Iterable[str]:
        if name in ("id", "name"):
            return (getattr(camera, name),)
        dossier = self.city.dossiers.get(camera.id, EMPTY)
        said = getattr(dossier, name)
        if said is not None or name not in ("ipv4", "mac"):
            return (said,) if said is not None else ()
        device = self.city.devices.get(camera.device or "")
        if name == "mac":
            mac = device.identity.mac if device else None
            return (mac,) if mac else ()
        hosts = {urlsplit(stream.url).hostname for stream in camera.streams}
        return sorted(host for host in hosts if host)

    def _find(self, values: Mapping[str, Value]) -> Camera | None:
        code = values.get("code")
        if code is not None and (camera := self.by_code.get(str(code))) is not None:
            return camera
        given = [name for name in self.how.keys if name in values]
        if not given and code is None:
            keys = ", ".join(self.how.keys)
            raise _Refused(
                "code",
                "the row has neither a unified number nor a key" if keys else "the row has no unified number",
                f"Fill one of {keys}"
                if keys
                else "Fill it, or state by which columns cameras are told (keys)",
            )
        matches: set[str] | None = None
        for name in given:
            same = {one.id for one in self.by_key[name].get(str(values[name]).casefold(), ())}
            matches = same if matches is None else matches & same
        if matches and len(matches) > 1:
            said = ", ".join(f"{name} {values[name]}" for name in given)
            raise _Refused(
                given[0], f"{len(matches)} cameras have {said}", "Add a unified number, or another key"
            )
        if not matches:
            return None
        camera = self.by_id[matches.pop()]
        # Channels of one recorder share its address: two stated numbers are two cameras.
        another = code is not None and camera.id in self.city.coded and camera.code != code
        return None if another else camera

    # --- what becomes of it -------------------------------------------------------------------------

    def _settle(
        self, number: int, values: dict[str, Value], stored: Camera | None, problems: list[Problem]
    ) -> tuple[Outcome, Camera | None, tuple[Difference, ...]]:
        dossier_before = self.city.dossiers.get(stored.id, EMPTY) if stored else EMPTY
        if stored is None and values.get("status") == DISMANTLED:
            problems.append(
                self._problem("status", "", "dismantled, and not in the registry: left out", fatal=False)
            )
            return Outcome.UNCHANGED, None, ()
        camera = (
            self._new(values) if stored is None else self._changed(stored, dossier_before, values, problems)
        )
        if (first := self.first_row.setdefault(camera.id, number)) != number:
            raise _Refused("code", f"row {first} is the same camera", "Keep one of the two rows")
        if (kind := self.city.forbidden.get(camera.id)) is not None and camera.retired_ms is None:
            raise _Refused("place_type", f"the law allows no camera where this one stands: {kind}")
        learnt = self._learnt(stored) if stored is not None else {}
        facts: dict[str, Any] = {
            name: value
            for name, value in values.items()
            if name in FIELDS and (value != learnt.get(name) or getattr(dossier_before, name) is not None)
        }
        dossier = replace(dossier_before, **facts)
        changes = tuple(self._differences(stored, camera, dossier_before, dossier))
        if stored is None:
            self._warn_of_duties(dossier, camera, problems)
        if stored is None or camera != stored:
            self.cameras[camera.id] = camera
        if dossier != dossier_before:
            self.dossiers[camera.id] = dossier
        if camera.origin is not Origin.CONFIG:
            self.stated[camera.id] = frozenset(
                name for name in PLACED if stored is None or name in values or name in self._said(values)
            ) | ({"code"} if "code" in values else set())
        if stored is None:
            return Outcome.NEW, camera, changes
        return (Outcome.CHANGED if changes else Outcome.UNCHANGED), camera, changes

    @staticmethod
    def _said(values: Mapping[str, Value]) -> frozenset[str]:
        """What a row states by other columns."""
        return frozenset({"area"} if "region" in values else ())

    def _learnt(self, camera: Camera) -> Mapping[str, Value | None]:
        """What the registry knows of a camera without a dossier: repeated in a file, it is nothing new."""
        return known(
            camera,
            EMPTY,
            self.city.devices.get(camera.device or ""),
            region=self.regions.get(camera.area),
            department=self.city.departments.get(camera.department),
        )

    def _warn_of_duties(self, dossier: Dossier, camera: Camera, problems: list[Problem]) -> None:
        missing = [duty.heading for duty in DUTIES if getattr(dossier, duty.field) is None]
        if missing and not camera.maintenance:
            problems.append(
                self._problem(
                    "",
                    "",
                    f"put to use without {', '.join(missing)}",
                    "Order 799 (articles 13, 14) wants a public camera filed, and marked by a sign",
                    fatal=False,
                )
            )

    def _new(self, values: Mapping[str, Value]) -> Camera:
        if "name" not in values:
            raise _Refused("name", "a new camera needs a name", "Fill it")
        department = self._department(values)
        if department is None:
            raise _Refused(
                "department", "whose camera this is, is not said", "Add a column 部门, or a default"
            )
        area = self._area(values)
        if area is None:
            raise _Refused(
                "region", "where this camera stands, is not said", "Fill 行政区域, or give a default"
            )
        tier = self._tier(values) or TIER_OF_POINT.get(str(values.get("point_type", "")))
        if tier is None:
            raise _Refused(
                "point_type", "the tier of this camera is not said", "Fill 点位类型, or give a default"
            )
        zone = self._zone(values) or (next(iter(self.city.zones)) if len(self.city.zones) == 1 else None)
        if zone is None:
            raise _Refused(
                "zone", "which network this camera is in, is not said", "Add a column, or a default"
            )
        return Camera(
            id=self._new_id(values),
            name=str(values["name"]),
            tier=Tier(tier),
            department=department,
            area=area,
            zone=zone,
            streams=self._streams(values),
            origin=Origin.IMPORTED,
            code=str(values["code"]) if "code" in values else None,
            credential=self._credential(values),
            maintenance=values.get("status") == REPAIR,
            tags=self._tags(values) or (),
        )

    def _new_id(self, values: Mapping[str, Value]) -> str:
        if "id" in values:
            key = str(values["id"])
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", key):
                raise _Refused(
                    "id", "this cannot be an id", "Use letters, digits, '.', '_', '-' of ASCII", key
                )
            if key in self.by_id:
                raise _Refused("id", "another camera has this id", "Leave it out, or state it as a key", key)
            return key
        if "code" in values and (key := f"cam-{values['code']}") not in self.by_id:
            return key
        told = "\0".join(str(values.get(name, "")) for name in ("code", *self.how.keys))
        return f"cam-{sha256(told.encode()).hexdigest()[:16]}"

    def _changed(
        self, stored: Camera, before: Dossier, values: Mapping[str, Value], problems: list[Problem]
    ) -> Camera:
        status = values.get("status")
        if stored.origin is Origin.CONFIG and stored.retired_ms is None:
            return self._declared(stored, values, problems)
        camera = replace(
            stored,
            name=str(values.get("name", stored.name)),
            code=str(values["code"]) if "code" in values else stored.code,
            tier=Tier(self._tier(values) or stored.tier),
            department=self._department(values, stated=True) or stored.department,
            area=self._area(values, stored.area) or stored.area,
            zone=self._zone(values) or stored.zone,
            credential=self._credential(values) or stored.credential,
            tags=self._tags(values) or stored.tags,
        )
        if stored.code is not None and camera.code != stored.code:
            problems.append(
                self._problem(
                    "code", str(camera.code), f"replaces the number {stored.code} given before", fatal=False
                )
            )
        if any(stream.profile is not None for stream in stored.streams):
            if "main" in values or "sub" in values:
                problems.append(
                    self._problem(
                        "main", "", "the device itself tells its streams: left as they are", fatal=False
                    )
                )
        elif "main" in values or "sub" in values:
            camera = replace(camera, streams=self._streams(values, stored.streams))
        if status == DISMANTLED:
            return replace(camera, retired_ms=stored.retired_ms or self.now, credential=None)
        if status == REPAIR:
            camera = replace(camera, maintenance=True)
        elif status == IN_USE and before.status == REPAIR:
            camera = replace(camera, maintenance=False)
        if stored.retired_ms is not None:
            # If one that cameras.yaml declared once still seemed its own, the next start would retire it.
            origin = Origin.IMPORTED if stored.origin is Origin.CONFIG else stored.origin
            camera = replace(camera, retired_ms=None, origin=origin)
        return camera

    def _declared(self, stored: Camera, values: Mapping[str, Value], problems: list[Problem]) -> Camera:
        """A camera of cameras.yaml: only the number that it lacks comes from a dossier."""
        other = {
            "name": values.get("name"),
            "code": values.get("code") if stored.code is not None else None,
            "tier": self._tier(values),
            "department": self._department(values, stated=True),
            "area": self._area(values, stored.area),
            "zone": self._zone(values),
        }
        for name, value in other.items():
            if value is not None and value != getattr(stored, name):
                problems.append(
                    self._problem(
                        name,
                        str(value),
                        f"cameras.yaml says {getattr(stored, name)}, which stays",
                        fatal=False,
                    )
                )
        if values.get("status") in (DISMANTLED, REPAIR):
            problems.append(
                self._problem(
                    "status",
                    "",
                    "cameras.yaml declares this camera",
                    "Remove it or change it there",
                    fatal=False,
                )
            )
        return replace(stored, code=str(values["code"])) if "code" in values and not stored.code else stored

    # --- names of the registry ----------------------------------------------------------------------

    def _tier(self, values: Mapping[str, Value]) -> str | None:
        return self._one("tier", values, {tier.value: tier.value for tier in Tier})

    def _department(self, values: Mapping[str, Value], *, stated: bool = False) -> str | None:
        """By its column; unless that must be ``stated``, by the names of the unit or trade too."""
        if "department" in values or stated:
            return self._one("department", values, self.city.departments)
        names = {name: key for key, name in self.city.departments.items()}
        return next((names[str(values[f])] for f in ("keeper", "industry") if values.get(f) in names), None)

    def _zone(self, values: Mapping[str, Value]) -> str | None:
        return self._one("zone", values, self.city.zones)

    def _credential(self, values: Mapping[str, Value]) -> str | None:
        return self._one("credential", values, {name: name for name in self.city.credentials})

    def _one(self, name: str, values: Mapping[str, Value], known: Mapping[str, str]) -> str | None:
        """The id that a cell means, by id or by name."""
        if name not in values:
            return None
        text = str(values[name])
        if text in known:
            return text
        ids = [key for key, title in known.items() if title == text]
        if len(ids) == 1:
            return ids[0]
        if ids:
            raise _Refused(
                name, f"several are called {text[:40]!r}", f"Write the id: {', '.join(ids[:8])}", text
            )
        raise _Refused(name, f"there is no {name} {text[:40]!r}", _meant(text, known), text)

    def _area(self, values: Mapping[str, Value], stored: str | None = None) -> str | None:
        names = {area.id: area.name for area in self.city.areas}
        if "area" in values:
            return self._one("area", values, names)
        region = str(values.get("region", ""))
        if not region:
            return None
        area: str | None
        if region.isascii() and region.isdigit():
            area = self._area_of_code(region)
        else:
            area = self._one("region", {"region": region}, names)
        # The dossier names the district; that the camera was put into one of its streets is no contradiction.
        above: str | None = stored
        while above is not None and above != area:
            above = self.above.get(above)
        return stored if above is not None else area

    def _area_of_code(self, region: str) -> str:
        coded = [(area.code, area.id) for area in self.city.areas if area.code]
        exact = [key for code, key in coded if code.ljust(8, "0") == region.ljust(8, "0")[:8]]
        inside = sorted(((len(code), key) for code, key in coded if region.startswith(code)), reverse=True)
        if exact:
            return exact[0]
        if not inside:
            raise _Refused(
                "region", f"no area has the code {region[:12]}", "Declare it, or name the area", region
            )
        return inside[0][1]

    def _streams(self, values: Mapping[str, Value], stored: Sequence[Stream] = ()) -> tuple[Stream, ...]:
        streams = {stream.role: stream for stream in stored}
        for name, role in (("main", StreamRole.MAIN), ("sub", StreamRole.SUB)):
            if name not in values:
                continue
            url = str(values[name])
            if "@" in url.partition("://")[2] or mask(url) != url:
                raise _Refused(
                    name, "the URL holds a user name or a password", "Remove it and name a credential", "…"
                )
            try:
                url = parse_url(url)[0].text
            except InvalidInputError as error:
                raise _Refused(name, error.message, error.mend, url) from None
            if role not in streams or streams[role].url != url:
                streams[role] = Stream(role=role, url=url)
        return tuple(sorted(streams.values(), key=lambda stream: stream.role))

    @staticmethod
    def _tags(values: Mapping[str, Value]) -> tuple[str, ...] | None:
        if "tags" not in values:
            return None
        return tuple(dict.fromkeys(tag for tag in re.split(r"[\s,;，；、|]+", str(values["tags"])) if tag))

    # --- what differs -------------------------------------------------------------------------------

    def _differences(
        self, stored: Camera | None, camera: Camera, before: Dossier, after: Dossier
    ) -> Iterable[Difference]:
        tell: list[tuple[str, Callable[[Camera], str]]] = [
            (name, lambda one, name=name: str(getattr(one, name) or ""))  # type: ignore[misc]
            for name in ("code", "name", *PLACED, "origin")
        ]
        tell += [
            ("tags", lambda one: " ".join(one.tags)),
            ("main", lambda one: _url(one, StreamRole.MAIN)),
            ("sub", lambda one: _url(one, StreamRole.SUB)),
            ("maintenance", lambda one: "true" if one.maintenance else "false"),
            ("retired", lambda one: "false" if one.retired_ms is None else "true"),
        ]
        for name, of in tell:
            was, will = of(stored) if stored else "", of(camera)
            if was != will and (stored is not None or name not in ("origin", "maintenance", "retired")):
                yield Difference(field=name, before=was, after=will)
        for name in FIELDS:
            was, will = shown(name, getattr(before, name)), shown(name, getattr(after, name))
            if was != will:
                yield Difference(field=name, before=was, after=will)


def _url(camera: Camera, role: StreamRole) -> str:
    return next((mask(stream.url) for stream in camera.streams if stream.role is role), "")


def _meant(text: str, known: Mapping[str, str]) -> str:
    words = {word: key for key, name in known.items() for word in (key, name)}
    close = get_close_matches(text, words, 1, 0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(list(known.values())[:12])}" if known else "None is declared"
