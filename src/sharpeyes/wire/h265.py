"""H.265 in RTP (RFC 7798): keyframes, and what sequence parameter sets say (ITU-T H.265 7.3.2.2)."""

from __future__ import annotations

from functools import lru_cache

from sharpeyes.wire.nal import (
    MAX_PARAMETER_SET,
    BitError,
    BitReader,
    Geometry,
    NalDepacketiser,
    fps_of,
    geometry_of,
)

_VPS, SPS, _PPS = 32, 33, 34
_AP, _FU = 48, 49
_BLA, _CRA = 16, 21  # the intra random access pictures lie between: BLA, IDR, CRA
_SLICES = 32  # types below are slices
_SETS = {
    _VPS: "video parameter set (VPS)",
    SPS: "sequence parameter set (SPS)",
    _PPS: "picture parameter set (PPS)",
}


class H265Depacketiser(NalDepacketiser):
    """Keyframe: an intra random access picture: IDR, CRA or BLA.

    ``numbered``: packets carry decoding order numbers (``sprop-max-don-diff`` above 0).
    """

    codec = "h265"

    def __init__(self, *, numbered: bool = False) -> None:
        super().__init__()
        self._numbered = numbered

    def payload(self, data: bytes, start: int, end: int, rtp_time: int, marker: bool) -> None:
        if end - start < 3:
            return
        if rtp_time != self._time:
            self._picture_starts(rtp_time)
        kind = data[start] >> 1 & 0x3F
        if kind == _FU:
            self._fragment(data, start, end)
        else:
            self._end()
            number = 2 if self._numbered else 0
            if kind == _AP:
                self._aggregation(data, start + 2, end)
            elif self._may_matter(kind):
                self._complete(data[start : start + 2] + data[start + 2 + number : end])
        if marker:
            self._end()
            self._finish()

    def _fragment(self, data: bytes, start: int, end: int) -> None:
        flags = data[start + 2]
        at = start + 3
        if flags & 0x80:
            if self._numbered:
                at += 2
            kind = flags & 0x3F
            header = bytes((data[start] & 0x81 | kind << 1, data[start + 1]))
            middle = bytes((data[start], data[start + 1], kind))
            self._begin(header, middle, data[at:end], self._may_matter(kind))
        else:
            self._continue(data[at:end] if self.wanted else b"")
        if flags & 0x40:
            self._end()

    def _aggregation(self, data: bytes, at: int, end: int) -> None:
        if not self._numbered:
            self._aggregate(data, at, end, 0)
            return
        at += 2  # DONL of the first unit; DOND of one byte before each other one
        while end - at > 2:
            size = data[at] << 8 | data[at + 1]
            at += 2
            if not size or at + size > end:
                return
            self._complete(data[at : at + size])
            at += size + 1

    def _complete_fragmented(self, unit: bytes) -> None:
        if unit[0] >> 1 & 0x3F == _AP:
            self._aggregation(unit, 2, len(unit))
        else:
            self._complete(unit)

    def _unit(self, unit: bytes) -> None:
        kind = unit[0] >> 1 & 0x3F
        if _BLA <= kind <= _CRA:
            if len(unit) > 2:
                self._keep_slice(unit, bool(unit[2] & 0x80))  # first_slice_segment_in_pic_flag
        elif kind in _SETS and 2 < len(unit) <= MAX_PARAMETER_SET:
            try:
                if kind == SPS:
                    number, self.geometry = parse_sps(unit)
                elif kind == _PPS:
                    number = BitReader(unit[2:10]).ue() & 0x3F
                else:
                    number = unit[2] >> 4
            except BitError as error:
                if kind == SPS:
                    self.problem = f"the sequence parameter set cannot be read: {error}"
                return
            self._set_parameter(kind, number, unit)
        elif kind < _SLICES and self._follows:
            self._keep(unit)

    def _may_matter(self, kind: int) -> bool:
        return kind >= _SLICES or _BLA <= kind <= _CRA or self._follows

    def _missing(self) -> str | None:
        kinds = {kind for kind, _ in self._parameters}
        return next((name for kind, name in _SETS.items() if kind not in kinds), None)


@lru_cache(maxsize=512)  # it stands in the description and in the stream, and is that of many cameras
def parse_sps(unit: bytes) -> tuple[int, Geometry]:
    """Id and geometry of a sequence parameter set, header included. BitError if it makes no sense."""
    r = BitReader(unit[2:])
    r.skip(4)
    max_sub_layers = r.u(3)
    r.skip(1)
    _skip_profile_tier_level(r, max_sub_layers)
    number = r.ue()
    if number > 15:
        raise BitError("its id is out of range")
    chroma = r.ue()
    if chroma > 3:
        raise BitError("the chroma format is out of range")
    if chroma == 3 and r.flag():
        chroma = 0  # separate planes are cropped like monochrome
    width, height = r.ue(), r.ue()
    if r.flag():
        unit_x, unit_y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
        width -= (r.ue() + r.ue()) * unit_x
        height -= (r.ue() + r.ue()) * unit_y
    fps = None
    try:
        fps = _fps(r, max_sub_layers)
    except BitError:
        fps = None  # what comes behind the size spoils no picture
    return number, geometry_of(width, height, fps)


def _skip_profile_tier_level(r: BitReader, max_sub_layers: int) -> None:
    r.skip(88)
    r.skip(8)
    present = [(r.flag(), r.flag()) for _ in range(max_sub_layers)]
    if max_sub_layers:
        r.skip(2 * (8 - max_sub_layers))
    for profile, level in present:
        r.skip(88 * profile + 8 * level)


def _fps(r: BitReader, max_sub_layers: int) -> float | None:
    """The frame rate of the VUI, which lies behind nearly everything else."""
    r.ue()  # bit depths
    r.ue()
    order_bits = r.ue() + 4
    if order_bits > 16:
        raise BitError("log2_max_pic_order_cnt is out of range")
    for _ in range(1 if not r.flag() else max_sub_layers + 1):
        r.ue()
        r.ue()
        r.ue()
    for _ in range(6):  # block sizes and transform depths
        r.ue()
    if r.flag() and r.flag():
        _skip_scaling_lists(r)
    r.skip(2)
    if r.flag():  # PCM
        r.skip(8)
        r.ue()
        r.ue()
        r.skip(1)
    _skip_reference_sets(r)
    if r.flag():  # long-term references
        count = r.ue()
        if count > 32:
            raise BitError("num_long_term_ref_pics is out of range")
        r.skip(count * (order_bits + 1))
    r.skip(2)
    return _vui_fps(r) if r.flag() else None


def _skip_scaling_lists(r: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not r.flag():
                r.ue()
                continue
            if size > 1:
                r.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                r.se()


def _skip_reference_sets(r: BitReader) -> None:
    count = r.ue()
    if count > 64:
        raise BitError("num_short_term_ref_pic_sets is out of range")
    deltas = 0  # pictures in the set before, which a set may be predicted from
    for index in range(count):
        if index and r.flag():
            r.skip(1)
            r.ue()
            kept = 0
            for _ in range(deltas + 1):
                used = r.flag()
                kept += used or r.flag()
            deltas = kept
        else:
            negative, positive = r.ue(), r.ue()
            if negative > 16 or positive > 16:
                raise BitError("a reference picture set is out of range")
            deltas = negative + positive
            for _ in range(deltas):
                r.ue()
                r.skip(1)


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
    r.skip(3)
    if r.flag():  # default display window
        for _ in range(4):
            r.ue()
    if not r.flag():
        return None
    units, scale = r.u(32), r.u(32)
    return fps_of(scale, units)
