"""The camera looks elsewhere: its edges are found at another place, turned, zoomed, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import QUARTER, Features, Map, median
from sharpeyes.health.diagnose.reading import Check, Values, above, below, grade

if TYPE_CHECKING:
    from sharpeyes.health.diagnose.reference import ModeReference

_NAMES = (
    "zero",
    "peak",
    "gain",
    "distance",
    "sharpness",
    "usual_ratio",
    "tiles_moved",
    "tiles_kept",
    "tiles_shift",
    "bank",
    "bank_gain",
    "tiles_known",
    "new",
    "self",
    "least_zero",
    "cosine",
    "cosine_drop",
    "cosine_tiles",
    "tile_gain",
    "foreign",
)
_W, _H = QUARTER
# burned-in text stays where it is when the view moves: rows at the top and bottom count less
_ROWS = np.clip(np.minimum(np.arange(_H) + 1, _H - np.arange(_H)) / 12.0, 0.05, 1.0) ** 2
_WINDOW = (
    _ROWS[:, None] * np.clip(np.minimum(np.arange(_W) + 1, _W - np.arange(_W)) / 8.0, 0.05, 1.0)[None, :]
).astype(np.float32)


class Match(NamedTuple):
    zero: float
    peak: float
    dx: int
    dy: int


def _prepare(field: Map) -> NDArray[np.complex64]:
    complex_field = (field[..., 0] + 1j * field[..., 1]) * _WINDOW
    return np.asarray(complex_field, np.complex64)


def _transform(field: NDArray[np.complex64]) -> tuple[NDArray[np.complex64], float]:
    """Spectrum and length of a prepared field."""
    return np.asarray(np.fft.fft2(field), np.complex64), float(np.sqrt((np.abs(field) ** 2).sum()))


def _correlate(
    field: tuple[NDArray[np.complex64], float], usual: tuple[NDArray[np.complex64], float]
) -> tuple[NDArray[np.complex64], Match]:
    """Orientation correlation: value at rest, best value and where, of a peak within 40 % of the picture."""
    product = field[0] * np.conj(usual[0])
    plain = np.fft.ifft2(product).real / (field[1] * usual[1] + 1e-3)
    near = np.s_[-2:, -2:], np.s_[-2:, :3], np.s_[:3, -2:], np.s_[:3, :3]
    zero = max(float(plain[part].max()) for part in near)
    lim_y, lim_x = int(_H * 0.4), int(_W * 0.4)
    plain[lim_y:-lim_y] = -1
    plain[:, lim_x:-lim_x] = -1
    y, x = divmod(int(np.argmax(plain)), _W)
    peak = float(plain[y, x])
    return product, Match(zero, peak, x - _W if x > _W // 2 else x, y - _H if y > _H // 2 else y)


def _sharpness(product: NDArray[np.complex64], at: Match) -> float:
    """Height of the peak in deviations, half whitened: large even textures do not smear it."""
    whitened = np.fft.ifft2(product / np.sqrt(np.abs(product) + 1e-3)).real
    return float(whitened[at.dy, at.dx] / (whitened.std() + 1e-6))


_spectra: WeakKeyDictionary[ModeReference, tuple[NDArray[np.complex64], float]] = WeakKeyDictionary()


def _usual_spectrum(reference: ModeReference) -> tuple[NDArray[np.complex64], float]:
    found = _spectra.get(reference)
    if found is None:
        found = _spectra[reference] = _transform(_prepare(reference.quarter_field))
    return found


def _variants(usual: Map) -> list[NDArray[np.complex64]]:
    """The usual field turned, zoomed and mirrored."""
    out = []
    centre = (_W / 2, _H / 2)
    for angle, zoom in ((4, 1.0), (-4, 1.0), (8, 1.0), (-8, 1.0), (0, 1.1), (0, 0.91), (0, 1.22), (0, 0.82)):
        warp = cv2.getRotationMatrix2D(centre, angle, zoom)
        moved = np.asarray(cv2.warpAffine(usual, warp, QUARTER, flags=cv2.INTER_LINEAR), np.float32)
        turn = np.exp(-2j * np.deg2rad(angle))  # the picture's y points down
        out.append(_prepare(moved) * np.complex64(turn))
    for code in (0, 1, -1):
        moved = np.asarray(cv2.flip(usual, code), np.float32)
        if code != -1:
            moved = moved * np.array([1, -1], np.float32)
        out.append(_prepare(moved))
    return out


def _tiles(field: Map, usual: Map) -> tuple[float, float, float, float]:
    """Per tile of 32x30: shares known, still in place and found elsewhere; the median way gone."""
    known = kept = moved = 0
    ways = []
    reach = 12
    padded = cv2.copyMakeBorder(field, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
    for top in range(15, _H - 30, 20):
        for left in range(0, _W - 31, 32):
            tile = usual[top : top + 30, left : left + 32]
            energy = float((tile**2).sum())
            if energy < 30:
                continue
            known += 1
            around = padded[top : top + 30 + 2 * reach, left : left + 32 + 2 * reach]
            surface = np.asarray(cv2.matchTemplate(around, tile, cv2.TM_CCORR) / energy, np.float32)
            rest = float(surface[reach - 1 : reach + 2, reach - 1 : reach + 2].max())
            _, best, _, (x, y) = cv2.minMaxLoc(surface)
            way = float(np.hypot(x - reach, y - reach))
            if way >= 2.5 and best > 0.3 and best > rest + 0.12:
                moved += 1
                ways.append(way)
            elif rest > 0.35:
                kept += 1
    if not known:
        return 0.0, float("nan"), float("nan"), 0.0
    return known / 18, kept / known, moved / known, float(median(ways)) if ways else 0.0


def measure(features: Features) -> dict[str, float]:
    # the place of edges outlasts the mode: what moved is seen with the reference of another mode too
    reference = features.reference or features.foreign
    if reference is None:
        return {f"shift_{name}": float("nan") for name in _NAMES}
    usual_map = reference.quarter_field
    field_map = np.asarray(cv2.resize(features.field, QUARTER, interpolation=cv2.INTER_AREA), np.float32)
    usual, field = _prepare(usual_map), _prepare(field_map)
    spectrum = _transform(field)
    product, found = _correlate(spectrum, _usual_spectrum(reference))
    distance = float(np.hypot(found.dx, found.dy))
    expected = (
        float(np.mean(reference.usual_agreement[reference.persistence_blocks > 0.05]))
        if (reference.persistence_blocks > 0.05).any()
        else float("nan")
    )
    # all in place: the tiles would say the same
    known, kept, moved, way = _tiles(field_map, usual_map) if found.zero < 0.78 else (0.83, 1.0, 0.0, 0.0)
    bank = 0.0
    # turned or zoomed views are asked for only when little is found in place: the bank costs 4 ms
    if found.zero < 0.6 and (distance < 2.5 or found.peak < 0.35):
        bank = max(_correlate(spectrum, _transform(variant))[1].peak for variant in _variants(usual_map))
    # where the picture has edges at persistent edges, do they point the same way? Fog, dark and blur take
    # edges away but do not turn them; another view has other edges
    dot = field_map[..., 0] * usual_map[..., 0] + field_map[..., 1] * usual_map[..., 1]
    sizes = np.hypot(field_map[..., 0], field_map[..., 1]) * np.hypot(usual_map[..., 0], usual_map[..., 1])
    cosine = float((dot * _WINDOW).sum() / ((sizes * _WINDOW).sum() + 1))
    dots, weights = (
        np.asarray(cv2.resize(m.astype(np.float32), (8, 5), interpolation=cv2.INTER_AREA))
        for m in (dot, sizes)
    )
    heavy = weights > 0.01
    by_tile = (dots / (weights + 1e-4))[heavy]
    normal_cosine, _ = reference.values.get("field_cosine", (float("nan"), 0.0))
    strength = float(np.sqrt((np.abs(field) ** 2).sum()))
    usual_strength = float(np.sqrt((np.abs(usual) ** 2).sum()))
    return {
        "shift_zero": found.zero,
        "shift_peak": found.peak,
        "shift_gain": found.peak - found.zero,
        "shift_distance": distance,
        "shift_sharpness": _sharpness(product, found),
        "shift_usual_ratio": strength / (usual_strength + 1),
        "shift_self": expected,
        "shift_tiles_known": known,
        "shift_tiles_kept": kept,
        "shift_tiles_moved": moved,
        "shift_tiles_shift": way,
        "shift_bank": bank,
        "shift_bank_gain": bank - found.zero if bank else -found.zero,
        "shift_new": float(
            np.clip(np.abs(field) - np.abs(usual), 0, None).mean() / (np.abs(usual).mean() + 0.02)
        ),
        "shift_foreign": float(features.reference is None),
        "shift_cosine": cosine,
        "shift_cosine_drop": normal_cosine - cosine,
        "shift_cosine_tiles": float((by_tile < 0.35).mean()) if heavy.sum() >= 4 else float("nan"),
        "shift_tile_gain": moved - kept,
        "shift_least_zero": found.zero / max(expected, 0.2) if expected == expected else float("nan"),
    }


def margin(v: Values) -> float:
    moved = min(
        above(v["shift_gain"], 0.14, 0.05),
        above(v["shift_sharpness"], 19, 5),
        above(v["shift_distance"], 2.1, 0.5),
    )
    # turned or zoomed: most tiles are found elsewhere, or all of it is found turned
    turned = min(
        above(v["shift_tiles_moved"], 0.52, 0.08),
        below(v["shift_tiles_kept"], 0.25, 0.06),
        above(v["shift_tiles_known"], 0.4, 0.1),
    )
    warped = min(
        above(v["shift_bank"], 0.46, 0.06),
        above(v["shift_bank_gain"], 0.2, 0.06),
        above(v["shift_tiles_known"], 0.4, 0.1),
    )
    elsewhere = min(
        below(v["shift_cosine"], 0.3, 0.05),
        above(v["shift_cosine_drop"], 0.36, 0.06),
        below(v["shift_tiles_kept"], 0.17 if v["shift_cosine_drop"] < 0.5 else 0.28, 0.05),
        above(v["shift_new"], 0.17, 0.04),
        above(v["shift_usual_ratio"], 0.72, 0.08),
        above(v["shift_tiles_known"], 0.4, 0.1),
    )
    if v["shift_foreign"] == 1:
        elsewhere = -3.0
    return max(moved, turned, warped, elsewhere)


def severity(v: Values) -> int:
    if v["shift_gain"] > 0.1 and v["shift_distance"] > 2:
        return grade(v["shift_distance"], 12, 40)
    return 3


CHECK = Check(
    PictureFault.SCENE_SHIFT,
    measure,
    severity,
    ("shift_zero", "shift_peak", "shift_distance", "shift_tiles_moved"),
    "The camera looks elsewhere: only {shift_zero:.0%} of its usual edges are in place; they are found"
    " {shift_distance:.0f} quarter-pixels away ({shift_peak:.0%}).",
    needs_reference=True,
    uses_foreign=True,
    margin=margin,
)
