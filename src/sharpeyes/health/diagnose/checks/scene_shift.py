"""The camera looks elsewhere: its edges are found at another place, turned, zoomed, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import (
    QUARTER,
    Features,
    Map,
    halved,
    length,
    median,
    product,
    share,
)
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
    "faint_zero",
    "faint_peak",
    "faint_gain",
    "faint_distance",
    "faint_sharpness",
    "faint_usual",
    "faint_ratio",
    "faint_tiles_kept",
    "faint_tiles_moved",
    "faint_tiles_gain",
    "faint_tiles_agree",
    "faint_bank",
)
_W, _H = QUARTER
# burned-in text stays where it is when the view moves: rows at the top and bottom count less
_ROWS = np.clip(np.minimum(np.arange(_H) + 1, _H - np.arange(_H)) / 12.0, 0.05, 1.0) ** 2
_WINDOW = (
    _ROWS[:, None] * np.clip(np.minimum(np.arange(_W) + 1, _W - np.arange(_W)) / 8.0, 0.05, 1.0)[None, :]
).astype(np.float32)
_WINDOWS = np.asarray(cv2.merge([_WINDOW, _WINDOW]), np.float32)


class Match(NamedTuple):
    zero: float
    peak: float
    dx: int
    dy: int


def _prepare(field: Map) -> Map:
    """(90, 160, 2): the two channels are a complex number's parts to OpenCV."""
    return np.asarray(cv2.multiply(field, _WINDOWS), np.float32)


def _norm(field: Map) -> float:
    return float(np.sqrt((field * field).sum()))


def _back(spectrum: Map) -> Map:
    """Real part of the inverse transform."""
    flags = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_COMPLEX_OUTPUT
    return np.asarray(cv2.extractChannel(cv2.dft(spectrum, flags=flags), 0), np.float32)


def _transform(field: Map) -> tuple[Map, float]:
    """Spectrum and length of a prepared field."""
    spectrum = cv2.dft(field, flags=cv2.DFT_COMPLEX_OUTPUT)
    return np.asarray(spectrum, np.float32), _norm(field)


