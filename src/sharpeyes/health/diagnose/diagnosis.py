"""The composed verdict on a camera's picture. When a fault is raised: :mod:`sharpeyes.health.sight`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose import model as models
from sharpeyes.health.diagnose.checks import CHECKS, margins, measure
from sharpeyes.health.diagnose.features import Features
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Check, Evidence, Message, Outcome, Reading, settled
from sharpeyes.health.diagnose.reference import ModeReference, choose_mode
from sharpeyes.health.diagnose.words import names_of

CHECKS_VERSION = "8"
"""Changes with any limit, feature or model: figures of different versions are not compared."""

MAY_LACK_SIGNAL = frozenset({PictureFault.SIGNAL_LOST, PictureFault.CORRUPT, PictureFault.UNDER_EXPOSED})
"""Kinds that may be said beside a lost signal: a decoder can make grey, and black may be the dark."""
_AGAINST_NORMAL = frozenset(
    {PictureFault.OCCLUDED, PictureFault.SCENE_SHIFT, PictureFault.COLOR_CAST, PictureFault.BLURRED}
)
_FEW = 3
_FEW_MARGIN = 2.5

# A pair wants some fifteen megabytes for as many milliseconds. glibc gives such blocks back to the kernel and
# asks for them again, a third of the whole cost, until it has once seen a larger one freed (mallopt(3),
# M_MMAP_THRESHOLD): here it is, never touched, so it takes no memory.
np.empty(16 << 20, np.uint8)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was seen in a camera's pictures. times_ms: of the pictures; reference_age_ms: None without one."""

    mode: str
    readings: tuple[Reading, ...]
    reference_mode: str | None
    reference_learned_ms: int | None
    reference_age_ms: int | None
    times_ms: tuple[int, ...]
    version: str = CHECKS_VERSION

    @property
    def faults(self) -> tuple[Reading, ...]:
        """The faults, the gravest first."""
        found = [reading for reading in self.readings if reading.outcome is Outcome.FAULT]
        return tuple(sorted(found, key=lambda reading: (-reading.severity, -reading.score)))

    def reading(self, kind: PictureFault) -> Reading:
        return next(reading for reading in self.readings if reading.kind is kind)

    def to_plain(self) -> dict[str, Any]:
        """For JSON: NaN is null, numbers have four digits."""
        return {
            "mode": self.mode,
            "faults": [str(reading.kind) for reading in self.faults],
            "readings": [_plain_reading(reading) for reading in self.readings],
            "reference": None
            if self.reference_mode is None
            else {
                "mode": self.reference_mode,
                "learned_ms": self.reference_learned_ms,
                "age_ms": self.reference_age_ms,
            },
            "times_ms": list(self.times_ms),
            "version": self.version,
        }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _plain_reading(reading: Reading) -> dict[str, Any]:
    return {
        "kind": str(reading.kind),
        "outcome": str(reading.outcome),
        "score": _number(reading.score),
        "severity": reading.severity,
        "region": [list(box) for box in reading.region],
        "evidence": [
            {
                "name": e.name,
                "value": _number(e.value),
                "normal": None if e.normal is None else [_number(n) for n in e.normal],
            }
            for e in reading.evidence
        ],
        "message": {
            "key": reading.explanation.key,
            "values": {
                k: _number(v) if isinstance(v, float) else v for k, v in reading.explanation.values.items()
            },
            "en": reading.explanation.text("en"),
            "zh": reading.explanation.text("zh"),
        },
    }


