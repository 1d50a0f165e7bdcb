"""What a client may take of the server before it has asked for anything: a head of some size, in some time.

The parser of HTTP keeps whatever comes until a head is whole, and waits for it for ever: one connection could
fill the memory, and a thousand silent ones take every file descriptor, without any account.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers, beyond what came with its first piece."""
MOST = 32 * 1024 * 1024
"""Bytes of a whole request, as they come: the largest file and its framing, and whatever is no body, such as
headers behind it."""
HEAD_S = 15.0
"""From the connection, or the first byte of another request, to the end of the head."""
BODY_S = 300.0
"""From there to the end of the body: a file of the largest size over a slow line."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection: closed if a request takes too much or too long."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._heading, self._begun, self._taken = True, False, 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        if self._begun:  # a part of this piece may have been the body before
            return
        self._taken += len(data)
        if self._taken <= (MOST_HEAD if self._heading else MOST) or self.transport.is_closing():
            return
        if self._heading:
            self.send_400_response("The head of the request is too large.")
        else:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heading, self._begun, self._taken = True, True, 0
        self._wait(HEAD_S)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._heading = False
        self._wait(BODY_S)

    def on_message_complete(self) -> None:
        self._wait(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._wait(None)
        super().handle_websocket_upgrade()

    def _wait(self, seconds: float | None) -> None:
        """For the next step of this request; None: nothing is waited for."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
