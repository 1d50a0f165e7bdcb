"""What H.264 and H.265 share: NAL units out of RTP payloads, and keyframes out of NAL units.

A depacketiser takes the payloads of one RTP stream in order. It keeps nothing but what may belong to a
keyframe: other pictures are passed over, fragment by fragment, without a copy.
"""

from __future__ import annotations

import base64
import binascii
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

MAX_KEYFRAME = 8 * 1024 * 1024
"""Bytes of one keyframe. A 4K intra picture of a city camera has 1-2 MB."""
MAX_FOLLOWING = 1024 * 1024
"""Bytes of all pictures that are kept behind a keyframe."""
MAX_PARAMETER_SET = 4096
_MAX_UNITS = 1024  # slices of one picture
_MAX_FRAGMENTS = 65536
_MAX_DIMENSION = 16384
_MAX_PARAMETER_SETS = 64
MAX_PICTURE = 35_651_584
"""Pixels of the largest picture of level 6.2, of H.264 (A.3) and H.265 (A.4) alike: 8192x4352."""
_START_CODE = re.compile(rb"\x00\x00\x01")
START = b"\x00\x00\x00\x01"


class BitError(ValueError):
    """A parameter set or slice header ends early, or holds a number out of range."""


class BitReader:
    """Fields of a NAL unit, most significant bit first; emulation prevention bytes are taken out."""

    __slots__ = ("_at", "_bits", "_end")

    def __init__(self, data: bytes) -> None:
        clean = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._bits = int.from_bytes(clean)
        self._end = len(clean) * 8
        self._at = 0

    def u(self, count: int) -> int:
        """Unsigned number of ``count`` bits."""
        self._at += count
        if self._at > self._end:
            raise BitError("it ends early")
        return (self._bits >> (self._end - self._at)) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.u(1))

    def skip(self, count: int) -> None:
        self._at += count
        if self._at > self._end:
            raise BitError("it ends early")

    def ue(self) -> int:
        """Exp-Golomb code, unsigned (H.264 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise BitError("a number is out of range")
        return (1 << zeros) - 1 + (self.u(zeros) if zeros else 0)

    def se(self) -> int:
        """Exp-Golomb code, signed."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a sequence parameter set says of the picture: cropped size in pixels, frames a second if told."""

    width: int
    height: int
    fps: float | None


def geometry_of(width: int, height: int, fps: float | None) -> Geometry:
    """The geometry, if a camera can have it; BitError if not."""
    sides = 0 < width <= _MAX_DIMENSION and 0 < height <= _MAX_DIMENSION
    if not sides or width * height > MAX_PICTURE:
        raise BitError("the picture size is out of range")
    return Geometry(width, height, fps)


def fps_of(numerator: int, denominator: int) -> float | None:
    """Frames a second, None if no camera has such a rate: firmware puts all sorts of numbers there."""
    if not denominator or not 0.05 <= numerator / denominator <= 480:
        return None
    return numerator / denominator


class Depacketiser(ABC):
    """Keyframes out of the RTP payloads of one stream.

    Give it every payload in order by :meth:`payload`, and :meth:`gap` where packets are missing. A complete
    keyframe is in :attr:`keyframe` from then on. While :attr:`fragments` is not None, a unit in fragments is
    under way; a payload that begins with :attr:`middle` and ends no picture may then be handed over without
    a call, by appending what follows to :attr:`fragments` if :attr:`wanted`, and counting it by
    :meth:`appended`.
    """

    codec: str

    def __init__(self) -> None:
        self.keyframe: bytes | None = None
        """The first whole keyframe. It stays, and no other one is put together, until it is set to None."""
        self.keyframe_time = 0
        self.following: list[bytes] = []
        """The coded pictures behind it, if :meth:`follow` asked for them: in coding order, none missing.
        Where every picture is a keyframe, the last one alone."""
        self.geometry: Geometry | None = None
        self.problem: str | None = None
        """Why what looked like a keyframe was none, for the evidence."""
        self.fragments: list[bytes] | None = None
        self.middle = b""
        self.wanted = False
        self._pending = 0  # bytes in fragments
        self._size = 0  # bytes of the present picture that are kept otherwise
        self._damaged = False
        self._follow = 0  # pictures behind the keyframe that are still wanted

    def follow(self, most: int) -> None:
        """Keep the pictures behind the keyframe, ``most`` of them, up to the first one that is not whole."""
        self._follow = most

    @abstractmethod
    def payload(self, data: bytes, start: int, end: int, rtp_time: int, marker: bool) -> None:
        """One RTP payload, ``data[start:end]``. Never raises: what cannot be read is no keyframe."""

    def gap(self) -> None:
        """Packets are missing here."""
        self.fragments = None
        self._damaged = True

    def appended(self, size: int) -> None:
        """``size`` bytes went to :attr:`fragments`."""
        self._pending += size
        if self._pending + self._size > MAX_KEYFRAME or len(self.fragments or ()) > _MAX_FRAGMENTS:
            self._overflow()

    def _overflow(self) -> None:
        """The picture is larger than any that is waited for."""
        self.gap()
        self.problem = f"a picture has more than {MAX_KEYFRAME} bytes"


