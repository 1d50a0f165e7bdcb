"""Too dark: against the camera's own reference of the mode, so that a dark night stays normal."""

from __future__ import annotations

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, median, percentile
from sharpeyes.health.diagnose.reading import Check, Values, below, both, usual


def measure(features: Features) -> dict[str, float]:
    out = {
        "under_luma": both(features, "luma")[1],
        "under_p50": both(features, "luma_p50")[1],
        "under_p75": both(features, "luma_p75")[1],
        "under_p95": both(features, "luma_p95")[1],
        "under_p99": both(features, "luma_p99")[1],
        "under_dark": both(features, "dark_share")[0],
        "under_std": both(features, "luma_std")[1],
        "under_gain": float("nan"),
        "under_top_gain": float("nan"),
        "under_luma_drop": usual(features, "luma")[0] - both(features, "luma")[1],
        "under_p95_drop": usual(features, "luma_p95")[0] - both(features, "luma_p95")[1],
    }
    if features.reference is not None:
        theirs = features.reference.thumb[..., 0] - 16
        lit = theirs > 8
        if lit.any():
            ratios = [(look.thumb[..., 0] - 16)[lit] / theirs[lit] for look in features.looks]
            out["under_gain"] = max(float(median(r)) for r in ratios)
            out["under_top_gain"] = max(float(percentile(r, 90)) for r in ratios)
    return out


def margin(v: Values) -> float:
    dark = below(v["under_p95"], 68, 5)
    # a dark night is normal where it is learned; without a reference only what is darker than any night
    unlike = below(v["under_top_gain"], 0.42, 0.05, unknown=below(v["under_p95"], 58, 4))
    return min(dark, unlike)


def severity(v: Values) -> int:
    return 1 + int(v["under_luma"] < 40) + int(v["under_luma"] < 26)


CHECK = Check(
    PictureFault.UNDER_EXPOSED,
    measure,
    severity,
    ("under_luma", "under_p95", "under_dark", "under_gain"),
    margin=margin,
)
