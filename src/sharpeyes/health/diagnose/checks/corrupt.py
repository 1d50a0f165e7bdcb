"""Decoding went wrong: steps on the macroblock grid, smears, flat areas, the decoder's own flags."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, Map, block_means, median
from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Picture, Plane
from sharpeyes.health.diagnose.reading import Check, Region, Values, above, both, grade, rectangles, usual

_MACROBLOCK = 16
_STEP = 6.0
"""Grey levels of a step, averaged along a macroblock's side, from which it counts."""


def _phases(image: Map) -> NDArray[np.float64]:
    """Share of strong lone steps at each of the 16 column phases; pass the transpose for rows.

    A decoder's damage ends on a macroblock's edge: a step of one sign along all of its side, with calm on
    both sides of it. A scene's edges fall on all phases alike.
    """
    rows = image.shape[0] // _MACROBLOCK
    runs = cv2.resize(image[: rows * _MACROBLOCK], (image.shape[1], rows), interpolation=cv2.INTER_AREA)
    return _phases_of_runs(np.asarray(runs, np.float32))


def _phases_of_runs(runs: Map) -> NDArray[np.float64]:
    """The same from the means along the macroblocks' sides."""
    columns = (runs.shape[1] - 6) // _MACROBLOCK
    steps = cv2.absdiff(runs[:, 1:], runs[:, :-1])
    alone = steps[:, 2:-2] - np.maximum(steps[:, :-4], steps[:, 4:])
    # alone[:, i] is the step between columns i+2 and i+3: phase (i+2) mod 16
    strong = (alone > _STEP)[:, : columns * _MACROBLOCK].mean(axis=0)
    return np.asarray(np.roll(strong.reshape(columns, _MACROBLOCK).mean(axis=0), 2), np.float64)


def at_source_scale(image: Map, source_size: tuple[int, int]) -> Map | None:
    """Back to the size of the stream, where the grid is 16 pixels; None for a larger stream."""
    width, height = source_size
    if width > WIDTH * 1.2 or width < 96 or height < 64:
        return None
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _grid(image: Map, source_size: tuple[int, int]) -> dict[str, float]:
    source = at_source_scale(image, source_size)
    if source is None:
        return dict.fromkeys(("x", "x_log", "y", "y_log", "half"), float("nan"))
    out: dict[str, float] = {}
    halves = 0.0
    for name, plane in (("x", source), ("y", np.asarray(cv2.transpose(source), np.float32))):
        share = _phases(plane)
        others = np.delete(share, (7, 15))
        middle = float(median(others))
        loud = float(others.max())
        # a small picture has few sides to count: what chance leaves grows as their number falls
        enough = float(np.sqrt(plane.size / _MACROBLOCK**2 / 510))
        out[name] = float(share[15] - loud) * enough
        out[f"{name}_log"] = float(np.log((share[15] + 0.004) / (middle + 0.004)))
        halves = max(halves, float(share[7] - loud) * enough)
    out["half"] = halves
    return out


def grid_share(picture: Picture) -> float:
    """The larger share, across or down, of steps on the macroblock grid beyond those beside it; 0 if no grid
    can be seen at this size."""
    width, height = picture.source_size
    if width > WIDTH * 1.2 or width < 96 or height < 64:
        return 0.0
    image = picture.y
    if (width, height) != (WIDTH, HEIGHT):
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    rows, columns = height // _MACROBLOCK, width // _MACROBLOCK
    sides = (
        cv2.resize(image[: rows * _MACROBLOCK], (width, rows), interpolation=cv2.INTER_AREA),
        cv2.resize(image[:, : columns * _MACROBLOCK], (columns, height), interpolation=cv2.INTER_AREA).T,
    )
    shares = (_phases_of_runs(np.ascontiguousarray(runs, np.float32)) for runs in sides)
    return max(float(share[15] - np.delete(share, (7, 15)).max()) for share in shares)


def _anisotropy(y: Plane) -> Map:
    """(9, 16) log of detail across over detail down: a smear down has much more across."""
    right = cv2.copyMakeBorder(cv2.absdiff(y[:, 1:], y[:, :-1]), 0, 0, 1, 0, cv2.BORDER_CONSTANT)
    below = cv2.copyMakeBorder(cv2.absdiff(y[1:], y[:-1]), 1, 0, 0, 0, cv2.BORDER_CONSTANT)
    across, down = block_means(right), block_means(below)
    return np.asarray(np.log((across + 0.3) / (down + 0.3)), np.float32)


def values(look: Look) -> dict[str, float]:
    grid = _grid(look.luma, look.picture.source_size)
    y, u, v = look.thumb[..., 0], look.thumb[..., 1], look.thumb[..., 2]
    # YUV 0,0,0 is what an unfilled buffer shows; after a re-encode it is (84, -39, -50)
    green = (u < -30) & (v < -38) & (np.abs(u - v) < 24) & (y < 110)
    low = cv2.resize(look.fine, (80, 45), interpolation=cv2.INTER_AREA)
    grey = (np.abs(y - 128) < 14) & (np.abs(u) < 4) & (np.abs(v) < 4) & (low < 0.4)
    anisotropy = look.profiled["anisotropy"]
    return {
        **{f"grid_{k}": value for k, value in grid.items()},
        "green_share": float(green.mean()),
        "grey_share": float(grey.mean()),
        "dead_share": float((low < 0.12).mean()),
        "smear_down": float((anisotropy > 1.0).mean()),
        "smear_across": float((anisotropy < -1.0).mean()),
    }


def profiles(look: Look) -> dict[str, NDArray[np.float32]]:
    return {"anisotropy": _anisotropy(look.picture.y)}


_NAMES = (
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
    if features.difference is None:
        out |= dict.fromkeys(("damage_diff", "damage_diff_log"), float("nan"))
    else:
        grid = _grid(features.difference, features.after.picture.source_size)
        out |= {
            "damage_diff": max(grid["x"], 0) + max(grid["y"], 0),
            "damage_diff_log": grid["x_log"] + grid["y_log"],
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
            ),
            float("nan"),
        )
        return out
    rises = [look.profiled["anisotropy"] - reference.profiles["anisotropy"] for look in features.looks]
    out["damage_smear"] = float(max((r > 0.9).mean() for r in rises))
    out["damage_smear_across_ref"] = float(max((r < -0.9).mean() for r in rises))
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


def severity(v: Values) -> int:
    return grade(
        float(
            np.nanmax(
                [
                    v["damage_green_share"],
                    v["damage_grey_share"],
                    v["damage_smear"],
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
    blocks = np.asarray(cv2.resize(green, (16, 9), interpolation=cv2.INTER_AREA)) > 0.3
    if features.reference is not None:
        blocks |= features.after.profiled["anisotropy"] - features.reference.profiles["anisotropy"] > 0.9
    return rectangles(blocks)


CHECK = Check(
    PictureFault.CORRUPT,
    measure,
    severity,
    ("damage_grid_log", "damage_smear_down", "damage_green_share", "damage_flags"),
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
)
