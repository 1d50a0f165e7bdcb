"""Something covers part or all of the lens: the edges that are always there are gone, and it stands still.

Per block: agreement with the persistent edges is lost in both pictures, colour or brightness differ from the
usual beyond a change of light, and nothing there moves. A vehicle moves between the pictures, a cloth
does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import (
    Features,
    Look,
    Map,
    block_means,
    halved,
    largest_part,
    median,
    percentile,
    percentiles,
    product,
    share,
)
from sharpeyes.health.diagnose.reading import Check, Region, Values, above, below, grade, rectangles

_ALL_GONE = 0.2
"""Share of the edges that are always there: a view that has no more of them is covered all over."""
_MAPS = ("lost", "gone", "changed", "tinted", "flat", "new", "both", "any")
_UNSEEN = (
    "share",
    "part",
    "chroma",
    "luma",
    "flat",
    "shade",
    "kept",
    "cosine",
    "known",
    "light",
    "step",
    "even",
    "rest",
)
_HIDDEN = ("by_day", "part", "flat", "lost", "rest", "dark", "light", "moved", "cosine")
_REST = (
    "lost_median",
    "lost_best",
    "lost_worst",
    "kept",
    "edges_known",
    "new_mean",
    "part_static",
    "part_chroma",
    "part_sharp",
    "part_luma",
    "rest_lost",
    "rest_change",
    "border",
    "change_mean",
    "moved",
    "contrast_lost",
    "part_even",
    "thing",
    "thing_cosine",
    "part_cosine",
    "lost_cosine",
    "turned",
    "turned_part",
    "turned_extra",
    "thing_cover",
    "thing_kept",
    "thing_chroma",
    "thing_luma",
    "thing_flat",
    "thing_known",
    "thing_score",
    "thing_border",
    "thing_round",
    "thing_still",
    "thing_shade",
    "thing_light",
    "thing_dark",
    "part_shade",
    "part_light",
    "faint_lost",
    "faint_part",
    "faint_both",
    "faint_both_part",
    "faint_median",
    "faint_best",
    "faint_worst",
    "faint_rest",
    "faint_spread",
    "faint_usual",
    "faint_flat",
    "faint_luma",
    "faint_chroma",
    "faint_moved",
)


def _faint(features: Features, maps: dict[str, NDArray[np.floating]]) -> dict[str, float]:
    """Weak structure that is gone in both pictures beyond what the camera's pictures differ by."""
    reference = features.reference
    assert reference is not None
    best = np.max([reference.faint_agreement(look.faint) for look in features.looks], axis=0)
    usual = reference.usual_faint
    known = usual > 0.25
    fall = (usual - best) / np.maximum(usual, 0.3)
    lost = known & (fall > 0.5) & (usual - best > 2.5 * reference.faint_spread)
    differs = (maps["luma"] > 8) | (maps["chroma"] > 5) | (maps["flat"] > 0.6)
    size, where = largest_part(lost)
    both, both_where = largest_part(lost & differs)
    falls = fall[known] if known.sum() > 8 else np.zeros(1)
    low, middle, high = percentiles(falls, (10, 50, 90))
    part = both_where if both else where
    rest = known & ~part
    inside = part.any()
    return {
        "cover_faint_lost": share(lost),
        "cover_faint_part": size / 144,
        "cover_faint_both": share(lost & differs),
        "cover_faint_both_part": both / 144,
        "cover_faint_median": middle,
        "cover_faint_best": low,
        "cover_faint_worst": high,
        "cover_faint_rest": float(fall[rest].mean()) if rest.any() else 1.0,
        "cover_faint_spread": float(np.median(reference.faint_spread)),
        "cover_faint_usual": float(np.median(usual)),
        "cover_faint_flat": float(maps["flat"][part].mean()) if inside else 0.0,
        "cover_faint_luma": float(maps["luma"][part].mean()) if inside else 0.0,
        "cover_faint_chroma": float(maps["chroma"][part].mean()) if inside else 0.0,
        "cover_faint_moved": float(maps["moved"][part].mean()) if inside else 0.0,
    }


def _most(maps: Sequence[Map]) -> Map:
    return maps[0] if len(maps) == 1 else np.asarray(cv2.max(*maps), np.float32)


