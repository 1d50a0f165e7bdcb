"""What protects secrets at rest: the vault and its key file, accounts, API tokens."""

import base64
import os
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError, NotFoundError, UnauthenticatedError, UnavailableError
from sharpeyes.domain.time import Ms
from sharpeyes.store import credentials, schema, tokens
from sharpeyes.store.database import Database
from sharpeyes.store.vault import Vault, VaultError

NOW = Ms(1_000_000)


@pytest.fixture
def database(tmp_path: Path):
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        yield database


# --- the vault


def test_a_secret_opens_where_it_belongs_only(tmp_path: Path) -> None:
    vault = Vault.at(tmp_path / "key")
    sealed = vault.seal("密码 hunter2", "credential a")
    assert b"hunter2" not in sealed
    assert sealed != vault.seal("密码 hunter2", "credential a"), "the nonce is new every time"
    assert Vault.at(tmp_path / "key").open(sealed, "credential a") == "密码 hunter2"
    with pytest.raises(VaultError, match="damaged or belongs to something else"):
        vault.open(sealed, "credential b")


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    vault = Vault.at(tmp_path / "key")
    sealed = vault.seal("hunter2", "x")
    for at in range(len(sealed)):
        with pytest.raises(VaultError):
            vault.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], "x")
        with pytest.raises(VaultError):
            vault.open(sealed[:at], "x")


def test_another_key_is_named(tmp_path: Path) -> None:
    sealed = Vault.at(tmp_path / "one").seal("hunter2", "credential a")
    with pytest.raises(
        VaultError, match=r"credential a was sealed with key [0-9a-f]{16}, .* Restore the key file"
    ):
        Vault.at(tmp_path / "two").open(sealed, "credential a")


def test_a_new_key_on_top_seals_while_the_old_one_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = Vault.at(path)
    sealed = old.seal("hunter2", "x")
    new_line = "# added 2026\nsharpeyes-key-1 " + base64.b64encode(os.urandom(32)).decode() + "\n"
    path.write_text(new_line + path.read_text())
    both = Vault.at(path)
    assert both.open(sealed, "x") == "hunter2"
    assert (both.is_current(sealed), old.is_current(sealed)) == (False, True)
    assert both.is_current(both.seal("hunter2", "x"))


def test_the_key_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    before = os.umask(0)
    try:
        vault = Vault.at(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"], "no draft is left"
    assert path.read_text().split()[1] not in repr(vault)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o700, 0o620])
def test_a_key_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    Vault.at(path)
    path.chmod(mode)
    with pytest.raises(InvalidInputError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        Vault.at(path)


@pytest.mark.parametrize("content", ["", "hello\n", "sharpeyes-key-1 !!!\n", "sharpeyes-key-1 aGVsbG8=\n"])
def test_a_key_file_without_a_key_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInputError, match="key"):
        Vault.at(path)
    assert path.read_text() == content


def test_a_key_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be used"):
        Vault.at(tmp_path / "file" / "key")


