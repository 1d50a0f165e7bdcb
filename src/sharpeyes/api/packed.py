"""Large answers, packed once for all who ask. Each is asked for as such: what mixes a secret with what a
stranger may choose (BREACH), and streams of events, are never compressed, so there is no middleware that
would do it unasked."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

LEAST = 1024
LEVEL = 5
"""Of zlib: beyond it a table takes twice the time for one part in a hundred."""
JSON = "application/json"
_NOT_WANTED = re.compile(r"q=0(\.0{0,3})?")


class Packed:
    """A whole answer, as it is and in gzip, for whoever may have it."""

    def __init__(
        self, parts: Sequence[bytes], zipped: bytes | None, *, media_type: str = JSON, version: str = ""
    ) -> None:
        """``parts``: one after the other they are the body. ``zipped`` is None where that is not worth it.
        ``version``: another one for another body, so that whoever has it need not have it again."""
        self._parts = parts
        self._zipped = zipped
        self._media_type = media_type
        self._version = version
        self.size = sum(map(len, parts)) + len(zipped or b"")

    @classmethod
    def of(cls, body: bytes) -> Packed:
        """To be called in a thread: compressing takes longer than all else."""
        return cls((body,), gzip.compress(body, LEVEL, mtime=0) if len(body) >= LEAST else None)

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def response(self, request: Request) -> Response:
        """In gzip if the client takes that; 304 without a body if it says that it has this version."""
        headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
        if self._version:
            headers["ETag"] = tag = f'W/"{self._version}"'
            if tag in (one.strip() for one in request.headers.get("if-none-match", "").split(",")):
                return Response(status_code=304, headers=headers)
        if self._zipped is not None and takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            return Response(self._zipped, media_type=self._media_type, headers=headers)
        return Response(self.body, media_type=self._media_type, headers=headers)


def packed_json(request: Request, document: Any) -> Response:
    return Packed.of(to_json(document, inf_nan_mode="null")).response(request)


def plain_json(shape: BaseModel) -> Response:
    """A shape as it is, not checked once more: it is built from values that were. Wherever one is, such as in
    a reader's thread."""
    return Response(shape.model_dump_json(by_alias=True).encode(), media_type=JSON)


def takes_gzip(request: Request) -> bool:
    """Whether the client names it, and not with a weight of nothing (RFC 9110, 12.4.2)."""
    for part in request.headers.get("accept-encoding", "").split(","):
        name, *rest = (word.strip().lower() for word in part.split(";"))
        if name == "gzip":
            return not any(_NOT_WANTED.fullmatch(word) for word in rest)
    return False
