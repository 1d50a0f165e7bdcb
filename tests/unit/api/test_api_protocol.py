"""Clients that send without end, or nothing at all, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
import websockets
from fastapi import FastAPI, Request, WebSocket

from sharpeyes.api import protocol
from sharpeyes.api.protocol import MOST_HEAD, BoundedProtocol
from sharpeyes.app import server_of

HELLO = b"GET /hello HTTP/1.1\r\nHost: sharpeyes\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    api = FastAPI()

    @api.get("/hello")
    async def hello() -> str:
        return "hello"

    @api.post("/count")
    async def count(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @api.websocket("/echo")
    async def echo(channel: WebSocket) -> None:
        await channel.accept()
        await channel.send_text(await channel.receive_text())

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = server_of(api)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving


async def sent(port: int, head: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
    """How much the server took of a request, and what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    count = 0
    with contextlib.suppress(ConnectionError):
        while count < most and not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            count += len(piece)
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return count, answer


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HELLO, b"X-Many: " + b"a" * 900 + b"\r\n"),
        (HELLO + b"X-Long: ", b"a" * 1000),
        (b"GET /", b"a" * 1000),
    ],
)
async def test_a_head_without_end_is_not_kept(port: int, head: bytes, piece: bytes) -> None:
    count, answer = await sent(port, head, piece, 64 << 20)
    assert count < 16 << 20  # what the sockets of both ends hold, and no more
    assert not answer or answer.startswith(b"HTTP/1.1 400")


CHUNKED = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"


@pytest.mark.parametrize(
    ("head", "piece"), [(CHUNKED, b"X-Many: a\r\n" * 90), (CHUNKED + b"X-Long: ", b"a" * 1000)]
)
async def test_headers_behind_a_body_are_not_without_end(
    port: int, head: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MOST", 8 * MOST_HEAD)
    count, _ = await sent(port, head, piece, 64 << 20)
    assert count < 16 << 20


@pytest.mark.parametrize(
    "said", [b"", HELLO, b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"]
)
async def test_who_says_nothing_more_is_not_waited_for(
    port: int, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    monkeypatch.setattr(protocol, "BODY_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    with contextlib.suppress(ConnectionError):
        assert b"200" not in await reader.read()  # it ends
    writer.close()


async def test_others_notice_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)
    monkeypatch.setattr(protocol, "BODY_S", 0.3)
    big = b"x" * (8 * MOST_HEAD)
    monkeypatch.setattr(protocol, "MOST", 9 * MOST_HEAD)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        websockets.connect(f"ws://127.0.0.1:{port}/echo") as channel,
    ):
        for _ in range(4):  # on one connection, each in its time, with a large body in between
            assert (await client.get("/hello")).json() == "hello"
            assert (await client.post("/count", content=big)).json() == len(big)
            await asyncio.sleep(0.1)
        await channel.send("still here")
        assert await channel.recv() == "still here"


async def test_a_message_of_a_socket_is_no_larger_than_a_head(port: int) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as channel:
        await channel.send("x" * (MOST_HEAD + 1))
        with pytest.raises(websockets.ConnectionClosedError):
            await channel.recv()


async def test_requests_in_one_breath_are_answered(port: int) -> None:
    post = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post + post + HELLO + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.count(b"HTTP/1.1 200") == 3
    writer.close()


def test_the_service_serves_by_it() -> None:
    assert server_of(FastAPI()).config.http.func is BoundedProtocol  # type: ignore[union-attr]
    assert isinstance(server_of(FastAPI()), uvicorn.Server)
