"""What the routes work on, put together by the composition root."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from sharpeyes.access.access import Access
from sharpeyes.access.register.figures_public import PublicFigures
from sharpeyes.access.register.writer import RegisterDamagedError
from sharpeyes.api.answers import Answers
from sharpeyes.api.metrics import Metrics
from sharpeyes.api.table import FleetTable
from sharpeyes.api.uploads import Uploads
from sharpeyes.discovery.enrolment import Enrolment
from sharpeyes.domain.time import Ms
from sharpeyes.faults.faults import Faults, FaultSettings
from sharpeyes.gateway.doors import ViewDoors
from sharpeyes.health.board import Board
from sharpeyes.health.devices import Devices
from sharpeyes.health.fleet import Fleet
from sharpeyes.health.quality import Quality
from sharpeyes.rates.report.reporter import Reporter
from sharpeyes.registry.declared import Declared
from sharpeyes.selfwatch.canaries import Canaries
from sharpeyes.selfwatch.own_outages import OwnOutages
from sharpeyes.store.database import Database
from sharpeyes.store.kept import Kept
from sharpeyes.store.tokens import Token
from sharpeyes.store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What cameras.yaml said when the service started, for those who say something else beside it."""

    declared: Declared
    faults: FaultSettings
    timezone: tzinfo
    """Of the site."""
    vault: Vault
    retell: Callable[[], Awaitable[None]]
    """Told after a change of who is told of faults, and who is responsible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The rooms of a running service, as the API sees them."""

    database: Database
    board: Board
    fleet: Fleet
    enrolment: Enrolment
    metrics: Metrics
    clock: Callable[[], Ms]
    readiness: Callable[[], Sequence[str]]
    """Why the service is not ready, one reason each; empty when it is."""
    reload: Callable[[], Awaitable[None]]
    """Told after a change of the registry."""
    faults: Faults
    configured: Configured
    reporter: Reporter
    access_or_damage: Access | RegisterDamagedError
    """Who may see what; or why nobody may: the register is not whole."""
    metrics_allow: Sequence[IPv4Network | IPv6Network] = field(default=())
    """Who may read the metrics without a token, besides this machine."""
    camera_metrics: bool = False
    canaries: Canaries | None = None
    """None where they are switched off."""
    devices: Devices | None = None
    """None where nobody asks devices for their clocks and events."""
    own_outages: OwnOutages | None = None
    """None where nobody looks for them."""
    quality: Quality | None = None
    """None where pictures are not looked at."""
    views: ViewDoors | None = None
    """None while nobody can watch: without a register there are no views."""
    site: str = "SharpEyes"
    """Name of the city or district."""
    timezone: str = "UTC"
    """IANA name of its time zone."""
    map_tiles: str | None = None
    """Address of the tiles under the map, if there are any."""
    map_credit: str = ""
    reports_key: Path = Path("reports.key")
    """What reports are signed with; made when the first one is given out."""
    public_figures: PublicFigures | None = None
    """Figures of past months for everybody; None where they are not published."""
    telemetry_failing: Callable[[], bool] = lambda: False
    """Whether what is observed cannot be stored."""
    table: FleetTable = field(init=False)
    """All cameras in little, packed."""
    answers: Answers = field(init=False)
    """What many ask for, and takes long."""
    tokens: Kept[bytes, Token] = field(default_factory=Kept)
    """Those that held a moment ago, by the digest of their text."""
    listeners: Counter[str] = field(default_factory=Counter)
    """Streams of what happens now, by who hears them."""
    uploads: Uploads = field(default_factory=Uploads)
    """Dossier files on their way into the registry."""
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the register is read back: one at a time."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the service stops: answers that would go on for ever end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", FleetTable(self.database, self.board))
        object.__setattr__(self, "answers", Answers(self.clock))

    @property
    def accountable(self) -> bool:
        """Whether what happens can be registered."""
        return not isinstance(self.access_or_damage, RegisterDamagedError)

    @property
    def access(self) -> Access:
        """RegisterDamagedError while nothing can be registered: then nobody logs in, decides or watches."""
        if isinstance(self.access_or_damage, RegisterDamagedError):
            raise RegisterDamagedError(self.access_or_damage.message, mend=self.access_or_damage.mend)
        return self.access_or_damage


async def context(request: Request) -> Context:
    """A coroutine, though it waits for nothing: what is none would be run in a thread at every request."""
    found: Context = request.app.state.context
    return found


Rooms = Annotated[Context, Depends(context)]
"""A route's parameter of this type is given the context."""
