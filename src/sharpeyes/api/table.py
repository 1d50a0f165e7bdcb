"""The table of all cameras, packed once for all who ask: 4,000 cameras are half a megabyte of JSON.

It is made of pieces, of some hundred cameras each. What the registry says is read only when it has changed;
when a camera changes its state, its piece alone is written and compressed anew. A request finds the whole
ready, or has those pieces made in a thread.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection

from sharpeyes.api.packed import LEVEL, Packed
from sharpeyes.health.board import Board
from sharpeyes.store import schema
from sharpeyes.store.cameras import list_light
from sharpeyes.store.database import Database
from sharpeyes.store.dossier_schema import dossier

COLUMNS = (
    "id", "code", "name", "tier", "department", "area", "zone", "origin", "maintenance", "tags",
    "longitude", "latitude", "state", "since", "cause",
)  # fmt: skip
Row = tuple[Any, ...]
PIECE = 256
"""Cameras. Smaller ones compress worse, larger ones take longer to write anew."""
_HEAD = b'{"columns":%b,"rows":[' % to_json(COLUMNS)
_TAIL = b"]}"
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
"""An empty block that says that it is the last one."""
_COMMA = b","
_UNSEEN: Row = (None, None, None)


class Piece(NamedTuple):
    """Some cameras."""

    rows: Sequence[Row]
    """What the registry says of them, by id."""
    stands: Sequence[Row]
    """How each one stands: state, since, cause."""
    body: bytes
    """Their rows as JSON, without what goes before and after."""
    zipped: bytes
    """The same in deflate: whole bytes, that need nothing from before."""

    @classmethod
    def of(cls, rows: Sequence[Row], stands: Sequence[Row]) -> Piece:
        body = to_json([(*row, *stand) for row, stand in zip(rows, stands, strict=True)])[1:-1]
        return cls(rows, stands, body, _deflated(body))


class FleetTable:
    """The table as it is now. For one event loop."""

    def __init__(self, database: Database, board: Board) -> None:
        self._database = database
        self._board = board
        self._pieces: Sequence[Piece] = ()
        self._registry: object = None
        """The stamp of what the pieces say of the registry."""
        self._seen: object = None
        """The board's version that they say of it."""
        self._packed: Packed | None = None
        self._making = asyncio.Lock()
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def get(self) -> Packed:
        """As it stands at the moment at which it is asked for."""
        if (ready := self._ready()) is not None:
            return ready
        async with self._making:
            if (ready := self._ready()) is not None:  # somebody else has just waited for it
                return ready
            registry, seen = self._stamp(), self._board.version
            anew = registry != self._registry
            made = await self._database.aread(lambda c: self._renewed(_read(c) if anew else None))
            self._pieces, self._packed = made
            self._registry, self._seen = registry, seen
            return self._packed

    def _stamp(self) -> object:
        return self._database.stamp(schema.camera, dossier)

    def _ready(self) -> Packed | None:
        same = self._registry == self._stamp() and self._seen == self._board.version
        return self._packed if same else None

    def _renewed(self, rows: Sequence[Row] | None) -> tuple[Sequence[Piece], Packed]:
        """In a thread. ``rows``: what the registry says, None if that is as before.

        Of the board it takes one entry after the other: each is whole, and if one changes meanwhile, so has
        the version by which this is known.
        """
        before = self._pieces
        groups = [piece.rows for piece in before] if rows is None else list(_pieces(rows))
        found = []
        for n, group in enumerate(groups):
            stands = [self._stand(row[0]) for row in group]
            old = before[n] if n < len(before) else None
            if old is not None and old.stands == stands and (old.rows is group or old.rows == group):
                found.append(old)
            else:
                found.append(Piece.of(group, stands))
        if self._packed is not None and [*map(id, found)] == [*map(id, before)]:
            return before, self._packed
        return found, _packed(found, f"{self._run}-{next(self._numbers)}")

    def _stand(self, camera: str) -> Row:
        entry = self._board.get(camera)
        if entry is None:
            return _UNSEEN
        standing = entry.standing
        return standing.state.value, standing.since, standing.cause


def _read(connection: Connection) -> list[Row]:
    return [
        (
            key,
            code,
            name,
            *map(sys.intern, where),  # kept once, not once a camera
            int(maintenance),
            "" if tags == "[]" else " ".join(json.loads(tags)),
            None if longitude is None else round(longitude, 6),
            None if latitude is None else round(latitude, 6),
        )
        for key, code, name, *where, maintenance, tags, longitude, latitude in list_light(connection)
    ]


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), PIECE):
        yield rows[start : start + PIECE]


def _packed(pieces: Sequence[Piece], version: str) -> Packed:
    parts = [_HEAD]
    zipped = [_GZIP_HEAD, _deflated(_HEAD)]
    for n, piece in enumerate(pieces):
        if n:
            parts.append(_COMMA)
            zipped.append(_ZIPPED_COMMA)
        parts.append(piece.body)
        zipped.append(piece.zipped)
    parts.append(_TAIL)
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    end = struct.pack("<II", checksum, sum(map(len, parts)) & 0xFFFFFFFF)
    return Packed(parts, b"".join([*zipped, _deflated(_TAIL), _LAST_BLOCK, end]), version=version)


def _deflated(part: bytes) -> bytes:
    """A part of a stream in deflate, which others may go before and behind: it ends with a whole byte, and
    nothing in it refers to what was before."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(part) + compressor.flush(zlib.Z_FULL_FLUSH)


_ZIPPED_COMMA = _deflated(_COMMA)