def block_maps(features: Features) -> dict[str, NDArray[np.floating]] | None:
    """The (9, 16) maps from which the verdict is made; None without a reference."""
    reference, change, lost = features.reference, features.thumb_change, features.lost_blocks
    if reference is None or change is None or lost is None:
        return None
    spread = reference.thumb_spread
    sign = np.sign(change)
    same = sign[0] == sign[-1]
    least = np.abs(change).min(axis=0) * same
    luma = block_means(least[..., 0])
    chroma = block_means(np.hypot(least[..., 1], least[..., 2]))
    unusual = block_means(least[..., 0] / (2 * spread[..., 0] + 4))
    known = (reference.persistence_blocks >= 0.05) & (reference.usual_agreement > 0.35)
    loss = np.where(known, np.nan_to_num(lost), 0)
    usual = reference.profiles["middle"]
    now = np.max([look.middle_blocks for look in features.looks], axis=0)
    flat = np.clip(np.log((usual + 0.4) / (now + 0.4)), -1, 4)
    strength = features.strength
    fresh = np.clip(strength - reference.persistence, 0, 1) * (reference.persistence < 0.35)
    along = block_means(features.along)
    sizes = block_means(strength * reference.persistence)
    cosine = along / (sizes + 1e-3)
    if features.before is None:
        moved = np.zeros((9, 16), np.float32)
    else:
        moved = block_means(np.abs(features.after.half - features.before.half))
    return {
        "known": known,
        "loss": loss,
        "luma": luma,
        "chroma": chroma,
        "unusual": unusual,
        "flat": flat,
        "new": block_means(fresh),
        "along": along,
        "cosine": cosine,
        "weight": sizes / (reference.persistence_blocks + 1e-3),
        "moved": moved,
    }


def _things(features: Features) -> dict[str, float]:
    """The static, unusual areas at thumbnail scale, and the most cover-like of them.

    An area counts as it is large, unlike the usual beyond its spread, and has lost the edges or
    grain that were there. A shadow keeps the edges inside, a vehicle does not stand still between the
    pictures.
    """
    reference, change = features.reference, features.thumb_change
    assert reference is not None
    assert change is not None
    same = np.sign(change[0]) == np.sign(change[-1])
    least = np.abs(change).min(axis=0) * same
    spread = reference.thumb_spread
    luma = least[..., 0] / (2.0 * spread[..., 0] + 6)
    chroma = np.hypot(least[..., 1] / (1.5 * spread[..., 1] + 3), least[..., 2] / (1.5 * spread[..., 2] + 3))
    still = _is_still(features)
    # every place: agreement of the mean field with the persistent edges, and edges to be expected
    seen = halved(features.along, 2)
    pointed = halved(features.strength * reference.persistence, 2)
    expected = halved(reference.persistence**2, 2)
    grain = halved(_most([look.detail for look in features.looks]), 3)
    usual_grain = reference.profiles["grain"]
    now = np.maximum(_most([look.thumb[..., 0] for look in features.looks]) - 16, 2)
    usual_luma = np.maximum(reference.thumb[..., 0] - 16, 2)
    out = _unseen(features, seen, pointed, expected, grain, now - usual_luma)
    mask = (((luma > 1) | (chroma > 1.2)) & still).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    best = dict.fromkeys(
        (
            "thing_cover",
            "thing_kept",
            "thing_cosine",
            "thing_chroma",
            "thing_luma",
            "thing_flat",
            "thing_known",
            "thing_score",
            "thing_border",
            "thing_round",
            "thing_still",
            "thing_shade",
            "thing_light",
            "thing_dark",
        ),
        0.0,
    )
    total = 0.0
    for index in range(1, count):
        x, y, w, h, area = (int(n) for n in stats[index])
        if area < 36:
            continue
        inside = labels == index
        known = float(expected[inside].mean())
        kept = float(seen[inside].sum() / (expected[inside].sum() + 1e-3)) if known > 0.01 else 0.6
        aligned = float(seen[inside].sum() / (pointed[inside].sum() + 0.05))
        flat = float(np.log((usual_grain[inside].mean() + 0.3) / (grain[inside].mean() + 0.3)))
        lost = min(max(1 - kept, 0.0), 1.0) * min(max(1.3 - aligned, 0.0) * 1.6, 1.0)
        tint, light = float(chroma[inside].mean()), float(luma[inside].mean())
        weight = lost * min(known / 0.05, 1.0) + 0.3 * max(flat, 0.0) + 0.2 * min(tint, 3.0)
        score = float(np.sqrt(area / mask.size)) * weight
        total += area / mask.size * (lost > 0.5 or tint > 2)
        if score > best["thing_score"]:
            best = {
                "thing_cover": area / mask.size,
                "thing_kept": kept,
                "thing_cosine": aligned,
                "thing_chroma": tint,
                "thing_luma": light,
                "thing_flat": flat,
                "thing_known": known,
                "thing_score": score,
                "thing_border": float(x == 0 or y == 0 or x + w == 80 or y + h == 45),
                "thing_round": area / (w * h),
                "thing_still": float(np.abs(change[0] - change[-1])[inside].mean()),
                # a shadow takes of the grain what it takes of the light
                "thing_shade": flat + float(np.log(now[inside].mean() / usual_luma[inside].mean())),
                "thing_light": float(now[inside].mean()),
                "thing_dark": float(np.log(now[inside].mean() / usual_luma[inside].mean())),
            }
    return {f"cover_{k}": v for k, v in best.items()} | {"cover_thing": total} | out


