"""Masks and watermarks on frames, without a process; and what a hostile camera sends to that process."""

from __future__ import annotations

import io
import os
import random
from datetime import UTC
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from rtp_media import encode
from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.domain.masks import Mask
from sharpeyes.gateway.burn import HEADER, Burner, Inbox
from sharpeyes.gateway.glyphs import HEIGHT, glyphs_of, line_of
from sharpeyes.gateway.overlay import Mark, Painter, covered, mask_still, own

TRIANGLE = Mask(points=((1000, 1000), (6000, 1000), (1000, 6000)))
STAR = Mask(points=((5000, 500), (7500, 9000), (500, 3500), (9500, 3500), (2500, 9000)))


def noise(width: int, height: int) -> av.VideoFrame:
    planes = np.random.default_rng(1).integers(60, 250, (height * 3 // 2, width), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


@pytest.mark.parametrize("size", [(320, 180), (322, 182), (64, 48), (1920, 1080)])
@pytest.mark.parametrize("mask", [TRIANGLE, STAR])
def test_a_mask_covers_luma_and_colour(size: tuple[int, int], mask: Mask) -> None:
    width, height = size
    frame = noise(width, height)
    before = frame.to_ndarray()
    Painter([mask]).paint(frame, 0)
    after = frame.to_ndarray()
    hidden = covered(mask, height, width) > 0
    assert (after[:height][hidden] == 40).all()
    assert (after[:height][~hidden] == before[:height][~hidden]).all()
    u = after[height:].reshape(2, height // 2, width // 2)
    rows, columns = np.nonzero(hidden)
    assert (u[:, rows // 2, columns // 2] == 128).all()


def test_an_outline_that_crosses_itself_hides_what_it_encloses() -> None:
    assert covered(STAR, 100, 100)[50, 50] == 1


def test_a_decoders_own_frame_is_not_painted_on() -> None:
    """Later pictures are predicted from it: with a mask in it, what is behind would be smeared around."""
    clip = encode("h264", width=320, height=180, frames=10, gop=10)
    plain, painted = (av.CodecContext.create("h264", "r") for _ in range(2))
    for units in clip.pictures:
        data = b"\0\0\1" + b"\0\0\1".join(units)
        (expected,) = plain.decode(av.Packet(data))
        (frame,) = painted.decode(av.Packet(data))
        assert (frame.to_ndarray() == expected.to_ndarray()).all()
        Painter([TRIANGLE]).paint(own(frame), 0)


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0), (1, 1)),
        ((0, 0), (5, 5), (10, 10)),
        ((0, 0), (10_001, 0), (5, 5)),
        ((3, 3),) * 4,
        tuple((place, place * place % 97) for place in range(65)),
    ],
)
def test_a_mask_that_covers_nothing_is_none(points: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InvalidInputError, match="masks"):
        Mask(points=points)


def test_a_watermark_says_who_in_chinese_too_and_when() -> None:
    mark = Mark(name="王警官", unit="traffic", grant="g-1", zone=UTC)
    glyphs = mark.glyphs()
    assert line_of("王", glyphs).shape[0] == HEIGHT
    assert len({glyph.tobytes() for glyph in glyphs.values()}) == len(glyphs), "two characters look alike"
    assert glyphs_of("\U0010fffd")["\U0010fffd"].tobytes() == glyphs_of("?")["?"].tobytes()
    painter = Painter([], text=mark.text, zone=mark.zone, glyphs=glyphs)

    def painted(at: float) -> np.ndarray:
        frame = noise(640, 360)
        painter.paint(frame, at)
        return frame.to_ndarray()[:360]

    first, same, later = painted(1000.1), painted(1000.9), painted(1001.0)
    assert (first == same).all()
    assert (first != later).any(), "its clock stands"
    changed = first != noise(640, 360).to_ndarray()[:360]
    for band in (slice(0, 30), slice(165, 195), slice(330, 360)):
        assert changed[band].mean() > 0.05
    assert not changed[30:165].any()
    assert not changed[195:330].any()


def test_a_still_is_masked_or_not_shown() -> None:
    picture = np.full((400, 640, 3), 200, np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    assert mask_still(jpeg, (), shape=(360, 640)) is jpeg
    masked = cv2.imdecode(np.frombuffer(mask_still(jpeg, [TRIANGLE], shape=(360, 640)), np.uint8), 0)
    assert masked[80, 120] < 60
    assert masked[390, 120] > 190, "the caption below the picture stays"
    for other in (b"", b"\xff\xd8junk", cv2.imencode(".jpg", picture[:100])[1].tobytes()):
        with pytest.raises(UnavailableError, match="not shown"):
            mask_still(other, [TRIANGLE], shape=(360, 640))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_what_a_hostile_camera_sends_ends_in_pictures_or_in_none(codec: str) -> None:
    clip = encode(codec, width=128, height=96, frames=20, gop=5)
    burner = Burner({"codec": codec, "masks": [TRIANGLE.points], "mark": None})
    chance = random.Random(5)
    coded = []
    for number in range(200):
        data = bytearray(b"\0\0\1" + b"\0\0\1".join(clip.pictures[number % 20]))
        if number % 40 >= 10:
            for _ in range(chance.randrange(30)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        frames = burner.feed(bytes(data), number % 5 == 0, 3600 * number)
        coded += [burned for frame in frames if (burned := burner.burn(frame, 0))]
    assert len(coded) > 40
    assert all(later[0] > earlier[0] for earlier, later in pairwise(coded))
    stream = b"".join(data for _, _, data in coded)
    with av.open(io.BytesIO(stream), format="h264") as container:
        for frame in container.decode(video=0):
            hidden = frame.to_ndarray(format="gray")[17:24, 20:40]
            assert np.ptp(hidden.astype(int)) < 40


def test_an_inbox_knows_what_has_arrived() -> None:
    source, sink = os.pipe()
    try:
        inbox = Inbox(source)
        assert len(inbox) == 0
        message = HEADER.pack(1, 7, 3) + b"abc"
        os.write(sink, message[:5])
        assert len(inbox) == 0
        os.write(sink, message[5:] + message)
        assert len(inbox) == 2
        assert inbox.next() == (1, 7, b"abc")
        os.close(sink)
        assert (inbox.next(), inbox.next()) == ((1, 7, b"abc"), None)
    finally:
        os.close(source)
