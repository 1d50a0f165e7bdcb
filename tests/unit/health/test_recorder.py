"""The recorder: nothing lost between two commits, nothing written without need."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sharpeyes.domain.health import Interval, ProbeResult, Rung, State, Timings
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.board import Entry
from sharpeyes.health.judge import Policy, Standing
from sharpeyes.health.recorder import REFRESH_MS, Recorder
from sharpeyes.store import telemetry
from sharpeyes.store.database import Database
from unit.health.watched import CAMERA, NOW


def entry(state: State, since: int, latest: int | None = None, rung: Rung = Rung.KEYFRAME) -> Entry:
    standing = Standing("c", state, Ms(NOW + since), None, Ms(NOW + (latest or since)))
    probe = ProbeResult(at=standing.latest, rung=rung, failure=None, timings=Timings())
    return Entry(CAMERA, standing, probe)


def closed(state: State, start: int, end: int) -> Interval:
    return Interval(camera="c", state=state, start=Ms(NOW + start), end=Ms(NOW + end))


def stored(database: Database) -> list[tuple[State, int, int | None]]:
    def read(c: Any) -> list[tuple[State, int, int | None]]:
        span = Span(NOW, Ms(NOW + 10**9))
        rows = [(i.state, i.start - NOW, i.end - NOW) for i in telemetry.intervals(c, "c", span)]
        return rows + [(s.state, s.since - NOW, None) for s in telemetry.load_standings(c).values()]

    return database.read(read)


async def test_what_comes_during_a_commit_is_in_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(database, clock=lambda: NOW)
    whole, going = database.awrite, asyncio.Event()

    async def slow(fn: Any) -> Any:
        going.set()
        await asyncio.sleep(0.02)
        return await whole(fn)

    monkeypatch.setattr(database, "awrite", slow)
    recorder.note(entry(State.ONLINE, 10), [closed(State.UNKNOWN, 0, 10)])
    flush = asyncio.create_task(recorder.flush())
    await going.wait()
    recorder.note(entry(State.OFFLINE, 20), [closed(State.ONLINE, 10, 20)])
    assert await flush
    assert stored(database) == [(State.UNKNOWN, 0, 10), (State.ONLINE, 10, None)]
    assert await recorder.flush()
    assert stored(database) == [(State.UNKNOWN, 0, 10), (State.ONLINE, 10, 20), (State.OFFLINE, 20, None)]
    assert recorder.waiting == 0
    assert recorder.written == 2


@pytest.mark.parametrize("removed", [False, True])
async def test_what_comes_during_a_failing_commit_is_the_newer_word(
    database: Database, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    recorder = Recorder(database, clock=lambda: NOW)
    going = asyncio.Event()

    async def broken(fn: Any) -> Any:
        going.set()
        await asyncio.sleep(0.02)
        raise OperationalError("insert", {}, OSError("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr(database, "awrite", broken)
        recorder.note(entry(State.ONLINE, 10), [closed(State.UNKNOWN, 0, 10)])
        flush = asyncio.create_task(recorder.flush())
        await going.wait()
        if removed:
            recorder.forget("c", [closed(State.ONLINE, 10, 20)])
        else:
            recorder.note(entry(State.OFFLINE, 20), [closed(State.ONLINE, 10, 20)])
        assert not await flush
        assert recorder.failing
    assert await recorder.flush()
    assert not recorder.failing
    rest = [] if removed else [(State.OFFLINE, 20, None)]
    assert stored(database) == [(State.UNKNOWN, 0, 10), (State.ONLINE, 10, 20), *rest]


async def test_a_probe_that_finds_nothing_new_is_not_written_for_a_while(database: Database) -> None:
    recorder = Recorder(database, clock=lambda: NOW)
    recorder.note(entry(State.ONLINE, 10))
    await recorder.flush()
    recorder.note(entry(State.ONLINE, 10, latest=30_000))
    assert recorder.waiting == 0
    recorder.note(entry(State.ONLINE, 10, latest=60_000, rung=Rung.MEDIA))
    assert recorder.waiting == 1
    await recorder.flush()
    recorder.note(entry(State.ONLINE, 10, latest=60_000 + REFRESH_MS, rung=Rung.MEDIA))
    assert recorder.waiting == 1


async def test_a_camera_seen_since_it_was_last_written_is_known_up_to_the_heartbeat(
    database: Database,
) -> None:
    now = NOW
    recorder = Recorder(database, clock=lambda: now)
    standing = Standing("c", State.ONLINE, NOW, None, NOW, observed=NOW)
    recorder.note(Entry(CAMERA, standing))
    await recorder.flush()
    now = Ms(NOW + REFRESH_MS - 1000)  # watched all the time, nothing new, then the machine fails
    await recorder.flush()
    again = Recorder(database, clock=lambda: Ms(now + 3_600_000))
    recalled = await again.recall(lambda _: Policy(validity_ms=100_000))
    assert recalled["c"].standing.since == now
    await again.flush()
    assert stored(database) == [
        (State.ONLINE, 0, REFRESH_MS - 1000),
        (State.UNKNOWN, REFRESH_MS - 1000, None),
    ]


async def test_stop_gives_up_on_a_store_that_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, clock=lambda: NOW, every_s=60.0)
    recorder.start()
    recorder.note(entry(State.ONLINE, 10))

    async def broken(fn: Any) -> Any:
        raise OperationalError("insert", {}, OSError("disk full"))

    monkeypatch.setattr(database, "awrite", broken)
    await recorder.stop(within_s=0.05)
    assert "1 rows of telemetry unwritten" in caplog.text


async def test_a_fault_that_nobody_foresaw_does_not_end_the_recorder(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, clock=lambda: NOW, every_s=0.01)
    whole, met = database.awrite, asyncio.Event()

    async def broken(fn: Any) -> Any:
        met.set()
        raise UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(database, "awrite", broken)
    recorder.start()
    recorder.note(entry(State.ONLINE, 10), [closed(State.UNKNOWN, 0, 10)])
    await met.wait()
    monkeypatch.setattr(database, "awrite", whole)
    async with asyncio.timeout(30):
        while recorder.failing or recorder.waiting:
            await asyncio.sleep(0.01)
    assert stored(database) == [(State.UNKNOWN, 0, 10), (State.ONLINE, 10, None)]
    assert "Traceback" in caplog.text, "it is said where it comes from"
    await recorder.stop()
