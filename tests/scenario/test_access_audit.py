"""``sharpeyes audit`` as an auditor uses it."""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.access.register.writer import (
    CHECKPOINT_FILE,
    KEY_FILE,
    ORIGIN,
    Register,
    append_now,
    signer_at,
)
from sharpeyes.cli.audit import audit
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database

START = 1_790_000_000_000  # 2026-09-21T14:13:20Z
SPAN = ("--from", "2026-09-21T22:13:25+08:00", "--to", "2026-09-21T14:13:35Z")  # entries 6 to 15


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)

    async def fill() -> None:
        signer, verifiers = signer_at(tmp_path / KEY_FILE, ORIGIN)
        file = tmp_path / CHECKPOINT_FILE
        register = Register(database, signer, lambda: Ms(START), verifiers=verifiers, checkpoint_file=file)
        async with register:
            for number in range(20):
                at = Ms(START + 1000 * number)
                entry = Entry(kind=Kind.VIEW_STARTED, at=at, user="u1", unit="traffic", purpose="traffic")
                await register.append(entry)

    with Database(f"sqlite:///{tmp_path}/sharpeyes.db") as database:
        database.upgrade()
        asyncio.run(fill())
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(audit, words)


def refusal(*words: str) -> str:
    result = run(*words)
    assert isinstance(result.exception, SharpEyesError)  # main() prints it and leaves with 2
    return str(result.exception)


def vkey(site: Path) -> str:
    result = run("key", "--data-dir", str(site))
    assert result.exit_code == 0
    return result.stdout.strip()


def test_a_whole_register(site: Path) -> None:
    result = run("verify", "--data-dir", str(site))
    assert result.exit_code == 0
    assert result.stdout == (
        "The register is whole: 20 entries, 20 of them covered by 1 checkpoints that hold\n"
    )
    told = json.loads(run("verify", "--data-dir", str(site), "--json").stdout)
    assert told["ok"] is True
    assert told["checkpoint_file"] is True
    assert told["findings"] == []


def test_an_altered_register(site: Path) -> None:
    with closing(sqlite3.connect(site / "sharpeyes.db")) as connection, connection:
        connection.execute("DROP TRIGGER register_entry_no_update")
        connection.execute("UPDATE register_entry SET user_id = 'u2' WHERE seq = 7")
    connection.close()
    result = run("verify", "--data-dir", str(site))
    assert result.exit_code == 1
    assert result.stdout.startswith("entry 7 was changed: its user is not what was registered\n")
    told = json.loads(run("verify", "--data-dir", str(site), "--json").stdout)
    assert told["findings"][0]["entry"] == 7


def test_verifying_needs_only_the_public_key_and_a_copy_of_the_checkpoints(site: Path) -> None:
    key = vkey(site)
    kept = site / "elsewhere.txt"
    (site / CHECKPOINT_FILE).rename(kept)
    (site / KEY_FILE).unlink()
    words = ("verify", "--data-dir", str(site), "--key", key)
    assert run(*words, "--checkpoints", str(kept)).exit_code == 0
    without = run(*words)
    assert without.exit_code == 0
    assert "No checkpoint file was compared" in without.stderr
    (site / CHECKPOINT_FILE).write_text("\n")  # emptied is gone
    assert "No checkpoint file was compared" in run(*words).stderr
    assert not (site / KEY_FILE).exists()  # no key is made by looking for one
    assert "there is no key" in refusal("verify", "--data-dir", str(site))


def test_a_copy_for_a_third_party(site: Path) -> None:
    key, out = vkey(site), site / "copy.jsonl"
    result = run("export", *SPAN, "--out", str(out), "--data-dir", str(site))
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines[1:]] == list(range(6, 16))
    elsewhere = site / "elsewhere"
    elsewhere.mkdir()
    words = ("check", str(out), "--key", key, "--data-dir", str(elsewhere))
    assert run(*words).stdout == f"Entries 6 to 15 of {ORIGIN}: whole and unaltered\n"
    assert json.loads(run(*words, "--json").stdout)["last"] == 15
    out.write_text(out.read_text().replace('"u1', '"u2').replace('\\"u1', '\\"u2'))
    assert run(*words).exit_code == 1
    told = json.loads(run(*words, "--json").stdout)
    assert (told["ok"], "altered" in told["error"]) == (False, True)


