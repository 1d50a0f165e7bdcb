"""API tokens: made, listed, revoked; for administrators."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.register.entry import Entry
from sharpeyes.api.auth import Admin, ManagingCaller
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import CreatedToken, NewToken, TokenShape
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import from_datetime
from sharpeyes.store.tokens import Token, create_token, list_tokens, revoke_token

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"], dependencies=[Admin])


@router.get("")
async def list_all(rooms: Rooms) -> tuple[TokenShape, ...]:
    """All tokens, revoked and expired ones included, without their secrets."""
    return tuple(TokenShape.of(token) for token in await rooms.database.aread(list_tokens))


@router.post("", status_code=HTTPStatus.CREATED)
async def create(rooms: Rooms, caller: ManagingCaller, wanted: NewToken) -> CreatedToken:
    """Make a token, which belongs to whoever makes it. Its text is in this answer and nowhere else; that it
    was made is in the register."""
    now = rooms.clock()

    def change(connection: Connection) -> tuple[list[Entry], tuple[Token, Secret]]:
        token, secret = create_token(
            connection,
            name=wanted.name,
            scopes=wanted.scopes,
            now=now,
            expires_ms=None if wanted.expires is None else from_datetime(wanted.expires),
            owner=caller.behind,
        )
        entry = entries.token_changed(
            now, caller.subject, caller.name, token.id, "token_added", scopes=sorted(token.scopes)
        )
        return [entry], (token, secret)

    token, secret = await rooms.access.register.record(change)
    return CreatedToken(**dict(TokenShape.of(token)), token=secret.reveal())


@router.delete("/{token_id}", status_code=HTTPStatus.NO_CONTENT)
async def revoke(rooms: Rooms, caller: ManagingCaller, token_id: str) -> None:
    """Refuse the token from now on. Goes into the register, unless that is damaged: a door is shut first."""
    now = rooms.clock()

    def change(connection: Connection) -> tuple[list[Entry], None]:
        revoke_token(connection, token_id, now=now)
        return [entries.token_changed(now, caller.subject, caller.name, token_id, "token_revoked")], None

    if rooms.accountable:
        await rooms.access.register.record(change)
    else:
        await rooms.database.awrite(change)