def diagnose(
    after: Picture,
    before: Picture | None = None,
    references: Mapping[str, ModeReference] | None = None,
    *,
    mode: str | None = None,
    moves: bool = False,
    again: bool = False,
) -> Diagnosis:
    """All checks on the newest picture and, if there is one, an earlier picture of the same camera.

    `references` by mode may be empty; `mode` is what the hour or the camera suggests, else the
    picture decides. `moves`: something was seen to move right behind one of the pictures, so it does not
    stand still though two keyframes were alike, as those of a film that is played round and round.
    `again`: the newest picture is, to the bit, one that stood still before (:mod:`.imprint`).
    12 to 15 ms of one core for a pair. Never raises on any picture.
    """
    known = references or {}
    chosen = choose_mode(after, known, mode)
    reference = known.get(chosen)
    foreign = next((known[m] for m in ("day", "night", "ir", "mono") if m in known), None)
    features = Features(before, after, reference, foreign)
    values = measure(features)
    values |= margins(values)
    values["has_ref"] = float(reference is not None)
    scores = {check.kind: _margin(check, values) for check in CHECKS}
    if reference is not None and reference.pictures < _FEW:
        # how much normal pictures differ is not known from one or two: only what is plain counts
        for kind in _AGAINST_NORMAL:
            scores[kind] -= _FEW_MARGIN
    again = again and scores[PictureFault.SIGNAL_LOST] <= 0
    damaged = scores[PictureFault.CORRUPT] > 0 and any(look.picture.errors for look in features.looks)
    readings = tuple(
        _living(check, values)
        if moves and check.kind is PictureFault.FROZEN
        else _hidden(check)
        if damaged and check.kind is not PictureFault.CORRUPT
        else _standing(check, values)
        if again and check.kind is PictureFault.FROZEN
        else _read(check, features, values, scores, chosen)
        for check in CHECKS
    )
    return Diagnosis(
        mode=chosen,
        readings=readings,
        reference_mode=reference.mode if reference else None,
        reference_learned_ms=reference.learned_ms if reference else None,
        reference_age_ms=after.time_ms - reference.learned_ms if reference else None,
        times_ms=tuple(look.picture.time_ms for look in features.looks),
    )


def _margin(check: Check, values: Mapping[str, float]) -> float:
    rule = -math.inf if check.margin is None else 2 * check.margin(values)
    if not check.inputs:
        return rule
    margin = models.load().forests[str(check.kind)].margin(values)
    if check.rule_weight:
        margin += check.rule_weight * rule
    return settled(check, margin, values)


def _missing(check: Check, features: Features, mode: str) -> Message | None:
    """Why a check cannot judge; None when it can."""
    if check.needs_two and features.before is None:
        return Message("diagnose.needs_two")
    if check.needs_reference and features.reference is None:
        if check.uses_foreign and features.foreign is not None:
            return None
        return Message("diagnose.mode_not_learned", {"mode": mode})
    return None


def _read(
    check: Check,
    features: Features,
    values: Mapping[str, float],
    scores: Mapping[PictureFault, float],
    mode: str,
) -> Reading:
    margin = scores[check.kind]
    fault = margin > 0
    missing = _missing(check, features, mode)
    if missing is not None and not (fault and check.by_other_mode is not None):
        return Reading(check.kind, Outcome.NOT_ASSESSABLE, 0.0, 0, (), (), missing)
    # without a signal there is no scene to be blurred or covered
    if fault and scores[PictureFault.SIGNAL_LOST] > 0 and check.kind not in MAY_LACK_SIGNAL:
        fault, margin = False, min(margin, -0.1)
    evidence = tuple(Evidence(name, values[name], _normal(features, name)) for name in check.shown)
    shown = {e.name: e.value for e in evidence}
    key = f"diagnose.{check.kind}" if fault else "diagnose.normal"
    words = Message(key, shown | {name: values[name] for name in names_of(key)})
    return Reading(
        check.kind,
        Outcome.FAULT if fault else Outcome.NORMAL,
        1 / (1 + math.exp(-max(min(margin, 30.0), -30.0))),
        check.severity(values) if fault else 0,
        check.region(features) if fault else (),
        evidence,
        words,
    )


def _hidden(check: Check) -> Reading:
    """What a decoder drew in the place of lost data says nothing of the scene."""
    return Reading(check.kind, Outcome.NOT_ASSESSABLE, 0.0, 0, (), (), Message("diagnose.damaged"))


def _living(check: Check, values: Mapping[str, float]) -> Reading:
    """What moves is not frozen, whatever was measured."""
    evidence = tuple(Evidence(name, values[name]) for name in check.shown)
    return Reading(check.kind, Outcome.NORMAL, 0.0, 0, (), evidence, Message("diagnose.moves"))


def _standing(check: Check, values: Mapping[str, float]) -> Reading:
    """What has come back to the bit is frozen, though coded otherwise a moment ago."""
    evidence = tuple(Evidence(name, values[name]) for name in check.shown)
    words = Message("diagnose.frozen_again")
    return Reading(check.kind, Outcome.FAULT, 1.0, check.severity(values), (), evidence, words)


def _normal(features: Features, name: str) -> tuple[float, float] | None:
    """The learned range (median -+ 3 spreads) of a value that is measured on single pictures too."""
    if features.reference is None:
        return None
    pair = features.reference.values.get(name) or features.reference.values.get(name.split("_", 1)[-1])
    if pair is None or not math.isfinite(pair[0]):
        return None
    return pair[0] - 3 * pair[1], pair[0] + 3 * pair[1]
