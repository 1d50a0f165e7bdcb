"""Too bright: highlights clipped or the whole picture washed out by gain, against the camera's own day."""

from __future__ import annotations

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, median
from sharpeyes.health.diagnose.reading import Check, Values, above, both, grade, usual

_LEVELS = (
    "luma",
    "luma_p05",
    "luma_p25",
    "luma_p50",
    "luma_p75",
    "luma_p95",
    "luma_p99",
    "bright_share",
    "clipped_share",
    "luma_std",
    "entropy",
    "dark_share",
)


def values(look: Look) -> dict[str, float]:
    return {name: look.luma_values[name] for name in _LEVELS}


def measure(features: Features) -> dict[str, float]:
    low = {name: both(features, name)[0] for name in _LEVELS}
    half = usual(features, "luma_p50")
    change = features.thumb_change
    out = {
        "over_luma": low["luma"],
        "over_p05": low["luma_p05"],
        "over_p25": low["luma_p25"],
        "over_p50": low["luma_p50"],
        "over_bright": low["bright_share"],
        "over_clipped": low["clipped_share"],
        "over_entropy": low["entropy"],
        "over_luma_rise": low["luma"] - usual(features, "luma")[0],
        "over_p50_rise": low["luma_p50"] - half[0],
        "over_p25_rise": low["luma_p25"] - usual(features, "luma_p25")[0],
        "over_p05_rise": low["luma_p05"] - usual(features, "luma_p05")[0],
        "over_bright_rise": low["bright_share"] - usual(features, "bright_share")[0],
        "over_clipped_rise": low["clipped_share"] - usual(features, "clipped_share")[0],
        "over_gain": float("nan"),
        "over_slope": float("nan"),
    }
    if features.reference is not None and change is not None:
        # gain on what is not clipped: a lamp or fog raises some of it, gain multiplies all of it
        theirs = features.reference.thumb[..., 0] - 16
        gains = [
            float(median((look.thumb[..., 0] - 16)[theirs > 8] / theirs[theirs > 8]))
            for look in features.looks
            if (theirs > 8).any()
        ]
        out["over_gain"] = min(gains) if gains else float("nan")
    if features.reference is not None:
        # gain stretches the contrast, fog compresses it: slope on the usual luma where not clipped
        theirs = features.reference.thumb[..., 0]
        slopes = []
        for look in features.looks:
            mine = look.thumb[..., 0]
            fit = mine < 222
            if fit.sum() > 300:
                x = theirs[fit] - theirs[fit].mean()
                slopes.append(float((x @ mine[fit]) / (x @ x + 200)))
        out["over_slope"] = min(slopes) if slopes else float("nan")
    return out


def margin(v: Values) -> float:
    white = max(above(v["over_p50"], 187, 8), above(v["over_bright"], 0.38, 0.05))
    # gain stretches the contrast, fog compresses it
    stretched = min(
        above(v["over_slope"], 1.42, 0.1),
        above(v["over_luma_rise"], 38, 6),
        above(v["over_gain"], 1.5, 0.1),
        above(v["over_luma"], 105, 6),
    )
    return max(white, stretched)


def severity(v: Values) -> int:
    return grade(v["over_bright"], 0.35, 0.6)


CHECK = Check(
    PictureFault.OVER_EXPOSED,
    measure,
    severity,
    ("over_luma", "over_bright", "over_clipped", "over_gain"),
    values=values,
    margin=margin,
)
