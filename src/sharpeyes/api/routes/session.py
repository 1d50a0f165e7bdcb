"""The session of whoever is logged in: begun with a password, looked at, ended; and one's own account."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from sharpeyes.access import totp
from sharpeyes.access.people import LoggedIn
from sharpeyes.api import auth
from sharpeyes.api.auth import COOKIE, Caller, Person, client_address, csrf_token
from sharpeyes.api.context import Rooms
from sharpeyes.api.people_shapes import (
    LogIn,
    OwnName,
    OwnPassword,
    PersonShape,
    SessionShape,
    TotpOffer,
    TotpProof,
    TotpRemoval,
    WhoAmI,
)
from sharpeyes.api.schemas import Shape, example
from sharpeyes.domain.access import Session, Subject
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.store.people import get_account

router = APIRouter(prefix="/api/v1", tags=["session"])

NO_STORE = {"Cache-Control": "no-store"}


class TotpWanted(Shape):
    model_config = example(code=True)

    code: Annotated[bool, Field(description="Whether a log-in takes a code of an authenticator app.")]


@router.post("/session", status_code=HTTPStatus.CREATED)
async def log_in(request: Request, response: Response, rooms: Rooms, form: LogIn) -> WhoAmI:
    """Log in. The session is in the cookie that comes with the answer, which no script can read; send `csrf`
    as `X-CSRF-Token` with everything that changes something.

    401 `unauthenticated` for a wrong name, password or code, with one text for all three; 401 `code_needed`
    if only the code is missing; 429 `throttled` with `Retry-After` after too many failures. Each attempt is
    in the register.
    """
    logged_in = await rooms.access.people.log_in(
        form.username,
        Secret(form.password.get_secret_value()),
        form.code,
        address=client_address(request),
        client=request.headers.get("user-agent", ""),
    )
    give_session(request, response, logged_in)
    return _who(logged_in.subject, logged_in.session, logged_in.token.reveal())


@router.get("/session")
async def who_am_i(request: Request, response: Response, caller: Person) -> WhoAmI:
    """Who is logged in here, and the `csrf` token of the session."""
    response.headers.update(NO_STORE)
    return _who(caller.person, _session(caller), request.cookies[COOKIE])


@router.delete("/session", status_code=HTTPStatus.NO_CONTENT)
async def log_out(response: Response, rooms: Rooms, caller: Person) -> None:
    """End this session. Pictures that run for this user are judged again at once."""
    await rooms.access.people.end_sessions(caller.person, caller.person.id, only=_session(caller).id)
    _forget(response)


@router.put("/session/name", status_code=HTTPStatus.NO_CONTENT)
async def change_name(rooms: Rooms, caller: Person, form: OwnName) -> None:
    """Another name of one's own to be shown, that nobody else here bears. Goes into the register."""
    await rooms.access.people.set_name(caller.person, caller.person.id, form.name)


@router.put("/session/password", status_code=HTTPStatus.NO_CONTENT)
async def change_password(response: Response, rooms: Rooms, caller: Person, form: OwnPassword) -> None:
    """Another password of one's own. Every session ends, this one too."""
    async with auth.refusals(rooms, caller, "password", caller.person.id):
        await rooms.access.people.set_password(
            caller.person,
            caller.person.id,
            Secret(form.password.get_secret_value()),
            old=Secret(form.old.get_secret_value()),
        )
    _forget(response)


@router.get("/session/totp")
async def totp_wanted(response: Response, rooms: Rooms, caller: Person) -> TotpWanted:
    """Whether one's own log-ins take a code."""
    response.headers.update(NO_STORE)
    account = await rooms.database.aread(lambda connection: get_account(connection, caller.person.id))
    return TotpWanted(code=account.totp is not None)


@router.post("/session/totp")
async def offer_totp(response: Response, rooms: Rooms, caller: Person) -> TotpOffer:
    """A fresh secret for an authenticator app. Nothing is stored before a code of it comes back."""
    response.headers.update(NO_STORE)
    account = await rooms.database.aread(lambda connection: get_account(connection, caller.person.id))
    secret = totp.new_secret()
    return TotpOffer(secret=secret.reveal(), uri=totp.uri(secret, account.username).reveal())


@router.put("/session/totp", status_code=HTTPStatus.NO_CONTENT)
async def confirm_totp(rooms: Rooms, caller: Person, proof: TotpProof) -> None:
    """Want codes of this secret at every log-in from now on, once one shows that the app has it."""
    await rooms.access.people.confirm_totp(caller.person, Secret(proof.secret.get_secret_value()), proof.code)


@router.post("/session/totp/removal", status_code=HTTPStatus.NO_CONTENT)
async def remove_totp(response: Response, rooms: Rooms, caller: Person, proof: TotpRemoval) -> None:
    """Want no codes any more, with the password and a code. Every session ends, this one too."""
    async with auth.refusals(rooms, caller, "totp", caller.person.id):
        await rooms.access.people.remove_own_totp(
            caller.person, Secret(proof.password.get_secret_value()), proof.code
        )
    _forget(response)


@router.get("/sessions")
async def sessions(rooms: Rooms, caller: Person) -> tuple[SessionShape, ...]:
    """One's own sessions that are alive, newest first."""
    found = await rooms.access.people.sessions_of(caller.person.id)
    return tuple(SessionShape.of(session, _session(caller).id) for session in found)


@router.delete("/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_session(rooms: Rooms, caller: Person, session_id: Annotated[str, Path(max_length=64)]) -> None:
    """End one of one's own sessions."""
    if not await rooms.access.people.end_sessions(caller.person, caller.person.id, only=session_id):
        raise NotFoundError("you have no such session")


@router.delete("/sessions", status_code=HTTPStatus.NO_CONTENT)
async def end_other_sessions(rooms: Rooms, caller: Person) -> None:
    """End all of one's own sessions but this one."""
    await rooms.access.people.end_sessions(caller.person, caller.person.id, but=_session(caller).id)


def give_session(request: Request, response: Response, logged_in: LoggedIn) -> None:
    """Have the browser keep the session where no script can read it."""
    response.set_cookie(
        COOKIE,
        logged_in.token.reveal(),
        max_age=(logged_in.session.expires - logged_in.session.created) // 1000,
        path="/api",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    response.headers.update(NO_STORE)


def _who(subject: Subject, session: Session, token: str) -> WhoAmI:
    caller = Caller(address="", subject=subject, session=session)
    return WhoAmI(
        user=PersonShape.of(subject),
        session=SessionShape.of(session, session.id),
        csrf=csrf_token(token),
        may=tuple(sorted(right.name for right in auth.RIGHTS if caller.may(right))),
    )


def _session(caller: Caller) -> Session:
    assert caller.session is not None  # a person has one
    return caller.session


def _forget(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/api", httponly=True, samesite="strict")
