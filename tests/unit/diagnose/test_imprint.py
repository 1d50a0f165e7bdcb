"""A picture is known again to the bit; a live one, and what is plain, never."""

from __future__ import annotations

import numpy as np
from made_scene import scene

from sharpeyes.health.diagnose.imprint import imprint, is_known, joined
from sharpeyes.health.diagnose.picture import Picture

CHANCE = np.random.default_rng(4)


def noisy(image: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.clip(image + CHANCE.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def seen(image: np.ndarray) -> bytes:
    return imprint(Picture.from_bgr(image))


def test_the_same_picture_is_known_again_though_a_clock_runs_and_a_part_differs() -> None:
    image = noisy(scene())
    later = image.copy()
    later[:30] = 255
    later[-30:] = 0
    later[100:140, 200:260] = 90
    assert is_known(seen(image), [seen(noisy(scene())), seen(image)])
    assert is_known(seen(later), [seen(image)])
    later[40:200, :400] += 1
    assert not is_known(seen(later), [seen(image)])


def test_the_noise_of_a_sensor_is_never_the_same() -> None:
    earlier = [seen(noisy(scene(), 0.5)) for _ in range(20)]
    assert not any(is_known(seen(noisy(scene(), 0.5)), earlier) for _ in range(20))
    assert not is_known(earlier[0], [])


def test_what_is_plain_tells_nothing() -> None:
    night = np.full((360, 640, 3), 16, np.uint8)
    assert not is_known(seen(night), [seen(night)])
    lamp, other = night.copy(), night.copy()
    lamp[100:140, 100:140] = noisy(scene())[100:140, 100:140]
    other[200:240, 300:340] = noisy(scene())[200:240, 300:340]
    assert not is_known(seen(other), [seen(lamp)])
    assert not is_known(seen(lamp), [seen(lamp)])  # too little to tell by


def test_of_a_lamp_that_blinks_each_coding_is_kept_once_and_those_seen_last() -> None:
    codings = [noisy(scene()) for _ in range(10)]
    kept: tuple[bytes, ...] = ()
    for number in range(60):
        image = codings[number % 5].copy()
        image[100:140, 200:260] = number  # differs each time
        kept = joined(kept, [seen(image)])
    assert len(kept) == 5
    kept = joined(kept, map(seen, codings))
    assert kept == tuple(map(seen, codings[2:]))
    kept = joined(kept, [seen(codings[2])])  # seen again: others go first
    assert joined(kept, [seen(codings[0])])[-2] == seen(codings[2])


def test_what_another_version_kept_is_passed_over() -> None:
    image = noisy(scene())
    assert not is_known(seen(image), [b"", b"older", seen(image)[:-4]])
    assert is_known(seen(image), [b"older", seen(image)])
