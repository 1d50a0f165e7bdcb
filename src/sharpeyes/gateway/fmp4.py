"""The same pictures as fragmented MP4 for Media Source Extensions, where WebRTC does not get through.

One fragment a picture (ISO/IEC 14496-12, 14496-15), so nothing waits for a fragment to fill. A reader that
cannot keep up is skipped to the next key picture; its queue is bounded.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from sharpeyes.gateway.hub import CLOCK_RATE, Picture, Watcher
from sharpeyes.gateway.picture import StreamFacts
from sharpeyes.wire import h264

_QUEUE_BYTES = 4 * 1024 * 1024
_QUEUE_PICTURES = 1100
_FIRST_DURATION = CLOCK_RATE // 25
_LONGEST = 10 * CLOCK_RATE
_KEY_SAMPLE, _OTHER_SAMPLE = 0x02000000, 0x01010000
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def mime_of(facts: StreamFacts) -> str:
    """The MIME type that a browser is asked about; H.264 only, which all browsers with MSE have."""
    return f'video/mp4; codecs="avc1.{facts.profile}"'


def initialisation(units: Sequence[bytes]) -> bytes:
    """``ftyp`` and ``moov`` for H.264, from the units of a key picture."""
    sps = [unit for unit in units if unit[0] & 0x1F == 7][:31]
    _, geometry = h264.parse_sps(sps[0])
    width, height = geometry.width, geometry.height
    pps = [unit for unit in units if unit[0] & 0x1F == 8][:255]
    avcc = (
        bytes((1,))
        + sps[0][1:4]
        + bytes((0xFF, 0xE0 | len(sps)))
        + b"".join(len(unit).to_bytes(2) + unit for unit in sps)
        + bytes((len(pps),))
        + b"".join(len(unit).to_bytes(2) + unit for unit in pps)
    )
    avc1 = _box(
        b"avc1",
        bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HHII", width, height, 72 << 16, 72 << 16),
        struct.pack(">IH", 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1),
        _box(b"avcC", avcc),
    )
    stbl = _box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), avc1),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    dinf = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    minf = _box(b"minf", _full(b"vmhd", 0, 1, bytes(8)), dinf, stbl)
    mdia = _box(
        b"mdia",
        _full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, CLOCK_RATE, 0, 0x55C4, 0)),
        _full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"\0"),
        minf,
    )
    tkhd = _full(
        b"tkhd",
        0,
        3,
        struct.pack(">IIIII", 0, 0, 1, 0, 0),
        bytes(8),
        bytes(8),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )
    mvhd = _full(
        b"mvhd",
        0,
        0,
        struct.pack(">IIII", 0, 0, 1000, 0),
        struct.pack(">IH", 0x10000, 0x100),
        bytes(10),
        _MATRIX,
        bytes(24),
        struct.pack(">I", 2),
    )
    trex = _full(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))
    moov = _box(b"moov", mvhd, _box(b"trak", tkhd, mdia), _box(b"mvex", trex))
    return _box(b"ftyp", b"iso5", bytes(4), b"iso5iso6mp41avc1") + moov


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture in a fragment: its slices, its length in units of 1/90000 s."""

    units: Sequence[bytes]
    duration: int
    key: bool


def fragment(number: int, samples: Sequence[Sample], *, start: int) -> bytes:
    """``moof`` and ``mdat`` of one picture or several; times in units of 1/90000 s."""
    data = [b"".join(len(unit).to_bytes(4) + unit for unit in sample.units) for sample in samples]
    tfhd = _full(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
    tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", start))
    # The data begin behind the head of mdat, 8 bytes after the end of moof.
    offset = _MOOF_SIZE + 12 * len(samples) + 8
    table = b"".join(
        struct.pack(">III", sample.duration, len(part), _KEY_SAMPLE if sample.key else _OTHER_SAMPLE)
        for sample, part in zip(samples, data, strict=True)
    )
    trun = _full(b"trun", 0, 0x000701, struct.pack(">II", len(samples), offset), table)
    moof = _box(
        b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", number & 0xFFFFFFFF)), _box(b"traf", tfhd, tfdt, trun)
    )
    return moof + _box(b"mdat", *data)


_MOOF_SIZE = 8 + 16 + 8 + 16 + 20 + 20
"""Of a fragment without a sample."""


def passed(time: int, before: int) -> int:
    """From one RTP time to another, in units of 1/90000 s; a jump counts as one picture."""
    ticks = (time - before) & 0xFFFFFFFF
    return ticks if 0 < ticks < _LONGEST else _FIRST_DURATION


def parameter_sets_of(picture: Picture) -> list[bytes]:
    return [unit for unit in picture.units if unit[0] & 0x1F in (7, 8)]


def slices_of(picture: Picture) -> list[bytes]:
    return [unit for unit in picture.units if unit[0] & 0x1F not in (7, 8)]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


class Muxer(Watcher):
    """Pictures in, MP4 segments out, at the reader's pace within bounds."""

    def __init__(self) -> None:
        self._queue: deque[Picture] = deque()
        self._bytes = 0
        self._waiting = True
        self._closed = False
        self._news = asyncio.Event()
        self.skipped = 0
        """How often the reader was too slow."""

    def take(self, picture: Picture) -> None:
        if self._closed or (self._waiting and not picture.key):
            return
        self._waiting = False
        self._queue.append(picture)
        self._bytes += picture.size
        if self._bytes > _QUEUE_BYTES or len(self._queue) > _QUEUE_PICTURES:
            self.skipped += 1
            self._queue.clear()
            self._bytes = 0
            self._waiting = True
        self._news.set()

    def restarted(self) -> None:
        self._waiting = True

    def close(self) -> None:
        """Nothing more is given out, not even what waits."""
        self._closed = True
        self._queue.clear()
        self._news.set()

    async def segments(self) -> AsyncIterator[bytes]:
        """The initialisation segment first, then a fragment a picture, until :meth:`close`."""
        number, start, last = 0, 0, -1
        initialised: list[bytes] | None = None
        while not self._closed:
            if not self._queue:
                self._news.clear()
                await self._news.wait()
                continue
            picture = self._queue.popleft()
            self._bytes -= picture.size
            sets = parameter_sets_of(picture)
            if picture.key and sets != initialised:
                initialised = sets
                yield initialisation(picture.units)
            duration = passed(picture.time, last) if last >= 0 else _FIRST_DURATION
            start, last, number = start + duration, picture.time, number + 1
            if not self._closed:
                yield fragment(number, (Sample(slices_of(picture), duration, picture.key),), start=start)


class Feed:
    """One view over a WebSocket: iterate for the segments; ``close`` when the reader has left."""

    def __init__(
        self, mime: str, muxer: Muxer, *, left: Callable[[], None], over: Callable[[], str | None]
    ) -> None:
        self.mime = mime
        self.sent = 0
        """Bytes given to the reader."""
        self._muxer = muxer
        self._left = left
        self._over = over

    @property
    def over(self) -> str | None:
        """Why the view ended; None while it runs."""
        return self._over()

    async def segments(self) -> AsyncIterator[bytes]:
        async for segment in self._muxer.segments():
            self.sent += len(segment)
            yield segment

    def cut(self) -> None:
        """Nothing more from now on."""
        self._muxer.close()

    def close(self) -> None:
        """The reader has left."""
        self._left()