def test_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    vaults: list[Vault] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        vaults.append(Vault.at(tmp_path / "key"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = vaults[0].seal("x", "x")
    assert [vault.open(sealed, "x") for vault in vaults] == ["x"] * 8


# --- accounts


def test_an_account_is_stored_sealed_and_kept_when_its_password_is_not_given(
    database: Database, tmp_path: Path
) -> None:
    vault = Vault.at(tmp_path / "key")

    def put(username: str, password: str | None) -> bool:
        secret = Secret(password) if password else None
        return database.write(
            lambda c: credentials.put_credential(c, vault, "viewer", username, secret, now=NOW)
        )

    def account() -> Credentials | None:
        return database.read(lambda c: credentials.open_credential(c, vault, "viewer"))

    assert account() is None
    assert put("admin", None)
    assert account() is None
    assert put("admin", "hunter2")
    assert not put("admin", "hunter2")
    assert not put("admin", None)
    assert account() == Credentials("admin", Secret("hunter2"))
    assert database.read(lambda c: credentials.open_credentials(c, vault)) == {"viewer": account()}
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    assert put("root", None)
    assert account() is None, "the password was another account's"
    assert database.read(credentials.list_credentials) == {"viewer": "root"}


def test_a_password_entered_again_mends_a_lost_key(database: Database, tmp_path: Path) -> None:
    lost, new = Vault.at(tmp_path / "lost"), Vault.at(tmp_path / "new")
    secret = Secret("hunter2")
    database.write(lambda c: credentials.put_credential(c, lost, "viewer", "admin", secret, now=NOW))
    with pytest.raises(VaultError):
        database.read(lambda c: credentials.open_credential(c, new, "viewer"))
    assert database.write(lambda c: credentials.put_credential(c, new, "viewer", "admin", secret, now=NOW))
    opened = database.read(lambda c: credentials.open_credential(c, new, "viewer"))
    assert opened == Credentials("admin", secret)


# --- tokens


def make(database: Database, **given: object) -> tuple[tokens.Token, str]:
    wanted = {"name": "monitoring", "scopes": ["read"], "now": NOW} | given
    token, secret = database.write(lambda c: tokens.create_token(c, **wanted))
    return token, secret.reveal()


def verify(database: Database, text: str, now: int = NOW) -> tokens.Token:
    return database.read(lambda c: tokens.verify_token(c, text, now=Ms(now)))


def test_a_token_is_known_by_its_text_which_is_not_kept(database: Database, tmp_path: Path) -> None:
    token, text = make(database)
    assert verify(database, text) == token
    assert (token.allows("read"), token.allows("admin")) == (True, False)
    assert make(database, scopes=["admin"])[0].allows("read")
    secret = text.split("_", 2)[2].encode()  # which may hold a "_" itself
    assert secret not in b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    assert len(database.read(lambda c: c.scalars(select(schema.api_token.c.hash)).first())) == 32


def test_texts_that_are_no_token(database: Database) -> None:
    token, text = make(database)
    other = make(database)[1]
    swapped = f"se_{token.id}_{other.split('_', 2)[2]}"
    for wrong in (
        "",
        "se",
        "se__",
        text[:-1],
        text + "x",
        text.upper(),
        "x" + text,
        swapped,
        "se_" + "9" * 10**6,
        "se_\0_x",
    ):
        with pytest.raises(UnauthenticatedError, match="not known"):
            verify(database, wrong)


def test_expiry_and_revocation_end_it(database: Database) -> None:
    token, text = make(database, expires_ms=NOW + 10)
    assert verify(database, text, NOW + 9) == token
    with pytest.raises(UnauthenticatedError, match="expired"):
        verify(database, text, NOW + 10)
    _, text = make(database, name="other")
    other = verify(database, text)
    database.write(lambda c: tokens.revoke_token(c, other.id, now=Ms(NOW + 5)))
    database.write(lambda c: tokens.revoke_token(c, other.id, now=Ms(NOW + 7)))
    with pytest.raises(UnauthenticatedError, match="revoked"):
        verify(database, text, NOW + 6)
    assert [t.revoked_ms for t in database.read(tokens.list_tokens) if t.id == other.id] == [NOW + 5]
    with pytest.raises(NotFoundError):
        database.write(lambda c: tokens.revoke_token(c, "nobody", now=NOW))


def test_last_use_is_noted_to_the_minute(database: Database) -> None:
    _, text = make(database)

    def use(now: int) -> int | None:
        def touch(connection: Connection) -> None:
            tokens.touch_token(connection, tokens.verify_token(connection, text, now=Ms(now)), now=Ms(now))

        database.write(touch)
        return verify(database, text).last_used_ms

    assert [use(NOW), use(NOW + 59_999), use(NOW + 60_000)] == [NOW, NOW, NOW + 60_000]


@pytest.mark.parametrize(
    "given",
    [{"scopes": []}, {"scopes": ["read", "root"]}, {"name": " "}, {"name": "x" * 201}, {"expires_ms": NOW}],
)
def test_tokens_that_are_not_made(database: Database, given: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make(database, **given)
    assert caught.value.mend
