"""No body is read into memory beyond what any route needs, whoever sends it and whatever it is said to be."""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sharpeyes.api.problems import problem
from sharpeyes.domain.errors import InvalidInputError

MOST_BYTES = 1 << 20
"""Of a JSON document."""
UPLOADS = frozenset({"/api/v1/imports"})
"""Routes that take files: they read piece by piece, within limits of their own."""


class TooLargeError(InvalidInputError):
    """The body goes on beyond the limit."""


class LimitedBodies:
    """Wraps an application: 413 for a body that states its length, an error while reading for one that does
    not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UPLOADS:
            await self._app(scope, receive, send)
            return
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not stated.isdigit() or len(stated) > 18 or int(stated) > MOST_BYTES:
            answer = problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                f"the body is larger than {MOST_BYTES >> 20} MiB",
                mend="Send less at once",
                headers={"Connection": "close"},
            )
            await answer(scope, receive, send)
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                raise TooLargeError(
                    f"the body is larger than {MOST_BYTES >> 20} MiB", mend="Send less at once"
                )
            return message

        await self._app(scope, bounded, send)
