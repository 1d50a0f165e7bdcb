"""API tokens: shown once, stored as a hash, checked in constant time.

A token reads ``se_<id>_<secret>``: the prefix lets secret scanners find one that leaked, the id finds its
row, and the 32 random bytes are hashed once by SHA-256, since nobody guesses 256 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from sharpeyes.domain.access import OneHandError
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError, NotFoundError, UnauthenticatedError
from sharpeyes.domain.time import Ms
from sharpeyes.store.access_schema import user
from sharpeyes.store.database import Database
from sharpeyes.store.people import in_one_hand
from sharpeyes.store.schema import api_token

PREFIX = "se"
CALLER = "token:"
"""Before the id of a token where records name who did something."""
SCOPES = frozenset({"read", "admin"})
TOUCH_MS = 60_000
"""``last_used`` is kept to the minute, so that a busy token does not cost a write a request."""


class TokenExpiredError(UnauthenticatedError):
    """The token was valid once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token, its secret excepted."""

    id: str
    name: str
    scopes: frozenset[str]
    owner: str | None = None
    """The user who made it, or whose token did; None: that of the first start, or one of its making."""
    created_ms: Ms
    expires_ms: Ms | None = None
    last_used_ms: Ms | None = None
    revoked_ms: Ms | None = None
    lapsed_ms: Ms | None = None
    """When it was first seen that it has expired: from then on it has, whatever the clock says."""

    def allows(self, scope: str) -> bool:
        """``admin`` includes every other scope."""
        return scope in self.scopes or "admin" in self.scopes


def create_token(
    connection: Connection,
    *,
    name: str,
    scopes: Iterable[str],
    now: Ms,
    expires_ms: Ms | None = None,
    owner: str | None = None,
) -> tuple[Token, Secret]:
    """A new token, and its text: the only time that anybody sees it."""
    wanted = frozenset(scopes)
    if not wanted or not wanted <= SCOPES:
        raise InvalidInputError(
            f"scopes: {', '.join(sorted(wanted - SCOPES)) or 'none'} given",
            mend=f"Choose from {', '.join(sorted(SCOPES))}",
        )
    if not name.strip() or len(name) > 200:
        raise InvalidInputError("name: 1 to 200 characters", mend="Name whoever will use the token")
    if expires_ms is not None and expires_ms <= now:
        raise InvalidInputError("expires: lies in the past", mend="Choose a time to come, or none")
    token = Token(
        id=secrets.token_hex(6),
        name=name.strip(),
        scopes=wanted,
        owner=owner,
        created_ms=now,
        expires_ms=expires_ms,
    )
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(api_token).values(
            id=token.id,
            name=token.name,
            hash=_hash(secret),
            scopes=sorted(wanted),
            owner=owner,
            created_ms=now,
            expires_ms=expires_ms,
        )
    )
    return token, Secret(f"{PREFIX}_{token.id}_{secret}")


def verify_token(connection: Connection, text: str, *, now: Ms) -> Token:
    """The token that this text is, if it is valid at ``now``; UnauthenticatedError if not."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    row = None
    if prefix == PREFIX and len(text) <= 200 and token_id.isalnum():
        row = connection.execute(_with_owner(token_id)).one_or_none()
    # An unknown id costs the same hash and comparison as a known one.
    known = hmac.compare_digest(row.hash if row else bytes(32), _hash(secret))
    if row is None or not known:
        raise UnauthenticatedError("the token is not known", mend="Check that it was copied whole")
    token = _token(row)
    if token.revoked_ms is not None:  # whatever the clock says: one that is put back gives nothing back
        raise UnauthenticatedError("the token was revoked", mend="Ask an administrator for a new one")
    if expired(token, now):
        raise TokenExpiredError("the token has expired", mend="Ask an administrator for a new one")
    if row.disabled_ms is not None:
        raise UnauthenticatedError(
            "the account of whoever made the token is disabled", mend="Ask an administrator for a new one"
        )
    return token


