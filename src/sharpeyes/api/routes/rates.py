"""Online rates: time-weighted over any span, with what they are made of."""

from __future__ import annotations

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field
from sqlalchemy import Connection

from sharpeyes.api.auth import Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.packed import Packed
from sharpeyes.api.schemas import Instant, Ratio, Shape
from sharpeyes.api.spans import span_of
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import Rung
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Span, iso
from sharpeyes.rates.rate import FORMULA, RUNGS, Rate, ratio
from sharpeyes.rates.rates import DECIDED, Page, trend, worst_cameras
from sharpeyes.rates.rates import rates as rates_over
from sharpeyes.rates.timeline import Every
from sharpeyes.store.state_time import Dimension

router = APIRouter(prefix="/api/v1/rates", tags=["rates"])


class HeadcountShape(Shape):
    """Cameras by state at the end of the span."""

    total: int
    online: Annotated[int, Field(description="Degraded ones included.")]
    degraded: int
    offline: int
    unknown: int
    maintenance: int
    rate: Annotated[Ratio | None, Field(description="online / (total - unknown - maintenance)")]


class IntactShape(Shape):
    """The intact rate (完好率): online, no critical fault of the picture, clock within tolerance."""

    rate: Annotated[Ratio | None, Field(description="intact_s / judged_s; null if no picture was judged.")]
    coverage: Annotated[Ratio | None, Field(description="judged_s / obliged_s")]
    verdict: Annotated[str | None, Field(description="'collecting' while less than 95 % was judged.")]
    intact_s: float
    judged_s: Annotated[float, Field(description="Its usability was judged: offline time is part of it.")]
    clock_coverage: Annotated[
        Ratio | None,
        Field(description="Share of the usable time in which the clock was known; else it is not counted."),
    ]

    @classmethod
    def of(cls, rate: Rate) -> Self:
        return cls(
            rate=rate.intact,
            coverage=rate.judged(Rung.USABLE),
            verdict=rate.intact_verdict,
            intact_s=rate.intact_ms / 1000,
            judged_s=rate.climb.judged_ms(Rung.USABLE) / 1000,
            clock_coverage=rate.clock_coverage,
        )


class RungShape(Shape):
    """The rate of one rung of the ladder (docs/states.md)."""

    rung: str
    rate: Annotated[Ratio | None, Field(description="reached_s / judged_s; null if nobody tried it.")]
    coverage: Annotated[Ratio | None, Field(description="judged_s / obliged_s")]
    reached_s: float
    judged_s: float

    @classmethod
    def of(cls, rate: Rate, rung: Rung) -> Self:
        reached, judged = rate.climb.reached_ms(rung), rate.climb.judged_ms(rung)
        return cls(
            rung=rung.label,
            rate=ratio(reached, judged),
            coverage=ratio(judged, rate.obliged_ms),
            reached_s=reached / 1000,
            judged_s=judged / 1000,
        )


