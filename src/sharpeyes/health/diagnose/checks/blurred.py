"""Out of focus or smeared: edges that are still there have grown wide, against the camera's own sharpness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import (
    Features,
    Look,
    largest_part,
    median,
    percentile,
    percentiles,
    share,
)
from sharpeyes.health.diagnose.marks import SCALES, kept_blocks, of_pair
from sharpeyes.health.diagnose.reading import Check, Values, above, below, both, grade, usual

# burned-in text is sharp whatever the lens does; it stands in the rows at the top and bottom
_INNER = np.s_[54:306]
_INNER_BLOCKS = np.s_[1:-1]
_BLOCK_NAMES = (
    "blur_fine",
    "blur_fine_p80",
    "blur_coarse",
    "blur_slope_p25",
    "blur_slope",
    "blur_slope_p75",
)
_MARK_NAMES = (
    "mark_number",
    "mark_known",
    "mark_fine",
    "mark_middle",
    "mark_coarse",
    "mark_fine_drop",
    "mark_middle_drop",
    "mark_coarse_drop",
    "mark_slope",
    "mark_slope_far",
    "mark_low",
    "mark_median",
    "mark_high",
    "mark_lost",
    "mark_lost_part",
    "mark_rest",
    "mark_lost_kept",
)


def _widths(look: Look, edges: NDArray[np.bool_] | None) -> dict[str, float]:
    """Equivalent edge widths (sigma in pixels) from gradients at two scales, both ways.

    An edge of width s has gradient ~1/s; after a blur of sigma 2 ~1/sqrt(s^2+4): the ratio gives s whatever
    the contrast (Zhuo and Sim, Pattern Recognition 44(9), 2011).
    """
    out: dict[str, float] = {}
    for name, dx, dy in (("x", 1, 0), ("y", 0, 1)):
        # every second row has enough of them
        far = cv2.Sobel(look.smooth[_INNER], cv2.CV_32F, dx, dy, scale=1 / 8)[::2]
        size = np.abs(far)
        # thirds of the picture would be better with sky; the strongest of the smooth gradients do
        limit = max(percentile(size[::2, ::4], 93), 0.8)
        ridge = size > limit
        if edges is not None:
            kept = ridge & edges[_INNER][::2]
            ridge = kept if int(kept.sum()) > 150 else ridge
        at = np.flatnonzero(ridge)
        if at.size < 100:
            out |= {f"width_{name}": float("nan"), f"width_{name}_p20": float("nan")}
            continue
        near = cv2.Sobel(look.luma[_INNER], cv2.CV_32F, dx, dy, scale=1 / 8)[::2]
        squared = (near.ravel()[at] / far.ravel()[at]) ** 2
        width = 2 / np.sqrt(np.maximum(squared - 1, 0.02))
        p20, p50 = percentiles(width, (20, 50))
        out |= {f"width_{name}": float(p50), f"width_{name}_p20": float(p20)}
    return out


def values(look: Look) -> dict[str, float]:
    sharp, middle = look.sharp_blocks[_INNER_BLOCKS], look.middle_blocks[_INNER_BLOCKS]
    return {
        **_widths(look, None),
        "sharp_p90": float(np.log(percentile(sharp, 90) + 0.02)),
        "middle_p90": float(np.log(percentile(middle, 90) + 0.02)),
    }


def profiles(look: Look) -> dict[str, NDArray[np.float32]]:
    return {"middle": look.middle_blocks, "sharp": look.sharp_blocks}


def _by_block(features: Features) -> dict[str, float]:
    """Fine and middle detail block by block against what is usual there: fog takes both, blur the fine."""
    reference = features.reference or features.foreign
    if reference is None:
        return dict.fromkeys(_BLOCK_NAMES, float("nan"))
    sharp, middle = (reference.profiles[name][_INNER_BLOCKS] for name in ("sharp", "middle"))
    textured = middle >= max(percentile(middle, 55), 0.6)
    if textured.sum() < 8:
        return dict.fromkeys(_BLOCK_NAMES, float("nan"))
    rows = []
    for look in features.looks:
        fine = np.log((look.sharp_blocks[_INNER_BLOCKS] + 0.1) / (sharp + 0.1))[textured]
        coarse = np.log((look.middle_blocks[_INNER_BLOCKS] + 0.1) / (middle + 0.1))[textured]
        p25, p50, p75 = percentiles(fine - coarse, (25, 50, 75))
        rows.append((median(fine), percentile(fine, 80), median(coarse), p25, p50, p75))
    # a fault is in both pictures: the better of them counts
    return {name: max(row[i] for row in rows) for i, name in enumerate(_BLOCK_NAMES)}


def _by_marks(features: Features) -> dict[str, float]:
    """What is left of the camera's marks, by scale and by place."""
    reference = features.reference or features.foreign
    if reference is None:
        return dict.fromkeys(_MARK_NAMES, float("nan"))
    seen = of_pair(features.looks, reference.marks)
    fine, middle, coarse = (max(each.together, 0.0) for each in seen)
    usual = [reference.values[f"mark_{name}"][0] for name in SCALES]
    kept = kept_blocks(reference.marks, seen)
    known = np.isfinite(kept)
    low, half, high = percentiles(kept[known], (10, 50, 90))
    lost = known & (kept < 0.35 * high)
    size, part = largest_part(lost)
    rest = known & ~part
    return {
        "mark_number": float(sum(len(each) for each in reference.marks)),
        "mark_known": share(known),
        "mark_fine": fine,
        "mark_middle": middle,
        "mark_coarse": coarse,
        "mark_fine_drop": usual[0] - fine,
        "mark_middle_drop": usual[1] - middle,
        "mark_coarse_drop": usual[2] - coarse,
        "mark_slope": float(np.log((fine + 0.1) / (middle + 0.1) * (usual[1] + 0.1) / (usual[0] + 0.1))),
        "mark_slope_far": float(np.log((fine + 0.1) / (coarse + 0.1) * (usual[2] + 0.1) / (usual[0] + 0.1))),
        "mark_low": low,
        "mark_median": half,
        "mark_high": high,
        "mark_lost": share(kept[known] < 0.35 * high) if known.any() else float("nan"),
        "mark_lost_part": size / max(int(known.sum()), 1),
        "mark_rest": float(kept[rest].mean()) if rest.any() else float("nan"),
        "mark_lost_kept": float(kept[part].mean()) if size else float("nan"),
    }


