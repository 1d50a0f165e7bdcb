"""H.265 out of RTP: parameter sets, aggregation, fragments, decoding order numbers."""

from __future__ import annotations

import base64
from fractions import Fraction
from functools import cache

import pytest

from rtp_media import Clip, decode_size, encode, fragment
from sharpeyes.wire.h265 import H265Depacketiser, parse_sps
from sharpeyes.wire.nal import BitError
from sharpeyes.wire.sdp import parse_sdp
from sharpeyes.wire.video import choose_track

START = b"\0\0\0\1"


@cache
def clip() -> Clip:
    return encode("h265", frames=6, gop=3)


def kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def units() -> list[bytes]:
    return [unit for unit in clip().pictures[0] if kind(unit) in (19, 20, 32, 33, 34)]


def expected() -> bytes:
    return START + START.join(units())


def keyframe(payloads: list[bytes], *, numbered: bool = False) -> bytes | None:
    depacketiser = H265Depacketiser(numbered=numbered)
    for index, payload in enumerate(payloads):
        framed = b"$\0\0\0" + payload + b"tail"
        depacketiser.payload(framed, 4, 4 + len(payload), 90, index == len(payloads) - 1)
    return depacketiser.keyframe


def in_fragments(parts: list[bytes]) -> list[bytes]:
    return [payload for part in parts for payload in fragment("h265", part, 500)]


def aggregated(parts: list[bytes]) -> bytes:
    return b"\x60\x01" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def aggregated_numbered(parts: list[bytes]) -> bytes:
    packet = b"\x60\x01\x00\x07"
    for index, part in enumerate(parts):
        packet += (b"\x00" if index else b"") + len(part).to_bytes(2, "big") + part
    return packet


def fragments_numbered() -> list[bytes]:
    found = []
    for p in in_fragments(units()):
        if kind(p) == 49:
            found.append(p[:3] + (b"\0\7" if p[2] & 0x80 else b"") + p[3:])
        else:
            found.append(p[:2] + b"\0\7" + p[2:])
    return found


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        *(("single", False), ("FU", False), ("AP", False), ("AP+FU", False), ("start codes", False)),
        *(("AP", True), ("FU", True)),
    ],
)
def test_keyframe(name: str, numbered: bool) -> None:
    payloads = {
        ("single", False): units(),
        ("FU", False): in_fragments(units()),
        ("AP", False): [aggregated(units())],
        ("AP+FU", False): [aggregated(units()[:3]), *in_fragments(units()[3:])],
        ("start codes", False): fragment("h265", START.join(units()), 500),
        ("AP", True): [aggregated_numbered(units())],
        ("FU", True): fragments_numbered(),
    }[name, numbered]
    found = keyframe(payloads, numbered=numbered)
    assert found == expected()
    assert decode_size("h265", found) == (320, 180)


@pytest.mark.parametrize("unit_type", [16, 17, 18, 19, 20, 21])
def test_every_random_access_picture_is_a_keyframe(unit_type: int) -> None:
    *sets, picture = units()
    changed = bytes((picture[0] & 0x81 | unit_type << 1,)) + picture[1:]
    assert keyframe([*sets, *in_fragments([changed])]) == START + START.join([*sets, changed])


@pytest.mark.parametrize("unit_type", [0, 1, 8, 9, 22])
def test_other_pictures_are_not(unit_type: int) -> None:
    *sets, picture = units()
    changed = bytes((picture[0] & 0x81 | unit_type << 1,)) + picture[1:]
    assert keyframe([*sets, *in_fragments([changed])]) is None


def test_parameter_sets_from_the_description_only() -> None:
    media = parse_sdp(clip().sdp()).video()
    assert media is not None
    depacketiser = choose_track(media).depacketiser()
    assert depacketiser is not None
    for payload in in_fragments(units()[3:]):
        depacketiser.payload(payload, 0, len(payload), 1, bool(payload[2] & 0x40))
    assert depacketiser.keyframe == expected()


def test_a_missing_set_is_named() -> None:
    depacketiser = H265Depacketiser()
    depacketiser.parameter_sets(",".join(base64.b64encode(unit).decode() for unit in units()[1:3]))
    picture = units()[3]
    depacketiser.payload(picture, 0, len(picture), 1, True)
    assert depacketiser.keyframe is None
    assert "VPS" in (depacketiser.problem or "")


@pytest.mark.parametrize(
    ("width", "height", "fps"),
    [(320, 180, 25), (640, 360, 15), (1920, 1080, Fraction(30000, 1001)), (638, 358, 12)],
)
def test_size_and_rate_of_a_parameter_set(width: int, height: int, fps: int | Fraction) -> None:
    sps = encode("h265", width=width, height=height, fps=fps, frames=1).parameter_sets[1]
    _, geometry = parse_sps(sps)
    assert (geometry.width, geometry.height) == (width, height)
    assert geometry.fps == pytest.approx(float(fps), rel=1e-4)


@pytest.mark.parametrize("cut", range(3, 40))
def test_a_truncated_set_is_refused_or_read(cut: int) -> None:
    try:
        _, geometry = parse_sps(clip().parameter_sets[1][:cut])
    except BitError:
        return
    assert (geometry.width, geometry.height) == (320, 180)
