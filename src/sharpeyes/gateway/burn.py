"""The process that codes a camera's picture anew: decode, paint, encode.

Run as ``python -m sharpeyes.gateway.burn``. It reads pictures from its standard input, writes them to its
standard output, and has no other business: no files, no network, a bounded memory. It ends when its input
ends, and with its parent, however that ends.
"""

from __future__ import annotations

import base64
import json
import os
import select
import struct
import sys
import time
from collections import deque
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType

from sharpeyes.domain.masks import Mask
from sharpeyes.gateway.glyphs import HEIGHT
from sharpeyes.gateway.overlay import Painter, own
from sharpeyes.net.process import confine

HEADER = struct.Struct(">BQI")
"""Of a message either way: its kind, RTP time, bytes that follow."""
CONFIGURE, PICTURE, KEY_PICTURE = range(3)
MAX_MESSAGE = 16 * 1024 * 1024
DECODERS = {"h264": "h264", "h265": "hevc"}

_CLOCK_RATE = 90_000
_KEY_EVERY = 2 * _CLOCK_RATE
_MEMORY = 2 * 1024**3
_BEHIND = 2
"""With more pictures than this waiting, pictures are decoded but not shown until it has caught up."""
_INBOX = 32 * 1024 * 1024


class Burner:
    """Pictures in, pictures out."""

    def __init__(self, said: dict[str, Any]) -> None:
        mark = said["mark"]
        self._painter = Painter(
            [Mask(points=tuple((x, y) for x, y in points)) for points in said["masks"]],
            text=mark["text"] if mark else "",
            zone=ZoneInfo(mark["zone"] if mark else "UTC"),
            glyphs={
                character: np.frombuffer(base64.b64decode(data), np.uint8).reshape(HEIGHT, -1)
                for character, data in (mark["glyphs"] if mark else {}).items()
            },
        )
        self._codec = DECODERS[said["codec"]]
        self._decoder = _codec(self._codec, "r")
        self._encoder: av.VideoCodecContext | None = None
        self._waiting = True
        self._key_at = self._at = -1
        self.begun = False

    def feed(self, data: bytes, key: bool, rtp_time: int) -> list[av.VideoFrame]:
        """Frames of one coded picture, in the order to be shown. A stream that cannot be read is skipped to
        its next key picture."""
        if self._waiting and not key:
            return []
        packet = av.Packet(data)
        packet.pts = rtp_time
        packet.time_base = Fraction(1, _CLOCK_RATE)
        try:
            frames = self._decoder.decode(packet)
        except FFmpegError:
            self._decoder = _codec(self._codec, "r")
            self._waiting = True
            return []
        self._waiting = False
        return frames

    def burn(self, frame: av.VideoFrame, now_s: float) -> tuple[int, bool, bytes] | None:
        """RTP time, whether it is a key picture, and Annex B of a frame with all that must be on it."""
        at = frame.pts
        if at is None or at <= self._at:
            return None
        self._at = at
        painted = own(frame)
        self._painter.paint(painted, now_s)
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (painted.width, painted.height):
            encoder = self._encoder = _encoder(painted.width, painted.height)
            self._key_at = -1
        key = self._key_at < 0 or at - self._key_at >= _KEY_EVERY
        if key:
            self._key_at = at
        painted.pict_type = PictureType.I if key else PictureType.NONE
        painted.pts, painted.time_base = at, Fraction(1, _CLOCK_RATE)
        coded = b"".join(bytes(packet) for packet in encoder.encode(painted))
        self.begun = True
        return at, key, coded


def _codec(name: str, mode: Any) -> av.VideoCodecContext:
    made = av.CodecContext.create(name, mode)
    assert isinstance(made, av.VideoCodecContext)
    made.thread_count = 1
    return made


def _encoder(width: int, height: int) -> av.VideoCodecContext:
    made = _codec("libx264", "w")
    made.width, made.height, made.pix_fmt = width, height, "yuv420p"
    made.time_base, made.framerate = Fraction(1, _CLOCK_RATE), Fraction(25)
    made.gop_size, made.max_b_frames = 100_000, 0
    rate = max(500_000, width * height * 2)  # 4 Mbit/s at 1080p
    made.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "crf": "23",
        "maxrate": str(rate),
        "bufsize": str(rate),
        "x264-params": "scenecut=0:threads=1",
    }
    return made


class Inbox:
    """Messages from a descriptor: what has arrived is known without waiting."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._data = bytearray()
        self._messages: deque[tuple[int, int, bytes]] = deque()

    def __len__(self) -> int:
        """Messages that have arrived."""
        while len(self._data) < _INBOX and select.select([self._descriptor], [], [], 0)[0] and self._read():
            pass
        return len(self._messages)

    def next(self) -> tuple[int, int, bytes] | None:
        """The next message, waited for; None at the end."""
        while not self._messages:
            if not self._read():
                return None
        return self._messages.popleft()

    def _read(self) -> bool:
        got = os.read(self._descriptor, 1024 * 1024)
        self._data += got
        while len(self._data) >= HEADER.size:
            kind, at, size = HEADER.unpack_from(self._data)
            if len(self._data) < HEADER.size + size:
                break
            self._messages.append((kind, at, bytes(self._data[HEADER.size : HEADER.size + size])))
            del self._data[: HEADER.size + size]
        return bool(got)


def run(source: int, sink: int) -> None:
    """Until the source ends."""
    inbox = Inbox(source)
    first = inbox.next()
    if first is None:
        return
    burner = Burner(json.loads(first[2]))
    while (message := inbox.next()) is not None:
        kind, at, data = message
        frames = burner.feed(data, kind == KEY_PICTURE, at)
        waiting = len(inbox)
        if waiting > (_BEHIND if burner.begun else 0):
            continue
        for frame in frames:
            burned = burner.burn(frame, time.time())
            if burned is not None:
                at, key, coded = burned
                _write(sink, HEADER.pack(KEY_PICTURE if key else PICTURE, at, len(coded)) + coded)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def main() -> None:
    """Argument: the parent's process id."""
    if not confine(int(sys.argv[1]), memory=_MEMORY):
        return
    os.nice(5)  # who watches goes behind who monitors
    cv2.setNumThreads(1)
    try:
        run(0, 1)
    except BrokenPipeError:
        return


if __name__ == "__main__":
    main()
