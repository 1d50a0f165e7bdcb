"""What the registry costs at a district's size: a dossier file in, the table out.

Run: python tests/bench/bench_registry.py [cameras]     (default: 4000)

CPU time. The table is to stay within 300 kB compressed at 4,000 cameras, each with its own number, name,
position, state and time; a whole dossier file (27 columns) is planned, staged and applied in short writes.
What others wait for theirs meanwhile is wall time, beside the writes' own CPU time: of a hundred at most one
waits for more than 100 ms.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from sharpeyes.api.packed import LEVEL
from sharpeyes.domain.dossier import COLUMNS
from sharpeyes.domain.organisation import Area, Department, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.net.process import calm_collector, share_often
from sharpeyes.registry import imports, registry, staged
from sharpeyes.registry.declared import Declared
from sharpeyes.registry.dossiers import sheets
from sharpeyes.registry.export import export
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.sheet import read_table, write_csv, write_xlsx
from sharpeyes.store.cameras import list_light
from sharpeyes.store.database import Database
from sharpeyes.store.dossiers import near
from sharpeyes.store.vault import Vault

T = TypeVar("T")
NOW = Ms(1_790_000_000_000)
ROADS = ("江汉", "滨盛", "江南", "西兴", "长河", "浦沿", "时代", "滨康", "火炬", "网商", "启智", "信诚")


def rows(number: int) -> list[list[str]]:
    dice = random.Random(1)
    found = [[column.heading for column in COLUMNS]]
    for n in range(number):
        road = f"{dice.choice(ROADS)}路与{dice.choice(ROADS)}路路口{dice.choice('东南西北')}侧{n:04}"
        found.append(
            [
                f"33010801{n % 3:02}1321{n:06}", road, dice.choice(["海康", "大华", "宇视"]), "33010801",
                str(1 + n % 3), "DS-2CD3T46", "", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "",
                f"{n:012x}", "枪机", "车辆", "红外", "H.265", f"{road}立杆",
                f"{120 + dice.random():.6f}", f"{30 + dice.random():.6f}", "路口", "北", "已联网",
                "西兴派出所", "2024-03-05", "公安", f"138{n:08}", "30", "在用", "公安",
            ]
        )  # fmt: skip
    return found


def timed(what: str, work: Callable[[], T]) -> T:
    start = time.process_time()
    result = work()
    print(f"  {what}: {time.process_time() - start:.2f} s CPU")
    return result


async def beside(database: Database, work: Coroutine[Any, Any, T]) -> T:
    """Do this while somebody else writes a little, again and again."""
    waits, turns = [], list[float]()
    run = database._run_write

    def timed_write(fn: Callable[[Connection], Any], *more: Any) -> Any:
        start = time.thread_time()
        try:
            return run(fn, *more)
        finally:
            turns.append(time.thread_time() - start)

    database._run_write = timed_write  # type: ignore[method-assign]
    doing = asyncio.create_task(work)
    while not doing.done():
        start = time.perf_counter()
        await database.awrite(lambda c: None)
        waits.append(time.perf_counter() - start)
        await asyncio.sleep(0.005)
    database._run_write = run  # type: ignore[method-assign]
    for what, taken in (("others waited", waits), ("CPU of a write", turns)):
        taken.sort()
        p50, p99 = (1000 * taken[len(taken) * p // 100] for p in (50, 99))
        most = 1000 * taken[-1]
        print(f"  {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {most:.0f} ms of {len(taken):,}")
    return await doing


def main(number: int) -> None:
    print(f"{number:,} cameras")
    calm_collector()
    share_often()
    city = Declared(
        zones=(Zone(id="video", name="v", network="1"),),
        departments=(Department(id="police", name="公安", industry="00"),),
        areas=(Area(id="xixing", name="西兴", code="33010801"),),
    )
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/a.db") as database:
        database.upgrade()
        vault = Vault.at(Path(folder) / "key")
        database.write(lambda c: registry.apply_config(c, city, vault, now=NOW))
        data = write_csv(rows(number), encoding="gb18030")
        book = timed("XLSX written", lambda: write_xlsx(rows(number), name="x"))
        timed(f"XLSX of {len(book) >> 10} kB read", lambda: read_table(book))
        table = timed(f"CSV of {len(data) >> 10} kB read", lambda: read_table(data))
        how = ImportMap()

        def take() -> imports.Plan:
            importing = staged.take(
                database, table, how, digest=None, partial=False, source="x", by="x", clock=lambda: NOW
            )
            return asyncio.run(beside(database, importing))

        timed(
            "planned", lambda: database.read(lambda c: imports.plan(table, how, imports.snapshot(c), now=NOW))
        )
        timed("applied", take)
        timed("applied again", take)
        light = timed("light list read", lambda: database.read(list_light))
        lines = [[*line, "online", NOW + n * 977, None] for n, line in enumerate(light)]
        text = json.dumps(lines, ensure_ascii=False, separators=(",", ":")).encode()
        packed = timed("packed", lambda: gzip.compress(text, LEVEL, mtime=0))
        print(f"  table: {len(text) / 1000:.0f} kB, compressed {len(packed) / 1000:.0f} kB")
        found = timed("near", lambda: database.read(lambda c: near(c, 30.5, 120.5, radius_m=2000, limit=50)))
        print(f"  near: {len(found)} found")
        timed("exported", lambda: database.read(lambda c: export(sheets(c), "xlsx")))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
