"""H.264 out of RTP: parameter sets, every packetisation, and what cameras do wrong with it."""

from __future__ import annotations

import base64
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
import pytest

from rtp_media import Clip, decode_size, encode, fragment
from sharpeyes.health.diagnose.keyframe import decode_keyframe
from sharpeyes.wire.h264 import DELIMITER, H264Depacketiser, parse_sps
from sharpeyes.wire.nal import MAX_KEYFRAME, BitError

START = b"\0\0\0\1"


@cache
def clip() -> Clip:
    return encode("h264", frames=6, gop=3)


def units() -> list[bytes]:
    """SPS, PPS and the slices of the first picture."""
    return [unit for unit in clip().pictures[0] if unit[0] & 31 in (5, 7, 8)]


def expected() -> bytes:
    return START + START.join(units())


def keyframe(payloads: list[bytes], *, sprop: str = "", marker: bool = True) -> bytes | None:
    depacketiser = H264Depacketiser()
    depacketiser.parameter_sets(sprop)
    for index, payload in enumerate(payloads):
        framed = b"$\0\0\0" + payload + b"tail"
        depacketiser.payload(framed, 4, 4 + len(payload), 90, marker and index == len(payloads) - 1)
    return depacketiser.keyframe


def stap_a(parts: list[bytes]) -> bytes:
    return b"\x78" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def in_fragments(parts: list[bytes]) -> list[bytes]:
    return [payload for part in parts for payload in fragment("h264", part, 500)]


def with_start_codes() -> list[bytes]:
    """One fragmented unit that holds all, as some vendors send it."""
    return fragment("h264", START.join(units()), 500)


def fu_b() -> list[bytes]:
    payloads = in_fragments(units())
    return [
        bytes((p[0] + 1, p[1])) + (b"\0\1" if p[1] & 0x80 else b"") + p[2:] if p[0] & 31 == 28 else p
        for p in payloads
    ]


def without_end_marks() -> list[bytes]:
    return [p[:1] + bytes((p[1] & 0xBF,)) + p[2:] if p[0] & 31 == 28 else p for p in in_fragments(units())]


def stap_in_fragments() -> list[bytes]:
    return fragment("h264", stap_a(units()), 500)


PACKETISATIONS = {
    "single units": lambda: units(),
    "FU-A": lambda: in_fragments(units()),
    "FU-A, end never marked": without_end_marks,
    "FU-B": fu_b,
    "STAP-A": lambda: [stap_a(units())],
    "STAP-A of sets, then FU-A": lambda: [stap_a(units()[:2]), *in_fragments(units()[2:])],
    "STAP-B": lambda: [b"\x79\0\1" + stap_a(units())[1:]],
    "MTAP16": lambda: [b"\x7a\0\1" + b"".join(len(u).to_bytes(2, "big") + b"\0\0\0" + u for u in units())],
    "MTAP24": lambda: [b"\x7b\0\1" + b"".join(len(u).to_bytes(2, "big") + b"\0\0\0\0" + u for u in units())],
    "several units in one fragment with start codes": with_start_codes,
    "STAP-A inside FU-A": stap_in_fragments,
    "Annex B in a packet": lambda: [START + START.join(units())],
    "delimiter and filler between": lambda: [b"\x09\xf0", *units()[:2], b"\x0c\xff", *units()[2:]],
}  # fmt: skip


@pytest.mark.parametrize("name", PACKETISATIONS)
def test_keyframe(name: str) -> None:
    found = keyframe(PACKETISATIONS[name]())
    assert found == expected()
    assert decode_size("h264", found) == (320, 180)


def test_parameter_sets_from_the_description_only() -> None:
    sprop = ",".join(base64.b64encode(unit).decode().rstrip("=") for unit in units()[:2])
    assert keyframe(in_fragments(units()[2:]), sprop=sprop) == expected()


