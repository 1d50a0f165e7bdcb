"""Who may call what: API tokens for machines, sessions for people, addresses for the metrics.

A right says which roles of a person and which scope of a token open a route; all of them are in the table
below. Finer questions (whose camera, whose request) are answered by the rooms that know.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from sharpeyes.access import entries
from sharpeyes.api.connections import vouch
from sharpeyes.api.context import Context, Rooms
from sharpeyes.domain.access import Role, Session, Subject
from sharpeyes.domain.errors import ForbiddenError, UnauthenticatedError
from sharpeyes.domain.time import Ms
from sharpeyes.store import access_schema, schema, tokens

COOKIE = "sharpeyes_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What it takes to use a route."""

    name: str
    roles: frozenset[Role]
    """Any of these, of whoever is logged in."""
    scope: str | None = None
    """Of an API token; None: this takes a person, whom the register can name."""


READ = Right(name="see cameras, states and rates", roles=frozenset(Role), scope="read")
OPERATE = Right(
    name="probe cameras and work on tickets",
    roles=frozenset({Role.OPERATOR, Role.MAINTAINER, Role.ADMIN}),
    scope="admin",
)
STILLS = Right(name="see stills of cameras", roles=frozenset({Role.OPERATOR}))
"""A still is footage: health without video, as maintainers have it, goes without them, and so do machines.
Which cameras' stills is asked as for any picture."""
MANAGE = Right(name="manage the service", roles=frozenset({Role.ADMIN}), scope="admin")
ADDRESSES = Right(
    name="see addresses of cameras", roles=frozenset({Role.MAINTAINER, Role.ADMIN}), scope="read"
)
TAKE_PART = Right(name="ask for views, decide on them and watch", roles=frozenset(Role))
MANAGE_PEOPLE = Right(name="manage accounts and rules", roles=frozenset({Role.ADMIN}))
AUDIT = Right(name="read the register", roles=frozenset({Role.AUDITOR}))
DUTY = Right(name="keep the shift log", roles=frozenset({Role.OPERATOR}))
READ_DUTY = Right(
    name="read the shift log", roles=frozenset({Role.OPERATOR, Role.MAINTAINER, Role.AUDITOR, Role.ADMIN})
)
DISPUTE = Right(
    name="ask for exclusions and contest intervals",
    roles=frozenset({Role.OPERATOR, Role.REQUESTER, Role.APPROVER, Role.MAINTAINER, Role.ADMIN}),
    scope="admin",
)
SETTLE = Right(
    name="decide on exclusions and answer contests",
    roles=frozenset({Role.OPERATOR, Role.ADMIN}),
    scope="admin",
)
MAKE_REPORTS = Right(name="have reports made", roles=frozenset(Role), scope="admin")
SCHEDULE = Right(name="schedule reports", roles=frozenset({Role.OPERATOR, Role.ADMIN}), scope="admin")
RIGHTS = (
    READ,
    OPERATE,
    STILLS,
    MANAGE,
    ADDRESSES,
    TAKE_PART,
    MANAGE_PEOPLE,
    AUDIT,
    DUTY,
    READ_DUTY,
    DISPUTE,
    SETTLE,
    MAKE_REPORTS,
    SCHEDULE,
)


class CsrfError(ForbiddenError):
    """A session's cookie came without the proof that the console sent it, and not some other page."""

    kind = "csrf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request: a person with a session, or a machine with a token."""

    address: str
    token: tokens.Token | None = None
    subject: Subject | None = None
    session: Session | None = None

    def may(self, right: Right) -> bool:
        if self.subject is not None:
            return bool(self.subject.roles & right.roles)
        return self.token is not None and right.scope is not None and self.token.allows(right.scope)

    @property
    def name(self) -> str:
        """For records: the id of a user, or of a token behind ``token:``."""
        if self.subject is not None:
            return self.subject.id
        return f"{tokens.CALLER}{self.token.id}" if self.token is not None else ""

    @property
    def behind(self) -> str | None:
        """The person whose act this is, by whichever credential; None if nobody knows."""
        if self.subject is not None:
            return self.subject.id
        return self.token.owner if self.token is not None else None

    @property
    def person(self) -> Subject:
        if self.subject is None:
            raise ForbiddenError("this takes a person", mend="Log in: POST /api/v1/session")
        return self.subject


bearer = HTTPBearer(auto_error=False, description="An API token, as printed once when it was made.")
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
session_cookie = APIKeyCookie(
    name=COOKIE,
    scheme_name="session",
    auto_error=False,
    description="A person's session, from POST /api/v1/session. What changes something also needs the header "
    f"{CSRF_HEADER}.",
)


async def authenticate(rooms: Context, presented: HTTPAuthorizationCredentials | None) -> tokens.Token:
    """The token of a request; UnauthenticatedError if there is none or it does not hold."""
    if presented is None:
        raise UnauthenticatedError(
            "this needs a session or an API token",
            mend="Log in at /api/v1/session, or send 'Authorization: Bearer <token>'; the first start of the "
            "service printed the first token",
        )
    now = rooms.clock()
    # Mostly it is one that was looked up before: a request that waits for no thread is answered at once.
    digest = hashlib.sha256(presented.credentials.encode(errors="replace")).digest()
    stamp = rooms.database.stamp(schema.api_token, access_schema.user)
    known = rooms.tokens.get(digest, stamp)
    if known is not None and not _looked_up_again(known, now):
        return known
    try:
        token = await rooms.database.aquick(
            lambda connection: tokens.verify_token(connection, presented.credentials, now=now)
        )
    except tokens.TokenExpiredError:
        await tokens.lapse_past_tokens(rooms.database, now)
        raise
    if token.last_used_ms is None or now - token.last_used_ms >= tokens.TOUCH_MS:
        touch = partial(tokens.touch_token, token=token, now=now)
        await rooms.database.awrite(touch, quiet=True)
        token = replace(token, last_used_ms=now)
    rooms.tokens.put(digest, stamp, token)
    return token


