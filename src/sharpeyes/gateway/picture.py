"""Coded pictures out of a camera's RTP payloads, and back into payloads that fit a WebRTC path. Pure.

A picture is put together as a whole and cut again, equally, because cameras fill packets to the brim of an
Ethernet frame, and SRTP, UDP and a tunnel on top do not fit; because equal packets can leave in one system
call (UDP segmentation offload); and because half a picture is of no use to anybody.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sharpeyes.wire import h264, h265
from sharpeyes.wire.nal import MAX_KEYFRAME, MAX_PARAMETER_SET, BitError, BitReader, Depacketiser, Geometry

MAX_PAYLOAD = 1188
"""With 12 bytes of RTP header, 16 of SRTP tag, UDP and IPv6: below 1280, which every path carries."""
_MAX_UNITS = 1024
_MAX_SETS = 64
_START_CODE = re.compile(rb"\x00\x00\x01")

# H.264 unit types (RFC 6184 table 1)
_IDR, _SPS, _PPS, _STAP_A, _STAP_B, _MTAP16, _MTAP24, _FU_A, _FU_B = 5, 7, 8, 24, 25, 26, 27, 28, 29
_SLICES = range(1, 6)
# H.265 unit types (RFC 7798 section 1.1.4)
_H265_VPS, _H265_SPS, _H265_PPS, _AP, _FU = 32, 33, 34, 48, 49
_H265_KEYS = range(16, 22)
_H265_SLICES = range(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What a viewer must be able to show."""

    codec: str
    """``h264``, ``h265``, or whatever else the camera sends."""
    profile: str = ""
    """H.264: profile_idc, constraint flags and level_idc in hex, as in ``profile-level-id``."""
    geometry: Geometry | None = None
    b_frames: bool = False
    """Pictures come in another order than they are shown in."""


