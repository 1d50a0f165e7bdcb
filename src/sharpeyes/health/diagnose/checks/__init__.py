"""The checks, one a file. To add one: a file with a CHECK, and a line here."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.checks import (
    blurred,
    color_cast,
    color_loss,
    corrupt,
    frozen,
    noise,
    occluded,
    over_exposed,
    scene_shift,
    signal_lost,
    stripes,
    under_exposed,
)
from sharpeyes.health.diagnose.features import Features, Look
from sharpeyes.health.diagnose.reading import Check

CHECKS: tuple[Check, ...] = (
    signal_lost.CHECK,
    over_exposed.CHECK,
    under_exposed.CHECK,
    frozen.CHECK,
    blurred.CHECK,
    color_cast.CHECK,
    color_loss.CHECK,
    noise.CHECK,
    stripes.CHECK,
    occluded.CHECK,
    scene_shift.CHECK,
    corrupt.CHECK,
)


def values_of(look: Look) -> dict[str, float]:
    """Every check's single-picture values."""
    out: dict[str, float] = {}
    for check in CHECKS:
        out |= check.values(look)
    return out


def profiles_of(look: Look) -> dict[str, NDArray[np.float32]]:
    """Every check's larger single-picture measurements."""
    out: dict[str, NDArray[np.float32]] = {}
    for check in CHECKS:
        out |= check.profiles(look)
    return out


def measure(features: Features) -> dict[str, float]:
    """What all checks measure on a pair; names are unique over the checks."""
    out: dict[str, float] = {}
    for check in CHECKS:
        out |= check.measure(features)
    return out


def margins(values: dict[str, float]) -> dict[str, float]:
    """The margins of the rules; trained models see them too: a noisy picture has no trusted edges."""
    return {f"margin_{check.kind}": check.margin(values) for check in CHECKS if check.margin is not None}


@cache
def names() -> tuple[str, ...]:
    """The measured names, in order."""
    from sharpeyes.health.diagnose.picture import Picture

    grey = np.full((360, 640), 128, np.uint8)
    half = np.full((180, 320), 128, np.uint8)
    return tuple(measure(Features(None, Picture(grey, half, half), None)))
