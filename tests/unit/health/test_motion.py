"""Pictures right behind a keyframe: what moves clears a camera, what only gets sharper does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
import pytest

from sharpeyes.domain.health import Keyframe
from sharpeyes.domain.time import Ms
from sharpeyes.health.diagnose.keyframe import Decoded, decode_keyframe
from sharpeyes.health.diagnose.motion import (
    Codec,
    dc_step,
    difference,
    fineness_of,
    limit_of,
    luma_of,
    means_of,
)
from sharpeyes.health.examine import PictureExaminer
from sharpeyes.simulator.scene import Scene

WIDTH, HEIGHT, FPS, PICTURES = 640, 360, 25, 8
CODECS: tuple[Codec, ...] = ("h264", "h265")
START = b"\0\0\0\1"
Show = Callable[[int], np.ndarray]


def encode(
    show: Show, codec: Codec = "h264", *, kbps: int | None = None, options: str = "", pixels: str = "yuv420p"
) -> tuple[bytes, list[bytes]]:
    """A keyframe and the pictures behind it; without a rate at constant quality, else with a tight buffer."""
    context = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    params = "scenecut=0:bframes=0"
    if kbps is not None:
        context.bit_rate = kbps * 1000
        params += f":vbv-maxrate={kbps}:vbv-bufsize={kbps // 8}"
    if codec == "h265":
        params += ":log-level=none:repeat-headers=1"
    name = "x264-params" if codec == "h264" else "x265-params"
    context.options = {
        "preset": "veryfast" if codec == "h264" else "ultrafast",
        "tune": "zerolatency",
        name: f"{params}{options}",
    }
    coded: list[bytes] = []
    for number in range(PICTURES + 1):
        frame = av.VideoFrame.from_ndarray(show(number), format="yuv420p").reformat(format=pixels)
        frame.pts = number
        if not number:
            context.width, context.height, context.pix_fmt = frame.width, frame.height, pixels
            context.framerate, context.time_base, context.gop_size = Fraction(FPS), Fraction(1, FPS), 250
        coded += [bytes(packet) for packet in context.encode(frame)]
    coded += [bytes(packet) for packet in context.encode(None)]
    return coded[0], coded[1:]


@cache
def street(number: int) -> np.ndarray:
    return Scene(0, WIDTH, HEIGHT, FPS).frame(number)


def still(_: int) -> np.ndarray:
    return street(7)


def with_clock(number: int) -> np.ndarray:
    """It stands still, but the clock in its margin and the camera's name run on."""
    picture = street(7).copy()
    text = f"2026-01-01 08:{number * 7:02}:{number * 6:02}"
    for foot in (28, 354):
        cv2.putText(picture, text, (20, foot), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 240, 2)
    return picture


@cache
def grain() -> np.ndarray:
    """Foliage in the sun: of a keyframe short of bits it shows next to nothing, behind it more and more."""
    made = np.random.default_rng(5).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    made = np.asarray(cv2.GaussianBlur(made, (0, 0), 0.7), np.float32)
    luma = (made / made.std() * 40 + 120).clip(16, 235).astype(np.uint8)
    return np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])


def judged(made: tuple[bytes, Sequence[bytes]], codec: Codec = "h264") -> Decoded:
    key, following = made
    return decode_keyframe(key, codec, following=following)


# -- what moves


@pytest.mark.parametrize("codec", CODECS)
def test_traffic_moves(codec: Codec) -> None:
    assert judged(encode(street, codec), codec).moves


OUT_OF_ORDER = ":bframes=3:b-adapt=0"


def test_what_is_shown_in_another_order_than_coded_is_judged_too() -> None:
    key, following = encode(street, options=OUT_OF_ORDER)
    found = decode_keyframe(key, "h264", following=following)
    assert found.moves
    alone = decode_keyframe(key, "h264").picture
    assert found.picture is not None
    assert alone is not None
    assert np.array_equal(found.picture.y, alone.y)
    assert not judged(encode(still, options=OUT_OF_ORDER)).moves
    assert not judged(encode(lambda _: grain(), kbps=2000, options=OUT_OF_ORDER)).moves


