"""kill -9 of the loop at any moment: tickets, histories and messages are there together or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random

from faults_town import Town

from sharpeyes.domain.faults import Move, TicketStage, Topic
from sharpeyes.faults.ticket import TABLE

WORKER = Path(__file__).with_name("faults_worker.py")


async def work(town: Town, steps: int, seed: int, kill_after_s: float | None) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        str(town.database.url.render_as_string()),
        str(steps),
        str(seed),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(WORKER.parent)},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"going\n"
    if kill_after_s is not None:
        await asyncio.sleep(kill_after_s)
        process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert process.returncode == (0 if kill_after_s is None else -signal.SIGKILL)


async def test_killed_at_any_moment(tmp_path: Path) -> None:
    town = Town(tmp_path, channels=4, singles=8)
    town.probe()
    chance = Random(4)
    for run in range(3):
        await work(town, 100_000, run, chance.uniform(0.05, 0.5))
        check(town)
    await work(town, 40, 9, None)
    check(town)
    assert any(t.stage is TicketStage.CLOSED for t in town.tickets())
    town.close()


def check(town: Town) -> None:
    said = {(m.notice.ticket, m.notice.cycle, m.notice.topic) for m in town.messages()}
    for ticket in town.tickets():
        stage, cycle = TicketStage.RAISED, 0
        moves = [entry.move for entry in town.history(ticket)]
        assert moves[:2] == [Move.RAISE, Move.ROUTE]
        for move in moves[1:]:
            after = TABLE[stage, move]
            stage = after if after is not None else TicketStage.ROUTED
            cycle += move is Move.REOPEN
            if move is Move.VERIFY:
                assert (ticket.id, cycle, Topic.UP) in said
        assert (stage, cycle) == (ticket.stage, ticket.cycle), "the history leads to where the ticket stands"
        for number in range(cycle + 1):
            assert (ticket.id, number, Topic.DOWN) in said
