"""Who was looked up a moment ago is not looked up again, and yet every change of rights counts at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import update

from api_client import Client, client_of
from sharpeyes.api.app import create_api
from sharpeyes.api.auth import COOKIE
from sharpeyes.app import context_of
from sharpeyes.domain.access import Role, Subject
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import Ms
from sharpeyes.store import schema
from sharpeyes.store.telemetry import set_heartbeat
from sharpeyes.store.tokens import TOUCH_MS, create_token, list_tokens, revoke_token

STATUS = "/api/v1/status"
PASSWORD = Secret("correct horse battery staple 7")


NOW = Ms(1_790_000_000_000)


@dataclass
class Clock:
    now: Ms = NOW

    def __call__(self) -> Ms:
        return self.now


async def token_of(client: Client, **more: object) -> tuple[str, dict[str, str]]:
    made, text = await client.service.database.awrite(
        lambda c: create_token(c, name="t", scopes=["read"], now=client.service.clock(), **more)
    )
    return made.id, {"Authorization": f"Bearer {text.reveal()}"}


def lookups(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with each question to the database about who calls."""
    asked: list[None] = []
    quick = client.service.database.aquick

    async def counted(fn):
        asked.append(None)
        return await quick(fn)

    monkeypatch.setattr(client.service.database, "aquick", counted)
    return asked


async def person(client: Client, roles: frozenset[Role] = frozenset({Role.OPERATOR})) -> tuple[Subject, str]:
    people = client.service.access.people
    subject = await people.add(
        None, username="li", name="Li", department="psb", roles=roles, password=PASSWORD
    )
    logged_in = await people.log_in("li", PASSWORD, address="127.0.0.1", client="test")
    return subject, logged_in.token.reveal()


async def test_a_token_is_looked_up_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    _, header = await token_of(client)
    asked = lookups(client, monkeypatch)
    for _ in range(3):
        assert (await client.get(STATUS, headers=header)).status_code == 200
    assert len(asked) == 1


async def test_a_token_that_is_revoked_opens_nothing_from_then_on(client: Client) -> None:
    key, header = await token_of(client)
    assert (await client.get(STATUS, headers=header)).status_code == 200
    await client.service.database.awrite(lambda c: revoke_token(c, key, now=client.service.clock()))
    assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_a_token_of_another_text_is_another_one(client: Client) -> None:
    _, header = await token_of(client)
    assert (await client.get(STATUS, headers=header)).status_code == 200
    wrong = {"Authorization": header["Authorization"][:-1] + "~"}
    assert (await client.get(STATUS, headers=wrong)).status_code == 401


async def test_a_token_runs_out_to_the_millisecond_and_its_use_is_noted(tmp_path: Path) -> None:
    clock = Clock()
    async with client_of(tmp_path, clock=clock) as client:
        key, header = await token_of(client, expires_ms=Ms(clock.now + 10 * TOUCH_MS))
        begun = clock.now

        async def used() -> Ms | None:
            found = await client.service.database.aread(list_tokens)
            return next(one.last_used_ms for one in found if one.id == key)

        for minutes in (0, 1, 2):
            clock.now = Ms(begun + minutes * TOUCH_MS)
            assert (await client.get(STATUS, headers=header)).status_code == 200
            assert await used() == clock.now
            clock.now = Ms(clock.now + TOUCH_MS - 1)
            assert (await client.get(STATUS, headers=header)).status_code == 200
            assert await used() == begun + minutes * TOUCH_MS
        clock.now = Ms(begun + 10 * TOUCH_MS - 1)
        assert (await client.get(STATUS, headers=header)).status_code == 200
        clock.now = Ms(begun + 10 * TOUCH_MS)
        assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_what_another_process_revokes_is_revoked_with_the_next_sign_of_life(client: Client) -> None:
    key, header = await token_of(client)
    database = client.service.database
    assert (await client.get(STATUS, headers=header)).status_code == 200
    with closing(sqlite3.connect(database.url.database or "", isolation_level=None)) as other, other:
        other.execute("UPDATE api_token SET revoked_ms = 1 WHERE id = ?", (key,))
    other.close()
    await database.awrite(lambda c: set_heartbeat(c, client.service.clock()))
    assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_a_session_is_looked_up_once_and_ends_at_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, cookie = await person(client)
    header = {"Cookie": f"{COOKIE}={cookie}"}
    del client.headers["Authorization"]
    asked = lookups(client, monkeypatch)
    for _ in range(3):
        assert (await client.get(STATUS, headers=header)).status_code == 200
    assert len(asked) == 1
    await client.service.access.people.end_sessions(subject, subject.id)
    assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_other_roles_and_a_disabled_account_count_at_once(client: Client) -> None:
    subject, cookie = await person(client, frozenset({Role.MAINTAINER}))
    people = client.service.access.people
    header = {"Cookie": f"{COOKIE}={cookie}"}
    del client.headers["Authorization"]
    url = "/api/v1/cameras/gate-1"
    streams = (await client.get(url, headers=header)).json()["streams"]
    assert streams[0]["url"] == "rtsp://127.0.0.1:1/a", "a maintainer sees addresses"
    await people.set_roles(None, subject.id, frozenset({Role.OPERATOR}))
    assert (await client.get(url, headers=header)).json()["streams"][0]["url"] is None
    await people.set_enabled(None, subject.id, False)
    assert (await client.get(url, headers=header)).status_code == 401


async def test_a_session_in_use_goes_on_and_one_that_is_not_ends(tmp_path: Path) -> None:
    clock = Clock()
    async with client_of(tmp_path, clock=clock) as client:
        _, cookie = await person(client)
        del client.headers["Authorization"]
        header = {"Cookie": f"{COOKIE}={cookie}"}
        for _ in range(4):  # each time nearly as long as it may be idle
            assert (await client.get(STATUS, headers=header)).status_code == 200
            clock.now = Ms(clock.now + 29 * 60_000)
        clock.now = Ms(clock.now + 60_000)
        assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_a_table_of_tokens_written_by_hand_counts_too(client: Client) -> None:
    key, header = await token_of(client)
    assert (await client.get(STATUS, headers=header)).status_code == 200
    past = update(schema.api_token).where(schema.api_token.c.id == key).values(expires_ms=1)
    await client.service.database.awrite(lambda c: c.execute(past) and None)
    assert (await client.get(STATUS, headers=header)).status_code == 401


async def test_no_request_waits_for_a_thread_to_learn_what_it_depends_on(client: Client) -> None:
    """What is no coroutine, the framework runs in a thread: at every request, before all else."""
    api = create_api(context_of(client.service))
    seen: list[str] = []
    in_threads: set[str] = set()

    def walk(dependant: Dependant) -> None:
        for below in dependant.dependencies:
            # Of an object that is called, such as those of fastapi.security, its class has the function.
            if not any(map(iscoroutinefunction, (below.call, type(below.call).__call__))):
                in_threads.add(repr(below.call))
            walk(below)

    for included in api.router.routes:
        for route in getattr(getattr(included, "original_router", None), "routes", []):
            if isinstance(route, APIRoute):
                seen.append(route.path)
                walk(route.dependant)
                if not iscoroutinefunction(route.endpoint):
                    in_threads.add(route.path)
    assert len(seen) > 100
    assert in_threads == set()
