"""Motion JPEG in RTP (RFC 2435): every picture is a keyframe. The headers that RTP leaves out are rebuilt."""

from __future__ import annotations

import struct

from sharpeyes.wire.nal import MAX_FOLLOWING, MAX_KEYFRAME, Depacketiser, Geometry

_ZIGZAG_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c393338374048"
    "5c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_ZIGZAG_CHROMA = bytes((17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66) + (99,) * 50)


def _dc(code_counts: bytes) -> tuple[bytes, bytes]:
    return code_counts, bytes(range(12))


# Huffman tables of ITU-T T.81 annex K.3, as RFC 2435 appendix B demands
_LUMA_DC = _dc(bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)))
_CHROMA_DC = _dc(bytes((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0)))
_LUMA_AC = (
    bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D)),
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728"
        "292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
        "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
)
_CHROMA_AC = (
    bytes((0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77)),
    bytes.fromhex(
        "0001020311040521310612415107617113223281081442"
        "91a1b1c109233352f0156272d10a162434e125f11718191a262728"
        "292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a8283848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3"
        "e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)


class JpegDepacketiser(Depacketiser):
    """Pictures as JFIF files.

    ``size`` is what the session description declares: the RTP header cannot say more than 2040 pixels.
    """

    codec = "jpeg"

    def __init__(self, *, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self._declared = size
        self._parts: list[bytes] = []
        self._time = 0
        self._header = b""
        self._tables: dict[int, bytes] = {}  # by Q: tables need not be sent with every picture

    def payload(self, data: bytes, start: int, end: int, rtp_time: int, marker: bool) -> None:
        if end - start < 9 or (self.keyframe is not None and not self._follow):
            return
        offset = int.from_bytes(data[start + 1 : start + 4])
        kind, quality = data[start + 4], data[start + 5]
        at = start + 8
        restart = 0
        if 64 <= kind <= 127:
            if end - at < 4:
                return
            restart = data[at] << 8 | data[at + 1]
            at += 4
        if offset == 0:
            self._parts, self._size, self._time = [], 0, rtp_time
            at = self._begin(data, start, at, end, kind, quality, restart)
        elif offset != self._size or rtp_time != self._time:
            self._damaged = True
        if self._damaged:
            self._parts = []
            return
        self._parts.append(data[at:end])
        self._size += end - at
        if self._size > MAX_KEYFRAME:
            self._overflow()
        elif marker:
            scan = b"".join(self._parts)
            self._whole(self._header + scan + (b"" if scan.endswith(b"\xff\xd9") else b"\xff\xd9"), rtp_time)
            self._damaged, self._parts = True, []

    def _whole(self, picture: bytes, rtp_time: int) -> None:
        if self.keyframe is None:
            self.keyframe, self.keyframe_time = picture, rtp_time
        elif len(picture) <= MAX_FOLLOWING:
            self.following = [picture]  # none needs those before it, and the last one is the furthest away
            self._follow -= 1

    def _begin(
        self, data: bytes, start: int, at: int, end: int, kind: int, quality: int, restart: int
    ) -> int:
        """Make the headers of a new picture; gives where its entropy-coded data begin."""
        self._damaged = True
        tables: bytes | None = None
        if quality >= 128:
            if end - at < 4:
                return end
            precision, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
            at += 4
            if length > end - at or precision:
                self.problem = "its quantisation tables cannot be read"
                return end
            if length:
                tables = data[at : at + length]
                at += length
                if quality < 255:
                    self._tables[quality] = tables
            else:
                tables = self._tables.get(quality)
        elif 1 <= quality <= 99:
            tables = _scaled_tables(quality)
        width, height = data[start + 6] * 8, data[start + 7] * 8
        if self._declared and (not width or not height or _rounds_to(self._declared, (width, height))):
            width, height = self._declared
        if tables is None or len(tables) not in (64, 128) or kind & 0x3F > 1 or kind > 127:
            self.problem = f"type {kind} or quality {quality} of its RTP JPEG header is unknown"
            return end
        if not width or not height:
            self.problem = "its size is not told"
            return end
        self.geometry = Geometry(width, height, None)
        self._header = _headers(kind & 0x3F, width, height, tables, restart)
        self._damaged = False
        return at


def _rounds_to(declared: tuple[int, int], told: tuple[int, int]) -> bool:
    """1080 lines are told as 1080 or as 1088: blocks of eight."""
    return all((size + 7) // 8 * 8 == other for size, other in zip(declared, told, strict=True))


def _scaled_tables(quality: int) -> bytes:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(max(1, min(255, (value * scale + 50) // 100)) for value in _ZIGZAG_LUMA + _ZIGZAG_CHROMA)


def _headers(kind: int, width: int, height: int, tables: bytes, restart: int) -> bytes:
    luma, chroma = tables[:64], tables[64:] or tables[:64]
    parts = [
        b"\xff\xd8",
        _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
        _segment(0xDB, b"\x00" + luma),
        _segment(0xDB, b"\x01" + chroma),
        _segment(
            0xC0,
            struct.pack(">BHHB", 8, height, width, 3)
            + bytes((1, 0x22 if kind else 0x21, 0, 2, 0x11, 1, 3, 0x11, 1)),
        ),
    ]
    if restart:
        parts.append(_segment(0xDD, struct.pack(">H", restart)))
    for which, (counts, values) in (
        (0x00, _LUMA_DC),
        (0x10, _LUMA_AC),
        (0x01, _CHROMA_DC),
        (0x11, _CHROMA_AC),
    ):
        parts.append(_segment(0xC4, bytes((which,)) + counts + values))
    parts.append(_segment(0xDA, bytes((3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
