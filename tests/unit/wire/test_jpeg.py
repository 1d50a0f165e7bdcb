"""Motion JPEG out of RTP: what a real encoder made, taken apart as RFC 2435 says, must be a picture again."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from rtp_media import decode_size
from sharpeyes.wire.jpeg import JpegDepacketiser

RESTART = b"\x00\x14"
"""The encoder restarts after each row of 20 blocks, so packets are of type 65: 4:2:0 with restart headers."""


def jpeg(width: int, height: int) -> tuple[bytes, bytes, np.ndarray]:
    """Quantisation tables and scan of a baseline 4:2:0 picture with the customary Huffman tables."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.options = {"huffman": "default"}
    image = np.linspace(0, 255, width * height * 3 // 2).astype(np.uint8).reshape(height * 3 // 2, width)
    frame = av.VideoFrame.from_ndarray(image, format="yuvj420p")
    data = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    tables, at = [], 2
    while data[at + 1] != 0xDA:
        size = data[at + 2] << 8 | data[at + 3]
        if data[at + 1] == 0xDD:
            assert data[at + 4 : at + 6] == RESTART
        if data[at + 1] == 0xDB:
            content = data[at + 4 : at + 2 + size]
            while content:
                tables.append(content[1:65])
                content = content[65:]
        at += 2 + size
    at += 2 + (data[at + 2] << 8 | data[at + 3])
    return b"".join(tables), data[at:-2], image


def payloads(
    tables: bytes, scan: bytes, width: int, height: int, *, quality: int = 255, size: int = 400
) -> list[bytes]:
    found = []
    for at in range(0, len(scan), size):
        head = struct.pack(">I", at) + bytes((65, quality, width // 8, height // 8)) + RESTART + b"\xff\xff"
        if at == 0 and quality >= 128:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        found.append(head + scan[at : at + size])
    return found


def feed(depacketiser: JpegDepacketiser, parts: list[bytes], time: int = 1) -> None:
    for index, part in enumerate(parts):
        depacketiser.payload(b"$$$$" + part, 4, 4 + len(part), time, index == len(parts) - 1)


def test_the_picture_comes_back() -> None:
    tables, scan, image = jpeg(320, 240)
    depacketiser = JpegDepacketiser()
    feed(depacketiser, payloads(tables, scan, 320, 240))
    assert depacketiser.keyframe is not None
    assert depacketiser.geometry is not None
    assert (depacketiser.geometry.width, depacketiser.geometry.height) == (320, 240)
    with av.open(io.BytesIO(depacketiser.keyframe), format="mjpeg") as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray")
    assert np.abs(luma.astype(int) - image[:240].astype(int)).mean() < 4


@pytest.mark.parametrize("quality", [1, 50, 75, 99])
def test_tables_that_are_computed(quality: int) -> None:
    tables, scan, _ = jpeg(320, 240)
    depacketiser = JpegDepacketiser()
    feed(depacketiser, payloads(tables, scan, 320, 240, quality=quality))
    assert depacketiser.keyframe is not None
    assert decode_size("jpeg", depacketiser.keyframe) == (320, 240)


def test_tables_of_an_earlier_picture_are_remembered() -> None:
    tables, scan, _ = jpeg(320, 240)
    depacketiser = JpegDepacketiser()
    feed(depacketiser, payloads(tables, scan, 320, 240, quality=200))
    first, depacketiser.keyframe = depacketiser.keyframe, None
    parts = payloads(tables, scan, 320, 240, quality=200)
    parts[0] = parts[0][:12] + b"\0\0\0\0" + parts[0][16 + len(tables) :]
    feed(depacketiser, parts, 2)
    assert depacketiser.keyframe == first


def test_the_declared_size_counts_where_the_header_cannot_say_it() -> None:
    tables, scan, _ = jpeg(320, 240)
    for told, declared, expected in (
        ((0, 0), (2592, 1944), (2592, 1944)),
        ((320, 240), (320, 234), (320, 234)),
    ):
        depacketiser = JpegDepacketiser(size=declared)
        feed(depacketiser, payloads(tables, scan, *told))
        assert depacketiser.geometry is not None
        assert (depacketiser.geometry.width, depacketiser.geometry.height) == expected


def test_a_lost_part_spoils_one_picture_only() -> None:
    tables, scan, _ = jpeg(320, 240)
    parts = payloads(tables, scan, 320, 240)
    depacketiser = JpegDepacketiser()
    feed(depacketiser, [parts[0], *parts[2:]])
    assert depacketiser.keyframe is None
    depacketiser.gap()
    feed(depacketiser, parts, 2)
    assert depacketiser.keyframe is not None


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"\0" * 8,
        b"\0" * 9,
        b"\0\0\0\0\x7f\xff\1\1\0",
        b"\0\0\0\0\1\xff\1\1\0\0\xff\xff\1",
        b"\0\0\0\0\1\x64\1\1xx",
    ],
)
def test_nonsense_is_no_picture(part: bytes) -> None:
    depacketiser = JpegDepacketiser()
    feed(depacketiser, [part])
    assert depacketiser.keyframe is None
