"""Every camera once: the fleet's own way of looking, with its pacing, budgets and care for accounts.

One look is no verdict that a camera is held to: what comes out is what each camera did this once. So a single
failure counts here, and a finding of the checks is a fault without N of M, if a second picture shows it, too.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board, Entry
from sharpeyes.health.fleet import Fleet, Limits, NoRecord, Probe, Target
from sharpeyes.health.judge import Policy
from sharpeyes.health.quality import Quality

PLACES = 128
"""Keyframes in flight: a camera keeps its place while it makes one wait for its next keyframe."""
SLOW_AFTER_S = 0.5
"""Sooner than in a service: a sweep has an end, and cameras that begin a session between two keyframes make
it wait for most of a second each."""
_FOREVER_S = 86_400.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found, and what it cost."""

    entries: Sequence[Entry]
    wall_s: float
    cpu_s: float
    """Of this process and its decoders."""
    max_rss_bytes: int
    """The most memory that this process and its decoders ever had."""

    @property
    def by_state(self) -> Counter[str]:
        return Counter(entry.standing.state.value for entry in self.entries)

    @property
    def by_rung(self) -> Counter[str]:
        return Counter(entry.rung.label for entry in self.entries if entry.rung is not None)

    @property
    def by_fault(self) -> Counter[PictureFault]:
        return Counter(d.kind for entry in self.entries if entry.sight for d in entry.sight.defects)


async def sweep(
    targets: Iterable[Target],
    probe: Probe,
    *,
    clock: Callable[[], Ms],
    limits: Limits,
    quality: Quality | None = None,
    progress: Callable[[int], None] | None = None,
) -> Swept:
    """Look at every target once. ``progress`` is told how many are done; ``quality`` must be patient."""
    board = Board()
    fleet = Fleet(
        probe,
        board=board,
        recorder=NoRecord(),
        clock=clock,
        limits=replace(limits, starts_per_s=float("inf"), slow_after_s=SLOW_AFTER_S),
        policy=Policy(fails=1, passes=1),
        quality=quality,
    )
    once = [replace(target, cadence_s=_FOREVER_S, quality_s=_FOREVER_S) for target in targets]
    if quality is not None:
        await quality.start()
    decoders = quality.decoders if quality is not None else None
    wall, cpu = time.perf_counter(), time.process_time() + (decoders.cpu_s if decoders else 0.0)
    await fleet.start(once)
    try:
        while (done := sum(board.tally().by_rung.values())) < len(board) or not fleet.is_at_rest:
            if progress is not None:
                progress(done)
            await asyncio.sleep(_POLL_S)
        if progress is not None:
            progress(done)
    finally:
        await fleet.stop()
    return Swept(
        entries=list(board),
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() + (decoders.cpu_s if decoders else 0.0) - cpu,
        max_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        + (decoders.most_bytes if decoders else 0),
    )
