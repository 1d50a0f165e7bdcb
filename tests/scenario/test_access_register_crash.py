"""``kill -9`` while the register is written: what was acknowledged is there, and the chain is whole."""

import asyncio
import signal
import sys
from pathlib import Path

from sharpeyes.access.register.entry import Entry, Kind, decode
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.verify import verify
from sharpeyes.access.register.writer import Register
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database
from sharpeyes.store.register import read_entries

SIGNER = Signer("city.example/register", bytes(32))

WRITER = """
import asyncio, sys
from pathlib import Path
from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.writer import Register
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database

folder, run = Path(sys.argv[1]), sys.argv[2]

async def one(register, writer):
    number = 0
    while True:
        number += 1
        entry = Entry(kind=Kind.VIEW_STARTED, at=Ms(1), user=f"{run}-{writer}-{number}")
        await register.append(entry)
        sys.stdout.write(entry.user + "\\n")
        sys.stdout.flush()

async def main():
    database = Database(f"sqlite:///{folder}/a.db")
    signer = Signer("city.example/register", bytes(32))
    file = folder / "checkpoints"
    register = Register(database, signer, lambda: Ms(1), checkpoint_file=file, checkpoint_every=7)
    async with register:
        await asyncio.gather(*(one(register, writer) for writer in range(20)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
    acknowledged: list[str] = []
    for run, lines in enumerate((1, 150, 400)):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(tmp_path), str(run), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout
        read = [await child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        read += (await child.stdout.read()).splitlines(keepends=True)
        assert await child.wait() == -signal.SIGKILL
        whole = [line.decode().strip() for line in read if line.endswith(b"\n")]
        assert len(whole) >= lines
        acknowledged += whole
    database = Database(f"sqlite:///{tmp_path}/a.db")
    try:
        async with Register(
            database, SIGNER, lambda: Ms(1), checkpoint_file=tmp_path / "checkpoints"
        ) as register:
            await register.append(Entry(kind=Kind.LOGIN, at=Ms(1), user="after"))
        stored = [
            decode(row.body).user for rows in database.read(lambda c: list(read_entries(c))) for row in rows
        ]
        assert set(acknowledged) <= set(stored)
        assert len(stored) == len(set(stored))
        assert stored[-1] == "after"
        for run in range(3):  # each writer's own entries in its own order
            for writer in range(20):
                mine = [name for name in stored if name and name.startswith(f"{run}-{writer}-")]
                assert mine == [f"{run}-{writer}-{number}" for number in range(1, len(mine) + 1)]
        verdict = database.read(
            lambda c: verify(c, (SIGNER.verifier,), (tmp_path / "checkpoints").read_text())
        )
        assert verdict.findings == ()
        assert verdict.covered == len(stored)
    finally:
        database.close()
