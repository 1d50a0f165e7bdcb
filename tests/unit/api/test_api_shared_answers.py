"""Answers that are packed once for many: each is what a fresh one would be, for whoever may have it."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import Request

from api_client import Client
from sharpeyes.api import answers, table
from sharpeyes.api.answers import FRESH_MS, MOST_BYTES, STANDING_MS, Answers
from sharpeyes.api.auth import COOKIE
from sharpeyes.api.packed import LEAST, Packed
from sharpeyes.api.table import FleetTable
from sharpeyes.domain.access import Role
from sharpeyes.domain.camera import Camera, Origin
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.dossier import Dossier
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.judge import Standing
from sharpeyes.store.cameras import get_camera, list_cameras, put_cameras
from sharpeyes.store.dossiers import put_dossiers
from sharpeyes.store.telemetry import set_heartbeat

TABLE = "/api/v1/cameras/table"
RATES = "/api/v1/rates"
NOW = Ms(1_790_000_000_000)


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


# --- the table ------------------------------------------------------------------------------------------


async def fresh(client: Client) -> dict[str, Any]:
    """By another one, which has read nothing yet."""
    service = client.service
    document: dict[str, Any] = json.loads((await FleetTable(service.database, service.board).get()).body)
    return document


async def kept(client: Client) -> dict[str, Any]:
    answer = await client.get(TABLE)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def changes(client: Client, dice: random.Random) -> list[Callable[[], Any]]:
    """Ways in which the registry or the board may change."""
    database, board, clock = client.service.database, client.service.board, client.service.clock

    def some() -> str:
        return dice.choice(["gate-1", "gate-2", "school-1"])

    async def put(**values: Any) -> None:
        def write(connection: Any) -> None:
            put_cameras(connection, [replace(get_camera(connection, key), **values)], now=clock())

        key = some()
        await database.awrite(write)

    async def add() -> None:
        camera = Camera(
            id=f"new-{dice.randrange(10**6)}", name="新", tier=Tier.COMMUNITY, department="psb", area="city",
            zone="police", streams=(), origin=Origin.IMPORTED,
        )  # fmt: skip
        await database.awrite(lambda c: put_cameras(c, [camera], now=clock()))
        if dice.random() < 0.5:
            await client.service.reload()

    async def place() -> None:
        where = Dossier(longitude=dice.uniform(113, 114), latitude=dice.uniform(22, 23))
        await database.awrite(lambda c: put_dossiers(c, {some(): where}, now=clock()))

    async def stand() -> None:
        if (entry := board.get(some())) is None:
            return
        state = dice.choice(list(State))
        board.update(replace(entry.standing, state=state, cause=dice.choice([None, "x"]), since=clock()))

    async def leave() -> None:
        board.remove(some())

    async def come() -> None:
        camera = dice.choice(await database.aread(list_cameras))
        board.place(camera, Standing.newcomer(camera.id, clock(), cause="y"))

    async def rename() -> None:
        await put(name=f"Gate {dice.random()}", tags=("a", "b"))

    async def retire() -> None:
        await put(retired_ms=dice.choice([None, clock()]))

    async def nothing() -> None:
        return

    return [rename, retire, add, place, stand, stand, stand, leave, come, nothing]


@pytest.mark.parametrize("seed", range(3))
async def test_the_table_is_what_a_fresh_one_would_be_after_every_change(
    client: Client, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(table, "PIECE", 2)  # many pieces of few cameras
    await client.service.fleet.stop()  # so that nothing but this changes anything
    dice = random.Random(seed)
    ways = changes(client, dice)
    for _ in range(40):
        await dice.choice(ways)()
        assert await kept(client) == await fresh(client)


async def test_a_change_makes_no_piece_anew_but_its_own(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PIECE", 1)
    await client.service.fleet.stop()
    board, made = client.service.board, []
    of = table.Piece.of
    monkeypatch.setattr(table.Piece, "of", lambda rows, stands: made.append(rows[0][0]) or of(rows, stands))
    await kept(client)
    assert made == ["gate-1", "gate-2", "school-1"]
    await kept(client)
    entry = board.get("gate-2")
    assert entry is not None
    board.update(replace(entry.standing, cause="another", since=NOW))
    await kept(client)
    assert made[3:] == ["gate-2"]


async def test_whoever_has_the_table_is_told_so(client: Client) -> None:
    await client.service.fleet.stop()
    first = await client.get(TABLE)
    tag = first.headers["etag"]
    again = await client.get(TABLE, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "no-store"
    entry = client.service.board.get("gate-2")
    assert entry is not None
    client.service.board.place(entry.camera, entry.standing)
    same = await client.get(TABLE, headers={"If-None-Match": tag})
    assert same.status_code == 304, "it was looked at, and has not changed"
    client.service.board.remove("gate-2")
    changed = await client.get(TABLE, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_nobody_has_the_table_without_the_right_to_it(client: Client) -> None:
    tag = (await client.get(TABLE)).headers["etag"]
    for header in ({}, {"Authorization": "Bearer se_x_y"}):
        client.headers.pop("Authorization", None)
        for url in (TABLE, f"{RATES}?by=tier"):
            refused = await client.get(url, headers={**header, "If-None-Match": tag})
            assert refused.status_code == 401
            assert "etag" not in refused.headers


async def test_the_table_is_the_same_in_every_coding(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PIECE", 2)
    plain = await client.get(TABLE, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert [row[0] for row in plain.json()["rows"]] == ["gate-1", "gate-2", "school-1"]
    made = await FleetTable(client.service.database, client.service.board).get()
    zipped = made.response(request(accept_encoding="br, gzip;q=0.5"))
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(zipped.body)) == made.body, "with its checksum and length"
    stream = zlib.decompressobj(wbits=31)
    assert stream.decompress(bytes(zipped.body)) == made.body, "in one member: browsers read no second one"
    assert stream.eof
    assert stream.unused_data == b""
    for header in ("gzip;q=0", "br, GZIP; q=0.000", "", "x-gzip"):
        assert "content-encoding" not in made.response(request(accept_encoding=header)).headers


# --- answers that stand for a while ---------------------------------------------------------------------


class Maker:
    """Makes answers, each another one, when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.free = asyncio.Event()
        self.free.set()
        self.fails = False

    async def __call__(self) -> Packed:
        self.made += 1
        number = self.made
        await self.free.wait()
        if self.fails:
            raise LookupError("no")
        return Packed.of(b"%d" % number)


