"""The networks of the configuration, searched again and again, and what is found taken into the registry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from sharpeyes.discovery.discover import Search, Step, discover
from sharpeyes.discovery.found import FoundDevice
from sharpeyes.discovery.reconcile import reconcile
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import ConflictError, SharpEyesError
from sharpeyes.domain.time import Ms
from sharpeyes.net.ws_discovery import interfaces
from sharpeyes.registry import registry
from sharpeyes.registry.declared import Method, Network
from sharpeyes.store.database import Database
from sharpeyes.store.organisation import list_areas

log = logging.getLogger(__name__)

EVERY_S = 6 * 60 * 60.0
"""Pause between two searches: cameras come and move by the day, not by the minute."""
ERRORS = 200
"""Errors of one run that are kept to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One search of all networks."""

    started: Ms
    ended: Ms | None = None
    step: str | None = None
    done: int = 0
    total: int = 0
    """Of the step; 0 if that is not known."""
    found: int = 0
    enrolled: int = 0
    added: int = 0
    """Cameras that are new in the registry."""
    errors: tuple[tuple[str, str], ...] = ()
    """(address or network, what went wrong)"""


class Enrolment:
    """Searches at the start and every few hours; :meth:`begin` searches now."""

    def __init__(
        self,
        database: Database,
        networks: Sequence[Network],
        *,
        credentials: Callable[[Connection], Mapping[str, Credentials]],
        changed: Callable[[], Awaitable[None]],
        clock: Callable[[], Ms],
        every_s: float = EVERY_S,
    ) -> None:
        self.last: Run | None = None
        self.searched = asyncio.Event()
        """Set once the first search has ended."""
        self._database = database
        self._networks = networks
        self._credentials = credentials
        self._changed = changed
        self._clock = clock
        self._every_s = every_s
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def networks(self) -> Sequence[Network]:
        """What is searched: the operator's word that what answers there may be asked."""
        return self._networks

    @property
    def running(self) -> bool:
        return self.last is not None and self.last.ended is None

    def start(self) -> None:
        """Search now and then, until :meth:`stop`. Without networks there is nothing to search."""
        if self._networks:
            self._wanted.set()
            self._task = asyncio.create_task(self._run(), name="enrolment")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def begin(self) -> None:
        """Search now. ConflictError while a search is under way, or if there is nothing to search."""
        if self._task is None:
            raise ConflictError(
                "no networks are configured", mend="Describe them under 'networks:' in cameras.yaml"
            )
        if self.running or self._wanted.is_set():
            raise ConflictError("a search is under way", mend="Wait for its end")
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._wanted.wait()
            self.last = Run(started=self._clock())
            self._wanted.clear()
            try:
                await self._search()
            except Exception as error:  # the next search may fare better; the watch goes on meanwhile
                log.exception("the search for cameras failed")
                self._note(errors=(*self.last.errors, ("search", type(error).__name__)))
            self._note(ended=self._clock(), step=None)
            self.searched.set()
            run = self.last
            log.info(
                "searched %d networks: %d devices found, %d enrolled, %d cameras new, %d errors",
                len(self._networks),
                run.found,
                run.enrolled,
                run.added,
                len(run.errors),
            )

    async def _search(self) -> None:
        credentials = await self._database.aread(self._credentials)
        found: list[FoundDevice] = []
        for network in self._networks:
            try:
                account = credentials.get(network.credential or "")
                found += await discover(_search_of(network, account), self._progress)
            except SharpEyesError as error:
                self._fail(str(network.cidr), str(error))
            self._note(found=len(found), enrolled=sum(bool(device.channels) for device in found))
        for device in found:
            if device.error is not None:
                self._fail(device.address, device.error.message)
        summary = await self._database.awrite(lambda connection: self._take(connection, found))
        self._note(added=summary.added)
        await self._changed()

    def _take(self, connection: Connection, found: Sequence[FoundDevice]) -> registry.Summary:
        """What was found, compared with what is known at this very moment, in one transaction."""
        changes = reconcile(
            registry.inventory(connection),
            found,
            self._networks,
            new_id=lambda noun: f"{noun[:3]}-{secrets.token_hex(5)}",
            area_names={area.id: area.name for area in list_areas(connection)},
        )
        return registry.apply(connection, changes, now=self._clock())

    def _progress(self, step: Step, done: int, total: int) -> None:
        self._note(step=step.value, done=done, total=total)

    def _fail(self, where: str, message: str) -> None:
        assert self.last is not None
        if len(self.last.errors) < ERRORS:
            self._note(errors=(*self.last.errors, (where, message)))

    def _note(self, **news: Any) -> None:
        assert self.last is not None
        self.last = replace(self.last, **news)


def _search_of(network: Network, credentials: Credentials | None) -> Search:
    """The search that a network of the configuration asks for."""
    multicast = Method.MULTICAST in network.methods
    return Search(
        interfaces=interfaces([network.interface] if network.interface else ()) if multicast else (),
        networks=[network.cidr],
        credentials=credentials,
        ports=network.ports,
        unicast=Method.UNICAST in network.methods,
        sweep=Method.SWEEP in network.methods,
    )
