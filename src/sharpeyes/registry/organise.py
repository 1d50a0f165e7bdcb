"""Tiers, departments and areas as file and console have them: worked out, checked, put in force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy
from sharpeyes.domain.time import Ms
from sharpeyes.registry.declared import Declared, Network
from sharpeyes.registry.numbering import INDUSTRIES
from sharpeyes.registry.settings import Changed, Fields, Saying, SettingsEntry, Source, entries, note
from sharpeyes.store import organisation
from sharpeyes.store.access_schema import user
from sharpeyes.store.dossiers import list_boundaries, put_boundaries
from sharpeyes.store.faults_schema import cause_node
from sharpeyes.store.schema import area, camera
from sharpeyes.store.settings import Kind, drop_said, list_said

TIER_FIELDS = ("target", "liveness_s", "quality_s")
DEPARTMENT_FIELDS = ("name", "name_en", "industry", "contact")
AREA_FIELDS = ("name", "name_en", "parent", "code", "target")
LONGEST_NAME = 100
LONGEST_CONTACT = 200
LONGEST_CADENCE_S = 86_400


def tier_entries(connection: Connection, declared: Declared) -> dict[str, SettingsEntry]:
    """Of every tier."""
    told = {one.tier: one for one in declared.tiers}
    fields = {
        tier.value: {name: getattr(told.get(tier, TierPolicy(tier=tier)), name) for name in TIER_FIELDS}
        for tier in Tier
    }
    return entries(Kind.TIER, TIER_FIELDS, fields, list_said(connection, Kind.TIER))


def department_entries(connection: Connection, declared: Declared) -> dict[str, SettingsEntry]:
    """Of every department in service."""
    return entries(
        Kind.DEPARTMENT,
        DEPARTMENT_FIELDS,
        _fields(declared.departments, DEPARTMENT_FIELDS),
        list_said(connection, Kind.DEPARTMENT),
        _fields(organisation.list_departments(connection), DEPARTMENT_FIELDS),
    )


def area_entries(connection: Connection, declared: Declared) -> dict[str, SettingsEntry]:
    """Of every area in service. A parent that would put an area within itself is not among the values: the
    file's holds, or none."""
    found = entries(
        Kind.AREA,
        AREA_FIELDS,
        _fields(declared.areas, AREA_FIELDS),
        list_said(connection, Kind.AREA),
        _fields(organisation.list_areas(connection), AREA_FIELDS),
    )
    for key, entry in found.items():
        if entry.said is not None and "parent" in entry.said.values and in_itself(found, key):
            parent = entry.declared.get("parent") if entry.declared is not None else None
            found[key] = replace(entry, values={**entry.values, "parent": parent})
    return found


def boundary_entries(
    connection: Connection, declared: Declared, areas: Iterable[str]
) -> dict[str, SettingsEntry]:
    """Of these areas: the field ``geometry``, None for an area without an outline."""
    told = {area.id for area in declared.areas}
    return entries(
        Kind.BOUNDARY,
        ("geometry",),
        {key: {"geometry": declared.boundaries.get(key)} for key in areas if key in told},
        list_said(connection, Kind.BOUNDARY),
        {key: {"geometry": None} for key in areas},
    )


def put_in_force(connection: Connection, declared: Declared, *, now: Ms) -> InForce:
    """Have tiers, departments, areas and outlines be what file and console say together. Where both say the
    same by now, the word is the file's again."""
    areas = area_entries(connection, declared)
    saying = Saying(by="cameras.yaml", at=now, reason="it says the same by now")
    for known in (
        tier_entries(connection, declared),
        department_entries(connection, declared),
        areas,
        boundary_entries(connection, declared, areas),
    ):
        for entry in known.values():
            said, file = entry.said, entry.declared
            if said and file is not None and all(file.get(n) == v for n, v in said.values.items()):
                drop_said(connection, entry.kind, entry.id)
                note(connection, Changed(kind=entry.kind, id=entry.id, what="reverted"), saying)
    policies = [policy_of(entry) for entry in tier_entries(connection, declared).values()]
    organisation.put_tiers(connection, policies)
    organisation.put_targets(connection, "tier", {p.tier.value: p.target for p in policies}, now=now)
    departments = _standing(department_entries(connection, declared))
    organisation.put_departments(connection, [department_of(entry) for entry in departments.values()])
    areas = _standing(areas)
    ordered = [area_of(areas[key]) for key in _parents_first(areas)]
    organisation.put_areas(connection, ordered)
    organisation.put_targets(connection, "area", {area.id: area.target for area in ordered}, now=now)
    outlines = {
        key: entry.values["geometry"]
        for key, entry in boundary_entries(connection, declared, areas).items()
        if entry.values["geometry"] is not None
    }
    if outlines != list_boundaries(connection):
        put_boundaries(connection, outlines)
    return InForce(departments=frozenset(departments), areas=frozenset(areas))


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Ids of what somebody's word keeps in service."""

    departments: frozenset[str]
    areas: frozenset[str]


