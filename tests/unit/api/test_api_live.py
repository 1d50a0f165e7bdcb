"""What happens now: a glance, and the stream."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from api_client import Client, until_probed
from api_people import staff_of
from sharpeyes.api.auth import COOKIE, Caller
from sharpeyes.api.routes import live
from sharpeyes.api.routes.live import MOST_CHANGES, news
from sharpeyes.app import context_of
from sharpeyes.domain.access import Subject
from sharpeyes.domain.errors import LimitError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms
from sharpeyes.store.tokens import verify_token


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.01)
    monkeypatch.setattr(live, "STILL_S", 0.05)


async def heard(stream: AsyncIterator[str]) -> dict[str, Any]:
    text = await asyncio.wait_for(anext(stream), 5)
    event, data, end = text.split("\n", 2)
    assert (event, end) == ("event: news", "\n")
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


async def anyone() -> bool:
    return True


def turn(client: Client, camera: str, state: State) -> None:
    standing = client.service.board.get(camera).standing  # type: ignore[union-attr]
    client.service.board.update(replace(standing, state=state, since=Ms(standing.since + 1), cause="timeout"))


async def test_a_glance(client: Client) -> None:
    now = (await client.get("/api/v1/status")).json()
    assert (now["site"], now["timezone"]) == ("Test", "Asia/Shanghai")
    assert [tier["key"] for tier in now["tiers"]] == ["public_security", "departmental", "community"]
    assert sum(tier["cameras"] for tier in now["tiers"]) == 3
    assert now["tiers"][1]["maintenance"] == 1
    assert now["prober"]["ready"] is True
    places = client.service.quality.places
    assert now["pictures"]["places"] == places.limit
    assert 0 <= now["pictures"]["in_flight"] <= places.limit // 2
    assert now["pictures"]["waited_s"] == 0
    loop = asyncio.get_running_loop()
    places.taken += places.limit
    assert not places.take("a look that waits", loop.time() - 90)
    pictures = (await client.get("/api/v1/status")).json()["pictures"]
    metrics = (await client.get("/metrics")).text
    places.taken -= places.limit
    places.leave("a look that waits")
    assert pictures["in_flight"] >= places.limit
    assert pictures["waiting"] >= 1
    assert 90 <= pictures["waited_s"] < 150
    (waited,) = re.findall(r"^sharpeyes_quality_waited_seconds ([\d.]+)$", metrics, re.MULTILINE)
    assert 90 <= float(waited) < 150


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/live"])
async def test_for_nobody_without_a_right(client: Client, path: str) -> None:
    assert (await client.get(path, headers={"Authorization": ""})).status_code == 401


async def test_changes_come_once_each_and_with_the_counts(client: Client) -> None:
    await until_probed(client)
    stream = news(context_of(client.service), anyone)
    assert (await heard(stream))["changes"] == []
    turn(client, "gate-1", State.OFFLINE)
    told = await heard(stream)
    assert [(one["camera"], one["after"], one["cause"]) for one in told["changes"]] == [
        ("gate-1", "offline", "timeout")
    ]
    assert told["status"]["tiers"][0]["offline"] >= 1
    assert (await heard(stream))["changes"] == []  # nothing new: a sign of life
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_flood_is_counted_and_not_kept(client: Client) -> None:
    await until_probed(client)
    stream = news(context_of(client.service), anyone)
    await heard(stream)
    for number in range(MOST_CHANGES + 20):
        turn(client, "gate-1", State.OFFLINE if number % 2 else State.ONLINE)
    told = await heard(stream)
    assert len(told["changes"]) == MOST_CHANGES
    assert told["missed"] >= 19
    await stream.aclose()  # type: ignore[attr-defined]


async def test_it_ends_with_the_service(client: Client) -> None:
    stream = news(context_of(client.service), anyone)
    await heard(stream)
    client.service.stopping.set()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(stream), 5)


async def test_whoever_leaves_is_no_longer_told(client: Client) -> None:
    stream = news(context_of(client.service), anyone)
    await heard(stream)
    subscribed = len(client.service.board._subscriptions)
    await stream.aclose()  # type: ignore[attr-defined]
    assert len(client.service.board._subscriptions) == subscribed - 1


async def test_it_ends_with_the_session_or_the_token(client: Client) -> None:
    rooms = context_of(client.service)
    made = (await client.post("/api/v1/tokens", json={"name": "wall", "scopes": ["read"]})).json()
    async with staff_of(client, names=("zhou",)) as staff:
        subject, session = await rooms.access.people.authenticate(staff["zhou"].cookies[COOKIE])
        token = await rooms.database.aread(lambda c: verify_token(c, made["token"], now=rooms.clock()))
        callers = (
            Caller(address="", token=token),
            Caller(address="", subject=subject, session=session),
        )
        streams = [(await live.live(rooms, caller)).body_iterator for caller in callers]
        for stream in streams:
            await heard(stream)
        assert (await client.delete(f"/api/v1/tokens/{made['id']}")).status_code == 204
        assert (await staff["zhou"].delete("/api/v1/session")).status_code == 204
        for stream in streams:
            with pytest.raises(StopAsyncIteration):
                await heard(stream)


async def test_nobody_hears_more_streams_than_there_are_pages(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    rooms = context_of(client.service)
    wang = Caller(address="", subject=Subject(id="wang", name="", department="edu", roles=frozenset()))
    zhao = Caller(address="", subject=Subject(id="zhao", name="", department="psb", roles=frozenset()))
    monkeypatch.setattr(live, "holds", lambda *_: anyone())
    streams = [(await live.live(rooms, wang)).body_iterator for _ in range(3)]  # asked in one breath
    assert [bool(await anext(stream, "")) for stream in streams] == [True, True, False]
    with pytest.raises(LimitError):
        await live.live(rooms, wang)
    assert await anext((await live.live(rooms, zhao)).body_iterator)
    await streams[0].aclose()
    assert await anext((await live.live(rooms, wang)).body_iterator)
    await streams[1].aclose()
    assert rooms.listeners == {"wang": 1, "zhao": 1}