def _is_still(features: Features) -> NDArray[np.bool_]:
    """(45, 80): where the two pictures are alike."""
    if features.before is None:
        return np.ones((45, 80), np.bool_)
    return np.asarray(np.abs(features.after.thumb[..., 0] - features.before.thumb[..., 0]) < 7, np.bool_)


def _strange(features: Features) -> tuple[Map, Map, NDArray[np.bool_]]:
    """(45, 80) each: how far luma and chroma are beyond what was ever learned, and where so, still."""
    reference, change = features.reference, features.thumb_change
    assert reference is not None
    assert change is not None
    beyond = [reference.beyond(each) for each in change]
    luma, chroma = (
        np.asarray(cv2.min(*pair) if len(pair) > 1 else pair[0], np.float32)
        for pair in zip(*beyond, strict=True)
    )
    strange = (((luma > 9) | (chroma > 2.5)) & _is_still(features)).astype(np.uint8)
    return luma, chroma, cv2.morphologyEx(strange, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0


def _unseen(
    features: Features,
    seen: Map,
    pointed: Map,
    expected: Map,
    grain: Map,
    brighter: Map,
) -> dict[str, float]:
    """The largest area that is as none of the learned pictures was, light apart, and stands still.

    A forest is red in autumn and green in spring: its spread is wide, but a violet patch is in no season.
    """
    reference = features.reference
    assert reference is not None
    luma, chroma, mask = _strange(features)
    size, part = largest_part(mask)
    values = dict.fromkeys(_UNSEEN, 0.0)
    values |= {"share": share(mask), "kept": 0.6, "cosine": 0.6, "step": 0.0}
    if size >= 30:
        ring = (cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~part
        total = luma + 2 * chroma
        usual_grain = reference.profiles["grain"]
        flat = float(np.log((usual_grain[part].mean() + 0.3) / (grain[part].mean() + 0.3)))
        usual_luma = np.maximum(reference.thumb[..., 0][part] - 16, 2)
        shade = float(np.log(max(float((usual_luma + brighter[part]).mean()), 2.0) / usual_luma.mean()))
        known = float(expected[part].mean())
        thumb = features.after.thumb
        values |= {
            "part": size / mask.size,
            "chroma": float(chroma[part].mean()),
            "luma": float(luma[part].mean()),
            "flat": flat,
            # a shadow takes of the grain what it takes of the light
            "shade": flat + shade,
            "kept": float(seen[part].sum() / (expected[part].sum() + 1e-3)) if known > 0.01 else 0.6,
            "cosine": float(seen[part].sum() / (pointed[part].sum() + 0.05)),
            "known": known,
            "light": float(thumb[..., 0][part].mean()),
            # a cover ends at once, fog and glare fade
            "step": float((total[part].mean() - total[ring].mean()) / (total[part].mean() + 1))
            if ring.any()
            else 0.0,
            "even": float(thumb[part].std(axis=0).mean()),
            "rest": float(total[~part].mean()) if not part.all() else 99.0,
        }
    return {f"unseen_{k}": v for k, v in values.items()}


def _gone_elsewhere(features: Features) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """The largest part where the edges of another mode are missing in both pictures, and its blocks (9, 16).

    How bright or coloured it is means nothing between modes; where the edges are does.
    """
    values, part = dict.fromkeys(_HIDDEN, float("nan")), np.zeros((9, 16), np.bool_)
    foreign, before = features.foreign, features.before
    if foreign is None or before is None:
        return values, part
    values["by_day"] = float(foreign.mode == "day")
    usual = foreign.usual_agreement
    known = (foreign.persistence_blocks >= 0.08) & (usual > 0.35)
    now = np.nan_to_num(np.max([foreign.agreement(look.field) for look in features.looks], axis=0))
    lost = np.where(known, np.clip((usual - now) / np.maximum(usual, 0.2), 0, 1), 0)
    middle = np.max([look.middle_blocks for look in features.looks], axis=0)
    flat = np.log((foreign.profiles["middle"] + 0.4) / (middle + 0.4))
    there = known & (lost < 0.5)
    if there.sum() > 5:
        flat = flat - median(flat[there])
    size, part = largest_part(known & (lost > 0.75) & (flat > 0.5))
    if not size:
        return values | {"part": 0.0}, part
    along, strength = product(features.field, foreign.field), features.strength * foreign.persistence
    rest = known & ~part
    one, two = before.thumb_planes[0], features.after.thumb_planes[0]
    light = block_means(np.asarray(cv2.min(one, two), np.float32))
    moved = block_means(np.asarray(cv2.absdiff(one, two), np.float32))
    values |= {
        "part": size / part.size,
        "flat": float(flat[part].mean()),
        "lost": float(lost[part].mean()),
        "rest": median(lost[rest]) if rest.any() else 1.0,
        "dark": percentile(light[part], 20),
        "light": float(light[part].mean()),
        "moved": float(moved[part].mean()),
        "cosine": float(block_means(along)[part].sum() / (block_means(strength)[part].sum() + 1e-3)),
    }
    return values, part


def profiles(look: Look) -> dict[str, NDArray[np.float32]]:
    return {"grain": halved(look.detail, 3)}


def _masks(m: dict[str, NDArray[np.floating]]) -> dict[str, NDArray[np.bool_]]:
    # what the whole picture lost (fog, dark) is not a cover: count what a block lost beyond the best third
    known = m["known"].astype(bool)
    common = float(percentile(m["loss"][known], 30)) if known.sum() > 8 else 0.0
    extra = m["loss"] - common * 0.7
    differs = (m["luma"] > 10) & (m["unusual"] > 1.2) | (m["chroma"] > 6)
    lost = known & (extra > 0.4)
    still = m["moved"] < 6
    flat = m["flat"] > 0.7
    return {
        "lost": lost,
        "gone": known & (extra > 0.65),
        "changed": (m["luma"] > 18) & (m["unusual"] > 2),
        "tinted": m["chroma"] > 8,
        "flat": flat,
        "new": m["new"] > 0.12,
        "both": lost & differs,
        "any": (lost | (~known & (flat | differs)) | (flat & differs)) & (differs | flat) & still,
    }


def measure(features: Features) -> dict[str, float]:
    maps = block_maps(features)
    hidden, _ = _gone_elsewhere(features)
    out = {f"hidden_{name}": value for name, value in hidden.items()}
    if maps is None or features.reference is None:
        return (
            dict.fromkeys(
                [f"cover_{n}{s}" for n in _MAPS for s in ("", "_part")]
                + [f"cover_{n}" for n in _REST]
                + [f"unseen_{n}" for n in _UNSEEN],
                float("nan"),
            )
            | out
            | {"covered": hidden["part"]}
        )
    masks = _masks(maps)
    part = np.zeros((9, 16), np.bool_)
    for name in _MAPS:
        size, where = largest_part(masks[name])
        out[f"cover_{name}"] = share(masks[name])
        out[f"cover_{name}_part"] = size / 144
        if name == "any":
            part = where
    known = maps["known"].astype(bool)
    loss = maps["loss"][known] if known.sum() > 8 else np.zeros(1)
    p10, p50, p90 = percentiles(loss, (10, 50, 90))
    rest = ~part
    # fog thins edges but leaves them their direction: what is turned or wholly gone is covered
    turned = known & (maps["loss"] > 0.45) & ((maps["cosine"] < 0.45) | (maps["weight"] < 0.05))
    turned_part, _ = largest_part(turned)
    gone_blocks = known & (maps["loss"] > 0.5)
    knownrest = known & rest
    inside = part.any()
    total = maps["luma"] + maps["chroma"]
    now = features.after.thumb
    even = block_means(now[..., 0] ** 2) - block_means(now[..., 0]) ** 2
    light = block_means(_most([look.thumb[..., 0] for look in features.looks])) - 16
    usual_light = block_means(np.ascontiguousarray(features.reference.thumb[..., 0])) - 16
    shade = maps["flat"] + np.log(np.maximum(light, 2) / np.maximum(usual_light, 2))
    out |= {
        "cover_part_shade": float(median(shade[part])) if inside else 0.0,
        "cover_part_light": float(light[part].mean()) if inside else 0.0,
        "cover_turned": share(turned),
        "cover_turned_part": turned_part / 144,
        "cover_turned_extra": share(
            turned & ((maps["luma"] > 8) | (maps["chroma"] > 5) | (maps["flat"] > 0.6))
        ),
        "cover_part_cosine": float(median(maps["cosine"][part & known])) if (part & known).any() else 0.5,
        "cover_lost_cosine": float(median(maps["cosine"][gone_blocks])) if gone_blocks.any() else 1.0,
        "cover_lost_median": float(p50),
        "cover_lost_best": float(p10),
        "cover_lost_worst": float(p90),
        "cover_kept": _kept(maps),
        "cover_edges_known": share(known),
        "cover_new_mean": float(maps["new"].mean()),
        "cover_part_static": float(maps["moved"][part].mean()) if inside else 0.0,
        "cover_part_chroma": float(maps["chroma"][part].mean()) if inside else 0.0,
        "cover_part_sharp": float(maps["flat"][part].mean()) if inside else 0.0,
        "cover_part_luma": float(maps["luma"][part].mean()) if inside else 0.0,
        "cover_rest_lost": float(maps["loss"][knownrest].mean()) if knownrest.any() else 1.0,
        "cover_rest_change": float(total[rest].mean()) if rest.any() else 99.0,
        "cover_border": float(part[0].any() + part[-1].any() + part[:, 0].any() + part[:, -1].any()),
        "cover_change_mean": float(total.mean()),
        "cover_moved": float(median(maps["moved"])),
        "cover_contrast_lost": float(median(maps["flat"])),
        "cover_part_even": float(np.sqrt(np.maximum(even, 0))[part].mean()) if inside else 0.0,
    }
    covered = out["cover_any"] if out["cover_kept"] > _ALL_GONE else 1 - out["cover_kept"]
    return out | _things(features) | _faint(features, maps) | {"covered": covered}


def _kept(maps: dict[str, NDArray[np.floating]]) -> float:
    """Share of the edges that are always there, 0..1."""
    return float(1 - maps["loss"].sum() / max(int(maps["known"].sum()), 1))


def margin(v: Values) -> float:
    """Where a camera sees no edges (a bare road) only a foreign colour tells: a large, still, even thing."""
    return min(
        above(v["cover_thing_chroma"], 1.7, 0.3),
        above(v["cover_thing_cover"], 0.09, 0.03),
        above(v["cover_thing_flat"], -1.2, 0.2),
        below(v["cover_thing_known"], 0.04, 0.02),
        below(v["cast_place_z"], 1.0, 0.2),
    )


def certain(v: Values) -> float:
    """A large, still area of a colour or an evenness never seen there, ending at once, with none of the usual
    edges, in a view that has not moved: a cover, however the place changes through the year.

    The harder it ends, the less of it is enough. A shadow or a lamp leaves the colour nearly as it is: where
    there are no edges to lose (a bare road), a foreign colour that ends hard is enough too.
    """
    part, step = v["unseen_part"], v["unseen_step"]
    no_edges = below(v["unseen_kept"], 0.3, 0.06)
    colour = min(above(v["unseen_chroma"], 7, 1), above(part, 0.12, 0.03), no_edges)
    hard = min(
        above(v["unseen_chroma"], 3.5, 0.5),
        above(part, 0.14, 0.03),
        above(step, 0.75, 0.08),
        max(no_edges, below(v["unseen_known"], 0.02, 0.01)),
    )
    even = min(
        above(v["unseen_flat"], 0.9, 0.1),
        max(
            min(above(v["unseen_luma"], 12, 4), above(part, 0.06, 0.03)),
            min(above(v["unseen_luma"], 20, 4), above(part, 0.035, 0.02), above(step, 0.6, 0.08)),
        ),
        no_edges,
    )
    # nothing is left that it could end at: all of the picture is of a colour never seen there, softer than
    # usual, and shows none of the marks
    whole = min(
        above(part, 0.8, 0.05),
        above(v["unseen_chroma"], 10, 1.5),
        above(v["blur_middle_p90_drop"], 0.2, 0.1),
        below(v["mark_fine"], 0.1, 0.03),
        below(v["mark_middle"], 0.15, 0.03),
        below(v["mark_coarse"], 0.25, 0.05),
    )
    ends = min(max(colour, even, hard), below(v["unseen_cosine"], 0.5, 0.08), above(step, 0.45, 0.08))
    return min(
        max(ends, whole),
        below(v["unseen_light"], 215, 5),
        below(v["shift_gain"], 0.1, 0.03),
    )


def unless(v: Values) -> float:
    """Fog takes contrast from all of the picture, but what it leaves of the edges points as it always did;
    glare is brighter than any cover."""
    fog = min(
        above(v["cover_lost_cosine"], 0.62, 0.05),
        above(v["unseen_cosine"], 0.62, 0.05),
        above(v["cover_contrast_lost"], 0.7, 0.1),
    )
    return max(fog, above(v["cover_part_light"], 203, 4))


def by_other_mode(v: Values) -> float:
    """The first night, by the edges of the day: a still, even, well lit part has none of them, the rest has
    them. What the dark hides is dark, and what a lamp bleaches is white. The larger the part, the more of the
    rest may be missing. The other way round, lamps draw edges of their own, which are gone by day."""
    return min(
        above(v["hidden_part"], 0.08, 0.03),
        above(v["hidden_flat"], 1.0 if v["hidden_by_day"] == 1 else 1.7, 0.2),
        above(v["hidden_lost"], 0.9, 0.03),
        below(v["hidden_rest"], 0.41 + 0.5 * v["hidden_part"], 0.1),
        below(v["hidden_cosine"], 0.5, 0.1),
        above(v["hidden_dark"], 30, 5),
        below(v["hidden_light"], 200, 5),
        below(v["hidden_moved"], 5, 1),
    )


def severity(v: Values) -> int:
    return grade(float(np.nanmax([v["covered"], v["unseen_part"], 0.0])), 0.3, 0.6)


def region(features: Features) -> Region:
    maps = block_maps(features)
    if maps is None:
        return rectangles(_gone_elsewhere(features)[1])
    if _kept(maps) <= _ALL_GONE:
        return ()
    found = rectangles(_masks(maps)["any"])
    return found or rectangles(block_means(_strange(features)[2].astype(np.float32)) > 0.5)


CHECK = Check(
    PictureFault.OCCLUDED,
    measure,
    severity,
    ("cover_any_part", "cover_lost", "cover_changed", "cover_rest_lost"),
    profiles=profiles,
    region=region,
    needs_reference=True,
    margin=margin,
    inputs=("cover_", "mark_", "shift_", "damage_rows", "damage_lost", "damage_green", "lost_std", "margin_"),
    rule_weight=0.5,
    certain=certain,
    unless=unless,
    by_other_mode=by_other_mode,
)
