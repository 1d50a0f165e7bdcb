"""What cameras report of their own scenes, by ONVIF pull points: evidence, which alone raises no fault.

One subscription a device, shared by all its channels, and pulled from now and then: between two pulls no
socket is held. Only so many devices are subscribed to at once; where there are more, they take turns. A
device without events is left alone, one that refuses us is asked again much later, and no subscription is
left behind at the end.

A report makes our own look at the picture come sooner, and counts as one of the N of M that confirm what such
a look shows (:mod:`.sight`). What is not about the picture itself never gets this far: see
:mod:`sharpeyes.wire.onvif_events`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.reports import SPEAKS_FOR, CameraReport, EventsStatus, ReportKind
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.health import pacing
from sharpeyes.health.accounts import Refusal
from sharpeyes.health.boxes import Box, Calls, Rota
from sharpeyes.net.onvif import OnvifClient, OnvifDevice, OnvifError, Trouble, dig
from sharpeyes.net.onvif_library import Service
from sharpeyes.store import camera_reports as store
from sharpeyes.store.camera_reports import DeviceEvents
from sharpeyes.store.database import Database
from sharpeyes.wire.onvif_events import EVENTS, MESSAGES, Notification, Pulled, Subscription

log = logging.getLogger(__name__)

LIMIT = 1000
"""Subscriptions at a time."""
PULL_S = 30.0
"""Between two pulls of one device."""
LIFETIME_S = 180
"""Of a subscription that is not renewed: what a crash leaves behind ends by itself."""
TENURE_S = 900.0
"""So long a device keeps its subscription while others wait for one."""
WAIT_S = 1
"""So long a device with nothing to say may think about its answer."""
PULLS = 4
"""In one go, while a device has more to say than fits into one."""
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3_600.0
NONE_MS = 7 * DAY_MS
"""A device without events is looked at again after so long: it may have got new firmware."""
HOLDS_MS = 10 * 60_000
"""So long a report speaks for a fault."""
SOONER_S = 60.0
"""A camera's reports bring its look forward no more often than this."""
PER_HOUR = 60
"""Reports of one camera that are taken down in an hour."""
KEPT_MS = 7 * DAY_MS
"""How long a report is kept."""
WRITE_S = 2.0
SWEEP_S = 600.0
END_S = 5.0
"""For ending all subscriptions when the service stops."""
SHARE = 4
"""A device is left alone for so many times as long as its last dialogue took: those that answer as slowly as
they are let do not keep the others from their turn."""
_REFUSED = frozenset(
    {Trouble.AUTH_FAILED, Trouble.AUTH_UNSUPPORTED, Trouble.CREDENTIALS_MISSING, Trouble.FORBIDDEN}
)
_NOT_RENEWED = frozenset(
    {
        Trouble.FAULT,
        Trouble.NOT_FOUND,
        Trouble.HTTP_STATUS,
        Trouble.NOT_ONVIF,
        Trouble.MALFORMED,
        Trouble.FORBIDDEN,
    }
)
"""Answers to a Renew by which a device may mean that it does not know the word."""
_STILL_THERE = frozenset({Trouble.MALFORMED, Trouble.TOO_LARGE, Trouble.HTTP_STATUS, Trouble.NOT_ONVIF})
"""Endings after which the device still holds our subscription, and can be told to end it."""
_SILENT = frozenset({Trouble.REFUSED, Trouble.UNREACHABLE, Trouble.CLOSED, Trouble.TIMEOUT})
"""Endings that tell nothing of our subscription: a device that was busy, or away for a moment, holds it."""


class _NoEventsError(Exception):
    """The device has no events that could be pulled."""


@dataclass(slots=True, eq=False)
class _Line:
    """One device and our subscription with it."""

    box: Box
    device: OnvifDevice | None = None
    service: str = ""
    """URL of its event service."""
    subscription: Subscription | None = None
    pull_point: str = ""
    """URL of the subscription, on the dialled host."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Video source by the token of its configuration: rules go by the latter."""
    filtered: bool = True
    since: float = 0.0
    ends: float = 0.0
    """When the subscription ends unless it is renewed, by the loop's time."""
    failures: int = 0
    silent: bool = False
    """It gave no answer the last time, and was not asked since."""
    refusal: Refusal | None = None
    place: bool = False