class RateShape(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "public_security",
                "from": "2026-10-01T16:00:00.000Z",
                "to": "2026-10-02T16:00:00.000Z",
                "cameras": 1200,
                "online_rate": 0.9731,
                "adjusted_rate": 0.9744,
                "coverage": 0.9994,
                "target": 0.95,
                "verdict": "met",
                "adjusted_verdict": "met",
                "obliged_s": 103680000.0,
                "online_s": 100830528.0,
                "degraded_s": 0.0,
                "offline_s": 2787264.0,
                "unknown_s": 62208.0,
                "maintenance_s": 0.0,
                "excluded_s": 138240.0,
                "headcount": {
                    "total": 1200,
                    "online": 1171,
                    "degraded": 0,
                    "offline": 29,
                    "unknown": 0,
                    "maintenance": 0,
                    "rate": 0.9758,
                },
                "intact": {
                    "rate": 0.9544,
                    "coverage": 0.9971,
                    "verdict": None,
                    "intact_s": 98666496.0,
                    "judged_s": 103379328.0,
                    "clock_coverage": 0.98,
                },
                "rungs": [
                    {
                        "rung": "reachable",
                        "rate": 0.9802,
                        "coverage": 0.9994,
                        "reached_s": 101566080.0,
                        "judged_s": 103617792.0,
                    }
                ],
            }
        }
    )

    key: str
    start: Annotated[Instant, Field(alias="from", serialization_alias="from")]
    end: Annotated[Instant, Field(alias="to", serialization_alias="to")]
    cameras: Annotated[int, Field(description="n: members within the span, each counted once.")]
    online_rate: Annotated[
        Ratio | None, Field(description="online_s / (obliged_s - unknown_s); null if nothing was observed.")
    ]
    adjusted_rate: Annotated[
        Ratio | None,
        Field(description="The same outside approved exclusions; null if nothing was observed there."),
    ]
    coverage: Annotated[Ratio | None, Field(description="Observed share of the obliged time.")]
    target: Annotated[
        Ratio | None,
        Field(description="That was in force at the end of the span: a later one does not judge it."),
    ]
    verdict: Annotated[
        str | None, Field(description="'met', 'missed', or 'collecting' while less than 95 % was observed.")
    ]
    adjusted_verdict: Annotated[str | None, Field(description="The verdict of the adjusted rate.")]
    obliged_s: float
    online_s: Annotated[float, Field(description="Degraded time included.")]
    degraded_s: float
    offline_s: float
    unknown_s: Annotated[float, Field(description="Not observed: neither good nor bad.")]
    maintenance_s: Annotated[float, Field(description="Declared out of service: outside obliged_s.")]
    excluded_s: Annotated[
        float, Field(description="Obliged time within approved exclusions, seen or not: only for adjusted.")
    ]
    headcount: HeadcountShape
    intact: IntactShape
    rungs: Annotated[tuple[RungShape, ...], Field(description="From reachable to usable.")]

    @classmethod
    def of(cls, rate: Rate) -> Self:
        heads = rate.headcount
        return cls.model_construct(
            key=rate.key,
            start=iso(rate.span.start),
            end=iso(rate.span.end),
            cameras=rate.cameras,
            online_rate=rate.raw,
            adjusted_rate=rate.adjusted,
            coverage=rate.coverage,
            target=rate.target,
            verdict=rate.verdict,
            adjusted_verdict=rate.adjusted_verdict,
            obliged_s=rate.obliged_ms / 1000,
            online_s=rate.online_ms / 1000,
            degraded_s=rate.degraded_ms / 1000,
            offline_s=rate.offline_ms / 1000,
            unknown_s=rate.unknown_ms / 1000,
            maintenance_s=rate.maintenance_ms / 1000,
            excluded_s=rate.excluded.obliged_ms / 1000,
            headcount=HeadcountShape(
                total=heads.total,
                online=heads.online,
                degraded=heads.degraded,
                offline=heads.offline,
                unknown=heads.unknown,
                maintenance=heads.maintenance,
                rate=heads.rate,
            ),
            intact=IntactShape.of(rate),
            rungs=tuple(RungShape.of(rate, rung) for rung in RUNGS),
        )


CRITERIA = ("online", "picture")
"""Of the intact rate: the clock is added where any is known."""


class Rates(Shape):
    """Rates of every key of one dimension over one span, or over each step of it."""

    by: str
    step: str | None
    start: Annotated[Instant, Field(alias="from", serialization_alias="from")]
    end: Annotated[Instant, Field(alias="to", serialization_alias="to")]
    timezone: Annotated[str, Field(description="The site's: hours, days, weeks and months are its own.")]
    formula: Annotated[str, Field(description="Version of the formulas.")]
    criteria: Annotated[
        tuple[str, ...],
        Field(description="What the intact rate looks at; 'clock' only where some clock was known."),
    ]
    items: Annotated[
        tuple[RateShape, ...], Field(description="By key; with a step, oldest first, each step by key.")
    ]
    next: Annotated[int | None, Field(description="The offset of the next page of cameras, if there is one.")]
    total: Annotated[int | None, Field(description="Cameras on all pages; null for what has no pages.")]