class NalDepacketiser(Depacketiser):
    """The part that does not depend on the codec's numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._parameters: dict[tuple[int, int], bytes] = {}  # (type, id) -> latest unit
        self._picture: list[bytes] = []  # units of the present access unit that a keyframe needs
        self._time = 0
        self._key = False  # a keyframe slice is in the picture

    # -- what a codec says of its units

    @abstractmethod
    def _unit(self, unit: bytes) -> None:
        """Sort in one whole unit, no aggregate."""

    @abstractmethod
    def _missing(self) -> str | None:
        """Name of a parameter set without which no keyframe decodes, None if all are there."""

    # -- shared

    @property
    def _follows(self) -> bool:
        """A picture behind the keyframe is wanted, whatever its kind."""
        return self._follow > 0 and self.keyframe is not None

    def parameter_sets(self, encoded: str) -> None:
        """Sets from ``sprop-*`` of the session description: base64, by commas. Others are passed over."""
        for part in encoded.split(",")[:_MAX_PARAMETER_SETS]:
            try:
                unit = base64.b64decode(part.strip() + "=" * (-len(part.strip()) % 4))
            except (binascii.Error, ValueError):
                continue
            self._complete(unit)
        # Only sets are wanted from there: whatever else came is no picture.
        self._damaged = True
        self._finish()
        self.problem = None

    def primed(self, other: Self) -> Self:
        """This one, fresh, with the parameter sets that the other has got."""
        self._parameters = dict(other._parameters)
        self.geometry = other.geometry
        return self

    def _picture_starts(self, rtp_time: int) -> None:
        """A payload with another time stamp came: the picture before it is over, marker or not."""
        self._end()
        self._finish()
        self._time = rtp_time

    def _finish(self) -> None:
        """The access unit is over: is it a keyframe?"""
        if self._follows:
            self._follow_up()
        elif self._key and not self._damaged:
            missing = self._missing()
            if missing is None and self._picture:
                units = [*self._parameters_for_output(), *self._picture]
                self.keyframe = START + START.join(units)
                self.keyframe_time = self._time
            elif missing is not None:
                self.problem = f"keyframes arrive, but no {missing}, neither in the stream nor in the SDP"
        elif self._key:
            self.problem = "packets of every keyframe were lost"
        self._picture = []
        self._size = 0
        self._key = self._damaged = False

    def _follow_up(self) -> None:
        """The access unit behind the keyframe is over. A decoder can use it if it has all before it."""
        if self._damaged or self._size + sum(map(len, self.following)) > MAX_FOLLOWING:
            self._follow = 0
        elif self._picture:
            self.following.append(START + START.join(self._picture))
            self._follow -= 1

    def _parameters_for_output(self) -> list[bytes]:
        return [self._parameters[key] for key in sorted(self._parameters)]

    def _set_parameter(self, kind: int, number: int, unit: bytes) -> None:
        if len(unit) <= MAX_PARAMETER_SET and (
            len(self._parameters) < _MAX_PARAMETER_SETS or (kind, number) in self._parameters
        ):
            self._parameters[kind, number] = unit

    def _keep(self, unit: bytes) -> None:
        """The unit belongs to what may be a keyframe."""
        if self.keyframe is not None and not self._follow:
            self._damaged = True
            return
        self._size += len(unit)
        if self._size > MAX_KEYFRAME or len(self._picture) == _MAX_UNITS:
            self._overflow()
        else:
            self._picture.append(unit)

    def _keep_slice(self, unit: bytes, begins_picture: bool) -> None:
        """A keyframe slice; the first one of a picture must be the one that begins it."""
        if not self._key and not begins_picture:
            self._damaged = True
        self._key = True
        self._keep(unit)

    def _overflow(self) -> None:
        super()._overflow()
        self._picture = []
        self._size = 0

    def _complete(self, unit: bytes) -> None:
        """A unit is whole. Some cameras put several into one, with start codes between them.

        Only the beginning is searched, where parameter sets stand: behind it a start code is as good as here,
        since the keyframe is a byte stream with start codes itself.
        """
        if _START_CODE.search(unit, 0, MAX_PARAMETER_SET) is not None:
            for part in re.split(rb"\x00*\x00\x00\x01", unit):
                if len(part) > 1:
                    self._unit(part)
        elif len(unit) > 1:
            self._unit(unit)

    def _begin(self, header: bytes, middle: bytes, first: bytes, wanted: bool) -> None:
        """First fragment of a unit. Some cameras never mark the last one: then this ends the unit before."""
        self._end()
        if wanted and self.keyframe is not None and not self._follow:
            wanted, self._damaged = False, True
        self.fragments = [header, first] if wanted else []
        self._pending = len(first)
        self.middle = middle
        self.wanted = wanted

    def _continue(self, part: bytes) -> None:
        if self.fragments is None:
            self._damaged = True  # its beginning is missing
        elif self.wanted:
            self.fragments.append(part)
            self.appended(len(part))

    def _end(self) -> None:
        if self.fragments is None:
            return
        unit, self.fragments = b"".join(self.fragments), None
        if self.wanted:
            self._complete_fragmented(unit)

    @abstractmethod
    def _complete_fragmented(self, unit: bytes) -> None:
        """A unit was put together from fragments; it may be an aggregate, though it must not."""

    def _aggregate(self, data: bytes, at: int, end: int, skip: int) -> None:
        """Units with 16-bit sizes before them and ``skip`` bytes between size and unit."""
        while end - at > 2:
            size = data[at] << 8 | data[at + 1]
            at += 2 + skip
            if not size or at + size > end:
                return
            self._complete(data[at : at + size])
            at += size