def _correlate(field: tuple[Map, float], usual: tuple[Map, float]) -> tuple[Map, Match]:
    """Orientation correlation: value at rest, best value and where, of a peak within 40 % of the picture."""
    product = np.asarray(cv2.mulSpectrums(field[0], usual[0], 0, conjB=True), np.float32)
    plain = _back(product)
    plain *= np.float32(1 / (field[1] * usual[1] + 1e-3))
    near = np.s_[-2:, -2:], np.s_[-2:, :3], np.s_[:3, -2:], np.s_[:3, :3]
    zero = max(float(plain[part].max()) for part in near)
    lim_y, lim_x = int(_H * 0.4), int(_W * 0.4)
    plain[lim_y:-lim_y] = -1
    plain[:, lim_x:-lim_x] = -1
    y, x = divmod(int(np.argmax(plain)), _W)
    peak = float(plain[y, x])
    return product, Match(zero, peak, x - _W if x > _W // 2 else x, y - _H if y > _H // 2 else y)


def _sharpness(product: Map, at: Match) -> float:
    """Height of the peak in deviations, half whitened: large even textures do not smear it."""
    weight = 1 / np.sqrt(length(product) + np.float32(1e-3))
    whitened = _back(np.asarray(cv2.multiply(product, cv2.merge([weight, weight])), np.float32))
    return float(whitened[at.dy, at.dx] / (float(whitened.std()) + 1e-6))


_Spectrum = tuple[Map, float]
_spectra: WeakKeyDictionary[ModeReference, tuple[_Spectrum, _Spectrum]] = WeakKeyDictionary()


def _usual_spectra(reference: ModeReference) -> tuple[_Spectrum, _Spectrum]:
    """Of the edges and of the faint structure."""
    found = _spectra.get(reference)
    if found is None:
        found = _spectra[reference] = (
            _transform(_prepare(reference.quarter_field)),
            _transform(_prepare(reference.faint)),
        )
    return found


def _variants(usual: Map) -> list[Map]:
    """The usual field turned, zoomed and mirrored."""
    out = []
    centre = (_W / 2, _H / 2)
    for angle, zoom in ((4, 1.0), (-4, 1.0), (8, 1.0), (-8, 1.0), (0, 1.1), (0, 0.91), (0, 1.22), (0, 0.82)):
        warp = cv2.getRotationMatrix2D(centre, angle, zoom)
        moved = np.asarray(cv2.warpAffine(usual, warp, QUARTER, flags=cv2.INTER_LINEAR), np.float32)
        turned = np.deg2rad(-2 * angle)  # the picture's y points down
        way = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]], np.float32)
        out.append(_prepare(np.asarray(cv2.transform(moved, way), np.float32)))
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
        return {f"shift_{name}": float("nan") for name in _NAMES} | {"moved_by": float("nan")}
    usual_map = reference.quarter_field
    field_map = halved(features.field)
    usual, field = _prepare(usual_map), _prepare(field_map)
    spectrum = _transform(field)
    usual_spectrum, usual_faint = _usual_spectra(reference)
    together, found = _correlate(spectrum, usual_spectrum)
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
    dot = product(field_map, usual_map)
    strength, usual_strength = (length(each) for each in (field_map, usual_map))
    sizes = strength * usual_strength
    cosine = float((dot * _WINDOW).sum() / ((sizes * _WINDOW).sum() + 1))
    dots, weights = (np.asarray(cv2.resize(m, (8, 5), interpolation=cv2.INTER_AREA)) for m in (dot, sizes))
    heavy = weights > 0.01
    by_tile = (dots / (weights + 1e-4))[heavy]
    normal_cosine, _ = reference.values.get("field_cosine", (float("nan"), 0.0))
    faint = _faint(features, reference, usual_faint)
    usual_length = _norm(usual)
    seen, expected_seen = strength * _WINDOW, usual_strength * _WINDOW
    return {
        "shift_zero": found.zero,
        "shift_peak": found.peak,
        "shift_gain": found.peak - found.zero,
        "shift_distance": distance,
        "moved_by": distance / QUARTER[0],
        "shift_sharpness": _sharpness(together, found),
        "shift_usual_ratio": spectrum[1] / (usual_length + 1),
        "shift_self": expected,
        "shift_tiles_known": known,
        "shift_tiles_kept": kept,
        "shift_tiles_moved": moved,
        "shift_tiles_shift": way,
        "shift_bank": bank,
        "shift_bank_gain": bank - found.zero if bank else -found.zero,
        "shift_new": float(np.maximum(seen - expected_seen, 0).mean() / (expected_seen.mean() + 0.02)),
        "shift_foreign": float(features.reference is None),
        **faint,
        "shift_cosine": cosine,
        "shift_cosine_drop": normal_cosine - cosine,
        "shift_cosine_tiles": share(by_tile < 0.35) if heavy.sum() >= 4 else float("nan"),
        "shift_tile_gain": moved - kept,
        "shift_least_zero": found.zero / max(expected, 0.2) if expected == expected else float("nan"),
    }


