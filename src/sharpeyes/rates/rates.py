"""Rates by any dimension over any span, or step by step over it, from the store.

What is not over yet counts as far as it is known: open intervals reach to the prober's last sign of life. If
that is a moment ago the span simply ends there; if the prober has been silent for longer, the time since is
unknown.

Whole days that were added up before (:mod:`sharpeyes.rates.rollup`) are taken from there, the ragged ends
from the intervals: both come to the same, to the millisecond. What lies in the archive is known by whole
days only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from types import MappingProxyType

from sqlalchemy import ColumnElement, Connection, and_, func, select

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span, iso
from sharpeyes.rates import timeline
from sharpeyes.rates.rate import Climb, Excluded, Headcount, Rate
from sharpeyes.rates.timeline import HOUR_MS, Every, Run
from sharpeyes.store import exclusions, ranking, rates_schema, rollups, rungs, schema, state_time, telemetry
from sharpeyes.store.exclusions import ExclusionStage
from sharpeyes.store.organisation import target_history
from sharpeyes.store.rollups import Figures
from sharpeyes.store.rungs import Climbed, RungPiece, Step
from sharpeyes.store.state_time import Dimension, Grid, Piece, Presence, ancestry

SILENT_MS = 15_000
"""A prober not heard of for longer than this has stopped watching; it speaks about every second."""

TARGET = 0.95
"""What a rate is held to where neither tier nor area says otherwise."""

STEPS = 800
"""In one trend: a month by the hour."""

NOWHERE: Mapping[Dimension, str] = MappingProxyType({})

DECIDED = (
    *(schema.camera, schema.membership, schema.area, schema.online_target),
    *(rates_schema.exclusion, rates_schema.exclusion_subject, rates_schema.rollup_day, rates_schema.archived),
)
"""The tables behind a rate in which somebody's decision changes what was before; a day that is not to be
believed any more is among them. What is only observed as time goes by is in others."""


@dataclass(slots=True)
class _Sum:
    """What the rate of one key is made of."""

    cameras: int = 0
    member_ms: int = 0
    states: Counter[State] = field(default_factory=Counter)
    heads: Counter[State] = field(default_factory=Counter)
    present: int = 0
    excluded: Excluded = field(default_factory=Excluded)
    steps: Climbed = field(default_factory=Counter)

    def add(self, figures: Figures) -> None:
        """Time of a kept day, or of many."""
        self.states.update(dict(zip(State, figures.states, strict=True)))
        self.excluded += Excluded(*figures.excluded)
        self.steps.update(figures.rungs)

    def stand(self, figures: Figures) -> None:
        """Cameras at the end of a kept day."""
        self.heads.update(dict(zip(State, figures.heads, strict=True)))
        self.present = figures.present

    def include(self, other: _Sum) -> None:
        self.cameras += other.cameras
        self.member_ms += other.member_ms
        self.states.update(other.states)
        self.heads.update(other.heads)
        self.present += other.present
        self.excluded += other.excluded
        self.steps.update(other.steps)


_Sums = defaultdict[str, _Sum]


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is asked for: a dimension, all of its keys or some."""

    by: Dimension
    keys: Collection[str] | None
    parents: Mapping[str, str | None]
    """Of areas, if it is by these."""
    stored: Collection[str] | None
    """The keys that have a part in it: of an area, those below."""
    where: ColumnElement[bool] | None
    """The same as a condition on memberships."""

    @classmethod
    def of(cls, connection: Connection, by: Dimension, keys: Collection[str] | None) -> _Scope:
        parents = state_time.area_parents(connection) if by == "area" else {}
        if keys is None:
            return cls(by, None, parents, None, None)
        if by == "area":
            below = [area for area in parents if not set(ancestry(area, parents)).isdisjoint(keys)]
            return cls(by, keys, parents, below, state_time.having(by, below))
        return cls(by, keys, parents, keys, state_time.having(by, keys))

    def and_where(self, also: ColumnElement[bool]) -> ColumnElement[bool]:
        return also if self.where is None else and_(self.where, also)

    def counts_in(self, key: str) -> list[str]:
        """The keys that something of this one counts in."""
        line = ancestry(key, self.parents) if self.by == "area" else [key]
        return line if self.keys is None else [one for one in line if one in self.keys]

    def upwards(self, sums: Mapping[str, _Sum]) -> _Sums:
        total: _Sums = defaultdict(_Sum)
        for key, one in sums.items():
            for into in self.counts_in(key):
                total[into].include(one)
        return total


