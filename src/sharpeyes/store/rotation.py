"""A new key for everything that the vault has sealed, in three steps that each leave a working whole.

1. The new key is put on top of the key file, which is replaced whole: old values still open.
2. Every secret is sealed anew, in one transaction.
3. If asked for, the older keys are removed from the file: by then nothing in the database needs them.

Killed after any of them, the next start works, and the next rotation goes on.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Connection, Table, select, update

from sharpeyes.domain.errors import ConflictError, UnavailableError
from sharpeyes.store.access_schema import user
from sharpeyes.store.credentials import credential_context
from sharpeyes.store.database import Database
from sharpeyes.store.people import totp_context
from sharpeyes.store.schema import credential, setting
from sharpeyes.store.settings import settings_context
from sharpeyes.store.vault import KEY_BYTES, LINE, Vault, VaultError, keys_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did."""

    key: str
    """Id of the new key."""
    resealed: int
    lost: tuple[str, ...]
    """What no key opens; it stays as it is."""
    older: int
    """Older keys that are still in the file."""


def rotate(database: Database, path: Path, *, drop_old: bool = False) -> Rotation:
    """Seal every secret with a new key. Nothing else may use the vault meanwhile.

    Raises what :func:`keys_at` raises, and ConflictError if older keys are to be dropped that something is
    still sealed with.
    """
    older = keys_at(path)
    current = secrets.token_bytes(KEY_BYTES)
    write_keys(path, [current, *older])
    vault = Vault([current, *older])
    resealed, lost = database.write(lambda connection: reseal(connection, vault))
    if drop_old:
        if lost:
            raise ConflictError(
                f"{len(lost)} secrets do not open, so the older keys stay: {', '.join(lost[:20])}",
                mend="Enter those passwords again, then call this once more",
            )
        write_keys(path, [current])
        older = []
    return Rotation(key=vault.key, resealed=resealed, lost=lost, older=len(older))


def reseal(connection: Connection, vault: Vault) -> tuple[int, tuple[str, ...]]:
    """Seal anew what is not sealed with the current key; how much that was, and what did not open."""
    count, lost = 0, []
    for table, key, column, context, sealed in list(_sealed(connection)):
        if vault.is_current(sealed):
            continue
        try:
            secret = vault.open(sealed, context)
        except VaultError:
            lost.append(context)
            continue
        connection.execute(
            update(table)
            .where(table.c.id == key, column.is_not(None))
            .values({column: vault.seal(secret, context)})
        )
        count += 1
    return count, tuple(lost)


def _sealed(connection: Connection) -> Iterator[tuple[Table, str, Column[bytes], str, bytes]]:
    """Everything that is sealed: its table, id, column, context and value."""
    c = credential.c
    for key, username, sealed in connection.execute(
        select(c.id, c.username, c.sealed).where(c.sealed.is_not(None))
    ):
        yield credential, key, c.sealed, credential_context(key, username), sealed
    u = user.c
    for key, sealed in connection.execute(select(u.id, u.totp).where(u.totp.is_not(None))):
        yield user, key, u.totp, totp_context(key), sealed
    t = setting.c
    for key, sealed in connection.execute(select(t.id, t.sealed).where(t.sealed.is_not(None))):
        yield setting, key, t.sealed, settings_context(key), sealed


def write_keys(path: Path, keys: list[bytes]) -> None:
    """Replace the key file, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for key in keys:
                    file.write(LINE.encode() + base64.b64encode(key) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UnavailableError(
            f"the key file {path} cannot be written: {error.strerror}", mend="Nothing was lost: try again"
        ) from None
