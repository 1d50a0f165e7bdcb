"""Large answers, compressed. Each is asked for as such: what mixes a secret with what a stranger may choose
(BREACH), and streams of events, are never compressed, so there is no middleware that would do it unasked."""

from __future__ import annotations

import gzip
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

LEAST = 1024
LEVEL = 5
"""Of zlib: beyond it a table takes twice the time for one part in a hundred."""


def packed(request: Request, body: bytes, media_type: str = "application/json") -> Response:
    """The body, in gzip if the client takes that and it is worth it."""
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    accepted = {
        part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")
    }
    if "gzip" in accepted and len(body) >= LEAST:
        body = gzip.compress(body, LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=media_type, headers=headers)


def packed_json(request: Request, document: Any) -> Response:
    return packed(request, to_json(document, inf_nan_mode="null"))
