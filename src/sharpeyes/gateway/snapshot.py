"""A still picture from the latest keyframe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

import av
from av.error import FFmpegError

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.masks import Mask
from sharpeyes.gateway.overlay import Mark, Painter, own
from sharpeyes.wire.nal import START

_DECODERS = {"h264": "h264", "h265": "hevc"}
_AT_ONCE = 2
_QUALITY = {"qmin": "3", "qmax": "5"}


class Photographer:
    """Makes JPEGs in threads, two at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def jpeg(
        self, codec: str, units: Sequence[bytes], *, masks: Sequence[Mask] = (), mark: Mark | None = None
    ) -> bytes:
        """JFIF of a key picture's units, with what must be in it. UnavailableError if they cannot be
        decoded."""
        async with self._slots:
            return await asyncio.to_thread(jpeg_of, codec, START + START.join(units), masks, mark)


def jpeg_of(codec: str, data: bytes, masks: Sequence[Mask] = (), mark: Mark | None = None) -> bytes:
    """JFIF of one key picture (Annex B), about 30 ms for 1080p. UnavailableError."""
    decoder, encoder = _codec(_DECODERS[codec], "r"), _codec("mjpeg", "w")
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        frame = frames[0]
        if masks or mark:
            frame = own(frame)
            _painter(masks, mark).paint(frame, time.time())
        frame = frame.reformat(format="yuvj420p")
        encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
        encoder.time_base = encoder.framerate = 1  # type: ignore[assignment]
        encoder.options = _QUALITY
        frame.pts = 0
        return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    except (FFmpegError, IndexError, ValueError) as error:
        raise UnavailableError("the camera's picture cannot be decoded at present") from error


def _codec(name: str, mode: Literal["r", "w"]) -> av.VideoCodecContext:
    made = av.CodecContext.create(name, mode)
    assert isinstance(made, av.VideoCodecContext)
    return made


def _painter(masks: Sequence[Mask], mark: Mark | None) -> Painter:
    if mark is None:
        return Painter(masks)
    return Painter(masks, text=mark.text, zone=mark.zone, glyphs=mark.glyphs())
