"""The rooms of access, opened together: one site's people, desk, register and tickets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from sharpeyes.access.changes import Changed, Changes
from sharpeyes.access.desk import Desk
from sharpeyes.access.people import People
from sharpeyes.access.register import retention
from sharpeyes.access.register.writer import CHECKPOINT_FILE, KEY_FILE, ORIGIN, Register, signer_at
from sharpeyes.access.sign_on import SignOn
from sharpeyes.access.tickets import TicketOffice
from sharpeyes.domain.time import Ms
from sharpeyes.net.oidc import Provider
from sharpeyes.store.database import Database
from sharpeyes.store.grants import count_reviews
from sharpeyes.store.tokens import lapse_past_tokens
from sharpeyes.store.vault import Vault, keys_at

log = logging.getLogger(__name__)

TICKET_KEY_FILE = "tickets.key"
"""Signs tickets: a key of its own, so that gateways elsewhere need no other."""
EXPIRE_S = 60.0
LAPSE_S = 5.0
PURGE_S = 24 * 3600.0
REVIEWS_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Everything that decides who sees what, and writes down that it did."""

    people: People
    desk: Desk
    register: Register
    office: TicketOffice
    changes: Changes
    zone: tzinfo
    """Of the site's wall clocks: daily schedules, months of the figures."""
    keys: tuple[str, ...]
    """Public keys of the register, the one in use first."""
    sign_on: SignOn | None = None
    """Log-ins that somebody else vouches for; None: passwords only."""


@contextlib.asynccontextmanager
async def open_access(
    database: Database,
    folder: Path,
    vault: Vault,
    clock: Callable[[], Ms],
    zone: tzinfo,
    *,
    origin: str = ORIGIN,
    provider: Provider | None = None,
    sign_on_label: str = "",
    keep_days: int = retention.KEEP_DAYS,
    checkpoint_copy: Path | None = None,
    reviews: Callable[[int, int], None] = lambda _waiting, _overdue: None,
) -> AsyncIterator[Access]:
    """The rooms, with their key files in ``folder``, for as long as the block lasts.

    ``keep_days``: how long the register keeps what its entries say; ``checkpoint_copy``: a second file for
    its checkpoints, best on another machine's disk.
    ``reviews`` is told again and again how many emergency overrides wait for their review: in time, overdue.
    Raises RegisterDamagedError if the register is not the one that was signed.
    """
    signer, verifiers = await asyncio.to_thread(signer_at, folder / KEY_FILE, origin)
    (seed, *_) = await asyncio.to_thread(keys_at, folder / TICKET_KEY_FILE)
    changes = Changes()
    async with Register(
        database,
        signer,
        clock,
        verifiers=verifiers,
        checkpoint_file=folder / CHECKPOINT_FILE,
        checkpoint_copy=checkpoint_copy,
    ) as register:
        people = People(database, register, vault, changes, clock)
        sign_on = None
        if provider is not None:
            sign_on = SignOn(provider=provider, label=sign_on_label, people=people, vault=vault, clock=clock)
        access = Access(
            people=people,
            desk=Desk(database, register, changes, clock, zone),
            register=register,
            office=TicketOffice(seed),
            changes=changes,
            zone=zone,
            keys=tuple(verifier.vkey for verifier in verifiers),
            sign_on=sign_on,
        )

        async def count() -> int:
            waiting, overdue = await database.aread(lambda connection: count_reviews(connection, clock()))
            reviews(waiting, overdue)
            return waiting + overdue

        async def lapse() -> int:
            return await lapse_past_tokens(database, clock())

        async def forget() -> int:
            return await retention.prune(database, signer, clock(), keep_days)

        deaf = changes.listen(_say_overrides)
        chores = [
            asyncio.create_task(_every(EXPIRE_S, access.desk.expire_requests), name="access-expire"),
            asyncio.create_task(_every(LAPSE_S, access.desk.lapse_grants), name="access-lapse"),
            asyncio.create_task(_every(LAPSE_S, people.lapse_sessions), name="access-lapse-sessions"),
            asyncio.create_task(_every(LAPSE_S, lapse), name="access-lapse-tokens"),
            asyncio.create_task(_every(PURGE_S, access.people.purge), name="access-purge"),
            asyncio.create_task(_every(PURGE_S, forget), name="access-retention"),
            asyncio.create_task(_every(EXPIRE_S, register.sum_up), name="access-refusals"),
            asyncio.create_task(_every(REVIEWS_S, count), name="access-reviews"),
        ]
        try:
            yield access
        finally:
            deaf()
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)


def _say_overrides(changed: Changed) -> None:
    for grant in sorted(changed.overrides):
        log.warning("emergency override %s: auditors have to review it", grant)


async def _every(seconds: float, chore: Callable[[], Awaitable[int]]) -> None:
    """At once, then again and again, until cancelled; what fails is said once and tried again."""
    broken = False
    while True:
        try:
            await chore()
        except Exception:  # whatever it is, the next turn makes up for it
            if not broken:
                log.exception("a chore of access failed; it is tried again")
            broken = True
        else:
            broken = False
        await asyncio.sleep(seconds)
