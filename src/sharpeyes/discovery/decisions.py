"""What people decide about found devices besides approving them: to ignore them, or to log in to them.

All functions work within the transaction of the caller's connection; each act is in the journal.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from sharpeyes.discovery.intake import device_of
from sharpeyes.discovery.listing import UNBELIEVED, status_of
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.discovery import FoundStatus
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms
from sharpeyes.store.credentials import list_credentials, put_credential
from sharpeyes.store.discovery import Found, get_found, put_found
from sharpeyes.store.events import Event, record
from sharpeyes.store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    done: tuple[str, ...]
    refused: dict[str, str]
    """Found device -> why it stays as it is."""


def ignore(connection: Connection, ids: Iterable[str], reason: str, *, by: str, now: Ms) -> Decided:
    """Leave devices out of this and later runs; they are asked no more with anybody's account."""
    rows, refused = _rows(connection, ids)
    for row in rows:
        if row.status is FoundStatus.ENROLLED:
            refused[row.id] = "is enrolled: take its cameras out of service instead"
        elif row.status is FoundStatus.IGNORED:
            refused[row.id] = "is ignored already"
    changed = [
        replace(
            row, status=FoundStatus.IGNORED, kind=None, reason=None, decided_by=by, decided=now, remark=reason
        )
        for row in rows
        if row.id not in refused
    ]
    return _done(connection, changed, refused, "found_ignored", f"ignored by {by}: {reason}", by, now)


def restore(connection: Connection, ids: Iterable[str], *, by: str, now: Ms) -> Decided:
    """Take back that devices are ignored: they wait for a decision again."""
    rows, refused = _rows(connection, ids)
    changed = []
    for row in rows:
        if row.status is not FoundStatus.IGNORED:
            refused[row.id] = "is not ignored"
            continue
        status, kind, reason = status_of(device_of(row))
        changed.append(
            replace(row, status=status, kind=kind, reason=reason, decided_by=None, decided=None, remark=None)
        )
    return _done(connection, changed, refused, "found_restored", f"no longer ignored, says {by}", by, now)


def give(connection: Connection, ids: Iterable[str], credential: str, *, by: str, now: Ms) -> Decided:
    """Have devices be asked with a stored account. InvalidInputError if there is none of that name."""
    if credential not in list_credentials(connection):
        raise InvalidInputError(
            f"credential: there is no account {credential}", mend="Choose one, or give user name and password"
        )
    rows, refused = _rows(connection, ids)
    for row in rows:
        if row.status in (FoundStatus.IGNORED, FoundStatus.ENROLLED):
            refused[row.id] = f"is {row.status.value}"
        elif row.kind == UNBELIEVED:
            refused[row.id] = "announces a device at an address that is not its own"
    changed = [
        replace(row, credential=credential, decided_by=by, decided=now)
        for row in rows
        if row.id not in refused
    ]
    return _done(connection, changed, refused, "found_login", f"{by} gave the account {credential}", by, now)


def put_account(
    connection: Connection,
    vault: Vault,
    username: str,
    password: Secret,
    *,
    allow_basic: bool,
    now: Ms,
) -> str:
    """Store an account for found devices, sealed; its name."""
    name = f"found-{secrets.token_hex(5)}"
    put_credential(connection, vault, name, username, password, now=now, allow_basic=allow_basic)
    message = f"credential stored for user {username[:200]}"
    record(connection, [Event(at=now, kind="credential", subject=name, message=message)])
    return name


def _rows(connection: Connection, ids: Iterable[str]) -> tuple[list[Found], dict[str, str]]:
    wanted = list(ids)
    rows = get_found(connection, wanted)
    return list(rows.values()), {key: "there is no such device" for key in wanted if key not in rows}


def _done(
    connection: Connection,
    changed: list[Found],
    refused: dict[str, str],
    kind: str,
    said: str,
    by: str,
    now: Ms,
) -> Decided:
    put_found(connection, changed)
    record(
        connection,
        [
            Event(
                at=now,
                kind=kind,
                subject=row.id,
                message=f"device at {row.address}: {said}",
                detail={"by": by},
            )
            for row in changed
        ],
    )
    return Decided(done=tuple(row.id for row in changed), refused=refused)
