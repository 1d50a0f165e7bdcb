"""HTTP/1.1 as far as cameras and the control API need it: bounded requests, keep-alive, one at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

HEAD_BYTES = 16 * 1024
BODY_BYTES = 256 * 1024
IDLE_S = 30.0
_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (\S{1,2048}) HTTP/1\.([01])$")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``headers`` by lower-case name, the last of equal names."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)  # may hold credentials
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """``content_type`` is left out for an empty body."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse] | None]
"""None: never answer."""


class HttpConnection(asyncio.Protocol):
    """One client's connection. ``join`` and ``leave`` tell the owner, who ends what is idle."""

    __slots__ = ("_buffer", "_busy", "_handler", "_join", "_leave", "_loop", "_task", "_transport", "heard")

    def __init__(
        self,
        handler: Handler,
        loop: asyncio.AbstractEventLoop,
        join: Callable[[HttpConnection], bool],
        leave: Callable[[HttpConnection], None],
    ) -> None:
        self._handler, self._loop, self._join, self._leave = handler, loop, join, leave
        self._buffer = bytearray()
        self._busy = False
        self._task: asyncio.Future[None] | None = None
        self.heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.heard = self._loop.time()
        if not self._join(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._task is not None:
            self._task.cancel()
        self._leave(self)

    def expired(self, now: float) -> bool:
        return now - self.heard > IDLE_S

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        self._buffer += data
        if self._busy:
            if len(self._buffer) > HEAD_BYTES + BODY_BYTES:
                self._transport.abort()
            return
        self._advance()

    def _advance(self) -> None:
        while not self._busy and not self._transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end > HEAD_BYTES or (end < 0 and len(self._buffer) > HEAD_BYTES):
                self._refuse(431)
                return
            if end < 0:
                return
            head = _head(bytes(self._buffer[:end]))
            if head is None:
                self._refuse(400)
                return
            method, target, minor, headers = head
            if "transfer-encoding" in headers:
                self._refuse(411)
                return
            length = headers.get("content-length", "0")
            if not (length.isascii() and length.isdigit() and len(length) < 10):
                self._refuse(400)
                return
            size = int(length)
            if size > BODY_BYTES:
                self._refuse(413)
                return
            if len(self._buffer) < end + 4 + size:
                if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            stay = headers.get("connection", "keep-alive" if minor else "close").lower() != "close"
            answer = self._handler(HttpRequest(method, target, headers, body))
            if answer is None:
                self._busy = True
            elif isinstance(answer, HttpResponse):
                self._send(answer, stay)
            else:
                self._busy = True
                self._task = asyncio.ensure_future(self._later(answer, stay))

    async def _later(self, answer: Awaitable[HttpResponse], stay: bool) -> None:
        try:
            response = await answer
        except BaseException:
            self._transport.abort()  # an error of ours is no reason to let the client wait
            raise
        self._busy, self._task = False, None
        self._send(response, stay)
        self._advance()

    def _refuse(self, status: int) -> None:
        self._send(HttpResponse(status), stay=False)

    def _send(self, response: HttpResponse, stay: bool) -> None:
        lines = [
            f"HTTP/1.1 {response.status} {_REASONS[response.status]}",
            f"Content-Length: {len(response.body)}",
        ]
        if response.body:
            lines.append(f"Content-Type: {response.content_type}")
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines.append("Connection: keep-alive\r\n\r\n" if stay else "Connection: close\r\n\r\n")
        self._transport.write("\r\n".join(lines).encode() + response.body)
        if not stay or self._transport.get_write_buffer_size() > 4 * 1024 * 1024:
            self._transport.close()


def _head(data: bytes) -> tuple[str, str, int, dict[str, str]] | None:
    first, *rest = data.split(b"\r\n")
    line = _REQUEST_LINE.match(first)
    if line is None or len(rest) > 64:
        return None
    headers: dict[str, str] = {}
    for each in rest:
        name, colon, value = each.partition(b":")
        if not colon or not name.strip():
            return None
        headers[name.strip().lower().decode("latin-1")] = value.strip().decode("utf-8", "surrogateescape")
    return line[1].decode(), line[2].decode("utf-8", "replace"), int(line[3]), headers
