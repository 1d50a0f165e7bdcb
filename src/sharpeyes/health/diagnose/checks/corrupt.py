"""Decoding went wrong: steps on the macroblock grid, smears, flat areas, the decoder's own flags."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import (
    BLOCKS,
    Features,
    Look,
    Map,
    block_means,
    halved,
    largest_part,
    median,
    share,
)
from sharpeyes.health.diagnose.picture import GRID_WIDTH, HEIGHT, WIDTH, Picture, Plane
from sharpeyes.health.diagnose.reading import (
    Check,
    Region,
    Values,
    above,
    below,
    both,
    grade,
    rectangles,
    usual,
)
from sharpeyes.health.diagnose.reference import ModeReference

_MACROBLOCK = 16
_Plane = NDArray[np.integer | np.floating]
_EDGE, _MIDDLE = 13, 5
"""Where the macroblock's edge and middle are among the sixteen steps of :func:`_steps`."""
_STEP = 6 * _MACROBLOCK
"""Grey levels of a step, summed along a macroblock's side, above which it counts."""
_Steps = NDArray[np.bool_]


def _steps(image: _Plane) -> tuple[_Steps, _Steps]:
    """Across and down, (rows, columns, 16) each: where a strong lone step is, by macroblock and phase, of
    which ``_EDGE`` is the macroblock's edge.

    A decoder's damage ends on a macroblock's edge: a step of one sign along all of its side, with calm on
    both sides of it. A scene's edges fall on all phases alike.
    """
    return _across(image), _across(np.asarray(cv2.transpose(image)))


def _across(image: _Plane) -> _Steps:
    rows, columns = len(image) // _MACROBLOCK, (image.shape[1] - 6) // _MACROBLOCK
    sides = image[: rows * _MACROBLOCK].reshape(rows, _MACROBLOCK, -1)
    # whole numbers stay such: a third of the time of means
    sums = sides.sum(axis=1, dtype=np.uint16 if image.dtype == np.uint8 else np.float32)
    steps = cv2.absdiff(sums[:, 1:], sums[:, :-1])
    alone = cv2.subtract(steps[:, 2:-2], cv2.max(steps[:, :-4], steps[:, 4:]))
    # a step's place is two before that of its own column
    return np.asarray((alone > _STEP)[:, : columns * _MACROBLOCK].reshape(rows, columns, _MACROBLOCK))


def _local(across: _Steps, down: _Steps) -> tuple[float, float]:
    """The most damaged window of 4x4 macroblocks: steps on the grid both ways beyond those off it, and of the
    weaker way alone. A scene's own straight edge is one line; damage has corners."""
    parts = []
    for steps in (across.astype(np.float32), down.transpose(1, 0, 2).astype(np.float32)):
        off = steps.sum(axis=2) - steps[..., _MIDDLE] - steps[..., _EDGE]
        # 14 other phases: three times what chance puts on the grid
        parts.append(cv2.boxFilter(steps[..., _EDGE] - off * np.float32(3 / 14), -1, (4, 4), normalize=False))
    rows, columns = (min(sizes) for sizes in zip(*(part.shape for part in parts), strict=True))
    a, b = (part[:rows, :columns] for part in parts)
    return float((a + b).max()), float(np.minimum(a, b).max())


def at_source_scale(image: _Plane, source_size: tuple[int, int]) -> _Plane | None:
    """Back to the size of the stream, where the grid is 16 pixels; None for a larger stream."""
    width, height = source_size
    if width > GRID_WIDTH or width < 96 or height < 64:
        return None
    if source_size == (WIDTH, HEIGHT):
        return image
    return np.asarray(cv2.resize(image, source_size, interpolation=cv2.INTER_LINEAR))


def _grid(image: _Plane, source_size: tuple[int, int]) -> dict[str, float]:
    source = at_source_scale(image, source_size)
    if source is None:
        return dict.fromkeys(("x", "x_log", "y", "y_log", "half", "local", "corner"), float("nan"))
    across, down = _steps(source)
    out: dict[str, float] = dict(zip(("local", "corner"), _local(across, down), strict=True))
    halves = 0.0
    for name, steps in (("x", across), ("y", down)):
        shares, others = _shares(steps)
        middle = float(median(others))
        loud = float(others.max())
        # a small picture has few sides to count: what chance leaves grows as their number falls
        enough = float(np.sqrt(source.size / _MACROBLOCK**2 / 510))
        out[name] = float(shares[_EDGE] - loud) * enough
        out[f"{name}_log"] = float(np.log((shares[_EDGE] + 0.004) / (middle + 0.004)))
        halves = max(halves, float(shares[_MIDDLE] - loud) * enough)
    out["half"] = halves
    return out


