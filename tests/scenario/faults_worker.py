"""A loop in a process of its own, to be killed: ticks over a day of failures as fast as it can."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC
from random import Random

from faults_town import MINUTE, START

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms
from sharpeyes.faults.loop import Loop
from sharpeyes.faults.notify.channels import SecretRef, Webhook
from sharpeyes.faults.notify.recipients import Recipient
from sharpeyes.store.database import Database
from sharpeyes.store.telemetry import StoredStanding, load_standings, write_batch

RECIPIENTS = [
    Recipient(
        id="room",
        timezone=UTC,
        channel=Webhook(url="https://hooks.example.org/", secret=SecretRef(env="UNUSED")),
    )
]


async def main(url: str, steps: int, seed: int) -> None:
    chance = Random(seed)
    with Database(url) as database:
        loop = Loop(database, fallback_unit="operations", recipients=RECIPIENTS)
        standings = database.read(load_standings)
        now = max([START, *(s.observed or START for s in standings.values())])
        states = {camera: (s.state, s.since) for camera, s in standings.items()}
        for number in range(steps):
            now = Ms(now + 10 * MINUTE)
            for camera in chance.sample(sorted(states), 4):
                state = chance.choice((State.ONLINE, State.OFFLINE))
                if states[camera][0] is not state:
                    states[camera] = (state, now)
            rows = [
                StoredStanding(
                    camera=camera,
                    state=state,
                    since=since,
                    cause=None,
                    observed=now,
                    fails=0,
                    passes=0,
                    streak=None,
                    last_probe=None,
                )
                for camera, (state, since) in states.items()
            ]
            database.write(lambda c, rows=rows: write_batch(c, standings=rows))  # type: ignore[misc]
            await loop.tick(now)
            if number == 10:
                print("going", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
