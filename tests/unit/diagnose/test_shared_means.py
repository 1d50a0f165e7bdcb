"""Sums in place of OpenCV's filters say the same as these."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sharpeyes.health.diagnose.checks import corrupt, stripes
from sharpeyes.health.diagnose.features import block_means, halved, means, share
from sharpeyes.health.diagnose.picture import Picture

RNG = np.random.default_rng(7)
LUMA = cv2.GaussianBlur(RNG.integers(0, 256, (360, 640), dtype=np.uint8), (5, 5), 1.0)


@pytest.mark.parametrize("plane", [LUMA, LUMA > 120, LUMA.astype(np.float32), LUMA[::2, ::2]])
def test_means_over_a_grid_are_those_of_an_area_filter(plane: NDArray[np.generic]) -> None:
    of_area = cv2.resize(np.asarray(plane, np.float32), (16, 9), interpolation=cv2.INTER_AREA)
    assert np.allclose(block_means(plane), of_area, rtol=1e-5)
    white = np.full((360, 640), 255, np.uint8)
    assert np.all(means(white, 640, 4) == 255), "the sums of bytes run over"


def test_halves_of_halves_are_means() -> None:
    luma = LUMA.astype(np.float32)
    assert np.allclose(halved(luma, 3), means(luma, 80, 45), rtol=1e-5)


def test_a_share_is_the_mean_of_a_mask() -> None:
    assert share(LUMA > 120) == pytest.approx(float((LUMA > 120).mean()))


def test_the_spectrum_is_the_mean_power_of_the_tiles() -> None:
    luma = LUMA.astype(np.float32)
    window = np.outer(np.hanning(128), np.hanning(128))
    tiles = [
        luma[y : y + 128, x : x + 128] for x, y in ((0, 52), (256, 52), (512, 52), (128, 180), (384, 180))
    ]
    power = np.mean([np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2 for tile in tiles], axis=0)
    assert np.allclose(stripes._spectrum(luma), np.log(power / 128**2 + 0.5), atol=1e-3)


def test_steps_are_counted_where_they_are() -> None:
    """Columns of macroblocks, every other one brighter; then the same half a macroblock further."""
    at = np.arange(640)
    half = np.full((180, 320), 128, np.uint8)
    for offset, there in ((0, True), (8, False), (3, False)):
        rows = np.where(((at + offset) // 16) % 2, 90, 110).astype(np.uint8)
        picture = Picture(np.tile(rows, (360, 1)), half, half)
        assert (corrupt.grid_share(picture) > 0.9) == there
        found = corrupt._grid(picture.y, (640, 360))
        assert (found["x"] > 0.9) == there
        assert (found["half"] > 0.9) == (offset == 8)
