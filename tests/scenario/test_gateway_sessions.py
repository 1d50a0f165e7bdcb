"""A picture does not outlive the session in which it was asked for: a stolen one is worth nothing once its
owner ends it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway_town import HOME, LOOPBACK, LiveCamera, Town, gateway, town
from rtp_media import encode
from sharpeyes.access import sessions
from sharpeyes.access.sessions import SessionPolicy
from sharpeyes.domain.access import Action
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import ForbiddenError
from sharpeyes.gateway.fmp4 import Feed
from sharpeyes.gateway.gateway import Gateway
from sharpeyes.store.database import READERS
from sharpeyes.store.people import add_session

CLIP = encode("h264", width=320, height=180, frames=50, gop=25)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[Town, Gateway]]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(tmp_path, {"park": camera.url}))
        yield city, await stack.enter_async_context(gateway(city, replace(LOOPBACK, poll_s=0.1)))


def log_in(city: Town, name: str = "zhou") -> str:
    """Id of a new session."""
    session, _, token_hash = sessions.begin(
        city.id(name), city.clock(), SessionPolicy(), address=HOME, client=""
    )
    city.database.write(lambda connection: add_session(connection, session, token_hash))
    return session.id


def ticket(city: Town, session: str, action: Action = Action.LIVE) -> str:
    """Of an operator for a camera of the own department: a right that has no end of its own."""
    _, text = city.office.issue(
        user=city.id("zhou"),
        department="police",
        camera="park",
        action=action,
        grant=None,
        client=HOME,
        now=city.clock(),
        session=session,
    )
    return text.reveal()


async def end_of(feed: Feed) -> str | None:
    async with asyncio.timeout(60):
        async for _ in feed.segments():
            pass
    return feed.over


@pytest.mark.parametrize("how", ["log_out", "administrator", "password", "time"])
async def test_the_picture_ends_with_its_session(scene: tuple[Town, Gateway], how: str) -> None:
    city, running = scene
    session = log_in(city)
    feed = await running.feed("park", ticket(city, session), client=HOME)
    match how:
        case "log_out":
            await city.people.end_sessions(city.who["zhou"], city.id("zhou"), only=session)
        case "administrator":
            await city.people.end_sessions(city.who["feng"], city.id("zhou"))
        case "password":
            await city.people.set_password(city.who["feng"], city.id("zhou"), Secret("correct horse battery"))
        case _:
            city.shift += SessionPolicy().longest_ms
    assert await end_of(feed) == "logged_out"


async def test_other_sessions_go_on(scene: tuple[Town, Gateway]) -> None:
    city, running = scene
    gone, stays = log_in(city), log_in(city)
    first, second = [await running.feed("park", ticket(city, one), client=HOME) for one in (gone, stays)]
    await city.people.end_sessions(city.who["zhou"], city.id("zhou"), only=gone)
    assert await end_of(first) == "logged_out"
    assert second.over is None
    assert await anext(aiter(second.segments()))


async def test_a_ticket_of_a_session_that_is_over_opens_nothing(scene: tuple[Town, Gateway]) -> None:
    city, running = scene
    session = log_in(city)
    live, still = ticket(city, session), ticket(city, session, Action.SNAPSHOT)
    await city.people.end_sessions(city.who["zhou"], city.id("zhou"), only=session)
    with pytest.raises(ForbiddenError, match="logged_out"):
        await running.feed("park", live, client=HOME)
    with pytest.raises(ForbiddenError, match="logged_out"):
        await running.snapshot("park", still, client=HOME)
    assert running.views == 0


async def test_who_asks_for_a_years_figures_keeps_nobody_from_watching(scene: tuple[Town, Gateway]) -> None:
    """As many reads as there may be at once, none of which ends: rights are looked at all the same."""
    city, running = scene
    enough = threading.Event()
    slow = [asyncio.ensure_future(city.database.aread(lambda _: enough.wait(60))) for _ in range(3 * READERS)]
    try:
        async with asyncio.timeout(60):
            grant = await city.grant("park")
            feed = await running.feed("park", city.ticket("park", grant.id), client=HOME)
            assert await anext(aiter(feed.segments()))
            await city.desk.revoke(city.id("zhao"), grant.id, "no longer needed")
            assert await end_of(feed) == "revoked"
    finally:
        enough.set()
        await asyncio.gather(*slow)
