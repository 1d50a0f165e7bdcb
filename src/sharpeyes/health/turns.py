"""Whose turn it is: each camera at its slot, as far as there is room at work, at its host and on the way.

Pure bookkeeping, seconds of a steady clock. A camera is *scheduled* for a slot; when that has come it is
*ready*; called, it may have to wait at the gate of its host or before the lane into its subnet or zone
(:mod:`.ways`), and is ready again when there is room. A probe that has not ended after a while only waits for
its time-out: it is *slow*, and gives its room at work to the next.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator

from sharpeyes.health import pacing
from sharpeyes.health.pacing import HostGate, Lane
from sharpeyes.health.unit import Flight, Unit
from sharpeyes.health.ways import Ways

_NEVER = float("inf")


class Turns:
    """``in_flight``: probes at work at once; ``sockets``: the slow ones included, ``slow_after_s`` makes them
    so. ``starts_per_s``: pace of the first round."""

    def __init__(
        self, ways: Ways[Unit], *, in_flight: int, sockets: int, slow_after_s: float, starts_per_s: float
    ) -> None:
        self.ways = ways
        self.ready: deque[Unit] = deque()
        self.flights: set[Flight] = set()
        self.slow = 0
        """Of those in flight, the ones that only wait."""
        self.paced = 0
        """Cameras that are due and wait until their subnet or zone has room."""
        self._at_work = in_flight
        self._sockets = sockets
        self._slow_after_s = slow_after_s
        self._starts_per_s = starts_per_s
        self._schedule: list[tuple[float, int, Unit | HostGate[Unit]]] = []
        self._numbers = itertools.count(1)
        self._young: deque[Flight] = deque()
        self._working = 0

    # --- when ----------------------------------------------------------------------------------------

    def schedule(self, unit: Unit, due: float) -> None:
        """Its slot is then, whatever was said before."""
        unit.due = due
        unit.entry = next(self._numbers)
        heapq.heappush(self._schedule, (due, unit.entry, unit))

    def schedule_first(self, unit: Unit, now: float, cameras: int) -> None:
        """The same, for one of so many ``cameras`` that begin together."""
        cadence_s = unit.target.cadence_s
        self.schedule(unit, pacing.first_slot(now, unit.place, cadence_s, cameras, self._starts_per_s))

    def meet(self, unit: Unit, when: float) -> None:
        """Its next probe is at this time, unless one is under way or waits for its turn already."""
        if unit.flight is None and not unit.queued:
            unit.urgent = True
            self.schedule(unit, when)

    def call(self, unit: Unit) -> None:
        """It is the next, ahead of all others."""
        unit.queued = True
        self.ready.appendleft(unit)

    def call_due(self, now: float, cameras: int) -> None:
        """Those whose slot has come are ready; all are ``cameras``."""
        schedule, ready = self._schedule, self.ready
        while schedule and schedule[0][0] <= now:
            _, number, item = heapq.heappop(schedule)
            if isinstance(item, HostGate):
                item.armed = False
                if item.waiting:
                    ready.appendleft(item.waiting.popleft())
            elif item.entry != number or item.queued or item.gone or item.flight:
                continue
            elif now - item.due > 0.5 * item.target.cadence_s:  # we stood still: begin as at the start
                self.schedule_first(item, now, cameras)
            else:
                item.queued = True
                if item.urgent:
                    ready.appendleft(item)
                else:
                    ready.append(item)

    def called(self, now: float) -> Iterator[Unit]:
        """Those that are ready, as long as there is room at work. Each is to :meth:`begin`, or else its room
        on the way is :meth:`left <leave_room>`."""
        if self.ready or self.paced:
            self._make_room(now)
        while self.ready and self._working < self._at_work and len(self.flights) < self._sockets:
            yield self.ready.popleft()

    @property
    def in_flight(self) -> int:
        """Probes under way, the slow ones included."""
        return len(self.flights)

    @property
    def next_slot(self) -> float:
        """When the next slot comes."""
        return self._schedule[0][0] if self._schedule else _NEVER

    @property
    def next_room(self) -> float:
        """When there is more room for those that wait for it, if no probe ends before."""
        if (self.ready or self.paced) and self._young:
            return self._young[0].started + self._slow_after_s
        return _NEVER

    # --- where ---------------------------------------------------------------------------------------

    def admit(self, unit: Unit, now: float) -> bool:
        """Whether its host, subnet and zone have room for it; else it waits there."""
        gate = unit.gate
        if not gate.is_open(now):
            gate.waiting.append(unit)
            self.arm(gate, now)
            return False
        full = next((lane for lane in unit.lanes if not lane.is_open), None)
        if full is not None:
            full.waiting.append(unit)
            self.paced += 1
            self.arm(gate, now)
            return False
        return True

    def begin(self, flight: Flight) -> None:
        """This probe is under way from its start on."""
        now = flight.started
        flight.gate.enter(now)
        self.arm(flight.gate, now)
        flight.unit.queued = False
        flight.unit.flight = flight
        flight.lanes = flight.unit.lanes
        for lane in flight.lanes:
            lane.active += 1
        self.flights.add(flight)
        self._young.append(flight)
        self._working += 1

    def end(self, flight: Flight) -> None:
        """It is over. The gate of its host is to be armed then."""
        self.flights.discard(flight)
        if flight.slow:
            self.slow -= 1
        else:
            self._leave_work(flight)
        flight.gate.leave()
        flight.unit.flight = None

    def arm(self, gate: HostGate[Unit], now: float) -> None:
        """Let the next one in at the host as soon as may be."""
        if gate.waiting and not gate.armed and gate.active < gate.room:
            gate.armed = True
            heapq.heappush(self._schedule, (max(now, gate.ready_at), next(self._numbers), gate))

    def leave_room(self, lanes: tuple[Lane[Unit], ...]) -> None:
        """Call the next ones, as far as there is room."""
        for lane in lanes:
            if lane.waiting and lane.is_open:
                self.paced -= 1
                self.ready.appendleft(lane.waiting.popleft())

    def leave_gate(self, unit: Unit) -> bool:
        """It does not go to its host any more. True if it was waiting there, and is in no queue now."""
        gate = unit.gate
        self.ways.leave_gate(unit.host, gate)
        if unit not in gate.waiting:
            return False
        gate.waiting.remove(unit)
        unit.queued = False
        return True

    def leave_lanes(self, unit: Unit) -> bool:
        """The same of its subnet and zone."""
        self.ways.leave_lanes(unit.lanes)
        for lane in unit.lanes:
            if unit in lane.waiting:
                lane.waiting.remove(unit)
                self.paced -= 1
                unit.queued = False
                return True
        return False

    def _make_room(self, now: float) -> None:
        """Probes that have become slow no longer count as working."""
        young, until = self._young, now - self._slow_after_s
        while young and (young[0] not in self.flights or young[0].started <= until):
            flight = young.popleft()
            if flight in self.flights:
                flight.slow = True
                self.slow += 1
                self._leave_work(flight)

    def _leave_work(self, flight: Flight) -> None:
        """It takes no room at work any more, nor in its subnet and zone."""
        self._working -= 1
        lanes, flight.lanes = flight.lanes, ()
        for lane in lanes:
            lane.active -= 1
        self.leave_room(lanes)
