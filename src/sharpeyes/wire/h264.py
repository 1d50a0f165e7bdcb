"""H.264 in RTP (RFC 6184): keyframes, and what sequence parameter sets say (ITU-T H.264 7.3.2.1)."""

from __future__ import annotations

from functools import lru_cache

from sharpeyes.wire.nal import (
    MAX_KEYFRAME,
    MAX_PARAMETER_SET,
    START,
    BitError,
    BitReader,
    Geometry,
    NalDepacketiser,
    fps_of,
    geometry_of,
)

_SLICE, _IDR, _SEI, SPS, _PPS = 1, 5, 6, 7, 8
_STAP_A, _STAP_B, _MTAP16, _MTAP24, _FU_A, _FU_B = 24, 25, 26, 27, 28, 29
_RECOVERY_POINT = 6
_INTRA = frozenset((2, 4, 7, 9))  # slice_type I and SI
_CHROMA_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


DELIMITER = START + b"\x09\xf0"
"""Stands before each picture of a gradual refresh (access unit delimiter, 7.3.2.4), and nowhere else."""
_MOST_REFRESH = 600
"""Pictures of a gradual refresh: twenty seconds and more."""


class H264Depacketiser(NalDepacketiser):
    """Keyframe: an IDR picture, intra slices behind a recovery point SEI (open GOP, never an IDR), or a run
    of pictures from such a point on that is told to be whole at its end (gradual refresh, D.2.8)."""

    codec = "h264"

    def __init__(self) -> None:
        super().__init__()
        self._recovery: int | None = None  # recovery_frame_cnt of the present picture
        self._others = False  # a slice of the present picture is not intra
        self._reference = False  # the present picture is counted in the run
        self._run: list[bytes] = []  # of a gradual refresh
        self._run_size = 0
        self._wanting = 0  # pictures of reference until it is whole

    def payload(self, data: bytes, start: int, end: int, rtp_time: int, marker: bool) -> None:
        if end - start < 2:
            return
        if rtp_time != self._time:
            self._picture_starts(rtp_time)
        kind = data[start] & 0x1F
        if kind in (_FU_A, _FU_B):
            self._fragment(data, start, end, kind)
        else:
            self._end()
            self._packet(data, start, end, kind)
        if marker:
            self._end()
            self._finish()

    def gap(self) -> None:
        self._run = []
        super().gap()

    def _finish(self) -> None:
        if self._run or (self._others and self._recovery is not None):
            self._refresh()
            self._key = False  # no single picture decodes on its own
        super()._finish()
        self._recovery, self._others, self._reference = None, False, False

    def _refresh(self) -> None:
        """A picture of a gradual refresh is over: the first one, or another of the run."""
        if not self._run and self._recovery and self._recovery <= _MOST_REFRESH and not self._damaged:
            self._wanting, self._run_size = self._recovery, 0
        elif self._run:
            self._wanting -= self._reference
        else:
            return
        if not self._picture and not self._damaged:
            return  # parameter sets alone
        self._run_size += self._size
        if self._damaged or self._run_size > MAX_KEYFRAME or len(self._run) > 2 * _MOST_REFRESH:
            self._run = []
            return
        self._run.append(START.join([DELIMITER, *self._picture]))
        if self._wanting > 0 or self.keyframe is not None:
            return
        if (missing := self._missing()) is None:
            run, self._run = self._run, []
            sets = START.join([DELIMITER, *self._parameters_for_output()])
            self.keyframe = b"".join([sets, run[0].removeprefix(DELIMITER), *run[1:]])
            self.keyframe_time = self._time
        else:
            self.problem = f"pictures arrive, but no {missing}, neither in the stream nor in the SDP"

    def _fragment(self, data: bytes, start: int, end: int, kind: int) -> None:
        flags = data[start + 1]
        at = start + 2
        if flags & 0x80:
            if kind == _FU_B:
                at += 2  # decoding order number
            header = bytes((data[start] & 0xE0 | flags & 0x1F,))
            middle = bytes((data[start], flags & 0x1F))
            first = data[at:end]
            self._begin(header, middle, first, self._may_matter(header + first[:8]))
        else:
            self._continue(data[at:end] if self.wanted else b"")
        if flags & 0x40:
            self._end()

    def _packet(self, data: bytes, start: int, end: int, kind: int) -> None:
        if kind == _STAP_A:
            self._aggregate(data, start + 1, end, 0)
        elif kind == _STAP_B:
            self._aggregate(data, start + 3, end, 0)
        elif kind in (_MTAP16, _MTAP24):
            # decoding order number and time offset between size and unit
            self._aggregate(data, start + 3, end, 3 if kind == _MTAP16 else 4)
        elif self._may_matter(data[start : min(end, start + 9)]):
            self._complete(data[start:end])

    def _may_matter(self, beginning: bytes) -> bool:
        kind = beginning[0] & 0x1F
        if kind != _SLICE:
            return not 2 <= kind <= 4
        if self._follows or self._run:
            return True
        if self._recovery is None:
            return False
        intra = _slice_type(beginning) in _INTRA
        self._others |= not intra
        return intra or self._recovery > 0

    def _complete_fragmented(self, unit: bytes) -> None:
        kind = unit[0] & 0x1F
        if kind == _STAP_A:
            self._aggregate(unit, 1, len(unit), 0)
        else:
            self._complete(unit)

    def _unit(self, unit: bytes) -> None:
        kind = unit[0] & 0x1F
        if kind == _IDR:
            self._run = []  # better than what it promises
            self._keep_slice(unit, bool(unit[1] & 0x80))  # first_mb_in_slice is 0
        elif kind == SPS:
            self._sequence(unit)
        elif kind == _PPS:
            number = _picture_parameters(unit[1:9])
            if number is not None:
                self._set_parameter(_PPS, number, unit)
        elif kind == _SEI:
            if (count := _recovery_point(unit)) is not None:
                self._recovery = count
                self._keep(unit)
        elif kind == _SLICE and self._follows:
            self._keep(unit)
        elif kind == _SLICE and self._run:
            self._reference |= bool(unit[0] & 0x60)
            self._keep_slice(unit, bool(unit[1] & 0x80))
        elif kind == _SLICE and self._recovery is not None:
            intra = _slice_type(unit[:9]) in _INTRA
            self._others |= not intra
            if intra or self._recovery > 0:
                self._keep_slice(unit, bool(unit[1] & 0x80))

    def _sequence(self, unit: bytes) -> None:
        if len(unit) > MAX_PARAMETER_SET:
            return
        try:
            number, geometry = parse_sps(unit)
        except BitError as error:
            self.problem = f"the sequence parameter set cannot be read: {error}"
            return
        self.geometry = geometry
        self._set_parameter(SPS, number, unit)

    def _missing(self) -> str | None:
        kinds = {kind for kind, _ in self._parameters}
        if SPS not in kinds:
            return "sequence parameter set (SPS)"
        return None if _PPS in kinds else "picture parameter set (PPS)"


