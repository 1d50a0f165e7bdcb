"""A colour lies over the whole picture, dark and bright parts alike, that is not usual there."""

from __future__ import annotations

import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, median, percentiles, share
from sharpeyes.health.diagnose.reading import Check, Values, above, grade, usual


def _third_offsets(look: Look) -> list[tuple[float, float]]:
    y, u, v = look.thumb_planes
    low, high = percentiles(y, (33, 67))
    return [(median(u[part]), median(v[part])) for part in (y <= low, (y >= low) & (y <= high), y >= high)]


def values(look: Look) -> dict[str, float]:
    (du, dv), (mu, mv), (bu, bv) = _third_offsets(look)
    chroma = look.thumb[..., 1:]
    deviation = float(np.abs(chroma - chroma.reshape(-1, 2).mean(axis=0)).mean())
    return {
        "dark_u": du,
        "dark_v": dv,
        "mid_u": mu,
        "mid_v": mv,
        "light_u": bu,
        "light_v": bv,
        "chroma_deviation": deviation,
    }


def measure(features: Features) -> dict[str, float]:
    out: dict[str, float] = {}
    rows = []
    changes = features.thumb_change
    for index, look in enumerate(features.looks):
        m = look.measured
        u = np.array([m["dark_u"], m["mid_u"], m["light_u"]])
        v = np.array([m["dark_v"], m["mid_v"], m["light_v"]])
        ru = np.array([usual(features, n)[0] for n in ("dark_u", "mid_u", "light_u")])
        rv = np.array([usual(features, n)[0] for n in ("dark_v", "mid_v", "light_v")])
        du, dv = u - ru, v - rv
        size = np.hypot(du, dv)
        # the part of the shift that all thirds share
        shared = float(np.hypot(median(du), median(dv)))
        spread = float(np.hypot(du.std(), dv.std()))
        change = changes[index][..., 1:].reshape(-1, 2) if changes is not None else np.full((1, 2), np.nan)
        centre = np.array([median(change[:, 0]), median(change[:, 1])])
        around = float(median(np.abs(change - centre)))
        same_way = (
            share(change @ centre > 0.5 * float(centre @ centre)) if features.reference else float("nan")
        )
        rows.append(
            (
                float(size.min()),
                float(size.max()),
                shared,
                spread,
                float(np.hypot(*centre)),
                around,
                same_way,
                float(np.hypot(u, v).min()),
                float(np.hypot(median(u), median(v))),
                float(np.hypot(u.mean(), v.mean())) / (m["chroma_deviation"] + 1),
            )
        )
    names = ("min", "max", "shared", "spread", "centre", "around", "same_way", "own_min", "own", "own_k")
    for i, name in enumerate(names):
        out[f"cast_{name}"] = min(r[i] for r in rows)
    out |= _by_place(features)
    out["cast_centre_k"] = out["cast_centre"] / (out["cast_around"] + 1)
    return out


def _by_place(features: Features) -> dict[str, float]:
    """The shift of colour against the reference, place by place, in the usually dark and light thirds.

    A forest changes its colour over the year: what the learned pictures differ by is not a cast.
    """
    reference = features.reference
    if reference is None:
        return dict.fromkeys(
            (
                "cast_wander",
                "cast_excess",
                "cast_place_min",
                "cast_place_excess",
                "cast_place_z",
            ),
            float("nan"),
        )
    wander = reference.values["colour_wander"][0]
    usual_luma = reference.thumb[5:-5, :, 0]
    low, high = percentiles(usual_luma, (33, 67))
    rows = []
    for look in features.looks:
        change = (look.thumb - reference.thumb)[5:-5, :, 1:]
        centre = np.array([median(change[..., 0]), median(change[..., 1])])
        way = centre / (np.hypot(*centre) + 1e-3)
        parts = [
            float(median(change[part] @ way))
            for part in (usual_luma <= low, (usual_luma >= low) & (usual_luma <= high), usual_luma >= high)
        ]
        rows.append((float(np.hypot(*centre)), min(parts)))
    shift, least = (min(column) for column in zip(*rows, strict=True))
    return {
        "cast_wander": wander,
        "cast_excess": shift - wander,
        "cast_place_min": least,
        "cast_place_excess": least - wander,
        "cast_place_z": least / (wander + 2),
    }


def margin(v: Values) -> float:
    return min(
        above(v["cast_place_z"], 1.0, 0.2),
        above(v["cast_place_excess"], 2.4, 0.8),
        above(v["cast_own_min"], 4.5, 1.0),
    )


def severity(v: Values) -> int:
    return grade(v["cast_centre"] if v["cast_centre"] == v["cast_centre"] else v["cast_own"], 12, 20)


CHECK = Check(
    PictureFault.COLOR_CAST,
    measure,
    severity,
    ("cast_centre", "cast_min", "cast_same_way", "cast_own"),
    values=values,
    needs_reference=True,
    margin=margin,
    inputs=(
        "cast_",
        "loss_chroma",
        "over_luma",
        "over_gain",
        "over_slope",
        "cover_any",
        "cover_thing",
        "cover_both",
        "grain_chroma",
        "shift_cosine",
    ),
)
