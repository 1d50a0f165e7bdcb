"""People of the service under test, each with a browser of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from api_client import Client
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import Ms
from sharpeyes.net.own_clock import wall_clock

PASSWORD = "correct horse battery"
STAFF = (
    ("wang", "edu", {Role.REQUESTER}),
    ("li", "edu", {Role.REQUESTER}),
    ("zhao", "psb", {Role.APPROVER}),
    ("qian", "psb", {Role.APPROVER}),
    ("sun", "edu", {Role.APPROVER}),
    ("zhou", "psb", {Role.OPERATOR}),
    ("wu", "audit", {Role.AUDITOR}),
    ("feng", "edu", {Role.ADMIN}),
    ("ma", "psb", {Role.MAINTAINER}),
)


class Clock:
    """The service's clock, which somebody can put back."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> Ms:
        return Ms(wall_clock() + self.ahead_ms)


class Browser(httpx.AsyncClient):
    """Keeps its cookie, and sends the proof that its page read it."""

    id: str

    async def log_in(self, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        form = {"username": name, "password": password, **more}
        answer = await self.post("/api/v1/session", json=form)
        if answer.status_code == 201:
            self.headers["X-CSRF-Token"] = answer.json()["csrf"]
            self.id = answer.json()["user"]["id"]
        return answer


@dataclass
class Staff:
    """Everybody of the town, logged in."""

    client: Client
    transport: httpx.ASGITransport
    stack: AsyncExitStack
    browsers: dict[str, Browser] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Browser:
        return self.browsers[name]

    def id(self, name: str) -> str:
        return self.browsers[name].id

    async def browser(self, *, url: str = "http://sharpeyes") -> Browser:
        return await self.stack.enter_async_context(Browser(transport=self.transport, base_url=url))

    async def ask(self, *cameras: str, by: str = "wang", **more: Any) -> dict[str, Any]:
        form = {"cameras": cameras, "purpose": "traffic", "purpose_text": "Jam at the crossing", **more}
        answer = await self[by].post("/api/v1/view-requests", json=form)
        assert answer.status_code == 201, answer.text
        request: dict[str, Any] = answer.json()
        return request

    async def approve(self, request: dict[str, Any], *by: str) -> dict[str, Any] | None:
        """The grant, if that was the last approval it took."""
        grant: dict[str, Any] | None = None
        for name in by:
            answer = await self[name].post(f"/api/v1/view-requests/{request['id']}/approve", json={})
            assert answer.status_code == 200, answer.text
            grant = answer.json()["grant"]
        return grant

    async def ticket(self, by: str, camera: str, grant: str | None = None, **more: Any) -> httpx.Response:
        return await self[by].post("/api/v1/view-tickets", json={"camera": camera, "grant": grant, **more})

    async def register(self, **where: str) -> list[dict[str, Any]]:
        answer = await self["wu"].get("/api/v1/register/entries", params=where)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@asynccontextmanager
async def staff_of(
    client: Client, names: Collection[str] = tuple(name for name, *_ in STAFF), address: str = "192.0.2.1"
) -> AsyncIterator[Staff]:
    """Accounts of the staff, those named logged in."""
    transport = httpx.ASGITransport(client.api, client=(address, 4711))
    async with AsyncExitStack() as stack:
        staff = Staff(client, transport, stack)
        people = client.service.access.people  # type: ignore[union-attr]
        for name, department, roles in STAFF:
            made = await people.add(
                None,
                username=name,
                name=name.title(),
                department=department,
                roles=roles,
                password=Secret(PASSWORD),
            )
            staff.browsers[name] = browser = await staff.browser()
            browser.id = made.id
            if name in names:
                assert (await browser.log_in(name)).status_code == 201
        yield staff
