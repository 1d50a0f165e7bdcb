"""Bars, rolling bands, herringbone and torn lines: interference that runs through the whole picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, Map, means, median, percentile
from sharpeyes.health.diagnose.picture import WIDTH
from sharpeyes.health.diagnose.reading import Check, Values, above, grade

_TILE = 128
_TILES = tuple((x, y) for x, y in ((0, 52), (256, 52), (512, 52), (128, 180), (384, 180)))
_WINDOW = np.outer(np.hanning(_TILE), np.hanning(_TILE)).astype(np.float32)


def _windows(luma: Map) -> list[Map]:
    """Five tiles, (128, 128) each, that fade out towards their edges."""
    tiles = (luma[y : y + _TILE, x : x + _TILE] for x, y in _TILES)
    return [np.asarray((tile - tile.mean()) * _WINDOW, np.float32) for tile in tiles]


def _spectrum(luma: Map) -> Map:
    """Log of the mean power of five tiles, (128, 65)."""
    windows = [np.zeros((_TILE, _TILE), np.float32), *_windows(luma)]
    power = np.zeros((_TILE, _TILE), np.float32)
    # two tiles in one transform, as real and imaginary part: their powers are what both halves hold together
    for pair in zip(windows[::2], windows[1::2], strict=True):
        real, imaginary = cv2.split(cv2.dft(cv2.merge(pair)))
        power += real * real + imaginary * imaginary
    mirrored = np.roll(power[::-1, ::-1], 1, axis=(0, 1))
    whole = (power + mirrored)[:, : _TILE // 2 + 1]
    return np.asarray(np.log(whole / (2 * len(_TILES) * _TILE**2) + 0.5), np.float32)


def _everywhere(luma: Map) -> float:
    """The highest peak of the spectrum that all five tiles have. Interference is the same in sky, trees and
    road; a fence or a house front stands in one place, and shrinks with its distance."""
    peaks = []
    for window in _windows(luma):
        real, imaginary = cv2.split(cv2.dft(window, flags=cv2.DFT_COMPLEX_OUTPUT))
        # the lowest frequencies, which are the scene's, into the middle: it has no ends that way
        power = np.fft.fftshift(np.log((real * real + imaginary * imaginary) / _TILE**2 + np.float32(0.5)))
        local = power - cv2.medianBlur(power, 5)
        local[_TILE // 2 - 2 : _TILE // 2 + 3, _TILE // 2 - 2 : _TILE // 2 + 3] = 0
        peaks.append(cv2.dilate(local, np.ones((3, 3), np.uint8)))
    return float(np.min(peaks, axis=0).max())


def profiles(look: Look) -> dict[str, NDArray[np.float32]]:
    """Row and column means over four bands each, and the spectrum."""
    luma = look.luma
    return {
        "rows": _row_means(luma),
        "columns": means(luma, WIDTH, 4),
        "jumps": _row_means(np.asarray(cv2.absdiff(luma[1:], luma[:-1]), np.float32)),
        "spectrum": _spectrum(luma),
    }


def _row_means(plane: Map) -> Map:
    """(4, rows): of the four quarters of each row."""
    quarters = cv2.reduce(plane.reshape(-1, plane.shape[1] // 4), 1, cv2.REDUCE_AVG)
    return np.asarray(cv2.transpose(quarters.reshape(-1, 4)), np.float32)


def _middle(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of four rows."""
    return np.asarray((bands.sum(axis=0) - bands.min(axis=0) - bands.max(axis=0)) * np.float32(0.5))


