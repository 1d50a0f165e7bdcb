"""The register on every database: one chain, whatever is refused by triggers, and proofs."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import DBAPIError

from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.proof import check_export, export, prove_consistency, prove_inclusion
from sharpeyes.access.register.verify import Wrong, verify
from sharpeyes.access.register.writer import Register, append_now
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database

SIGNER = Signer("city.example/register", bytes(32))


def an_entry(number: int) -> Entry:
    return Entry(kind=Kind.SNAPSHOT, at=Ms(1_790_000_000_000 + number), user="u1", camera=f"c{number}")


def a_register(database: Database) -> Register:
    return Register(database, SIGNER, lambda: Ms(1), checkpoint_every=10)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with Database(store_url) as made:
        made.upgrade()
        yield made


async def test_two_processes_make_one_chain_that_verifies_and_proves(
    database: Database, store_url: str
) -> None:
    with Database(store_url) as other:
        async with a_register(database) as one, a_register(other) as two:
            numbers = await asyncio.gather(
                *((one if number % 3 else two).append(an_entry(number)) for number in range(200))
            )
        append_now(other, [an_entry(200)])
    assert sorted(numbers) == list(range(1, 201))
    verdict = database.read(lambda c: verify(c, (SIGNER.verifier,)))
    assert verdict.findings == ()
    assert (verdict.entries, verdict.covered) == (201, 200)
    assert database.read(lambda c: prove_inclusion(c, 77)).holds(SIGNER.verifier)
    assert len(database.read(lambda c: prove_consistency(c, 77, 201)).hashes) > 3
    lines = database.read(lambda c: list(export(c, 5, 150)))
    assert check_export(lines, SIGNER.verifier).last == 150


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE register_entry SET user_id = 'u2' WHERE seq = 3",
        "DELETE FROM register_entry WHERE seq = 12",
        "UPDATE register_node SET position = position + 1",
        "DELETE FROM register_node",
        "UPDATE register_checkpoint SET note = ''",
        "DELETE FROM register_checkpoint",
    ],
)
async def test_the_database_refuses_to_alter_it(database: Database, statement: str) -> None:
    async with a_register(database) as register:
        await asyncio.gather(*(register.append(an_entry(number)) for number in range(12)))
    with pytest.raises(DBAPIError, match="append-only"):
        database.write(lambda c: c.exec_driver_sql(statement))
    assert database.read(lambda c: verify(c, (SIGNER.verifier,))).ok


async def test_it_cannot_be_emptied_at_once(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has no TRUNCATE")
    async with a_register(database) as register:
        await register.append(an_entry(1))
    with pytest.raises(DBAPIError, match="append-only"):
        database.write(lambda c: c.exec_driver_sql("TRUNCATE register_entry"))


async def test_what_is_altered_nevertheless_is_found(database: Database) -> None:
    async with a_register(database) as register:
        await asyncio.gather(*(register.append(an_entry(number)) for number in range(25)))
    away = (
        "DROP TRIGGER register_entry_no_update"
        if database.is_sqlite
        else "DROP TRIGGER register_entry_no_change ON register_entry"
    )
    database.write(lambda c: c.exec_driver_sql(away) and None)
    database.write(
        lambda c: c.exec_driver_sql("UPDATE register_entry SET camera_id = 'x' WHERE seq = 13") and None
    )
    findings = database.read(lambda c: verify(c, (SIGNER.verifier,))).findings
    assert [(finding.wrong, finding.entry) for finding in findings] == [(Wrong.CHANGED, 13)]