def rates(
    connection: Connection,
    span: Span,
    by: Dimension,
    now: Ms,
    *,
    target: float | None = TARGET,
    keys: Collection[str] | None = None,
) -> list[Rate]:
    """A rate for each key of the dimension that had a member within the span, ordered by key.

    By ``area`` each area includes those below it, and areas that only have such are listed too; cameras
    are counted once in each. The target is that of the tier or area at the end of the span as it was asked
    for, and ``target`` where there is none. ``keys``: of these only.
    """
    asked = span.end
    span, known_until = _known(connection, span, now)
    if span.length_ms == 0:
        return []
    scope = _Scope.of(connection, by, keys)
    sums: _Sums = defaultdict(_Sum)
    whole = rollups.fresh_spans(connection, span)
    for part in whole:
        for key, figures in rollups.sums(connection, part, by, keys=scope.stored).items():
            sums[key].add(figures)
    ragged = timeline.remainder(span, whole)
    for part in ragged:
        _check_kept(connection, part)
        for key, state, ms, standing in state_time.durations(
            connection, part, by, known_until=known_until, where=scope.where
        ):
            sums[key].states[state] += ms
            if part.end == span.end:
                sums[key].heads[state] += standing
        for key, steps in rungs.climbed(
            connection, part, by, known_until=known_until, where=scope.where
        ).items():
            sums[key].steps.update(steps)
        for key, x in _excluded(connection, part, scope, known_until).items():
            sums[key].excluded += x
    for membership in state_time.memberships(connection, span, by, where=scope.where):
        one = sums[membership.key]
        one.cameras, one.member_ms, one.present = membership.cameras, membership.ms, membership.present
    if not ragged or ragged[-1].end < span.end:
        for key, figures in rollups.heads(connection, span.end, by, keys=scope.stored).items():
            sums[key].stand(figures)
    total = scope.upwards(sums)
    if by == "area":
        for areas in state_time.movers(connection, span, by, where=scope.where).values():
            for area, times in Counter(into for key in areas for into in scope.counts_in(key)).items():
                total[area].cameras -= times - 1
    return _rates(span, by, total, _targets(connection, by, target), asked)


