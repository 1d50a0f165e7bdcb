"""What old entries said is removed; that they were there, and what they were, stays proven.

Records are kept for a time that the law and the site set. After it, the words of an entry go, with its time,
its kind, its user and its camera; its leaf hash and its link stay, and with them the chain, the tree, every
checkpoint and every proof for what is kept.

A removal has two steps, so that ``kill -9`` between any two commits leaves a register that is whole:

1. It is announced: an entry of its own, with a statement that the register's key signed (up to which entry,
   the root over these, before when), and a checkpoint over that entry, all in one transaction.
2. The words go, a batch to a transaction, from the oldest on. Whoever finds an announcement that is not
   carried out goes on with it.

Only entries that an announcement names can be emptied: the database's triggers see to it, and ``verify``
believes the signed statement alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from sharpeyes.access.register.chain import rows_of
from sharpeyes.access.register.entry import Entry, Kind, encode
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.tree import Frontier
from sharpeyes.access.register.writer import read_chain
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.store.access_schema import SHORTEST_KEEP_DAYS
from sharpeyes.store.database import Database
from sharpeyes.store.register import (
    CheckpointRow,
    PruningRow,
    add_checkpoint,
    add_entries,
    add_pruning,
    empty_entries,
    first_unpruned,
    last_before,
    lock_register,
    pruned_upto,
    read_node,
)

KEEP_DAYS = 1096
"""Three years."""
BATCH = 1000
"""Entries to a transaction: new ones wait for no more than a few of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The entries ``first`` to ``upto`` may go."""

    first: int
    upto: int
    before: Ms

    @property
    def count(self) -> int:
        return max(0, self.upto - self.first + 1)


def due(connection: Connection, now: Ms, keep_days: int) -> Due:
    """What may go at ``now``, what was announced and is still there included.

    An entry that is not old enough keeps all that follow it: a clock that was ahead for an hour makes the
    register keep more, never less.
    """
    if keep_days < SHORTEST_KEEP_DAYS:
        raise InvalidInputError(f"keep_days: the law wants {SHORTEST_KEEP_DAYS} days at the least")
    before = Ms(now - keep_days * DAY_MS)
    announced = pruned_upto(connection)
    return Due(
        first=first_unpruned(connection, announced),
        upto=last_before(connection, announced, before),
        before=before,
    )


async def prune(database: Database, signer: Signer, now: Ms, keep_days: int = KEEP_DAYS) -> int:
    """Announce what is due and carry out what is announced; returns how many entries were emptied. It may be
    interrupted anywhere, and run beside a service that appends."""
    await database.awrite(lambda connection: announce(connection, signer, now, keep_days))
    count = 0
    while emptied := await database.awrite(carry_out):
        count += emptied
    return count


def announce(connection: Connection, signer: Signer, now: Ms, keep_days: int) -> None:
    """Say on the register what goes, and sign it; nothing if nothing is due that was not said before."""
    lock_register(connection)
    found = due(connection, now, keep_days)
    announced = pruned_upto(connection)
    if found.upto <= announced:
        return
    root = Frontier.at(found.upto, lambda level, at: read_node(connection, level, at)).root()
    entry = Entry(
        kind=Kind.RETENTION,
        at=now,
        details={
            "upto": found.upto,
            "before": found.before,
            "entries": found.upto - announced,
            "keep_days": keep_days,
            "statement": signer.sign_removal(found.upto, root, found.before),
        },
    )
    chain = read_chain(connection)
    add_entries(connection, *rows_of(chain, [(entry, encode(entry))]))
    add_checkpoint(connection, CheckpointRow(chain.size, now, signer.sign(chain.size, chain.tree.root())))
    add_pruning(connection, PruningRow(chain.size, found.upto, found.before))


def carry_out(connection: Connection) -> int:
    """Empty the next batch of what is announced; 0 if there is none left."""
    upto = pruned_upto(connection)
    first = first_unpruned(connection, upto)
    return empty_entries(connection, first, min(upto, first + BATCH - 1)) if first <= upto else 0
