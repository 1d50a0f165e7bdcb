"""A rotation of the key, killed after each step: every secret opens, and the next rotation ends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.organisation import Department
from sharpeyes.domain.time import Ms
from sharpeyes.store import credentials, rotation
from sharpeyes.store.access_schema import user
from sharpeyes.store.database import Database
from sharpeyes.store.organisation import put_departments
from sharpeyes.store.people import totp_context
from sharpeyes.store.schema import credential
from sharpeyes.store.settings import Kind, Said, list_said, put_said, settings_context
from sharpeyes.store.vault import Vault, keys_at

NOW = Ms(1_000)


class KilledError(Exception):
    """The process ended here."""


class World:
    def __init__(self, folder: Path) -> None:
        self.key = folder / "key"
        self.database = Database(f"sqlite:///{folder}/a.db")
        self.database.upgrade()
        vault = Vault.at(self.key)

        def fill(connection: Connection) -> None:
            for name in ("one", "two"):
                credentials.put_credential(connection, vault, name, "admin", Secret(f"pw {name}"), now=NOW)
            put_departments(connection, [Department(id="psb", name="x")])
            connection.execute(
                insert(user).values(
                    id="u1",
                    username="u",
                    name="U",
                    department="psb",
                    roles=[],
                    totp=vault.seal("second factor", totp_context("u1")),
                    totp_step=0,
                    **self._needed(),
                )
            )

        self.database.write(fill)

    @staticmethod
    def _needed() -> dict[str, object]:
        given = {"id", "username", "name", "department", "roles", "totp", "totp_step"}
        return {column.name: 0 for column in user.columns if not column.nullable and column.name not in given}

    def secrets(self) -> dict[str, str]:
        vault = Vault.at(self.key)

        def read(connection: Connection) -> dict[str, str]:
            opened: dict[str, Credentials] = dict(credentials.open_credentials(connection, vault))
            found = {key: one.password.reveal() for key, one in opened.items()}
            sealed = connection.scalars(select(user.c.totp)).one()
            assert sealed is not None
            return found | {"totp": vault.open(sealed, totp_context("u1"))}

        return self.database.read(read)


SECRETS = {"one": "pw one", "two": "pw two", "totp": "second factor"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_everything_is_sealed_anew(world: World) -> None:
    (old,) = keys_at(world.key)
    done = rotation.rotate(world.database, world.key)
    assert (done.resealed, done.lost, done.older) == (3, (), 1)
    new, kept = keys_at(world.key)
    assert kept == old != new
    assert world.secrets() == SECRETS
    assert world.key.stat().st_mode & 0o777 == 0o600
    dropped = rotation.rotate(world.database, world.key, drop_old=True)
    assert (dropped.resealed, dropped.older, len(keys_at(world.key))) == (3, 0, 1)
    assert world.secrets() == SECRETS
    assert [p.name for p in world.key.parent.glob(".key*")] == []


@pytest.mark.parametrize(
    "step", ["before the file", "after the file", "in the transaction", "before the drop"]
)
def test_killed_at_any_step(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    write, seal = rotation.write_keys, Vault.seal
    calls = {"write": 0, "seal": 0}

    def dying_write(path: Path, keys: list[bytes]) -> None:
        calls["write"] += 1
        if step == "before the file" or (step == "before the drop" and calls["write"] == 2):
            raise KilledError
        write(path, keys)
        if step == "after the file":
            raise KilledError

    def dying_seal(vault: Vault, secret: str, context: str) -> bytes:
        calls["seal"] += 1
        if step == "in the transaction" and calls["seal"] == 2:
            raise KilledError
        return seal(vault, secret, context)

    with monkeypatch.context() as patched:
        patched.setattr(rotation, "write_keys", dying_write)
        patched.setattr(Vault, "seal", dying_seal)
        with pytest.raises(KilledError):
            rotation.rotate(world.database, world.key, drop_old=True)
    assert world.secrets() == SECRETS
    assert rotation.rotate(world.database, world.key, drop_old=True).older == 0
    assert world.secrets() == SECRETS


def test_what_no_key_opens_stays_and_keeps_the_older_keys(world: World) -> None:
    damaged = b"\x01" + b"0" * 60
    world.database.write(
        lambda c: c.execute(update(credential).where(credential.c.id == "one").values(sealed=damaged))
    )
    with pytest.raises(ConflictError, match="1 secrets do not open"):
        rotation.rotate(world.database, world.key, drop_old=True)
    assert len(keys_at(world.key)) == 2
    done = rotation.rotate(world.database, world.key)
    assert done.lost == ("credential one for user admin",)
    assert world.database.read(lambda c: c.scalar(select(credential.c.sealed).filter_by(id="one"))) == damaged


def test_secrets_of_recipients_are_sealed_anew_and_nothing_else_is_touched(world: World) -> None:
    vault = Vault.at(world.key)
    sealed = vault.seal("the webhook's", settings_context("psb"))

    def fill(connection: Connection) -> None:
        for kind, secret in ((Kind.RECIPIENT, sealed), (Kind.DEPARTMENT, None)):  # one id, two kinds
            said = Said(kind=kind, id="psb", values={}, made=True, version=1, by="u1", at=NOW, sealed=secret)
            put_said(connection, said)

    world.database.write(fill)
    assert rotation.rotate(world.database, world.key, drop_old=True).lost == ()
    recipient = world.database.read(lambda c: list_said(c, Kind.RECIPIENT))["psb"]
    assert recipient.sealed is not None
    assert recipient.sealed != sealed
    assert Vault.at(world.key).open(recipient.sealed, settings_context("psb")) == "the webhook's"
    assert world.database.read(lambda c: list_said(c, Kind.DEPARTMENT))["psb"].sealed is None
