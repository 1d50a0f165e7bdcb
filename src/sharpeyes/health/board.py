"""How the fleet stands at this moment, in memory: what the API, the metrics page and live views read.

One thread (the event loop) writes and reads. Counts are kept up as states change, so that a glance at them
costs the same for forty cameras and for a hundred thousand.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.health import PictureFault, ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.judge import Standing
from sharpeyes.health.ladder import Ladder
from sharpeyes.health.sight import Sight


@dataclass(frozen=True, slots=True)
class Entry:
    """One camera as it stands."""

    camera: Camera
    standing: Standing
    probe: ProbeResult | None = None
    """The last probe, without its keyframe, and with its transcript only if it failed."""
    withheld_until: Ms | None = None
    """Its credentials were refused and will not be tried before this instant."""
    rung: Rung | None = None
    """The highest rung that the last probe, and the last look at a picture if that still holds, reached."""
    ladder: Ladder | None = None
    """The rung that is confirmed, and since when."""
    sight: Sight | None = None
    """What is known of its picture, None before the first look."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A camera changed its state at ``at``, which may lie back: a change is dated to its first sign."""

    camera: str
    before: State
    after: State
    at: Ms
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Cameras counted at one moment; keys without a camera are left out."""

    cameras: int
    by_state: Mapping[State, int]
    by_tier: Mapping[tuple[Tier, State], int]
    by_department: Mapping[tuple[str, State], int]
    by_area: Mapping[tuple[str, State], int]
    """By the area itself, without those below it."""
    by_zone: Mapping[tuple[str, State], int]
    by_rung: Mapping[tuple[Tier, Rung], int]
    """By the rung that the last probe reached; a camera never probed is not among them."""
    by_fault: Mapping[tuple[Tier, PictureFault], int]
    """By the confirmed faults of its picture; a camera may have several."""


class Board:
    """Every camera's :class:`Entry`, counts of them, and who wants to hear of changes."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._tier: Counter[tuple[Tier, State]] = Counter()
        self._department: Counter[tuple[str, State]] = Counter()
        self._area: Counter[tuple[str, State]] = Counter()
        self._zone: Counter[tuple[str, State]] = Counter()
        self._rung: Counter[tuple[Tier, Rung]] = Counter()
        self._fault: Counter[tuple[Tier, PictureFault]] = Counter()
        self._subscriptions: set[Subscription] = set()
        self.version = 0
        """Another one after every change of which cameras there are, of a state, its cause or its begin."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, camera: str) -> bool:
        return camera in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, camera: str) -> Entry | None:
        return self._entries.get(camera)

    def place(self, camera: Camera, standing: Standing) -> None:
        """Put a camera on the board, or change what is known about it; its last probe stays."""
        before = self._entries.get(camera.id)
        self.version += 1
        if before is not None:
            self._count(before, -1)
        entry = Entry(camera, standing)
        if before is not None:
            entry = replace(before, camera=camera, standing=standing)
        self._entries[camera.id] = entry
        self._count(entry, 1)
        if before is not None:
            self._tell(before.standing, standing)

    def remove(self, camera: str) -> None:
        """Take a camera off the board."""
        entry = self._entries.pop(camera, None)
        if entry is not None:
            self.version += 1
            self._count(entry, -1)

    def update(
        self,
        standing: Standing,
        probe: ProbeResult | None = None,
        withheld_until: Ms | None = None,
        *,
        rung: Rung | None = None,
        ladder: Ladder | None = None,
        sight: Sight | None = None,
    ) -> Entry:
        """The camera stands like this now; ``probe`` is what was just found, None if nothing was.

        ``rung`` is how far the probe came if its picture took it further; a ladder and a sight that are not
        given stay as they are.
        """
        before = self._entries[standing.camera]
        if probe is None:
            probe, withheld_until, rung = before.probe, before.withheld_until, rung or before.rung
        else:
            rung = rung or probe.rung
            if probe.keyframe is not None or (probe.ok and probe.transcript):
                probe = replace(probe, keyframe=None, transcript=() if probe.ok else probe.transcript)
        entry = Entry(
            before.camera,
            standing,
            probe,
            withheld_until,
            rung,
            ladder or before.ladder,
            sight or before.sight,
        )
        self._entries[standing.camera] = entry
        was = before.standing
        if was.state is not standing.state or was.since != standing.since or was.cause != standing.cause:
            self.version += 1
        if (
            before.standing.state is not standing.state
            or before.rung is not rung
            or before.sight is not entry.sight
        ):
            self._count(before, -1)
            self._count(entry, 1)
            self._tell(before.standing, standing)
        return entry

    def tally(self) -> Tally:
        """The counts of this moment: a copy, its size by tiers, departments and areas, not by cameras."""
        by_state: Counter[State] = Counter()
        for (_, state), number in self._tier.items():
            by_state[state] += number
        return Tally(
            cameras=len(self._entries),
            by_state=+by_state,
            by_tier=+self._tier,
            by_department=+self._department,
            by_area=+self._area,
            by_zone=+self._zone,
            by_rung=+self._rung,
            by_fault=+self._fault,
        )

    def subscribe(self, limit: int = 1000) -> Subscription:
        """Hear of every change of state from now on; close it (``with``) when done.

        At most ``limit`` changes wait for a slow listener: then it is told that it has missed some.
        """
        subscription = Subscription(self._subscriptions, limit)
        self._subscriptions.add(subscription)
        return subscription

    def _count(self, entry: Entry, step: int) -> None:
        camera, state = entry.camera, entry.standing.state
        self._tier[camera.tier, state] += step
        self._department[camera.department, state] += step
        self._area[camera.area, state] += step
        self._zone[camera.zone, state] += step
        if entry.rung is not None:
            self._rung[camera.tier, entry.rung] += step
        if entry.sight is not None:
            for defect in entry.sight.defects:
                self._fault[camera.tier, defect.kind] += step

    def _tell(self, before: Standing, after: Standing) -> None:
        if before.state is not after.state and self._subscriptions:
            change = StateChange(after.camera, before.state, after.state, after.since, after.cause)
            for subscription in self._subscriptions:
                subscription.push(change)


class Subscription:
    """Changes of state as they happen: ``async for change in subscription``; ends when it is closed.

    ``missed`` counts the changes that were dropped, oldest first, because the listener was too slow: read the
    board afresh when it grows.
    """

    def __init__(self, subscriptions: set[Subscription], limit: int) -> None:
        self.missed = 0
        self._subscriptions = subscriptions
        self._changes: deque[StateChange] = deque(maxlen=limit)
        self._filled = asyncio.Event()
        self._closed = False

    def push(self, change: StateChange) -> None:
        if len(self._changes) == self._changes.maxlen:
            self.missed += 1
        self._changes.append(change)
        self._filled.set()

    @property
    def waiting(self) -> bool:
        """Whether there are changes that nobody has taken yet."""
        return bool(self._changes)

    def taken(self) -> list[StateChange]:
        """All changes that wait, oldest first; for whoever looks in now and then instead of iterating."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def close(self) -> None:
        self._closed = True
        self._subscriptions.discard(self)
        self._filled.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[StateChange]:
        while True:
            while self._changes:
                yield self._changes.popleft()
            if self._closed:
                return
            self._filled.clear()
            await self._filled.wait()