@router.get("", dependencies=[Reader], response_model=Rates)
async def rates(
    request: Request,
    rooms: Rooms,
    by: Annotated[
        Dimension, Query(description="An area counts with all below it; 'camera' is one rate a camera.")
    ] = "tier",
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Default: 24 hours ago.")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
    step: Annotated[
        Every | None, Query(description="A whole course in one answer: a rate for each step and key.")
    ] = None,
    key: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Query(max_length=200, description="Only these; of cameras, those that a course is of."),
    ] = None,
    tier: Annotated[Tier | None, Query(description="Cameras of this tier only.")] = None,
    department: Annotated[str | None, Query(max_length=64, description="Cameras of it only.")] = None,
    area: Annotated[
        str | None, Query(max_length=64, description="Cameras in it, or in one below it, only.")
    ] = None,
    zone: Annotated[
        str | None, Query(max_length=64, description="Cameras of this network zone only.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Cameras of a page: so many of the worst.")] = 200,
    offset: Annotated[
        int, Query(ge=0, le=10_000_000, description="Cameras before this page: 'next' of the one before.")
    ] = 0,
) -> Response:
    """The online rate of each tier, department, area, zone or camera over a span of up to 400 days.

    Cameras come worst first, a page at a time, unless some are asked for by key: `by=camera&limit=20` are the
    20 worst, and `offset=20` goes on where these end; `next` is null on the last page. With a tier,
    department, area or zone only those come that were there, at some time of the span; each with its rate
    over the whole span.

    What goes up to now may be some seconds old, 20 at most: `to` says up to when. A change of the registry,
    of a target or of an exclusion counts at once.
    """
    now = rooms.clock()
    span, timezone = span_of(start, end, now=now), ZoneInfo(rooms.timezone)
    paged = by == "camera" and step is None and key is None
    asked: dict[Dimension, str | None] = {"tier": tier, "department": department, "area": area, "zone": zone}
    within = {one: value for one, value in asked.items() if value is not None}
    if within and not paged:
        raise InvalidInputError(
            f"{next(iter(within))}: narrows the list of cameras", mend="Use by=camera, without step and key"
        )

    def ask(connection: Connection) -> Page | list[Rate]:
        if step is not None:
            return trend(connection, span, by, step, timezone, now, keys=key)
        if paged:
            return worst_cameras(connection, span, now, limit=limit, offset=offset, within=within)
        return rates_over(connection, span, by, now, keys=key)

    def answer(connection: Connection) -> Packed:
        """In the reader's thread to the last byte: a course has hundreds of shapes."""
        found = ask(connection)
        items, total = (found.items, found.total) if isinstance(found, Page) else (found, None)
        known = Span(items[0].span.start, items[-1].span.end) if items else span
        clocked = any(rate.climb.clock_known_ms for rate in items)
        shape = Rates.model_construct(
            by=by,
            step=step,
            start=iso(known.start),
            end=iso(known.end),
            timezone=rooms.timezone,
            formula=FORMULA,
            criteria=(*CRITERIA, "clock") if clocked else CRITERIA,
            items=tuple(RateShape.of(rate) for rate in items),
            next=offset + limit if total is not None and offset + len(items) < total else None,
            total=total,
        )
        return Packed.of(shape.model_dump_json(by_alias=True).encode())

    # Rates are the same for whoever may read them.
    question = (by, start, end, step, None if key is None else tuple(key), *asked.values(), limit, offset)
    stamp = rooms.database.stamp(*DECIDED)
    found = await rooms.answers.get(question, stamp, lambda: rooms.database.aread(answer))
    return found.response(request)
