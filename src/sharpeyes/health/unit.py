"""What the fleet remembers of one camera under watch, and of one probe on its way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sharpeyes.domain.health import FailureKind, ProbeResult
from sharpeyes.domain.time import Ms
from sharpeyes.health.cases import Case
from sharpeyes.health.pacing import HostGate, Lane
from sharpeyes.health.target import Target


@dataclass(slots=True, eq=False)
class Unit:
    """One camera's place in the schedule."""

    target: Target
    gate: HostGate[Unit]
    place: float
    host: str
    endpoint: str
    case: Case
    lanes: tuple[Lane[Unit], ...] = ()
    due: float = 0.0
    entry: int = 0
    """Number of its valid entry in the schedule; older ones are void."""
    queued: bool = False
    urgent: bool = False
    """Its evidence speaks against its state: it goes ahead of those that are merely due."""
    gone: bool = False
    flight: Flight | None = None
    waiters: list[asyncio.Future[ProbeResult]] = field(default_factory=list)
    # Its picture:
    look_due: float = float("inf")
    look_soon: bool = False
    """The look shall not wait for the next slot."""
    looking: bool = False
    """A place among the looks is taken for it, or its picture is in a thread."""
    paired: bool = False
    """The second picture of a pair is wanted; its place is kept."""
    second: bool = False
    """The same, but its place went to others meanwhile."""
    failed: bool = False
    """The last probe did not get a keyframe: there is no picture to look at."""
    kept: tuple[FailureKind, Ms] | None = None
    """The failure whose working was kept last, and when."""


@dataclass(slots=True, eq=False)
class Flight:
    """One probe on its way."""

    unit: Unit
    target: Target
    gate: HostGate[Unit]
    endpoint: str
    started: float
    login: bool
    task: asyncio.Task[None] | None = None
    lanes: tuple[Lane[Unit], ...] = ()
    """Where it takes room as long as it works."""
    slow: bool = False
    overdue: bool = False
    look: bool = False
    """Its keyframe is to be looked at."""
    place: bool = False
    """It holds a place among the looks."""


def reject(unit: Unit, error: Exception) -> None:
    """Who waits for this camera is told that nothing will come."""
    waiters, unit.waiters = unit.waiters, []
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