def contradictions(connection: Connection, declared: Declared) -> list[tuple[str, str]]:
    """Where file and console speak of the same and do not agree who has the word: id, and what to do."""
    found = []
    for kind, ids in (
        (Kind.DEPARTMENT, {one.id for one in declared.departments}),
        (Kind.AREA, {one.id for one in declared.areas}),
    ):
        for key, said in list_said(connection, kind).items():
            if said.made and key in ids:
                message = (
                    f"{kind} {key} was made in the console and is declared in cameras.yaml by now: what the "
                    "console says holds. Go back to the file in the settings, or take it out of the file"
                )
                found.append((key, message))
            elif not said.made and key not in ids:
                message = (
                    f"{kind} {key} is no longer declared in cameras.yaml; what the console changed of it is "
                    "kept, and holds again if it comes back"
                )
                found.append((key, message))
    areas = area_entries(connection, declared)
    for key, said in list_said(connection, Kind.AREA).items():
        parent = areas[key].values["parent"] if key in areas else None
        if key in areas and said.values.get("parent", parent) != parent:
            message = (
                f"area {key} would lie within itself: the parent that the console gave it does not hold. "
                "Give it another in the settings"
            )
            found.append((key, message))
    return found


def _standing(known: Mapping[str, SettingsEntry]) -> dict[str, SettingsEntry]:
    """Those that somebody keeps in service."""
    return {key: entry for key, entry in known.items() if entry.source is not Source.LEFT}


def _parents_first(areas: Mapping[str, SettingsEntry]) -> list[str]:
    ordered: dict[str, None] = {}
    for key in areas:
        line: list[str] = []
        node: str | None = key
        while node is not None and node in areas and node not in ordered and node not in line:
            line.append(node)
            node = areas[node].values["parent"]
        ordered.update(dict.fromkeys(reversed(line)))
    return list(ordered)


def _fields(items: Iterable[Any], names: tuple[str, ...]) -> dict[str, Fields]:
    return {item.id: {name: getattr(item, name) for name in names} for item in items}


def in_itself(areas: Mapping[str, SettingsEntry], key: str) -> bool:
    """Whether an area lies within itself. Pure."""
    seen = {key}
    above = areas[key].values["parent"]
    while above is not None and above in areas:
        if above == key:
            return True
        if above in seen:
            return False
        seen.add(above)
        above = areas[above].values["parent"]
    return False


def policy_of(entry: SettingsEntry) -> TierPolicy:
    return TierPolicy(tier=Tier(entry.id), **entry.values)


def department_of(entry: SettingsEntry) -> Department:
    return Department(id=entry.id, **entry.values)


def area_of(entry: SettingsEntry) -> Area:
    return Area(id=entry.id, **entry.values)


# --- what may be said -------------------------------------------------------------------------------------


def check_tier(values: Fields) -> None:
    """InvalidInputError names the field."""
    if not 0 < values["target"] <= 1:
        raise InvalidInputError("target: is no rate", mend="Write a ratio above 0 up to 1: 0.95 for 95 %")
    for name, least in (("liveness_s", 1), ("quality_s", 1)):
        if not least <= values[name] <= LONGEST_CADENCE_S:
            raise InvalidInputError(
                f"{name}: is out of range", mend=f"Write seconds from {least} to {LONGEST_CADENCE_S:,}"
            )


