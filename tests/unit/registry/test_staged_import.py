"""A large import in short writes: others get in between, a death in the middle leaves nothing half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError
from test_dossier_import import World, row
from test_dossier_import import sheet as rows_of

from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.time import Ms
from sharpeyes.registry import registry, staged
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import Outcome, Plan
from sharpeyes.registry.sheet import read_table
from sharpeyes.store import dossier_schema, schema, telemetry
from sharpeyes.store.cameras import get_camera, list_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.events import list_events

NUMBER = 200


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(staged, "AT_ONCE", 20)
    world = World(tmp_path)
    yield world
    world.database.close()


@pytest.fixture
def elsewhere(world: World, tmp_path: Path) -> Iterator[Database]:
    """The same database as another process has it."""
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        yield database


def sheet(number: int = NUMBER) -> bytes:
    return rows_of(*(row(设备编码=f"33010800001321{n + 100:06}", 名称=f"Camera {n}") for n in range(number)))


async def take(database: Database, data: bytes, **more: Any) -> Plan:
    given: dict[str, Any] = {"digest": None, "partial": False, "source": "a.csv", "by": "ada"}
    return await staged.take(
        database, read_table(data), ImportMap.of({}), clock=lambda: Ms(9_000), **given | more
    )


def count(database: Database) -> int:
    """Cameras besides the one that is declared."""
    query = select(func.count()).select_from(schema.camera)
    return int(database.read(lambda c: c.execute(query).scalar_one())) - 1


def left(database: Database) -> int:
    tables = (dossier_schema.staged_import, dossier_schema.staged_row)
    queries = [select(func.count()).select_from(table) for table in tables]
    return int(database.read(lambda c: sum(c.execute(query).scalar_one() for query in queries)))


def test_no_write_is_long_and_others_get_in_between(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    put, run, writes, seen = registry.put, world.database._run_write, [0], list[int]()

    def counted(connection: Connection, cameras: Any, *rest: Any) -> Any:
        writes[-1] += len(cameras)
        return put(connection, cameras, *rest)

    def running(fn: Any, *more: Any) -> Any:
        writes.append(0)
        return run(fn, *more)

    monkeypatch.setattr(registry, "put", counted)
    monkeypatch.setattr(world.database, "_run_write", running)

    async def main() -> None:
        importing = asyncio.create_task(take(world.database, sheet()))
        while not importing.done():  # what a probe has seen, what somebody revokes
            await world.database.awrite(lambda c: None)
            seen.append(count(world.database))
        await importing

    asyncio.run(main())
    assert max(writes) <= staged.AT_ONCE
    assert sum(writes) == NUMBER
    assert len({number for number in seen if 0 < number < NUMBER}) >= 3, "others were served in the middle"
    assert (count(world.database), left(world.database)) == (NUMBER, 0)


class DeadError(Exception):
    """The process is gone at this moment."""


@pytest.mark.parametrize("dies_after", [0, 3, 11, 13, 16, 22])
def test_a_death_in_the_middle_leaves_nothing_half(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    """Before it was decided nothing is there, afterwards the next start has all of it; never a part."""
    database, writes = world.database, 0
    run = database._run_write

    def dying(fn: Any, *more: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes > dies_after:
            raise DeadError
        return run(fn, *more)

    monkeypatch.setattr(database, "_run_write", dying)
    with pytest.raises(DeadError):
        asyncio.run(take(database, sheet()))
    found = count(database)
    database.close()
    with Database(f"sqlite:///{tmp_path}/a.db") as again:
        query = select(dossier_schema.staged_import.c.decided)
        decided = again.read(lambda c: list(c.execute(query).scalars()))
        assert found == 0 or decided == [True]
        asyncio.run(staged.finish(again))
        assert count(again) == (NUMBER if decided == [True] else 0)
        assert left(again) == 0
        asyncio.run(take(again, sheet()))
        assert count(again) == NUMBER


def test_the_deaths_are_on_both_sides_of_the_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    run = world.database._run_write

    def named(fn: Any, *more: Any) -> Any:
        writes.append(getattr(fn, "func", fn).__name__)
        return run(fn, *more)

    monkeypatch.setattr(world.database, "_run_write", named)
    asyncio.run(take(world.database, sheet()))
    assert 11 < writes.index("_decide") + 1 <= 16
    assert len(writes) > 22


def test_numbers_go_round(world: World) -> None:
    """Each camera takes the number of its neighbour: none is in another's way, in whichever write it is."""
    asyncio.run(take(world.database, sheet(number=50)))
    cameras = {camera.name: camera for camera in world.database.read(list_cameras)}
    shifted = [
        replace(cameras[f"Camera {n}"], code=cameras[f"Camera {(n + 1) % 50}"].code) for n in range(50)
    ]
    plan = Plan(rows=(), columns={}, ignored=(), form="csv", encoding=None, digest="", cameras=tuple(shifted))
    city = world.database.read(staged.imports.snapshot)
    bodies = staged._bodies(plan, city)
    item = staged.Staged("i", Ms(9_000), "a test", decided=True)

    def stage(connection: Connection) -> None:
        staged.add_staged(connection, item)
        staged.add_rows(connection, item.id, 0, bodies)

    world.database.write(stage)
    asyncio.run(staged.finish(world.database))
    after = {camera.name: camera.code for camera in world.database.read(list_cameras)}
    assert after == {"手写": cameras["手写"].code} | {camera.name: camera.code for camera in shifted}