def token_holds(connection: Connection, token_id: str, *, now: Ms) -> bool:
    """Whether a token that was verified before is still valid at ``now``."""
    row = connection.execute(_with_owner(token_id)).one_or_none()
    return (
        row is not None
        and row.revoked_ms is None
        and row.disabled_ms is None
        and not expired(_token(row), now)
    )


def expired(token: Token, now: Ms) -> bool:
    return token.lapsed_ms is not None or (token.expires_ms is not None and token.expires_ms <= now)


def lapse_tokens(connection: Connection, now: Ms) -> int:
    """Keep it for good that these have expired, so that a clock put back revives none; how many."""
    past = api_token.c.lapsed_ms.is_(None), api_token.c.expires_ms <= now
    return connection.execute(update(api_token).where(*past).values(lapsed_ms=now)).rowcount


async def lapse_past_tokens(database: Database, now: Ms) -> int:
    """The same, writing only if there are any. To be called every few seconds, and where one is refused."""
    query = select(api_token.c.id).where(api_token.c.lapsed_ms.is_(None), api_token.c.expires_ms <= now)
    if not await database.aquick(lambda connection: connection.scalar(query.limit(1))):
        return 0
    return await database.awrite(lambda connection: lapse_tokens(connection, now))


def person_behind(connection: Connection, caller: str) -> str:
    """Whose act that of a caller is (an id of a user, or of a token behind ``token:``): the user's, or that
    of whoever made the token; of a token of which nobody knows whose it is, its own."""
    prefix, _, token_id = caller.partition(CALLER)
    if prefix:
        return caller
    owner = connection.scalar(select(api_token.c.owner).where(api_token.c.id == token_id))
    return caller if owner is None else owner


def check_another(connection: Connection, decider: str, asker: str, own: str) -> None:
    """ForbiddenError unless a decision on somebody's wish is another's; ``own`` says so of one's own. What a
    person asks for, a token of which nobody knows whose it is does not decide, for it may be in the same
    hands, nor does an account whose password the asker may know; what such a token asks for, a machine did.
    """
    first, second = person_behind(connection, asker), person_behind(connection, decider)
    if first == second or (second.startswith(CALLER) and not first.startswith(CALLER)):
        raise ForbiddenError(own, mend="Have another person look at it")
    if in_one_hand(connection, second, [first]):
        raise OneHandError(own)


def touch_token(connection: Connection, token: Token, *, now: Ms) -> None:
    """Note that the token was used; nothing is written within a minute of the last note."""
    if token.last_used_ms is None or now - token.last_used_ms >= TOUCH_MS:
        connection.execute(update(api_token).where(api_token.c.id == token.id).values(last_used_ms=now))


def revoke_token(connection: Connection, token_id: str, *, now: Ms) -> None:
    """From now on it is refused. Revoking twice changes nothing; NotFoundError if there is no such token."""
    row = connection.execute(select(api_token).where(api_token.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no token {token_id}")
    if row.revoked_ms is None:
        connection.execute(update(api_token).where(api_token.c.id == token_id).values(revoked_ms=now))


def revoke_tokens_of(connection: Connection, owner: str, *, now: Ms) -> list[str]:
    """Every token of this person, and those that were made with one. Returns the ids of those that held."""
    mine = api_token.c.owner == owner, api_token.c.revoked_ms.is_(None)
    found = list(connection.scalars(select(api_token.c.id).where(*mine).order_by(api_token.c.id)))
    connection.execute(update(api_token).where(*mine).values(revoked_ms=now))
    return found


def list_tokens(connection: Connection) -> list[Token]:
    """All of them, revoked and expired ones included, oldest first."""
    query = select(api_token).order_by(api_token.c.created_ms, api_token.c.id)
    return [_token(row) for row in connection.execute(query)]


def _with_owner(token_id: str) -> Select[Any]:
    """The token, and whether its owner's account is disabled."""
    of = api_token.outerjoin(user, user.c.id == api_token.c.owner)
    return select(api_token, user.c.disabled_ms).select_from(of).where(api_token.c.id == token_id)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        scopes=frozenset(row.scopes),
        owner=row.owner,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        last_used_ms=row.last_used_ms,
        revoked_ms=row.revoked_ms,
        lapsed_ms=row.lapsed_ms,
    )