def test_it_moves_under_a_tight_rate_too() -> None:
    assert judged(encode(street, kbps=2000)).moves


@pytest.mark.parametrize("pixels", ["yuv422p", "gray", "yuvj420p", "nv12"])
def test_every_form_of_eight_bits_is_judged(pixels: str) -> None:
    if pixels == "gray":
        assert judged(encode(street, pixels=pixels)).moves
        return
    frame, later = (
        av.VideoFrame.from_ndarray(street(number), format="yuv420p").reformat(format=pixels)
        for number in (0, 8)
    )
    before, after = luma_of(frame), luma_of(later)
    assert before is not None
    assert after is not None
    assert difference(means_of(before), after, 8) > 1


def test_the_picture_is_that_of_the_keyframe() -> None:
    key, following = encode(street)
    plain, found = (
        decode_keyframe(key, "h264", time_ms=3),
        decode_keyframe(key, "h264", time_ms=3, following=following),
    )
    assert plain.picture is not None
    assert found.picture is not None
    assert not plain.moves
    for plane in ("y", "u", "v"):
        assert np.array_equal(getattr(plain.picture, plane), getattr(found.picture, plane))
    assert (found.errors, found.message, found.picture.time_ms) == (plain.errors, plain.message, 3)
    again = decode_keyframe(key, "h264")
    assert again.picture is not None
    assert np.array_equal(again.picture.y, plain.picture.y), "nothing is left over in the decoder"


# -- what does not


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kbps", [200, 800])
def test_a_still_picture_that_gets_sharper_does_not_move(codec: Codec, kbps: int) -> None:
    assert not judged(encode(still, codec, kbps=kbps), codec).moves


@pytest.mark.parametrize("kbps", [1500, 3000])
def test_nor_does_one_whose_detail_comes_behind_the_keyframe(kbps: int) -> None:
    key, following = encode(lambda _: grain(), kbps=kbps)
    assert fineness_of(len(key), WIDTH, HEIGHT) > 1, "it is fine enough to be judged"
    first, last = (
        np.frombuffer(frame.planes[0], np.uint8).reshape(HEIGHT, -1)[:, :WIDTH].astype(np.int16)
        for frame in _all_of(key, following)
    )
    assert np.abs(last - first).mean() > 6, "the encoder refines it a lot"
    assert not judged((key, following)).moves


def _all_of(key: bytes, following: list[bytes]) -> list[av.VideoFrame]:
    """The first and the last picture, by a decoder of our own."""
    context = av.CodecContext.create("h264", "r")
    frames = [frame for each in (key, *following) for frame in context.decode(av.Packet(each))]
    frames += context.decode(None)
    return [frames[0], frames[-1]]


def test_a_clock_in_the_margin_does_not_move() -> None:
    assert not judged(encode(with_clock)).moves


def test_a_keyframe_too_coarse_to_tell_is_not_judged() -> None:
    key, following = encode(street, options=":crf=51")
    assert limit_of(fineness_of(len(key), WIDTH, HEIGHT)) is None
    assert not judged((key, following)).moves


def test_ten_bits_are_not_judged() -> None:
    key, following = encode(street, pixels="yuv420p10le")
    found = judged((key, following))
    assert found.picture is not None
    assert not found.moves


# -- damage


