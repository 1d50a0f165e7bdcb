"""Online rates: time-weighted over any span, with what they are made of."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, ConfigDict, Field

from sharpeyes.api.auth import Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Instant, Ratio, Shape
from sharpeyes.api.spans import span_of
from sharpeyes.domain.time import iso
from sharpeyes.rates.rate import FORMULA, Rate
from sharpeyes.rates.rates import rates as rates_over
from sharpeyes.store.telemetry import Dimension

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


class RateShape(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "public_security",
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
            }
        }
    )

    key: str
    cameras: Annotated[int, Field(description="Members within the span, each counted once.")]
    online_rate: Annotated[
        Ratio | None, Field(description="online_s / (obliged_s - unknown_s); null if nothing was observed.")
    ]
    adjusted_rate: Annotated[
        Ratio | None,
        Field(description="The same outside approved exclusions; null if nothing was observed there."),
    ]
    coverage: Annotated[Ratio | None, Field(description="Observed share of the obliged time.")]
    target: Ratio | None
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

    @classmethod
    def of(cls, rate: Rate) -> Self:
        heads = rate.headcount
        return cls(
            key=rate.key,
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
        )


class Rates(Shape):
    """Rates of every key of one dimension over one span."""

    by: str
    start: Annotated[Instant, Field(alias="from", serialization_alias="from")]
    end: Annotated[Instant, Field(alias="to", serialization_alias="to")]
    formula: Annotated[str, Field(description="Version of the formulas.")]
    items: tuple[RateShape, ...]


@router.get("", dependencies=[Reader])
async def rates(
    rooms: Rooms,
    by: Annotated[
        Dimension, Query(description="An area counts with all below it; 'camera' is one rate a camera.")
    ] = "tier",
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Default: 24 hours ago.")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
) -> Rates:
    """The online rate of each tier, department, area, zone or camera over a span of up to 400 days."""
    now = rooms.clock()
    span = span_of(start, end, now=now)
    found = await rooms.database.aread(lambda connection: rates_over(connection, span, by, now))
    known = found[0].span if found else span
    return Rates.model_validate(
        {
            "by": by,
            "from": iso(known.start),
            "to": iso(known.end),
            "formula": FORMULA,
            "items": tuple(RateShape.of(rate) for rate in found),
        }
    )
