"""The register in a real database: what goes in stays, and whatever is done to it shows, by its row."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from sharpeyes.access.register.chain import next_link
from sharpeyes.access.register.entry import Entry, Kind, decode, encode
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.proof import check_export, export, prove_consistency, prove_inclusion
from sharpeyes.access.register.tree import Frontier, leaf_hash
from sharpeyes.access.register.verify import Verdict, Wrong, verify
from sharpeyes.access.register.writer import Register, RegisterDamagedError, append_now, last_filed, signer_at
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database
from sharpeyes.store.register import GENESIS, find_entries, find_span, read_entries, read_entry

ORIGIN = "city.example/register"
SIGNER = Signer(ORIGIN, bytes(range(32)))
EVERY = 10
TRIGGERS = [
    f"{table}_{what}"
    for table in ("register_entry", "register_node", "register_checkpoint")
    for what in ("no_update", "no_delete", "in_order")
]


def clock() -> Ms:
    return Ms(1_790_000_000_000)


def an_entry(number: int) -> Entry:
    return Entry(
        kind=Kind.VIEW_STARTED, at=Ms(1_000 * number), user="u1", camera=f"c{number}", details={"n": number}
    )


class Site:
    """A database with its checkpoint file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.db"
        self.file = folder / "checkpoints"
        self.database = Database(f"sqlite:///{self.path}")
        self.database.upgrade()

    def register(self, **options: object) -> Register:
        settings = {"checkpoint_file": self.file, "checkpoint_every": EVERY, **options}
        return Register(self.database, SIGNER, clock, **settings)  # type: ignore[arg-type]

    async def fill(self, count: int) -> None:
        async with self.register() as register:
            for number in range(register.size + 1, register.size + count + 1):
                await register.append(an_entry(number))

    def verify(self) -> Verdict:
        text = self.file.read_text() if self.file.exists() else None
        return self.database.read(lambda c: verify(c, (SIGNER.verifier,), text))

    def tamper(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """What somebody with the database in their hands does: away with the triggers, then at the rows."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for trigger in TRIGGERS:
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            for statement, values in statements:
                connection.execute(statement, values)
        connection.close()

    def rechain(
        self, edit: Callable[[list[bytes]], None], *, nodes: bool = True, notes: bool = False
    ) -> None:
        """What a patient forger does: edit the bodies, then compute every hash anew."""
        bodies = [row.body for rows in self.database.read(lambda c: list(read_entries(c))) for row in rows]
        edit(bodies)
        statements: list[tuple[str, tuple[object, ...]]] = [("DELETE FROM register_entry", ())]
        if nodes:
            statements.append(("DELETE FROM register_node", ()))
        link, tree = GENESIS, Frontier()
        for seq, body in enumerate(bodies, 1):
            entry, leaf = decode(body), leaf_hash(body)
            link = next_link(link, leaf)
            row = (seq, entry.at, str(entry.kind), entry.user, entry.camera, leaf, link, body)
            statements.append(("INSERT INTO register_entry VALUES (?,?,?,?,?,?,?,?)", row))
            made = tree.append(leaf)
            if nodes:
                statements += [("INSERT INTO register_node VALUES (?,?,?)", node) for node in made]
        if notes:
            forged = Signer(ORIGIN, bytes(32)).sign(tree.size, tree.root())
            statements.append(("DELETE FROM register_checkpoint", ()))
            statements.append(("INSERT INTO register_checkpoint VALUES (?,?,?)", (tree.size, 0, forged)))
        self.tamper(*statements)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    yield made
    made.database.close()


async def test_entries_come_back_in_order_and_verify(site: Site) -> None:
    await site.fill(25)
    rows = site.database.read(lambda c: next(read_entries(c)))
    assert [decode(row.body) for row in rows] == [an_entry(number) for number in range(1, 26)]
    verdict = site.verify()
    assert verdict.ok
    assert (verdict.entries, verdict.covered, verdict.checkpoints) == (25, 25, 3)  # 10, 20, and at the end


async def test_an_empty_register_verifies(site: Site) -> None:
    verdict = site.verify()
    assert (verdict.ok, verdict.entries, verdict.covered) == (True, 0, 0)


async def test_the_chain_goes_on_after_a_restart(site: Site) -> None:
    await site.fill(7)
    await site.fill(8)
    assert site.verify().entries == 15
    assert site.verify().ok


async def test_many_writers_make_one_chain(site: Site) -> None:
    async with site.register() as register:
        numbers = await asyncio.gather(*(register.append(an_entry(number)) for number in range(1000)))
    assert numbers == list(range(1, 1001))
    stored = [
        decode(row.body) for rows in site.database.read(lambda c: list(read_entries(c))) for row in rows
    ]
    assert stored == [an_entry(number) for number in range(1000)]
    assert site.verify().ok


async def test_two_processes_make_one_chain(site: Site) -> None:
    other = Database(f"sqlite:///{site.path}")
    async with site.register() as one, Register(other, SIGNER, clock, checkpoint_every=7) as two:
        numbers = await asyncio.gather(
            *((one if number % 3 else two).append(an_entry(number)) for number in range(300))
        )
    other.close()
    assert sorted(numbers) == list(range(1, 301))
    assert site.verify().ok


async def test_what_waits_for_its_commit_is_bounded(site: Site) -> None:
    async with site.register(queue=4, batch=2) as register:
        await asyncio.gather(*(register.append(an_entry(number)) for number in range(50)))
    assert site.verify().entries == 50


async def test_a_change_and_its_entries_are_durable_together(site: Site) -> None:
    def change(connection: Connection) -> tuple[list[Entry], str]:
        connection.exec_driver_sql("INSERT INTO heartbeat VALUES ('a', 1)")
        return [an_entry(1), an_entry(2)], "done"

    async with site.register() as register:
        assert await register.record(change) == "done"
        assert register.size == 2
    assert site.database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM heartbeat").scalar()) == 1


async def test_a_change_that_fails_leaves_nothing_and_harms_nobody(site: Site) -> None:
    def change(connection: Connection) -> tuple[list[Entry], None]:
        connection.exec_driver_sql("INSERT INTO heartbeat VALUES ('a', 1)")
        raise ForbiddenError("no")

    def unwritable(connection: Connection) -> tuple[list[Entry], None]:
        connection.exec_driver_sql("INSERT INTO heartbeat VALUES ('b', 1)")
        return [Entry(kind=Kind.LOGIN, at=Ms(1), details={"x": 1.5})], None  # type: ignore[dict-item]

    async with site.register() as register:
        answers = await asyncio.gather(
            register.append(an_entry(1)),
            register.record(change),
            register.record(unwritable),
            register.append(an_entry(2)),
            return_exceptions=True,
        )
    assert [type(answer) for answer in answers] == [int, ForbiddenError, InvalidInputError, int]
    assert site.database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM heartbeat").scalar()) == 0
    assert site.verify().ok
    assert site.verify().entries == 2


async def test_a_commit_that_fails_is_told_and_the_next_one_works(site: Site) -> None:
    async with site.register() as register:
        await register.append(an_entry(1))
        site.tamper(
            ("CREATE TRIGGER full BEFORE INSERT ON register_entry BEGIN SELECT RAISE(ABORT, 'full'); END", ())
        )
        with pytest.raises(UnavailableError, match="could not be written"):
            await register.append(an_entry(2))
        site.tamper(("DROP TRIGGER full", ()))
        assert await register.append(an_entry(2)) == 2
    assert site.verify().ok


async def test_a_disk_that_fills_up_takes_back_nothing_that_was_acknowledged(site: Site) -> None:
    """SQLite gives up the whole transaction then, not only the change that found no room."""

    def note(name: str) -> Callable[[Connection], tuple[list[Entry], str]]:
        def change(connection: Connection) -> tuple[list[Entry], str]:
            connection.exec_driver_sql(f"INSERT INTO heartbeat VALUES ('{name}', 1)")
            return [an_entry(1)], name

        return change

    def huge(connection: Connection) -> tuple[list[Entry], str]:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("INSERT INTO heartbeat VALUES (hex(zeroblob(4000000)), 1)")
        return [an_entry(2)], "huge"

    async with site.register() as register:
        answers = await asyncio.gather(
            register.record(note("before")),
            register.record(huge),
            register.record(note("after")),
            register.append(an_entry(3)),
            return_exceptions=True,
        )
        names = [row[0] for row in site.database.read(lambda c: c.exec_driver_sql("SELECT * FROM heartbeat"))]
        assert sorted(names) == sorted(answer for answer in answers if isinstance(answer, str))
        assert site.verify().entries == register.size == sum(isinstance(a, (str, int)) for a in answers)
        site.database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").close())
        assert await register.record(note("later")) == "later"
    assert site.verify().ok


async def test_callers_who_leave_harm_nobody(site: Site) -> None:
    async with site.register(queue=10, batch=5) as register:
        asks = [asyncio.ensure_future(register.append(an_entry(number))) for number in range(100)]
        await asyncio.sleep(0)
        for ask in asks[::2]:
            ask.cancel()
        numbers = await asyncio.gather(*asks[1::2])
        assert numbers == sorted(numbers)
        assert register.healthy
    stored = {row.camera_id for rows in site.database.read(lambda c: list(read_entries(c))) for row in rows}
    assert {f"c{number}" for number in range(1, 100, 2)} <= stored
    assert site.verify().ok


async def test_nothing_is_taken_before_and_after(site: Site) -> None:
    register = site.register()
    with pytest.raises(UnavailableError):
        await register.append(an_entry(1))
    async with register:
        await register.append(an_entry(1))
    with pytest.raises(UnavailableError):
        await register.append(an_entry(2))


async def test_a_checkpoint_follows_within_the_interval(site: Site) -> None:
    async with site.register(checkpoint_interval_s=0.01) as register:
        await register.append(an_entry(1))
        await until(lambda: site.file.exists() and last_filed(site.file) is not None)
        assert SIGNER.verifier.open(last_filed(site.file) or "").size == 1


async def until(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def test_what_a_command_appended_is_signed_by_the_idle_service(site: Site) -> None:
    async with site.register(checkpoint_interval_s=0.02):
        append_now(site.database, [an_entry(1), an_entry(2)])
        await until(lambda: site.verify().covered == 2)
        append_now(site.database, [an_entry(3)])
        await until(lambda: site.verify().covered == 3)
    assert site.verify().ok


async def test_a_checkpoint_file_that_comes_back_gets_what_it_missed(site: Site) -> None:
    folder = site.file.parent / "mount"
    folder.write_text("not a folder yet")
    site.file = folder / "checkpoints"
    async with site.register(checkpoint_interval_s=0.02, checkpoint_file=None) as register:
        await register.append(an_entry(1))
    folder.unlink()
    folder.mkdir()
    async with site.register(checkpoint_interval_s=0.02) as register:
        await register.append(an_entry(2))
        folder.rename(folder.with_name("away"))
        folder.write_text("in the way")
        await register.append(an_entry(3))
        await until(lambda: not register.healthy)
        folder.unlink()
        folder.with_name("away").rename(folder)
        await until(lambda: register.healthy)
    verdict = site.verify()
    assert (verdict.ok, verdict.covered) == (True, 3)
    assert "\n3\n" in site.file.read_text()


@pytest.mark.parametrize("how", [Path.unlink, lambda file: file.write_bytes(b"\n")])
async def test_a_checkpoint_file_that_is_gone_does_not_go_unsaid(
    site: Site, caplog: pytest.LogCaptureFixture, how: Callable[[Path], object]
) -> None:
    """Whoever puts an old database back must take the file away, or be found out."""
    await site.fill(EVERY)
    caplog.clear()
    await site.fill(1)
    assert "no checkpoint" not in caplog.text
    how(site.file)
    await site.fill(1)
    assert "holds no checkpoint, and the database does" in caplog.text
    assert site.verify().ok


# --- what the database itself refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE register_entry SET user_id = 'u2' WHERE seq = 3",
        "DELETE FROM register_entry WHERE seq = 12",
        "INSERT OR REPLACE INTO register_entry SELECT seq, 0, kind, user_id, camera_id, leaf, link, body "
        "FROM register_entry WHERE seq = 3",
        "INSERT INTO register_entry SELECT 99, 0, kind, user_id, camera_id, leaf, link, body "
        "FROM register_entry WHERE seq = 3",
        "UPDATE register_node SET hash = x'00'",
        "DELETE FROM register_node",
        "INSERT OR REPLACE INTO register_node SELECT level, position, x'00' FROM register_node",
        "UPDATE register_checkpoint SET size = 1",
        "DELETE FROM register_checkpoint",
        "INSERT OR REPLACE INTO register_checkpoint SELECT size, 1, 'x' FROM register_checkpoint",
    ],
)
async def test_the_database_refuses_to_alter_the_register(site: Site, statement: str) -> None:
    await site.fill(12)
    with pytest.raises(IntegrityError, match="append-only"):
        site.database.write(lambda c: c.exec_driver_sql(statement))
    assert site.verify().ok


# --- what somebody does who took the triggers away ----------------------------------------------------


def found(verdict: Verdict, wrong: Wrong) -> str:
    return next(finding.message for finding in verdict.findings if finding.wrong is wrong)


async def test_a_changed_entry(site: Site) -> None:
    await site.fill(25)
    body = encode(an_entry(99))
    site.tamper(("UPDATE register_entry SET body = ? WHERE seq = 13", (body,)))
    verdict = site.verify()
    assert found(verdict, Wrong.CHANGED) == "entry 13 was changed: its content does not match its hash"
    assert [finding.entry for finding in verdict.findings] == [13]


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("user_id", "u2", "user"),
        ("camera_id", None, "camera"),
        ("kind", "login", "kind"),
        ("at_ms", 5, "time"),
    ],
)
async def test_a_changed_column(site: Site, column: str, value: object, name: str) -> None:
    await site.fill(25)
    site.tamper((f"UPDATE register_entry SET {column} = ? WHERE seq = 13", (value,)))
    assert (
        found(site.verify(), Wrong.CHANGED) == f"entry 13 was changed: its {name} is not what was registered"
    )


async def test_an_entry_changed_with_its_hash(site: Site) -> None:
    await site.fill(25)
    body = encode(Entry(kind=Kind.VIEW_STARTED, at=Ms(13_000), user="u2", camera="c13"))
    site.tamper(
        (
            "UPDATE register_entry SET body = ?, leaf = ?, user_id = 'u2' WHERE seq = 13",
            (body, leaf_hash(body)),
        )
    )
    verdict = site.verify()
    assert found(verdict, Wrong.CHAIN).startswith("entry 13 does not follow the entry before it")
    assert found(verdict, Wrong.TREE).startswith("the tree does not fit entries 13 to 14")
    assert found(verdict, Wrong.REWRITTEN).startswith("entries 11 to 20 are not those")


async def test_a_deleted_entry(site: Site) -> None:
    await site.fill(25)
    site.tamper(("DELETE FROM register_entry WHERE seq = 13", ()))
    verdict = site.verify()
    assert [finding.message for finding in verdict.findings] == ["entry 13 is missing: deleted"]
    site.tamper(("DELETE FROM register_entry WHERE seq IN (14, 15)", ()))
    assert found(site.verify(), Wrong.MISSING) == "entries 13 to 15 are missing: deleted"


async def test_a_deleted_entry_with_the_rest_renumbered(site: Site) -> None:
    await site.fill(25)
    site.tamper(
        ("DELETE FROM register_entry WHERE seq = 13", ()),
        ("UPDATE register_entry SET seq = seq + 100 WHERE seq > 13", ()),
        ("UPDATE register_entry SET seq = seq - 101 WHERE seq > 100", ()),
    )
    verdict = site.verify()
    assert found(verdict, Wrong.CHAIN).startswith("entry 13 does not follow")
    assert found(verdict, Wrong.CUT).startswith("the end is cut off")


async def test_an_inserted_entry(site: Site) -> None:
    await site.fill(25)
    body = encode(an_entry(99))
    site.tamper(
        ("UPDATE register_entry SET seq = seq + 100 WHERE seq >= 13", ()),
        ("UPDATE register_entry SET seq = seq - 99 WHERE seq > 100", ()),
        (
            "INSERT INTO register_entry VALUES (13, 99000, 'view_started', 'u1', 'c99', ?, ?, ?)",
            (leaf_hash(body), bytes(32), body),
        ),
    )
    assert found(site.verify(), Wrong.CHAIN).startswith("entry 13 does not follow the entry before it")


async def test_two_entries_that_changed_places(site: Site) -> None:
    await site.fill(25)
    site.tamper(
        ("UPDATE register_entry SET seq = 113 WHERE seq = 13", ()),
        ("UPDATE register_entry SET seq = 13 WHERE seq = 17", ()),
        ("UPDATE register_entry SET seq = 17 WHERE seq = 113", ()),
    )
    assert found(site.verify(), Wrong.CHAIN).startswith("entry 13 does not follow the entry before it")


async def test_a_register_re_chained_without_its_tree(site: Site) -> None:
    await site.fill(25)
    site.rechain(lambda bodies: bodies.__setitem__(12, encode(an_entry(99))), nodes=False)
    verdict = site.verify()
    assert found(verdict, Wrong.TREE).startswith("the tree does not fit entries 13 to 14")
    assert found(verdict, Wrong.REWRITTEN).startswith("entries 11 to 20 are not those")


async def test_a_register_re_chained_with_its_tree(site: Site) -> None:
    await site.fill(25)
    site.rechain(lambda bodies: bodies.__setitem__(12, encode(an_entry(99))))
    verdict = site.verify()
    assert {finding.wrong for finding in verdict.findings} == {Wrong.REWRITTEN}
    assert verdict.findings[0].entry == 11
    assert (
        "entries 11 to 20 are not those that checkpoint 20 in the database was signed"
        in verdict.findings[0].message
    )
    assert verdict.covered == 10


async def test_a_register_re_chained_with_checkpoints_of_another_key(site: Site) -> None:
    await site.fill(25)
    site.rechain(lambda bodies: bodies.__setitem__(12, encode(an_entry(99))), notes=True)
    verdict = site.verify()
    assert found(verdict, Wrong.CHECKPOINT) == (
        "checkpoint 25 in the database: the checkpoint is not signed by this register's key"
    )
    assert "checkpoint no. 2 in the file" in found(verdict, Wrong.REWRITTEN)


async def test_a_tail_cut_off_with_all_that_speaks_of_it(site: Site) -> None:
    """Everything in the database agrees that it ends at 18. The file outside it knows better."""
    await site.fill(25)

    def cut(bodies: list[bytes]) -> None:
        del bodies[18:]

    site.rechain(cut)
    site.tamper(("DELETE FROM register_checkpoint WHERE size > 18", ()))
    verdict = site.verify()
    assert found(verdict, Wrong.CUT) == (
        "the end is cut off: checkpoint no. 3 in the file was signed over 25 entries, and the last one "
        "here is 18: entries 19 to 25 are gone"
    )
    assert verdict.findings[0].entry == 19
    with pytest.raises(RegisterDamagedError, match="18 entries are here, and the checkpoint over 25"):
        await site.fill(1)


async def test_a_tail_cut_off_that_the_tree_remembers(site: Site) -> None:
    await site.fill(25)
    site.tamper(("DELETE FROM register_entry WHERE seq > 19", ()), ("DELETE FROM register_checkpoint", ()))
    site.file.unlink()
    assert "the tree speaks of 24 entries" in found(site.verify(), Wrong.CUT)


async def test_a_forged_checkpoint_in_the_file(site: Site) -> None:
    await site.fill(25)
    text = site.file.read_text()
    site.file.write_text(text.replace("\n20\n", "\n21\n"))
    assert found(site.verify(), Wrong.CHECKPOINT) == (
        "checkpoint no. 2 in the file: the signature does not hold: forged or damaged"
    )


async def test_a_checkpoint_moved_to_another_size(site: Site) -> None:
    await site.fill(25)
    site.tamper(("UPDATE register_checkpoint SET size = 11 WHERE size = 10", ()))
    assert found(site.verify(), Wrong.CHECKPOINT) == (
        "checkpoint 11 in the database is stored under another size than it states"
    )


async def test_two_registers_under_one_key(site: Site) -> None:
    await site.fill(25)
    with site.file.open("a") as file:
        file.write(SIGNER.sign(20, bytes(32)))
    assert "two different registers of 20 entries were signed" in found(site.verify(), Wrong.CHECKPOINT)


async def test_a_register_that_was_rewritten_is_not_appended_to(site: Site) -> None:
    await site.fill(25)
    site.rechain(lambda bodies: bodies.__setitem__(2, encode(an_entry(99))))
    with pytest.raises(RegisterDamagedError, match="audit verify"):
        await site.fill(1)


async def test_a_stranger_with_another_key_appends_nothing(site: Site) -> None:
    await site.fill(5)
    stranger = Register(site.database, Signer(ORIGIN, bytes(32)), clock)
    with pytest.raises(RegisterDamagedError, match="not signed by its key"):
        await stranger.__aenter__()


# --- keys and files -----------------------------------------------------------------------------------


async def test_a_key_that_was_replaced_still_vouches_for_what_it_signed(tmp_path: Path, site: Site) -> None:
    key = tmp_path / "register.key"
    old, verifiers = signer_at(key, ORIGIN)
    assert key.stat().st_mode & 0o777 == 0o600
    async with Register(
        site.database, old, clock, verifiers=verifiers, checkpoint_file=site.file
    ) as register:
        await register.append(an_entry(1))
    fresh = tmp_path / "fresh.key"
    signer_at(fresh, ORIGIN)
    key.write_text(fresh.read_text() + key.read_text())
    new, verifiers = signer_at(key, ORIGIN)
    assert new.verifier != old.verifier
    async with Register(
        site.database, new, clock, verifiers=verifiers, checkpoint_file=site.file
    ) as register:
        await register.append(an_entry(2))
    verdict = site.database.read(lambda c: verify(c, verifiers, site.file.read_text()))
    assert verdict.ok
    assert verdict.checkpoints == 2


async def test_a_checkpoint_cut_short_by_a_crash_is_written_again(site: Site) -> None:
    await site.fill(25)
    whole = site.file.read_bytes()
    for cut in (1, 5, 60, 100, 150, len(whole) // 2, len(whole)):
        site.file.write_bytes(whole[:-cut])
        await site.fill(0)
        assert site.file.read_bytes() == whole
    site.file.unlink()
    await site.fill(0)
    assert site.file.read_bytes() == whole


async def test_entries_are_written_although_the_file_cannot_be(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.file.mkdir()
    (site.file / "x").touch()
    register = site.register(checkpoint_file=site.file / "x" / "below-a-file")
    async with register:
        for number in range(1, 31):
            await register.append(an_entry(number))
            await asyncio.sleep(0)
        await until(lambda: not register.healthy)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1  # said once, not at each checkpoint
    assert "cannot be written" in errors[0].getMessage()
    assert site.database.read(lambda c: verify(c, (SIGNER.verifier,))).ok


# --- proofs -------------------------------------------------------------------------------------------


async def test_every_entry_can_be_proven(site: Site) -> None:
    await site.fill(25)
    for seq in range(1, 26):
        proof = site.database.read(lambda c, seq=seq: prove_inclusion(c, seq))
        assert proof.holds(SIGNER.verifier)
        assert decode(proof.body) == an_entry(seq)
        assert not proof.holds(Signer(ORIGIN, bytes(32)).verifier)
    with pytest.raises(NotFoundError, match="no entry 26"):
        site.database.read(lambda c: prove_inclusion(c, 26))


async def test_growth_can_be_proven(site: Site) -> None:
    await site.fill(25)
    roots = {}
    tree = Frontier()
    for number in range(1, 26):
        tree.append(leaf_hash(encode(an_entry(number))))
        roots[tree.size] = tree.root()
    for old in range(1, 26):
        proof = site.database.read(lambda c, old=old: prove_consistency(c, old, 25))
        assert proof.holds(roots[old], roots[25])
        assert not proof.holds(bytes(32), roots[25])
    with pytest.raises(InvalidInputError):
        site.database.read(lambda c: prove_consistency(c, 3, 26))


@pytest.mark.parametrize(("first", "last"), [(1, 25), (1, 1), (25, 25), (7, 19), (16, 17), (1, 24)])
async def test_an_export_is_checked_offline(site: Site, first: int, last: int) -> None:
    await site.fill(25)
    lines = site.database.read(lambda c: list(export(c, first, last)))
    checked = check_export(lines, SIGNER.verifier)
    assert (checked.first, checked.last, checked.size, checked.origin) == (first, last, 25, ORIGIN)


async def test_an_export_that_was_touched_is_refused(site: Site) -> None:
    await site.fill(25)
    lines = site.database.read(lambda c: list(export(c, 7, 19)))

    def refusal(bent: list[str]) -> str:
        with pytest.raises(InvalidInputError) as caught:
            check_export(bent, SIGNER.verifier)
        return caught.value.message

    assert "altered" in refusal([line.replace("c9", "c8") for line in lines])
    assert "line 4: entry 9 should stand here" in refusal([*lines[:3], *lines[4:]])
    assert "entry 19 is missing" in refusal(lines[:-1])
    assert "entry 20 should stand here" in refusal([*lines, lines[-1].replace('"seq":19', '"seq":20')])
    shorter = lines[0].replace('"size":25', '"size":24')
    assert "over another number of entries" in refusal([shorter, *lines[1:]])
    assert "forged" in refusal([lines[0].replace("\\n25\\n", "\\n26\\n"), *lines[1:]])
    assert "line 1: is not a JSON object" in refusal([])
    assert "not an export" in refusal(["{}"])
    assert "line 2: is not a JSON object" in refusal([lines[0], "[]"])
    with pytest.raises(InvalidInputError, match="not signed"):
        check_export(lines, Signer(ORIGIN, bytes(32)).verifier)


async def test_what_no_checkpoint_covers_is_not_exported(site: Site) -> None:
    await site.fill(25)
    async with site.register(checkpoint_every=1000) as register:
        await register.append(an_entry(26))
        assert len(site.database.read(lambda c: list(export(c, 20, 26)))) == 1 + 6
        with pytest.raises(NotFoundError, match="not covered by a checkpoint yet"):
            site.database.read(lambda c: prove_inclusion(c, 26))


# --- looking things up --------------------------------------------------------------------------------


async def test_entries_are_found_by_what_auditors_ask_for(site: Site) -> None:
    await site.fill(25)

    def look(**wanted: object) -> list[int]:
        return [row.seq for row in site.database.read(lambda c: find_entries(c, **wanted))]  # type: ignore[arg-type]

    assert look(limit=3) == [25, 24, 23]
    assert look(limit=2, before=24) == [23, 22]
    assert look(camera="c9") == [9]
    assert look(user="u2") == []
    assert look(kind="view_started", start=Ms(4_000), end=Ms(6_000)) == [5, 4]
    assert site.database.read(lambda c: find_span(c, Ms(4_000), Ms(6_001))) == (4, 6)
    assert site.database.read(lambda c: find_span(c, Ms(0), Ms(1))) == (0, 0)
    assert site.database.read(lambda c: read_entry(c, 99)) is None