class Assembler(Depacketiser):
    """Whole pictures out of RTP payloads. To be fed by an ``RtpReceiver``.

    ``deliver(units, key, rtp_time)`` gets the units of each picture that came whole: slices, and parameter
    sets before a key picture, whether the camera repeats them or says them once in its description. Other
    units (delimiters, filler, supplementary information, in which makers hide all sorts of things) are left
    out. ``codec`` is ``h264`` or ``h265``; ``numbered`` as for ``H265Depacketiser``.
    """

    def __init__(
        self, codec: str, deliver: Callable[[list[bytes], bool, int], None], *, numbered: bool = False
    ) -> None:
        super().__init__()
        self.codec = codec
        self.damaged = 0
        """Pictures of which something was missing."""
        self.b_frames = False
        self.profile = ""
        self._h264 = codec == "h264"
        self._deliver = deliver
        self._numbered = numbered
        self._sets: dict[tuple[int, int], bytes] = {}
        self._units: list[bytes] = []
        self._key = self._begun = False
        self._time = -1
        self._shown = -1
        self.wanted = True

    @property
    def facts(self) -> StreamFacts | None:
        """What is known of the stream; None before its first parameter sets."""
        if self.geometry is None:
            return None
        return StreamFacts(
            codec=self.codec, profile=self.profile, geometry=self.geometry, b_frames=self.b_frames
        )

    def parameter_sets(self, encoded: Iterable[str]) -> None:
        """Sets from ``sprop-*`` of the description: base64, by commas."""
        for text in encoded:
            for part in text.split(",")[:_MAX_SETS]:
                try:
                    unit = base64.b64decode(part.strip() + "=" * (-len(part.strip()) % 4))
                except (binascii.Error, ValueError):
                    continue
                if len(unit) > 2:
                    self._set(self._kind(unit), unit)

    # -- RTP payloads

    def payload(self, data: bytes, start: int, end: int, rtp_time: int, marker: bool) -> None:
        if end - start < 3:
            return
        if rtp_time != self._time:
            self._finish()
            self._time = rtp_time
        if self._h264:
            self._payload_h264(data, start, end)
        else:
            self._payload_h265(data, start, end)
        if marker:
            self._finish()

    def gap(self) -> None:
        super().gap()
        self._units.clear()
        self._size = 0

    def _payload_h264(self, data: bytes, start: int, end: int) -> None:
        kind = data[start] & 0x1F
        if kind in (_FU_A, _FU_B):
            flags = data[start + 1]
            if flags & 0x80:
                self._end()
                header = bytes((data[start] & 0xE0 | flags & 0x1F,))
                self._begin(header, bytes((data[start], flags & 0x1F)))
            self._continue(data[start + (4 if kind == _FU_B and flags & 0x80 else 2) : end])
            if flags & 0x40:
                self._end()
            return
        self._end()
        if kind == _STAP_A:
            self._aggregate(data, start + 1, end, 0)
        elif kind == _STAP_B:
            self._aggregate(data, start + 3, end, 0)
        elif kind in (_MTAP16, _MTAP24):
            self._aggregate(data, start + 3, end, 3 if kind == _MTAP16 else 4)
        else:
            self._whole(data[start:end])

    def _payload_h265(self, data: bytes, start: int, end: int) -> None:
        kind = data[start] >> 1 & 0x3F
        skip = 2 if self._numbered else 0
        if kind == _FU:
            flags = data[start + 2]
            if flags & 0x80:
                self._end()
                header = bytes((data[start] & 0x81 | (flags & 0x3F) << 1, data[start + 1]))
                self._begin(header, bytes((data[start], data[start + 1], flags & 0x3F)))
            self._continue(data[start + 3 + (skip if flags & 0x80 else 0) : end])
            if flags & 0x40:
                self._end()
            return
        self._end()
        if kind == _AP:
            self._aggregate(data, start + 2 + skip, end, 0, 1 if self._numbered else 0)
        else:
            self._whole(data[start : start + 2] + data[start + 2 + skip : end])

    def _begin(self, header: bytes, middle: bytes) -> None:
        self.fragments = [header]
        self.middle = middle
        self._pending = 0

    def _continue(self, part: bytes) -> None:
        if self.fragments is None:
            self._damaged = True  # its beginning is missing
        else:
            self.fragments.append(part)
            self.appended(len(part))

    def _end(self) -> None:
        if self.fragments is not None:
            unit, self.fragments = b"".join(self.fragments), None
            self._whole(unit)

    def _aggregate(self, data: bytes, at: int, end: int, skip: int, between: int = 0) -> None:
        while end - at > 2:
            size = data[at] << 8 | data[at + 1]
            at += 2 + skip
            if not size or at + size > end:
                return
            self._whole(data[at : at + size])
            at += size + between

    # -- units

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F if self._h264 else unit[0] >> 1 & 0x3F

    def _whole(self, unit: bytes) -> None:
        """A unit; some cameras put several into one, with start codes between them."""
        if _START_CODE.search(unit, 0, MAX_PARAMETER_SET) is None:
            self._unit(unit)
            return
        for part in re.split(rb"\x00*\x00\x00\x01", unit):
            self._unit(part)

    def _unit(self, unit: bytes) -> None:
        if len(unit) < 3:
            return
        kind = self._kind(unit)
        if kind in (_SLICES if self._h264 else _H265_SLICES):
            if not self._begun and not unit[1 if self._h264 else 2] & 0x80:
                self._damaged = True  # first_mb_in_slice is not 0: the slice that begins the picture is lost
            self._begun = True
            if kind == _IDR if self._h264 else kind in _H265_KEYS:
                self._key = True
        elif kind in ((_SPS, _PPS) if self._h264 else (_H265_VPS, _H265_SPS, _H265_PPS)):
            if not self._set(kind, unit):
                return
        else:
            return
        self._size += len(unit)
        if self._size > MAX_KEYFRAME or len(self._units) == _MAX_UNITS:
            self._overflow()
        else:
            self._units.append(unit)

    def _set(self, kind: int, unit: bytes) -> bool:
        if len(unit) > MAX_PARAMETER_SET:
            return False
        number = 0
        try:
            if self._h264 and kind == _SPS:
                number, self.geometry = h264.parse_sps(unit)
                self.profile = unit[1:4].hex()
            elif not self._h264 and kind == _H265_SPS:
                number, self.geometry = h265.parse_sps(unit)
            elif kind in (_PPS, _H265_PPS):
                number = BitReader(unit[1 if self._h264 else 2 : 10]).ue() & 0xFF
        except BitError as error:
            self.problem = f"a parameter set cannot be read: {error}"
            return False
        if len(self._sets) < _MAX_SETS or (kind, number) in self._sets:
            self._sets[kind, number] = unit
        return True

    def _finish(self) -> None:
        """The picture is over."""
        self._end()
        units, key, damaged = self._units, self._key, self._damaged
        self._units, self._size = [], 0
        self._key = self._begun = self._damaged = False
        if damaged:
            self.damaged += 1
        if damaged or not units:
            return
        if self._shown >= 0 and (self._time - self._shown) & 0x80000000:
            self.b_frames = True  # an earlier time after a later one
        self._shown = self._time
        if key:
            kinds = {self._kind(unit) for unit in units}
            units = [self._sets[name] for name in sorted(self._sets) if name[0] not in kinds] + units
        self._deliver(units, key, self._time)


