"""Who makes reports: those that somebody asked for, one after another, and those of the schedules.

When a day, a week or a month of the site's time zone is over and its days are added up, the reports that are
scheduled on it are made, once; then they are mailed to whoever shall have them. The list of the store says
what was made: whenever the process dies, the next turn does what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from sharpeyes.domain.errors import NotFoundError, SharpEyesError, UnavailableError
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.rates.background import in_background
from sharpeyes.rates.report import render
from sharpeyes.rates.report.files import (
    Room,
    file_name,
    files_left,
    read_report,
    remove_report,
    surplus,
    write_report,
)
from sharpeyes.rates.report.manifest import Signer
from sharpeyes.rates.report.period import Period
from sharpeyes.rates.report.render import Format
from sharpeyes.rates.report.report import check_scope, gather
from sharpeyes.rates.report.words import Lang, say
from sharpeyes.rates.timeline import Every
from sharpeyes.store import reports, rollups
from sharpeyes.store.database import Database
from sharpeyes.store.reports import File, Made, ReportStage, Schedule
from sharpeyes.store.state_time import Dimension

log = logging.getLogger(__name__)

FORMS = (Format.XLSX, Format.PDF)
"""Of the schedules that the settings name."""
EVERY_S = 300.0
MOST_MAILED = 20 * 1024 * 1024
"""Bytes of all files of one e-mail; mail servers refuse more."""
KEEP_DAYS = 1096
"""Manifests of reports that are not on the list any more: what is proven by them is that we gave them out."""
UNEXPECTED = "An unexpected error; the service's log has the details"

Post = Callable[[str, str, Sequence[Path]], Awaitable[None]]
"""Sends files to a recipient under a subject; SharpEyesError if it could not be handed over."""


def period_at(every: Every, zone: ZoneInfo, at: Ms) -> Period:
    """The day, week or month that an instant is in."""
    on = datetime.fromtimestamp(at / 1000, zone).date()
    match every:
        case Every.MONTH:
            label = f"{on:%Y-%m}"
        case Every.WEEK:
            year, week, _ = on.isocalendar()
            label = f"{year}-W{week:02}"
        case _:
            label = f"{on:%Y-%m-%d}"
    return Period.parse(label, zone)


def last_over(every: Every, zone: ZoneInfo, now: Ms) -> Period:
    """The last day, week or month that is over."""
    return period_at(every, zone, Ms(period_at(every, zone, now).span.start - 1))


def of_settings(
    every: Collection[str], by: Collection[str], languages: Collection[str], mailed: Collection[str]
) -> list[Schedule]:
    """The schedules that the settings name; they have no id and no author."""
    return [
        Schedule("", one, dimension, lang, [form.value for form in FORMS], list(mailed), "", Ms(0))
        for one in every
        for dimension in by
        for lang in languages
    ]


@dataclass(slots=True)
class _Plan:
    """What all schedules of one period, dimension and language come to."""

    every: Every
    by: Dimension
    lang: Lang
    department: str | None
    formats: list[Format] = field(default_factory=list)
    recipients: dict[str, set[Format]] = field(default_factory=dict)
    """Who gets what."""


def _plans(schedules: Iterable[Schedule]) -> list[_Plan]:
    found: dict[tuple[str, str, str, str | None], _Plan] = {}
    for one in schedules:
        plan = _Plan(Every(one.every), cast(Dimension, one.by), Lang(one.lang), one.department)
        plan = found.setdefault((one.every, one.by, one.lang, one.department), plan)
        formats = [Format(form) for form in one.formats]
        plan.formats += [form for form in formats if form not in plan.formats]
        for recipient in one.recipients:
            plan.recipients.setdefault(recipient, set()).update(formats)
    return list(found.values())


class Reporter:
    """Makes reports into ``folder``, for as long as :meth:`running` lasts."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        key: Path,
        schedules: Sequence[Schedule],
        site: str,
        zone: ZoneInfo,
        clock: Callable[[], Ms],
        *,
        post: Post | None = None,
        room: Room | None = None,
        keep_days: int = KEEP_DAYS,
    ) -> None:
        """``schedules``: of the settings; those of the store come besides. ``key``: what is signed with.
        ``keep_days``: of manifests."""
        self.schedules = schedules
        self.room = room or Room()
        self._database = database
        self._folder = folder
        self._key = key
        self._site = site
        self._zone = zone
        self._clock = clock
        self._post = post
        self._keep_ms = keep_days * DAY_MS
        self._woken = asyncio.Event()

    # --- asked by the API -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Something is to be done now."""
        self._woken.set()

    async def ask(
        self,
        label: str,
        by: Dimension,
        lang: Lang,
        formats: Sequence[Format],
        author: str,
        department: str | None = None,
    ) -> Made:
        """Have a report made soon. InvalidInputError if its period has not begun, or of no such scope."""
        now = self._clock()
        period = Period.begun(label, self._zone, now)

        def put(connection: Connection) -> Made:
            check_scope(connection, by, department)
            return reports.ask_for(
                connection,
                label=label,
                every=period.every.value,
                by=by,
                lang=lang.value,
                formats=[form.value for form in dict.fromkeys(formats)],
                author=author,
                now=now,
                department=department,
            )

        made = await self._database.awrite(put)
        self.wake()
        return made

    def read(self, file: File) -> bytes:
        """A file of a report, if it is as it was written; NotFoundError or NotGenuineError if not."""
        return read_report(self._folder, file)

    def remove_files(self, made: Made) -> None:
        """With their manifests, of which the store keeps its own; UnavailableError if that fails."""
        for file in made.files:
            remove_report(self._folder, file)

    def last_over(self, every: str) -> tuple[Period, Ms]:
        """What a schedule made, or makes, and when the next period is over."""
        now = self._clock()
        current = period_at(Every(every), self._zone, now)
        return last_over(Every(every), self._zone, now), current.span.end

    # --- what is done ---------------------------------------------------------------------------------

    def take_up(self) -> None:
        """At a start: what was cut short, and files of which the list knows nothing yet."""
        self._database.write(reports.end_cut_short)
        known = {file["name"] for made in self._database.read(reports.list_made) for file in made.files}

        def adopt(connection: Connection) -> None:
            for made in files_left(self._folder, known):
                there = reports.scheduled(connection, made.label, made.by, made.lang, made.department)
                if there is None:
                    reports.put_made(connection, made)

        self._database.write(adopt)

    def make_next(self) -> Made | None:
        """Make the report that somebody has waited for longest; gives it, made or failed."""
        asked = self._database.read(reports.next_waiting)
        if asked is None:
            return None
        try:
            self._make(asked, [Format(form) for form in asked.formats])
        except SharpEyesError as error:
            self._fail(asked, str(error))
        except Exception:  # whatever it is, the others get theirs
            log.exception("report %s on %s cannot be made", asked.id, asked.label)
            self._fail(asked, UNEXPECTED)
        return self._database.read(partial(reports.get_made, key=asked.id))

    def turn(self) -> list[Path]:
        """Make what the schedules want; returns the files."""
        written: list[Path] = []
        failed: list[Exception] = []
        for plan, period in self._due():
            made = self._listed(plan, period)
            if made is not None and made.stage is ReportStage.REMOVED:
                continue
            there = (
                {file["form"] for file in made.files if (self._folder / file["name"]).exists()}
                if made
                else set()
            )
            missing = [form for form in plan.formats if form not in there]
            if made is not None and not missing:
                if made.stage is not ReportStage.MADE:  # something came between the last file and that word
                    self._tell(made, ReportStage.MADE, self._clock())
                continue
            if not self._database.read(partial(_added_up, period=period)):
                continue
            if made is None:
                made = self._database.write(
                    partial(
                        reports.ask_for,
                        label=period.label,
                        every=period.every.value,
                        by=plan.by,
                        lang=plan.lang.value,
                        formats=[form.value for form in plan.formats],
                        author=None,
                        now=self._clock(),
                        department=plan.department,
                    )
                )
            try:
                written += self._make(made, missing)
            except Exception as error:  # noqa: BLE001 (whatever it is, the others are made)
                self._fail(made, _told(error))
                failed.append(error)
        _raise_one(failed)
        return written

    async def forget(self) -> None:
        """Manifests of what was given out long ago."""
        before = Ms(self._clock() - self._keep_ms)
        if count := await self._database.awrite(partial(reports.forget_manifests, before=before)):
            log.info("%d manifests of old reports are forgotten", count)

    async def send(self) -> list[str]:
        """E-mail the last reports to whoever has not got them; returns what was sent to whom, in words. What
        fails is tried again at the next turn: a mail may come twice, and never not at all."""
        sent: list[str] = []
        failed: list[Exception] = []
        for plan, period in await asyncio.to_thread(self._due) if self._post is not None else ():
            made = await asyncio.to_thread(self._listed, plan, period)
            if made is None or made.stage is not ReportStage.MADE or not plan.recipients:
                continue
            got, problems = list(made.mailed), []
            for recipient, formats in plan.recipients.items():
                if recipient in got:
                    continue
                try:
                    await self._mail(made, recipient, formats)
                except Exception as error:  # noqa: BLE001 (whatever it is, another may be reached)
                    problems.append(f"{recipient}: {_told(error)}")
                    failed.append(error)
                    continue
                got.append(recipient)
                await self._database.awrite(partial(reports.tell_mailed, key=made.id, recipients=list(got)))
                sent.append(f"{period.label} by {plan.by} to {recipient}")
            told = "; ".join(problems)[:500] or None
            if told != made.problem:
                await self._database.awrite(partial(reports.tell_problem, key=made.id, problem=told))
        for one in sent:
            log.info("report mailed: %s", one)
        _raise_one(failed)
        return sent

    async def _mail(self, made: Made, recipient: str, formats: Collection[Format]) -> None:
        assert self._post is not None
        files = [file for file in made.files if file["form"] in formats]
        if sum(file["bytes"] for file in files) > MOST_MAILED:
            raise UnavailableError(f"the report on {made.label} is too large for an e-mail", mend="Fetch it")
        subject = f"{self._site}: {say('title', Lang(made.lang))} {made.label}"
        await self._post(recipient, subject, [self._folder / file["name"] for file in files])

    def _due(self) -> list[tuple[_Plan, Period]]:
        now = self._clock()
        stored = self._database.read(reports.list_schedules)
        return [(plan, last_over(plan.every, self._zone, now)) for plan in _plans([*self.schedules, *stored])]

    def _listed(self, plan: _Plan, period: Period) -> Made | None:
        return self._database.read(
            partial(
                reports.scheduled,
                label=period.label,
                by=plan.by,
                lang=plan.lang.value,
                department=plan.department,
            )
        )

    def _make(self, made: Made, formats: Sequence[Format]) -> list[Path]:
        """Gather, write, sign; each step is told on the list."""
        now, lang, written = self._clock(), Lang(made.lang), []
        self._tell(made, ReportStage.GATHERING)
        report = self._database.read(
            partial(
                gather,
                period=Period.parse(made.label, self._zone),
                by=cast(Dimension, made.by),
                department=made.department,
                site=self._site,
                timezone=self._zone.key,
                zone=self._zone,
                now=now,
            )
        )
        self._tell(made, ReportStage.WRITING)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = Signer(self._key)
        for form in formats:
            data = render.render(report, form, lang)
            told = signer.manifest(report, form, lang, data)
            whose = None if made.author is None else made.id
            file = self._folder / file_name(made.label, made.by, lang, form, made.department, whose)
            write_report(file, data, told)
            row: File = {"form": form.value, "name": file.name, "bytes": len(data), "sha256": told["sha256"]}

            def keep(connection: Connection, told: Any = told, row: File = row) -> None:
                reports.put_manifest(connection, told, now=now)
                reports.add_file(connection, made.id, row)

            self._database.write(keep)
            written.append(file)
        self._tell(made, ReportStage.MADE, now)
        self._make_room(made.id)
        return written

    def _make_room(self, latest: str) -> None:
        listed = [one for one in self._database.read(reports.list_made) if one.stage not in reports.UNDER_WAY]
        listed.sort(key=lambda one: one.id != latest)  # of several of one moment it is the last to go
        gone = surplus([one for one in listed if one.stage is not ReportStage.REMOVED], self.room)
        for one in gone:
            with contextlib.suppress(NotFoundError):  # somebody removed it at this moment
                self._database.write(partial(reports.remove_made, key=one.id))
            try:
                self.remove_files(one)
            except UnavailableError as error:  # that of the new one is made all the same
                log.warning("%s", error)
        if old := [one.id for one in listed[self.room.rows :] if one.stage is ReportStage.REMOVED]:
            self._database.write(partial(reports.forget_made, keys=old[:500]))

    def _tell(self, made: Made, stage: ReportStage, at: Ms | None = None) -> None:
        self._database.write(partial(reports.tell_stage, key=made.id, stage=stage, made=at))

    def _fail(self, made: Made, problem: str) -> None:
        self._database.write(
            partial(reports.tell_stage, key=made.id, stage=ReportStage.FAILED, problem=problem[:500])
        )

    # --- for as long as the service runs --------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self.take_up)
        async with in_background(self._run(), "rates-reports"):
            yield

    async def _run(self) -> None:
        said: dict[str, str] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._woken.wait()
            self._woken.clear()
            for step in (self._asked, self._scheduled, self.send, self.forget):
                name = step.__name__
                try:
                    await step()
                except SharpEyesError as error:
                    if str(error) != said.get(name):
                        log.warning("reports cannot be written or sent: %s", error)
                    said[name] = str(error)
                except Exception:  # whatever it is, the next turn tries again
                    if said.get(name) != UNEXPECTED:
                        log.exception("reports cannot be written or sent")
                    said[name] = UNEXPECTED
                else:
                    said.pop(name, None)

    async def _asked(self) -> None:
        while made := await asyncio.to_thread(self.make_next):
            log.info("report on %s by %s: %s", made.label, made.by, made.stage)

    async def _scheduled(self) -> None:
        for file in await asyncio.to_thread(self.turn):
            log.info("report written: %s", file)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, SharpEyesError) else UNEXPECTED


def _raise_one(failed: Sequence[Exception]) -> None:
    """One that the log tells all of, if there is any."""
    if failed:
        raise min(failed, key=lambda error: isinstance(error, SharpEyesError))


def _added_up(connection: Connection, period: Period) -> bool:
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
