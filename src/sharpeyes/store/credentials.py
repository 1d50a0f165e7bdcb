"""Accounts on devices, their passwords sealed by the vault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.time import Ms
from sharpeyes.store.discovery_schema import found_device
from sharpeyes.store.schema import camera, credential, device
from sharpeyes.store.vault import Vault, VaultError


def put_credential(
    connection: Connection,
    vault: Vault,
    name: str,
    username: str,
    password: Secret | None,
    *,
    now: Ms,
    allow_basic: bool = False,
) -> bool:
    """Store an account; true if that changed anything.

    Without a password the stored one is kept, unless the user name changed: it was another account's.
    """
    row = connection.execute(select(credential).where(credential.c.id == name)).one_or_none()
    context = credential_context(name, username)
    if row is None:
        sealed = vault.seal(password.reveal(), context) if password else None
        connection.execute(
            insert(credential).values(
                id=name, username=username, sealed=sealed, allow_basic=allow_basic, changed_ms=now
            )
        )
        return True
    sealed = row.sealed if row.username == username else None
    if password is not None and not _holds(vault, sealed, context, password):
        sealed = vault.seal(password.reveal(), context)
    if (sealed, username, allow_basic) == (row.sealed, row.username, row.allow_basic):
        return False
    connection.execute(
        update(credential)
        .where(credential.c.id == name)
        .values(username=username, sealed=sealed, allow_basic=allow_basic, changed_ms=now)
    )
    return True


def open_credential(connection: Connection, vault: Vault, name: str) -> Credentials | None:
    """The account, or None if it is not known or has no password yet. VaultError if it does not open."""
    row = connection.execute(select(credential).where(credential.c.id == name)).one_or_none()
    if row is None or row.sealed is None:
        return None
    return _credentials(vault, row)


def open_credentials(connection: Connection, vault: Vault) -> Mapping[str, Credentials]:
    """All accounts that have a password, by name."""
    query = select(credential).where(credential.c.sealed.is_not(None))
    return {row.id: _credentials(vault, row) for row in connection.execute(query)}


def changes(connection: Connection) -> dict[str, Ms]:
    """When each account's password was last changed: what a device said before is void."""
    rows = connection.execute(select(credential.c.id, credential.c.changed_ms))
    return {row.id: Ms(row.changed_ms) for row in rows}


def list_credentials(connection: Connection) -> dict[str, str]:
    """User names by the name of the account, those without a password included."""
    query = select(credential.c.id, credential.c.username).order_by(credential.c.id)
    return {row.id: row.username for row in connection.execute(query)}


def forget_credentials(connection: Connection, *, keep: frozenset[str]) -> list[str]:
    """Delete the accounts that nobody names and nothing uses; a secret is not kept for its history."""
    used = {
        name
        for table in (camera, device, found_device)
        for name in connection.scalars(select(table.c.credential).distinct())
    }
    gone = [name for name in list_credentials(connection) if name not in keep and name not in used]
    for name in gone:
        connection.execute(delete(credential).where(credential.c.id == name))
    return gone


def _holds(vault: Vault, sealed: bytes | None, context: str, password: Secret) -> bool:
    """Whether ``sealed`` is this password under the current key; one that does not open is not."""
    if sealed is None or not vault.is_current(sealed):
        return False
    try:
        return vault.open(sealed, context) == password.reveal()
    except VaultError:
        return False


def _credentials(vault: Vault, row: Row[Any]) -> Credentials:
    password = Secret(vault.open(row.sealed, credential_context(row.id, row.username)))
    return Credentials(row.username, password, allow_basic=row.allow_basic)


def credential_context(name: str, username: str) -> str:
    """What the vault binds a password to."""
    return f"credential {name} for user {username}"
