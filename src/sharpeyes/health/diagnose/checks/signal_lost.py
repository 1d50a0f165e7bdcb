"""No scene at all: black, a single colour, colour bars or a "no signal" card."""

from __future__ import annotations

import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, length, share
from sharpeyes.health.diagnose.reading import Check, Values, above, below, both


def values(look: Look) -> dict[str, float]:
    thumb = look.thumb
    strength = length(look.field)
    middle = thumb[4:-4]
    rows = float(middle[..., 0].std(axis=0).mean())
    return {
        "edges": float(strength.mean()),
        "flat_share": share(look.fine_blocks < 0.35),
        "top_level_share": look.luma_values["top_level_share"],
        "column_std": rows,
        "thumb_std": float(middle[..., 0].std()),
        "mean_u": float(thumb[..., 1].mean()),
        "mean_v": float(thumb[..., 2].mean()),
    }


def measure(features: Features) -> dict[str, float]:
    agreement = features.agreement
    with np.errstate(invalid="ignore"):
        kept = (
            [float(np.nanmean(a)) if np.isfinite(a).any() else np.nan for a in agreement]
            if agreement is not None
            else [np.nan]
        )
    return {
        "lost_edges": both(features, "edges")[1],
        "lost_flat": both(features, "flat_share")[0],
        "lost_top_level": both(features, "top_level_share")[0],
        "lost_std": both(features, "thumb_std")[1],
        "lost_columns": both(features, "column_std")[1],
        "lost_blue": both(features, "mean_u")[0],
        "lost_kept": float(np.nanmax(kept)) if np.isfinite(kept).any() else float("nan"),
        "lost_dead": both(features, "dead_share")[0],
        "lost_noise": both(features, "noise_p25")[1],
        "lost_luma": max(look.luma_values["luma"] for look in features.looks),
        "lost_bright": max(look.luma_values["luma_p99"] for look in features.looks),
    }


def margin(v: Values) -> float:
    nothing = min(
        above(v["lost_dead"], 0.92, 0.03),
        below(v["lost_noise"], 0.01, 0.003),
        below(v["lost_luma"], 215, 10),
    )
    # one grey level nearly everywhere (black, blue, grey, a card with a word on it), or flat upright bars
    plain = min(above(v["lost_top_level"], 0.945, 0.02), below(v["lost_std"], 32, 6))
    bars = min(below(v["lost_columns"], 0.8, 0.5), above(v["lost_std"], 20, 6))
    # an analogue input without a camera hums: no structure at all under some grain
    empty = min(
        below(v["lost_std"], 1.1, 0.4), below(v["lost_kept"], 0.05, 0.03), below(v["lost_luma"], 205, 10)
    )
    return max(min(nothing, max(plain, bars)), empty)


def severity(_: Values) -> int:
    return 3


CHECK = Check(
    PictureFault.SIGNAL_LOST,
    measure,
    severity,
    ("lost_top_level", "lost_std", "lost_edges", "lost_kept"),
    values=values,
    margin=margin,
)
