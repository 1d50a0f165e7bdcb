"""Clips: what a receiver sees of the loop, packet sizes, the cache."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from virtual_client import SMALL, device, units

from sharpeyes.domain.camera import Codec
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.health.diagnose.imprint import imprint, is_known
from sharpeyes.health.diagnose.picture import Picture as Seen
from sharpeyes.simulator.clip import MAX_PACKET, Clip, ClipLibrary, ClipSpec, encode
from sharpeyes.simulator.fault import Picture
from sharpeyes.simulator.scene import Scene

H265 = device(codec=Codec.H265).channels[0].streams[0][1]


def packets(clip: Clip, n: int, channel: int = 0, shift: int = 0) -> list[bytes]:
    frame = clip.frame(n, channel, shift)
    found, at = [], 0
    while at < len(frame):
        assert frame[at] == 0x24
        assert frame[at + 1] == channel
        size = int.from_bytes(frame[at + 2 : at + 4])
        found.append(frame[at + 4 : at + 4 + size])
        at += 4 + size
    return found


@pytest.fixture(params=[SMALL, H265], ids=["h264", "h265"])
def clip(request: pytest.FixtureRequest, cache: Path) -> Clip:
    library = ClipLibrary(cache)
    library.prepare([request.param])
    return library[request.param]


def test_no_receiver_sees_where_the_loop_closes(clip: Clip) -> None:
    # Far from zero, where the 16-bit sequence numbers and the 32-bit time stamps wrap several times.
    first = 2**32 // 3600 - 7
    previous = None
    for n in range(first, first + 5 * len(clip)):
        found = packets(clip, n)
        assert len(found) == clip.count(n)
        for index, packet in enumerate(found):
            number, time = int.from_bytes(packet[2:4]), int.from_bytes(packet[4:8])
            assert packet[0] == 0x80
            assert packet[1] & 0x7F == 96
            assert packet[1] >> 7 == (index == len(found) - 1), "the marker ends a picture"
            assert time == n * 3600 % 2**32
            assert previous is None or number == (previous + 1) % 2**16
            previous = number


def test_packets_fit_any_path(clip: Clip) -> None:
    sizes = [len(packet) for n in range(len(clip)) for packet in packets(clip, n)]
    assert max(sizes) <= MAX_PACKET
    assert max(sizes) > MAX_PACKET - 100, "fragments are filled"


def test_decodes_without_a_gap_over_the_loop(clip: Clip) -> None:
    decoder = av.CodecContext.create("h264" if clip.spec.codec is Codec.H264 else "hevc", "r")
    pictures = 0
    for n in range(len(clip), 3 * len(clip)):
        data = units([each[12:] for each in packets(clip, n)], clip.spec.codec)
        pictures += sum(1 for _ in decoder.decode(av.Packet(data)))
    pictures += sum(1 for _ in decoder.decode(None))
    assert pictures == 2 * len(clip)


def test_channel_and_shift_change_nothing_else(clip: Clip) -> None:
    plain, other = packets(clip, 3), packets(clip, 3, channel=6, shift=500)
    assert [each[4:] for each in plain] == [each[4:] for each in other]
    assert [(int.from_bytes(a[2:4]) + 500) % 2**16 for a in plain] == [int.from_bytes(b[2:4]) for b in other]
    assert packets(clip, 3) == plain, "what is shared stays as it was"


def test_what_is_kept_of_made_frames_is_bounded(clip: Clip) -> None:
    for n in range(50 * len(clip)):
        clip.frame(n)
    assert len(clip._made) <= 2 * clip.spec.gop


def test_parameter_sets_travel_in_band_only_if_wanted(cache: Path) -> None:
    with_sets, without = ClipLibrary(cache), ClipLibrary(cache, in_band=False)
    for library in (with_sets, without):
        library.prepare([SMALL])
    kinds = [[each[12] & 31 for each in packets(library[SMALL], 0)] for library in (with_sets, without)]
    assert {7, 8} <= set(kinds[0])
    assert not {7, 8} & set(kinds[1])
    assert with_sets[SMALL].media == without[SMALL].media
    assert "a=framerate:25.0" in without[SMALL].media


@pytest.mark.parametrize("damage", [b"", b"nonsense", "cut", "flip"])
def test_a_damaged_cache_is_made_anew(cache: Path, tmp_path: Path, damage: bytes | str) -> None:
    good = (cache / f"{SMALL.key}.clip").read_bytes()
    bad = {"cut": good[:-100], "flip": good[:-50] + b"\xff" + good[-49:]}.get(str(damage), damage)
    file = tmp_path / f"{SMALL.key}.clip"
    file.write_bytes(bad)  # type: ignore[arg-type]
    library = ClipLibrary(tmp_path)
    library.prepare([SMALL])
    assert len(library[SMALL]) == 20
    assert len(file.read_bytes()) > 1000
    assert [each.name for each in tmp_path.iterdir()] == [file.name], "no half-written file is left"


def test_an_unwritable_cache_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    library = ClipLibrary(tmp_path / "file" / "clips")
    library.prepare([SMALL])
    assert SMALL in library


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 63), ("height", 181), ("fps", 0), ("gop", 0), ("kbps", 1), ("codec", "jpeg")],
)
def test_impossible_clips_are_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=field):
        ClipSpec(**{field: value})  # type: ignore[arg-type]


def luma(picture: Picture, number: int = 5) -> np.ndarray:
    return Scene(1, 320, 180, 25.0, picture).frame(number)[:180].astype(float)


def test_each_picture_fault_is_what_it_says() -> None:
    normal = luma(Picture.NORMAL)
    assert luma(Picture.BLACK)[60:120].max() < 24
    assert luma(Picture.DARK).mean() < normal.mean() / 3
    assert luma(Picture.BRIGHT).mean() > 200
    assert np.abs(np.diff(luma(Picture.BLUR)[60:150])).mean() < np.abs(np.diff(normal[60:150])).mean() / 2
    assert np.abs(np.diff(luma(Picture.NOISE))).mean() > 2 * np.abs(np.diff(normal)).mean()
    assert np.ptp(luma(Picture.STRIPES).mean(axis=1)) > np.ptp(normal.mean(axis=1)) + 30
    assert np.abs(luma(Picture.SHIFT) - normal).mean() > 15
    assert (luma(Picture.OCCLUDED)[110:170, 20:150].std()) < normal[110:170, 20:150].std() / 2
    grey, cast = (Scene(1, 320, 180, 25.0, each).frame(5)[180:] for each in (Picture.GREY, Picture.CAST))
    assert np.abs(grey.astype(int) - 128).mean() < 2
    assert np.abs(cast.astype(int) - 128).mean() > 15


def test_only_a_frozen_camera_repeats_itself_to_the_noise() -> None:
    assert (luma(Picture.FREEZE, 1) == luma(Picture.FREEZE, 99)).all()
    sky_of = [luma(Picture.NORMAL, each)[20:50, 250:] for each in (1, 99)]
    assert (sky_of[0] != sky_of[1]).mean() > 0.3, "a quiet scene still has noise"


def test_scenes_differ_and_move() -> None:
    places = [Scene(seed, 320, 180, 25.0).still(0) for seed in range(4)]
    assert all(np.abs(a.astype(int) - b).mean() > 8 for a, b in pairwise(places))
    assert np.abs(places[0].astype(int) - Scene(0, 320, 180, 25.0).still(25)).max() > 50


def test_a_clip_is_a_function_of_its_specification() -> None:
    tiny = ClipSpec(width=128, height=72, gop=5, gops=1, kbps=64)
    assert Clip(tiny, encode(tiny)).spec == tiny
    with pytest.raises(ValueError, match="another kind"):
        Clip(SMALL, encode(tiny))


@pytest.mark.parametrize("seed", range(6))
def test_what_stands_still_is_no_picture_of_the_healthy_camera(seed: int) -> None:
    """A sensor's noise never comes again: who knows the frozen picture must not meet it afterwards."""

    def imprint_of(picture: Picture, number: int) -> bytes:
        frame = Scene(seed, 640, 360, 25.0, picture).frame(number)
        return imprint(Seen.from_bgr(np.asarray(cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420), np.uint8)))

    frozen = imprint_of(Picture.FREEZE, 0)
    assert is_known(imprint_of(Picture.FREEZE, 50), [frozen])
    assert not any(is_known(imprint_of(Picture.NORMAL, 25 * number), [frozen]) for number in range(12))
