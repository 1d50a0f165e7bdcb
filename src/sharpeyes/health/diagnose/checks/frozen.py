"""The sensor or encoder repeats one picture: even noise stands still, though a clock may run.

Not found from a pair: one picture that an encoder codes again and again under control of its bit rate. From
keyframe to keyframe it differs as much, as evenly and as finely as a quiet street does with the noise of a
live sensor, which such an encoder takes away: no value here tells them apart, unless two keyframes were coded
alike. Once two were, the picture is known again by them (:mod:`sharpeyes.health.diagnose.imprint`).
"""

from __future__ import annotations

import cv2
import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Map, block_means, median, percentile, percentiles
from sharpeyes.health.diagnose.reading import Check, Values, above, below, both, usual

_NAMES = (
    "still_p10",
    "still_p50",
    "still_p90",
    "still_inner_max",
    "still_max",
    "still_equal",
    "still_ratio_p50",
    "still_ratio_p90",
    "still_correlation",
    "still_flat_correlation",
    "still_drift",
    "still_drift_spread",
    "still_low_max",
    "still_low_p90",
    "still_chroma",
    "still_fine_ratio",
    "still_equal_p10",
    "still_inner_second",
)


def _drift(before: Map, after: Map) -> dict[str, float]:
    """Mean change of the luma, and how unevenly dark and bright parts changed.

    Light changes bright parts more than dark ones; an encoder that rounds down takes the same from all.
    """
    edges = percentiles(before, (25, 50, 75))
    quarter = np.searchsorted(edges, before)
    change = after - before
    means = [float(change[quarter == q].mean()) for q in range(4) if (quarter == q).any()]
    return {"still_drift": float(change.mean()), "still_drift_spread": float(np.std(means))}


def measure(features: Features) -> dict[str, float]:
    if features.before is None or features.difference is None:
        return dict.fromkeys(_NAMES, float("nan"))
    size = cv2.absdiff(features.after.luma, features.before.luma)
    blocks = block_means(size)
    # burned-in text lives in the rows at the top and bottom
    inner = blocks[1:-1]
    noise = np.maximum(features.after.fine_blocks, 0.15)
    ratio = blocks / noise
    equal = block_means(features.after.picture.y == features.before.picture.y)
    low = np.abs(features.after.thumb - features.before.thumb)
    a, b = (np.ascontiguousarray(look.high[::2, ::2]) for look in (features.before, features.after))
    aa, bb, ab = block_means(a * a), block_means(b * b), block_means(a * b)
    correlation = ab / np.sqrt(aa * bb + 1e-3)
    calm = features.after.fine_blocks <= percentile(features.after.fine_blocks, 35)
    ordered = np.sort(inner.ravel())
    p10, p50, p90 = percentiles(inner, (10, 50, 90))
    usual_noise = usual(features, "noise_p25")[0]
    return {
        "still_p10": float(p10),
        "still_p50": float(p50),
        "still_p90": float(p90),
        "still_inner_max": float(ordered[-1]),
        "still_inner_second": float(ordered[-6]),
        "still_max": float(blocks.max()),
        "still_equal": float(median(equal)),
        "still_equal_p10": float(percentile(equal, 10)),
        "still_ratio_p50": float(median(ratio)),
        "still_ratio_p90": float(percentile(ratio, 90)),
        "still_correlation": float(median(correlation)),
        "still_flat_correlation": float(median(correlation[calm])),
        **_drift(features.before.thumb[5:-5, :, 0], features.after.thumb[5:-5, :, 0]),
        "still_low_max": float(low[5:-5, :, 0].max()),
        "still_low_p90": float(percentile(low[5:-5, :, 0], 90)),
        "still_chroma": float(low[5:-5, :, 1:].mean()),
        "still_fine_ratio": both(features, "noise_p25")[0] / max(usual_noise, 0.1),
    }


def margin(v: Values) -> float:
    # not one block differs, though there is texture; a running clock is outside the inner rows or small
    same = min(
        above(v["still_equal"], 0.97, 0.02),
        below(v["still_p90"], 1.05, 0.2),
        below(v["still_inner_second"], 1.4, 0.3),
        above(v["still_correlation"], 0.9, 0.05),
    )
    # encoded again, once or some times: a small error everywhere, of the same sign, and nothing that moved
    again = min(
        below(v["still_drift"], -0.3, 0.04),
        above(v["still_drift"], -1.8, 0.03),
        below(v["still_drift_spread"], 0.135, 0.03),
        below(v["still_inner_max"], 5.0, 1.0),
        below(v["still_low_max"], 8.5, 1.5),
        above(v["still_correlation"], 0.14, 0.05),
    )
    return max(same, again)


def severity(_: Values) -> int:
    return 2


CHECK = Check(
    PictureFault.FROZEN,
    measure,
    severity,
    ("still_p50", "still_inner_max", "still_equal", "still_correlation"),
    needs_two=True,
    margin=margin,
)
