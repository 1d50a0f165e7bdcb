"""Tiers, zones, departments and the tree of areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.store.exclusions import ExclusionScope, ExclusionStage
from sharpeyes.store.rates_schema import exclusion
from sharpeyes.store.schema import area, camera, department, online_target, tier_policy, zone
from sharpeyes.store.telemetry import mark_stale


def put_tiers(connection: Connection, policies: Iterable[TierPolicy]) -> list[str]:
    """Store the policies; the tiers whose policy is new or another are returned."""
    rows = [
        {"tier": p.tier.value, "target": p.target, "liveness_s": p.liveness_s, "quality_s": p.quality_s}
        for p in policies
    ]
    return _put(connection, tier_policy, "tier", rows)


def list_tiers(connection: Connection) -> list[TierPolicy]:
    """A policy for every tier, in the order of the enum; the default where none was stored."""
    stored = {row.tier: row for row in connection.execute(select(tier_policy))}
    return [
        TierPolicy(tier=tier, target=row.target, liveness_s=row.liveness_s, quality_s=row.quality_s)
        if row
        else TierPolicy(tier=tier)
        for tier in Tier
        for row in [stored.get(tier.value)]
    ]


def put_zones(connection: Connection, zones: Iterable[Zone]) -> list[str]:
    rows = [{"id": z.id, "name": z.name, "network": z.network, "retired_ms": None} for z in zones]
    return _put(connection, zone, "id", rows)


def list_zones(connection: Connection, *, include_retired: bool = False) -> list[Zone]:
    return [
        Zone(id=row.id, name=row.name, network=row.network)
        for row in _rows(connection, zone, include_retired)
    ]


def put_departments(connection: Connection, departments: Iterable[Department]) -> list[str]:
    rows = [
        {
            "id": d.id,
            "name": d.name,
            "industry": d.industry,
            "name_en": d.name_en,
            "contact": d.contact,
            "retired_ms": None,
        }
        for d in departments
    ]
    return _put(connection, department, "id", rows)


def list_departments(connection: Connection, *, include_retired: bool = False) -> list[Department]:
    return [
        Department(id=row.id, name=row.name, industry=row.industry, name_en=row.name_en, contact=row.contact)
        for row in _rows(connection, department, include_retired)
    ]


def put_areas(connection: Connection, areas: Iterable[Area]) -> list[str]:
    """Store the areas, given in any order in which parents come before their children.

    An exclusion of an area counts for those below it: where one is put elsewhere, its days are added up anew.
    """
    before = {row.id: row.parent for row in connection.execute(select(area.c.id, area.c.parent))}
    rows = [
        {
            "id": a.id,
            "name": a.name,
            "parent": a.parent,
            "code": a.code,
            "name_en": a.name_en,
            "target": a.target,
            "retired_ms": None,
        }
        for a in areas
    ]
    if any(before.get(row["id"], row["parent"]) != row["parent"] for row in rows):
        _mark_exclusions(connection)
    return _put(connection, area, "id", rows)


def _mark_exclusions(connection: Connection) -> None:
    e = exclusion.c
    query = select(e.started_ms, e.ended_ms).where(
        e.stage == ExclusionStage.APPROVED.value, e.scope == ExclusionScope.AREA.value
    )
    for start, end in connection.execute(query).all():
        mark_stale(connection, start, end)


def list_areas(connection: Connection, *, include_retired: bool = False) -> list[Area]:
    return [
        Area(
            id=row.id,
            name=row.name,
            parent=row.parent,
            code=row.code,
            name_en=row.name_en,
            target=row.target,
        )
        for row in _rows(connection, area, include_retired)
    ]


def subtree(areas: Iterable[Area], root: str) -> frozenset[str]:
    """The ids of ``root`` and of everything below it."""
    children: dict[str | None, list[str]] = {}
    for node in areas:
        children.setdefault(node.parent, []).append(node.id)
    found: set[str] = set()
    todo = [root]
    while todo:
        node_id = todo.pop()
        if node_id not in found:
            found.add(node_id)
            todo += children.get(node_id, ())
    return frozenset(found)


def put_targets(
    connection: Connection, dimension: str, targets: Mapping[str, float | None], *, now: Ms
) -> None:
    """The online rates that tiers or areas are held to from ``now`` on, where they are others than before.
    The first that one ever had is taken for that of the time before, too."""
    latest = {key: course[-1][1] for key, course in target_history(connection, dimension).items()}
    rows = [
        {
            "dimension": dimension,
            "subject": key,
            "since_ms": now if key in latest else 0,
            "target": target,
        }
        for key, target in targets.items()
        if (target != latest[key] if key in latest else target is not None)
    ]
    t = online_target.c
    for row in rows:  # twice within a millisecond: the last word holds
        connection.execute(
            delete(online_target).where(
                t.dimension == dimension, t.subject == row["subject"], t.since_ms == row["since_ms"]
            )
        )
    if rows:
        connection.execute(insert(online_target), rows)


def target_history(connection: Connection, dimension: str) -> dict[str, list[tuple[Ms, float | None]]]:
    """Of each tier or area that ever had one: from when on which target held, oldest first."""
    t = online_target.c
    query = select(t.subject, t.since_ms, t.target).where(t.dimension == dimension)
    found: dict[str, list[tuple[Ms, float | None]]] = {}
    for row in connection.execute(query.order_by(t.subject, t.since_ms)):
        found.setdefault(row.subject, []).append((Ms(row.since_ms), row.target))
    return found


def retire_area(connection: Connection, key: str, *, now: Ms) -> None:
    connection.execute(update(area).where(area.c.id == key).values(retired_ms=now))


def retire_department(connection: Connection, key: str, *, now: Ms) -> None:
    connection.execute(update(department).where(department.c.id == key).values(retired_ms=now))


def retire_missing(
    connection: Connection,
    *,
    zones: Iterable[str],
    departments: Iterable[str],
    areas: Iterable[str],
    now: Ms,
) -> None:
    """Mark what is not among these as retired, unless a camera in service still belongs to it. Areas that one
    of these lies in stay, too."""
    for table, column, kept in (
        (zone, camera.c.zone, zones),
        (department, camera.c.department, departments),
        (area, camera.c.area, areas),
    ):
        used = connection.scalars(select(column).where(camera.c.retired_ms.is_(None)).distinct())
        kept = set(kept)
        keep = {*kept, *used}
        if table is area:
            keep |= {above for key in kept for above in _above(connection, key)}
        gone = [row.id for row in _rows(connection, table, include_retired=False) if row.id not in keep]
        if gone:
            connection.execute(update(table).where(table.c.id.in_(gone)).values(retired_ms=now))


def _above(connection: Connection, key: str) -> set[str]:
    """The areas that an area lies in."""
    found: set[str] = set()
    node: str | None = connection.scalar(select(area.c.parent).where(area.c.id == key))
    while node is not None and node not in found:
        found.add(node)
        node = connection.scalar(select(area.c.parent).where(area.c.id == node))
    return found


def _rows(connection: Connection, table: Table, include_retired: bool) -> Sequence[Any]:
    query = select(table).order_by(table.c.id)
    if not include_retired:
        query = query.where(table.c.retired_ms.is_(None))
    return connection.execute(query).all()


def _put(connection: Connection, table: Table, key: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Insert or update by key; the keys of what is new or differs are returned."""
    stored = {row[key]: row for row in connection.execute(select(table)).mappings()}
    changed = []
    for row in rows:
        before = stored.get(row[key])
        if before is None:
            connection.execute(insert(table).values(row))
        elif any(before[name] != value for name, value in row.items()):
            connection.execute(update(table).where(table.c[key] == row[key]).values(row))
        else:
            continue
        changed.append(row[key])
    return changed