class Time:
    now = NOW

    def __call__(self) -> Ms:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_who_ask_at_a_time_have_one_answer() -> None:
    make, room = Maker(), Answers(Time())
    make.free.clear()
    asking = [asyncio.create_task(room.get("q", 0, make)) for _ in range(5)]
    await settle()
    make.free.set()
    assert {(await one).body for one in asking} == {b"1"}
    assert make.made == 1


async def test_an_answer_stands_is_renewed_while_it_is_asked_for_and_then_is_made_anew() -> None:
    make, time = Maker(), Time()
    room = Answers(time)

    async def ask() -> bytes:
        found = (await room.get("q", 0, make)).body
        await settle()
        return found

    assert await ask() == b"1"
    time.now = Ms(NOW + FRESH_MS - 1)
    assert (await ask(), make.made) == (b"1", 1)
    time.now = Ms(NOW + FRESH_MS)
    assert (await ask(), make.made) == (b"1", 2), "the next one is made, and nobody waits for it"
    assert await ask() == b"2"
    time.now = Ms(time.now + STANDING_MS)
    assert await ask() == b"3", "nobody asked for so long: this one waits"
    time.now = Ms(time.now - 1)
    assert await ask() == b"4", "the clock was put back"


async def test_after_a_change_no_answer_from_before_is_given() -> None:
    make, room = Maker(), Answers(Time())
    make.free.clear()
    early = asyncio.create_task(room.get("q", "before", make))
    await settle()
    late = asyncio.create_task(room.get("q", "after", make))
    await settle()
    make.free.set()
    assert ((await early).body, (await late).body) == (b"1", b"2")
    assert (await room.get("q", "after", make)).body == b"2"
    assert make.made == 2


async def test_one_who_goes_away_takes_no_answer_from_the_others_and_a_failure_is_not_kept() -> None:
    make, room = Maker(), Answers(Time())
    make.free.clear()
    gone, stays = (asyncio.create_task(room.get("q", 0, make)) for _ in range(2))
    await settle()
    gone.cancel()
    make.free.set()
    assert (await stays).body == b"1"
    make.fails = True
    with pytest.raises(LookupError):
        await room.get("p", 0, make)
    make.fails = False
    assert (await room.get("p", 0, make)).body == b"3"