def _shares(steps: _Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of steps by phase, and those of the phases that are neither edge nor middle."""
    rows, columns, _ = steps.shape
    by_column = steps.reshape(rows, -1).sum(axis=0, dtype=np.uint16)
    shares = by_column.reshape(columns, -1).sum(axis=0) / (rows * columns)
    return shares, np.delete(shares, (_MIDDLE, _EDGE))


def grid_share(picture: Picture) -> float:
    """The larger share, across or down, of steps on the macroblock grid beyond those beside it; 0 if no grid
    can be seen at this size."""
    source = at_source_scale(picture.y, picture.source_size)
    if source is None:
        return 0.0
    both_ways = (_shares(steps) for steps in _steps(source))
    return max(float(shares[_EDGE] - others.max()) for shares, others in both_ways)


def _stretch(across: Map, down: Map, floor: float) -> Map:
    """(9, 16) log of detail across over detail down: a smear down has much more across."""
    return np.asarray(np.log((across + floor) / (down + floor)), np.float32)


def _detail(y: Plane) -> tuple[Map, Map]:
    """(9, 16) block means of the steps to the right and down."""
    right = cv2.copyMakeBorder(cv2.absdiff(y[:, 1:], y[:, :-1]), 0, 0, 1, 0, cv2.BORDER_CONSTANT)
    below = cv2.copyMakeBorder(cv2.absdiff(y[1:], y[:-1]), 1, 0, 0, 0, cv2.BORDER_CONSTANT)
    return block_means(right), block_means(below)


def _repeats(thumb: Map) -> Map:
    """(9, 16): how far what differs along a row is that of two rows, a macroblock, above; 1 = the very same.

    A decoder that has lost a slice draws on from the last row it has, and the next encoder keeps that even at
    the lowest rate. A kerb or a wall is as upright, but it is so in the reference too.
    """
    along = cv2.subtract(thumb, cv2.blur(thumb, (5, 1)))
    above_ = np.zeros_like(along)
    above_[2:] = along[:-2]
    alike = block_means(along * above_)
    power = block_means((along * along + above_ * above_) * np.float32(0.5))
    return np.asarray(alike / (power + np.float32(0.05)), np.float32)


def _repeated(features: Features) -> dict[str, float]:
    """Rows drawn again and again: the largest part; what of the row that has most of it, all along but for a
    quarter, the reference has not; and how far that row stands out from others. Bars and a smear of motion
    run through all rows, and the side of a van is not as wide as the picture."""
    maps = [_repeats(look.thumb_planes[0]) for look in features.looks]
    out = {
        "damage_repeat_part": max(largest_part(each > 0.8)[0] for each in maps) / maps[0].size,
        "damage_repeat_step": max(map(_step, maps)),
        "damage_repeat_row": float("nan"),
    }
    if features.reference is not None:
        already = _usual_repeats(features.reference)
        out["damage_repeat_row"] = max(float(_least_along(each - already).max()) for each in maps)
    return out


def _redrawn(look: Look, reference: ModeReference | None) -> NDArray[np.bool_]:
    """(9, 16): where rows are drawn again and again, and are not always."""
    again = _repeats(look.thumb_planes[0]) > 0.8
    return again if reference is None else again & (_usual_repeats(reference) < 0.6)


def _drawn_on(features: Features) -> float:
    """The largest such part of a picture that its decoder complained of: concealed by what is above it. 0
    without a complaint."""
    blamed = [look for look in features.looks if look.picture.errors]
    parts = [largest_part(_redrawn(look, features.reference))[0] for look in blamed]
    return max(parts, default=0) / math.prod(BLOCKS)


def repeated(thumb: Map) -> float:
    """How far the row that is drawn again most of all stands out from others; ``thumb``: luma, (45, 80)."""
    return _step(_repeats(thumb))


def _step(repeats: Map) -> float:
    rows = np.sort(_least_along(repeats))
    return float(rows[-1] - rows[2])


def _usual_repeats(reference: ModeReference) -> Map:
    return _repeats(np.ascontiguousarray(reference.thumb[..., 0]))


def _least_along(blocks: Map) -> Map:
    """(9,): the lower quarter of each row."""
    return np.asarray(np.sort(blocks, axis=1)[:, 4], np.float32)


def values(look: Look) -> dict[str, float]:
    grid = _grid(look.picture.y, look.picture.source_size)
    y, u, v = look.thumb[..., 0], look.thumb[..., 1], look.thumb[..., 2]
    # YUV 0,0,0 is what an unfilled buffer shows; after a re-encode it is (84, -39, -50)
    green = (u < -30) & (v < -38) & (np.abs(u - v) < 24) & (y < 110)
    low = halved(look.fine, 3)
    grey = (np.abs(y - 128) < 14) & (np.abs(u) < 4) & (np.abs(v) < 4) & (low < 0.4)
    anisotropy = look.profiled["anisotropy"]
    rows = np.median(look.profiled["stretch"], axis=1)
    return {
        **{f"grid_{k}": value for k, value in grid.items()},
        "green_share": share(green),
        "grey_share": share(grey),
        "dead_share": share(low < 0.12),
        "unfilled": _unfilled(look.picture),
        "stretched": float(rows.max() - rows.min()),
        "smear_down": share(anisotropy > 1.0),
        "smear_across": share(anisotropy < -1.0),
    }


def _unfilled(picture: Picture) -> float:
    """Share of the very grey that a decoder starts from when the keyframe never came."""
    colourless = cv2.bitwise_and(cv2.inRange(picture.u, 126, 130), cv2.inRange(picture.v, 126, 130))
    middle = cv2.inRange(np.ascontiguousarray(picture.y[::2, ::2]), 125, 131)
    return cv2.countNonZero(cv2.bitwise_and(colourless, middle)) / middle.size


def profiles(look: Look) -> dict[str, NDArray[np.float32]]:
    across, down = _detail(look.picture.y)
    return {"anisotropy": _stretch(across, down, 0.3), "stretch": _stretch(across, down, 0.08)}


_NAMES = (
    "grid_local",
    "grid_corner",
    "unfilled",
    "stretched",
    "grid_x",
    "grid_x_log",
    "grid_y",
    "grid_y_log",
    "grid_half",
    "smear_down",
    "smear_across",
    "green_share",
    "grey_share",
    "dead_share",
)


def measure(features: Features) -> dict[str, float]:
    out: dict[str, float] = {}
    reference = features.reference
    for name in _NAMES:
        _, high = both(features, name)
        out[f"damage_{name}"] = high
        out[f"damage_{name}_rise"] = high - usual(features, name)[0]
    out["damage_flags"] = float(max(look.picture.errors.value for look in features.looks))
    out["damage_grid"] = float(
        max(
            np.fmax(look.measured["grid_x"], 0) + np.fmax(look.measured["grid_y"], 0)
            for look in features.looks
        )
    )
    out["damage_grid_log"] = float(
        max(look.measured["grid_x_log"] + look.measured["grid_y_log"] for look in features.looks)
    )
    out |= _repeated(features)
    out["drawn_on"] = _drawn_on(features)
    if features.difference is None:
        out |= dict.fromkeys(
            ("damage_diff", "damage_diff_log", "damage_diff_local", "damage_diff_corner"), float("nan")
        )
    else:
        grid = _grid(features.difference, features.after.picture.source_size)
        out |= {
            "damage_diff": max(grid["x"], 0) + max(grid["y"], 0),
            "damage_diff_log": grid["x_log"] + grid["y_log"],
            "damage_diff_local": grid["local"],
            "damage_diff_corner": grid["corner"],
        }
    if reference is None:
        out |= dict.fromkeys(
            (
                "damage_smear",
                "damage_smear_across_ref",
                "damage_rows",
                "damage_lost",
                "damage_rows_any",
                "damage_jump",
                "damage_stretch",
                "damage_stretch_rows",
                "damage_stretch_step",
            ),
            float("nan"),
        )
        return out
    rises = [look.profiled["anisotropy"] - reference.profiles["anisotropy"] for look in features.looks]
    out["damage_smear"] = max(share(r > 0.9) for r in rises)
    out["damage_smear_across_ref"] = max(share(r < -0.9) for r in rises)
    # what is concealed by the row above it has no detail down, all along its rows
    stretches = [
        np.sort(np.median(look.profiled["stretch"] - reference.profiles["stretch"], axis=1))
        for look in features.looks
    ]
    out["damage_stretch"] = float(max(rows[-2:].mean() for rows in stretches))
    out["damage_stretch_rows"] = max(share(rows > 0.4) for rows in stretches)
    out["damage_stretch_step"] = float(max(rows[-1] - rows[0] for rows in stretches))
    # a lost slice takes whole rows: rows that are gone beside rows that are all there
    assert features.agreement is not None
    known = (reference.persistence_blocks > 0.05) & (reference.usual_agreement > 0.35)
    row_loss = []
    for agreement in features.agreement:
        loss = np.clip(
            (reference.usual_agreement - np.nan_to_num(agreement))
            / np.maximum(reference.usual_agreement, 0.2),
            0,
            1,
        )
        rows = [float(loss[r][known[r]].mean()) for r in range(9) if known[r].sum() >= 3]
        row_loss.append(
            (
                max(rows) - min(rows),
                float(np.mean(rows)),
                float(max(abs(a - b) for a, b in pairwise(rows))) if len(rows) > 1 else 0.0,
            )
            if rows
            else (0.0, 0.0, 0.0)
        )
    out["damage_rows"] = max(r[0] for r in row_loss)
    out["damage_lost"] = max(r[1] for r in row_loss)
    out["damage_jump"] = max(r[2] for r in row_loss)
    out["damage_rows_any"] = abs(row_loss[0][1] - row_loss[-1][1])
    return out


def margin(v: Values) -> float:
    green = above(v["damage_green_share"], 0.025, 0.01)
    # the grid, on one picture or on what changed; without a reference the limits are wider
    x, y = v["damage_grid_x_rise"], v["damage_grid_y_rise"]
    if x == x:
        # one direction alone must stand out clearly; both together may be weaker
        x_log, y_log = v["damage_grid_x_log"], v["damage_grid_y_log"]
        down = min(above(y, 0.03, 0.008), max(above(y_log, 1.0, 0.15), above(x, 0.02, 0.006)))
        across = min(above(x, 0.0285, 0.008), max(above(x_log, 0.8, 0.1), above(y, 0.02, 0.006)))
        both_ways = min(above(max(x, 0.0) + max(y, 0.0), 0.044, 0.01), above(min(x, y), 0.01, 0.004))
        grid = max(down, across, both_ways)
    else:
        grid = max(above(v["damage_grid_x"], 0.03, 0.01), above(v["damage_grid_y"], 0.037, 0.01))
    grid = min(grid, above(max(v["damage_grid_x_log"], v["damage_grid_y_log"]), 0.6, 0.1))
    changed = min(above(v["damage_diff"], 0.031, 0.006), above(v["damage_diff_log"], 1.25, 0.2))
    # one of two pictures is plain grey: its keyframe never came
    gone = min(
        above(v["damage_grey_share_rise"], 0.45, 0.1),
        above(v["damage_lost"], 0.75, 0.08),
        above(v["lost_std"], 3, 2),
    )
    smeared = min(above(v["damage_smear"], 0.12, 0.02), above(v["damage_jump"], 0.6, 0.06))
    return max(green, grid, changed, gone, smeared)


def certain(v: Values) -> float:
    """The grey that a decoder starts from, with what moved drawn on it, or the green of an empty buffer: no
    scene is that. Nor are some rows of it drawn again and again, while others are as ever.

    Where the decoder itself complains, less is enough. Its word alone is not: many complain of what nobody
    sees.
    """
    grey = min(above(v["damage_unfilled"], 0.62, 0.05), above(v["lost_std"], 0.5, 0.1))
    if v["has_ref"] == 1:
        drawn = min(above(v["damage_repeat_row"], 0.35, 0.05), above(v["damage_jump"], 0.45, 0.1))
    else:
        drawn = above(v["damage_repeat_step"], 0.7, 0.1)
    if not v["damage_flags"]:  # what runs through most of the picture may be a scene's own, else
        drawn = min(drawn, below(v["damage_repeat_part"], 0.5, 0.1))
    else:
        grey = above(v["damage_unfilled"], 0.3, 0.05)
        drawn = max(drawn, above(v["drawn_on"], 0.12, 0.03))
    return max(grey, above(v["damage_green_share"], 0.05, 0.02), drawn)


def severity(v: Values) -> int:
    return grade(
        float(
            np.nanmax(
                [
                    v["damage_green_share"],
                    v["damage_grey_share"],
                    v["damage_unfilled"] if certain(v) > 0 else 0,
                    v["damage_smear"],
                    v["drawn_on"],
                    v["damage_lost"] * 0.8,
                    0,
                ]
            )
        ),
        0.2,
        0.5,
    )


def region(features: Features) -> Region:
    thumb = features.after.thumb
    green = ((thumb[..., 1] < -30) & (thumb[..., 2] < -38)).astype(np.float32)
    blocks = block_means(green) > 0.3
    if features.after.picture.errors:
        blocks |= _redrawn(features.after, features.reference)
    if features.reference is not None:
        blocks |= features.after.profiled["anisotropy"] - features.reference.profiles["anisotropy"] > 0.9
        repeats = _repeats(features.after.thumb_planes[0])
        blocks |= (repeats > 0.75) & (repeats - _usual_repeats(features.reference) > 0.3)
    return rectangles(blocks)


CHECK = Check(
    PictureFault.CORRUPT,
    measure,
    severity,
    ("damage_grid_log", "damage_repeat_part", "damage_green_share", "damage_flags"),
    values=values,
    profiles=profiles,
    region=region,
    margin=margin,
    inputs=(
        "damage_",
        "stripes_jump",
        "stripes_rows_fine",
        "still_",
        "grain_noise_p25",
        "grain_specks",
        "cover_moved",
        "cover_lost",
        "blur_sharp",
        "lost_std",
        "lost_top",
        "shift_zero",
    ),
    rule_weight=0.5,
    certain=certain,
    lone=0.7,  # windows of a house front may stand on the grid
)
