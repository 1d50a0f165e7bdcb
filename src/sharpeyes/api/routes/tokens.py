"""API tokens: made, listed, revoked; for administrators."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from sharpeyes.api.auth import Admin
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import CreatedToken, NewToken, TokenShape
from sharpeyes.domain.time import from_datetime
from sharpeyes.store.tokens import create_token, list_tokens, revoke_token

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"], dependencies=[Admin])


@router.get("")
async def list_all(rooms: Rooms) -> tuple[TokenShape, ...]:
    """All tokens, revoked and expired ones included, without their secrets."""
    return tuple(TokenShape.of(token) for token in await rooms.database.aread(list_tokens))


@router.post("", status_code=HTTPStatus.CREATED)
async def create(rooms: Rooms, wanted: NewToken) -> CreatedToken:
    """Make a token. Its text is in this answer and nowhere else."""
    now = rooms.clock()
    token, secret = await rooms.database.awrite(
        lambda connection: create_token(
            connection,
            name=wanted.name,
            scopes=wanted.scopes,
            now=now,
            expires_ms=None if wanted.expires is None else from_datetime(wanted.expires),
        )
    )
    return CreatedToken(**dict(TokenShape.of(token)), token=secret.reveal())


@router.delete("/{token_id}", status_code=HTTPStatus.NO_CONTENT)
async def revoke(rooms: Rooms, token_id: str) -> None:
    """Refuse the token from now on."""
    now = rooms.clock()
    await rooms.database.awrite(lambda connection: revoke_token(connection, token_id, now=now))
