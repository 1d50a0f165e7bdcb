"""Every route of the service, and everybody who must not come in by it: nobody known, whose account is
disabled, whose session or token is over, who is of another department. (Roles and scopes: test_api_rights.)

A route that somebody adds is asked without being told; one that opens to any of these has to stand below,
with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_api_rights import BY_ADDRESS, GUARDED, OPEN, TABLE, path_of

from api_client import Client, client_of
from api_people import PASSWORD, Browser, Clock, Staff, staff_of
from sharpeyes.access import refusals
from sharpeyes.access.refusals import Allowance
from sharpeyes.api.app import create_api
from sharpeyes.api.auth import DISPUTE, STILLS, TAKE_PART
from sharpeyes.app import context_of
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret

OPEN_BECAUSE = {
    "GET /healthz": "a load balancer asks whether the process lives",
    "GET /readyz": "and whether it does its work",
    "GET /api/v1/session/ways": "the page of the log-in shows whether there is single sign-on",
    "GET /api/v1/session/oidc": "single sign-on begins here",
    "GET /api/v1/session/oidc/callback": "and comes back here",
    "POST /api/v1/session": "whoever logs in has nothing yet",
}
BY_TICKET = {route for route in TABLE if route.split()[1].startswith("/api/v1/views/")} - set(GUARDED)
"""The ticket, or the name of a running view, is the credential: without one, 401 or 404."""

FORMS: dict[str, dict[str, Any]] = {
    "POST /api/v1/views/{camera_id}/whep": {
        "content": b"v=0",
        "headers": {"Content-Type": "application/sdp"},
    },
    "PATCH /api/v1/views/sessions/{session}": {
        "content": b"a=end-of-candidates",
        "headers": {"Content-Type": "application/trickle-ice-sdpfrag"},
    },
}
"""Where the form of the body is looked at before the credential."""

ROLES = frozenset(Role) - {Role.AUDITOR}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def town(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(refusals, "USER", Allowance(burst=100_000, refill_ms=1))
    monkeypatch.setattr(refusals, "ADDRESS", Allowance(burst=100_000, refill_ms=1))
    async with client_of(tmp_path, clock=clock) as client:
        client.service.stopping.set()  # answers that would go on for ever end
        yield client


async def browser_of(client: Client, name: str, roles: frozenset[Role]) -> Browser:
    """Somebody with these roles, logged in, at an address that may not read the metrics."""
    people = client.service.access.people  # type: ignore[union-attr]
    made = await people.add(
        None, username=name, name=name, department="edu", roles=roles, password=Secret(PASSWORD)
    )
    transport = httpx.ASGITransport(create_api(context_of(client.service)), client=("192.0.2.9", 1))
    browser = Browser(transport=transport, base_url="http://sharpeyes")
    assert (await browser.log_in(name)).status_code == 201
    browser.id = made.id
    return browser


async def token_of(browser: Browser, **more: Any) -> tuple[str, str]:
    answer = await browser.post("/api/v1/tokens", json={"name": "poll", "scopes": ["admin"], **more})
    assert answer.status_code == 201
    return answer.json()["id"], f"Bearer {answer.json()['token']}"


Shut = Callable[[Client, Clock, Browser], Awaitable[None]]
"""Makes a browser that came in everywhere one that must not."""


async def anonymous(_: Client, __: Clock, browser: Browser) -> None:
    browser.cookies.clear()


async def forged(_: Client, __: Clock, browser: Browser) -> None:
    browser.cookies.clear()
    browser.cookies.set("sharpeyes_session", "x" * 43)


async def disabled(client: Client, _: Clock, browser: Browser) -> None:
    await client.service.access.people.set_enabled(None, browser.id, False)  # type: ignore[union-attr]


async def enabled_again(client: Client, clock: Clock, browser: Browser) -> None:
    await disabled(client, clock, browser)
    await client.service.access.people.set_enabled(None, browser.id, True)  # type: ignore[union-attr]


async def expired(_: Client, clock: Clock, __: Browser) -> None:
    clock.ahead_ms = 13 * 3_600_000


async def logged_out(_: Client, __: Clock, browser: Browser) -> None:
    cookies = httpx.Cookies(browser.cookies)
    assert (await browser.delete("/api/v1/session")).status_code == 204
    browser.cookies = cookies


async def by_token(browser: Browser, token: str) -> None:
    browser.cookies.clear()
    browser.headers["Authorization"] = token


async def token_expired(_: Client, clock: Clock, browser: Browser) -> None:
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await by_token(browser, (await token_of(browser, expires=expires))[1])
    clock.ahead_ms = 7_200_000


async def token_revoked(client: Client, _: Clock, browser: Browser) -> None:
    key, token = await token_of(browser)
    assert (await client.delete(f"/api/v1/tokens/{key}")).status_code == 204
    await by_token(browser, token)


async def token_of_somebody_disabled(client: Client, clock: Clock, browser: Browser) -> None:
    await by_token(browser, (await token_of(browser))[1])
    await disabled(client, clock, browser)


async def token_of_no_administrator(client: Client, _: Clock, browser: Browser) -> None:
    await by_token(browser, (await token_of(browser))[1])
    await client.service.access.people.set_roles(None, browser.id, {Role.OPERATOR})  # type: ignore[union-attr]


WAYS: tuple[Shut, ...] = (
    anonymous,
    forged,
    disabled,
    enabled_again,
    expired,
    logged_out,
    token_expired,
    token_revoked,
    token_of_somebody_disabled,
    token_of_no_administrator,
)


@pytest.mark.parametrize("shut", WAYS, ids=lambda way: way.__name__)
async def test_no_route_opens_to_whoever_is_shut_out(town: Client, clock: Clock, shut: Shut) -> None:
    document = (await town.get("/openapi.json")).json()
    async with contextlib.aclosing(await browser_of(town, "han", ROLES)) as browser:
        assert (await browser.get("/api/v1/cameras")).status_code == 200
        await shut(town, clock, browser)
        for route in TABLE:
            if route in OPEN_BECAUSE:
                continue
            method, path = path_of(route, document)
            answer = await browser.request(method, path, **FORMS.get(route, {}))
            where = f"{route}: {answer.status_code} {answer.text[:300]}"
            if route in BY_TICKET:
                assert answer.status_code in (401, 404), where
            elif route in BY_ADDRESS and "Authorization" not in browser.headers:
                assert answer.status_code == 403, where
            else:
                assert answer.status_code == 401, where
                assert answer.headers["www-authenticate"], where
            assert answer.headers["content-type"] == "application/problem+json", where
            assert answer.json()["detail"], where
            assert set(answer.json()) <= {"type", "title", "status", "detail", "mend", "reason"}, where
            assert "gate-1" not in answer.text, where


def test_what_is_open_has_its_reason_and_the_description_says_so() -> None:
    assert set(OPEN_BECAUSE) == OPEN
    assert set(TABLE) == set(OPEN_BECAUSE) | BY_ADDRESS | BY_TICKET | set(GUARDED)


# --- another department ---------------------------------------------------------------------------------

ONES_OWN = {
    "GET /api/v1/session",
    "DELETE /api/v1/session",
    "PUT /api/v1/session/name",
    "PUT /api/v1/session/password",
    "GET /api/v1/session/totp",
    "POST /api/v1/session/totp",
    "PUT /api/v1/session/totp",
    "POST /api/v1/session/totp/removal",
    "GET /api/v1/sessions",
    "DELETE /api/v1/sessions",
    "GET /api/v1/saved-views",
    "POST /api/v1/saved-views",
}
"""About nobody but who asks."""
FOR_ALL = {
    "GET /api/v1/view-policies": "the rules bind everybody",
    "GET /api/v1/view-policies/{tier}": "the rules bind everybody",
    "GET /api/v1/cameras/{camera_id}/masks": "shapes without a picture, which say what nobody may see",
    "GET /api/v1/cameras/{camera_id}/place": "what kind of place it is decides who may ask",
    "POST /api/v1/view-requests": "one department asks another",
    "POST /api/v1/overrides": "an emergency asks nobody; it is registered and reviewed",
    "POST /api/v1/views/preflight": "how a picture would be coded, which is not the picture",
    "POST /api/v1/exclusions": "an application, which somebody else decides on",
    "GET /api/v1/people": "approvers know the names of those who may ask them",
    "GET /api/v1/watchable": "says of each camera why not",
}
"""Open to another department as well, because."""


@pytest.fixture
async def staff(town: Client) -> AsyncIterator[Staff]:
    """With somebody of a third department who is everything but auditor and administrator."""
    async with staff_of(town) as staff:
        people = town.service.access.people  # type: ignore[union-attr]
        roles = ROLES - {Role.ADMIN}
        await people.add(
            None, username="han", name="Han", department="audit", roles=roles, password=Secret(PASSWORD)
        )
        staff.browsers["han"] = browser = await staff.browser()
        assert (await browser.log_in("han")).status_code == 201
        yield staff


async def test_no_route_opens_what_is_between_two_other_departments(staff: Staff) -> None:
    """wang (edu) asks for a camera of psb, zhou (psb) opens one in an emergency: it is none of han's."""
    han = staff["han"]
    wish = (await staff.ask("gate-1"))["id"]
    grant = (await staff.approve(await staff.ask("gate-1"), "zhao", "qian") or {})["id"]
    opening = {"cameras": ["gate-2"], "actions": ["live"], "reason": "fire in the street"}
    opened = (await staff["zhou"].post("/api/v1/overrides", json=opening)).json()[0]["grant"]["id"]
    view = (
        await staff["wang"].post("/api/v1/saved-views", json={"page": "cameras", "name": "mine", "query": ""})
    ).json()
    (session,) = (await staff["wang"].get("/api/v1/sessions")).json()
    hours = [(datetime.now(UTC) - timedelta(hours=h)).isoformat() for h in (2, 1)]
    excluded = await staff["zhou"].post(
        "/api/v1/exclusions",
        json={"scope": "camera", "subjects": ["gate-1"], "from": hours[0], "to": hours[1], "reason": "works",
              "evidence": "letter 7"},
    )  # fmt: skip
    assert excluded.status_code == 201, excluded.text
    reason = {"reason": "no business of mine"}
    end = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    still = "/api/v1/cameras/gate-1/stills/" + "0" * 32
    mine = "GET /api/v1/cameras/{camera_id}/stills/{still_id}"
    refused: dict[str, tuple[str, Any]] = {
        mine: (still, None),
        "GET /api/v1/grants/{grant_id}": (f"/api/v1/grants/{grant}", None),
        "POST /api/v1/grants/{grant_id}/extend": (f"/api/v1/grants/{grant}/extend", {"end": end}),
        "POST /api/v1/grants/{grant_id}/narrow": (f"/api/v1/grants/{grant}/narrow", {"actions": ["live"]}),
        "POST /api/v1/grants/{grant_id}/revoke": (f"/api/v1/grants/{grant}/revoke", reason),
        "POST /api/v1/overrides/{grant_id}/review": (
            f"/api/v1/overrides/{opened}/review",
            {"justified": True, **reason},
        ),
        "GET /api/v1/view-requests/{request_id}": (f"/api/v1/view-requests/{wish}", None),
        "POST /api/v1/view-requests/{request_id}/approve": (
            f"/api/v1/view-requests/{wish}/approve",
            {"owner": "psb"},
        ),
        "POST /api/v1/view-requests/{request_id}/reject": (
            f"/api/v1/view-requests/{wish}/reject",
            {"owner": "psb", **reason},
        ),
        "POST /api/v1/view-requests/{request_id}/withdraw": (f"/api/v1/view-requests/{wish}/withdraw", {}),
        "POST /api/v1/view-tickets": ("/api/v1/view-tickets", {"camera": "gate-1", "grant": grant}),
        "DELETE /api/v1/views/running/{view}": ("/api/v1/views/running/0123456789abcdef", reason),
        "DELETE /api/v1/sessions/{session_id}": (f"/api/v1/sessions/{session['id']}", None),
        "DELETE /api/v1/saved-views/{key}": (f"/api/v1/saved-views/{view['id']}", None),
        "POST /api/v1/contests": (
            "/api/v1/contests",
            {"camera": "gate-1", "start": hours[0], "text": "not so"},
        ),
        "POST /api/v1/contests/{key}/withdrawal": ("/api/v1/contests/1/withdrawal", reason),
        "POST /api/v1/exclusions/{key}/withdrawal": (
            f"/api/v1/exclusions/{excluded.json()['id']}/withdrawal",
            reason,
        ),
    }
    lists = {
        "GET /api/v1/grants": (grant, opened),
        "GET /api/v1/view-requests": (wish,),
        "GET /api/v1/overrides": (opened,),
        "GET /api/v1/views/running": ("gate-1",),
    }
    between = {
        route
        for route, rights in GUARDED.items()
        if {STILLS.name, TAKE_PART.name, DISPUTE.name} & {r.name for r in rights}
    }
    assert between == ONES_OWN | set(FOR_ALL) | set(refused) | set(lists)
    for route, (path, form) in refused.items():
        method = route.split()[0]
        answer = await han.request(method, path, json=form)
        assert answer.status_code in (403, 404), f"{route}: {answer.status_code} {answer.text}"
        assert answer.json()["detail"], route
        assert not {wish, grant, opened} & set(answer.json()), route
    for route, secrets in lists.items():
        answer = await han.get(route.split()[1])
        assert answer.status_code == 200, route
        assert not [one for one in secrets if one in answer.text], route
    assert (await staff["wang"].get(f"/api/v1/grants/{grant}")).json()["ended"] is False
    for name in ("wang", "zhou", "zhao"):
        assert (await staff[name].get("/api/v1/session")).status_code == 200