@dataclass(slots=True, kw_only=True)
class EventStats:
    """Figures for metrics; they only grow."""

    pulls: int = 0
    failed: int = 0
    reports: dict[ReportKind, int] = field(default_factory=dict)
    passed_over: int = 0
    """Messages that were not about a picture, or about no channel that we know."""
    dropped: int = 0
    """Reports beyond what one camera may make, or that the store did not take."""


class Events:
    """:meth:`start`, :meth:`sync` when the registry changes, :meth:`stop`.

    ``hurry``: told the camera whose picture should be looked at soon.
    """

    def __init__(
        self,
        client: OnvifClient,
        calls: Calls,
        *,
        clock: Callable[[], Ms],
        database: Database,
        hurry: Callable[[str], None],
        limit: int = LIMIT,
        pull_s: float = PULL_S,
    ) -> None:
        self.stats = EventStats()
        self.limit = limit
        self._client = client
        self._calls = calls
        self._clock = clock
        self._database = database
        self._hurry = hurry
        self._pull_s = pull_s
        self._lines: dict[str, _Line] = {}
        self._waiting: deque[str] = deque()
        self._taken = 0
        self._known: dict[str, DeviceEvents] = {}
        self._levels: dict[str, dict[ReportKind, CameraReport]] = {}
        self._said: dict[str, tuple[Ms, int]] = {}
        self._hurried: dict[str, float] = {}
        self._reports: list[CameraReport] = []
        self._dirty: set[str] = set()
        self._rota = Rota("events", self._meet)
        self._writer: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------------

    async def start(self, boxes: Iterable[Box]) -> None:
        """Take up what an earlier run learnt of devices, and begin to listen."""
        self._known = await self._database.aread(store.load_device_events)
        self._rota.start()
        self._writer = asyncio.create_task(self._write_on(), name="events-writer")
        await self.sync(boxes)

    async def stop(self) -> None:
        """Listen no more, and leave no subscription behind."""
        await self._rota.stop()
        await self._end_all(self._lines.values())
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def sync(self, boxes: Iterable[Box]) -> None:
        """Listen to exactly these from now on, as far as they may be asked."""
        known = {box.id: box for box in boxes}
        wanted = {name: box for name, box in known.items() if box.events and box.cameras}
        self._known = {name: each for name, each in self._known.items() if name in known}
        cameras = {camera.id for box in wanted.values() for camera in box.cameras}
        for some in (self._levels, self._said, self._hurried):
            for camera in [camera for camera in some if camera not in cameras]:
                del some[camera]
        gone = []
        for name in list(self._lines):
            line, box = self._lines[name], wanted.get(name)
            if box is not None and _same_way(line.box, box):
                line.box = box
                continue
            await self._rota.drop(name)
            gone.append(self._lines.pop(name))
            with contextlib.suppress(ValueError):
                self._waiting.remove(name)
            self._give_place(line)
        await self._end_all(gone)
        now, moment = asyncio.get_running_loop().time(), self._clock()
        new = [name for name in wanted if name not in self._lines]
        for name in new:
            self._lines[name] = _Line(wanted[name])
            due = pacing.first_slot(now, pacing.phase(f"{name} events"), 300.0, len(new), 10.0)
            before = self._known.get(name)
            if before is not None and before.retry is not None:
                # Never longer than we ever wait: our own clock may have been wrong when it was written.
                due = max(due, now + min(before.retry - moment, NONE_MS) / 1000)
            self._rota.put(name, due)
        self._fill_places()

    # --- shown ---------------------------------------------------------------------------------------

    def speaks_for(self, camera: str) -> frozenset[PictureFault]:
        """Faults of its picture that the camera's own reports make more likely now."""
        return frozenset().union(*(SPEAKS_FOR[report.kind] for report in self.current(camera)))

    def current(self, camera: str) -> tuple[CameraReport, ...]:
        """What the camera said lately and has not taken back."""
        now = self._clock()
        levels = self._levels.get(camera, {})
        # On either side of now: our clock may have stepped back meanwhile.
        return tuple(each for each in levels.values() if each.active and abs(now - each.at) <= HOLDS_MS)

    def status(self, device: str | None) -> DeviceEvents | None:
        """How it stands between us and a device's events, None if it was not asked yet or may not be."""
        return self._known.get(device or "") if device in self._lines else None

    def by_status(self) -> Mapping[EventsStatus, int]:
        """Devices by how it stands with them; those that wait for their turn are not among them."""
        known = (self._known.get(name) for name in self._lines)
        return Counter(each.status for each in known if each is not None)

    @property
    def subscribed(self) -> int:
        return sum(line.subscription is not None for line in self._lines.values())

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # --- one device ----------------------------------------------------------------------------------

    async def _meet(self, name: str) -> float | None:
        line = self._lines.get(name)
        if line is None:
            return None
        if not line.place:
            if self._taken >= self.limit:
                self._waiting.append(name)
                return None  # called when somebody makes room
            self._taken += 1
            line.place = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._calls.at(line.box.host):
                began = loop.time()
                try:
                    await self._converse(line)
                except OnvifError as error:
                    if error.kind in _STILL_THERE:
                        await self._end(line)
                    raise
        except _NoEventsError as error:
            self._give_place(line)
            return self._left(line, EventsStatus.NONE, str(error), NONE_MS)
        except OnvifError as error:
            self.stats.failed += 1
            return self._failed(line, error)
        line.failures, line.silent, line.refusal = 0, False, None
        self._stands(line, EventsStatus.SUBSCRIBED)
        if self._waiting and loop.time() - line.since >= TENURE_S:
            await self._end(line)
            line.since = 0.0
            self._give_place(line)
            self._waiting.append(name)
            return None
        pause = self._pull_s * random.uniform(1 - pacing.JITTER, 1 + pacing.JITTER)
        return loop.time() + max(pause, SHARE * (loop.time() - began - WAIT_S))

    async def _converse(self, line: _Line) -> None:
        """Subscribe if we are not yet, hear what there is, see to it that the subscription lasts."""
        loop = asyncio.get_running_loop()
        if line.subscription is None or line.device is None:
            await self._subscribe(line)
        assert line.device is not None
        line.device.again()
        for _ in range(PULLS):
            self.stats.pulls += 1
            pulled: Pulled = await self._ask(line, "PullMessages", wait_s=WAIT_S)
            if pulled.lifetime_s is not None:
                line.ends = loop.time() + pulled.lifetime_s
            self._hear(line, pulled)
            if pulled.messages < MESSAGES:
                break
        if line.ends - loop.time() < LIFETIME_S / 2 or line.ends - loop.time() < 3 * self._pull_s:
            await self._renew(line)

    async def _subscribe(self, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        box = line.box
        device = line.device
        if device is None:
            device = self._client.dial(
                box.xaddr, box.credentials, tls=box.tls, fingerprint=box.device.fingerprint
            )
            await device.read_clock()
            await self._survey(line, device)
            line.device = device
        else:
            device.again()
        try:
            line.subscription = await self._create(line, device)
        except OnvifError as error:
            if error.kind is not Trouble.FAULT or not line.filtered:
                raise
            line.filtered = False  # many a device refuses every filter
            line.subscription = await self._create(line, device)
        line.since = loop.time()
        line.ends = loop.time() + (line.subscription.lifetime_s or LIFETIME_S)
        line.pull_point = device.service_url(line.subscription.address) or line.service

    async def _survey(self, line: _Line, device: OnvifDevice) -> None:
        """Where its events are, and which source its rules mean by their own tokens.

        :raises _NoEventsError: it says that it has none.
        """
        services = await _services(device)
        if EVENTS not in services:
            raise _NoEventsError("the device has no event service")
        line.service = services[EVENTS]
        media = services.get(Service.MEDIA.namespace)
        if len(line.box.cameras) < 2 or media is None:
            return
        with contextlib.suppress(OnvifError):  # without it the rules of a recorder are of unknown channels
            listed = await device.call(Service.MEDIA, "GetVideoSourceConfigurations", url=media)
            line.sources = {
                str(dig(each, "token") or ""): str(dig(each, "SourceToken") or "")
                for each in (listed if isinstance(listed, list) else [])[:1_024]
            }

    async def _create(self, line: _Line, device: OnvifDevice) -> Subscription:
        try:
            created: Subscription = await device.call(
                Service.EVENTS,
                "CreatePullPointSubscription",
                url=line.service,
                to=line.service,
                filtered=line.filtered,
                lifetime_s=LIFETIME_S,
            )
        except OnvifError as error:
            if _not_there(error):
                raise _NoEventsError(error.message) from None
            raise
        return created

    async def _renew(self, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        try:
            lasts = await self._ask(line, "Renew", lifetime_s=LIFETIME_S)
        except OnvifError as error:
            if error.kind not in _NOT_RENEWED:
                raise
            # Some devices renew by every pull and know no other way; if this one does not, the next pull
            # is refused, and we subscribe anew.
            lasts = None
        line.ends = loop.time() + (lasts or LIFETIME_S)

    async def _ask(self, line: _Line, operation: str, **arguments: Any) -> Any:
        """A call to the pull point itself."""
        assert line.device is not None
        assert line.subscription is not None
        url, parameters = line.pull_point, line.subscription.parameters
        return await line.device.call(
            Service.EVENTS, operation, url=url, to=url, parameters=parameters, **arguments
        )

    async def _end_all(self, lines: Iterable[_Line]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await asyncio.gather(*(self._end(line) for line in lines))

    async def _end(self, line: _Line) -> None:
        """Unsubscribe; if the device does not hear it, the subscription ends by itself."""
        if line.subscription is None or line.device is None:
            return
        line.device.again()
        with contextlib.suppress(OnvifError):
            await self._ask(line, "Unsubscribe")
        line.subscription = None

    # --- how it stands with it -----------------------------------------------------------------------

    def _failed(self, line: _Line, error: OnvifError) -> float:
        """When to try again. The login is kept out of harm's way, as it is with streams."""
        if error.kind is Trouble.NO_RESOURCES:  # ours, not the device's: all stays as it is
            return asyncio.get_running_loop().time() + self._pull_s
        had, silent = line.since > 0.0, line.silent
        line.silent = error.kind in _SILENT
        if had and line.silent and not silent:  # or it would hold one more for every answer that was late
            return asyncio.get_running_loop().time() + self._pull_s
        line.subscription, line.since = None, 0.0
        line.failures += 1
        if error.kind in _REFUSED:
            line.device = None
            if had and line.failures == 1:  # it let us in before: its clock may have been set since
                return asyncio.get_running_loop().time() + self._pull_s
            line.refusal = Refusal.after(line.refusal, self._clock())
            self._give_place(line)
            return self._left(line, EventsStatus.REFUSED, error.message, line.refusal.until - self._clock())
        if had and line.failures == 1 and not line.silent:  # it forgot us, or was restarted: subscribe anew
            return asyncio.get_running_loop().time() + self._pull_s
        line.device = None
        self._give_place(line)
        if error.kind is Trouble.FAULT:  # as devices do whose pull points are all taken
            return self._left(line, EventsStatus.REFUSED, error.message, round(1000 * LONGEST_PAUSE_S))
        pause = min(FIRST_PAUSE_S * 2 ** min(line.failures - 1, 10), LONGEST_PAUSE_S)
        pause *= random.uniform(0.8, 1.2)
        return self._left(line, EventsStatus.FAILING, error.message, round(1000 * pause))

    def _left(self, line: _Line, status: EventsStatus, why: str, pause_ms: int) -> float:
        self._stands(line, status, why, Ms(self._clock() + pause_ms))
        return asyncio.get_running_loop().time() + pause_ms / 1000

    def _stands(
        self, line: _Line, status: EventsStatus, detail: str | None = None, retry: Ms | None = None
    ) -> None:
        known = self._known.get(line.box.id)
        if known is not None and known.status is status and known.detail == detail and retry is None:
            return
        self._known[line.box.id] = DeviceEvents(
            device=line.box.id, status=status, at=self._clock(), detail=detail, retry=retry
        )
        self._dirty.add(line.box.id)

    def _give_place(self, line: _Line) -> None:
        if line.place:
            line.place = False
            self._taken -= 1
        self._fill_places()

    def _fill_places(self) -> None:
        """Call as many of those that wait as there are places: whoever finds none left waits again."""
        now = asyncio.get_running_loop().time()
        for _ in range(min(self.limit - self._taken, len(self._waiting))):
            self._rota.put(self._waiting.popleft(), now)

    # --- what is said --------------------------------------------------------------------------------

    def _hear(self, line: _Line, pulled: Pulled) -> None:
        known = 0
        for notification in pulled.notifications:
            source = notification.source or ""
            camera = _channel(line.box, line.sources.get(source, source))
            if camera is not None:
                known += 1
                self._take(camera.id, notification)
        self.stats.passed_over += pulled.messages - known

    def _take(self, camera: str, said: Notification) -> None:
        now = self._clock()
        levels = self._levels.setdefault(camera, {})
        before = levels.get(said.kind)
        if before is None and not said.active:
            return  # the initial state of what is well
        if before is not None and before.active is said.active and abs(now - before.at) < HOLDS_MS:
            return
        since, number = self._said.get(camera, (now, 0))
        if not 0 <= now - since < 3_600_000:
            since, number = now, 0
        if number >= PER_HOUR:
            self.stats.dropped += 1
            return
        self._said[camera] = since, number + 1
        report = CameraReport(camera=camera, kind=said.kind, active=said.active, at=now, topic=said.topic)
        levels[said.kind] = report
        self._reports.append(report)
        self.stats.reports[said.kind] = self.stats.reports.get(said.kind, 0) + 1
        loop_now = asyncio.get_running_loop().time()
        if loop_now - self._hurried.get(camera, float("-inf")) >= SOONER_S:
            self._hurried[camera] = loop_now
            self._hurry(camera)

    # --- kept ----------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Store what was said. Reports that the store does not take are gone: evidence is no record of
        states. How it stands with a device is tried again, for by that an account is not tried too soon."""
        if not (self._reports or self._dirty):
            return
        reports, self._reports = self._reports, []
        dirty, self._dirty = self._dirty, set()
        standing = [self._known[name] for name in dirty if name in self._known]

        def write(connection: Connection) -> None:
            store.put_device_events(connection, standing)
            now = self._clock()
            said = [replace(each, at=Ms(min(each.at, now))) for each in reports]  # ours may have been ahead
            store.add_reports(connection, said, expires=Ms(now + KEPT_MS))

        try:
            await self._database.awrite(write)
        except (SQLAlchemyError, SharpEyesError, OSError) as error:
            self.stats.dropped += len(reports)
            self._dirty |= dirty
            log.error("what cameras report cannot be stored: %s", error)

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        swept = float("-inf")
        while True:
            await asyncio.sleep(WRITE_S)
            await self.flush()
            if loop.time() - swept >= SWEEP_S:
                swept = loop.time()
                with contextlib.suppress(SQLAlchemyError, SharpEyesError, OSError):
                    await self._database.awrite(lambda c: store.forget_reports(c, self._clock()))


async def _services(device: OnvifDevice) -> dict[str, str]:
    """URLs of its services, on the dialled host, by namespace.

    :raises OnvifError: it does not say.
    """
    try:
        listed = await device.call(Service.DEVICE, "GetServices", IncludeCapability=False)
    except OnvifError as error:
        if error.kind not in (Trouble.FAULT, Trouble.MALFORMED):
            raise
        listed = None  # it is of the days before GetServices
    named = [
        (str(dig(entry, "Namespace") or "").rstrip("/"), dig(entry, "XAddr"))
        for entry in (listed if isinstance(listed, list) else [])[:64]
    ]
    if not named:
        told = await device.call(Service.DEVICE, "GetCapabilities", Category=["All"])
        named = [
            (EVENTS, dig(told, "Events", "XAddr")),
            (Service.MEDIA.namespace, dig(told, "Media", "XAddr")),
        ]
    found = ((name, device.service_url(str(url or ""))) for name, url in named)
    return {name: url for name, url in found if url is not None}


def _not_there(error: OnvifError) -> bool:
    return error.kind is Trouble.NOT_FOUND or (
        error.kind is Trouble.FAULT and "ActionNotSupported" in error.message
    )


def _channel(box: Box, source: str) -> Camera | None:
    """The camera that a message is about. Where there is one, it is that: some devices name another token
    in their events than in their profiles."""
    if len(box.cameras) == 1:
        return box.cameras[0]
    return next((camera for camera in box.cameras if camera.channel and camera.channel == source), None)


def _same_way(one: Box, other: Box) -> bool:
    """Whether the device is reached and entered in the same way, so that a subscription may stay."""
    return (one.xaddr, one.credentials, one.tls, one.device.fingerprint) == (
        other.xaddr,
        other.credentials,
        other.tls,
        other.device.fingerprint,
    )