class Full:
    """Refuses three times."""

    def __init__(self, put: Any, error: Exception) -> None:
        self.put, self.error, self.times = put, error, 3

    def __call__(self, *given: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self.error
        return self.put(*given)


def test_a_full_disk_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "AGAIN_S", 0.01)
    full = Full(registry.put, OperationalError("INSERT", {}, Exception("database or disk is full")))
    monkeypatch.setattr(registry, "put", full)
    assert asyncio.run(take(world.database, sheet())).counts[Outcome.NEW] == NUMBER
    assert full.times == 0
    assert (count(world.database), left(world.database)) == (NUMBER, 0)


def test_what_cannot_be_written_any_more_is_said_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was faster. The first refusal is of many, the others are of one."""
    monkeypatch.setattr(registry, "put", Full(registry.put, ConflictError("somebody has this number")))
    asyncio.run(take(world.database, sheet()))
    assert (count(world.database), left(world.database)) == (NUMBER - 2, 0)
    lines = world.database.read(lambda c: list_events(c, kind="conflict"))
    assert [line.message for line in lines] == ["left out: imported from a.csv by ada"] * 2


def test_whoever_finishes_it_meanwhile_is_in_nobody_s_way(
    world: World, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one process could not write is left out by it at once: the other does not, and neither does it
    leave out the next one instead."""
    awrite, full = world.database.awrite, Full(registry.put, ConflictError("somebody has this number"))
    full.times = 2
    monkeypatch.setattr(registry, "put", full)

    async def writing(fn: Any, **more: Any) -> Any:
        try:
            return await awrite(fn, **more)
        finally:
            if full.times == 0:
                await staged.finish(elsewhere)

    monkeypatch.setattr(world.database, "awrite", writing)
    asyncio.run(take(world.database, sheet()))
    assert (count(elsewhere), left(elsewhere)) == (NUMBER - 1, 0)
    assert len(elsewhere.read(lambda c: list_events(c, kind="conflict"))) == 1


@pytest.mark.parametrize("body", ['{"camera": {"unknown": 1}}', "[]", "junk", '{"key": "a", "camera": 1}'])
def test_what_another_version_has_staged_does_not_keep_the_service_from_starting(
    world: World, body: str
) -> None:
    asyncio.run(take(world.database, sheet(number=2)))
    renamed = replace(next(iter(world.database.read(list_cameras))), name="Renamed")
    plan = Plan(rows=(), columns={}, ignored=(), form="csv", encoding=None, digest="", cameras=(renamed,))
    bodies = staged._bodies(plan, world.database.read(staged.imports.snapshot))

    def stage(connection: Connection) -> None:
        staged.add_staged(connection, staged.Staged("i", Ms(9_000), "a test", decided=True))
        staged.add_rows(connection, "i", 0, [body, *bodies])

    world.database.write(stage)
    asyncio.run(staged.finish(world.database))
    assert "Renamed" in {camera.name for camera in world.database.read(list_cameras)}
    assert left(world.database) == 0
    (line,) = world.database.read(lambda c: list_events(c, kind="conflict"))
    assert line.message == "left out: a test"


def test_nobody_else_changes_the_registry_meanwhile(world: World) -> None:
    """Else what was decided on could not be written."""
    refused: list[str] = []

    def rename(connection: Connection) -> None:
        registry.put(connection, [replace(get_camera(connection, "hand"), name="Other")], Ms(9_000), "x")

    async def main() -> None:
        importing = asyncio.create_task(take(world.database, sheet()))
        while not importing.done():
            if count(world.database) > 0:
                try:
                    await world.database.awrite(rename)
                except ConflictError as error:
                    refused.append(error.message)
            await asyncio.sleep(0)
        await importing
        await world.database.awrite(rename)

    asyncio.run(main())
    assert set(refused) == {staged.WHY}
    assert world.camera("hand").name == "Other"


@asynccontextmanager
async def staging(database: Database) -> AsyncIterator[None]:
    """An import that was begun, and goes on behind the block."""
    awrite, reached, go = database.awrite, asyncio.Event(), asyncio.Event()

    async def held(fn: Any, **more: Any) -> Any:
        if getattr(fn, "func", None) is staged._stage:
            reached.set()
            await go.wait()
        return await awrite(fn, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "awrite", held)
        importing = asyncio.create_task(take(database, sheet()))
        await reached.wait()
        try:
            yield
        finally:
            go.set()
            await importing


