"""The register: durable entries a second, how long one waits, and what proofs and verification cost.

    python tests/bench/bench_register.py [--entries 50000] [--folder DIR]

Entries are complete view entries; each is acknowledged only once its commit is on the disk
(``synchronous=FULL``), with chain, tree and checkpoints. Beside it, in the same run: plain inserts of the
same bytes, one commit each, as a register without group commit would do it.
"""

import argparse
import asyncio
import os
import platform
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sharpeyes.access.register.entry import Entry, Kind, encode
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.proof import check_export, export, prove_consistency, prove_inclusion
from sharpeyes.access.register.verify import verify
from sharpeyes.access.register.writer import Register
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database

SIGNER = Signer("bench.example/register", bytes(32))


def an_entry(number: int) -> Entry:
    return Entry(
        kind=Kind.VIEW_STARTED,
        at=Ms(1_790_000_000_000 + number),
        user=f"u-{number % 500:012x}",
        name="王芳",
        unit=f"department-{number % 40}",
        camera=f"camera-{number * 7919 % 4000}",
        grant=f"g-{number % 2000:016x}",
        purpose="traffic",
        address="192.0.2.1",
        details={"view": f"v-{number:016x}", "basis": "grant", "path": "webrtc"},
    )


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def clock() -> Ms:
    return Ms(time.time_ns() // 1_000_000)


async def fill(register: Register, entries: list[Entry], writers: int) -> tuple[float, float, list[float]]:
    """Seconds, CPU seconds, and the wait of each entry in ms, with this many callers at a time."""
    waits: list[float] = []
    source = iter(entries)

    async def one() -> None:
        for entry in source:
            began = time.perf_counter()
            await register.append(entry)
            waits.append((time.perf_counter() - began) * 1000)

    began, used = time.perf_counter(), cpu()
    await asyncio.gather(*(one() for _ in range(writers)))
    return time.perf_counter() - began, cpu() - used, waits


def single_commits(folder: Path, entries: list[Entry]) -> float:
    """Seconds for the same bytes with a commit each."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB)")
    began = time.perf_counter()
    for entry in entries:
        connection.execute("INSERT INTO entry (body) VALUES (?)", (encode(entry),))
    connection.close()
    return time.perf_counter() - began


def each_ms(act: Callable[[int], object], numbers: range) -> float:
    began = time.perf_counter()
    for number in numbers:
        act(number)
    return (time.perf_counter() - began) * 1000 / len(numbers)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    count: int = options.entries
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder}/a.db")
        database.upgrade()
        file = folder / "checkpoints"
        entries = [an_entry(number) for number in range(count)]

        async def runs() -> None:
            async with Register(database, SIGNER, clock, checkpoint_file=file) as register:
                for writers, share in ((1, 50), (10, 10), (100, 1), (1000, 1), (4000, 1)):
                    some = entries[: count // share]
                    seconds, used, waits = await fill(register, some, writers)
                    waits.sort()
                    print(
                        f"{writers:5d} callers: {len(some) / seconds:8,.0f} durable entries/s, "
                        f"{used / len(some) * 1e6:5.0f} us CPU each, "
                        f"wait p50 {statistics.median(waits):6.1f} ms, "
                        f"p99 {waits[int(len(waits) * 0.99)]:6.1f} ms, max {waits[-1]:6.1f} ms"
                    )

        asyncio.run(runs())
        plain = count // 50
        seconds = single_commits(folder, entries[:plain])
        print(f"a commit each, no chain:  {plain / seconds:8,.0f} entries/s")

        size = database.read(lambda c: verify(c, (SIGNER.verifier,))).entries
        step = range(1, size, size // 200)
        inclusion = database.read(lambda c: each_ms(lambda n: prove_inclusion(c, n), step))
        growth = database.read(lambda c: each_ms(lambda n: prove_consistency(c, n, size), step))
        proof = database.read(lambda c: prove_inclusion(c, size // 3))
        checking = each_ms(lambda _: proof.holds(SIGNER.verifier), range(200))
        print(
            f"{size:,} entries: inclusion proof {inclusion:.2f} ms ({len(proof.hashes)} hashes), "
            f"consistency proof {growth:.2f} ms, checking a proof and its signature {checking:.2f} ms"
        )
        began = time.perf_counter()
        verdict = database.read(lambda c: verify(c, (SIGNER.verifier,), file.read_text()))
        seconds = time.perf_counter() - began
        assert verdict.ok, verdict.findings
        print(f"verify: {size / seconds:,.0f} entries/s, {verdict.checkpoints} checkpoints")
        began = time.perf_counter()
        lines = database.read(lambda c: list(export(c, 1, size)))
        checked = check_export(lines, SIGNER.verifier)
        print(
            f"export and its check: {checked.last / (time.perf_counter() - began):,.0f} entries/s, "
            f"{sum(map(len, lines)) / size:.0f} characters an entry"
        )
        bytes_used = (folder / "a.db").stat().st_size
        print(f"stored: {bytes_used / size:.0f} bytes an entry")
        database.close()


if __name__ == "__main__":
    main()
