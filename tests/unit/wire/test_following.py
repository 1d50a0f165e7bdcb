"""The coded pictures right behind a keyframe: whole, in order, none missing, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import cv2
import numpy as np
import pytest

from rtp_media import Clip, decode_size, encode, fragment
from sharpeyes.wire import nal
from sharpeyes.wire.h264 import H264Depacketiser
from sharpeyes.wire.h265 import H265Depacketiser
from sharpeyes.wire.jpeg import JpegDepacketiser
from sharpeyes.wire.nal import NalDepacketiser

START = b"\0\0\0\1"
MADE: dict[str, Callable[[], NalDepacketiser]] = {"h264": H264Depacketiser, "h265": H265Depacketiser}
CODECS = sorted(MADE)
Payloads = list[bytes]


@cache
def clip(codec: str, *, gop: int = 6, slices: int = 1) -> Clip:
    options = {f"{'x264' if codec == 'h264' else 'x265'}-params": f"slices={slices}"} if slices > 1 else {}
    if codec == "h265" and slices > 1:
        options["x265-params"] += f":keyint={gop}:bframes=0:repeat-headers=1:log-level=none"
    return encode(codec, frames=12, gop=gop, options=options)


def is_slice(codec: str, unit: bytes) -> bool:
    return unit[0] & 31 in (1, 5) if codec == "h264" else unit[0] >> 1 & 63 < 32


def expected(made: Clip, first: int, count: int) -> list[bytes]:
    """The pictures behind picture ``first`` as a decoder takes them."""
    return [
        START + START.join(unit for unit in picture if is_slice(made.codec, unit))
        for picture in made.pictures[first + 1 : first + 1 + count]
    ]


def single(codec: str, units: list[bytes]) -> Payloads:
    return units


def fragments(codec: str, units: list[bytes]) -> Payloads:
    return [payload for unit in units for payload in fragment(codec, unit, 500)]


def aggregate(codec: str, units: list[bytes]) -> Payloads:
    head = b"\x78" if codec == "h264" else b"\x60\x01"
    return [head + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)]


def without_end_marks(codec: str, units: list[bytes]) -> Payloads:
    at, kind = (1, 28) if codec == "h264" else (2, 49)
    return [
        p[:at] + bytes((p[at] & 0xBF,)) + p[at + 1 :]
        if (p[0] & 31 if codec == "h264" else p[0] >> 1 & 63) == kind
        else p
        for p in fragments(codec, units)
    ]


def delimited(codec: str, units: list[bytes]) -> Payloads:
    """Delimiter before and filler behind the slices, which no decoder needs."""
    before, behind = (b"\x09\xf0", b"\x0c\xff\x80") if codec == "h264" else (b"\x46\x01\x50", b"\x4c\x01\xff")
    return [before, *units, behind]


PACKETISATIONS = (single, fragments, aggregate, without_end_marks, delimited)


def steps(
    made: Clip, cut: Callable[[str, list[bytes]], Payloads], first: int
) -> Iterator[tuple[int, bytes, bool]]:
    """Number of the picture, payload, marker."""
    for number, units in enumerate(made.pictures[first:], first):
        payloads = cut(made.codec, units)
        for index, payload in enumerate(payloads):
            yield number, payload, index == len(payloads) - 1


def fed(
    made: Clip,
    *,
    follow: int | None = 4,
    cut: Callable[[str, list[bytes]], Payloads] = fragments,
    lost: Callable[[int, int], bool] = lambda _picture, _payload: False,
    first: int = 0,
    markers: bool = True,
) -> NalDepacketiser:
    """A depacketiser that has got all payloads but those ``lost(picture, number of the payload in it)``."""
    depacketiser = MADE[made.codec]()
    if follow is not None:
        depacketiser.follow(follow)
    before, index, gap = -1, 0, False
    for number, payload, last in steps(made, cut, first):
        index = 0 if number != before else index + 1
        before = number
        if lost(number, index):
            gap = True
            continue
        if gap:
            depacketiser.gap()
            gap = False
        framed = b"$\0\0\0" + payload + b"tail"
        depacketiser.payload(framed, 4, 4 + len(payload), 3600 * (1 + number), markers and last)
    return depacketiser


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", PACKETISATIONS)
def test_pictures_behind_a_keyframe_are_whole_and_in_order(
    codec: str, cut: Callable[[str, list[bytes]], Payloads]
) -> None:
    made = clip(codec)
    found = fed(made, cut=cut)
    assert found.following == expected(made, 0, 4)
    assert found.keyframe is not None
    assert decode_size(codec, found.keyframe + b"".join(found.following)) == (320, 180)


@pytest.mark.parametrize("codec", CODECS)
def test_without_markers_the_next_time_stamp_ends_each(codec: str) -> None:
    made = clip(codec)
    assert fed(made, markers=False).following == expected(made, 0, 4)


@pytest.mark.parametrize("codec", CODECS)
def test_all_slices_of_a_picture_are_one(codec: str) -> None:
    made = clip(codec, slices=3)
    assert sum(is_slice(codec, unit) for unit in made.pictures[1]) > 1, "the encoder makes several"
    found = fed(made)
    assert found.following == expected(made, 0, 4)


@pytest.mark.parametrize("codec", CODECS)
def test_who_joins_in_the_middle_gets_those_behind_the_next_keyframe(codec: str) -> None:
    made = clip(codec)
    found = fed(made, first=4)
    assert found.keyframe == fed(made, first=6).keyframe
    assert found.following == expected(made, 6, 4)


@pytest.mark.parametrize("codec", CODECS)
def test_none_are_kept_that_nobody_asked_for(codec: str) -> None:
    assert fed(clip(codec), follow=None).following == []
    assert fed(clip(codec), follow=0).following == []


@pytest.mark.parametrize("codec", CODECS)
def test_the_keyframe_is_what_it_is_without(codec: str) -> None:
    plain, found = fed(clip(codec), follow=None), fed(clip(codec))
    assert found.keyframe is not None
    for attribute in ("keyframe", "keyframe_time", "geometry", "problem"):
        assert getattr(found, attribute) == getattr(plain, attribute)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("payload", [0, 1, -1])
def test_a_lost_packet_ends_the_list(codec: str, payload: int) -> None:
    made = clip(codec)
    at = payload % len(fragments(codec, made.pictures[3]))
    found = fed(made, lost=lambda picture, number: (picture, number) == (3, at))
    assert found.following == expected(made, 0, 2), "what came behind the loss depends on it"


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_picture_ends_the_list(codec: str) -> None:
    made = clip(codec)
    assert fed(made, lost=lambda picture, _: picture == 2).following == expected(made, 0, 1)
    assert fed(made, lost=lambda picture, _: picture == 1).following == []


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_keyframe_is_passed_over_with_what_depends_on_it(codec: str) -> None:
    made = clip(codec)
    found = fed(made, lost=lambda picture, number: (picture, number) == (0, 6))
    assert found.keyframe == fed(made, first=6).keyframe
    assert found.following == expected(made, 6, 4)


@pytest.mark.parametrize("codec", CODECS)
def test_the_next_keyframe_may_be_among_them(codec: str) -> None:
    made = clip(codec, gop=2)
    found = fed(made, follow=5)
    assert found.following == expected(made, 0, 5)
    assert found.keyframe == fed(made, follow=None).keyframe, "the first one stays"


@pytest.mark.parametrize("codec", CODECS)
def test_their_bytes_are_bounded(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clip(codec)
    first, second, third = (len(each) for each in expected(made, 0, 3))
    monkeypatch.setattr(nal, "MAX_FOLLOWING", first + second + third - 100)
    found = fed(made, follow=8)
    assert found.following == expected(made, 0, 2), "no later, smaller one takes the place"


def test_a_picture_larger_than_any_is_not_kept() -> None:
    made = clip("h264")
    depacketiser = H264Depacketiser()
    depacketiser.follow(4)
    for payload in fragments("h264", made.pictures[0]):
        depacketiser.payload(payload, 0, len(payload), 1, False)
    piece = b"\x5c\x01" + bytes(60_000)
    depacketiser.payload(b"\x5c\x81\x9a", 0, 3, 2, False)
    for _ in range(nal.MAX_KEYFRAME // 60_000 + 2):
        depacketiser.payload(piece, 0, len(piece), 2, False)
    assert depacketiser.fragments is None
    depacketiser.payload(b"\x5c\x41\x9a", 0, 3, 2, True)
    for payload in fragments("h264", made.pictures[1]):
        depacketiser.payload(payload, 0, len(payload), 3, False)
    assert depacketiser.following == []
    assert depacketiser.keyframe is not None


def test_open_gop_behind_a_recovery_point() -> None:
    made = encode("h264", frames=40, gop=10, options={"bf": "2", "x264-params": "open-gop=1:b-adapt=0"})
    joins = [
        number
        for number, units in enumerate(made.pictures)
        if number and any(unit[0] & 31 == 6 and unit[1] == 6 for unit in units)
    ]
    assert joins, "the encoder marks them"
    depacketiser = fed(made, first=1, follow=3)
    assert depacketiser.keyframe is not None
    assert depacketiser.following == expected(made, joins[0], 3)


def test_of_jpeg_the_last_one_is_kept() -> None:
    """Each picture is a keyframe, and needs no other."""
    _, coded = cv2.imencode(
        ".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]
    )
    scan = coded.tobytes()[-60:]
    depacketiser = JpegDepacketiser()
    depacketiser.follow(4)
    for number in range(6):
        payload = b"\0\0\0\0\1\x50\2\2" + scan + bytes((number,))
        depacketiser.payload(payload, 0, len(payload), number, number != 3)  # the fourth one lacks its end
    assert depacketiser.keyframe is not None
    assert depacketiser.keyframe_time == 0
    assert [picture[-3:] for picture in depacketiser.following] == [b"\5\xff\xd9"]
    late = b"\0\0\0\0\1\x50\2\2" + scan + b"late"
    for number in (6, 7):
        depacketiser.payload(late, 0, len(late), number, True)
    assert [picture[-3:] for picture in depacketiser.following] == [b"\5\xff\xd9"], "four were asked for"