def measure(features: Features) -> dict[str, float]:
    out: dict[str, float] = {"blur_cosine": features.cosine}
    widths = [look.measured for look in features.looks]
    suspect = min(np.fmin(w["width_x_p20"] / usual(features, "width_x_p20")[0], 9) for w in widths) > 1.1
    if features.reference is not None and suspect:
        # a smooth vehicle may fill the view: look again at the edges that are always there
        widths = [_widths(look, features.reference.edges) for look in features.looks]
    for name in ("width_x", "width_x_p20", "width_y", "width_y_p20"):
        value = min(width[name] for width in widths)
        out[f"blur_{name}"] = value
        out[f"blur_{name}_ratio"] = float(np.log(value / usual(features, name)[0]))
    for name in ("sharp_p90", "middle_p90"):
        value = both(features, name)[1]
        out[f"blur_{name}"] = value
        out[f"blur_{name}_drop"] = usual(features, name)[0] - value
    out |= _by_block(features)
    # how wide edges are depends on the lens and little on the mode: another mode's reference will do
    other = features.reference or features.foreign
    for name in ("width_x", "width_x_p20", "width_y", "width_y_p20"):
        known = other.values.get(name, (float("nan"), 0.0))[0] if other else float("nan")
        out[f"blur_any_{name}"] = float(np.log(out[f"blur_{name}"] / known))
    out |= _by_marks(features)
    out["blur_foreign"] = float(features.foreign is not None)
    return out


def margin(v: Values) -> float:
    if v["blur_sharp_p90_drop"] != v["blur_sharp_p90_drop"]:
        narrowest = min(v["blur_width_x_p20"], v["blur_width_y_p20"])
        return min(above(narrowest, 1.52, 0.15), above(v["lost_edges"], 0.16, 0.04))
    wider = [r for r in (v["blur_width_x_p20_ratio"], v["blur_width_y_p20_ratio"]) if r == r]
    if not wider:
        return -1.0
    # fog takes contrast at all scales alike and widens edges little; blur takes the fine scale first
    limit = 0.165 + 0.3 * max(0.0, v["blur_middle_p90_drop"] - 0.8)
    return min(
        above(min(wider), limit, 0.05),
        above(v["blur_sharp_p90_drop"], 0.27, 0.06),
        above(v["blur_cosine"], 0.29, 0.04),
        max(above(v["shift_tiles_known"], 0.25, 0.05), above(v["blur_sharp_p90_drop"], 0.6, 0.1)),
    )


def unless(v: Values) -> float:
    """A starved encoder or a denoiser took the grain: fine structure fell no more than coarse. No lens does
    that. And where not even grain is left, how sharp a place should be is known from its reference alone.
    """
    starved = min(
        above(v["blur_slope"], -0.14, 0.02),
        above(v["blur_coarse"], -0.45, 0.05),
        below(v["grain_noise_p50_ratio"], -0.35, 0.1),
    )
    unknown = min(below(v["has_ref"], 0.5, 0.1), below(v["grain_noise_p50"], 0.06, 0.02))
    return max(starved, unknown)


def certain(v: Values) -> float:
    """A bare place has no texture and no edges that are always there: a blurred lens shows in its marks
    alone. Nothing is left of them at the fine scale, plainly more at the coarse one, in a view that has not
    moved; and what edges there are, of vehicles, are wide. Fog takes a coarse mark as it takes a fine one.
    """
    if v["has_ref"] != 1 or v["blur_slope"] == v["blur_slope"]:
        return -3.0
    ratios = [r for r in (v["blur_width_x_p20_ratio"], v["blur_width_y_p20_ratio"]) if r == r]
    return min(
        below(v["mark_fine"], 0.08, 0.02),
        above(v["mark_fine_drop"], 0.3, 0.1),
        above(v["mark_coarse"], 0.25, 0.05),
        below(v["mark_slope_far"], -0.5, 0.1),
        max(below(v["shift_gain"], 0.1, 0.03), below(v["shift_sharpness"], 10, 2)),
        min((above(ratio, 0.4, 0.1) for ratio in ratios), default=3.0),
    )


def severity(v: Values) -> int:
    return grade(float(np.nanmax([v["blur_width_x"], v["blur_width_y"], 0])), 3.2, 5.0)


CHECK = Check(
    PictureFault.BLURRED,
    measure,
    severity,
    ("blur_width_x", "blur_width_y", "blur_sharp_p90", "blur_middle_p90"),
    values=values,
    profiles=profiles,
    margin=margin,
    certain=certain,
    unless=unless,
    inputs=(
        "blur_",
        "mark_",
        "shift_tiles",
        "shift_cos",
        "grain_noise",
        "cover_kept",
        "lost_edges",
        "still_p",
    ),
)
