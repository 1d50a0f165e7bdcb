"""Real keyframes through the real checks: learnt, screened, and no longer plain when something changes."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from sharpeyes.domain.health import Keyframe, PictureFault, ProbeResult, Rung, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.health.decoders import Threads
from sharpeyes.health.examine import PictureExaminer
from sharpeyes.health.examiner import Checked, Opened
from sharpeyes.health.quality import FOLLOW, REPEATS, Quality
from sharpeyes.health.sight import Sight
from sharpeyes.simulator.scene import Scene

AT = Ms(1_790_000_000_000)


def scene(seed: int, *, shade: float = 1.0, factor: int = 20) -> Keyframe:
    """A street of boxes with sensor noise of its own in each picture, as one H.264 keyframe; ``factor``: how
    coarsely it is coded."""
    chance = np.random.default_rng(5)
    image = np.full((360, 640, 3), (150, 140, 120), np.uint8)
    for _ in range(60):
        x, y, w, h = chance.integers(0, 600), chance.integers(30, 330), *chance.integers(15, 120, 2)
        grey = chance.integers(40, 200)
        colour = tuple(int(grey + c) for c in chance.integers(-15, 15, 3))
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    image = np.clip(image * shade + noise * (shade > 0), 0, 255).astype(np.uint8)
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 640, 360, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": str(factor)}
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
    data = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    return Keyframe(codec="h264", data=data, rtp_time=0)


def check(examiner: PictureExaminer, before: Opened, after: Opened, learnt: bytes | None) -> Checked:
    references = {} if learnt is None else {"day": examiner.load(learnt)}
    return examiner.check(before.picture, after.picture, references)


def film(*, living: bool) -> Keyframe:
    """A keyframe of a street, and the pictures behind it, in which something drives by or nothing does."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 640, 360, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "qp": "22"}
    street = Scene(0, 640, 360, 25.0)
    units = []
    for number in range(FOLLOW + 1):
        frame = av.VideoFrame.from_ndarray(street.frame(3 * number * living), format="yuv420p")
        frame.pts = number
        units += [bytes(packet) for packet in context.encode(frame)]
    first, *following = units
    return Keyframe(codec="h264", data=first, rtp_time=0, following=tuple(following))


@pytest.mark.parametrize("living", [True, False])
async def test_a_film_that_is_played_round_and_round_does_not_stand_still(living: bool) -> None:
    """Its keyframe is always the same one; what is behind it tells it from a picture that is."""
    quality = Quality(Threads(PictureExaminer()), clock=lambda: AT)
    keyframe, sight = film(living=living), None
    for visit in range(4 * (len(REPEATS) + 2)):
        followed = keyframe if quality.follow("c") else replace(keyframe, following=())
        at = Ms(AT + 2000 * visit)
        result = ProbeResult(at=at, rung=Rung.KEYFRAME, failure=None, timings=Timings(), keyframe=followed)
        look = await quality.look("c", result, sight, 300.0)
        sight = look.sight or sight
    await quality.stop()
    assert quality.stats.full > 1
    assert sight is not None
    assert (PictureFault.FROZEN in {defect.kind for defect in sight.defects}) is not living


@pytest.mark.parametrize(("frozen", "restarts"), [(True, False), (True, True), (False, False)])
async def test_a_frozen_picture_that_is_coded_now_finer_now_coarser_is_known_again(
    frozen: bool, restarts: bool
) -> None:
    """As an encoder under control of its bit rate does. A pair that was coded alike begins it; what is known
    of it outlasts a restart."""
    quality = Quality(Threads(PictureExaminer()), clock=lambda: AT)
    sight, found = None, []
    shown = 1
    for visit, factors in enumerate([(20, 20), (24, 20), (20, 30), (30, 24), (24, 28), (28, 30)]):
        if restarts and sight is not None:
            await quality.stop()
            quality = Quality(Threads(PictureExaminer()), clock=lambda: AT)
            sight = Sight.parse(sight.at, json.loads(json.dumps(sight.document())))
        look = None
        for number, factor in enumerate(factors):
            shown += not frozen and visit > 0
            keyframe = replace(scene(shown, factor=factor), rtp_time=shown)
            # a byte behind the picture that tells nothing: the same coding again, yet another keyframe
            keyframe = replace(keyframe, data=keyframe.data + b"\0" * (2 * visit + number))
            at = Ms(AT + 20_000 * visit + 2000 * number)
            result = ProbeResult(
                at=at, rung=Rung.KEYFRAME, failure=None, timings=Timings(), keyframe=keyframe
            )
            look = await quality.look("c", result, sight, 300.0)
        assert look is not None
        assert look.sight is not None
        sight = look.sight
        found.append(sight.trails.get(PictureFault.FROZEN))
    await quality.stop()
    shows = [trail is not None and trail.looks[-1][1] for trail in found]
    # known are the codings of pairs in which it was found frozen: 30 is not until (30, 24) is
    assert shows == ([True, True, False, True, False, True] if frozen else [True] + [False] * 5)
    assert (PictureFault.FROZEN in {defect.kind for defect in sight.defects}) is frozen


def test_the_normal_picture_is_learnt_and_then_plain() -> None:
    examiner = PictureExaminer()
    learnt = examiner.learn([scene(seed) for seed in range(8)], "day", AT)
    assert learnt is not None
    first, second = (examiner.open(scene(seed), AT, None) for seed in (20, 21))
    assert not first.plain  # nothing to compare with
    checked = check(examiner, first, second, learnt)
    assert (checked.mode, checked.findings, checked.still) == ("day", (), None)
    third = examiner.open(scene(22), AT, checked.normal)
    assert third.plain
    fourth = examiner.open(scene(23), AT, third.normal)
    assert fourth.plain
    same = examiner.open(scene(23), AT, fourth.normal)
    assert not same.plain  # not even its noise changed
    black = examiner.open(scene(24, shade=0.0), AT, fourth.normal)
    assert not black.plain


def test_black_is_found_with_a_still_and_without_a_reference_much_is_not_assessed() -> None:
    examiner = PictureExaminer()
    first, second = (examiner.open(scene(seed, shade=0.0), AT, None) for seed in (1, 2))
    checked = check(examiner, first, second, None)
    assert PictureFault.SIGNAL_LOST in {finding.kind for finding in checked.findings}
    assert checked.still is not None
    assert checked.still[:2] == b"\xff\xd8"
    assert PictureFault.SCENE_SHIFT in checked.unassessed


def test_bytes_that_are_no_picture() -> None:
    examiner = PictureExaminer()
    junk = Keyframe(codec="h264", data=b"\x00\x00\x00\x01\x65" + bytes(500), rtp_time=0)
    assert examiner.open(junk, AT, None).picture is None
    assert examiner.open(replace(junk, codec="jpeg"), AT, None).picture is None
    assert examiner.learn([junk], "day", AT) is None