def _faint_tiles(field: Map, usual: Map) -> tuple[float, float, float, float]:
    """Per tile of 40x30: shares kept and moved, the mean gain by moving, and how far the moves agree."""
    reach = 16
    around = cv2.copyMakeBorder(field, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
    padded = np.asarray(around, np.float32)
    # [y, x]: of the tile that begins there
    energies = cv2.boxFilter(product(padded, padded), -1, (40, 30), anchor=(0, 0), normalize=False)
    kept = moved = 0
    gains, ways = [], []
    for top in (8, 30, 52):
        for left in range(0, _W - 39, 40):
            tile = usual[top : top + 30, left : left + 40]
            window = np.s_[top : top + 30 + 2 * reach, left : left + 40 + 2 * reach]
            energy = energies[top : top + 1 + 2 * reach, left : left + 1 + 2 * reach]
            surface = np.asarray(cv2.matchTemplate(padded[window], tile, cv2.TM_CCORR), np.float32)
            surface /= np.sqrt(np.maximum(energy, 20) * float((tile**2).sum()) + 1)
            rest = float(surface[reach - 1 : reach + 2, reach - 1 : reach + 2].max())
            _, best, _, (x, y) = cv2.minMaxLoc(surface)
            gains.append(best - rest)
            if best > rest + 0.12 and np.hypot(x - reach, y - reach) >= 2.5:
                moved += 1
                ways.append((x - reach, y - reach))
            kept += rest > 0.35
    agree = 0.0
    if len(ways) > 2:
        at = np.array(ways, np.float32)
        agree = float((np.hypot(*(at - np.median(at, axis=0)).T) < 3.5).sum()) / 12
    return kept / 12, moved / 12, float(np.mean(gains)), agree


def _faint(features: Features, reference: ModeReference, usual: _Spectrum) -> dict[str, float]:
    """The same question asked of weak, coarse structure: a bare road has no edges to be missed."""
    spectrum = _transform(_prepare(features.faint))
    together, found = _correlate(spectrum, usual)
    distance = float(np.hypot(found.dx, found.dy))
    expected = float(np.median(reference.usual_faint))
    kept, moved, gain, agree = (
        _faint_tiles(features.faint, reference.faint) if found.zero < 0.75 else (1.0, 0.0, 0.0, 0.0)
    )
    bank = 0.0
    if found.zero < 0.5 * expected and found.peak < 0.6 * expected:
        variants = _variants(reference.faint)
        bank = max(_correlate(spectrum, _transform(variant))[1].peak for variant in variants)
    return {
        "shift_faint_zero": found.zero,
        "shift_faint_peak": found.peak,
        "shift_faint_gain": found.peak - found.zero,
        "shift_faint_distance": distance,
        "shift_faint_sharpness": _sharpness(together, found),
        "shift_faint_usual": expected,
        "shift_faint_ratio": found.zero / max(expected, 0.1),
        "shift_faint_tiles_kept": kept,
        "shift_faint_tiles_moved": moved,
        "shift_faint_tiles_gain": gain,
        "shift_faint_tiles_agree": agree,
        "shift_faint_bank": bank - found.zero,
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


def unless(v: Values) -> float:
    """A mount gives a little with wind and warmth: all is found within a fiftieth of the picture's width, and
    more clearly than the learned pictures are found in each other. And where neither edges nor marks are
    known, and the picture is not full of others, there is nothing that could be found elsewhere."""
    gives = min(
        below(v["shift_gain"], 0.02, 0.01),
        below(v["shift_distance"], 3.0, 0.3),
        below(v["shift_tiles_shift"], 3.0, 0.3),
        above(v["shift_sharpness"], 18, 3),
        above(v["shift_least_zero"], 1.5, 0.2),
    )
    if v["mark_coarse"] == v["mark_coarse"]:
        return gives
    bare = min(
        below(v["shift_tiles_known"], 0.25, 0.05),
        below(v["shift_new"], 3, 0.5),
        below(v["shift_sharpness"], 19, 5),
    )
    return max(gives, bare)


def severity(v: Values) -> int:
    if v["shift_gain"] > 0.1 and v["shift_distance"] > 2:
        return grade(v["shift_distance"], 12, 40)
    return 3


CHECK = Check(
    PictureFault.SCENE_SHIFT,
    measure,
    severity,
    ("shift_zero", "shift_peak", "shift_distance", "shift_tiles_moved"),
    needs_reference=True,
    uses_foreign=True,
    margin=margin,
    unless=unless,
    inputs=(
        "shift_",
        "mark_coarse",
        "mark_number",
        "cover_kept",
        "cover_lost",
        "cover_new",
        "blur_cosine",
        "damage_rows",
        "damage_lost",
    ),
    rule_weight=0.5,
)
