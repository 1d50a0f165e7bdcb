"""Evidence, and the looks that it comes from: each ends in its time, whatever our clock or a decoder does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sharpeyes.domain.health import Keyframe, ProbeResult, Rung, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.health import decoders as room
from sharpeyes.health.decoders import Threads
from sharpeyes.health.evidence import HOUR_MS, Evidence, Retention
from sharpeyes.health.examiner import Checked, Opened
from sharpeyes.health.quality import Quality
from sharpeyes.store import evidence as index
from sharpeyes.store import pictures
from sharpeyes.store.database import Database
from sharpeyes.store.pictures import StoredReference
from unit.health.watched import NOW

YEAR_MS = 365 * 24 * HOUR_MS


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Ms:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def probe(at: Ms, data: bytes = b"picture") -> ProbeResult:
    keyframe = Keyframe(codec="h264", data=data, rtp_time=0)
    return ProbeResult(at=at, rung=Rung.KEYFRAME, failure=None, timings=Timings(), keyframe=keyframe)


async def test_what_waits_while_our_clock_is_set_back_ends_as_if_it_had_been_right(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    keeper = Evidence(database, tmp_path / "evidence", clock=clock, every_s=3600)
    await keeper.start()
    try:
        clock.now = Ms(NOW + YEAR_MS)
        await keeper.keep("c", "still", b"jpeg", keep_ms=HOUR_MS)
        keeper.record("c", probe(clock.now), bad=False, found={})
        clock.now = Ms(clock.now + 1000)
        keeper.record("c", probe(clock.now), bad=True, found={})
        began = clock.now
        clock.now = Ms(NOW + 1500)
        keeper.record("c", probe(began), bad=False, found={})  # it began before, and ended after
        clock.now = Ms(NOW + 2000)
        await keeper.flush()
        (exhibit,) = await database.aread(lambda c: index.list_exhibits(c, camera="c", kind="still"))
        assert (exhibit.at, exhibit.expires) == (clock.now, clock.now + HOUR_MS)
        kept = await database.aread(lambda c: index.list_records(c, "c", now=clock.now))
        life = Retention()
        assert sorted((each.at - NOW, each.expires - NOW) for each in kept) == [
            (1000, 1000 + life.success_ms),
            (1500, 1500 + life.success_ms),
            (2000, 2000 + life.failure_ms),
        ]
        clock.now = Ms(NOW + life.failure_ms + 3000)
        await keeper.sweep()
        assert not list((tmp_path / "evidence").iterdir())
        assert not await database.aread(lambda c: index.list_records(c, "c", now=NOW))
    finally:
        await keeper.stop()


class Examiner:
    """Sees nothing, and reads no reference; its decoder may hang."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()
        self.release.set()

    def open(self, keyframe: Keyframe, at: Ms, normal: Any) -> Opened:
        self.begun.set()
        self.release.wait(60)
        return Opened(picture="seen", mode="day")

    def check(
        self,
        before: Any | None,
        picture: Any,
        references: Mapping[str, Any],
        *,
        moves: bool,
        stood: Sequence[bytes] = (),
    ) -> Checked:
        return Checked(mode="day", findings=(), unassessed=frozenset(), document={})

    def trace(self, picture: Any) -> Any:
        return picture

    def moved(self, trace: Any, picture: Any) -> bool:
        return True

    def learn(self, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
        return None

    def load(self, data: bytes) -> Any:
        raise ValueError("of another version")


async def test_a_decoder_that_hangs_does_not_hold_up_the_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "STOP_S", 0.1)
    examiner = Examiner()
    examiner.release.clear()
    quality = Quality(Threads(examiner), clock=clock)
    look = asyncio.create_task(quality.look("c", probe(NOW), None, 300.0))
    try:
        await asyncio.to_thread(examiner.begun.wait, 60)
        await quality.stop()
        assert not look.done()
        assert [each.message for each in caplog.records if each.levelno >= logging.ERROR]
    finally:
        examiner.release.set()
        await look


async def test_a_reference_that_cannot_be_read_is_warned_of_once_for_as_long_as_its_camera_is_watched(
    database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    stored = StoredReference(camera="c", mode="day", version=0, learned=NOW, pictures=3, data=b"old")
    database.write(lambda c: pictures.put_reference(c, stored))
    quality = Quality(Threads(Examiner()), clock=clock, database=database)

    async def looked() -> int:
        caplog.clear()
        quality._references.clear()  # as when other cameras' took its place
        for data in (b"a", b"b"):
            await quality.look("c", probe(NOW, data), None, 300.0)
        return sum("is not used" in each.message for each in caplog.records)

    try:
        assert (await looked(), await looked()) == (1, 0)
        quality.forget("c")
        assert await looked() == 1
    finally:
        await quality.stop()