def payloads_of(codec: str, units: Sequence[bytes], limit: int = MAX_PAYLOAD) -> tuple[bytes, ...]:
    """RTP payloads of one picture, none longer than ``limit`` bytes.

    Small units that stand together (the parameter sets) share a packet, a large unit goes into fragments of
    one size, but for the last.
    """
    made: list[bytes] = []
    small: list[bytes] = []
    room = limit

    def flush() -> None:
        nonlocal room
        if len(small) == 1:
            made.append(small[0])
        elif small:
            made.append(_together(codec, small))
        small.clear()
        room = limit

    for unit in units:
        if len(unit) + 4 > room:
            flush()
        if len(unit) + 4 <= room:
            small.append(unit)
            room -= len(unit) + 2
        elif len(unit) <= limit:
            made.append(unit)
        else:
            made += _fragments(codec, unit, limit)
    flush()
    return tuple(made)


def _together(codec: str, units: list[bytes]) -> bytes:
    """An aggregation packet (RFC 6184 5.7.1, RFC 7798 4.4.2)."""
    body = b"".join(len(unit).to_bytes(2) + unit for unit in units)
    if codec == "h264":
        forbidden = any(unit[0] & 0x80 for unit in units) << 7
        return bytes((forbidden | max(unit[0] & 0x60 for unit in units) | _STAP_A,)) + body
    layer = min((unit[0] & 1) << 5 | unit[1] >> 3 for unit in units)
    temporal = min(unit[1] & 7 for unit in units)
    return bytes((_AP << 1 | layer >> 5, (layer & 31) << 3 | temporal)) + body


def _fragments(codec: str, unit: bytes, limit: int) -> list[bytes]:
    """Fragmentation units (RFC 6184 5.8, RFC 7798 4.4.3)."""
    if codec == "h264":
        head, kind, skip = bytes((unit[0] & 0xE0 | _FU_A,)), unit[0] & 0x1F, 1
    else:
        head, kind, skip = bytes((unit[0] & 0x81 | _FU << 1, unit[1])), unit[0] >> 1 & 0x3F, 2
    total = len(unit) - skip
    room = limit - len(head) - 1
    size = -(-total // -(-total // room))
    middle = head + bytes((kind,))
    parts = [middle + unit[at : at + size] for at in range(skip, len(unit), size)]
    parts[0] = head + bytes((kind | 0x80,)) + parts[0][len(middle) :]
    parts[-1] = head + bytes((kind | 0x40,)) + parts[-1][len(middle) :]
    return parts
