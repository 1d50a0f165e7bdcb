"""Which probe's picture is looked at: the camera's is due, a place is free, and the keyframe has come.

A look rides on a probe. Before that begins it takes one of the places of :mod:`.quality`, which says what is
seen in the picture and when to look again; here is when each camera's next look is due, who holds a place
and who is met again for a second picture.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from sharpeyes.domain.health import ProbeResult
from sharpeyes.health import pacing
from sharpeyes.health.quality import Look, Quality
from sharpeyes.health.turns import Turns
from sharpeyes.health.unit import Flight, Unit

LOOKS_PER_S = 40.0
"""Pace of the first looks at pictures."""
_EARLY_S = 0.002
"""A timer of the loop counts in milliseconds and may fire that much too early."""
_NEVER = float("inf")

Ended: TypeAlias = Callable[[Flight, ProbeResult, Look | None], None]
"""A look at what this probe brought has ended; None: more pictures are wanted, or the camera is gone."""


class Looks:
    """All looks; what becomes of each is told to ``ended``. ``keyframe_after_s``: after that a probe gives
    its place to the next."""

    def __init__(self, quality: Quality, turns: Turns, *, keyframe_after_s: float, ended: Ended) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.patient = quality.patient
        """A probe waits for a place, and is concluded with what the look finds."""
        self._quality = quality
        self._turns = turns
        self._keyframe_after_s = keyframe_after_s
        self._ended = ended
        self._placed: deque[Flight] = deque()
        """Probes that began with a place, the longest under way first."""
        self._closed = False

    def close(self) -> None:
        """No camera is met again for a second picture."""
        self._closed = True

    def enter(self, unit: Unit, now: float, newcomers: int) -> None:
        """The camera comes under watch, one of so many."""
        pace = LOOKS_PER_S if not self.patient else _NEVER
        unit.look_due = pacing.first_slot(now, _place(unit), unit.target.quality_s, newcomers, pace)

    def leave(self, unit: Unit, now: float) -> None:
        """It is watched no more."""
        self._drop(unit, now)
        self._quality.forget(unit.target.camera.id)

    def pass_over(self, unit: Unit) -> None:
        """There is no picture of it at present: it waits for no place."""
        self._quality.places.leave(unit)

    def hurry(self, unit: Unit, now: float) -> None:
        """Its next look is due, and does not wait for its slot; unless one is under way."""
        if not unit.looking:
            unit.look_due, unit.look_soon = min(unit.look_due, now), True
            self._turns.meet(unit, now)

    # --- before the probe ----------------------------------------------------------------------------

    def take(self, unit: Unit, now: float) -> bool:
        """Whether the picture of the probe that begins now shall be looked at; a place is taken then."""
        if now < unit.look_due - _EARLY_S or unit.failed:
            return False
        if unit.paired:
            return True
        if unit.looking:
            return False
        if not self._quality.places.take(unit, now, last=unit.second):
            self._quality.stats.deferred += 1
            return False
        unit.looking = True
        return True

    def is_awaited(self, unit: Unit, now: float) -> bool:
        """A place was not to be had, and the probe does not begin without: it is called when one is free."""
        due = now >= unit.look_due - _EARLY_S
        return self.patient and due and not unit.failed and not unit.looking

    def put_back(self, unit: Unit, now: float) -> None:
        """The probe does not begin after all; the place of a pair is kept."""
        if not unit.paired:
            unit.looking = False
            self._give_place(now)

    def begin(self, flight: Flight) -> None:
        """The probe begins with its place."""
        self._placed.append(flight)

    def follow(self, unit: Unit) -> int:
        """How many pictures behind its keyframe are of use."""
        return self._quality.follow(unit.target.camera.id)

    # --- while it is under way -----------------------------------------------------------------------

    def make_places(self, now: float) -> None:
        """Probes that wait for a keyframe keep no decoder waiting."""
        placed, flights, until = self._placed, self._turns.flights, now - self._keyframe_after_s
        while placed and (placed[0] not in flights or placed[0].started <= until):
            flight = placed.popleft()
            if flight in flights and flight.place and not flight.unit.paired:
                flight.place = False
                self._give_place(now)

    @property
    def next_place(self) -> float:
        """When there is a place for those that wait for one, if no look ends before."""
        if self._placed and self._quality.places.waiting:
            return self._placed[0].started + self._keyframe_after_s
        return _NEVER

    # --- after it ------------------------------------------------------------------------------------

    def land(self, flight: Flight, result: ProbeResult | None, now: float) -> bool:
        """The probe has ended, and its picture is looked at if it brought one; None: there is no use for it.
        True if what the probe said is to be concluded with what the look finds."""
        unit, places = flight.unit, self._quality.places
        if result is None or result.failure is not None or result.keyframe is None:
            if unit.paired:
                self._drop(unit, now)
            elif flight.place:
                self._give_place(now)
            unit.looking = False
            return False
        if not flight.place and not places.retake(unit, now):
            self._quality.stats.deferred += 1
            unit.looking = False
            return False
        unit.paired = False
        task = asyncio.get_running_loop().create_task(self._look(flight, result))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return self.patient

    async def _look(self, flight: Flight, result: ProbeResult) -> None:
        unit, target = flight.unit, flight.target
        look = await self._quality.look(target.camera.id, result, unit.case.sight, target.quality_s)
        now = asyncio.get_running_loop().time()
        goes_on = not (self._closed or unit.gone)
        unit.second = look.later and goes_on
        if look.again and goes_on:
            unit.paired = True
        else:
            unit.looking = False
            self._give_place(now)
        if (look.again or look.later) and goes_on:
            unit.look_due, unit.look_soon = now + look.wait_s, True
            self._turns.meet(unit, unit.look_due)
        elif not unit.gone:
            unit.look_soon = look.soon_s is not None
            if look.soon_s is None:
                unit.look_due = pacing.next_slot(now, _place(unit), target.quality_s)
            else:
                unit.look_due = now + look.soon_s
            self._ended(flight, result, look)
            return
        self._ended(flight, result, None)

    def _drop(self, unit: Unit, now: float) -> None:
        """No second picture will come, and no place is waited for."""
        self._quality.places.leave(unit)
        if unit.paired:
            unit.paired = unit.looking = False
            if unit.flight is not None:  # the place that it holds is given back here
                unit.flight.place = False
            self._quality.drop(unit.target.camera.id)
            self._give_place(now)

    def _give_place(self, now: float) -> None:
        """A place is free: who was put off for want of one is next."""
        unit = self._quality.places.give()
        if unit is None:
            return
        if self.patient:
            self._turns.call(unit)
        elif unit.flight is None and not unit.queued and not unit.gone:
            self._turns.schedule(unit, now)


def _place(unit: Unit) -> float:
    """Of its picture in any cadence: another than that of its probes."""
    return pacing.phase(f"{unit.target.camera.id} picture")
