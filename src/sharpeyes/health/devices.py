"""The boxes that cameras sit in: their clocks and their events, for as long as the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from sqlalchemy import Connection

from sharpeyes.domain.clock import ClockPolicy
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.time import Ms
from sharpeyes.health.boxes import Box, Calls
from sharpeyes.health.clocks import Clocks
from sharpeyes.health.events import Events
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.registry.declared import Network
from sharpeyes.registry.trust import Trust
from sharpeyes.store.cameras import list_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.devices import list_devices

LIMITS = OnvifLimits(retries=0)
"""A call that fails is made again at the next turn: a second subscription could be the first one's twin."""


class Devices:
    """Clocks and events of all devices that are in the registry with an ONVIF service.

    ``accounts`` reads the accounts by name; ``hurry`` is told the camera whose picture should be looked at
    soon; ``trust`` is about the certificates of the devices. Those of a ``network`` that says so are not
    asked for events.
    """

    def __init__(
        self,
        database: Database,
        accounts: Callable[[Connection], Mapping[str, Credentials]],
        *,
        clock: Callable[[], Ms],
        hurry: Callable[[str], None],
        trust: Trust,
        networks: Sequence[Network] = (),
        policy: ClockPolicy | None = None,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._networks = networks
        self._trust = trust
        self._client = OnvifClient(LIMITS)
        self._open: contextlib.AsyncExitStack | None = None
        self._started = False
        self._changing = asyncio.Lock()
        calls = Calls()
        self.clocks = Clocks(self._client, calls, clock=clock, database=database, policy=policy)
        self.events = Events(self._client, calls, clock=clock, database=database, hurry=hurry)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask and listen for as long as the block lasts."""
        async with contextlib.AsyncExitStack() as stack:
            self._open = stack
            try:
                await self.sync()
                yield
            finally:
                self._open = None

    async def sync(self) -> None:
        """Ask those that the registry knows now."""
        async with self._changing:
            if self._open is not None:
                await self._sync(self._open)

    async def _sync(self, stack: contextlib.AsyncExitStack) -> None:
        boxes = await self._database.aread(self._boxes)
        if self._started:
            await self.clocks.sync(boxes)
            await self.events.sync(boxes)
        elif boxes:  # a city without ONVIF does not load what that takes
            self._started = True
            await stack.enter_async_context(self._client)
            stack.push_async_callback(self.clocks.stop)
            stack.push_async_callback(self.events.stop)
            await self.clocks.start(boxes)
            await self.events.start(boxes)

    def _boxes(self, connection: Connection) -> list[Box]:
        accounts = self._accounts(connection)
        channels: dict[str, list[int]] = {}
        cameras = list_cameras(connection)
        for number, camera in enumerate(cameras):
            if camera.device is not None:
                channels.setdefault(camera.device, []).append(number)
        boxes = []
        for device in list_devices(connection):
            if device.xaddr is None or device.id not in channels:
                continue
            known = device.credential is None or device.credential in accounts
            box = Box(
                device=device,
                cameras=tuple(cameras[number] for number in channels[device.id]),
                credentials=accounts.get(device.credential or ""),
            )
            box = replace(box, tls=self._trust.of(box.host, *box.cameras))
            boxes.append(box if known and self._listened(box) else box.deaf())
        return boxes

    def _listened(self, box: Box) -> bool:
        """As the first network says that the device lies in."""
        try:
            address = ip_address(box.host)
        except ValueError:
            return True
        return next((network.events for network in self._networks if address in network.cidr), True)
