"""Cheap looks at a keyframe: is it plainly what passed the full checks last, or are they needed again? And of
a camera that nothing is known of: is there anything to look into at all (:func:`is_unremarkable`)?

Neither ever finds a fault. The first spares the full checks where nothing has changed that they measure. It
needs no reference, only the glance at the last picture in which the full checks found nothing: a camera at
noon is held against noon and not against the median of its days. Slow change cannot add up, since that
picture stays until the full checks pass another one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.checks.corrupt import grid_share, repeated
from sharpeyes.health.diagnose.features import (
    HALF,
    QUARTER,
    Map,
    block_means,
    faint_field_of,
    halved,
    median,
    percentile,
    product,
    share,
)
from sharpeyes.health.diagnose.picture import Picture

_STRIPS = tuple(slice(top, top + 12) for top in (60, 132, 204, 276))
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_SMALL = (40, 22)
_STEPS = np.float32(15)
_STRUCTURED = 0.35
"""Mean strength of the faint field from which a block has structure to lose."""

LIMITS: dict[str, float] = {
    "shift": 12.0,
    "spread": 55.0,
    "local": 0.3,
    "far": 0.2,
    "white": 0.1,
    "colour": 1.8,
    "colour_local": 0.15,
    "saturation": 0.13,
    "lost": 0.45,
    "lost_mean": 0.5,
    "lost_median": 0.43,
    "noise": 0.36,
    "detail": 0.13,
    "soft": 0.35,
    "specks": 0.0024,
    "rows": 4.5,
    "columns": 12.0,
    "still": 0.5,
}
"""Set so that of 1,500 faults of all kinds and severities, put on normal pictures of the development set,
two are called plain beside the picture without; then tightened to what 95 % of normal pairs keep."""


@dataclass(frozen=True, eq=False)
class Glance:
    """The cheap values of one picture.

    luma (22, 40) and chroma (22, 40, 2): thumbnails. field (45, 80, 2): the faint field, thinned, in steps of
    1/15. sample (24, 160): luma as it is, at places spread over four strips. noise, detail, specks: in these
    strips.
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.int8]
    field: NDArray[np.int8]
    sample: NDArray[np.uint8]
    noise: float
    detail: float
    specks: float

    @classmethod
    def at(cls, picture: Picture) -> Glance:
        quarter = cv2.resize(picture.y, QUARTER, interpolation=cv2.INTER_AREA)
        u, v = (cv2.resize(p, _SMALL, interpolation=cv2.INTER_AREA) for p in (picture.u, picture.v))
        field = faint_field_of(np.asarray(quarter, np.float32))[::2, ::2]
        strips = np.concatenate([picture.y[rows] for rows in _STRIPS])
        fine = cv2.convertScaleAbs(cv2.filter2D(strips, cv2.CV_16S, _MASK))
        grain = cv2.resize(fine.astype(np.float32), (20, 48), interpolation=cv2.INTER_AREA)
        return cls(
            np.asarray(cv2.resize(quarter, _SMALL, interpolation=cv2.INTER_AREA), np.uint8),
            (cv2.merge([u, v]).astype(np.int16) - 128).astype(np.int8),
            np.round(field * _STEPS).astype(np.int8),
            strips[::2, ::4].copy(),
            percentile(grain, 25),
            cv2.mean(cv2.absdiff(strips[:, 1:], strips[:, :-1]))[0],
            share(cv2.absdiff(strips, cv2.medianBlur(strips, 3)) > 30),
        )

    def to_bytes(self) -> bytes:
        """Eight to thirteen kilobytes, for thousands of cameras in memory."""
        arrays = b"".join(getattr(self, name).tobytes() for name, _, _ in _LAYOUT)
        scalars = np.array([self.noise, self.detail, self.specks], np.float64).tobytes()
        return zlib.compress(arrays + scalars, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Glance:
        plain, at, arrays = zlib.decompress(data), 0, {}
        for name, kind, shape in _LAYOUT:
            arrays[name] = np.frombuffer(plain, kind, int(np.prod(shape)), at).reshape(shape)
            at += arrays[name].nbytes
        noise, detail, specks = (float(value) for value in np.frombuffer(plain, np.float64, 3, at))
        return cls(**arrays, noise=noise, detail=detail, specks=specks)


_LAYOUT: tuple[tuple[str, type[np.generic], tuple[int, ...]], ...] = (
    ("luma", np.uint8, (22, 40)),
    ("chroma", np.int8, (22, 40, 2)),
    ("field", np.int8, (45, 80, 2)),
    ("sample", np.uint8, (24, 160)),
)


def _losses(usual: Map, now: Map) -> Map:
    """1 - cosine of the fields in blocks that had structure (in all, if hardly any had)."""
    own = block_means(product(usual, usual))
    dot = block_means(product(usual, now))
    sizes = own * block_means(product(now, now))
    loss = 1 - dot / np.sqrt(sizes + 1e-4)
    structured = block_means(np.hypot(usual[..., 0], usual[..., 1])) > _STRUCTURED
    return np.asarray(loss[structured] if structured.sum() > 8 else loss.ravel(), np.float32)


def _saturation(chroma: Map) -> float:
    return float(np.hypot(chroma[..., 0], chroma[..., 1]).mean())


def _is_still(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """The same picture again, or the same encoded again: a small change, the same everywhere."""
    difference = after.astype(np.float32) - before
    if float((difference == 0).mean()) > 0.7:
        return True
    mean = float(difference.mean())
    uneven = float(cv2.resize(difference, (16, 4), interpolation=cv2.INTER_AREA).std())
    return -0.62 < mean < -0.2 and uneven < 0.8


def changes(passed: Glance, before: NDArray[np.uint8], after: Glance) -> dict[str, float]:
    """How far a picture is from one that passed, each value 0 at best. `before`: the earlier sample."""
    luma, usual = after.luma.astype(np.float32), passed.luma.astype(np.float32)
    change = luma - usual
    shift = median(change)
    local = np.abs(change - shift)
    chroma, usual_chroma = after.chroma.astype(np.float32), passed.chroma.astype(np.float32)
    colour = chroma - usual_chroma
    loss = _losses(passed.field.astype(np.float32) / _STEPS, after.field.astype(np.float32) / _STEPS)
    noise = float(np.log((after.noise + 0.3) / (passed.noise + 0.3)))
    detail = float(np.log((after.detail + 0.3) / (passed.detail + 0.3)))
    return {
        "shift": abs(shift),
        "spread": percentile(local, 90),
        "local": float((local > 14).mean()),
        "far": float((local > 30).mean()),
        "white": abs(float((luma > 200).mean() - (usual > 200).mean())),
        "colour": float(np.hypot(median(colour[..., 0]), median(colour[..., 1]))),
        "colour_local": float((np.hypot(colour[..., 0], colour[..., 1]) > 6).mean()),
        "saturation": abs(float(np.log((_saturation(chroma) + 1) / (_saturation(usual_chroma) + 1)))),
        "lost": float((loss > 0.5).mean()),
        "lost_mean": float(loss.mean()),
        "lost_median": median(loss),
        "noise": abs(noise),
        "detail": abs(detail),
        "soft": abs(detail - noise),
        "specks": after.specks - passed.specks,
        "rows": float(np.abs(np.median(change - cv2.blur(change, (1, 7)), axis=1)).max()),
        "columns": float(np.abs(np.median(change - cv2.blur(change, (7, 1)), axis=0)).max()),
        "still": float(_is_still(before, after.sample)),
    }


@dataclass(frozen=True, slots=True)
class Screening:
    """`plain`: the full checks would find nothing. `beyond`: the values that say otherwise."""

    plain: bool
    beyond: tuple[str, ...]


def screen(passed: Glance | None, before: NDArray[np.uint8], after: Glance) -> Screening:
    """Is a keyframe plainly normal?

    `passed`: at the last picture in which the full checks found nothing. `before`: the
    :attr:`Glance.sample` of the keyframe before this one, which may be the same picture's.
    """
    if passed is None:
        return Screening(False, ("nothing passed",))
    values = changes(passed, before, after)
    beyond = tuple(name for name, limit in LIMITS.items() if values[name] > limit)
    return Screening(not beyond, beyond)


# --- nothing known ---------------------------------------------------------------------------------------

_TILES = tuple((x, y) for x, y in ((64, 52), (256, 180), (448, 52)))
_TILE = 128
_HANNING = np.outer(np.hanning(_TILE), np.hanning(_TILE)).astype(np.float32)

REMARKABLE: dict[str, tuple[float, float]] = {
    "middle": (30.0, 160.0),
    "light": (70.0, 256.0),
    "bright": (-1.0, 0.3),
    "even": (0.0, 0.6),
    "spread": (6.0, 256.0),
    "noise": (0.06, 9.0),
    "speckled": (-1.0, 0.6),
    "specks": (-1.0, 0.0006),
    "tinge": (-1.0, 0.6),
    "sharpness": (0.28, 9.0),
    "bands": (-1.0, 2.8),
    "bars": (-1.0, 1.4),
    "peak": (-1.0, 3.4),
    "grid": (-1.0, 0.016),
    "green": (-1.0, 0.004),
    "repeated": (-1.0, 0.6),
}
"""Values within which the checks find hardly a fault in a single picture without a reference: in two of 1,155
pictures of the development set that lie within (tests/bench/bench_diagnose.py --set)."""


def features_of(picture: Picture) -> dict[str, float]:
    """What can be said of a picture in a millisecond, a value for each fault that needs no reference."""
    y, quarter = picture.y, _quarter(picture.y)
    counts = cv2.calcHist([y[::2]], [0], None, [256], [0, 256]).ravel()
    levels = counts / counts.sum()
    total = np.cumsum(levels)
    strips = np.concatenate([y[rows] for rows in _STRIPS])
    grain = _grain(strips)
    return {
        "middle": float(np.searchsorted(total, 0.5)),
        "light": float(np.searchsorted(total, 0.95)),
        "bright": float(1 - total[228]),
        "even": float(np.convolve(levels, np.ones(5)).max()),
        "spread": float(cv2.meanStdDev(quarter)[1][0, 0]),
        "noise": grain,
        "speckled": min(_grain(p[30:150]) for p in (picture.u, picture.v)) if grain > _GRAINY else 0.0,
        "specks": _specks(y, strips),
        "tinge": _tinge(picture.u) + _tinge(picture.v),
        "sharpness": _sharpness(strips, grain),
        "bands": _alike(
            [cv2.reduce(y[:, at : at + 160], 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F) for at in _FOURTHS_X]
        ),
        "bars": _alike(
            [cv2.reduce(y[at : at + 90], 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F) for at in _FOURTHS_Y]
        ),
        "peak": _peak(y),
        "grid": grid_share(picture),
        "green": share((picture.u[::4, ::4] < 98) & (picture.v[::4, ::4] < 90)),
        "repeated": repeated(halved(np.asarray(quarter, np.float32))),
    }


def _quarter(y: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(90, 160) uint8: halved twice, for which OpenCV has a way six times faster."""
    half = cv2.resize(y, HALF, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, QUARTER, interpolation=cv2.INTER_AREA), np.uint8)


_SOME = 0.0005
_STEP_OF_GRAIN = 0.236
"""White noise of sigma s has a mean step of 1.13 s, and a mean response of 4.79 s to the mask."""
_GRAINY = 2.6
"""Grain of luma from which noise in the colours counts."""
_FOURTHS_X, _FOURTHS_Y = range(0, 640, 160), range(0, 360, 90)


def _grain(plane: NDArray[np.uint8]) -> float:
    """Second differences in the calmer quarter of the plane's blocks."""
    fine = cv2.convertScaleAbs(cv2.filter2D(plane, cv2.CV_16S, _MASK))
    return percentile(cv2.resize(fine.astype(np.float32), (20, 48), interpolation=cv2.INTER_AREA), 25)


def _specks(y: NDArray[np.uint8], strips: NDArray[np.uint8]) -> float:
    """Share of pixels that stand out of their neighbourhood, in the quarter of the blocks with the fewest:
    a scene's own texture has them in some places, noise everywhere. Of the picture if the strips have any.
    """
    some = percentile(cv2.resize(_outstanding(strips), (8, 4), interpolation=cv2.INTER_AREA), 25)
    return percentile(block_means(_outstanding(y)), 25) if some > _SOME else some


def _outstanding(plane: NDArray[np.uint8]) -> Map:
    return np.asarray(cv2.absdiff(plane, cv2.medianBlur(plane, 3)) > 30, np.float32)


def _tinge(plane: NDArray[np.uint8]) -> float:
    rows = plane[30:150:3]
    steps = cv2.absdiff(rows[:, 1:313], rows[:, :312]).astype(np.float32)  # of a width that eight divides
    return percentile(cv2.resize(steps, (8, 4), interpolation=cv2.INTER_AREA), 10)


def _sharpness(strips: NDArray[np.uint8], grain: float) -> float:
    """Steps to the next pixel over steps to the fourth, where there is most to see: a quarter if blurred.
    What noise adds to both is taken away first: a blurred picture of a noisy sensor has fine steps, too.
    """
    near, far = (
        cv2.resize(
            cv2.absdiff(strips[:, way : way + 636], strips[:, :636]).astype(np.float32),
            (12, 4),
            interpolation=cv2.INTER_AREA,
        ).ravel()
        for way in (1, 4)
    )
    busy = np.argsort(far)[-16:]
    noise = (_STEP_OF_GRAIN * grain) ** 2
    near, far = (np.sqrt(np.maximum(each[busy] ** 2 - noise, 0)) for each in (near, far))
    return median(near / (far + 0.2))


def _alike(bands: Sequence[NDArray[np.integer | np.floating]]) -> float:
    """How much the profiles of four bands have in common: of interference all, of a scene little."""
    profiles = np.stack([np.asarray(band, np.float32).ravel() for band in bands])
    profiles -= cv2.blur(profiles, (101, 1), borderType=cv2.BORDER_REFLECT)
    own = float(np.sqrt(np.mean((profiles - profiles.mean(axis=0)) ** 2)))
    return float(np.median(profiles, axis=0).std()) / (own + 0.3)


def _peak(y: NDArray[np.uint8]) -> float:
    squares = np.zeros((_TILE, _TILE), np.float32)
    for left, top in _TILES:
        tile = y[top : top + _TILE, left : left + _TILE]
        packed = cv2.dft((tile - np.float32(tile.mean())) * _HANNING)
        squares += packed * packed
    spectrum = np.log(_power(squares) / (len(_TILES) * _TILE**2) + 0.5).astype(np.float32)
    above = spectrum - cv2.medianBlur(spectrum, 5)
    above[:2, :2] = above[-2:, :2] = 0
    return float(above.max())


def _power(squares: NDArray[np.float32]) -> Map:
    """(n, n/2 + 1) power spectrum of a real (n, n) picture, from its packed transform squared.

    OpenCV packs a real transform as real and imaginary parts by turns, the first and the last row or column
    being real (CCS); that is six times as fast as the complex one.
    """
    n = len(squares)
    power = np.empty((n, n // 2 + 1), np.float32)
    power[:, 1:-1] = squares[:, 1:-1:2] + squares[:, 2::2]
    for at in (0, -1):
        line = squares[:, at]
        power[0, at], power[n // 2, at] = line[0], line[-1]
        power[1 : n // 2, at] = line[1:-1:2] + line[2::2]
        power[n // 2 + 1 :, at] = power[n // 2 - 1 : 0 : -1, at]
    return power


def is_unremarkable(picture: Picture) -> bool:
    """The full checks would find nothing in this picture by itself, without a reference."""
    values = features_of(picture)
    return not picture.errors and all(low < values[n] < high for n, (low, high) in REMARKABLE.items())
