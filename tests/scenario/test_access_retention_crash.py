"""``kill -9`` while old entries are removed: the register is whole all the time, and the next run goes on."""

import asyncio
import signal
import sys
from pathlib import Path

from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.retention import prune
from sharpeyes.access.register.verify import verify
from sharpeyes.access.register.writer import append_now
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.store.database import Database

SIGNER = Signer("city.example/register", bytes(32))
OLD = 6000
NOW = Ms(2000 * DAY_MS)

PRUNER = """
import asyncio, sys
from sharpeyes.access.register import retention
from sharpeyes.access.register.note import Signer
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.store.database import Database

retention.BATCH = 20
carry_out = retention.carry_out

def and_say(connection):
    count = carry_out(connection)
    sys.stdout.write(f"{count}\\n")
    sys.stdout.flush()
    return count

retention.carry_out = and_say
database = Database(f"sqlite:///{sys.argv[1]}")
signer = Signer("city.example/register", bytes(32))
asyncio.run(retention.prune(database, signer, Ms(int(sys.argv[2]))))
"""


async def test_killed_in_the_middle_of_a_removal(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Database(f"sqlite:///{path}") as database:
        database.upgrade()
        append_now(
            database, [Entry(kind=Kind.SNAPSHOT, at=Ms(1 + number), user="u") for number in range(OLD)]
        )
        append_now(database, [Entry(kind=Kind.SNAPSHOT, at=NOW, user="u") for _ in range(10)])
    seen = []
    for lines in (1, 7, 40):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PRUNER, str(path), str(NOW), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout
        for _ in range(lines):
            assert await child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        await child.stdout.read()
        assert await child.wait() == -signal.SIGKILL
        with Database(f"sqlite:///{path}") as database:
            verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
        assert verdict.findings == ()
        assert (verdict.entries, verdict.pruned_upto) == (OLD + 11, OLD)
        seen.append(verdict.pruned)
    assert 0 <= seen[0] < seen[1] < seen[2] < OLD
    with Database(f"sqlite:///{path}") as database:
        assert await prune(database, SIGNER, NOW) == OLD - seen[2]
        verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
    assert (verdict.findings, verdict.pruned, verdict.entries) == ((), OLD, OLD + 11)
