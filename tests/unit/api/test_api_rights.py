"""Every route, each role, each scope of a token, and none: against the table of rights, as generated from
the routes themselves. A route that somebody adds is in it without being told."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api_client import Client, client_of
from api_people import PASSWORD, Browser
from sharpeyes.access import refusals
from sharpeyes.access.refusals import Allowance
from sharpeyes.api import routes
from sharpeyes.api.app import create_api
from sharpeyes.api.auth import READ, RIGHTS, SAFE_METHODS, Right
from sharpeyes.app import context_of
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.tokens import SCOPES, create_token

OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /api/v1/session/ways",
    "GET /api/v1/session/oidc",
    "GET /api/v1/session/oidc/callback",
    "POST /api/v1/session",
}
"""Need nothing: whoever logs in has nothing yet."""
BY_ADDRESS = {"GET /probe", "GET /sd", "GET /metrics", "GET /metrics/cameras"}
"""For this machine, an allow-list and tokens."""
BY_TICKET = "/api/v1/views/"
"""What shows pictures goes by tickets, tested with the gateway."""
PUBLISHED = {"GET /api/v1/transparency": [READ]}
"""For everybody where the site publishes it, which this one does not: then by a right."""
ENDS_ITS_SESSION = {"DELETE /api/v1/session"}


def rights_of(dependant: Dependant) -> list[Right]:
    """What a route asks for, by looking into it."""
    found = []
    if getattr(dependant.call, "__qualname__", "") == "needs.<locals>.check":
        cells = zip(dependant.call.__code__.co_freevars, dependant.call.__closure__, strict=True)  # type: ignore[union-attr]
        found.append(next(cell.cell_contents for name, cell in cells if name == "right"))
    for inner in dependant.dependencies:
        found += rights_of(inner)
    return found


def table() -> dict[str, list[Right]]:
    """Every route as ``METHOD path``, with its rights."""
    found = {}
    for module in pkgutil.iter_modules(routes.__path__):
        for route in importlib.import_module(f"{routes.__name__}.{module.name}").router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods:
                    found[f"{method} {route.path}"] = rights_of(route.dependant)
    return found | PUBLISHED


TABLE = table()
GUARDED = {
    name: rights
    for name, rights in TABLE.items()
    if name not in OPEN | BY_ADDRESS and not (name.split()[1].startswith(BY_TICKET) and not rights)
}


def path_of(route: str, document: dict[str, Any]) -> tuple[str, str]:
    """Method and a path with something in the place of each parameter that is of its form."""
    method, path = route.split()
    parameters = document["paths"][path][method.lower()].get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            schema = parameter["schema"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            value = schema.get("enum", ["1"])[0]
            path = path.replace("{" + parameter["name"] + "}", str(value)).replace(
                "{" + parameter["name"] + ":path}", str(value)
            )
    return method, path


def refused(answer: httpx.Response) -> bool:
    """By the table of rights, and not by what a room says of somebody who came as far as that."""
    detail = answer.json().get("detail", "") if answer.status_code == 403 else ""
    return any(f"may {right.name}" in detail or f"cannot {right.name}" in detail for right in RIGHTS) or (
        "this needs the scope" in detail
    )


@pytest.fixture
async def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(refusals, "USER", Allowance(burst=100_000, refill_ms=1))
    monkeypatch.setattr(refusals, "ADDRESS", Allowance(burst=100_000, refill_ms=1))
    async with client_of(tmp_path) as client:
        client.service.stopping.set()  # answers that would go on for ever end
        yield client


def transport_to(client: Client) -> httpx.ASGITransport:
    """What goes wrong behind a door is not what is tested here."""
    api = create_api(context_of(client.service))
    return httpx.ASGITransport(api, client=("192.0.2.9", 1), raise_app_exceptions=False)


async def browser_of(client: Client, transport: httpx.ASGITransport, role: Role) -> Browser:
    await client.service.access.people.add(  # type: ignore[union-attr]
        None, username=role, name=role, department="edu", roles={role}, password=Secret(PASSWORD)
    )
    browser = Browser(transport=transport, base_url="http://sharpeyes")
    assert (await browser.log_in(role)).status_code == 201
    return browser


async def test_the_description_knows_every_route_and_none_is_unguarded(town: Client) -> None:
    document = (await town.get("/openapi.json")).json()
    described = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert described == set(TABLE)
    assert {name for name, rights in GUARDED.items() if not rights} == set()
    assert set(TABLE) >= OPEN | BY_ADDRESS
    assert len(GUARDED) > 120


def test_a_token_that_reads_changes_nothing() -> None:
    changing = {name: rights for name, rights in GUARDED.items() if name.split()[0] not in SAFE_METHODS}
    assert not {name for name, rights in changing.items() if all(right.scope == "read" for right in rights)}


def test_the_table_keeps_its_promises() -> None:
    """Who checks the watchers changes nothing, health goes without pictures, machines do not watch."""
    named = {right.name: right for right in RIGHTS}
    assert named["read the register"].roles == {Role.AUDITOR}
    assert Role.MAINTAINER not in named["see stills of cameras"].roles
    assert named["manage accounts and rules"].scope is None
    assert named["ask for views, decide on them and watch"].scope is None
    assert all(right.scope in {None, *SCOPES} for right in RIGHTS)


@pytest.mark.parametrize("role", Role)
async def test_each_route_opens_to_the_roles_of_its_rights(town: Client, role: Role) -> None:
    transport = transport_to(town)
    document = (await town.get("/openapi.json")).json()
    async with contextlib.aclosing(await browser_of(town, transport, role)) as browser:
        for route, rights in GUARDED.items():
            if route in ENDS_ITS_SESSION:
                continue
            answer = await browser.request(*path_of(route, document))
            may = all(role in right.roles for right in rights)
            assert answer.status_code != 401, route
            assert refused(answer) is not may, f"{route}: {answer.status_code} {answer.text}"


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_each_route_opens_to_the_scope_of_its_rights(town: Client, scope: str) -> None:
    document = (await town.get("/openapi.json")).json()
    _, secret = await town.service.database.awrite(
        lambda c: create_token(c, name="matrix", scopes=[scope], now=town.service.clock())
    )
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    transport = transport_to(town)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sharpeyes", headers=headers
    ) as machine:
        for route, rights in GUARDED.items():
            answer = await machine.request(*path_of(route, document))
            may = all(right.scope is not None and scope in (right.scope, "admin") for right in rights)
            assert answer.status_code != 401, route
            assert refused(answer) is not may, f"{route}: {answer.status_code} {answer.text}"


async def test_nobody_gets_in_with_nothing_or_with_another_sites_request(town: Client) -> None:
    """Without a credential 401; with the cookie alone, as a page of another site would send it, 403."""
    transport = transport_to(town)
    document = (await town.get("/openapi.json")).json()
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://sharpeyes") as stranger,
        contextlib.aclosing(await browser_of(town, transport, Role.ADMIN)) as browser,
    ):
        for route in GUARDED:
            method, path = path_of(route, document)
            answer = await stranger.request(method, path)
            assert answer.status_code == 401, f"{route}: {answer.status_code}"
            assert answer.headers["www-authenticate"]
            if method in SAFE_METHODS:
                continue
            for proof in ("", "x" * 43, browser.headers["X-CSRF-Token"][:-1]):
                answer = await browser.request(method, path, headers={"X-CSRF-Token": proof})
                assert answer.json()["type"].endswith(":csrf"), f"{route}: {answer.status_code}"
        assert (await browser.get("/api/v1/session")).status_code == 200
