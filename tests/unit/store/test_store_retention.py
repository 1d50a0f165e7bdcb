"""The oldest entries lose their words on every database: by the announced way alone, and all else stands."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from sharpeyes.access.register import retention
from sharpeyes.access.register.entry import Entry, Kind, decode
from sharpeyes.access.register.note import NoteError, Signer
from sharpeyes.access.register.proof import check_export, export, prove_consistency, prove_inclusion
from sharpeyes.access.register.retention import announce, carry_out, due, prune
from sharpeyes.access.register.verify import Finding, Wrong, verify
from sharpeyes.access.register.writer import Register
from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.store.database import Database
from sharpeyes.store.register import find_entries, find_span, read_entries, read_entry, read_prunings

SIGNER = Signer("city.example/register", bytes(32))
START = 1_790_000_000_000
NOW = Ms(START + 1100 * DAY_MS)
OLD = 4  # entries up to day 4 are older than 1096 days at NOW: those of days 0, 1, 2 and 3
BLANK = "at_ms = 0, kind = 'pruned', user_id = NULL, camera_id = NULL, body = "


def an_entry(day: int) -> Entry:
    return Entry(kind=Kind.SNAPSHOT, at=Ms(START + day * DAY_MS), user="u-wang", camera=f"c{day}")


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    """Twenty entries, a day apart."""
    with Database(store_url) as made:
        made.upgrade()
        async with Register(made, SIGNER, lambda: NOW, checkpoint_every=6) as register:
            for day in range(20):
                await register.append(an_entry(day))
        yield made


def blank(database: Database, where: str) -> None:
    empty = "x''" if database.is_sqlite else "''"
    database.write(
        lambda c: c.exec_driver_sql(f"UPDATE register_entry SET {BLANK}{empty} WHERE {where}") and None
    )


def take_triggers_away(database: Database) -> None:
    trigger = (
        "register_entry_no_update" if database.is_sqlite else "register_entry_no_change ON register_entry"
    )
    database.write(lambda c: c.exec_driver_sql(f"DROP TRIGGER {trigger}") and None)


def findings(database: Database) -> list[tuple[Wrong, int | None]]:
    found: tuple[Finding, ...] = database.read(lambda c: verify(c, (SIGNER.verifier,))).findings
    return [(item.wrong, item.entry) for item in found]


async def test_the_oldest_say_nothing_and_everything_is_still_proven(database: Database) -> None:
    before = database.read(lambda c: prove_inclusion(c, 2))
    assert await prune(database, SIGNER, NOW) == OLD
    assert await prune(database, SIGNER, NOW) == 0
    verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
    assert verdict.findings == ()
    assert (verdict.entries, verdict.covered, verdict.pruned, verdict.pruned_upto) == (21, 21, OLD, OLD)
    rows = [row for rows in database.read(lambda c: list(read_entries(c))) for row in rows]
    assert {(r.at_ms, r.kind, r.user_id, r.camera_id, bytes(r.body)) for r in rows[:OLD]} == {
        (0, "pruned", None, None, b"")
    }
    said = decode(rows[-1].body)
    assert (said.kind, said.at, said.details["upto"], said.details["entries"]) == (
        Kind.RETENTION,
        NOW,
        OLD,
        OLD,
    )
    # What was taken before still holds, what is kept is proven, and both sizes are of one register.
    assert before.holds(SIGNER.verifier)
    assert database.read(lambda c: prove_inclusion(c, 5)).holds(SIGNER.verifier)
    assert database.read(lambda c: prove_consistency(c, 2, 21)).hashes
    lines = database.read(lambda c: list(export(c, OLD + 1, 21)))
    assert check_export(lines, SIGNER.verifier).first == OLD + 1
    for refused in (lambda c: prove_inclusion(c, OLD), lambda c: list(export(c, OLD, 21))):
        with pytest.raises(NotFoundError, match="removed by retention"):
            database.read(refused)
    found = database.read(lambda c: find_entries(c, limit=100))
    assert [row.seq for row in found] == list(range(21, OLD, -1))
    assert database.read(lambda c: find_span(c, Ms(0), NOW)) == (OLD + 1, 20)


async def test_the_register_goes_on_and_the_next_removal_takes_the_one_before(database: Database) -> None:
    await prune(database, SIGNER, NOW)
    later = Ms(NOW + 1200 * DAY_MS)
    async with Register(database, SIGNER, lambda: later, checkpoint_every=6) as register:
        assert await register.append(an_entry(2300)) == 22
    assert await prune(database, SIGNER, later) == 21 - OLD
    verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
    assert (verdict.findings, verdict.pruned, verdict.pruned_upto) == ((), 21, 21)


async def test_interrupted_anywhere_it_is_whole_and_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    database.write(lambda c: announce(c, SIGNER, NOW, 1096))
    assert findings(database) == []
    assert database.read(lambda c: due(c, NOW, 1096)).count == OLD
    assert database.write(carry_out) == 3
    verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
    assert (verdict.findings, verdict.pruned, verdict.pruned_upto) == ((), 3, OLD)
    assert database.read(lambda c: find_entries(c, limit=100))[-1].seq == OLD + 1
    assert await prune(database, SIGNER, NOW) == 1
    assert len(database.read(read_prunings)) == 1
    assert findings(database) == []


async def test_a_service_appends_meanwhile(database: Database, store_url: str) -> None:
    with Database(store_url) as other:
        async with Register(other, SIGNER, lambda: NOW, checkpoint_every=3) as register:
            _, *numbers = await asyncio.gather(
                prune(database, SIGNER, NOW), *(register.append(an_entry(1100)) for _ in range(30))
            )
            await register.append(an_entry(1100))
    assert len(set(numbers)) == 30
    assert findings(database) == []


async def test_a_clock_that_was_ahead_makes_it_keep_more_not_less(database: Database) -> None:
    async with Register(database, SIGNER, lambda: NOW) as register:
        await register.append(an_entry(9000))
        await register.append(an_entry(20))
    assert database.read(lambda c: due(c, Ms(NOW + 1000 * DAY_MS), 1096)).upto == 20
    assert database.read(lambda c: due(c, Ms(START - 1), 1096)).count == 0


def test_less_than_the_law_wants_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInputError, match="184 days"):
        database.read(lambda c: due(c, NOW, 183))


async def test_the_database_lets_nothing_be_emptied_by_another_way(database: Database) -> None:
    async def refused(statement: str) -> None:
        with pytest.raises(DBAPIError, match="append-only"):
            database.write(lambda c: c.exec_driver_sql(statement) and None)

    for seq in (1, 7):
        with pytest.raises(DBAPIError, match="append-only"):
            blank(database, f"seq = {seq}")
    # Nothing is announced that no entry says, that is too young, or that goes backwards.
    await refused(f"INSERT INTO register_pruning VALUES (20, 4, {START + 5 * DAY_MS})")
    await refused(f"INSERT INTO register_pruning VALUES (21, 4, {START + 5 * DAY_MS})")
    database.write(lambda c: announce(c, SIGNER, NOW, 1096))
    await refused(f"INSERT INTO register_pruning VALUES (21, 19, {NOW})")
    await refused("UPDATE register_pruning SET upto = 19")
    await refused("DELETE FROM register_pruning")
    await refused("UPDATE register_entry SET user_id = NULL WHERE seq = 1")
    await refused("UPDATE register_entry SET body = leaf WHERE seq = 1")
    await refused("DELETE FROM register_entry WHERE seq = 1")
    with pytest.raises(DBAPIError, match="append-only"):
        blank(database, f"seq = {OLD + 1}")
    blank(database, "seq = 1")
    assert findings(database) == []


async def test_what_is_emptied_by_another_way_is_damage(database: Database) -> None:
    await prune(database, SIGNER, NOW)
    take_triggers_away(database)
    blank(database, "seq IN (7, 8, 9, 12)")
    assert findings(database) == [(Wrong.EMPTIED, 7), (Wrong.EMPTIED, 12)]
    database.write(
        lambda c: c.exec_driver_sql("UPDATE register_entry SET user_id = 'x' WHERE seq = 2") and None
    )
    assert (Wrong.CHANGED, 2) in findings(database)
    database.write(
        lambda c: c.exec_driver_sql("UPDATE register_entry SET leaf = link WHERE seq = 3") and None
    )
    assert (Wrong.CHAIN, 3) in findings(database)


async def test_a_removal_that_the_key_did_not_sign_permits_nothing(database: Database) -> None:
    """Somebody with the database in their hands, and a key of their own under the same name."""
    forger = Signer("city.example/register", bytes([7] * 32))
    await prune(database, forger, NOW)
    assert (Wrong.EMPTIED, 1) in findings(database)
    assert (Wrong.EMPTIED, 21) in findings(database)


def test_a_removal_passes_for_no_checkpoint_and_a_checkpoint_for_no_removal() -> None:
    with pytest.raises(NoteError, match="another register"):
        SIGNER.verifier.open(SIGNER.sign_removal(4, bytes(32), 5))
    with pytest.raises(NoteError):
        SIGNER.verifier.open_removal(SIGNER.sign(4, bytes(32)))
    assert SIGNER.verifier.open_removal(SIGNER.sign_removal(4, bytes(32), 5)).before == 5


async def test_the_words_are_not_left_in_the_file(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL's vacuum does it in its own time")
    path = database.url.database
    assert path is not None
    await prune(database, SIGNER, NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    stored = Path(path).read_bytes()
    assert b'"camera":"c2"' not in stored
    assert b'"camera":"c7"' in stored
    assert database.read(lambda c: read_entry(c, 3)) is not None
