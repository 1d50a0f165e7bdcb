"""A courier in a process of its own, to be killed: ``notify_worker.py DATABASE KIND PORT [AHEAD_MS]``."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC
from ipaddress import ip_network

from sharpeyes.domain.time import Ms
from sharpeyes.faults.notify.channels import Channel, Email, SecretRef, Webhook
from sharpeyes.faults.notify.courier import Courier, CourierPolicy
from sharpeyes.faults.notify.post import Guard
from sharpeyes.faults.notify.recipients import Recipient
from sharpeyes.store.database import Database


def courier(database: Database, kind: str, port: int, ahead_ms: int = 0) -> Courier:
    channel: Channel
    if kind == "webhook":
        channel = Webhook(url=f"http://127.0.0.1:{port}/hook", secret=SecretRef(env="NOTIFY_TEST_SECRET"))
    else:
        channel = Email(
            to="li@example.org", sender="eyes@city.example", host="127.0.0.1", port=port, security="none"
        )
    return Courier(
        database,
        [Recipient(id="room", channel=channel, timezone=UTC)],
        clock=lambda: Ms(int(time.time() * 1000) + ahead_ms),
        guard=Guard((ip_network("127.0.0.0/8"),)),
        policy=CourierPolicy(storm=1_000, idle_s=0.05),
    )


async def main(url: str, kind: str, port: str, ahead_ms: str = "0") -> None:
    with Database(url) as database:
        await courier(database, kind, int(port), int(ahead_ms)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
