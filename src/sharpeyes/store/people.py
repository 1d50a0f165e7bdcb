"""Accounts and the sessions of whoever is logged in."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from sharpeyes.domain.access import Role, Session, Subject
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.access_schema import user, user_session
from sharpeyes.store.database import one_row
from sharpeyes.store.schema import chunks
from sharpeyes.store.schema import department as department_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with what a log-in needs. The hash and the sealed secret are not for showing."""

    subject: Subject
    username: str
    password: str | None
    totp: bytes | None
    totp_step: int
    created: Ms
    disabled: Ms | None
    identified: bool
    """Whether a provider of identities has vouched for its user."""
    keyed_by: str | None = None
    """The administrator who gave it its password and may know it; None: its user's own affair."""

    def __repr__(self) -> str:
        return f"Account({self.username!r}, {self.subject.id!r})"


def add_user(
    connection: Connection,
    subject: Subject,
    username: str,
    password: str | None,
    now: Ms,
    *,
    keyed_by: str | None = None,
) -> None:
    """``keyed_by``: the administrator who gives it this password. ConflictError if the name is taken, by a
    disabled user too: the register must not mix up two people. InvalidInputError if there is no such
    department."""
    _check_department(connection, subject.department)
    name = folded(username)
    if connection.execute(select(user.c.id).where(user.c.username == name)).first():
        raise ConflictError(f"username: {username!r} is taken")
    connection.execute(
        insert(user).values(
            id=subject.id,
            username=name,
            name=subject.name,
            department=subject.department,
            roles=sorted(subject.roles),
            password=password,
            totp_step=0,
            created_ms=now,
            changed_ms=now,
            disabled_ms=None if subject.enabled else now,
            keyed_by=keyed_by,
        )
    )


def folded(username: str) -> str:
    """A user name in the one form in which it is stored and looked for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", username).casefold())


def change_user(connection: Connection, user_id: str, now: Ms, **values: Any) -> None:
    """Set columns of a user; NotFoundError if there is none, InvalidInputError for a department that does
    not exist."""
    if "department" in values:
        _check_department(connection, values["department"])
    if "roles" in values:
        values["roles"] = sorted(values["roles"])
    if (
        connection.execute(update(user).where(user.c.id == user_id).values(changed_ms=now, **values)).rowcount
        == 0
    ):
        raise NotFoundError(f"there is no user {user_id!r}")


def _check_department(connection: Connection, name: str) -> None:
    if connection.execute(select(department_table.c.id).where(department_table.c.id == name)).first() is None:
        raise InvalidInputError(
            f"department: there is no {name!r}", mend="Declare it in cameras.yaml, under departments"
        )


def totp_context(user_id: str) -> str:
    """What the vault binds a second factor to."""
    return f"totp of {user_id}"


def spend_totp(connection: Connection, user_id: str, step: int) -> bool:
    """Mark a code's step as used. False if it, or a later one, was used already: of two log-ins with one
    code, one gets in."""
    query = update(user).where(user.c.id == user_id, user.c.totp_step < step).values(totp_step=step)
    return connection.execute(query).rowcount == 1


def find_account(connection: Connection, username: str) -> Account | None:
    row = connection.execute(select(user).where(user.c.username == folded(username))).one_or_none()
    return _account(row) if row else None


def find_identity(connection: Connection, issuer: str, subject: str) -> Account | None:
    """Whose user a provider has vouched for before."""
    query = select(user).where(user.c.issuer == issuer, user.c.issuer_subject == subject)
    row = connection.execute(query).one_or_none()
    return _account(row) if row else None


def get_account(connection: Connection, user_id: str) -> Account:
    return _account(one_row(connection, user.c.id, user_id, "user"))


def list_accounts(connection: Connection, *, department: str | None = None) -> list[Account]:
    """All accounts, or those of a department, by user name."""
    query = select(user).order_by(user.c.username)
    if department is not None:
        query = query.where(user.c.department == department)
    return [_account(row) for row in connection.execute(query)]


def keyholders(connection: Connection, user_id: str) -> frozenset[str]:
    """The administrators who may know this account's password: who gave it; who gave theirs; and so on."""
    found: set[str] = set()
    at: str | None = user_id
    while at is not None and at not in found:
        found.add(at)
        at = connection.scalar(select(user.c.keyed_by).where(user.c.id == at))
    return frozenset(found - {user_id})


def in_one_hand(connection: Connection, user_id: str, others: Iterable[str]) -> frozenset[str]:
    """Those of the others who may know this account's password, or whose own this account may know: no
    matter what the names say, one person may act as both."""
    mine = keyholders(connection, user_id)
    return frozenset(one for one in others if one in mine or user_id in keyholders(connection, one))


def get_subject(connection: Connection, user_id: str) -> Subject:
    return get_account(connection, user_id).subject


