"""Who may call what: bearer tokens for the API, addresses for the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sharpeyes.api.context import Context, Rooms
from sharpeyes.domain.errors import ForbiddenError, UnauthenticatedError
from sharpeyes.store import tokens

bearer = HTTPBearer(auto_error=False, description="An API token, as printed once when it was made.")
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def authenticate(rooms: Context, presented: HTTPAuthorizationCredentials | None) -> tokens.Token:
    """The token of a request; UnauthenticatedError if there is none or it does not hold."""
    if presented is None:
        raise UnauthenticatedError(
            "this needs an API token",
            mend="Send 'Authorization: Bearer <token>'; the first start of the service printed the first one",
        )
    now = rooms.clock()
    token = await rooms.database.aread(
        lambda connection: tokens.verify_token(connection, presented.credentials, now=now)
    )
    if token.last_used_ms is None or now - token.last_used_ms >= tokens.TOUCH_MS:
        await rooms.database.awrite(lambda connection: tokens.touch_token(connection, token, now=now))
    return token


def needs(scope: str) -> Callable[..., Awaitable[tokens.Token]]:
    """A dependency that lets a request through only with a token that allows ``scope``."""

    async def check(rooms: Rooms, presented: Presented) -> tokens.Token:
        token = await authenticate(rooms, presented)
        if not token.allows(scope):
            raise ForbiddenError(
                f"this needs the scope '{scope}'; '{token.name}' has {', '.join(sorted(token.scopes))}",
                mend="Ask an administrator for a token with that scope",
            )
        return token

    return check


Reader = Depends(needs("read"))
Admin = Depends(needs("admin"))


async def metrics_reader(request: Request, rooms: Rooms, presented: Presented) -> None:
    """Metrics: for this machine, for the allow-list, and for whoever has a token."""
    peer = _peer(request)
    if peer is not None and (peer.is_loopback or any(peer in network for network in rooms.metrics_allow)):
        return
    if presented is not None:
        await authenticate(rooms, presented)
        return
    raise ForbiddenError(
        f"{peer or 'this peer'} may not read the metrics",
        mend="Add its network to SHARPEYES_METRICS_ALLOW, or send a token",
    )


def _peer(request: Request) -> IPv4Address | IPv6Address | None:
    if request.client is None:
        return None
    try:
        peer = ip_address(request.client.host)
    except ValueError:
        return None
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        return peer.ipv4_mapped
    return peer