def check_department(values: Fields) -> None:
    """InvalidInputError names the field."""
    _check_text("name", values["name"], LONGEST_NAME)
    _check_text("name_en", values["name_en"], LONGEST_NAME)
    _check_text("contact", values["contact"], LONGEST_CONTACT)
    industry = values["industry"]
    if industry is not None and industry not in INDUSTRIES:
        raise InvalidInputError(
            f"industry: {industry[:20]} is not in the table of GB/T 28181",
            mend="Write two digits of its annex, such as 00, or leave it empty",
        )


def check_area(values: Fields, known: Mapping[str, SettingsEntry], key: str) -> None:
    """InvalidInputError names the field. ``known``: the areas that there are."""
    _check_text("name", values["name"], LONGEST_NAME)
    _check_text("name_en", values["name_en"], LONGEST_NAME)
    code, parent, target = values["code"], values["parent"], values["target"]
    if code is not None and not re.fullmatch(r"[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{8}", code):
        raise InvalidInputError(
            f"code: {code[:20]} is no region code", mend="Write 2, 4, 6 or 8 digits of GB/T 2260"
        )
    if target is not None and not 0 < target <= 1:
        raise InvalidInputError("target: is no rate", mend="Write a ratio above 0 up to 1: 0.95 for 95 %")
    if parent is not None:
        if parent not in known:
            raise InvalidInputError(f"parent: there is no area {parent}", mend="Choose one in service")
        own = SettingsEntry(kind=Kind.AREA, id=key, values=values, declared=None, said=None)
        if in_itself({**known, key: own}, key):
            raise InvalidInputError(
                f"parent: {parent} lies within {key}", mend="Choose an area that is not below this one"
            )


def check_id(key: str) -> None:
    """InvalidInputError if it cannot stand in URLs and metrics."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", key):
        raise InvalidInputError(
            "id: it stands in addresses and metrics",
            mend="Use 1 to 64 letters, digits, '.', '_' and '-' of ASCII; the name can be in Chinese",
        )


def _check_text(name: str, value: str | None, longest: int) -> None:
    if value is None:
        return
    if not value.strip() or value != value.strip():
        raise InvalidInputError(f"{name}: is empty or begins or ends with a space", mend="Write some letters")
    if len(value) > longest or not value.isprintable():
        raise InvalidInputError(
            f"{name}: is longer than {longest} characters, or holds some that nobody sees",
            mend="Write one plain line",
        )


# --- what uses it -----------------------------------------------------------------------------------------


def users_of_department(connection: Connection, key: str, networks: Iterable[Network] = ()) -> list[str]:
    """What belongs to it, in words: cameras, people, upstream devices, networks of the file."""
    nodes = select(func.count()).where(cause_node.c.department == key, cause_node.c.retired_ms.is_(None))
    people = select(func.count()).where(user.c.department == key, user.c.disabled_ms.is_(None))
    return [
        *_counted(connection, _cameras(camera.c.department, key), "cameras"),
        *_counted(connection, people, "accounts"),
        *_counted(connection, nodes, "upstream devices"),
        *(f"network {one.cidr} in cameras.yaml" for one in networks if one.department == key),
    ]


def users_of_area(connection: Connection, key: str, networks: Iterable[Network] = ()) -> list[str]:
    """What lies in it, in words: cameras, areas, networks of the file."""
    below = select(func.count()).where(area.c.parent == key, area.c.retired_ms.is_(None))
    return [
        *_counted(connection, _cameras(camera.c.area, key), "cameras"),
        *_counted(connection, below, "areas below it"),
        *(f"network {one.cidr} in cameras.yaml" for one in networks if one.area == key),
    ]


def _cameras(column: ColumnElement[Any], key: str) -> Select[int]:
    return select(func.count()).where(column == key, camera.c.retired_ms.is_(None))


def _counted(connection: Connection, query: Select[int], what: str) -> list[str]:
    number = connection.scalar(query) or 0
    return [f"{number} {what}"] if number else []
