"""More connections than the service holds, over real sockets: who is turned away, who stays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from starlette.websockets import WebSocket

from api_client import Client, client_of
from sharpeyes.api import protocol
from sharpeyes.api.app import create_api
from sharpeyes.api.connections import Connections, Held, TurnedAway, vouch
from sharpeyes.app import context_of, listening, server_of

CROWD, OTHER = "127.0.0.2", "127.0.0.3"


@dataclass
class Town:
    client: Client
    book: Connections
    port: int
    open: Callable[[str], Awaitable[Wire]]


class Wire:
    """One connection from an address of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, path: str = "/healthz", token: str = "") -> tuple[int, bytes]:
        """Status and the beginning of the answer; 0 where there is none."""
        head = f"GET {path} HTTP/1.1\r\nHost: sharpeyes\r\n"
        with contextlib.suppress(ConnectionError):
            self.writer.write(
                f"{head}Authorization: {token}\r\n\r\n".encode() if token else head.encode() + b"\r\n"
            )
            async with asyncio.timeout(60):
                answer = await self.reader.readuntil(b"\r\n\r\n")
                length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await self.reader.readexactly(int(length)) if length else b""
            return int(answer.split(b" ", 2)[1]), answer + body
        return 0, b""

    async def ended(self) -> bool:
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(1 << 16):
                    continue
        return True


@pytest.fixture
async def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """16 connections in all, 8 from an address, 2 of them strangers'; nobody loses one by waiting."""
    monkeypatch.setattr(protocol, "HEAD_S", 600.0)
    book = Connections(16, 8, ["127.0.0.1"])
    async with client_of(tmp_path) as client, contextlib.AsyncExitStack() as stack:
        api = create_api(context_of(client.service))

        @api.websocket("/said")
        async def said(socket: WebSocket) -> None:
            await socket.accept()
            vouch(socket)
            await socket.send_text(await socket.receive_text())

        server = server_of(api, book)
        server.config.timeout_keep_alive = 600
        listener = stack.enter_context(listening("0.0.0.0", 0))
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))

        async def opened(address: str) -> Wire:
            wire = Wire(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))
            stack.callback(wire.writer.close)
            return wire

        try:
            yield Town(client, book, port, opened)
        finally:
            server.should_exit = server.force_exit = True
            await serving


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_strangers_of_one_address_are_few_and_others_come_in(town: Town) -> None:
    first = [await town.open(CROWD) for _ in range(2)]
    await until(lambda: town.book.strangers == 2)
    status, answer = await (await town.open(CROWD)).ask()
    assert status == 429
    assert b"Retry-After: 5" in answer
    assert b"application/problem+json" in answer
    assert b"SHARPEYES_MAX_CONNECTIONS_EACH" in answer
    assert (await (await town.open(OTHER)).ask())[0] == 200
    for wire in first:
        assert (await wire.ask())[0] == 200, "who was in stays in"
    first[0].writer.close()
    await until(lambda: town.book.strangers == 2)
    assert (await (await town.open(CROWD)).ask())[0] == 200
    assert town.book.refused["address"] == 1


async def test_who_is_let_in_is_no_stranger_and_bounded_too(town: Town) -> None:
    token = town.client.headers["Authorization"]
    for _ in range(8):
        assert (await (await town.open(CROWD)).ask("/api/v1/tiers", token))[0] == 200
    assert (town.book.known, town.book.strangers) == (8, 0)
    assert (await (await town.open(CROWD)).ask("/api/v1/tiers", token))[0] == 429
    wire = await town.open(OTHER)
    assert (await wire.ask("/api/v1/tiers", "Bearer se_0_0"))[0] == 401
    assert (town.book.known, town.book.strangers) == (8, 1)


async def test_where_it_is_full_the_crowd_makes_room_and_no_stream_ends(town: Town) -> None:
    """The crowd comes from the proxy's address, where no bound of one address holds."""
    token = town.client.headers["Authorization"]
    stream = await town.open(OTHER)
    stream.writer.write(
        f"GET /api/v1/live HTTP/1.1\r\nHost: sharpeyes\r\nAuthorization: {token}\r\n\r\n".encode()
    )
    assert b"200" in await stream.reader.readuntil(b"event: news")
    crowd = [await town.open("127.0.0.1") for _ in range(40)]
    await until(lambda: town.book.refused["displaced"] == 25)
    assert town.book.known + town.book.strangers == 16
    for wire in crowd[:25]:
        assert await wire.ended()
    newcomer = await town.open(CROWD)
    assert (await newcomer.ask("/api/v1/tiers", token))[0] == 200
    assert town.book.refused["displaced"] == 26
    async with asyncio.timeout(60):
        await stream.reader.readuntil(b"event: news")
    page = (await town.client.get("/metrics")).text
    assert "sharpeyes_http_connections_refused_total" in page


async def test_where_all_are_known_the_next_is_told_so(town: Town) -> None:
    token = town.client.headers["Authorization"]
    for address in ("127.0.0.4", "127.0.0.5"):
        for _ in range(8):
            assert (await (await town.open(address)).ask("/api/v1/tiers", token))[0] == 200
    status, answer = await (await town.open(OTHER)).ask()
    assert status == 503
    assert b"SHARPEYES_MAX_CONNECTIONS " in answer
    assert town.book.refused["full"] == 1


async def test_a_socket_is_counted_until_it_is_closed(town: Town) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{town.port}/said") as channel:
        await until(lambda: town.book.known == 1)
        await channel.send("here")
        assert await channel.recv() == "here"
    await until(lambda: town.book.known + town.book.strangers == 0)


async def test_the_service_has_the_bounds_of_its_settings(tmp_path: Path) -> None:
    async with client_of(tmp_path, max_connections=100, max_connections_each=40) as client:
        book = client.service.connections
        assert (book.most, book.each) == (100, 40)
        assert "sharpeyes_http_connections_most 100.0" in (await client.get("/metrics")).text


def test_who_chooses_among_many_addresses_has_one_of_them() -> None:
    book = Connections(100, 8)
    held = [book.hold(f"2001:db8::{n}", lambda: None) for n in range(3)]
    assert [isinstance(one, Held) for one in held] == [True, True, False]
    assert isinstance(book.hold("2001:db8:0:1::1", lambda: None), Held)
    mapped = [book.hold(address, lambda: None) for address in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1")]
    assert isinstance(mapped[2], TurnedAway)
