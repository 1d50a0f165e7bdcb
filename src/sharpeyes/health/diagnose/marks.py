"""Marks: the places that stand out of a camera's normal picture, and how much of them a picture shows.

A pebble on a bare road is too small for an edge and too weak for a block's mean, yet it is there in every
picture. Where a few hundred such places are looked at together, sign and height, the grain of sensor and
encoder averages out: what a lens takes of each scale is seen, whatever the contrast of the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.features import BLOCKS, Look, Map

SCALES = ("fine", "middle", "coarse")
PER_BLOCK = (4, 3, 1)
"""Marks in a block at most, at a half, a quarter and an eighth of the size."""
_REACH = (2, 1, 1)
"""Pixels that the mount may have given."""
_LEAST = 0.4
"""Grey levels by which a mark stands out."""
_CLEAR = 4.0
"""What a mark stands out by of the pictures' noise over the root of their number: the median of pure noise
hardly ever does."""
_PICTURES = 3
"""Of fewer pictures nobody knows what stays."""
_STEADY = 0.5
"""Of its height, what is seen of a mark in most of the other pictures."""
_MOST = 1.5
"""Of its height, what a mark counts for either way: what is not the mark's own adds up to nothing."""
_FEW = 30
_MARGIN = 0.15
"""Of the height, at the top and the bottom: burned-in text stays there when all else is gone."""


class Shown(NamedTuple):
    """What a picture shows of one scale's marks: 1 = all of its height, 0 = nothing; and of them together."""

    each: Map
    together: float


def choose(bands: Sequence[NDArray[np.float32]], scale: int) -> tuple[Map, list[float]]:
    """Marks (n, 3) of the same band in several pictures: row, column and height; what each picture shows
    of them as the others have them."""
    usual = np.median(bands, axis=0).astype(np.float32)
    size = np.abs(usual)
    least = _least(np.asarray(bands), usual)
    peak = (size >= cv2.dilate(size, np.ones((3, 3), np.uint8))) & (size > least)
    rows, columns = usual.shape
    top = int(rows * _MARGIN)
    peak[:top] = peak[-top:] = peak[:, :3] = peak[:, -3:] = False
    y, x = np.nonzero(peak)
    y, x = (each[np.argsort(-size[peak], kind="stable")] for each in (y, x))
    heights = np.stack([band[y, x] for band in bands])
    others = _others(heights)
    steady = np.median(_shares(heights, others), axis=0) > _STEADY
    block = y * BLOCKS[1] // rows * BLOCKS[0] + x * BLOCKS[0] // columns
    kept: list[int] = []
    counts = np.zeros(BLOCKS[0] * BLOCKS[1], int)
    for at in np.flatnonzero(steady).tolist():
        counts[block[at]] += 1
        if counts[block[at]] <= PER_BLOCK[scale]:
            kept.append(at)
    marks = np.stack([y, x, usual[y, x]], axis=1).astype(np.float32)[kept]
    own = [
        shown(band, np.column_stack([marks[:, :2], others[i, kept]]), scale).together
        for i, band in enumerate(bands)
    ]
    return marks, own


def _least(bands: Map, usual: Map) -> float:
    """What a mark must stand out by; bands (pictures, rows, columns)."""
    if len(bands) < _PICTURES:
        return float("inf")
    count = len(bands)
    # the deviations from the median of few are small: the last factor fits noise of three pictures to ten
    noise = 1.4826 * float(np.median(np.abs(bands - usual))) * count / (count - 1.55)
    return max(_LEAST, _CLEAR * noise / float(np.sqrt(count)))


def _others(heights: Map) -> Map:
    """(pictures, places): the median over the other pictures, of the only picture itself."""
    if len(heights) == 1:
        return heights
    return np.stack([np.median(np.delete(heights, i, axis=0), axis=0) for i in range(len(heights))])


def _shares(now: Map, usual: Map) -> Map:
    return np.clip(now * np.sign(usual) / np.maximum(np.abs(usual), _LEAST / 2), -_MOST, _MOST)


def shown(band: Map, marks: Map, scale: int) -> Shown:
    """Of the marks in a picture's band, where it fits best: a mount may give a little."""
    if len(marks) < _FEW:
        return Shown(np.zeros(0, np.float32), float("nan"))
    y, x, height = marks[:, 0].astype(np.intp), marks[:, 1].astype(np.intp), marks[:, 2:]
    reach = _REACH[scale]
    steps = np.arange(-reach, reach + 1)
    width = band.shape[1]
    places = (y * width + x)[:, None] + (steps[:, None] * width + steps).ravel()
    shares = _shares(band.ravel()[places], height)
    weight = np.minimum(np.abs(height[:, 0]), 12)
    sums = weight @ shares
    best = int(np.argmax(sums))
    return Shown(shares[:, best], float(sums[best] / weight.sum()))


def of_pair(looks: Sequence[Look], marks: Sequence[Map]) -> list[Shown]:
    """Per scale what the pictures show: of each mark the mean, of them together the better."""
    out = []
    for scale, mine in enumerate(marks):
        seen = [shown(look.bands[scale], mine, scale) for look in looks]
        out.append(Shown(np.mean([s.each for s in seen], axis=0), max(s.together for s in seen)))
    return out


def kept_blocks(marks: Sequence[Map], seen: Sequence[Shown]) -> Map:
    """(9, 16): what is shown of the marks in and around each block, the coarsest apart; NaN where there are
    too few to say."""
    total, count = np.zeros(BLOCKS[::-1], np.float32), np.zeros(BLOCKS[::-1], np.float32)
    for scale, (mine, shares) in enumerate(zip(marks[:2], seen[:2], strict=True)):
        if not shares.each.size:
            continue
        rows, columns = 180 >> scale, 320 >> scale
        at = (
            (mine[:, 0] * BLOCKS[1] // rows).astype(np.intp),
            (mine[:, 1] * BLOCKS[0] // columns).astype(np.intp),
        )
        np.add.at(total, at, shares.each)
        np.add.at(count, at, 1)
    total, count = (
        cv2.boxFilter(each, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for each in (total, count)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= 5, total / count, np.nan).astype(np.float32)
