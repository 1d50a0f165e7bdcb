"""The same pictures as low-latency HLS (RFC 8216bis), for players that know nothing else.

One :class:`Segmenter` a stream serves all its readers: pictures are wrapped once, in parts of about a fifth
of a second, and kept for as long as a player may ask for them. A playlist may be asked for before it is true;
the answer waits until it is.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.gateway.fmp4 import (
    Sample,
    fragment,
    initialisation,
    parameter_sets_of,
    passed,
    slices_of,
)
from sharpeyes.gateway.hub import CLOCK_RATE, Picture, Watcher

PLAYLIST = "index.m3u8"
_PART = CLOCK_RATE // 5
_SHORTEST_SEGMENT = CLOCK_RATE
_LONGEST_SEGMENT = 6 * CLOCK_RATE
_KEPT = 4
"""Whole segments that a playlist lists, and one more that somebody may still be fetching."""
_MOST_BYTES = 48 * 1024 * 1024
_AHEAD = 2
"""Segments beyond the last that may be asked for; a player that asks for more is lost."""
WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Part:
    """A fragment of one segment."""

    data: bytes
    ticks: int
    key: bool


@dataclass(slots=True)
class Segment:
    """From one key picture to another."""

    number: int
    initialisation: int
    """Number of the initialisation that it is played with."""
    fresh: bool
    """Its initialisation is another one than that of the segment before."""
    parts: list[Part] = field(default_factory=list)
    whole: bool = False

    @property
    def ticks(self) -> int:
        return sum(part.ticks for part in self.parts)

    @property
    def size(self) -> int:
        return sum(len(part.data) for part in self.parts)


class Segmenter(Watcher):
    """Pictures in, parts and playlists out."""

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque()
        self._initialisations: dict[int, bytes] = {}
        self._sets: Sequence[bytes] = ()
        self._next = 0
        self._changes = 0
        self._fragments = 0
        self._start = 0
        self._held: Picture | None = None
        """The last picture: how long it lasts is known when the next one comes."""
        self._samples: list[Sample] = []
        self._ticks = 0
        self._longest_part = 3 * _PART // 2
        self._longest_segment = _LONGEST_SEGMENT
        self._news = asyncio.Event()
        self._waiting = True
        self._closed = False

    # -- from the hub

    def take(self, picture: Picture) -> None:
        if self._closed or (self._waiting and not picture.key):
            return
        self._waiting = False
        held, self._held = self._held, picture
        if held is not None:
            self._add(held, passed(picture.time, held.time))
        if self._begins(picture):
            self._flush()
            self._begin(picture)

    def restarted(self) -> None:
        self._waiting = True

    def close(self) -> None:
        """Nothing more is given out; who waits is sent away."""
        self._closed = True
        self._segments.clear()
        self._tell()

    def _begins(self, picture: Picture) -> bool:
        """Whether a segment begins with this picture."""
        if not self._segments:
            return picture.key
        long = self._segments[-1].ticks + self._ticks
        if picture.key:
            return long >= _SHORTEST_SEGMENT or parameter_sets_of(picture) != self._sets
        return long >= _LONGEST_SEGMENT

    def _begin(self, picture: Picture) -> None:
        if self._segments:
            self._segments[-1].whole = True
            self._longest_segment = max(self._longest_segment, self._segments[-1].ticks)
        fresh = False
        if picture.key and (sets := parameter_sets_of(picture)) != self._sets:
            fresh = bool(self._sets)
            self._sets = sets
            self._initialisations[self._next] = initialisation(picture.units)
        used = max(self._initialisations)
        self._segments.append(Segment(self._next, used, fresh))
        self._next += 1
        kept = self._segments
        while len(kept) > _KEPT + 2 or (
            len(kept) > 2 and sum(segment.size for segment in kept) > _MOST_BYTES
        ):
            self._changes += kept.popleft().fresh
        oldest = kept[0].initialisation
        for number in [number for number in self._initialisations if number < oldest]:
            del self._initialisations[number]
        self._tell()

    def _add(self, picture: Picture, ticks: int) -> None:
        """A picture with its length. A part that it would make too long is closed without it."""
        if self._samples and self._ticks + ticks > self._longest_part:
            self._flush()
        self._samples.append(Sample(slices_of(picture), ticks, picture.key))
        self._ticks += ticks
        if self._ticks >= _PART:
            self._flush()

    def _flush(self) -> None:
        if not self._samples or not self._segments:
            return
        self._fragments += 1
        data = fragment(self._fragments, self._samples, start=self._start)
        self._segments[-1].parts.append(Part(data, self._ticks, self._samples[0].key))
        self._longest_part = max(self._longest_part, self._ticks)
        self._start += self._ticks
        self._samples, self._ticks = [], 0
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # -- for readers

    async def ready(self) -> None:
        """Returns once there is something to list."""
        await self._until(lambda: bool(self._segments and self._segments[0].parts))

    async def playlist(self, segment: int | None = None, part: int | None = None) -> str:
        """The playlist, once it lists that part of that segment (without ``part``: the whole segment).
        InvalidInputError for what is too far ahead; NotFoundError when it does not come."""
        if segment is not None:
            if segment > self._next + _AHEAD or segment < 0 or (part or 0) < 0:
                raise InvalidInputError(f"_HLS_msn: {segment} is not near, the next is {self._next}")
            await self._until(lambda: self._listed(segment, part))
        elif part is not None:
            raise InvalidInputError("_HLS_part: without _HLS_msn")
        else:
            await self.ready()
        return self._text()

    async def segment(self, number: int) -> bytes:
        """A whole segment."""
        await self._until(lambda: self._listed(number, None))
        return b"".join(part.data for part in self._find(number).parts)

    async def part(self, number: int, place: int) -> bytes:
        """A part, waited for if it is the next one."""
        await self._until(lambda: self._listed(number, place))
        parts = self._find(number).parts
        if place >= len(parts):
            raise NotFoundError(f"segment {number} has no part {place}")
        return parts[place].data

    def initialisation(self, number: int) -> bytes:
        if number not in self._initialisations:
            raise NotFoundError(f"there is no initialisation {number}")
        return self._initialisations[number]

    def _find(self, number: int) -> Segment:
        for segment in self._segments:
            if segment.number == number:
                return segment
        raise NotFoundError(f"segment {number} is not kept any more, or not there yet")

    def _listed(self, number: int, part: int | None) -> bool:
        if number < self._next - 1 or self._closed:
            return True
        if number >= self._next:
            return False
        last = self._segments[-1]
        return last.whole if part is None else part < len(last.parts)

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    if self._closed:
                        break
                    await self._news.wait()
        except TimeoutError:
            raise NotFoundError("the camera sent nothing meanwhile") from None
        if self._closed:
            raise NotFoundError("the view has ended")

    def _text(self) -> str:
        part_s, hold_s = _seconds(self._longest_part), _seconds(3 * self._longest_part)
        segments = list(self._segments)[-_KEPT - 1 :]
        changes = self._changes + sum(one.fresh for one in list(self._segments)[: -_KEPT - 1])
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            f"#EXT-X-TARGETDURATION:{math.ceil(self._longest_segment / CLOCK_RATE)}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_s}",
            f"#EXT-X-PART-INF:PART-TARGET={part_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{changes}",
        ]
        for place, segment in enumerate(segments):
            if segment.fresh and place:
                lines.append("#EXT-X-DISCONTINUITY")
            if segment.fresh or not place:
                lines.append(f'#EXT-X-MAP:URI="init-{segment.initialisation}.mp4"')
            if place >= len(segments) - 3:
                lines += [
                    f'#EXT-X-PART:DURATION={_seconds(part.ticks)},URI="part-{segment.number}-{number}.m4s"'
                    + (",INDEPENDENT=YES" if part.key else "")
                    for number, part in enumerate(segment.parts)
                ]
            if segment.whole:
                lines += [f"#EXTINF:{_seconds(segment.ticks)},", f"segment-{segment.number}.m4s"]
        last = segments[-1]
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-{last.number}-{len(last.parts)}.m4s"')
        return "\n".join(lines) + "\n"


def _seconds(ticks: int) -> str:
    return f"{ticks / CLOCK_RATE:.5f}"