def trend(
    connection: Connection,
    span: Span,
    by: Dimension,
    every: Every,
    zone: tzinfo,
    now: Ms,
    *,
    target: float | None = TARGET,
    keys: Collection[str] | None = None,
) -> list[Rate]:
    """The rates of every step of the span, oldest first, as :func:`rates` would give them one by one.

    The span is read once, whatever the number of steps. InvalidInputError for more than :data:`STEPS` of
    them, or of all cameras.
    """
    if by == "camera" and keys is None:
        raise InvalidInputError("key: a course by camera needs the cameras named", mend="Give their ids")
    asked = span.end
    span, known_until = _known(connection, span, now)
    buckets: list[Span] = []
    for bucket in timeline.steps(span, every, zone):
        buckets.append(bucket)
        if len(buckets) > STEPS:
            raise InvalidInputError(
                f"step: more than {STEPS} of them", mend="Ask for a shorter span, or for longer steps"
            )
    if not buckets:
        return []
    scope = _Scope.of(connection, by, keys)
    sums: list[_Sums] = [defaultdict(_Sum) for _ in buckets]
    edges = [*(bucket.start for bucket in buckets), span.end]
    kept = [] if every is Every.HOUR else _from_days(connection, span, scope, edges, sums)
    for part in timeline.remainder(span, kept):
        _check_kept(connection, part)
        _from_intervals(connection, part, scope, known_until, edges, sums)
    through, partly = state_time.presences(connection, span, by, where=scope.where)
    totals = [scope.upwards(one) for one in sums]
    _count_members(scope, through, partly, edges, totals)
    held = _targets(connection, by, target)
    return [
        rate
        for bucket, total in zip(buckets, totals, strict=True)
        for rate in _rates(bucket, by, total, held, asked if bucket is buckets[-1] else bucket.end)
    ]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the cameras, in their order."""

    items: list[Rate]
    total: int
    """Of all pages."""


def worst_cameras(
    connection: Connection,
    span: Span,
    now: Ms,
    *,
    limit: int,
    offset: int = 0,
    within: Mapping[Dimension, str] = NOWHERE,
) -> Page:
    """A page of the rates of single cameras, worst first: by their rate, then the longest offline; last those
    of which nothing was seen.

    ``within``: only cameras that were, at some time of the span, in all of these at once: an area with those
    below it. The rate is the camera's over the whole span, wherever it was.
    """
    span, known_until = _known(connection, span, now)
    if span.length_ms == 0:
        return Page([], 0)
    kept = rollups.fresh_spans(connection, span)
    ragged = timeline.remainder(span, kept)
    for part in ragged:
        _check_kept(connection, part)
    where = _within(connection, within)
    ids = ranking.worst(
        connection,
        span,
        kept=kept,
        ragged=ragged,
        known_until=known_until,
        limit=limit,
        offset=offset,
        where=where,
    )
    found = {rate.key: rate for rate in rates(connection, span, "camera", now, keys=ids)}
    total = select(func.count()).select_from(ranking.members(span, where).distinct().subquery())
    return Page([found[key] for key in ids], connection.execute(total).scalar_one())


def members(connection: Connection, span: Span, within: Mapping[Dimension, str]) -> set[str]:
    """Cameras that were, at some time of the span, in all of these at once."""
    return set(connection.scalars(ranking.members(span, _within(connection, within))))


def _within(connection: Connection, within: Mapping[Dimension, str]) -> ColumnElement[bool] | None:
    scopes = [_Scope.of(connection, by, (key,)).where for by, key in within.items()]
    conditions = [one for one in scopes if one is not None]
    return and_(*conditions) if conditions else None


def excluded_of(member_ms: int, by_state: Mapping[State, int]) -> Excluded:
    """From time of membership within exclusions, and time by state."""
    return Excluded(
        member_ms - by_state.get(State.MAINTENANCE, 0),
        by_state.get(State.ONLINE, 0) + by_state.get(State.DEGRADED, 0),
        by_state.get(State.OFFLINE, 0),
    )


def _targets(
    connection: Connection, by: Dimension, target: float | None
) -> Callable[[str, Ms], float | None]:
    """What a key is held to over a span that ends then: the target that was in force at its last instant.
    One that was changed later does not judge what was before, and one within the span judges all of it."""
    history = target_history(connection, by) if by in ("tier", "area") else {}

    def held(key: str, end: Ms) -> float | None:
        course = history.get(key, [])
        found = next((value for since, value in reversed(course) if since < end or since == 0), None)
        return target if found is None else found

    return held


def _rates(
    span: Span,
    by: Dimension,
    sums: Mapping[str, _Sum],
    held: Callable[[str, Ms], float | None],
    end: Ms,
) -> list[Rate]:
    """``end``: of the span before what is not over yet was cut off."""
    return [
        Rate.of(
            by,
            key,
            span,
            cameras=one.cameras,
            member_ms=one.member_ms,
            by_state=one.states,
            headcount=Headcount.of(one.heads, one.present),
            target=held(key, end),
            excluded=one.excluded,
            climb=Climb.of(one.steps),
        )
        for key, one in sorted(sums.items())
        if one.member_ms
    ]


def _known(connection: Connection, span: Span, now: Ms) -> tuple[Span, Ms]:
    """The span up to now, and up to when open intervals are known."""
    beat = telemetry.get_heartbeat(connection)
    alive = Ms(0) if beat is None else Ms(min(beat, now))
    until = alive if now - alive <= SILENT_MS else now
    return Span(span.start, Ms(max(span.start, min(span.end, until)))), alive


def _check_kept(connection: Connection, part: Span) -> None:
    kept = rollups.archived_until(connection)
    if part.start < kept:
        raise InvalidInputError(
            f"from: before {iso(kept)} only whole days of the site's time zone are known",
            mend="Begin and end at midnight there; the intervals are in the archive",
        )


def _excluded(connection: Connection, part: Span, scope: _Scope, known_until: Ms) -> dict[str, Excluded]:
    """What approved exclusions cover, by key, from the intervals."""
    by = scope.by
    total: dict[str, Excluded] = defaultdict(Excluded)
    for piece, where in _left_out(connection, part, scope):
        member = {m.key: m.ms for m in state_time.memberships(connection, piece, by, where=where)}
        time: dict[str, Counter[State]] = defaultdict(Counter)
        for key, state, ms, _ in state_time.durations(
            connection, piece, by, known_until=known_until, where=where
        ):
            time[key][state] += ms
        for key, ms in member.items():
            total[key] += excluded_of(ms, time[key])
    return total


def _left_out(
    connection: Connection, part: Span, scope: _Scope
) -> Iterable[tuple[Span, ColumnElement[bool]]]:
    """The pieces of a span that approved exclusions lie over, with the memberships that these cover."""
    approved = exclusions.overlapping(connection, part, stage=ExclusionStage.APPROVED)
    for piece, over in timeline.slices([x.span for x in approved], part):
        covered = exclusions.members_of(connection, [approved[n] for n in over])
        yield piece, scope.and_where(covered)


# --- step by step ---------------------------------------------------------------------------------------


def _from_days(
    connection: Connection, span: Span, scope: _Scope, edges: Sequence[int], sums: Sequence[_Sums]
) -> list[Span]:
    """Fill in the kept days that lie within a step each; returns them."""
    used = []
    for day, figures in rollups.by_day(connection, span, scope.by, keys=scope.stored).items():
        slot = bisect_right(edges, day.start) - 1
        if day.end > edges[slot + 1]:
            continue
        used.append(day)
        for key, one in figures.items():
            sums[slot][key].add(one)
            if day.end == edges[slot + 1]:
                sums[slot][key].stand(one)
    return used


def _from_intervals(
    connection: Connection,
    part: Span,
    scope: _Scope,
    known_until: Ms,
    edges: Sequence[int],
    sums: Sequence[_Sums],
) -> None:
    """Fill in a part of the span."""
    first, cut = _cut(edges, part)
    # Not every edge of the part is the end of a step: it may end before the step does.
    ends = [slot for slot in range(first, first + len(cut) - 1) if cut[slot - first + 1] == edges[slot + 1]]
    by, where, grid = scope.by, scope.where, grid_of(cut)
    pieces = state_time.pieces(connection, part, by, known_until=known_until, grid=grid, where=where)
    for (key, state), (times, heads) in timeline.spread(cut, map(_labelled, pieces)).items():
        for slot, ms in enumerate(times, first):
            sums[slot][key].states[state] += ms
        for slot in ends:
            sums[slot][key].heads[state] += heads[slot - first]
    steps = rungs.rung_pieces(connection, part, by, known_until=known_until, grid=grid, where=where)
    for (key, step), (times, _) in timeline.spread(cut, map(_stepped, steps)).items():
        for slot, ms in enumerate(times, first):
            if ms:
                sums[slot][key].steps[step] += ms
    for piece, covered in _left_out(connection, part, scope):
        _leave_out(connection, piece, by, covered, known_until, edges, sums)
    through, partly = state_time.presences(connection, part, by, where=where)
    for key, (_, present) in timeline.spread(cut, _there(part, through, partly)).items():
        for slot in ends:
            sums[slot][key].present += present[slot - first]


def _leave_out(
    connection: Connection,
    piece: Span,
    by: Dimension,
    where: ColumnElement[bool],
    known_until: Ms,
    edges: Sequence[int],
    sums: Sequence[_Sums],
) -> None:
    """Fill in what exclusions cover in a piece of the span."""
    first, cut = _cut(edges, piece)
    member = timeline.spread(cut, _there(piece, *state_time.presences(connection, piece, by, where=where)))
    time: dict[str, list[Counter[State]]] = {
        key: [Counter() for _ in times] for key, (times, _) in member.items()
    }
    inside = state_time.pieces(connection, piece, by, known_until=known_until, grid=grid_of(cut), where=where)
    for (key, state), (times, _) in timeline.spread(cut, map(_labelled, inside)).items():
        for slot, ms in enumerate(times):
            time[key][slot][state] += ms
    for key, (times, _) in member.items():
        for slot, ms in enumerate(times):
            sums[first + slot][key].excluded += excluded_of(ms, time[key][slot])


def _count_members(
    scope: _Scope,
    through: Mapping[str, int],
    partly: Sequence[Presence],
    edges: Sequence[int],
    totals: Sequence[_Sums],
) -> None:
    """Time of membership, and cameras, each counted once in each key and step."""
    span = Span(Ms(edges[0]), Ms(edges[-1]))
    above = {key: scope.counts_in(key) for key in {*through, *(one.key for one in partly)}}
    for key, (times, _) in timeline.spread(edges, _there(span, through, partly)).items():
        for into in above[key]:
            for slot, ms in enumerate(times):
                totals[slot][into].member_ms += ms
    for key, number in through.items():
        for into in above[key]:
            for total in totals:
                total[into].cameras += number
    stays: dict[str, list[Presence]] = defaultdict(list)
    for one in partly:
        stays[one.camera].append(one)
    for several in stays.values():
        where = {
            (slot, into)
            for one in several
            for into in above[one.key]
            for slot in range(_slot(edges, one.start), _slot(edges, one.end - 1) + 1)
        }
        for slot, into in where:
            totals[slot][into].cameras += 1


def _there(span: Span, through: Mapping[str, int], partly: Iterable[Presence]) -> Iterable[Run[str]]:
    for key, number in through.items():
        yield Run(key, span.start, span.end, number, number * span.start, number * span.end)
    for one in partly:
        yield Run(one.key, one.start, one.end, 1, one.start, one.end)


def _labelled(piece: Piece) -> Run[tuple[str, State]]:
    return Run((piece.key, piece.state), *piece[2:])


def _stepped(piece: RungPiece) -> Run[tuple[str, Step]]:
    return Run((piece.key, piece.step), *piece[2:])


def grid_of(cut: Sequence[int]) -> Grid:
    """A grid that each inner edge lies on: of hours, or of single ms where clocks are set by less."""
    inner = cut[1:-1]
    if all((edge - inner[0]) % HOUR_MS == 0 for edge in inner):
        return Grid(HOUR_MS, inner[0] % HOUR_MS if inner else 0)
    return Grid()


def _slot(edges: Sequence[int], at: int) -> int:
    return bisect_right(edges, at) - 1


def _cut(edges: Sequence[int], part: Span) -> tuple[int, list[int]]:
    """The slot that the part begins in, and its own edges."""
    inner = [edge for edge in edges if part.start < edge < part.end]
    return _slot(edges, part.start), [part.start, *inner, part.end]
