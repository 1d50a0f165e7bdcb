"""What stands over every answer that says nothing else: it is this caller's alone, it is what it says it is,
and no page of another site may show it or read it.

Answers hold who was seen where and by whom: no cache keeps them, and opened as a page they are inert.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PRIVATE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_PRIVATE = [(name.lower().encode(), value.encode()) for name, value in PRIVATE.items()]


class PrivateAnswers:
    """Wraps an application: gives each answer those of :data:`PRIVATE` that it has not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = message.setdefault("headers", [])
                names = {name.lower() for name, _ in said}
                message["headers"] = [*said, *(one for one in _PRIVATE if one[0] not in names)]
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)
