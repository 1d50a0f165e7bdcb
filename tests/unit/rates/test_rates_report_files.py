"""Reports that are written by themselves: once each, when their days are added up, and never by halves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from scenario.virtual_city import enter
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.rates import rollup, timeline
from sharpeyes.rates.report.files import Reporter, last_over
from sharpeyes.rates.report.manifest import check
from sharpeyes.rates.report.words import Lang
from sharpeyes.rates.timeline import Every
from sharpeyes.store import telemetry
from sharpeyes.store.database import Database
from unit.rates.test_rates_rollup import standing

ZONE = ZoneInfo("Asia/Shanghai")
FIRST = timeline.day(date(2026, 9, 20), ZONE).start
NOW = Ms(timeline.day(date(2026, 10, 1), ZONE).start + 1_000_000)


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


def test_each_report_is_written_once_its_days_are_added_up(tmp_path: Path) -> None:
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
    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(lambda c: enter(c, [camera], FIRST))
        database.write(lambda c: telemetry.write_batch(c, standings=[standing(online)], beat=NOW))
        folder = tmp_path / "reports"
        reporter = Reporter(database, folder, tmp_path / "k", list(Every)[1:], "Town", ZONE, lambda: NOW)
        assert reporter.turn() == []  # no day is added up yet
        for day in database.read(lambda c: rollup.due(c, ZONE, NOW)):
            database.write(lambda c, day=day: rollup.roll_up(c, day, NOW))
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


async def test_reports_in_several_languages_and_scopes_are_mailed_once_each(tmp_path: Path) -> None:
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
    posted: list[tuple[str, str, list[str]]] = []
    shut = {"sun"}

    async def post(recipient: str, subject: str, files: Sequence[Path]) -> None:
        if recipient in shut:
            raise UnavailableError("the mailbox is full")
        posted.append((recipient, subject, [file.name for file in files]))

    with Database(f"sqlite:///{tmp_path}/r.db") as database:
        database.upgrade()
        database.write(lambda c: enter(c, [camera], FIRST))
        database.write(lambda c: telemetry.write_batch(c, standings=[standing(online)], beat=NOW))
        for day in database.read(lambda c: rollup.due(c, ZONE, NOW)):
            database.write(lambda c, day=day: rollup.roll_up(c, day, NOW))
        reporter = Reporter(
            database,
            tmp_path / "reports",
            tmp_path / "k",
            [Every.DAY],
            "Town",
            ZONE,
            lambda: NOW,
            by=("department", "all"),
            languages=(Lang.ZH, Lang.EN),
            post=post,
            mailed=("li", "sun"),
        )
        assert await reporter.send() == []  # nothing is written yet
        stems = [f"sharpeyes-2026-09-30-{by}{of}" for by in ("department", "all") for of in ("", "-en")]
        assert [file.name for file in reporter.turn()] == [
            f"{stem}.{form}" for stem in stems for form in ("xlsx", "pdf")
        ]
        with pytest.raises(UnavailableError, match="full"):  # one that fails holds nobody up
            await reporter.send()
        assert [one[0] for one in posted] == ["li"] * 4
        assert posted[1] == (
            "li",
            "Town: Online rate of cameras 2026-09-30",
            [f"{stems[1]}.xlsx", f"{stems[1]}.pdf"],
        )
        shut.clear()
        assert await reporter.send() == [f"{stem} to sun" for stem in stems]
        assert await reporter.send() == []
        assert len(posted) == 8
