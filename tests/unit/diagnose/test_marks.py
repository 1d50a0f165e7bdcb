"""A bare road has no edges: what a lens, fog or a mount does to it is seen by its marks."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from made_scene import HEIGHT, WIDTH, pair, picture

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.checks.blurred import measure
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.features import Features, Look
from sharpeyes.health.diagnose.marks import PER_BLOCK, SCALES, Shown, choose, kept_blocks, of_pair, shown
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reference import ModeReference, learn


@cache
def road() -> np.ndarray:
    """Grey, with pebbles and, much wider, stains."""
    rng = np.random.default_rng(7)
    image = np.full((HEIGHT, WIDTH), 110, np.float32)
    for size, height, count in ((1, 14.0, 500), (9, 7.0, 60)):
        for x, y in zip(rng.uniform(0, WIDTH, count), rng.uniform(0, HEIGHT, count), strict=True):
            spot = np.zeros_like(image)
            cv2.circle(spot, (int(x), int(y)), size, float(rng.choice([-1, 1]) * height), -1)
            image += spot
    return np.repeat(cv2.GaussianBlur(image, (0, 0), 0.8)[..., None], 3, axis=2)


@cache
def reference() -> ModeReference:
    return learn([picture(road() * g, s) for s, g in enumerate(np.linspace(0.94, 1.06, 8))], "day")


def seen(image: np.ndarray) -> list[Shown]:
    before, after = pair(image)
    return of_pair((Look(before), Look(after)), reference().marks)


def together(image: np.ndarray) -> list[float]:
    return [each.together for each in seen(image)]


def rolled(x: int, y: int) -> np.ndarray:
    return np.roll(road(), (y, x), axis=(0, 1))


def test_the_road_has_marks_of_every_scale_and_shows_them() -> None:
    for marks, most in zip(reference().marks, PER_BLOCK, strict=True):
        assert 60 < len(marks) <= 144 * most
    assert all(0.85 < share < 1.15 for share in together(road()))


def test_the_marks_of_what_stood_in_one_picture_are_not_kept() -> None:
    def with_car(image: np.ndarray, at: int) -> Picture:
        cv2.rectangle(image, (at, 150), (at + 60, 200), (220, 30, 30), -1)
        return picture(image, at)

    learned = learn([with_car(road().copy(), 40 + 70 * n) for n in range(8)], "day")
    heights = np.abs(learned.marks[0][:, 2])
    assert float(heights.max()) < 2 * float(np.abs(reference().marks[0][:, 2]).max())


def test_burned_in_text_is_no_mark() -> None:
    for scale, marks in enumerate(reference().marks):
        rows = 180 >> scale
        assert marks[:, 0].min() >= int(0.15 * rows)
        assert marks[:, 0].max() < rows - int(0.15 * rows)


def test_a_lens_takes_the_fine_scale_first() -> None:
    fine, middle, coarse = together(cv2.GaussianBlur(road(), (0, 0), 5))
    assert fine < 0.1
    assert fine < middle < coarse
    assert coarse > 0.25


def test_fog_takes_all_scales_alike() -> None:
    thin = together(110 + (road() - 110) * 0.5)
    assert all(0.4 < share < 0.6 for share in thin)


def test_a_mount_that_gives_shows_the_marks_where_they_went_and_another_view_has_none() -> None:
    for fine, *_ in (together(rolled(4, 2)), together(rolled(-2, 4))):
        assert fine > 0.8
    assert min(together(rolled(4, 4))) > 0.5
    assert max(together(rolled(200, 90))) < 0.25


def test_what_is_not_the_marks_own_adds_up_to_nothing() -> None:
    rng = np.random.default_rng(3)
    squares = np.repeat(np.repeat(rng.uniform(0, 255, (30, 40)), 12, axis=0), 16, axis=1).astype(np.float32)
    assert max(together(np.repeat(squares[..., None], 3, axis=2))) < 0.25


def test_a_cover_takes_the_marks_where_it_is() -> None:
    covered = road()
    covered[:, :320] = 90
    kept = kept_blocks(reference().marks, seen(covered))
    assert np.nanmedian(kept[:, :7]) < 0.1
    assert np.nanmedian(kept[:, 9:]) > 0.7
    assert np.isnan(kept).sum() < 40


@pytest.mark.parametrize(("pictures", "noise"), [(1, 2.0), (3, 2.0), (4, 6.0), (5, 2.0), (8, 8.0)])
def test_noise_has_no_marks_and_too_few_say_nothing(pictures: int, noise: float) -> None:
    wall = [
        Look(picture(np.full((HEIGHT, WIDTH, 3), 120, np.float32), seed, noise=noise))
        for seed in range(pictures)
    ]
    for scale in range(len(SCALES)):
        marks, own = choose([look.bands[scale] for look in wall], scale)
        assert len(marks) < 30
        assert np.isnan(own).all()
        assert np.isnan(shown(wall[0].bands[scale], marks, scale).together)


def test_marks_survive_the_bytes() -> None:
    again = ModeReference.from_bytes(reference().to_bytes())
    for one, other in zip(reference().marks, again.marks, strict=True):
        assert np.array_equal(one[:, :2], other[:, :2])
        assert np.allclose(one[:, 2], other[:, 2], rtol=1e-3)
    before, after = pair(road())
    assert measure(Features(before, after, again))["mark_fine"] == pytest.approx(
        measure(Features(before, after, reference()))["mark_fine"], abs=1e-3
    )


@pytest.mark.parametrize("sigma", [4.0, 6.0])
def test_a_bare_road_out_of_focus_is_blurred(sigma: float) -> None:
    before, after = pair(cv2.GaussianBlur(road(), (0, 0), sigma), noise=1.0)
    found = diagnose(after, before, {"day": reference()}, mode="day")
    assert [fault.kind for fault in found.faults] == [PictureFault.BLURRED]


@pytest.mark.parametrize("share", [0.35, 0.6, 1.0])
def test_a_bare_road_in_fog_is_not(share: float) -> None:
    before, after = pair(130 + (road() - 110) * share)
    found = diagnose(after, before, {"day": reference()}, mode="day")
    assert found.reading(PictureFault.BLURRED).score < 0.5