def test_a_picture_in_the_description_is_no_picture() -> None:
    sprop = ",".join(base64.b64encode(unit).decode() for unit in units())
    assert keyframe([b"\x41\xe0"], sprop=sprop) is None


def test_without_parameter_sets_it_is_no_keyframe_and_says_why() -> None:
    depacketiser = H264Depacketiser()
    for unit in units()[2:]:
        depacketiser.payload(unit, 0, len(unit), 1, unit is units()[-1])
    assert depacketiser.keyframe is None
    assert "SPS" in (depacketiser.problem or "")


def test_without_a_marker_the_next_time_stamp_ends_the_picture() -> None:
    depacketiser = H264Depacketiser()
    for payload in in_fragments(units()):
        depacketiser.payload(payload, 0, len(payload), 1, False)
    assert depacketiser.keyframe is None
    depacketiser.payload(b"\x41\xe0\x00", 0, 3, 2, False)
    assert depacketiser.keyframe == expected()


def test_joining_in_the_middle_waits_for_the_next_keyframe() -> None:
    depacketiser = H264Depacketiser()
    picture = in_fragments(units())
    for payload in picture[len(picture) // 2 :]:
        depacketiser.payload(payload, 0, len(payload), 1, payload is picture[-1])
    assert depacketiser.keyframe is None
    for payload in picture:
        depacketiser.payload(payload, 0, len(payload), 2, payload is picture[-1])
    assert depacketiser.keyframe == expected()


def test_other_pictures_are_no_keyframes() -> None:
    depacketiser = H264Depacketiser()
    for time, picture in enumerate(clip().pictures[1:3]):
        for payload in in_fragments(picture):
            depacketiser.payload(payload, 0, len(payload), time, False)
    assert depacketiser.keyframe is None


def test_open_gop_with_recovery_points_and_no_idr_is_joined() -> None:
    options = {
        "preset": "medium",
        "bf": "2",
        "x264-params": "open-gop=1:keyint=5:min-keyint=1:scenecut=0:bframes=2:slices=2",
    }
    open_gop = encode("h264", frames=24, gop=5, options=options)
    later = [picture for picture in open_gop.pictures if not any(u[0] & 31 == 5 for u in picture)]
    sets = open_gop.parameter_sets
    depacketiser = H264Depacketiser()
    for unit in sets:
        depacketiser.payload(unit, 0, len(unit), 0, False)
    for time, picture in enumerate(later, 1):
        for payload in in_fragments(picture):
            depacketiser.payload(payload, 0, len(payload), time, False)
    assert depacketiser.keyframe is not None
    assert decode_size("h264", depacketiser.keyframe) == (320, 180)


@cache
def refreshed(bframes: int = 0, slices: int = 1) -> Clip:
    """Columns of intra blocks that wander through the pictures; after the first one there is no other IDR."""
    own = f"intra-refresh=1:keyint=8:bframes={bframes}:slices={slices}"
    options = {"preset": "medium", "x264-params": own, "bf": str(bframes)}
    return encode("h264", frames=60, gop=8, options=options)


def joined(clip: Clip, first: int, *, without: int | None = None) -> H264Depacketiser:
    """What is put together by who comes to the stream at its picture ``first``."""
    depacketiser = H264Depacketiser()
    for unit in clip.parameter_sets:
        depacketiser.payload(unit, 0, len(unit), 0, False)
    for time, picture in enumerate(clip.pictures[first:], first + 1):
        if time - 1 == without:
            depacketiser.gap()
            continue
        for payload in in_fragments(picture):
            depacketiser.payload(payload, 0, len(payload), time, False)
    return depacketiser


@pytest.mark.parametrize(("bframes", "slices"), [(0, 1), (0, 3), (2, 1)])
@pytest.mark.parametrize("first", range(1, 11, 3))
def test_gradual_refresh_is_a_run_of_pictures_that_ends_in_a_whole_one(
    bframes: int, slices: int, first: int
) -> None:
    clip = refreshed(bframes, slices)
    whole = [frame.to_ndarray(format="gray") for frame in decoded(clip.pictures)]
    run = joined(clip, first).keyframe
    assert run is not None
    assert 4 <= run.count(DELIMITER) <= 30
    found = decode_keyframe(run, "h264")
    assert found.picture is not None
    assert not found.picture.errors
    seen = cv2.resize(found.picture.y, (320, 180), interpolation=cv2.INTER_AREA).astype(int)
    apart = [np.abs(seen - each).mean() for each in whole]
    assert min(apart) < 0.7 * sorted(apart)[1], (
        "it is one of the stream's pictures, as whoever saw all sees it"
    )


def test_a_refresh_of_which_a_packet_is_missing_is_begun_anew() -> None:
    clip = refreshed()
    run, later = joined(clip, 1).keyframe, joined(clip, 1, without=12)
    assert run is not None
    assert later.keyframe is not None
    assert later.keyframe != run
    found = decode_keyframe(later.keyframe, "h264")
    assert found.picture is not None
    assert not found.picture.errors


def test_a_refresh_that_never_ends_is_no_keyframe() -> None:
    clip = refreshed()
    depacketiser = joined(Clip("h264", clip.pictures[:5], clip.times[:5], 320, 180, 25.0), 1)
    assert depacketiser.keyframe is None


def decoded(pictures: list[list[bytes]]) -> list[av.VideoFrame]:
    context = av.CodecContext.create("h264", "r")
    packets = [av.Packet(START + START.join(units)) for units in pictures]
    return [frame for packet in (*packets, None) for frame in context.decode(packet)]


def test_the_first_keyframe_stays_until_it_is_taken() -> None:
    depacketiser = H264Depacketiser()
    other = [*units()[:2], units()[2] + b"\x01"]
    for time, picture in enumerate((units(), other), 1):
        for unit in picture:
            depacketiser.payload(unit, 0, len(unit), time, False)
    depacketiser.payload(b"\x41\xe0", 0, 2, 9, False)
    assert (depacketiser.keyframe, depacketiser.keyframe_time) == (expected(), 1)
    depacketiser.keyframe = None
    for unit in units():
        depacketiser.payload(unit, 0, len(unit), 10, False)
    depacketiser.payload(b"\x41\xe0", 0, 2, 11, False)
    assert depacketiser.keyframe_time == 10


def test_a_picture_without_an_end_is_not_kept() -> None:
    depacketiser = H264Depacketiser()
    piece = bytes(60_000)
    depacketiser.payload(b"\x7c\x85" + piece, 0, 60_002, 1, False)
    for _ in range(3 * MAX_KEYFRAME // len(piece)):
        depacketiser.payload(b"\x7c\x05" + piece, 0, 60_002, 1, False)
        assert sum(map(len, depacketiser.fragments or ())) <= MAX_KEYFRAME
    assert "bytes" in (depacketiser.problem or "")


@pytest.mark.parametrize(
    ("width", "height", "fps"),
    [(320, 180, 25), (640, 368, 15), (1920, 1080, Fraction(30000, 1001)), (638, 358, 12)],
)
def test_size_and_rate_of_a_parameter_set(width: int, height: int, fps: int | Fraction) -> None:
    sps = encode("h264", width=width, height=height, fps=fps, frames=1).parameter_sets[0]
    _, geometry = parse_sps(sps)
    assert (geometry.width, geometry.height) == (width, height)
    assert geometry.fps == pytest.approx(float(fps), rel=1e-4)


@pytest.mark.parametrize("cut", range(2, 20))
def test_a_truncated_set_is_refused_or_read(cut: int) -> None:
    sps = clip().parameter_sets[0][:cut]
    try:
        _, geometry = parse_sps(sps)
    except BitError:
        return
    assert (geometry.width, geometry.height) == (320, 180)
