"""Reports as files, each with its manifest beside it; and those that are written by themselves.

When a day, a week or a month of the site's time zone is over and its days are added up, its report is written
once, in each format: the file that is there is the sign that it was. A file is whole or not there, and its
manifest is there first: whenever the process dies, the next turn writes what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sharpeyes.domain.errors import SharpEyesError, UnavailableError
from sharpeyes.domain.time import Ms
from sharpeyes.rates.report.manifest import SUFFIX, Signer
from sharpeyes.rates.report.period import Period
from sharpeyes.rates.report.render import Format, render
from sharpeyes.rates.report.report import gather
from sharpeyes.rates.report.words import Lang
from sharpeyes.rates.timeline import Every
from sharpeyes.store import rollups
from sharpeyes.store.database import Database
from sharpeyes.store.reports import put_manifest
from sharpeyes.store.telemetry import Dimension

log = logging.getLogger(__name__)

FOLDER = "reports"
FORMS = (Format.XLSX, Format.PDF)
BY: Dimension = "tier"
EVERY_S = 300.0


def write_report(file: Path, data: bytes, manifest: Mapping[str, Any]) -> None:
    """The manifest, then the report: each whole, or as it was before. UnavailableError if that fails."""
    _replace(file.with_name(file.name + SUFFIX), json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    _replace(file, data)


def _replace(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UnavailableError(f"{file} cannot be written: {error.strerror}") from None


def last_over(every: Every, zone: ZoneInfo, now: Ms) -> Period:
    """The last day, week or month that is over."""
    today = datetime.fromtimestamp(now / 1000, zone).date()
    match every:
        case Every.MONTH:
            label = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
        case Every.WEEK:
            year, week, _ = (today - timedelta(days=7)).isocalendar()
            label = f"{year}-W{week:02}"
        case _:
            label = f"{today - timedelta(days=1):%Y-%m-%d}"
    return Period.parse(label, zone)


class Reporter:
    """Writes the reports of ``every`` into a folder, for as long as :meth:`running` lasts."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        key: Path,
        every: Collection[Every],
        site: str,
        zone: ZoneInfo,
        clock: Callable[[], Ms],
    ) -> None:
        self._database = database
        self._folder = folder
        self._key = key
        self._every = every
        self._site = site
        self._zone = zone
        self._clock = clock

    def turn(self) -> list[Path]:
        """Write what is due; returns the files."""
        now, written = self._clock(), []
        for every in self._every:
            period = last_over(every, self._zone, now)
            missing = [form for form in FORMS if not self._file(period, form).exists()]
            if not missing or not self._database.read(partial(_added_up, period=period)):
                continue
            report = self._database.read(
                partial(
                    gather,
                    period=period,
                    by=BY,
                    site=self._site,
                    timezone=self._zone.key,
                    zone=self._zone,
                    now=now,
                )
            )
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            signer = Signer(self._key)
            for form in missing:
                data = render(report, form, Lang.ZH)
                told = signer.manifest(report, form, Lang.ZH, data)
                self._database.write(partial(put_manifest, manifest=told, now=now))
                write_report(self._file(period, form), data, told)
                written.append(self._file(period, form))
        return written

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="rates-reports")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                for file in await asyncio.to_thread(self.turn):
                    log.info("report written: %s", file)
            except SharpEyesError as error:
                if str(error) != said:
                    log.warning("reports cannot be written: %s", error)
                said = str(error)
            except Exception:  # whatever it is, the next turn tries again
                if said != "unexpected":
                    log.exception("reports cannot be written")
                said = "unexpected"
            else:
                said = ""

    def _file(self, period: Period, form: Format) -> Path:
        return self._folder / f"sharpeyes-{period.label}-{BY}.{form}"


def _added_up(connection: Any, period: Period) -> bool:
    """Whether all that there is of the period is in whole days that are kept."""
    first = rollups.first_member(connection)
    if first is None or first >= period.span.end:
        return False
    fresh = rollups.fresh_spans(connection, period.span)
    return (
        len(fresh) == 1
        and fresh[0].end == period.span.end
        and fresh[0].start <= max(first, period.span.start)
    )