def _detrend(profile: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.asarray(profile - cv2.blur(profile, (size, 1), borderType=cv2.BORDER_REFLECT), np.float32)


def _common(profile: NDArray[np.float32], reference: NDArray[np.float32] | None) -> dict[str, float]:
    """How much of a profile all four bands share: interference does, a scene does not."""
    out: dict[str, float] = {}
    change = profile if reference is None else profile - reference
    for name, size in (("fine", 9), ("wide", 101)):
        bands = _detrend(change, size)
        low, high = bands.min(axis=0), bands.max(axis=0)
        # of one sign in all bands: the part that is common
        smallest = np.maximum(low, 0) - np.minimum(high, 0)
        middle = _middle(bands)
        own = float(np.sqrt(np.mean((bands - bands.mean(axis=0)) ** 2)))
        out |= {
            f"{name}_agree": float(middle.std()) / (own + 0.3),
            f"{name}_shared": float(smallest.mean()),
            f"{name}_shared_top": percentile(smallest, 97),
        }
    return out


def measure(features: Features) -> dict[str, float]:
    reference = features.reference
    found: list[dict[str, float]] = []
    for look in features.looks:
        p = look.profiled
        row: dict[str, float] = {}
        for axis in ("rows", "columns"):
            usual = reference.profiles[axis] if reference is not None else None
            row |= {f"{axis}_{k}": v for k, v in _common(p[axis], usual).items()}
        jumps = _middle(p["jumps"])
        usual_jumps = np.array([[median(band)] for band in p["jumps"]], np.float32)
        least = np.min(p["jumps"] / (usual_jumps + np.float32(0.5)), axis=0)
        row["jump_top"] = float(np.sort(least)[-3])
        row["jump_std"] = float(jumps.std() / (jumps.mean() + 0.5))
        row["jump_rise"] = (
            float(np.sort(np.min(p["jumps"] - reference.profiles["jumps"], axis=0))[-3])
            if reference is not None
            else float("nan")
        )
        spectrum = p["spectrum"]
        local = spectrum - cv2.medianBlur(spectrum, 5)
        # the lowest frequencies are the scene's
        quiet = local.copy()
        quiet[:2, :2] = quiet[-2:, :2] = 0
        row["spectrum_peak"] = float(quiet.max())
        row["spectrum_peaks"] = float((quiet > 2).sum())
        if reference is not None:
            excess = spectrum - reference.profiles["spectrum"]
            level = float(median(excess))
            rise = excess - cv2.medianBlur(excess, 5)
            rise[:2, :2] = rise[-2:, :2] = 0
            row["spectrum_rise"] = float(rise.max())
            row["spectrum_rises"] = float((rise > 2).sum())
            row["spectrum_axis_x"] = float((excess[0, 3:] - level).max())
            row["spectrum_axis_y"] = float((excess[3:-3, 0] - level).max())
            row["spectrum_level"] = level
        else:
            row |= dict.fromkeys(
                ("spectrum_rise", "spectrum_rises", "spectrum_axis_x", "spectrum_axis_y", "spectrum_level"),
                float("nan"),
            )
        found.append(row)
    out: dict[str, float] = {}
    for name in found[0]:
        # a tear or a burst of lines may show in one picture only
        out[f"stripes_{name}"] = max(row[name] for row in found)
        if name in (
            "rows_fine_shared",
            "columns_fine_shared",
            "rows_wide_shared",
            "columns_wide_shared",
            "spectrum_rise",
            "spectrum_peak",
        ):
            out[f"stripes_{name}_least"] = min(row[name] for row in found)
    out["bars_everywhere"] = (
        min(_everywhere(look.luma) for look in features.looks) if reference is None else float("nan")
    )
    return out


def margin(v: Values) -> float:
    known = v["stripes_spectrum_rise_least"] == v["stripes_spectrum_rise_least"]
    upright = min(
        above(v["stripes_columns_wide_shared_least"], 2.4, 0.6),
        above(v["stripes_columns_wide_agree"], 1.75, 0.15),
    )
    if not known:
        # a house front has stripes of its own: without a reference only what no scene shows
        return max(
            min(upright, above(v["stripes_columns_wide_agree"], 3.0, 0.3)),
            min(
                above(v["stripes_rows_wide_shared_least"], 15, 3),
                above(v["stripes_rows_wide_agree"], 4.0, 0.4),
            ),
            above(v["stripes_spectrum_peak_least"], 5.0, 0.5),
        )
    lines = min(above(v["stripes_rows_fine_shared"], 0.25, 0.06), above(v["stripes_jump_rise"], 6, 1.5))
    torn = min(above(v["stripes_jump_top"], 2.7, 0.3), above(v["stripes_jump_rise"], 4.8, 0.8))
    # slow bands: a change of light or season also moves whole rows, but not all four parts so alike
    shared, agree = v["stripes_rows_wide_shared_least"], v["stripes_rows_wide_agree"]
    rolling = min(
        above(shared, 3.5, 0.8), max(above(shared, 11.5, 2), above(agree, 3.8, 0.4)), above(agree, 1.7, 0.2)
    )
    fine = min(
        above(v["stripes_spectrum_rise_least"] + v["stripes_spectrum_peak_least"], 7.0, 0.6),
        above(v["stripes_spectrum_level"], -0.35, 0.1),
    )
    return max(upright, lines, torn, rolling, fine)


def certain(v: Values) -> float:
    """Without a reference: what is the same wherever one looks is no part of the scene."""
    return above(v["bars_everywhere"], 2.6, 0.25)


def severity(v: Values) -> int:
    return grade(max(v["stripes_rows_wide_shared_top"], v["stripes_columns_wide_shared_top"]), 12, 25)


CHECK = Check(
    PictureFault.STRIPES,
    measure,
    severity,
    ("stripes_rows_wide_shared", "stripes_columns_wide_shared", "stripes_spectrum_rise", "stripes_jump_top"),
    profiles=profiles,
    margin=margin,
    inputs=(
        "stripes_",
        "grain_",
        "cover_lost",
        "cover_any",
        "over_p50",
        "over_gain",
        "over_bright",
        "shift_zero",
        "shift_cosine",
        "still_p50",
    ),
    rule_weight=0.25,
    certain=certain,
    lone=2.5,  # fences, kerbs and house fronts have stripes of their own
)
