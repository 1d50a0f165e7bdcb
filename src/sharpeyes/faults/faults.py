"""The rooms of faults, run together: the loop, fed with every change of state, and the courier."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sharpeyes.domain.faults import StateChange
from sharpeyes.domain.time import Ms
from sharpeyes.faults.loop import Loop
from sharpeyes.faults.notify.courier import Courier
from sharpeyes.faults.notify.post import Guard
from sharpeyes.faults.notify.recipients import Recipient
from sharpeyes.faults.policy import FaultPolicy, RouteRule
from sharpeyes.faults.round import Outcome
from sharpeyes.store.database import Database
from sharpeyes.store.faults import TicketCount

log = logging.getLogger(__name__)

TICK_S = 10.0
GATHER_S = 1.0
"""Changes are remembered together so often: a fallen recorder is one transaction, not a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """What a site says about its faults."""

    fallback_unit: str = "operations"
    """Who gets what belongs to nobody."""
    rules: tuple[RouteRule, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    guard: Guard = field(default_factory=Guard)
    policy: FaultPolicy = field(default_factory=FaultPolicy)


class Faults:
    """Faults of one service: raised, said, verified and closed while it runs."""

    def __init__(
        self,
        database: Database,
        settings: FaultSettings,
        clock: Callable[[], Ms],
        *,
        counted: Callable[[Sequence[TicketCount], Ms], None] = lambda _counts, _at: None,
        found: Callable[[Outcome], Awaitable[None]] | None = None,
        failing_canaries: Callable[[], Mapping[str, Ms]] = dict,
    ) -> None:
        """``counted`` hears of the open tickets after each tick, ``found`` of what else came of it;
        ``failing_canaries`` says since when a canary of which zone fails. InvalidInputError if two recipients
        have one id."""
        self.settings = settings
        self._clock = clock
        self.courier = Courier(database, settings.recipients, clock=clock, guard=settings.guard)
        self.loop = Loop(
            database,
            fallback_unit=settings.fallback_unit,
            policy=settings.policy,
            rules=settings.rules,
            recipients=settings.recipients,
            wake=self.courier.wake,
            counted=counted,
            found=found,
        )
        self._failing_canaries = failing_canaries

    def take(self, settings: FaultSettings) -> None:
        """Route and tell by these from now on. InvalidInputError if two recipients have one id: then all
        stays as it was."""
        self.courier.take(settings.recipients)
        self.loop.take(settings.rules, settings.recipients, settings.fallback_unit)
        self.settings = settings

    @contextlib.asynccontextmanager
    async def running(self, changes: AsyncIterable[StateChange]) -> AsyncIterator[None]:
        """Watch, and say what there is to say, for as long as the block lasts."""
        tasks = [
            asyncio.create_task(self._remember(changes), name="faults-changes"),
            asyncio.create_task(
                self.loop.run(self._clock, self._failing_canaries, every_s=TICK_S), name="faults-loop"
            ),
            asyncio.create_task(self.courier.run(), name="faults-courier"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _remember(self, changes: AsyncIterable[StateChange]) -> None:
        waiting: list[StateChange] = []

        async def gather() -> None:
            async for change in changes:
                waiting.append(change)  # noqa: PERF401 (one by one, as they come)

        gathering = asyncio.create_task(gather(), name="faults-gather")
        broken = False
        try:
            while True:
                await asyncio.sleep(GATHER_S)
                if not waiting:
                    continue
                batch = list(waiting)
                waiting.clear()
                try:
                    await self.loop.observe(batch)
                except Exception:  # the next tick reads from the store what is lost here
                    if not broken:
                        log.exception("changes of state cannot be remembered for faults")
                    broken = True
                else:
                    broken = False
        finally:
            gathering.cancel()
            await asyncio.gather(gathering, return_exceptions=True)
