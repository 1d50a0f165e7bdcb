"""What a report says, gathered in one snapshot: tables of plain values, without a language or a format.

MTTR is the mean length of the outages that ended within the period, whole, even if they began before it; MTBF
is the online time over the number of outages that began within it. An outage belongs to where the camera
counted when it began, or ended. Both need the intervals: once those are in the archive, they are left empty.

A report may be on one department: its sum, or its cameras one by one. It has no table of areas without a
working camera, for those of others may stand there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from sharpeyes.domain.dossier import COLUMNS
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import Rung
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates.rate import COVERAGE, FORMULA, RUNGS, Rate
from sharpeyes.rates.rates import members, rates, trend, worst_cameras
from sharpeyes.rates.report.period import Period
from sharpeyes.rates.timeline import Every
from sharpeyes.registry.completeness import totals
from sharpeyes.registry.dossiers import sheets
from sharpeyes.store import contests, exclusions, outages, rollups, state_time
from sharpeyes.store.cameras import CameraFilter
from sharpeyes.store.outages import Outage
from sharpeyes.store.state_time import Dimension, ancestry

WORST = 20
LISTED = 1000
"""Exclusions and contests in one report."""
OF_DEPARTMENT: tuple[Dimension, ...] = ("department", "camera")
"""What a report on one department can be broken down by."""

Value = str | int | float | None


class Kind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    WORD = "word"
    """A word of ours: a tier, a state, a verdict; said in the report's language."""
    COUNT = "count"
    RATIO = "ratio"
    DURATION = "duration"
    """Milliseconds."""
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Table:
    """``name`` and the names of the columns are words of :mod:`sharpeyes.rates.report.words`."""

    name: str
    columns: tuple[tuple[str, Kind], ...]
    rows: tuple[tuple[Value, ...], ...]

    def column(self, name: str) -> list[Value]:
        number = [n for n, _ in self.columns].index(name)
        return [row[number] for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report. ``known`` is the span that it covers so far."""

    site: str
    timezone: str
    period: Period
    by: Dimension
    known: Span
    made: Ms
    department: str | None
    """The one that it is on; None: the whole site."""
    unit: str = ""
    """Its name."""
    tables: tuple[Table, ...]
    formula: str = FORMULA
    coverage: float = float(COVERAGE)

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    def meta(self) -> dict[str, Any]:
        """What identifies it, in plain values."""
        return {
            "site": self.site,
            "timezone": self.timezone,
            "every": self.period.every.value,
            "period": self.period.label,
            "by": self.by,
            "department": self.department,
            "from_ms": self.known.start,
            "to_ms": self.known.end,
            "made_ms": self.made,
            "formula": self.formula,
            "coverage_gate": self.coverage,
        }


@dataclass(slots=True)
class _Failures:
    """Of one key: outages that began, and the lengths of those that ended."""

    began: int = 0
    repairs: list[int] = field(default_factory=list)

    @property
    def mttr(self) -> int | None:
        return round(sum(self.repairs) / len(self.repairs)) if self.repairs else None


def check_scope(connection: Connection, by: Dimension, department: str | None) -> None:
    """InvalidInputError unless there are such reports on this department, in service or not."""
    if department is None:
        return
    if by not in OF_DEPARTMENT:
        raise InvalidInputError(
            "by: a report on one department is of its sum or of its cameras",
            mend="Choose department or camera",
        )
    if department not in outages.names(connection)["department"]:
        raise InvalidInputError(f"department: there is no {department[:64]!r}", mend="Give the id of one")


def gather(
    connection: Connection,
    period: Period,
    by: Dimension,
    department: str | None = None,
    *,
    site: str,
    timezone: str,
    zone: tzinfo,
    now: Ms,
) -> Report:
    """The report on a period, as far as it is over: of the whole site, or of one department
    (:func:`check_scope`). Its cameras are those that were its own at some time of the period; each has the
    rate of the whole of it."""
    check_scope(connection, by, department)
    within: dict[Dimension, str] = {} if department is None else {"department": department}
    found = rates(connection, period.span, by, now, keys=within.values() if by in within else None)
    if within and by == "camera":
        cameras = members(connection, period.span, within)
        found = [rate for rate in found if rate.key in cameras]
    known = found[0].span if found else Span(period.span.start, period.span.start)
    kept = known.start >= rollups.archived_until(connection)
    broken = outages.outages(connection, known) if kept else []
    parents = state_time.area_parents(connection)
    failures = _failures(broken, by, known, parents)
    names = outages.names(connection)
    places = outages.camera_places(connection)
    labels = names.get(by, {}) if by != "camera" else {key: place[0] for key, place in places.items()}
    tables = [
        _rates(found, failures, labels, by, kept),
        _rungs(found, labels, by),
        _trend(connection, period, known, department, zone, now),
    ]
    tables.append(_worst(connection, period, within, broken, known, places, names, now))
    own = [outage for outage in broken if department in (None, outage.department)]
    tables.append(_causes(own, known))
    if department is None:
        tables.append(_gaps(connection, period, names, now))
    tables += _dossiers(connection, by, labels, department)
    tables.append(_exclusions(connection, known, department))
    tables.append(_contests(connection, known, department))
    return Report(
        site=site,
        timezone=timezone,
        period=period,
        by=by,
        known=known,
        made=now,
        department=department,
        unit=names["department"].get(department or "", ""),
        tables=tuple(tables),
    )


def _rates(
    found: Iterable[Rate],
    failures: Mapping[str, _Failures],
    labels: Mapping[str, str],
    by: Dimension,
    kept: bool,
) -> Table:
    none = _Failures()
    rows = []
    for rate in found:
        broken = failures.get(rate.key, none)
        rows.append(
            (
                rate.key,
                labels.get(rate.key, rate.key),
                rate.cameras,
                rate.raw,
                rate.adjusted,
                rate.coverage,
                rate.target,
                rate.verdict,
                rate.adjusted_verdict,
                rate.intact,
                rate.judged(Rung.USABLE),
                rate.headcount.rate,
                rate.headcount.online,
                rate.headcount.total,
                rate.obliged_ms,
                rate.online_ms,
                rate.degraded_ms,
                rate.offline_ms,
                rate.unknown_ms,
                rate.maintenance_ms,
                rate.excluded.obliged_ms,
                broken.began if kept else None,
                rate.online_ms // broken.began if broken.began else None,
                broken.mttr,
            )
        )
    name = Kind.WORD if by in ("tier", "all") else Kind.TEXT
    return Table(
        "rates",
        (
            ("key", Kind.TEXT),
            ("name", name),
            ("cameras", Kind.COUNT),
            ("raw", Kind.RATIO),
            ("adjusted", Kind.RATIO),
            ("coverage", Kind.RATIO),
            ("target", Kind.RATIO),
            ("verdict", Kind.WORD),
            ("adjusted_verdict", Kind.WORD),
            ("intact", Kind.RATIO),
            ("intact_coverage", Kind.RATIO),
            ("headcount", Kind.RATIO),
            ("online_now", Kind.COUNT),
            ("total_now", Kind.COUNT),
            ("obliged", Kind.DURATION),
            ("online", Kind.DURATION),
            ("degraded", Kind.DURATION),
            ("offline", Kind.DURATION),
            ("unknown", Kind.DURATION),
            ("maintenance", Kind.DURATION),
            ("excluded", Kind.DURATION),
            ("outages", Kind.COUNT),
            ("mtbf", Kind.DURATION),
            ("mttr", Kind.DURATION),
        ),
        tuple(rows),
    )


def _rungs(found: Iterable[Rate], labels: Mapping[str, str], by: Dimension) -> Table:
    """The rate of every rung. Those above the keyframe take a look at the picture: hence a coverage."""
    rows = tuple(
        (
            labels.get(rate.key, rate.key),
            rate.cameras,
            *(rate.reached(rung) for rung in RUNGS),
            rate.judged(Rung.USABLE),
            rate.clock_coverage,
        )
        for rate in found
    )
    columns = (
        ("name", Kind.WORD if by in ("tier", "all") else Kind.TEXT),
        ("cameras", Kind.COUNT),
        *((f"rung_{rung.label}", Kind.RATIO) for rung in RUNGS),
        ("picture_coverage", Kind.RATIO),
        ("clock_coverage", Kind.RATIO),
    )
    return Table("rungs", columns, rows)


def _trend(
    connection: Connection, period: Period, known: Span, department: str | None, zone: tzinfo, now: Ms
) -> Table:
    """Of all cameras, or the department: day by day, or hour by hour of a day, if that is still known."""
    every = Every.DAY
    if period.every is Every.DAY and period.span.start >= rollups.archived_until(connection):
        every = Every.HOUR
    by: Dimension = "all" if department is None else "department"
    keys = None if department is None else (department,)
    rows = tuple(
        (rate.span.start, rate.raw, rate.adjusted, rate.intact, rate.coverage)
        for rate in trend(connection, known, by, every, zone, now, keys=keys)
    )
    columns = (
        ("start", Kind.INSTANT),
        ("raw", Kind.RATIO),
        ("adjusted", Kind.RATIO),
        ("intact", Kind.RATIO),
        ("coverage", Kind.RATIO),
    )
    return Table("trend", columns, rows)


def _worst(
    connection: Connection,
    period: Period,
    within: Mapping[Dimension, str],
    broken: Iterable[Outage],
    known: Span,
    places: Mapping[str, tuple[str, str, str]],
    names: Mapping[str, Mapping[str, str]],
    now: Ms,
) -> Table:
    began = Counter(outage.camera for outage in broken if _began(outage, known))
    rows = []
    for rate in worst_cameras(connection, period.span, now, limit=WORST, within=within).items:
        if not rate.offline_ms:
            break
        name, unit, place = places.get(rate.key, (rate.key, "", ""))
        unit, place = names["department"].get(unit, unit), names["area"].get(place, place)
        rows.append((rate.key, name, unit, place, rate.raw, rate.coverage, rate.offline_ms, began[rate.key]))
    columns = (
        ("key", Kind.TEXT),
        ("name", Kind.TEXT),
        ("department", Kind.TEXT),
        ("area", Kind.TEXT),
        ("raw", Kind.RATIO),
        ("coverage", Kind.RATIO),
        ("offline", Kind.DURATION),
        ("outages", Kind.COUNT),
    )
    return Table("worst", columns, tuple(rows))


def _causes(broken: Iterable[Outage], known: Span) -> Table:
    """Offline time by cause, most first."""
    time: Counter[str] = Counter()
    began: Counter[str] = Counter()
    for outage in broken:
        cause = outage.cause or "unnamed"
        part = Span(outage.start, Ms(max(outage.start, outage.end or known.end))).clip(outage.member)
        time[cause] += part.length_ms if part else 0
        began[cause] += _began(outage, known)
    total = sum(time.values())
    rows = tuple((cause, began[cause], ms, ms / total if total else None) for cause, ms in time.most_common())
    columns = (
        ("cause", Kind.WORD),
        ("outages", Kind.COUNT),
        ("offline", Kind.DURATION),
        ("share", Kind.RATIO),
    )
    return Table("causes", columns, rows)


def _gaps(connection: Connection, period: Period, names: Mapping[str, Mapping[str, str]], now: Ms) -> Table:
    """Areas in which, with all below them, no camera works at the end; and areas that have none."""
    rows: list[tuple[Value, ...]] = []
    seen = set()
    for rate in rates(connection, period.span, "area", now):
        heads = rate.headcount
        if heads.total:
            seen.add(rate.key)
        if heads.total and not heads.online:
            rows.append(
                (rate.key, names["area"].get(rate.key, rate.key), heads.total, heads.offline, heads.unknown)
            )
    rows += [
        (key, names["area"].get(key, key), 0, 0, 0)
        for key in outages.areas_without_cameras(connection)
        if key not in seen
    ]
    columns = (
        ("key", Kind.TEXT),
        ("name", Kind.TEXT),
        ("cameras", Kind.COUNT),
        ("offline_now", Kind.COUNT),
        ("unknown_now", Kind.COUNT),
    )
    return Table("gaps", columns, tuple(rows))


def _dossiers(
    connection: Connection, by: Dimension, labels: Mapping[str, str], department: str | None
) -> list[Table]:
    """How full the dossiers are: of each key, and column by column. Areas are counted by themselves."""
    found = sheets(connection, CameraFilter(department=department))
    total = totals(("all", sheet.completeness) for sheet in found)
    cameras = len(found)
    filled = Counter(
        name for sheet in found for name, value in sheet.values.items() if value not in (None, "")
    )
    tables = []
    if by != "camera":
        groups = totals(
            ("all" if by == "all" else str(getattr(sheet.camera, by)), sheet.completeness) for sheet in found
        )
        rows = tuple(
            (labels.get(key, key), one.cameras, one.whole, one.mandatory, one.filled, one.filed)
            for key, one in (groups if by == "all" or department else groups | total).items()
        )
        columns = (
            ("name", Kind.WORD if by in ("tier", "all") else Kind.TEXT),
            ("cameras", Kind.COUNT),
            ("whole", Kind.COUNT),
            ("mandatory_share", Kind.RATIO),
            ("filled_share", Kind.RATIO),
            ("filed", Kind.COUNT),
        )
        tables.append(Table("dossiers", columns, rows))
    fields = tuple(
        (
            column.field,
            "yes" if column.mandatory else "no",
            filled[column.field],
            cameras,
            filled[column.field] / cameras if cameras else None,
        )
        for column in COLUMNS
    )
    kinds = (
        ("field", Kind.WORD),
        ("mandatory", Kind.WORD),
        ("filled", Kind.COUNT),
        ("cameras", Kind.COUNT),
        ("share", Kind.RATIO),
    )
    return [*tables, Table("dossier", kinds, fields)]


def _exclusions(connection: Connection, known: Span, department: str | None) -> Table:
    """Of a department: those that it asked for."""
    rows = tuple(
        (
            item.id,
            item.stage.value,
            "yes" if item.retroactive else "no",
            item.span.start,
            item.span.end,
            item.scope.value,
            ", ".join(item.subjects[:10]) + (" …" if len(item.subjects) > 10 else ""),
            item.reason,
            item.applicant,
            item.decider,
        )
        for item in exclusions.overlapping(connection, known, department=department, limit=LISTED)
    )
    columns = (
        ("key", Kind.TEXT),
        ("stage", Kind.WORD),
        ("retroactive", Kind.WORD),
        ("start", Kind.INSTANT),
        ("end", Kind.INSTANT),
        ("scope", Kind.WORD),
        ("subjects", Kind.TEXT),
        ("reason", Kind.TEXT),
        ("applicant", Kind.TEXT),
        ("decider", Kind.TEXT),
    )
    return Table("exclusions", columns, rows)


def _contests(connection: Connection, known: Span, department: str | None) -> Table:
    rows = tuple(
        (
            item.interval.camera,
            item.interval.start,
            item.interval.end,
            item.department,
            item.author,
            item.text,
            (item.outcome and item.outcome.value) or ("withdrawn" if item.withdrawn else None),
            item.answer,
            item.answered_by,
        )
        for item in contests.listed(connection, span=known, department=department, limit=LISTED)
    )
    columns = (
        ("camera", Kind.TEXT),
        ("start", Kind.INSTANT),
        ("end", Kind.INSTANT),
        ("department", Kind.TEXT),
        ("author", Kind.TEXT),
        ("text", Kind.TEXT),
        ("outcome", Kind.WORD),
        ("answer", Kind.TEXT),
        ("answered_by", Kind.TEXT),
    )
    return Table("contests", columns, rows)


def _began(outage: Outage, known: Span) -> bool:
    """Within the period, where this membership counts it."""
    return known.start <= outage.start and outage.member.start <= outage.start < outage.member.end


def _failures(
    broken: Iterable[Outage], by: Dimension, known: Span, parents: Mapping[str, str | None]
) -> dict[str, _Failures]:
    found: dict[str, _Failures] = defaultdict(_Failures)
    for outage in broken:
        keys = ["all"] if by == "all" else [getattr(outage, by)]
        ended = outage.end is not None and outage.member.start < outage.end <= outage.member.end
        for key in ancestry(keys[0], parents) if by == "area" else keys:
            found[key].began += _began(outage, known)
            if ended and outage.end is not None:
                found[key].repairs.append(outage.end - outage.start)
    return found
