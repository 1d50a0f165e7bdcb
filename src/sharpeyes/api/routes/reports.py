"""Reports to download, each with a signed manifest by which a copy can be checked."""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Response

from sharpeyes.api.auth import Reader
from sharpeyes.api.context import Rooms
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.rates.report.manifest import Signer
from sharpeyes.rates.report.period import Period
from sharpeyes.rates.report.render import MEDIA_TYPES, Format, render
from sharpeyes.rates.report.report import gather
from sharpeyes.rates.report.words import Lang
from sharpeyes.store.reports import get_manifest, put_manifest
from sharpeyes.store.telemetry import Dimension

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])

_one_at_a_time = asyncio.Semaphore(1)
"""A report over a city takes seconds of a core: they queue."""


@router.get(
    "",
    dependencies=[Reader],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}},
)
async def report(
    rooms: Rooms,
    period: Annotated[str, Query(max_length=10, description="2026-10-05, 2026-W41 or 2026-10.")],
    by: Dimension = "tier",
    form: Annotated[Format, Query(alias="format")] = Format.JSON,
    lang: Lang = Lang.ZH,
) -> Response:
    """The report on a day, week or month of the site's time zone, as far as it is over.

    The header Repr-Digest (RFC 9530) has its SHA-256; /reports/manifests/{sha256} gives its manifest.
    """
    zone, now = ZoneInfo(rooms.timezone), rooms.clock()
    asked = Period.parse(period, zone)
    if asked.span.start >= now:
        raise InvalidInputError(f"period: {period} has not begun yet")
    async with _one_at_a_time:
        found = await rooms.database.aread(
            partial(gather, period=asked, by=by, site=rooms.site, timezone=rooms.timezone, zone=zone, now=now)
        )
        data = await asyncio.to_thread(render, found, form, lang)
    signer = await asyncio.to_thread(Signer, rooms.reports_key)
    told = signer.manifest(found, form, lang, data)
    await rooms.database.awrite(partial(put_manifest, manifest=told, now=now))
    digest = base64.b64encode(bytes.fromhex(told["sha256"])).decode()
    headers = {
        "Content-Disposition": f'attachment; filename="sharpeyes-{asked.label}-{by}.{form}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=MEDIA_TYPES[form], headers=headers)


@router.get("/manifests/{sha256}", dependencies=[Reader])
async def manifest(rooms: Rooms, sha256: Annotated[str, Path(pattern="^[0-9a-fA-F]{64}$")]) -> dict[str, Any]:
    """The manifest of a report that was given out, by the SHA-256 of its bytes."""
    return await rooms.database.aread(partial(get_manifest, sha256=sha256))
