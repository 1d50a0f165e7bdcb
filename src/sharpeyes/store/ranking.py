"""Cameras in the order of their online rates, worst first, a page at a time: in SQL, for a city of them.

Months of single cameras are kept besides their days, since three million days are not read for a page of a
hundred cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
)

from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.rates_schema import camera_month, day_rollup, rollup_day, rollup_month
from sharpeyes.store.schema import membership
from sharpeyes.store.state_time import camera_times


class Month(NamedTuple):
    """Days of a month that are kept, one after the other."""

    span: Span
    revisions: int
    """What the revisions of its days come to, each day counted as one more."""


def months(connection: Connection) -> list[Month]:
    """The months that hold: nothing has changed in their days since."""
    found = []
    for start, end, revisions in connection.execute(
        select(rollup_month.c.started_ms, rollup_month.c.ended_ms, rollup_month.c.revisions)
    ):
        span = Span(start, end)
        if revisions_of(connection, span) == revisions:
            found.append(Month(span, revisions))
    return found


def revisions_of(connection: Connection, span: Span) -> int | None:
    """Of the days of the span; None if any of these is not kept."""
    d = rollup_day.c
    query = select(d.revision, d.computed_ms).where(d.started_ms >= span.start, d.started_ms < span.end)
    rows = connection.execute(query).all()
    if not rows or any(computed is None for _, computed in rows):
        return None
    return sum(int(revision) + 1 for revision, _ in rows)


def add_up_month(connection: Connection, span: Span) -> list[tuple[str, int, int]]:
    """Camera, online and offline ms over days that are kept."""
    return [(key, int(online), int(offline)) for key, online, offline in connection.execute(_days([span]))]


def put_month(
    connection: Connection, within: Span, month: Month, rows: Sequence[tuple[str, int, int]]
) -> bool:
    """Keep them in place of all that begin ``within`` the calendar month.

    False, and nothing, if the days have changed meanwhile.
    """
    if revisions_of(connection, month.span) != month.revisions:
        return False
    start = month.span.start
    for table in (rollup_month, camera_month):
        began = table.c.started_ms
        connection.execute(delete(table).where(began >= within.start, began < within.end))
    entry = {"started_ms": start, "ended_ms": month.span.end, "revisions": month.revisions}
    connection.execute(insert(rollup_month), entry)
    if rows:
        connection.execute(
            insert(camera_month),
            [
                {"started_ms": start, "camera_id": key, "online_ms": online, "offline_ms": offline}
                for key, online, offline in rows
            ],
        )
    return True


def worst(
    connection: Connection,
    span: Span,
    *,
    kept: Iterable[Span],
    ragged: Iterable[Span],
    known_until: Ms,
    limit: int,
    offset: int = 0,
    where: ColumnElement[bool] | None = None,
) -> list[str]:
    """Cameras that were members within the span: by rate, then the longest offline, then by id; last those of
    which nothing was seen. ``kept``: the parts of whole days that are; ``ragged``: the rest of the span.
    ``where``: a condition on their memberships within the span."""
    whole = list(kept)
    known = [m.span for m in months(connection) if any(_inside(m.span, part) for part in whole)]
    days = [piece for part in whole for piece in _without(part, known)]
    c = camera_month.c
    seen: list[Select[Any]] = []
    if known:
        starts = [month.start for month in known]
        months_of = select(c.camera_id, c.online_ms.label("online"), c.offline_ms.label("offline"))
        seen.append(months_of.where(c.started_ms.in_(starts)))
    if days:
        seen.append(_days(days))
    for part in ragged:
        seen += camera_times(connection, part, known_until)
    among = members(span, where)
    # Mostly the page ends before those of which nothing was seen: all members are read only if it does not.
    narrowed = None if where is None else among
    found = list(connection.scalars(_page(seen, limit, offset, narrowed, unseen=False))) if seen else []
    if len(found) == limit:
        return found
    there = among.add_columns(literal(0).label("online"), literal(0).label("offline"))
    return list(connection.scalars(_page([there, *seen], limit, offset, narrowed, unseen=True)))


def members(span: Span, where: ColumnElement[bool] | None) -> Select[tuple[str]]:
    """Cameras that were members within the span, as the condition says; one with several memberships is there
    several times."""
    m = membership.c
    query = select(m.camera_id).where(
        m.started_ms < span.end, or_(m.ended_ms.is_(None), m.ended_ms > span.start)
    )
    return query if where is None else query.where(where)


def _page(
    parts: Sequence[Select[Any]], limit: int, offset: int, among: Select[tuple[str]] | None, *, unseen: bool
) -> Select[Any]:
    """Cameras in their order; ``among``: these only; ``unseen``: those of which nothing was seen, too."""
    rows = (parts[0] if len(parts) == 1 else union_all(*parts)).subquery("parts").c
    camera_id = next(iter(rows))
    online, offline = func.sum(rows.online), func.sum(rows.offline)
    query = (
        select(camera_id)
        .group_by(camera_id)
        .order_by(
            case((online + offline == 0, 1), else_=0),
            cast(online, Float) / func.nullif(online + offline, 0),
            offline.desc(),
            camera_id,
        )
        .limit(limit)
        .offset(offset)
    )
    if among is not None:
        query = query.where(camera_id.in_(among))
    return query if unseen else query.having(online + offline > 0)


def _days(spans: Iterable[Span]) -> Select[Any]:
    """Camera, online and offline ms over days that are kept."""
    d = day_rollup.c
    return (
        select(
            d.camera_id,
            func.sum(d.online_ms + d.degraded_ms).label("online"),
            func.sum(d.offline_ms).label("offline"),
        )
        .where(or_(*(d.started_ms.between(span.start, span.end - 1) for span in spans)))
        .group_by(d.camera_id)
    )


def _inside(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _without(part: Span, known: Iterable[Span]) -> list[Span]:
    left = [part]
    for span in known:
        left = [
            piece
            for one in left
            for piece in (
                (one,) if one.clip(span) is None else (Span(one.start, span.start), Span(span.end, one.end))
            )
            if piece.length_ms
        ]
    return left