async def test_what_is_kept_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_BYTES", 40)
    room, made = Answers(Time()), []

    async def ask(key: str, size: int) -> None:
        async def make() -> Packed:
            made.append(key)
            return Packed.of(b"x" * size)

        await room.get(key, 0, make)

    for key in "abcde":
        await ask(key, 10)
    await ask("e", 10)
    await ask("a", 10)
    assert made == [*"abcde", "a"], "the one asked for longest ago went"
    await ask("large", 11)
    await ask("large", 11)
    assert made[-2:] == ["large", "large"], "one that is as large as all together is never kept"
    assert MOST_BYTES > 40


async def test_questions_that_differ_in_anything_have_answers_of_their_own(client: Client) -> None:
    asked = [
        "by=tier", "by=area", "by=camera", "by=camera&limit=1", "by=camera&limit=1&offset=1",
        "by=tier&step=hour", "by=camera&tier=departmental", "by=camera&department=psb",
        "by=camera&area=north", "by=camera&zone=police", "by=area&key=north", "by=area&key=south",
        "by=tier&from=2026-01-01T00:00:00Z",
    ]  # fmt: skip
    for _ in range(2):
        found = {one: (await client.get(f"{RATES}?{one}")).json() for one in asked}
        assert {key: one["by"] for key, one in found.items()} == {
            key: key[3:].partition("&")[0] for key in asked
        }
    keys = {one: [item["key"] for item in found[one]["items"]] for one in asked}
    assert keys["by=area&key=north"] == ["north"]
    assert keys["by=area&key=south"] == ["south"]
    assert keys["by=camera&tier=departmental"] == ["school-1"]
    assert sorted(keys["by=camera&department=psb"]) == ["gate-1", "gate-2"]


async def test_a_new_camera_counts_in_the_next_rate(client: Client) -> None:
    async def cameras() -> int:
        found = (await client.get(f"{RATES}?by=tier")).json()["items"]
        return sum(item["cameras"] for item in found)

    assert await cameras() == 3
    camera = Camera(
        id="new", name="N", tier=Tier.COMMUNITY, department="psb", area="city", zone="police", streams=()
    )
    now = client.service.clock()
    await client.service.database.awrite(lambda c: put_cameras(c, [camera], now=now))
    await client.service.database.awrite(lambda c: set_heartbeat(c, Ms(now + 50)))
    assert await cameras() == 4


# --- pages ----------------------------------------------------------------------------------------------


async def test_addresses_are_in_the_page_of_who_mends_cameras_alone(client: Client) -> None:
    url = "/api/v1/cameras?limit=2"
    page = (await client.get(url)).json()
    assert [one["id"] for one in page["items"]] == ["gate-1", "gate-2"]
    assert (page["total"], page["next"]) == (3, "gate-2")
    assert page["items"][0]["streams"][0]["url"] == "rtsp://127.0.0.1:1/a"
    rest = (await client.get(f"{url}&after=gate-2")).json()
    assert ([one["id"] for one in rest["items"]], rest["total"], rest["next"]) == (["school-1"], 3, None)
    people, password = client.service.access.people, Secret("correct horse battery staple 7")
    await people.add(
        None, username="li", name="Li", department="psb", roles=frozenset({Role.OPERATOR}), password=password
    )
    session = await people.log_in("li", password, address="127.0.0.1", client="test")
    del client.headers["Authorization"]
    seen = (await client.get(url, headers={"Cookie": f"{COOKIE}={session.token.reveal()}"})).json()
    for one in page["items"]:
        for stream in one["streams"]:
            stream["url"] = None
    assert seen == page


async def test_pages_by_state_are_those_of_all_put_together(client: Client) -> None:
    await client.service.fleet.stop()
    for state in State:
        whole = (await client.get(f"/api/v1/cameras?state={state}")).json()
        found: list[str] = []
        after = ""
        while True:
            page = (await client.get(f"/api/v1/cameras?state={state}&limit=1{after}")).json()
            assert page["total"] == whole["total"]
            found += [one["id"] for one in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert found == [one["id"] for one in whole["items"]]


def test_what_is_small_is_not_compressed() -> None:
    small, large = Packed.of(b"x" * (LEAST - 1)), Packed.of(b"x" * LEAST)
    assert "content-encoding" not in small.response(request(accept_encoding="gzip")).headers
    assert large.response(request(accept_encoding="gzip")).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in large.response(request()).headers
