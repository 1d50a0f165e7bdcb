"""What a check says: the kinds of fault, the reading, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.features import Features, Look
from sharpeyes.health.diagnose.words import Language, say


class Outcome(StrEnum):
    NORMAL = "normal"
    FAULT = "fault"
    NOT_ASSESSABLE = "not_assessable"
    """Something is missing for a judgement: a reference of this mode, a second picture, enough light."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A measured value beside the camera's normal range (None when not learned)."""

    name: str
    value: float
    normal: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence of :mod:`~sharpeyes.health.diagnose.words`: its key and its values."""

    key: str
    values: Mapping[str, str | float] = field(default_factory=dict)

    def text(self, language: Language) -> str:
        return say(self.key, self.values, language)


Region = tuple[tuple[int, int, int, int], ...]
"""Rectangles (x, y, width, height) in the 640x360 picture; empty = the whole picture."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One check's word on a pair of pictures. score 0-1, a fault from `threshold` on; severity 0
    (none) to 3.
    """

    kind: PictureFault
    outcome: Outcome
    score: float
    severity: int
    region: Region
    evidence: tuple[Evidence, ...]
    explanation: Message
    threshold: float = 0.5


Values = Mapping[str, float]


def _nothing(_: Look) -> dict[str, float]:
    return {}


def _no_profiles(_: Look) -> dict[str, NDArray[np.float32]]:
    return {}


def _everywhere(_: Features) -> Region:
    return ()


@dataclass(frozen=True)
class Check:
    """A check: pure functions from pictures and reference to numbers, words and a place.

    values and profiles measure a single picture; their medians over normal pictures become the reference.
    measure compares a pair with the reference: NaN is "cannot be known". severity grades a fault 1-3 from
    the measured numbers. region says where. shown names the measured numbers that explain the verdict.
    """

    kind: PictureFault
    measure: Callable[[Features], dict[str, float]]
    severity: Callable[[Values], int]
    shown: tuple[str, ...]
    values: Callable[[Look], dict[str, float]] = _nothing
    profiles: Callable[[Look], dict[str, NDArray[np.float32]]] = _no_profiles
    region: Callable[[Features], Region] = _everywhere
    margin: Callable[[Values], float] | None = None
    """Hand-set rule: > 0 is a fault."""
    inputs: tuple[str, ...] = ()
    """Beginnings of the names of the values that the trained model reads, if there is one."""
    rule_weight: float = 1.0
    """Beside a trained model: the rule's part in the sum of both."""
    certain: Callable[[Values], float] | None = None
    """Beside a trained model: a rule that needs no other opinion where it is > 0."""
    unless: Callable[[Values], float] | None = None
    """What looks like the fault and has another cause: a rule that takes it back where it is > 0."""
    by_other_mode: Callable[[Values], float] | None = None
    """Where only another mode was learned: a rule that says what is plain even so; else nothing is said."""
    lone: float = 0.0
    """Taken off the margin without a reference of the mode."""
    needs_reference: bool = False
    uses_foreign: bool = False
    """A reference of another mode will do."""
    needs_two: bool = False


def settled(check: Check, margin: float, values: Values) -> float:
    """A margin after the rules that need no other opinion."""
    if values["has_ref"] != 1:
        if check.by_other_mode is not None:
            return 2 * check.by_other_mode(values)
        margin -= check.lone
    if check.unless is not None:
        other = check.unless(values)
        margin = min(margin, -2 * other) if other > 0 else margin
    return margin if check.certain is None else max(margin, 2 * check.certain(values))


def grade(value: float, second: float, third: float) -> int:
    """Severity 1-3 of a fault: `value` against the limits of severity 2 and 3; NaN is 1."""
    return 1 + int(value >= second) + int(value >= third)


def above(value: float, limit: float, scale: float, unknown: float = -3.0) -> float:
    """How far a value is above its limit, in scales, within -3..3; `unknown` for NaN."""
    if value != value:
        return unknown
    return min(max((value - limit) / scale, -3.0), 3.0)


def below(value: float, limit: float, scale: float, unknown: float = -3.0) -> float:
    """How far a value is below its limit, in scales, within -3..3; `unknown` for NaN."""
    return above(-value, -limit, scale, unknown)


def usual(features: Features, name: str) -> tuple[float, float]:
    """Median and spread of a single-picture value in the reference; NaN if not learned."""
    if features.reference is None:
        return float("nan"), float("nan")
    return features.reference.values.get(name, (float("nan"), float("nan")))


def both(features: Features, name: str) -> tuple[float, float]:
    """The smaller and the larger of a single-picture value over the pictures."""
    values = [look.measured[name] for look in features.looks]
    return min(values), max(values)


def rectangles(mask: NDArray[np.bool_], columns: int = 16, rows: int = 9) -> Region:
    """Block mask -> bounding rectangles of its connected parts in 640x360, the largest first, at most six."""
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    width, height = 640 // columns, 360 // rows
    parts = sorted((stats[i] for i in range(1, count)), key=lambda s: -int(s[4]))
    return tuple(
        (int(x) * width, int(y) * height, int(w) * width, int(h) * height) for x, y, w, h, _ in parts[:6]
    )