def _looked_up_again(token: tokens.Token, now: Ms) -> bool:
    """Whether it has run out meanwhile, or its use is to be noted."""
    used = token.last_used_ms
    return (token.expires_ms is not None and now >= token.expires_ms) or (
        used is None or now - used >= tokens.TOUCH_MS
    )


def csrf_token(session_token: str) -> str:
    """What a page must send beside the cookie: it follows from the session's token, which no other page can
    read, and does not give it away."""
    digest = hmac.digest(session_token.encode(errors="replace"), b"sharpeyes csrf", hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


async def identify(
    request: Request,
    rooms: Rooms,
    presented: Presented,
    cookie: Annotated[str | None, Depends(session_cookie)],
) -> Caller:
    """Who calls; UnauthenticatedError if that cannot be told, CsrfError if another page may have sent it."""
    address = client_address(request)
    if presented is not None or cookie is None:
        caller = Caller(address=address, token=await authenticate(rooms, presented))
        vouch(request)
        return caller
    subject, session = await rooms.access.people.authenticate(cookie)
    if request.method not in SAFE_METHODS:
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), csrf_token(cookie).encode()):
            raise CsrfError(
                f"the header {CSRF_HEADER} is missing or not that of this session",
                mend="Send the 'csrf' of GET /api/v1/session in it",
            )
    vouch(request)
    return Caller(address=address, subject=subject, session=session)


async def holds(rooms: Context, caller: Caller) -> bool:
    """Whether whoever began a long answer may hear the rest of it."""
    if caller.session is not None:
        return await rooms.access.people.holds(caller.session)
    token, now = caller.token, rooms.clock()
    return token is not None and await rooms.database.aquick(
        lambda connection: tokens.token_holds(connection, token.id, now=now)
    )


Identified = Annotated[Caller, Depends(identify)]


def needs(right: Right) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets through only who has ``right``; a refusal goes into the register."""

    async def check(request: Request, rooms: Rooms, caller: Identified) -> Caller:
        if caller.may(right):
            return caller
        async with refusals(rooms, caller, request.method.lower(), request.url.path):
            if caller.subject is None:
                assert caller.token is not None
                raise ForbiddenError(
                    f"this needs the scope '{right.scope}'; '{caller.token.name}' has "
                    f"{', '.join(sorted(caller.token.scopes))}"
                    if right.scope
                    else f"a token cannot {right.name}: that takes a person",
                    mend="Ask an administrator for a token with that scope"
                    if right.scope
                    else "Log in: POST /api/v1/session",
                )
            raise ForbiddenError(
                f"none of this account's roles may {right.name}",
                mend=f"It takes one of: {', '.join(sorted(right.roles))}",
            )

    return check


@asynccontextmanager
async def refusals(rooms: Context, caller: Caller, step: str, about: str) -> AsyncIterator[None]:
    """Have the register hold that this caller was refused a step, before they hear of it. WaitError for a
    person who was refused too often of late, before anything is done."""
    if rooms.accountable and caller.subject is not None:
        rooms.access.register.refusals.check(caller.subject.id, rooms.clock())
    try:
        yield
    except ForbiddenError as error:
        if rooms.accountable or caller.subject is not None:
            entry = entries.forbidden(
                rooms.clock(),
                caller.subject,
                error.message,
                step,
                about[:64],
                caller=caller.name,
                address=caller.address,
            )
            await rooms.access.register.append(entry)
        raise


Reader = Depends(needs(READ))
Admin = Depends(needs(MANAGE))
Operator = Depends(needs(OPERATE))
AnyCaller = Annotated[Caller, Depends(needs(READ))]
ManagingCaller = Annotated[Caller, Depends(needs(MANAGE))]
OperatorCaller = Annotated[Caller, Depends(needs(OPERATE))]
StillViewer = Annotated[Caller, Depends(needs(STILLS))]
Person = Annotated[Caller, Depends(needs(TAKE_PART))]
PeopleManager = Annotated[Caller, Depends(needs(MANAGE_PEOPLE))]
Auditor = Annotated[Caller, Depends(needs(AUDIT))]
DutyCaller = Annotated[Caller, Depends(needs(DUTY))]
DutyReader = Annotated[Caller, Depends(needs(READ_DUTY))]
Disputer = Annotated[Caller, Depends(needs(DISPUTE))]
Settler = Annotated[Caller, Depends(needs(SETTLE))]
ReportMaker = Annotated[Caller, Depends(needs(MAKE_REPORTS))]
Scheduler = Annotated[Caller, Depends(needs(SCHEDULE))]


async def metrics_reader(request: Request, rooms: Rooms, presented: Presented) -> None:
    """Metrics: for this machine, for the allow-list, and for whoever has a token."""
    peer = _peer(request)
    if peer is not None and (peer.is_loopback or any(peer in network for network in rooms.metrics_allow)):
        vouch(request)
        return
    if presented is not None:
        await authenticate(rooms, presented)
        vouch(request)
        return
    raise ForbiddenError(
        f"{peer or 'this peer'} may not read the metrics",
        mend="Add its network to SHARPEYES_METRICS_ALLOW, or send a token",
    )


def client_address(request: Request) -> str:
    """The address of the other end; empty if it has none. Tickets are bound to it."""
    return request.client.host if request.client else ""


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
