"""What a decoder makes of a picture: few bits, ten bits, lost data."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from made_scene import infrared, night, scene

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.keyframe import decode_keyframe
from sharpeyes.health.diagnose.motion import Codec
from sharpeyes.health.diagnose.picture import DecoderError, Picture
from sharpeyes.health.diagnose.reading import Outcome

SIZES = ((352, 288), (640, 360), (704, 576))
ENCODERS: dict[Codec, str] = {"h264": "libx264", "h265": "libx265"}


def encoded(
    image: np.ndarray,
    codec: Codec = "h264",
    *,
    size: tuple[int, int] = (640, 360),
    factor: int = 26,
    pixels: str = "yuv420p",
) -> bytes:
    """A keyframe of this picture, with a sensor's noise."""
    context = av.CodecContext.create(ENCODERS[codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt, context.time_base = pixels, Fraction(1, 25)
    context.options = {"crf": str(factor), "preset": "veryfast", "threads": "1"}
    if codec == "h265":
        context.options |= {"x265-params": "log-level=none:pools=none"}
    noisy = cv2.resize(image, size) + np.random.default_rng(7).normal(0, 2, (size[1], size[0], 1))
    frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), "bgr24")
    packets = [*context.encode(frame.reformat(format=pixels)), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def picture_of(data: bytes, codec: Codec = "h264") -> Picture:
    found = decode_keyframe(data, codec)
    assert found.picture is not None
    return found.picture


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("codec", ENCODERS)
def test_a_picture_that_gets_few_bits_is_not_damaged(codec: Codec, size: tuple[int, int]) -> None:
    for image in (scene(1), scene(2), infrared(scene(3)), night(scene(4))):
        for factor in (31, 36):
            picture = picture_of(encoded(image, codec, size=size, factor=factor), codec)
            assert diagnose(picture).reading(PictureFault.CORRUPT).outcome is Outcome.NORMAL


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("h264", "yuv420p10le"), ("h264", "yuv422p10le"), ("h265", "yuv420p10le"), ("h265", "yuv420p12le")],
)
def test_more_than_eight_bits_are_no_noise(codec: Codec, pixels: str) -> None:
    plain, deep = (picture_of(encoded(scene(1), codec, pixels=each), codec) for each in ("yuv420p", pixels))
    assert abs(plain.y.astype(int) - deep.y).mean() < 4, "coded anew, it is the same scene"
    noise = [
        next(
            e.value
            for e in diagnose(each).reading(PictureFault.NOISE).evidence
            if e.name == "grain_noise_p25"
        )
        for each in (plain, deep)
    ]
    assert noise[1] < noise[0] + 0.1


def test_white_stays_white_in_sixteen_bits() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((360, 640), 65535, np.uint16), "gray16le")
    assert Picture.from_frame(frame).y.min() >= 235


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720)], ids=["360p", "720p"])
def test_a_keyframe_that_was_cut_short_is_damaged_and_nothing_else(
    size: tuple[int, int], share: float
) -> None:
    data = encoded(scene(5), size=size)
    picture = picture_of(data[: int(len(data) * share)])
    assert picture.errors
    diagnosis = diagnose(picture)
    assert [fault.kind for fault in diagnosis.faults] == [PictureFault.CORRUPT]
    others = {each.outcome for each in diagnosis.readings if each.kind is not PictureFault.CORRUPT}
    assert others == {Outcome.NOT_ASSESSABLE}, "what was drawn in its place says nothing of the scene"
    assert diagnosis.reading(PictureFault.BLURRED).explanation.key == "diagnose.damaged"


def test_a_decoder_that_complains_of_what_nobody_sees_damages_nothing() -> None:
    picture = picture_of(encoded(scene(5)))
    marked = Picture(picture.y, picture.u, picture.v, errors=DecoderError.MARKED)
    assert diagnose(marked).faults == ()


@pytest.mark.parametrize(("across", "down"), [(0, 0.3), (0.5, 0), (0.25, 0.2), (0, 0.7)])
def test_stripes_over_everything_are_found_without_a_reference(across: float, down: float) -> None:
    x, y = np.meshgrid(np.arange(640), np.arange(360))
    stripes = 25 * np.sin(across * x + down * y)[:, :, None]
    for image in (scene(1), scene(2), infrared(scene(3))):
        assert PictureFault.STRIPES in {f.kind for f in diagnose(picture_of(encoded(image + stripes))).faults}
        assert diagnose(picture_of(encoded(image))).faults == ()