def list_subjects(
    connection: Connection, *, department: str | None = None, ids: Collection[str] | None = None
) -> list[Subject]:
    """Users by id; those of a department, or these."""
    query = select(user).order_by(user.c.id)
    if department is not None:
        query = query.where(user.c.department == department)
    if ids is None:
        return [_account(row).subject for row in connection.execute(query)]
    rows = (
        row for some in chunks(sorted(ids)) for row in connection.execute(query.where(user.c.id.in_(some)))
    )
    return [_account(row).subject for row in rows]


def count_users(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(user)).scalar_one()


def _account(row: Row[Any]) -> Account:
    return Account(
        subject=Subject(
            id=row.id,
            name=row.name,
            department=row.department,
            roles=frozenset(Role(role) for role in row.roles),
            enabled=row.disabled_ms is None,
        ),
        username=row.username,
        password=row.password,
        totp=row.totp,
        totp_step=row.totp_step,
        created=row.created_ms,
        disabled=row.disabled_ms,
        identified=row.issuer_subject is not None,
        keyed_by=row.keyed_by,
    )


# --- sessions ---------------------------------------------------------------------------------------


def add_session(connection: Connection, session: Session, token_hash: bytes) -> None:
    connection.execute(
        insert(user_session).values(
            id=session.id,
            user_id=session.user,
            hash=token_hash,
            created_ms=session.created,
            seen_ms=session.seen,
            expires_ms=session.expires,
            address=session.address,
            client=session.client,
        )
    )


def find_session(connection: Connection, token_hash: bytes) -> Session | None:
    row = connection.execute(select(user_session).where(user_session.c.hash == token_hash)).one_or_none()
    return _session(row) if row else None


def touch_session(connection: Connection, session_id: str, now: Ms) -> None:
    connection.execute(
        update(user_session)
        .where(user_session.c.id == session_id, user_session.c.seen_ms < now)
        .values(seen_ms=now)
    )


def list_sessions(connection: Connection, user_id: str) -> list[Session]:
    """Those that have not been ended, newest first. Some may have run out."""
    query = (
        select(user_session)
        .where(user_session.c.user_id == user_id, user_session.c.ended_ms.is_(None))
        .order_by(user_session.c.created_ms.desc())
    )
    return [_session(row) for row in connection.execute(query)]


def lapse_sessions(connection: Connection, now: Ms, idle_ms: int) -> int:
    """Keep it for good that the time of these sessions is over at ``now``, so that a clock put back revives
    none; how many. A view that runs in one goes on to the session's last instant (:func:`open_sessions`)."""
    return connection.execute(update(user_session).where(*_past(now, idle_ms)).values(lapsed_ms=now)).rowcount


def any_past_session(connection: Connection, now: Ms, idle_ms: int) -> bool:
    """Whether :func:`lapse_sessions` has something to do."""
    query = select(user_session.c.id).where(*_past(now, idle_ms)).limit(1)
    return connection.execute(query).first() is not None


def _past(now: Ms, idle_ms: int) -> tuple[ColumnElement[bool], ...]:
    s = user_session.c
    return s.lapsed_ms.is_(None), or_(s.expires_ms <= now, s.seen_ms <= now - idle_ms)


def open_sessions(connection: Connection, ids: Collection[str], now: Ms) -> set[str]:
    """Those of these sessions that nobody ended and that have not reached their end. One that is not used
    for a while counts as open: whoever looks at a picture does not touch anything."""
    query = select(user_session.c.id).where(
        user_session.c.id.in_(ids), user_session.c.ended_ms.is_(None), user_session.c.expires_ms > now
    )
    return set(connection.scalars(query)) if ids else set()


def end_sessions(
    connection: Connection, user_id: str, now: Ms, *, only: str | None = None, but: str | None = None
) -> list[str]:
    """End a user's sessions (one; all; all but one). Returns the ids of those that were open."""
    found = [
        session.id
        for session in list_sessions(connection, user_id)
        if (only is None or session.id == only) and session.id != but
    ]
    for some in chunks(found):
        connection.execute(update(user_session).where(user_session.c.id.in_(some)).values(ended_ms=now))
    return found


def logged_in_from(connection: Connection, user_id: str, addresses: Collection[str], since: Ms) -> bool:
    """Whether the user has logged in from any of these addresses since then."""
    query = select(user_session.c.id).where(
        user_session.c.user_id == user_id,
        user_session.c.address.in_(list(addresses)),
        user_session.c.created_ms >= since,
    )
    return connection.execute(query.limit(1)).first() is not None


def purge_sessions(connection: Connection, before: Ms) -> int:
    """Forget sessions that ran out before then. The register remembers the log-ins."""
    return connection.execute(delete(user_session).where(user_session.c.expires_ms < before)).rowcount


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user=row.user_id,
        created=row.created_ms,
        seen=row.seen_ms,
        expires=row.expires_ms,
        address=row.address,
        client=row.client,
        ended=row.ended_ms,
        lapsed=row.lapsed_ms,
    )
