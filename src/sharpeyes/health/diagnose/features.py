"""What several checks share, computed once and only when a check asks.

`Look` holds what is seen in one picture, `Features` what is seen in two pictures of one camera beside its
reference. Maps are at half size (180, 320) unless said otherwise; blocks are a (9, 16) grid of 40x40 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Picture

if TYPE_CHECKING:
    from sharpeyes.health.diagnose.reference import ModeReference

Map = NDArray[np.float32]

BLOCKS = (16, 9)
"""Columns and rows of the block grid, in OpenCV's order."""
THUMB = (80, 45)
HALF = (WIDTH // 2, HEIGHT // 2)
QUARTER = (WIDTH // 4, HEIGHT // 4)

_SECOND = np.array([1, -2, 1], np.float32)
_TO_SIGMA = float(np.sqrt(np.pi / 2) / 6)
_FIELD_NOISE = 2.0
"""Gradient in grey levels a pixel at which a direction counts half."""
_FAINT_NOISE = 0.5


def percentiles(values: ArrayLike, at: Sequence[float]) -> list[float]:
    """Percentiles of all values, linear between neighbours; NaN of nothing.

    As numpy's own, but at a tenth of the overhead: a pair of pictures asks for more than a hundred.
    """
    ordered = np.sort(np.asarray(values), axis=None)
    last = ordered.size - 1
    if last < 0:
        return [float("nan")] * len(at)
    out = []
    for percent in at:
        place = percent / 100 * last
        low = int(place)
        a, b = float(ordered[low]), float(ordered[min(low + 1, last)])
        out.append(a + (b - a) * (place - low))
    return out


def percentile(values: ArrayLike, at: float) -> float:
    return percentiles(values, (at,))[0]


def median(values: ArrayLike) -> float:
    return percentiles(values, (50,))[0]


def means(plane: NDArray[np.generic], columns: int, rows: int) -> Map:
    """Means over a grid that divides the plane, float32: numpy's sums take half an area filter's time.

    Of truths, of bytes in parts of no more than 257 rows, or of numbers.
    """
    width = plane.shape[1]
    # along the rows first, the longer the better; bytes are summed as whole numbers
    of_bytes = plane.dtype in (np.bool_, np.uint8)
    stretches = (plane.view(np.uint8) if of_bytes else np.asarray(plane, np.float32)).reshape(rows, -1, width)
    sums = stretches.sum(axis=1, dtype=np.uint16 if of_bytes else np.float32)
    parts = sums.reshape(rows, columns, width // columns).sum(axis=2, dtype=np.float32)
    return np.asarray(parts * np.float32(rows * columns / plane.size), np.float32)


def block_means(plane: NDArray[np.generic]) -> Map:
    """Means over the (9, 16) grid, float32."""
    return means(plane, *BLOCKS)


def halved(plane: Map, times: int = 1) -> Map:
    """Means of 2x2, so many times: OpenCV has a way for halves that is several times faster than others."""
    for _ in range(times):
        height, width = plane.shape[:2]
        plane = np.asarray(
            cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32
        )
    return plane


def share(mask: NDArray[np.bool_]) -> float:
    """Of what is true. A tenth of the time of a mean."""
    return np.count_nonzero(mask) / mask.size


def largest_part(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.bool_]]:
    """Of what is true, the largest part that hangs together by its sides: its size and its mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return 0, np.zeros_like(mask)
    best = 1 + int(np.argmax(stats[1:, 4]))
    return int(stats[best, 4]), labels == best


def product(one: Map, other: Map) -> Map:
    """Scalar product of two fields, place by place."""
    both = cv2.multiply(one, other)
    return np.asarray(cv2.add(cv2.extractChannel(both, 0), cv2.extractChannel(both, 1)), np.float32)


def length(field: Map) -> Map:
    """Of a field's vectors. OpenCV's own differs in the last bit from run to run, and a training with it."""
    x, y = cv2.split(field)
    return np.asarray(np.sqrt(x * x + y * y), np.float32)


def second_differences(plane: NDArray[np.float32]) -> Map:
    """Immerkaer's mask, the product of two second differences, as an estimate of the noise's sigma."""
    response = cv2.sepFilter2D(plane, cv2.CV_32F, _SECOND * np.float32(_TO_SIGMA), _SECOND)
    return np.asarray(np.abs(response, out=response), np.float32)


def field_of(half: Map) -> Map:
    """The orientation field (180, 320, 2): double-angle gradient direction, weighted 0-1 by strength.

    (cos 2a, sin 2a) * m^2 / (m^2 + tau^2): contrast, fog and light cancel out, and opposite edges agree
    (after orientation correlation, Fitch et al., BMVC 2002).
    """
    smooth = cv2.GaussianBlur(half, (0, 0), 0.8)
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    xx, yy = gx * gx, gy * gy
    weight = 1 / (xx + yy + _FIELD_NOISE**2)
    return np.asarray(cv2.merge([(xx - yy) * weight, 2 * gx * gy * weight]), np.float32)


def faint_field_of(quarter: Map) -> Map:
    """The orientation field (90, 160, 2) of weak, coarse structure: a bare road has that and no edges.

    Four times as sensitive as :func:`field_of` at half its size, where the grain of the sensor and the
    encoder has averaged out: what is left of a road or a forest agrees from day to day.
    """
    smooth = cv2.GaussianBlur(quarter, (7, 7), 1.0)
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    xx, yy = gx * gx, gy * gy
    weight = 1 / (xx + yy + _FAINT_NOISE**2)
    return np.asarray(cv2.merge([(xx - yy) * weight, 2 * gx * gy * weight]), np.float32)


class Look:
    """What is seen in one picture, by itself."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    @cached_property
    def luma(self) -> Map:
        """(360, 640) float32."""
        return self.picture.y.astype(np.float32)

    @cached_property
    def half(self) -> Map:
        return halved(self.luma)

    @cached_property
    def quarter(self) -> Map:
        return halved(self.half)

    @cached_property
    def field(self) -> Map:
        return field_of(self.half)

    @cached_property
    def faint(self) -> Map:
        return faint_field_of(self.quarter)

    @cached_property
    def histogram(self) -> NDArray[np.float64]:
        """Share of each grey level, 256 long."""
        counts = cv2.calcHist([self.picture.y], [0], None, [256], [0, 256]).ravel()
        return np.asarray(counts / counts.sum(), np.float64)

    @cached_property
    def luma_values(self) -> dict[str, float]:
        h = self.histogram
        levels = np.arange(256)
        total = np.cumsum(h)
        mean = float(h @ levels)
        p01, p05, p25, p50, p75, p95, p99 = (
            int(np.searchsorted(total, q)) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
        )
        spread = float(np.sqrt(max(float(h @ (levels - mean) ** 2), 0.0)))
        used = h[h > 0]
        return {
            "luma": mean,
            "luma_std": spread,
            "luma_p01": p01,
            "luma_p05": p05,
            "luma_p25": p25,
            "luma_p50": p50,
            "luma_p75": p75,
            "luma_p95": p95,
            "luma_p99": p99,
            "dark_share": float(total[30]),
            "bright_share": float(1 - total[228]),
            "clipped_share": float(1 - total[244]),
            "entropy": float(-(used * np.log2(used)).sum()),
            "top_level_share": float(np.convolve(h, np.ones(5)).max()),
        }

    @cached_property
    def thumb(self) -> Map:
        """(45, 80, 3): luma and both chroma planes, the latter centred on 0."""
        return np.asarray(cv2.merge([halved(self.quarter), *self.tints]), np.float32)

    @cached_property
    def tints(self) -> tuple[Map, Map]:
        """(45, 80) each: thumbnails of the chroma planes, centred on 0."""
        u, v = (
            cv2.resize(plane, THUMB, interpolation=cv2.INTER_AREA).astype(np.float32) - 128
            for plane in (self.picture.u, self.picture.v)
        )
        return u, v

    @cached_property
    def thumb_planes(self) -> tuple[Map, Map, Map]:
        """The same, plane by plane."""
        y, u, v = cv2.split(self.thumb)
        return np.asarray(y, np.float32), np.asarray(u, np.float32), np.asarray(v, np.float32)

    @cached_property
    def fine(self) -> Map:
        """(360, 640): absolute response of Immerkaer's mask (CVIU 64(2), 1996), in grey levels of sigma."""
        return second_differences(self.luma)

    @cached_property
    def fine_blocks(self) -> Map:
        return block_means(self.fine)

    @cached_property
    def smooth(self) -> Map:
        """Luma after a Gaussian of sigma 2."""
        return np.asarray(cv2.GaussianBlur(self.luma, (13, 13), 2.0), np.float32)

    @cached_property
    def smooth_one(self) -> Map:
        """Luma after a Gaussian of sigma 1."""
        return np.asarray(cv2.GaussianBlur(self.luma, (7, 7), 1.0), np.float32)

    @cached_property
    def middle_blocks(self) -> Map:
        """Block means of the middle band, at half size: detail that survives compression."""
        return block_means(cv2.absdiff(self.half, cv2.GaussianBlur(self.half, (9, 9), 1.5)))

    @cached_property
    def sharp_blocks(self) -> Map:
        """Block means of the band above sigma 1."""
        return block_means(cv2.absdiff(self.luma, self.smooth_one))

    @cached_property
    def bands(self) -> tuple[Map, Map, Map]:
        """An octave of detail each, at a half, a quarter and an eighth of the size, signed."""
        half, quarter, eighth = (
            np.asarray(cv2.subtract(plane, cv2.GaussianBlur(plane, (7, 7), 1.0)), np.float32)
            for plane in (self.half, self.quarter, halved(self.quarter))
        )
        return half, quarter, eighth

    @cached_property
    def high(self) -> Map:
        """Luma less its sigma-2 blur."""
        return np.asarray(cv2.subtract(self.luma, self.smooth), np.float32)

    @cached_property
    def detail(self) -> Map:
        """Size of what a sigma-2 blur takes away."""
        return np.asarray(cv2.absdiff(self.luma, self.smooth), np.float32)

    @cached_property
    def measured(self) -> dict[str, float]:
        """Every check's single-picture values."""
        from sharpeyes.health.diagnose.checks import values_of

        return values_of(self)

    @cached_property
    def profiled(self) -> dict[str, NDArray[np.float32]]:
        """Every check's larger single-picture measurements."""
        from sharpeyes.health.diagnose.checks import profiles_of

        return profiles_of(self)

    @cached_property
    def is_grey(self) -> bool:
        """No colour anywhere, as under infrared light."""
        u, v = self.tints
        return bool((np.maximum(np.abs(u), np.abs(v)) >= 4).mean() < 0.05)


class Features:
    """Two pictures of one camera, seconds apart, beside what is normal for it.

    `before` may be None (a single picture): what needs two then measures NaN. `reference` may be None: what
    needs one then measures NaN. `foreign` is a reference of another mode: only good for where edges are.
    """

    def __init__(
        self,
        before: Picture | None,
        after: Picture,
        reference: ModeReference | None,
        foreign: ModeReference | None = None,
    ) -> None:
        self.after = Look(after)
        self.before = Look(before) if before is not None else None
        self.reference = reference
        self.foreign = foreign if reference is None else None

    @property
    def looks(self) -> tuple[Look, ...]:
        return (self.after,) if self.before is None else (self.before, self.after)

    @cached_property
    def difference(self) -> Map | None:
        """(360, 640) signed difference of the two pictures."""
        return None if self.before is None else np.asarray(self.after.luma - self.before.luma, np.float32)

    @cached_property
    def field(self) -> Map:
        """The mean field of the pictures: what stands still is kept, what moves fades."""
        if self.before is None:
            return self.after.field
        return np.asarray((self.before.field + self.after.field) * np.float32(0.5), np.float32)

    @cached_property
    def strength(self) -> Map:
        """(180, 320): length of the mean field."""
        return length(self.field)

    @cached_property
    def along(self) -> Map:
        """(180, 320): product of the mean field and the usual one; only with a reference."""
        assert self.reference is not None
        return product(self.field, self.reference.field)

    @cached_property
    def faint(self) -> Map:
        """The mean faint field of the pictures."""
        if self.before is None:
            return self.after.faint
        return np.asarray((self.before.faint + self.after.faint) * np.float32(0.5), np.float32)

    @cached_property
    def agreement(self) -> NDArray[np.float32] | None:
        """(looks, 9, 16): agreement with the persistent edges, 1 = all there, NaN = no edges."""
        if self.reference is None:
            return None
        return np.stack([self.reference.agreement(look.field) for look in self.looks])

    @cached_property
    def cosine(self) -> float:
        """Where there are edges on persistent edges, do they point the same way? 1 = all do, 0 = chance.

        Fog, dark and blur take edges away but do not turn them; another view has other edges.
        """
        reference = self.reference or self.foreign
        if reference is None:
            return float("nan")
        ours, theirs = self.field[22:-22], reference.field[22:-22]
        sizes = self.strength[22:-22] * reference.persistence[22:-22]
        return float(product(ours, theirs).sum()) / (float(sizes.sum()) + 1)

    @cached_property
    def lost_blocks(self) -> Map | None:
        """(9, 16) 0-1: how much of the usual agreement is gone in *both* pictures, NaN = no edges to lose."""
        if self.reference is None or self.agreement is None:
            return None
        best = self.agreement.max(axis=0)
        usual = self.reference.usual_agreement
        return np.asarray(np.clip((usual - best) / np.maximum(usual, 0.2), 0, 1), np.float32)

    @cached_property
    def thumb_change(self) -> NDArray[np.float32] | None:
        """(looks, 45, 80, 3): thumbnails less the usual one, gain and offset fitted before."""
        if self.reference is None:
            return None
        return np.stack([self.reference.change(look.thumb) for look in self.looks])
