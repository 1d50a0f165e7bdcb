"""Single sign-on: to the provider of identities, and back with a session."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Cookie, Query, Request
from fastapi.responses import RedirectResponse

from sharpeyes.access.sign_on import PENDING_MS, SignOn, local
from sharpeyes.api.auth import client_address
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.people_shapes import SignInWays
from sharpeyes.api.routes.session import give_session
from sharpeyes.domain.errors import NotFoundError, SharpEyesError

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1/session", tags=["session"])

CALLBACK = "/api/v1/session/oidc/callback"
"""To be registered with the provider, behind this service's public address."""
COOKIE = "sharpeyes_sign_on"
SIGN_IN_PAGE = "/sign-in"

Parameter = Annotated[str, Query(max_length=4096)]


@router.get("/ways")
async def ways(rooms: Rooms) -> SignInWays:
    """How one can log in here. Needs no session."""
    sign_on = rooms.access.sign_on
    return SignInWays(password=True, sign_on=sign_on.label if sign_on else None)


@router.get("/oidc", status_code=HTTPStatus.SEE_OTHER, response_class=RedirectResponse)
async def begin(
    request: Request, rooms: Rooms, after: Annotated[str, Query(alias="next", max_length=500)] = "/"
) -> RedirectResponse:
    """Go to the provider; come back to the page `next`."""
    try:
        url, pending = await _sign_on(rooms).begin(after)
    except SharpEyesError as error:
        return _sorry(error, after)
    answer = _to(url)
    # Lax, not strict: the provider sends the browser back here, and this cookie must come with it.
    answer.set_cookie(
        COOKIE,
        pending,
        max_age=PENDING_MS // 1000,
        path=CALLBACK,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get("/oidc/callback", status_code=HTTPStatus.SEE_OTHER, response_class=RedirectResponse)
async def finish(
    request: Request,
    rooms: Rooms,
    state: Parameter = "",
    code: Parameter = "",
    error: Parameter = "",
    pending: Annotated[str, Cookie(alias=COOKIE, max_length=4096)] = "",
) -> RedirectResponse:
    """Where the provider sends the browser back to: a session and the page that was wanted, or the sign-in
    page with the reason (`problem`: declined, no_account, unauthenticated, throttled, unavailable)."""
    if error or not code:
        answer = _to(f"{SIGN_IN_PAGE}?problem=declined")
    else:
        try:
            logged_in, after = await _sign_on(rooms).finish(
                pending,
                state=state,
                code=code,
                address=client_address(request),
                client=request.headers.get("user-agent", ""),
            )
        except SharpEyesError as problem:
            answer = _sorry(problem, "/")
        else:
            answer = _to(after)
            give_session(request, answer, logged_in)
    answer.delete_cookie(COOKIE, path=CALLBACK, httponly=True, samesite="lax")
    return answer


def _sign_on(rooms: Context) -> SignOn:
    if rooms.access.sign_on is None:
        raise NotFoundError("there is no single sign-on here", mend="Set SHARPEYES_OIDC_ISSUER")
    return rooms.access.sign_on


def _sorry(error: SharpEyesError, after: str) -> RedirectResponse:
    """A person with a browser is at the other end, not a program: a page instead of a problem document. Its
    text is the console's own by the kind of the error, so that nobody can make the page say anything else."""
    log.warning("single sign-on failed: %s", error)
    return _to(f"{SIGN_IN_PAGE}?problem={quote(error.kind)}&next={quote(local(after), safe='')}")


def _to(url: str) -> RedirectResponse:
    return RedirectResponse(
        url, HTTPStatus.SEE_OTHER, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
