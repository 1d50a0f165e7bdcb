"""What a fault of the picture means for its camera: one table, from kind and severity to a state, and why.

*Online* is about the stream, *usable* about the picture; a rate is published for both. So the table is slow
to say *offline*: only when nothing at all is seen of the place. A *critical* fault leaves the stream its
state and takes *usable* away. What a fault of severity 1 tells is evidence for a technician and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sharpeyes.domain.health import Defect, PictureFault, State

_ON, _DEGRADED, _OFF = State.ONLINE, State.DEGRADED, State.OFFLINE
_RANK = {_ON: 0, _DEGRADED: 1, _OFF: 2}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one kind of fault leads to. ``states`` and ``critical`` are for severity 1, 2 and 3."""

    states: tuple[State, State, State]
    critical: tuple[bool, bool, bool]
    reason: str


_LOOKS_WORSE = (_ON, _DEGRADED, _DEGRADED)
_ALWAYS = (True, True, True)
_GRAVE = (False, False, True)

MEANINGS: dict[PictureFault, Meaning] = {
    PictureFault.SIGNAL_LOST: Meaning(
        (_OFF, _OFF, _OFF),
        _ALWAYS,
        "The stream goes on, but nothing of the place is in it: a recorder plays on without its camera,"
        " or the sensor is dead. Whoever needs the place has no camera there.",
    ),
    PictureFault.FROZEN: Meaning(
        (_DEGRADED, _DEGRADED, _DEGRADED),
        _ALWAYS,
        "It shows the place as it was, not as it is: worse than none for who trusts it. The stream itself"
        " runs, so the state says degraded, and the picture is not usable.",
    ),
    PictureFault.SCENE_SHIFT: Meaning(
        _LOOKS_WORSE,
        (False, True, True),
        "It looks at another place than it was put up for. If that is meant, accept the new view.",
    ),
    PictureFault.OCCLUDED: Meaning(
        _LOOKS_WORSE, _GRAVE, "A part of the view is covered; at severity 3 most of what it was put up for."
    ),
    PictureFault.UNDER_EXPOSED: Meaning(
        _LOOKS_WORSE, _GRAVE, "Too dark against its own nights; at severity 3 nobody recognises anything."
    ),
    PictureFault.OVER_EXPOSED: Meaning(
        _LOOKS_WORSE, _GRAVE, "Too bright against its own days; at severity 3 the scene is washed out."
    ),
    PictureFault.BLURRED: Meaning(
        _LOOKS_WORSE, _GRAVE, "Out of focus or dirty; at severity 3 nothing small is recognised."
    ),
    PictureFault.CORRUPT: Meaning(
        _LOOKS_WORSE, _GRAVE, "Blocks and smears; at severity 3 the decoder saves next to nothing."
    ),
    PictureFault.NOISE: Meaning(
        _LOOKS_WORSE, _GRAVE, "Snow over the picture; at severity 3 it hides the scene."
    ),
    PictureFault.STRIPES: Meaning(
        _LOOKS_WORSE, _GRAVE, "Interference or a failing sensor; at severity 3 it hides the scene."
    ),
    PictureFault.COLOR_CAST: Meaning(
        _LOOKS_WORSE, (False,) * 3, "Colours cannot be trusted, but what happens is seen."
    ),
    PictureFault.COLOR_LOSS: Meaning(
        _LOOKS_WORSE,
        (False,) * 3,
        "By day the colour is gone, for example a stuck filter; what happens is seen.",
    ),
}
"""Every kind of fault, worst first; what may be the consequence of another one, behind it: where a camera was
turned away, what it used to see is gone, too."""

UNDECODABLE = "undecodable"
"""Cause of a degraded state: whole keyframes arrive, and no decoder makes a picture of them."""


def state_of(defect: Defect) -> State:
    """The state that a confirmed fault leads to by itself."""
    return MEANINGS[defect.kind].states[_index(defect)]


class Graded(Protocol):
    """A fault of a picture, found or confirmed."""

    @property
    def kind(self) -> PictureFault: ...
    @property
    def severity(self) -> int: ...


def is_critical(fault: Graded) -> bool:
    """Whether the picture is not usable because of it."""
    return MEANINGS[fault.kind].critical[_index(fault)]


def worst(defects: Iterable[Defect]) -> Defect | None:
    """The one that decides: by state, then critical ones, then severity, then the order of the table."""
    return max(
        defects,
        key=lambda d: (_RANK[state_of(d)], is_critical(d), d.severity, -_ORDER[d.kind]),
        default=None,
    )


def _index(fault: Graded) -> int:
    return min(max(fault.severity, 1), 3) - 1


_ORDER = {kind: number for number, kind in enumerate(MEANINGS)}
