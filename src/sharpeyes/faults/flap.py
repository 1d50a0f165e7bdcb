"""Flap detection with Nagios' weights: does a camera come and go too often to be told about each time?

Of the last 21 states there are 20 places where one may differ from the next. A change at place ``x`` (1 the
oldest) weighs ``0.75 + (x - 1) * 0.5 / 19``: 0.75 for the oldest, 1.25 for the newest, 1 on average. The sum
over 20 is the share of change. Flapping starts at 20 % and stops below 5 % (Nagios Core 4, "Detection and
handling of state flapping").

A history is a string, oldest first, one letter a state. Unknown and maintenance say nothing about the camera
and are not part of it.
"""

from __future__ import annotations

from itertools import pairwise

from sharpeyes.domain.health import State

LENGTH = 21
PLACES = LENGTH - 1
START = 0.20
STOP = 0.05

LETTERS = {State.ONLINE: "o", State.DEGRADED: "d", State.OFFLINE: "f"}


def push(history: str, state: State) -> str:
    """The history with one more state; a state that says nothing leaves it as it is."""
    letter = LETTERS.get(state)
    return history if letter is None else (history + letter)[-LENGTH:]


def share(history: str) -> float:
    """Weighted share of changes, 0..1. A short history counts as if it had been steady before."""
    offset = LENGTH - len(history)
    changed = (
        0.75 + (place - 1) * 0.5 / (PLACES - 1)
        for place, (one, next_one) in enumerate(pairwise(history), start=offset + 1)
        if one != next_one
    )
    return sum(changed) / PLACES


def flapping(history: str, was: bool) -> bool:
    """Whether it flaps now, given whether it did: between the two thresholds nothing changes."""
    return share(history) >= (STOP if was else START)


def steady(history: str) -> bool:
    """One more equal state would change nothing: the camera needs no sampling."""
    return len(set(history)) < 2
