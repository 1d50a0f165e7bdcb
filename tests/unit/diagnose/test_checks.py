"""Every kind of fault is found at its severities, and what only looks like one is not."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from made_scene import HEIGHT, WIDTH, infrared, night, pair, picture, scene, with_traffic

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.checks import measure
from sharpeyes.health.diagnose.diagnosis import Diagnosis, diagnose
from sharpeyes.health.diagnose.features import Features
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, learn

DAY = scene()


@cache
def references() -> dict[str, ModeReference]:
    looks = {"day": lambda i: i, "ir": infrared, "night": night}
    return {
        mode: learn(
            [
                picture(look(with_traffic(DAY * g, s)), s)
                for s, g in enumerate((0.93, 0.97, 1.0, 1.0, 1.03, 1.06))
            ],
            mode,
        )
        for mode, look in looks.items()
    }


def judge(before: Picture | None, after: Picture, mode: str = "day") -> Diagnosis:
    return diagnose(after, before, references(), mode=mode)


def kinds(diagnosis: Diagnosis) -> set[str]:
    return {str(fault.kind) for fault in diagnosis.faults}


def blur(sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(DAY, (0, 0), sigma)


def cover(x: int, y: int, w: int, h: int) -> np.ndarray:
    out = DAY.copy()
    out[y : y + h, x : x + w] = (38, 44, 52)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[y : y + h, x : x + w] = 1
    soft = cv2.GaussianBlur(mask, (0, 0), 6)[:, :, None]
    return DAY * (1 - soft) + np.array([38, 44, 52], np.float32) * soft


def moved(dx: float, dy: float) -> np.ndarray:
    return cv2.warpAffine(
        DAY, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
    )


def bars(amplitude: float, period: int) -> np.ndarray:
    return DAY + amplitude * np.sin(np.arange(HEIGHT) * 2 * np.pi / period)[:, None, None].astype(np.float32)


FAULTS = [
    ("signal_lost", np.full_like(DAY, 4)),
    ("signal_lost", np.full_like(DAY, (180, 20, 20))),
    ("over_exposed", np.clip(DAY * 1.9 + 20, 0, 255)),
    ("over_exposed", np.clip(DAY * 3.0, 0, 255)),
    ("under_exposed", DAY * 0.16),
    ("under_exposed", DAY * 0.08),
    ("blurred", blur(2.5)),
    ("blurred", blur(4)),
    ("blurred", blur(7)),
    ("color_cast", DAY + np.array([36, 0, -30], np.float32)),
    ("color_cast", DAY * np.array([0.6, 0.85, 1.2], np.float32)),
    ("color_loss", np.repeat(DAY.mean(axis=2, keepdims=True), 3, axis=2)),
    ("stripes", bars(14, 9)),
    ("stripes", bars(30, 24)),
    ("occluded", cover(0, 40, 250, 250)),
    ("occluded", cover(0, 0, 460, 360)),
    ("scene_shift", moved(34, 0)),
    ("scene_shift", moved(-80, 30)),
    ("scene_shift", scene(seed=7)),
]


@pytest.mark.parametrize(("kind", "image"), FAULTS, ids=[f"{k}-{i}" for i, (k, _) in enumerate(FAULTS)])
def test_a_fault_is_found(kind: str, image: np.ndarray) -> None:
    found = judge(*pair(image))
    assert kind in kinds(found), [(str(r.kind), round(r.score, 2)) for r in found.readings]
    reading = found.reading(PictureFault(kind))
    assert reading.score >= 0.5
    assert 1 <= reading.severity <= 3
    assert reading.explanation.text("en")
    assert reading.evidence


def test_a_cloth_over_the_whole_lens_covers_all_of_it() -> None:
    folds = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, DAY.shape[:2]), (0, 0), 25)
    dark = np.array([58, 60, 66], np.float32) + (9 * folds / folds.std())[:, :, None].astype(np.float32)
    reading = judge(*pair(dark)).reading(PictureFault.OCCLUDED)
    assert (reading.outcome, reading.severity, reading.region) == (Outcome.FAULT, 3, ())
    assert reading.explanation.values["covered"] > 0.8
    part = judge(*pair(cover(0, 40, 250, 250))).reading(PictureFault.OCCLUDED)
    assert part.severity < 3
    assert part.region


@pytest.mark.parametrize("sigma", [14.0, 30.0])
def test_grain_is_noise(sigma: float) -> None:
    assert "noise" in kinds(judge(*pair(DAY, noise=sigma)))


def test_specks_are_noise() -> None:
    speckled = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        image = DAY.copy()
        image[rng.random((HEIGHT, WIDTH)) < 0.03] = 250
        speckled.append(picture(image, seed))
    assert "noise" in kinds(judge(*speckled))


def test_gravel_and_leaves_that_stay_where_they_are_are_no_noise() -> None:
    image = DAY.copy()
    image[np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.03] = 250
    own = learn([picture(image, seed) for seed in range(5, 10)], "day")
    before, after = pair(image)
    assert "noise" not in kinds(diagnose(after, before, {"day": own}, mode="day"))
    another = DAY.copy()
    another[np.random.default_rng(2).random((HEIGHT, WIDTH)) < 0.03] = 250
    assert "noise" in kinds(diagnose(picture(another, 3), before, {"day": own}, mode="day"))


def test_the_same_picture_twice_is_frozen_though_the_clock_runs() -> None:
    before = picture(DAY, 5)
    y = before.y.copy()
    y[6:20, 20:120] = 235
    after = Picture(y, before.u, before.v, 2000)
    assert "frozen" in kinds(judge(before, after))
    assert "frozen" in kinds(judge(before, before))
    living = diagnose(before, before, references(), mode="day", moves=True).reading(PictureFault.FROZEN)
    assert (living.outcome, living.explanation.key) == (Outcome.NORMAL, "diagnose.moves")


def test_green_slices_are_corrupt() -> None:
    before, after = pair(DAY)
    y, u, v = after.y.copy(), after.u.copy(), after.v.copy()
    y[192:288], u[96:144], v[96:144] = 0, 0, 0
    found = judge(before, Picture(y, u, v, 2000))
    assert "corrupt" in kinds(found)
    assert found.reading(PictureFault.CORRUPT).region


def drawn_on(image: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """What a decoder makes of a lost slice: its rows are the last one before it, again and again."""
    out = image.copy()
    out[top:bottom] = image[top - 1]
    return out


@pytest.mark.parametrize("known", [True, False], ids=["known", "never seen"])
def test_rows_drawn_again_and_again_are_corrupt(known: bool) -> None:
    before, after = pair(drawn_on(DAY, 272, HEIGHT))
    found = diagnose(after, before, references() if known else None, mode="day")
    assert "corrupt" in kinds(found)
    if known:
        assert any(y >= 240 for _, y, _, _ in found.reading(PictureFault.CORRUPT).region)


def test_rows_that_are_drawn_again_and_again_in_the_reference_are_the_places_own() -> None:
    fence = drawn_on(DAY, 120, HEIGHT)
    own = learn([picture(fence * g, s) for s, g in enumerate((0.95, 1.0, 1.05))], "day")
    strange, usual = (measure(Features(*pair(fence), known)) for known in (references()["day"], own))
    assert strange["damage_repeat_part"] == usual["damage_repeat_part"] > 0.3
    assert strange["damage_repeat_row"] > 0.5
    assert usual["damage_repeat_row"] < 0.1
    assert np.isnan(measure(Features(*pair(fence), None))["damage_repeat_row"])


def test_a_cover_is_shown_where_it_is() -> None:
    found = judge(*pair(cover(0, 40, 250, 250)))
    x, y, w, h = found.reading(PictureFault.OCCLUDED).region[0]
    assert x <= 40
    assert x + w <= 330
    assert 20 <= y <= 80
    assert h >= 160


def fog(image: np.ndarray, depth: float) -> np.ndarray:
    return image * (1 - depth) + 165 * depth


def headlights(image: np.ndarray) -> np.ndarray:
    glow = np.zeros((HEIGHT, WIDTH), np.float32)
    for x in (300, 340):
        cv2.circle(glow, (x, 250), 16, 255.0, -1)
    return np.clip(image + cv2.GaussianBlur(glow, (0, 0), 12)[:, :, None] * 1.5, 0, 255)


def glare(image: np.ndarray, radius: int) -> np.ndarray:
    lamp = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.circle(lamp, (330, 120), radius, 255.0, -1)
    return np.clip(image + cv2.GaussianBlur(lamp, (0, 0), radius / 3)[:, :, None] * 1.3, 0, 255)


NORMALS = [
    ("day", "day", DAY),
    ("brighter", "day", DAY * 1.08),
    ("darker", "day", DAY * 0.88),
    ("night", "night", night(DAY)),
    ("infrared", "ir", infrared(DAY)),
    ("light fog", "day", fog(DAY, 0.3)),
    ("fog", "day", fog(DAY, 0.55)),
    ("glare", "day", glare(DAY, 60)),
    ("wide glare", "day", glare(DAY, 100)),
    ("headlights at night", "night", headlights(night(DAY))),
    ("headlights, infrared", "ir", headlights(infrared(DAY))),
]


@pytest.mark.parametrize(("mode", "image"), [n[1:] for n in NORMALS], ids=[n[0] for n in NORMALS])
def test_what_only_looks_like_a_fault_is_normal(mode: str, image: np.ndarray) -> None:
    found = judge(*pair(image), mode=mode)
    assert not found.faults, [(str(f.kind), round(f.score, 2)) for f in found.faults]


def test_traffic_is_normal() -> None:
    before, after = (picture(with_traffic(DAY, seed), seed, time_ms=seed) for seed in (71, 72))
    assert not judge(before, after).faults


def test_a_quiet_scene_still_has_noise() -> None:
    assert "frozen" not in kinds(judge(*pair(DAY, noise=1.2)))


def test_a_bare_wall_is_normal() -> None:
    wall = np.full_like(DAY, (120, 128, 135)) + np.linspace(-12, 12, WIDTH, dtype=np.float32)[None, :, None]
    wall_reference = {
        "day": learn([picture(wall * g, s) for s, g in enumerate((0.96, 1.0, 1.0, 1.03))], "day")
    }
    before, after = pair(wall)
    assert not diagnose(after, before, wall_reference, mode="day").faults


def test_a_mode_never_seen_holds_what_needs_it() -> None:
    only_day = {"day": references()["day"]}
    before, after = pair(infrared(DAY))
    found = diagnose(after, before, only_day, mode="ir")
    assert not found.faults
    for kind in (PictureFault.OCCLUDED, PictureFault.COLOR_CAST, PictureFault.COLOR_LOSS):
        reading = found.reading(kind)
        assert reading.outcome is Outcome.NOT_ASSESSABLE
        assert reading.explanation.key == "diagnose.mode_not_learned"
        assert "ir" in reading.explanation.text("en")


@pytest.mark.parametrize("image", [cover(0, 40, 250, 250), cover(0, 0, 460, 360)])
def test_a_cover_of_the_first_night_is_seen_by_the_edges_of_the_day(image: np.ndarray) -> None:
    only_day = {"day": references()["day"]}
    before, after = pair(infrared(image))
    found = diagnose(after, before, only_day, mode="ir")
    reading = found.reading(PictureFault.OCCLUDED)
    assert reading.outcome is Outcome.FAULT
    assert reading.severity >= 1
    assert reading.region[0][0] <= 40
    assert "nan" not in reading.explanation.text("en")
    # what is in one picture alone may be passing
    alone = diagnose(after, None, only_day, mode="ir").reading(PictureFault.OCCLUDED)
    assert alone.outcome is Outcome.NOT_ASSESSABLE


def test_what_the_first_night_hides_in_the_dark_is_no_cover() -> None:
    only_day = {"day": references()["day"]}
    dark = infrared(DAY)
    dark[:, :300] *= 0.1
    before, after = pair(dark)
    reading = diagnose(after, before, only_day, mode="ir").reading(PictureFault.OCCLUDED)
    assert reading.outcome is Outcome.NOT_ASSESSABLE


def test_one_picture_cannot_be_frozen() -> None:
    reading = judge(None, picture(DAY, 3)).reading(PictureFault.FROZEN)
    assert reading.outcome is Outcome.NOT_ASSESSABLE
    assert reading.explanation.key == "diagnose.needs_two"


def test_one_reference_picture_is_enough_for_what_is_plain_and_alarms_at_nothing_else() -> None:
    one = {"day": learn([picture(DAY, 5)], "day")}
    before, after = (picture(with_traffic(DAY * 0.96, seed), seed, time_ms=seed) for seed in (81, 82))
    assert not diagnose(after, before, one, mode="day").faults
    before, after = pair(moved(-80, 30))
    assert "scene_shift" in kinds(diagnose(after, before, one, mode="day"))
