"""Snow, grain, specks or coloured noise over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import (
    Features,
    Look,
    block_means,
    percentile,
    percentiles,
    second_differences,
)
from sharpeyes.health.diagnose.reading import Check, Values, above, both, grade, usual

_SPECK = 30
"""Steps of luma by which a speck stands out from the median of its neighbours."""
_SPECKS = 0.0008
"""Share of the pixels that are specks, in a quarter of the blocks or more."""


def values(look: Look) -> dict[str, float]:
    p05, p25, p50 = percentiles(look.fine_blocks, (5, 25, 50))
    specks = block_means(_specks(look))
    chroma = [second_differences(plane.astype(np.float32)) for plane in (look.picture.u, look.picture.v)]
    coloured = percentiles(block_means(chroma[0] + chroma[1]), (10, 50))
    return {
        "noise_p05": float(p05),
        "noise_p25": float(p25),
        "noise_p50": float(p50),
        "specks": float(specks.mean()),
        "specks_p25": float(percentile(specks, 25)),
        "chroma_noise_p10": float(coloured[0]),
        "chroma_noise": float(coloured[1]),
    }


def _specks(look: Look) -> NDArray[np.bool_]:
    return np.asarray(cv2.absdiff(look.picture.y, cv2.medianBlur(look.picture.y, 3)) > _SPECK)


def _fresh(specks: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """Share of specks that the other picture has not: sharp leaves and gravel stay where they are."""
    around = cv2.dilate(others.astype(np.uint8), np.ones((3, 3), np.uint8))
    return float(percentile(block_means(specks & (around == 0)), 25))


def measure(features: Features) -> dict[str, float]:
    out: dict[str, float] = {}
    for name in (
        "noise_p05",
        "noise_p25",
        "noise_p50",
        "specks",
        "specks_p25",
        "chroma_noise_p10",
        "chroma_noise",
    ):
        value = both(features, name)[0]
        middle, _ = usual(features, name)
        out[f"grain_{name}"] = value
        out[f"grain_{name}_rise"] = value - middle
        out[f"grain_{name}_ratio"] = float(np.log((value + 0.02) / (middle + 0.02)))
    out["fresh_specks_p25"] = fresh = out["grain_specks_p25"]
    if features.before is not None and fresh > _SPECKS:
        before, after = _specks(features.before), _specks(features.after)
        out["fresh_specks_p25"] = min(_fresh(before, after), _fresh(after, before))
    return out


def margin(v: Values) -> float:
    specks = above(v["fresh_specks_p25"], _SPECKS, 0.0005)
    grain = min(
        above(v["grain_noise_p25_ratio"], 0.95, 0.1, unknown=above(v["grain_noise_p25"], 2.4, 0.3)),
        above(v["grain_noise_p25_rise"], 0.6, 0.1, unknown=3.0),
    )
    coloured = min(
        above(v["grain_chroma_noise_p10"], 0.35, 0.08),
        above(v["grain_chroma_noise_p10_rise"], 0.2, 0.05, unknown=3.0),
        above(v["grain_noise_p25"], 0.7, 0.15),
    )
    return max(specks, grain, coloured)


def severity(v: Values) -> int:
    return max(
        grade(v["grain_noise_p25"], 8, 15),
        grade(v["grain_specks_p25"], 0.03, 0.1),
        grade(v["grain_chroma_noise"], 6, 12),
    )


CHECK = Check(
    PictureFault.NOISE,
    measure,
    severity,
    ("grain_noise_p25", "grain_noise_p05", "grain_specks", "grain_chroma_noise"),
    values=values,
    margin=margin,
)
