"""The colour is gone or nearly gone by day; under infrared light grey is normal."""

from __future__ import annotations

import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look, median, percentiles
from sharpeyes.health.diagnose.reading import Check, Values, above, below, both, usual


def values(look: Look) -> dict[str, float]:
    _, u, v = look.thumb_planes
    size = np.sqrt(u * u + v * v)
    du, dv = u - np.float32(median(u)), v - np.float32(median(v))
    p50, p90, p98 = percentiles(size, (50, 90, 98))
    return {
        "chroma_mean": float(size.mean()),
        "chroma_p50": float(p50),
        "chroma_p90": float(p90),
        "chroma_p98": float(p98),
        "chroma_around": float(np.sqrt(du * du + dv * dv).mean()),
    }


def measure(features: Features) -> dict[str, float]:
    out: dict[str, float] = {}
    for name in ("chroma_mean", "chroma_p50", "chroma_p90", "chroma_p98", "chroma_around"):
        value = both(features, name)[1]
        middle, _ = usual(features, name)
        out[f"loss_{name}"] = value
        out[f"loss_{name}_ratio"] = float((value + 0.5) / (middle + 0.5))
        out[f"loss_{name}_usual"] = middle
    out["loss_slope"] = float("nan")
    if features.reference is not None:
        # slope of chroma on the usual chroma, place by place: 1 = as usual, 0 = none; fog lowers it too
        theirs = features.reference.thumb[..., 1:].ravel()
        energy = float(theirs @ theirs)
        if energy > 2 * theirs.size:
            out["loss_slope"] = max(
                float(look.thumb[..., 1:].ravel() @ theirs) / energy for look in features.looks
            )
    contrast = both(features, "luma_std")[1]
    out["loss_contrast_ratio"] = contrast / max(usual(features, "luma_std")[0], 1.0)
    return out


def margin(v: Values) -> float:
    # fog takes colour too, but with it the contrast
    left = max(v["loss_chroma_around_ratio"], v["loss_chroma_p98_ratio"])
    return min(
        below(left, 0.35, 0.03),
        above(v["loss_chroma_p98_usual"], 6.5, 1),
        above(v["loss_contrast_ratio"], 0.55, 0.1),
    )


def severity(v: Values) -> int:
    return 1 + int(v["loss_chroma_mean_ratio"] < 0.25) + int(v["loss_chroma_mean_ratio"] < 0.12)


CHECK = Check(
    PictureFault.COLOR_LOSS,
    measure,
    severity,
    ("loss_chroma_mean", "loss_chroma_mean_ratio", "loss_slope"),
    values=values,
    needs_reference=True,
    margin=margin,
)