def test_a_copy_on_standard_output(site: Path) -> None:
    result = run("export", *SPAN, "--out", "-", "--data-dir", str(site))
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()[1:]] == list(range(6, 16))
    assert "cannot be written" in refusal("export", *SPAN, "--out", "/nowhere/x", "--data-dir", str(site))


def test_taking_a_copy_is_registered_itself(site: Path) -> None:
    run("export", *SPAN, "--out", str(site / "copy"), "--data-dir", str(site))
    with closing(sqlite3.connect(site / "sharpeyes.db")) as connection, connection:
        body = connection.execute("SELECT body FROM register_entry WHERE seq = 21").fetchone()[0]
    connection.close()
    entry = json.loads(body)
    assert (entry["kind"], entry["details"]) == ("export", {"first": 6, "last": 15, "what": "register"})
    assert run("verify", "--data-dir", str(site)).exit_code == 0


def test_one_entry_with_its_proof(site: Path) -> None:
    told = json.loads(run("prove", "7", "--data-dir", str(site)).stdout)
    assert (told["seq"], told["size"]) == (7, 20)
    assert json.loads(told["entry"])["user"] == "u1"
    assert "no entry 99" in refusal("prove", "99", "--data-dir", str(site))


def test_the_figures_of_a_month(site: Path) -> None:
    words = ("figures", "2026-09", "--zone", "Asia/Shanghai", "--data-dir", str(site))
    assert run(*words).stdout == "traffic, traffic: views 20\n"
    told = json.loads(run(*words, "--json").stdout)
    assert told["figures"][0]["views"] == 20
    assert json.loads(run("figures", "2026-10", "--data-dir", str(site), "--json").stdout)["figures"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("figures", "2026-13"), "no month"),
        (("figures", "2026-09", "--zone", "Mars/Base"), "no month"),
        (("export", "--from", "2026-09-21", "--to", "2026-09-22T00:00Z", "--out", "x"), "--from"),
        (("export", "--from", "2020-01-01T00:00Z", "--to", "2020-01-02T00:00Z", "--out", "x"), "no entry in"),
        (("verify", "--key", "nonsense"), "base64|Ed25519"),
        (("verify", "--checkpoints", "/nowhere/at/all"), "cannot be read"),
    ],
)
def test_wrong_use_says_what_to_do(site: Path, words: tuple[str, ...], says: str) -> None:
    import re

    assert re.search(says, refusal(*words, "--data-dir", str(site)))


def test_no_database_is_made_by_looking_for_one(site: Path) -> None:
    empty = site / "empty"
    empty.mkdir()
    key = vkey(site)
    assert "there is no database" in refusal("verify", "--data-dir", str(empty), "--key", key)
    assert not list(empty.iterdir())


def test_old_entries_are_pruned_and_verify_says_so(site: Path) -> None:
    append_old(site)
    words = ("prune", "--keep-days", "184", "--data-dir", str(site))
    assert run(*words).stdout == "4 entries would be pruned, until entry 4\n"
    assert json.loads(run(*words, "--apply", "--json").stdout) == {"applied": True, "entries": 4, "upto": 4}
    told = run("verify", "--data-dir", str(site))
    assert told.exit_code == 0
    assert "4 entries pruned by retention until entry 4, their hashes stand" in told.stdout
    found = json.loads(run("verify", "--data-dir", str(site), "--json").stdout)
    assert (found["pruned"], found["pruned_upto"], found["entries"]) == (4, 4, 6)
    assert "removed by retention" in refusal("prove", "2", "--data-dir", str(site))
    assert run(*words, "--apply").stdout == "0 entries were pruned, until entry 4\n"
    assert run("prune", "--keep-days", "183", "--data-dir", str(site)).exit_code == 2


def append_old(site: Path) -> None:
    """A register of its own in the place of the other: four entries of long ago, one of now."""
    for name in ("sharpeyes.db", "sharpeyes.db-wal", "sharpeyes.db-shm", CHECKPOINT_FILE):
        (site / name).unlink(missing_ok=True)
    now = time.time_ns() // 1_000_000
    with Database(f"sqlite:///{site}/sharpeyes.db") as database:
        database.upgrade()
        old = [Entry(kind=Kind.SNAPSHOT, at=Ms(now - 200 * 86_400_000 + number)) for number in range(4)]
        append_now(database, [*old, Entry(kind=Kind.SNAPSHOT, at=Ms(now))])
