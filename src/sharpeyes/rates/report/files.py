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
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
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
from sharpeyes.rates.report.words import Lang, say
from sharpeyes.rates.timeline import Every
from sharpeyes.store import rollups
from sharpeyes.store.database import Database
from sharpeyes.store.reports import put_manifest
from sharpeyes.store.telemetry import Dimension

log = logging.getLogger(__name__)

FOLDER = "reports"
FORMS = (Format.XLSX, Format.PDF)
BY: tuple[Dimension, ...] = ("tier",)
EVERY_S = 300.0
MAILED = ".mailed"
"""Behind the name of a report's first file: who got it by e-mail, an id a line."""
MOST_MAILED = 20 * 1024 * 1024
"""Bytes of all files of one e-mail; mail servers refuse more."""

Post = Callable[[str, str, Sequence[Path]], Awaitable[None]]
"""Sends files to a recipient under a subject; SharpEyesError if it could not be handed over."""


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
        *,
        by: Collection[Dimension] = BY,
        languages: Collection[Lang] = (Lang.ZH,),
        post: Post | None = None,
        mailed: Collection[str] = (),
    ) -> None:
        """``mailed``: recipients of each report, by ``post``."""
        self._by = by
        self._languages = languages
        self._post = post
        self._mailed = mailed
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
        for period, by in self._due(now):
            missing = [
                (language, form)
                for language in self._languages
                for form in FORMS
                if not self._file(period, by, language, form).exists()
            ]
            if not missing or not self._database.read(partial(_added_up, period=period)):
                continue
            report = self._database.read(
                partial(
                    gather,
                    period=period,
                    by=by,
                    site=self._site,
                    timezone=self._zone.key,
                    zone=self._zone,
                    now=now,
                )
            )
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            signer = Signer(self._key)
            for language, form in missing:
                data = render(report, form, language)
                told = signer.manifest(report, form, language, data)
                self._database.write(partial(put_manifest, manifest=told, now=now))
                file = self._file(period, by, language, form)
                write_report(file, data, told)
                written.append(file)
        return written

    async def send(self) -> list[str]:
        """E-mail the last reports to whoever has not got them; returns what was sent to whom, in words. What
        fails is tried again at the next turn: a mail may come twice, and never not at all."""
        sent: list[str] = []
        failed: list[SharpEyesError] = []
        for period, by in self._due(self._clock()) if self._post is not None else ():
            for language in self._languages:
                files = [self._file(period, by, language, form) for form in FORMS]
                if not all(file.exists() for file in files):
                    continue
                note = files[0].with_name(files[0].name + MAILED)
                got = await asyncio.to_thread(_lines, note)
                if len(got) < len(set(self._mailed)) and sum(f.stat().st_size for f in files) > MOST_MAILED:
                    raise UnavailableError(f"{files[0].stem} is too large for an e-mail", mend="Fetch it")
                for recipient in self._mailed:
                    if recipient in got or self._post is None:
                        continue
                    subject = f"{self._site}: {say('title', language)} {period.label}"
                    try:
                        await self._post(recipient, subject, files)
                    except SharpEyesError as error:  # another may be reached
                        failed.append(error)
                        continue
                    got.append(recipient)
                    await asyncio.to_thread(_replace, note, "".join(f"{one}\n" for one in got).encode())
                    sent.append(f"{files[0].stem} to {recipient}")
        for told in sent:
            log.info("report mailed: %s", told)
        if failed:
            raise failed[0]
        return sent

    def _due(self, now: Ms) -> list[tuple[Period, Dimension]]:
        return [(last_over(every, self._zone, now), by) for every in self._every for by in self._by]

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
                await self.send()
            except SharpEyesError as error:
                if str(error) != said:
                    log.warning("reports cannot be written or sent: %s", error)
                said = str(error)
            except Exception:  # whatever it is, the next turn tries again
                if said != "unexpected":
                    log.exception("reports cannot be written")
                said = "unexpected"
            else:
                said = ""

    def _file(self, period: Period, by: Dimension, language: Lang, form: Format) -> Path:
        of = "" if language is Lang.ZH else f"-{language}"
        return self._folder / f"sharpeyes-{period.label}-{by}{of}.{form}"


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").split() if file.exists() else []


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
