"""Reports that are written by themselves: once each, when their days are added up, and never by halves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from scenario.virtual_city import enter
from scenario.virtual_city import roll_up as keep_day
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.rates import rollup, timeline
from sharpeyes.rates.report.files import Room, surplus
from sharpeyes.rates.report.manifest import check
from sharpeyes.rates.report.render import Format
from sharpeyes.rates.report.reporter import Reporter, last_over, of_settings
from sharpeyes.rates.report.words import Lang
from sharpeyes.rates.timeline import Every
from sharpeyes.store import reports, set_back, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.rates_schema import report_issued
from sharpeyes.store.reports import File, Made, ReportStage, Schedule
from unit.rates.test_rates_rollup import standing

ZONE = ZoneInfo("Asia/Shanghai")
FIRST = timeline.day(date(2026, 9, 20), ZONE).start
NOW = Ms(timeline.day(date(2026, 10, 1), ZONE).start + 1_000_000)
DAY_MS = 24 * 3_600_000


@pytest.mark.parametrize(
    ("every", "on", "label"),
    [
        (Every.DAY, date(2026, 1, 1), "2025-12-31"),
        (Every.WEEK, date(2026, 1, 1), "2025-W52"),
        (Every.WEEK, date(2027, 1, 4), "2026-W53"),
        (Every.MONTH, date(2026, 1, 31), "2025-12"),
    ],
)
def test_what_is_over(every: Every, on: date, label: str) -> None:
    assert last_over(every, ZONE, Ms(timeline.day(on, ZONE).end - 1)).label == label


def watch(database: Database) -> None:
    """One camera, online since the twentieth."""
    camera = Camera(
        id="c0",
        name="Gate",
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(Stream(role=StreamRole.SUB, url="rtsp://10.0.0.1/s"),),
    )
    online = Interval(camera="c0", state=State.ONLINE, start=FIRST, end=None)
    database.write(lambda c: enter(c, [camera], FIRST))
    database.write(lambda c: telemetry.write_batch(c, standings=[standing(online)], beat=NOW))


def roll_up(database: Database, now: Ms = NOW) -> None:
    database.write(lambda c: telemetry.set_heartbeat(c, now))
    for day in database.read(lambda c: rollup.due(c, ZONE, now)):
        database.write(lambda c, day=day: keep_day(c, day, now))


def add_up(database: Database) -> None:
    watch(database)
    roll_up(database)


def test_each_report_is_written_once_its_days_are_added_up(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        watch(database)
        folder = tmp_path / "reports"
        schedules = of_settings(list(Every)[1:], ["tier"], ["zh"], [])
        reporter = Reporter(database, folder, tmp_path / "k", schedules, "Town", ZONE, lambda: NOW)
        assert reporter.turn() == []  # no day is added up yet
        roll_up(database)
        names = [
            f"sharpeyes-{label}-tier.{form}"
            for label in ("2026-09-30", "2026-W39", "2026-09")
            for form in ("xlsx", "pdf")
        ]
        assert [file.name for file in reporter.turn()] == names
        for name in names:
            told = json.loads((folder / f"{name}.manifest.json").read_text("utf-8"))
            check((folder / name).read_bytes(), told, key=None)
        assert reporter.turn() == []
        (folder / names[-1]).unlink()  # as if it had died before this one
        assert [file.name for file in reporter.turn()] == names[-1:]
        assert sorted(file.name for file in folder.iterdir()) == sorted(
            [*names, *(f"{name}.manifest.json" for name in names)]
        )
        # a day that is not added up any more holds back what it is part of
        database.write(lambda c: telemetry.mark_stale(c, Ms(NOW - 3_600_000), NOW))
        (folder / names[0]).unlink()
        assert reporter.turn() == []


@pytest.mark.parametrize("error", [UnavailableError("the mailbox is full"), KeyError("full")])
async def test_reports_in_several_languages_and_scopes_are_mailed_once_each(
    tmp_path: Path, error: Exception
) -> None:
    posted: list[tuple[str, str, list[str]]] = []
    shut = {"sun"}

    async def post(recipient: str, subject: str, files: Sequence[Path]) -> None:
        if recipient in shut:
            raise error
        posted.append((recipient, subject, [file.name for file in files]))

    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        reporter = Reporter(
            database,
            tmp_path / "reports",
            tmp_path / "k",
            of_settings([Every.DAY], ["department", "all"], ["zh", "en"], ["li", "sun"]),
            "Town",
            ZONE,
            lambda: NOW,
            post=post,
        )
        assert await reporter.send() == []  # nothing is written yet
        stems = [f"sharpeyes-2026-09-30-{by}{of}" for by in ("department", "all") for of in ("", "-en")]
        assert [file.name for file in reporter.turn()] == [
            f"{stem}.{form}" for stem in stems for form in ("xlsx", "pdf")
        ]
        with pytest.raises(type(error), match="full"):  # one that fails holds nobody up
            await reporter.send()
        assert [one[0] for one in posted] == ["li"] * 4
        assert posted[1] == (
            "li",
            "Town: Online rate of cameras 2026-09-30",
            [f"{stems[1]}.xlsx", f"{stems[1]}.pdf"],
        )
        shut.clear()
        told = [f"2026-09-30 by {by} to sun" for by in ("department", "department", "all", "all")]
        assert await reporter.send() == told
        assert await reporter.send() == []
        assert len(posted) == 8


def made_at(at: int, author: str | None = None, size: int = 1) -> Made:
    file: File = {"form": "pdf", "name": f"{at}.pdf", "bytes": size, "sha256": "0" * 64}
    return Made(
        f"{at}",
        "2026-10",
        "month",
        "tier",
        "zh",
        author,
        Ms(at),
        Ms(at),
        ReportStage.MADE,
        ["pdf"],
        [file],
        [],
        None,
    )


@pytest.mark.parametrize(
    ("made", "gone"),
    [
        ([], []),
        ([made_at(3), made_at(2, "li"), made_at(1)], []),
        # one person's own first of all
        ([made_at(5, "li"), made_at(4, "li"), made_at(3, "li"), made_at(2, "wu"), made_at(1)], [3]),
        # then the oldest that people asked for, then the oldest of schedules
        ([made_at(6), made_at(5), made_at(4, "li"), made_at(3, "wu"), made_at(2), made_at(1)], [3, 4]),
        ([made_at(6), made_at(5), made_at(4), made_at(3), made_at(2), made_at(1)], [1, 2]),
        ([made_at(3, None, 40), made_at(2, "li", 70), made_at(1, None, 30)], [2]),
        # the newest stays, or it would be made again and again
        ([made_at(2, None, 400), made_at(1)], [1]),
    ],
)
def test_the_oldest_make_room(made: list[Made], gone: list[int]) -> None:
    assert [one.asked for one in surplus(made, Room(reports=4, each=2, bytes=100))] == gone


def test_reports_beyond_the_room_go_with_their_files_and_are_not_made_again(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        schedules = of_settings([Every.DAY], ["tier", "all"], ["zh"], [])
        folder = tmp_path / "reports"
        reporter = Reporter(
            database, folder, tmp_path / "k", schedules, "Town", ZONE, lambda: NOW, room=Room(reports=1)
        )
        assert len(reporter.turn()) == 4
        left = sorted(file.name for file in folder.iterdir())
        assert left == [
            f"sharpeyes-2026-09-30-all.{end}"
            for end in ("pdf", "pdf.manifest.json", "xlsx", "xlsx.manifest.json")
        ]
        stages = {one.by: one.stage for one in database.read(reports.list_made)}
        assert stages == {"tier": "removed", "all": "made"}
        assert reporter.turn() == []


async def test_manifests_stay_for_as_long_as_the_register_or_the_list(tmp_path: Path) -> None:
    """Every report that is only looked at has one, too."""
    now = NOW
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        schedules = of_settings([Every.DAY], ["tier"], ["zh"], [])
        folder = tmp_path / "reports"
        reporter = Reporter(
            database, folder, tmp_path / "k", schedules, "Town", ZONE, lambda: now, keep_days=200
        )
        reporter.turn()
        (made,) = database.read(reports.list_made)
        listed = {file["sha256"] for file in made.files}
        for digest, at in (("old", NOW), ("new", NOW + DAY_MS)):
            database.write(lambda c, d=digest, at=at: reports.put_manifest(c, {"sha256": d}, now=at))

        def known() -> set[str]:
            return set(database.read(lambda c: c.scalars(select(report_issued.c.sha256)).all()))

        now = Ms(NOW + 200 * DAY_MS)
        await reporter.forget()
        assert known() == {*listed, "old", "new"}
        now = Ms(now + 1)
        await reporter.forget()
        assert known() == {*listed, "new"}
        database.write(lambda c: reports.forget_made(c, [made.id]))
        await reporter.forget()
        assert known() == {"new"}


async def test_files_from_before_the_list_are_on_it_and_their_mails_are_not_sent_again(
    tmp_path: Path,
) -> None:
    posted: list[str] = []

    async def post(recipient: str, subject: str, files: Sequence[Path]) -> None:
        posted.append(recipient)

    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        folder = tmp_path / "reports"
        schedules = of_settings([Every.DAY], ["tier"], ["zh"], ["li", "sun"])
        reporter = Reporter(database, folder, tmp_path / "k", schedules, "Town", ZONE, lambda: NOW, post=post)
        reporter.turn()
        (before,) = database.read(reports.list_made)
        database.write(lambda c: reports.forget_made(c, [before.id]))
        (folder / "sharpeyes-2026-09-30-tier.xlsx.mailed").write_text("li\n")
        (folder / "other.manifest.json").write_text("{")
        reporter.take_up()
        reporter.take_up()
        (after,) = database.read(reports.list_made)
        assert (after.label, after.stage, after.mailed) == ("2026-09-30", "made", ["li"])
        assert {file["sha256"] for file in after.files} == {file["sha256"] for file in before.files}
        assert reporter.turn() == []
        await reporter.send()
        assert posted == ["sun"]


async def test_schedules_come_together_and_each_gets_what_is_its_own(tmp_path: Path) -> None:
    posted: list[tuple[str, list[str]]] = []

    async def post(recipient: str, subject: str, files: Sequence[Path]) -> None:
        posted.append((recipient, [file.suffix for file in files]))

    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        for key, formats, recipients in (("a", ["csv"], ["li"]), ("b", ["json", "pdf"], ["sun"])):
            item = Schedule(key, "month", "all", "en", formats, recipients, "u-1", NOW)
            database.write(lambda c, item=item: reports.put_schedule(c, item))
        reporter = Reporter(
            database, tmp_path / "reports", tmp_path / "k", [], "Town", ZONE, lambda: NOW, post=post
        )
        assert sorted(file.suffix for file in reporter.turn()) == [".csv", ".json", ".pdf"]
        await reporter.send()
        assert sorted(posted) == [("li", [".csv"]), ("sun", [".json", ".pdf"])]
        (made,) = database.read(reports.list_made)
        assert (made.label, made.author, sorted(made.mailed)) == ("2026-09", None, ["li", "sun"])


def test_what_a_stop_cut_short_is_said_and_what_waits_goes_on(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        asked = [
            database.write(
                lambda c: reports.ask_for(
                    c,
                    label="2026-09-30",
                    every="day",
                    by="all",
                    lang="zh",
                    formats=["csv"],
                    author="li",
                    now=NOW,
                )
            )
            for _ in range(2)
        ]
        database.write(lambda c: reports.tell_stage(c, asked[0].id, ReportStage.WRITING))
        reporter = Reporter(database, tmp_path / "reports", tmp_path / "k", [], "Town", ZONE, lambda: NOW)
        reporter.take_up()
        made = reporter.make_next()
        assert made is not None
        assert (made.id, made.stage) == (asked[1].id, ReportStage.MADE)
        assert reporter.make_next() is None
        cut = database.read(lambda c: reports.get_made(c, asked[0].id))
        assert (cut.stage, cut.problem) == (ReportStage.FAILED, reports.CUT_SHORT)


def ask(database: Database, author: str | None = "li") -> Made:
    return database.write(
        lambda c: reports.ask_for(
            c, label="2026-09-30", every="day", by="tier", lang="zh", formats=["csv"], author=author, now=NOW
        )
    )


def test_a_schedule_s_report_that_a_stop_cut_short_is_not_under_way_for_ever(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        schedules = of_settings([Every.DAY], ["tier"], ["zh"], [])
        reporter = Reporter(
            database, tmp_path / "reports", tmp_path / "k", schedules, "Town", ZONE, lambda: NOW
        )
        reporter.turn()
        (made,) = database.read(reports.list_made)
        old = made._replace(id="old", label="2026-09-29", stage=ReportStage.WRITING)
        database.write(lambda c: reports.put_made(c, old))
        # it died when all files were there, and the list did not say so yet
        database.write(lambda c: reports.tell_stage(c, made.id, ReportStage.WRITING))
        reporter.take_up()
        reporter.turn()
        found = {one.label: (one.stage, one.problem) for one in database.read(reports.list_made)}
        assert found == {
            "2026-09-29": (ReportStage.FAILED, reports.CUT_SHORT),
            "2026-09-30": (ReportStage.MADE, None),
        }


def test_a_file_that_cannot_be_removed_spoils_no_new_report(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        folder = tmp_path / "reports"
        reporter = Reporter(
            database, folder, tmp_path / "k", [], "Town", ZONE, lambda: NOW, room=Room(reports=1)
        )
        ask(database)
        first = reporter.make_next()
        assert first is not None
        (folder / first.files[0]["name"]).unlink()
        (folder / first.files[0]["name"]).mkdir()
        ask(database)
        second = reporter.make_next()
        assert second is not None
        assert (second.stage, second.problem) == (ReportStage.MADE, None)


def test_a_schedule_of_another_version_holds_no_other_up(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        for n, by in enumerate(("street", "tier")):
            item = Schedule(f"s{n}", "day", by, "zh", ["csv"], [], "u-1", Ms(NOW + n))
            database.write(lambda c, item=item: reports.put_schedule(c, item))
        reporter = Reporter(database, tmp_path / "reports", tmp_path / "k", [], "Town", ZONE, lambda: NOW)
        with pytest.raises(KeyError, match="street"):
            reporter.turn()
        found = {one.by: one.stage for one in database.read(reports.list_made)}
        assert found == {"street": ReportStage.FAILED, "tier": ReportStage.MADE}


def test_what_a_person_asked_for_is_never_taken_for_a_schedule_s(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        add_up(database)
        reporter = Reporter(database, tmp_path / "reports", tmp_path / "k", [], "Town", ZONE, lambda: NOW)
        asked = ask(database)
        assert reporter.make_next() is not None
        database.write(lambda c: reports.forget_made(c, [asked.id]))  # as if it had died before the list knew
        reporter.take_up()
        assert database.read(reports.list_made) == []


async def test_what_a_clock_ahead_made_of_times_to_come_is_made_anew_when_they_are_over(
    tmp_path: Path,
) -> None:
    posted: list[str] = []
    now = Ms(NOW + 5 * DAY_MS)  # five days ahead, for a minute

    async def post(recipient: str, subject: str, files: Sequence[Path]) -> None:
        posted.append(f"{recipient} {len(files)}")

    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        watch(database)
        folder = tmp_path / "reports"
        schedules = of_settings([Every.DAY], ["tier"], ["zh"], ["li"])
        reporter = Reporter(database, folder, tmp_path / "k", schedules, "Town", ZONE, lambda: now, post=post)
        roll_up(database, now)
        names = [file.name for file in reporter.turn()]
        asked = await reporter.ask("2026-10-05", "tier", Lang.ZH, [Format.CSV], "wu")
        assert reporter.make_next() is not None
        await reporter.send()
        now = NOW
        database.write(lambda c: set_back.set_back(c, NOW, 5 * DAY_MS))
        reporter.take_up()
        assert (await reporter.send(), posted) == ([], ["li 2"])
        (told,) = (one for one in database.read(reports.list_made) if one.author is None)
        assert (told.stage, told.files, told.problem) == (ReportStage.FAILED, [], reports.CLOCK_AHEAD)
        now = Ms(NOW + 5 * DAY_MS)
        roll_up(database, now)
        assert [file.name for file in reporter.turn()] == names
        await reporter.send()
        assert posted == ["li 2", "li 2"]
        kept = database.read(lambda c: reports.get_made(c, asked.id))
        assert kept.stage is ReportStage.MADE  # it says itself when it was made