@pytest.mark.parametrize(
    ("codec", "how"),
    [
        (
            "h264",
            "cut",
        ),  # of a slice of H.265 that ends early FFmpeg says nothing; RTP does: test_following.py
        *((codec, how) for codec in CODECS for how in ("noise", "empty", "another stream's", "its middle")),
    ],
)
def test_damage_is_no_motion(codec: Codec, how: str) -> None:
    key, following = encode(still, codec, kbps=800)
    random = np.random.default_rng(9)
    damaged = {
        "cut": [each[: len(each) // 2] for each in following],
        "noise": [each[:12] + random.bytes(len(each)) for each in following],
        "empty": [b"", START, START + b"\x01"],
        "another stream's": [START + random.bytes(5000) for _ in range(4)],
        "its middle": following[4:],
    }[how]
    found = decode_keyframe(key, codec, following=damaged)
    assert found.picture is not None
    assert not found.moves
    after = decode_keyframe(*encode(street, codec)[:1], codec)
    assert after.picture is not None
    assert after.errors == type(after.errors).NONE, "the next camera's keyframe is not the worse for it"


def test_a_keyframe_without_a_picture_moves_nothing() -> None:
    _, following = encode(street)
    found = decode_keyframe(START + b"\x65" + bytes(300), "h264", following=following)
    assert (found.picture, found.moves) == (None, False)


# -- the limit


def test_the_limit_falls_with_the_bytes_and_rises_with_the_area() -> None:
    limits = [limit_of(fineness_of(size, WIDTH, HEIGHT)) for size in (9_000, 12_000, 24_000, 10**6)]
    assert limits[0] is None
    known = [limit for limit in limits if limit is not None]
    assert len(known) == 3
    assert known == sorted(known, reverse=True)
    assert known[-1] > 0
    assert fineness_of(36_000, 1920, 1080) == pytest.approx(fineness_of(12_000, WIDTH, HEIGHT))
    assert fineness_of(24_000, WIDTH, HEIGHT, "h265") == fineness_of(12_000, WIDTH, HEIGHT)
    assert limit_of(0.9) is not None
    assert limit_of(0.9, "h265") is None


@pytest.mark.parametrize(("rows", "columns", "moves"), [(1, 8, False), (2, 8, True), (3, 3, True)])
def test_a_wrong_mean_along_one_row_of_blocks_is_no_motion(rows: int, columns: int, moves: bool) -> None:
    before = np.full((180, 320), 120, np.uint8)
    after = before.copy()
    after[90 : 90 + 9 * rows, 80 : 80 + 8 * columns] += 7  # far below the limit
    assert (difference(means_of(before), after, 24.0) > 1) is moves


# -- the examiner


def test_the_examiner_says_so() -> None:
    examiner = PictureExaminer()
    for show, moves in ((street, True), (still, False)):
        key, following = encode(show)
        opened = examiner.open(
            Keyframe(codec="h264", data=key, rtp_time=0, following=tuple(following)), Ms(1), None
        )
        assert opened.picture is not None
        assert opened.moves is moves


def jpeg(frame: np.ndarray, quality: int) -> bytes:
    _, coded = cv2.imencode(
        ".jpg", cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return coded.tobytes()


@pytest.mark.parametrize("quality", [5, 10, 30, 75])
def test_of_jpeg_another_picture_moves_and_the_same_one_coded_otherwise_does_not(quality: int) -> None:
    examiner = PictureExaminer()
    key = jpeg(still(0), quality)

    def moves(*following: bytes) -> bool:
        opened = examiner.open(Keyframe(codec="jpeg", data=key, rtp_time=0, following=following), Ms(1), None)
        assert opened.picture is not None
        return opened.moves

    assert not moves()
    assert not moves(b"no picture")
    for shown in (still(0), with_clock(25)):
        for other in (3, 5, 8, 10, 15, 20, 30, 50, 75, 95):
            assert not moves(jpeg(shown, other)), other
    assert moves(jpeg(street(15), quality))


def test_a_jpeg_that_hides_its_tables_is_told_as_coarsely_as_can_be() -> None:
    assert dc_step(jpeg(street(0), 50)) == 2
    assert dc_step(b"") == dc_step(b"\xff\xd8\xff\xdb\0\x43") == dc_step(b"\xff\xdb\0\x83\x10\1") == 255 / 8