@pytest.mark.parametrize("decided", [False, True])
def test_another_process_begins_none_while_one_goes_on(
    world: World, elsewhere: Database, monkeypatch: pytest.MonkeyPatch, decided: bool
) -> None:
    """It is told whose it is, as soon as that is seen."""
    monkeypatch.setattr(staged, "LOOK_S", 0.01)
    theirs = staged.Staged("i", Ms(1_000), "imported from b.csv by bob", decided)
    add, looks = staged._add, 0

    def looking(connection: Connection, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3 or decided:
            staged.add_staged(connection, theirs) if looks == 1 else None
            staged.add_rows(connection, "i", 0, ["{}"])
        return add(connection, **more)

    if not decided:
        elsewhere.write(lambda c: staged.add_staged(c, theirs))
    monkeypatch.setattr(staged, "_add", looking)
    said = r"under way since 1970-01-01T00:00:01.000Z: imported from b.csv by bob"
    with pytest.raises(ConflictError, match=said):
        asyncio.run(take(world.database, sheet(number=3)))
    assert looks == (1 if decided else 3)
    assert count(elsewhere) == 0
    assert elsewhere.read(staged.list_staged) == [theirs]


def test_an_import_that_a_starting_service_took_for_left_behind_is_planned_anew(
    world: World, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, times = staged._add, []
    monkeypatch.setattr(staged, "_add", lambda *given, **more: (times.append(1), add(*given, **more))[1])

    async def main() -> None:
        async with staging(world.database):
            await staged.finish(elsewhere)

    asyncio.run(main())
    assert len(times) == 2
    assert (count(elsewhere), left(elsewhere)) == (NUMBER, 0)


def test_what_another_process_writes_meanwhile_is_planned_on_if_it_is_the_registry(
    world: World, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service beside the command line writes its sign of life every second."""
    add, times = staged._add, []

    def added(*given: Any, **more: Any) -> Any:
        times.append(1)
        return add(*given, **more)

    def rename(connection: Connection) -> None:
        registry.put(connection, [replace(get_camera(connection, "hand"), name="Other")], Ms(9_000), "x")

    async def main(*writes: Any) -> None:
        async with staging(world.database):
            for write in writes:
                await elsewhere.awrite(write)

    monkeypatch.setattr(staged, "_add", added)
    asyncio.run(main(lambda c: telemetry.write_batch(c, beat=Ms(9_000))))
    assert len(times) == 1
    asyncio.run(main(lambda c: None, rename))
    assert len(times) == 3
    assert world.camera("hand").name == "Other"
    assert (count(elsewhere), left(elsewhere)) == (NUMBER, 0)


def test_two_processes_write_at_the_same_one_in_turns(world: World, elsewhere: Database) -> None:
    table = read_table(sheet())
    city = world.database.read(staged.imports.snapshot)
    plan = staged.imports.plan(table, ImportMap.of({}), city, now=Ms(9_000))
    item = staged.Staged("i", Ms(9_000), "a test", decided=True)

    def stage(connection: Connection) -> None:
        staged.add_staged(connection, item)
        staged.add_rows(connection, item.id, 0, staged._bodies(plan, city))

    async def main() -> list[int]:
        return await asyncio.gather(staged.finish(world.database), staged.finish(elsewhere))

    world.database.write(stage)
    assert sum(asyncio.run(main())) == NUMBER / staged.AT_ONCE, "none twice"
    assert (count(elsewhere), left(elsewhere)) == (NUMBER, 0)
    assert len(world.database.read(lambda c: list_events(c, kind="dossier_changed", limit=5000))) == NUMBER


def test_one_whose_process_died_holds_nobody_up_for_long(
    world: World, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its clock said: it may have run on another machine."""
    monkeypatch.setattr(staged, "LOOK_S", 0.001)

    def die(connection: Connection) -> None:
        staged.add_staged(connection, staged.Staged("i", Ms(9_500), "a test", decided=False))
        staged.add_rows(connection, "i", 0, ["{}"] * 3)

    elsewhere.write(die)
    asyncio.run(take(world.database, sheet(number=3)))
    assert (count(elsewhere), left(elsewhere)) == (3, 0)


def test_a_change_between_plan_and_decision_is_planned_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, times = staged._add, []

    def meanwhile(connection: Connection, item: Any, **more: Any) -> None:
        add(connection, item, **more)
        if not times:
            registry.put(connection, [replace(get_camera(connection, "hand"), name="Other")], Ms(9_000), "x")
        times.append(item)

    monkeypatch.setattr(staged, "_add", meanwhile)
    asyncio.run(take(world.database, sheet()))
    assert len(times) == 2
    assert world.camera("hand").name == "Other"
    assert (count(world.database), left(world.database)) == (NUMBER, 0)
    assert len(world.database.read(lambda c: list_events(c, kind="dossier_changed", limit=5000))) == NUMBER
