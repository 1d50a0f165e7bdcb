"""Places drawn to train on: the same every time, of every kind; and a place that is in no set is judged
rightly."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.diagnosis import Diagnosis, diagnose
from sharpeyes.health.diagnose.drawn import DRAWN, HARD, KINDS, drawn_scene
from sharpeyes.health.diagnose.features import Look
from sharpeyes.health.diagnose.made import Scene
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, learn
from sharpeyes.health.diagnose.train import PLACES

BARE = 10 * (PLACES // 10 + 4)
"""A bare place that no training has seen."""


@cache
def place(number: int) -> Scene:
    return drawn_scene(number)


@cache
def reference(number: int, mode: str) -> ModeReference:
    return learn([Picture.from_bgr(image) for image in place(number).references[mode]], mode)


def judge(number: int, mode: str, pair: list[NDArray[np.uint8]]) -> Diagnosis:
    before, after = (Picture.from_bgr(image) for image in pair)
    return diagnose(after, before, {mode: reference(number, mode)}, mode=mode)


def kinds(diagnosis: Diagnosis) -> set[str]:
    return {str(fault.kind) for fault in diagnosis.faults}


def test_a_place_is_the_same_every_time_and_unlike_another() -> None:
    first, again, other = drawn_scene(BARE), place(BARE), place(3)
    assert first.name == again.name != other.name
    assert first.name.startswith(DRAWN)
    for (mode, hard, pair), (mode_, hard_, pair_) in zip(first.normals, again.normals, strict=True):
        assert (mode, hard) == (mode_, hard_)
        assert all(np.array_equal(a, b) for a, b in zip(pair, pair_, strict=True))
    assert not np.array_equal(first.references["day"][0], other.references["day"][0])


@pytest.mark.parametrize("number", [1, 3, 7], ids=[KINDS[number][0] for number in (1, 3, 7)])
def test_every_kind_has_references_of_its_modes_and_all_weathers(number: int) -> None:
    scene = place(number)
    assert set(scene.references) in ({"day", "ir", "night"}, {"mono"})
    assert all(len(images) == 8 for images in scene.references.values())
    assert {hard for _, hard, _ in scene.normals} == {None, *dict(HARD)}
    for mode, _, pair in scene.normals:
        assert len(pair) == 2
        assert pair[0].dtype == np.uint8
        if mode in ("ir", "mono"):
            assert all(int(np.ptp(image.astype(np.int16), axis=2).max()) == 0 for image in pair)


def test_on_a_bare_place_plain_pictures_are_normal_and_a_cloth_is_a_cover() -> None:
    pair = next(pair for mode, hard, pair in place(BARE).normals if (mode, hard) == ("day", None))
    assert kinds(judge(BARE, "day", pair)) == set()
    height, width = pair[0].shape[:2]
    cloth = np.zeros((height, width), np.float32)
    cloth[:, : width // 2] = 1
    soft = cv2.GaussianBlur(cloth, (0, 0), 5)[..., None]
    covered = [np.asarray(image * (1 - soft) + np.array([150, 40, 120]) * soft, np.uint8) for image in pair]
    assert "occluded" in kinds(judge(BARE, "day", covered))


def test_what_the_learned_pictures_did_themselves_is_not_beyond_them() -> None:
    learned = reference(BARE, "day")
    for image in place(BARE).references["day"]:
        luma, chroma = learned.beyond(learned.change(Look(Picture.from_bgr(image)).thumb))
        assert float(luma.max()) < 0.01
        assert float(chroma.max()) < 0.01


def test_a_violet_patch_in_a_forest_is_a_cover_though_every_season_has_its_colour() -> None:
    pair = next(pair for mode, hard, pair in place(1).normals if (mode, hard) == ("day", None))
    assert "occluded" not in kinds(judge(1, "day", pair))
    for image in pair:
        image[90:, 150:330] = (170, 70, 150)
    fault = judge(1, "day", pair).reading(PictureFault.OCCLUDED)
    assert fault.outcome is Outcome.FAULT
    x, y, width, height = fault.region[0]
    assert x < 320 < x + width
    assert y < 280 < y + height


def test_the_grey_of_a_keyframe_that_never_came_is_damage() -> None:
    pair = next(pair for mode, hard, pair in place(3).normals if (mode, hard) == ("day", None))
    after = np.full_like(pair[1], 128)
    after[100:140, 200:300] = pair[1][100:140, 200:300]
    assert "corrupt" in kinds(judge(3, "day", [pair[0], after]))