@lru_cache(maxsize=512)
def _picture_parameters(beginning: bytes) -> int | None:
    """Id of a picture parameter set, None if it cannot be read."""
    try:
        return BitReader(beginning).ue() & 0xFF
    except BitError:
        return None


def _slice_type(unit: bytes) -> int:
    reader = BitReader(unit[1:9])
    try:
        reader.ue()  # first_mb_in_slice
        return reader.ue()
    except BitError:
        return -1


def _recovery_point(unit: bytes) -> int | None:
    """recovery_frame_cnt of supplemental information that holds a recovery point (D.1.8), else None."""
    at = 1
    for _ in range(16):
        kind = size = 0
        while at < len(unit) and unit[at] == 0xFF:
            kind += 255
            at += 1
        if at >= len(unit):
            return None
        kind += unit[at]
        at += 1
        while at < len(unit) and unit[at] == 0xFF:
            size += 255
            at += 1
        if at >= len(unit):
            return None
        size += unit[at]
        at += 1
        if kind == _RECOVERY_POINT:
            try:
                return BitReader(unit[at : at + 8]).ue()
            except BitError:
                return 0
        at += size
    return None


@lru_cache(maxsize=512)  # it stands in the description and in the stream, and is that of many cameras
def parse_sps(unit: bytes) -> tuple[int, Geometry]:
    """Id and geometry of a sequence parameter set, header byte included. BitError if it makes no sense."""
    r = BitReader(unit[1:])
    profile = r.u(8)
    r.skip(16)  # constraint flags, level
    number = r.ue()
    if number > 31:
        raise BitError("its id is out of range")
    chroma, separate = 1, False
    if profile in _CHROMA_PROFILES:
        chroma = r.ue()
        if chroma > 3:
            raise BitError("the chroma format is out of range")
        if chroma == 3:
            separate = r.flag()
        r.ue()  # bit depths
        r.ue()
        r.skip(1)
        if r.flag():
            for index in range(8 if chroma != 3 else 12):
                if r.flag():
                    _skip_scaling_list(r, 16 if index < 6 else 64)
    r.ue()  # log2_max_frame_num
    order = r.ue()
    if order == 0:
        r.ue()
    elif order == 1:
        r.skip(1)
        r.se()
        r.se()
        cycle = r.ue()
        if cycle > 255:
            raise BitError("the order count cycle is out of range")
        for _ in range(cycle):
            r.se()
    r.ue()  # max_num_ref_frames
    r.skip(1)
    width = (r.ue() + 1) * 16
    map_units = r.ue() + 1
    frame_only = r.flag()
    height = map_units * 16 * (1 if frame_only else 2)
    if not frame_only:
        r.skip(1)
    r.skip(1)
    if r.flag():
        left, right, top, bottom = r.ue(), r.ue(), r.ue(), r.ue()
        array_type = 0 if separate else chroma
        unit_x = 2 if array_type in (1, 2) else 1
        unit_y = (2 if array_type == 1 else 1) * (1 if frame_only else 2)
        width -= (left + right) * unit_x
        height -= (top + bottom) * unit_y
    fps = None
    try:
        if r.flag():
            fps = _vui_fps(r)
    except BitError:
        fps = None  # a truncated VUI spoils no picture
    return number, geometry_of(width, height, fps)


def _skip_scaling_list(r: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + r.se()) % 256
        last = following or last


def _vui_fps(r: BitReader) -> float | None:
    if r.flag() and r.u(8) == 255:  # aspect ratio, extended
        r.skip(32)
    if r.flag():
        r.skip(1)
    if r.flag():
        r.skip(4)
        if r.flag():
            r.skip(24)
    if r.flag():
        r.ue()
        r.ue()
    if not r.flag():
        return None
    units, scale = r.u(32), r.u(32)
    return fps_of(scale, 2 * units)
