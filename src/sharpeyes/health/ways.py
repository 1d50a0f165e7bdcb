"""The ways to the cameras: a gate at each host, a lane into each subnet and zone, as long as they are used.

A city is renumbered and its recorders are exchanged: what leads nowhere any more goes, whatever comes.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

from sharpeyes.domain.camera import SESSIONS
from sharpeyes.health.pacing import HostGate, Lane, subnet

T = TypeVar("T")


class Ways(Generic[T]):
    """Pure bookkeeping: who takes a way must leave it when it is not needed any more.

    ``spacing_s``: pause between two probes of a host that takes the usual number of sessions. A platform that
    passes on hundreds of cameras takes hundreds, and is met as much more often.
    """

    def __init__(self, *, spacing_s: float, subnet_in_flight: int, zone_in_flight: int) -> None:
        self._spacing_s = spacing_s
        self._limits = {"subnet": subnet_in_flight, "zone": zone_in_flight}
        self._gates: dict[str, HostGate[T]] = {}
        self._lanes: dict[tuple[str, str], Lane[T]] = {}
        self._viewers: Counter[str] = Counter()

    def __len__(self) -> int:
        """Gates and lanes that there are."""
        return len(self._gates) + len(self._lanes)

    def gate(self, host: str, sessions: int) -> HostGate[T]:
        """The host's, for one more camera; of several answers to how many ``sessions`` it takes, the smallest
        holds."""
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = HostGate(sessions, self._spacing_s, viewers=self._viewers[host])
        gate.limit = max(1, min(gate.limit, sessions)) if gate.cameras else max(1, sessions)
        gate.spacing = self._spacing_s * min(1.0, SESSIONS / gate.limit)
        gate.cameras += 1
        return gate

    def leave_gate(self, host: str, gate: HostGate[T]) -> None:
        """A camera is not there any more."""
        gate.cameras -= 1
        if gate.cameras == 0 and self._gates.get(host) is gate:
            del self._gates[host]

    def hold(self, host: str, sessions: int) -> HostGate[T] | None:
        """Viewers hold so many more sessions on this host; its gate, if a camera is there."""
        self._viewers[host] += sessions
        viewers = self._viewers[host]
        if not viewers:
            del self._viewers[host]
        gate = self._gates.get(host)
        if gate is not None:
            gate.viewers = viewers
        return gate

    def lanes(self, host: str, zone: str) -> tuple[Lane[T], ...]:
        """Those into the host's subnet and the zone, for one more camera."""
        taken = []
        for kind, name in (("subnet", subnet(host)), ("zone", zone)):
            key = kind, name
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(self._limits[kind], key)
            lane.cameras += 1
            taken.append(lane)
        return tuple(taken)

    def leave_lanes(self, lanes: tuple[Lane[T], ...]) -> None:
        """A camera does not need them any more; probes under way there still end in them."""
        for lane in lanes:
            lane.cameras -= 1
            if lane.cameras == 0 and self._lanes.get(lane.key) is lane:
                del self._lanes[lane.key]
