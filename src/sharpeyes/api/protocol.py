"""What a client may take of the server before it has asked for anything: a head of some size, in some time.

The parser of HTTP keeps whatever comes until a head is whole, and waits for it for ever: one connection could
fill the memory, and a thousand silent ones take every file descriptor, without any account. How many there
may be is told in :mod:`sharpeyes.api.connections`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sharpeyes.api.connections import Connections, Held, TurnedAway

MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers, beyond what came with its first piece."""
MOST = 32 * 1024 * 1024
"""Bytes of a whole request, as they come: the largest file and its framing, and whatever is no body, such as
headers behind it."""
HEAD_S = 15.0
"""From the connection, or the first byte of another request, to the end of the head."""
BODY_S = 300.0
"""From there to the end of the body: a file of the largest size over a slow line."""


TURNED_AWAY_S = 2.0
"""Whoever is turned away is told why, once a request came; if none does, so long is waited."""
MOST_TURNED_AWAY = 200
"""Of these at a time; with more, nobody is told."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection: closed if a request takes too much or too long, or if there are too many already."""

    turned_away = 0

    def __init__(self, *args: Any, book: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._book = book
        self._held: Held | TurnedAway | None = None
        self._heading, self._begun, self._taken = True, False, 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        held = self._held = self._book.hold(self.client[0] if self.client else "", transport.abort)
        if isinstance(held, Held):
            self.app_state = {**self.app_state, "held": held}
            self._wait(HEAD_S)
        elif BoundedProtocol.turned_away < MOST_TURNED_AWAY:
            BoundedProtocol.turned_away += 1
            self._wait(TURNED_AWAY_S)
        else:
            self._held = None
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._over()
        super().connection_lost(exc)

    def _over(self) -> None:
        held, self._held = self._held, None
        if isinstance(held, Held):
            held.over()
        elif held is not None:
            BoundedProtocol.turned_away -= 1

    def data_received(self, data: bytes) -> None:
        if isinstance(self._held, TurnedAway):
            self.transport.write(_told(self._held))
            self.transport.close()
            return
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
        protocol: Any = self.transport.get_protocol()  # another one, which is told of the end from now on
        lost = protocol.connection_lost

        def connection_lost(exc: Exception | None) -> None:
            self._over()
            lost(exc)

        protocol.connection_lost = connection_lost

    def _wait(self, seconds: float | None) -> None:
        """For the next step of this request; None: nothing is waited for."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def _told(turned_away: TurnedAway) -> bytes:
    """The answer to whoever is turned away, as it goes over the wire."""
    status = turned_away.status
    kind = "limited" if status == 429 else "unavailable"
    body = json.dumps(
        {
            "type": f"urn:sharpeyes:error:{kind}",
            "title": status.phrase,
            "status": status.value,
            "detail": turned_away.detail,
            "mend": turned_away.mend,
        }
    ).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: 5\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
