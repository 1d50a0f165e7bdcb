"""All virtual cameras of a process: start them, break them, mend them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.net.process import raise_file_limit
from sharpeyes.simulator.clip import ClipLibrary, ClipSpec
from sharpeyes.simulator.device import Channel, Device, Stage, shown
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.fleet import Addressing, DevicePlan, Endpoint, Fleet
from sharpeyes.simulator.media import Pacer
from sharpeyes.simulator.ws_discovery import DiscoveryResponder, Reachable

_SWEEP_S = 5.0
_FILES = 500_000  # a camera needs two at least


class Simulator:
    """Virtual cameras in the running event loop.

    ::

        async with Simulator(uniform(3)) as simulator:
            url = simulator.endpoints["camera-0001"].url
            await simulator.set_fault("camera-0001", Fault(kind=FaultKind.BLACK))

    ``in_band``: parameter sets also before each keyframe, not in the SDP alone. ``live_start``: sessions
    start between keyframes, as most cameras do, instead of at one.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        addressing: Addressing | None = None,
        cache: Path | None = None,
        in_band: bool = True,
        live_start: bool = False,
    ) -> None:
        self.fleet = fleet
        self.addressing = addressing or Addressing()
        self._cache, self._in_band = cache, in_band
        self._library = ClipLibrary(cache, in_band=in_band)
        self._live_start = live_start
        self._devices: dict[str, Device] = {}
        self._cameras: dict[str, Device] = {}
        self._by_address: dict[str, list[Device]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._addresses: Iterator[str] = iter(())
        self._opened = 0
        self._stage: Stage | None = None
        self._discovery: DiscoveryResponder | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._changing = asyncio.Lock()

    # --- life ---

    async def start(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make the clips that are needed and open all ports. ``progress(done, total)`` counts clips.

        UnavailableError if a port is taken or a clip cannot be made; then nothing is left open.
        """
        loop = asyncio.get_running_loop()
        self._library = ClipLibrary(self._cache, in_band=self._in_band)
        self._stage = Stage(loop, self._library, Pacer(loop), self._live_start)
        self._addresses, self._opened = self.addressing.addresses(), 0
        raise_file_limit(_FILES)
        try:
            await self._prepare(self.fleet.devices, progress)
            for plan in self.fleet.devices:
                await self._open(plan)
            self._discover(loop)
        except BaseException:
            await self.stop()
            raise
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Close everything; running sessions are broken off."""
        self._library.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._discovery is not None:
            self._discovery.close()
            self._discovery = None
        if self._stage is not None:
            self._stage.pacer.stop()
        for device in self._devices.values():
            await device.stop()
        for _ in range(3):  # transports tell their protocols in the loop's next turns
            await asyncio.sleep(0)
        self._devices.clear()
        self._cameras.clear()
        self._by_address.clear()
        self._endpoints.clear()
        self._stage = None

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- cameras ---

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Where each camera is, by its id."""
        return MappingProxyType(self._endpoints)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all cameras, then of the recorders that they sit in: whatever a fault can be set on."""
        return (*self._cameras, *(each for each in self._devices if each not in self._cameras))

    @property
    def discovery_port(self) -> int | None:
        """UDP port that answers WS-Discovery, None if it is off or its port was taken."""
        return self._discovery.port if self._discovery is not None else None

    @property
    def multicast(self) -> bool:
        """Whether multicast probes are answered."""
        return self._discovery is not None and self._discovery.multicast

    async def add(self, plan: DevicePlan) -> tuple[Endpoint, ...]:
        """One device more while all others run. ConflictError if an id is in use."""
        await self._prepare((plan,), None)
        device = await self._open(plan)
        return tuple(device.endpoints.values())

    async def remove(self, device_id: str) -> None:
        """Take a device away. Its address is not used again."""
        device = self._devices.pop(device_id, None)
        if device is None:
            raise NotFoundError(f"there is no device {device_id!r}")
        for camera in device.channels:
            del self._cameras[camera], self._endpoints[camera]
        self._by_address[device.address].remove(device)
        await device.stop()

    # --- faults ---

    def fault(self, target: str) -> Fault | None:
        """What is wrong with a camera or device at present."""
        device, channel = self._target(target)
        return channel.current_fault if channel is not None else device.fault

    async def set_fault(self, target: str, fault: Fault) -> None:
        """Break a camera (or a whole recorder) in this way instead of any other, from now on.

        Running sessions are hit, too. Picture faults begin at the next keyframe; their clip is made first if
        it is not in the cache. NotFoundError for an unknown id; InvalidInputError for a fault that a single
        channel of a recorder cannot have.
        """
        device, channel = self._target(target)
        if channel is not None and len(device.channels) > 1 and fault.whole_device:
            what = fault.kind if fault.phase is None else f"{fault.kind} at {fault.phase}"
            raise InvalidInputError(
                f"channel {target} of a recorder cannot have the fault {what} alone",
                mend=f"Set it on the device {device.plan.id}",
            )
        hit = [channel] if channel is not None else list(device.channels.values())
        specs = {shown(each.plan, role, fault) for each in hit for role, _ in each.plan.streams}
        await asyncio.to_thread(self._library.prepare, specs)
        await self._put(device, channel, fault)

    async def clear_fault(self, target: str) -> None:
        """All is well again."""
        await self._put(*self._target(target), None)

    # --- figures ---

    def subscriptions(self, target: str) -> int:
        """Event subscriptions open now with the device of a camera."""
        return len(self._target(target)[0].pull_points)

    def forget_subscriptions(self, target: str) -> None:
        """The device of a camera forgets who subscribed to its events, as when it restarts."""
        self._target(target)[0].pull_points.forget()

    @property
    def connections(self) -> int:
        """RTSP and HTTP connections open now."""
        return len(self._stage.connections) if self._stage is not None else 0

    @property
    def sessions(self) -> int:
        """RTSP sessions open now."""
        return self._stage.sessions if self._stage is not None else 0

    @property
    def playing(self) -> int:
        """Sessions that media is sent to now."""
        return len(self._stage.pacer) if self._stage is not None else 0

    # --- inside ---

    def _target(self, target: str) -> tuple[Device, Channel | None]:
        """The device, and the channel if a single one of several is meant."""
        device = self._cameras.get(target)
        if device is not None:
            return device, device.channels[target]
        device = self._devices.get(target)
        if device is None:
            raise NotFoundError(f"there is no camera {target!r}")
        return device, None

    async def _put(self, device: Device, channel: Channel | None, fault: Fault | None) -> None:
        if channel is not None and len(device.channels) > 1:
            channel.fault = fault
            return
        async with self._changing:  # ports are opened and closed by one change at a time
            device.fault = fault
            for each in device.channels.values():
                each.fault = None
            await device.apply()

    async def _prepare(
        self, plans: Iterable[DevicePlan], progress: Callable[[int, int], None] | None
    ) -> None:
        specs: dict[ClipSpec, None] = {}
        for plan in plans:
            for channel in plan.channels:
                for role, _ in channel.streams:
                    for fault in (None, plan.fault, channel.fault):
                        specs[shown(channel, role, fault)] = None
        await asyncio.to_thread(self._library.prepare, specs, progress)

    async def _open(self, plan: DevicePlan) -> Device:
        if self._stage is None:
            raise ConflictError("the simulator does not run", mend="Start it first")
        ids = {plan.id, *(channel.id for channel in plan.channels)}
        taken = sorted(each for each in ids if each in self._devices or each in self._cameras)
        if taken or len({channel.id for channel in plan.channels}) < len(plan.channels):
            raise ConflictError(
                f"device {plan.id}: id {(taken or [plan.id])[0]!r} is in use", mend="Rename it"
            )
        place = self.addressing
        address = plan.address or next(self._addresses)
        number, self._opened = self._opened, self._opened + 1
        ports = (
            (place.rtsp_port + 2 * number, place.rtsp_port + 2 * number + 1)
            if place.shared_address and place.rtsp_port
            else (place.rtsp_port, 0 if place.shared_address else place.onvif_port)
        )
        device = Device(plan, self._stage, address, *ports)
        self._devices[plan.id] = device
        try:
            await device.start()
        except BaseException:
            del self._devices[plan.id]
            await device.stop()
            raise
        self._by_address.setdefault(address, []).append(device)
        self._endpoints.update(device.endpoints)
        self._cameras.update(dict.fromkeys(device.channels, device))
        return device

    def _discover(self, loop: asyncio.AbstractEventLoop) -> None:
        place = self.addressing
        if place.discovery_port is None:
            return
        # Loopback answers as a whole from 127.0.0.1; other addresses are interfaces of their own.
        interfaces = {
            "127.0.0.1" if ipaddress.IPv4Address(address).is_loopback else address
            for address in self._by_address
        }
        responder = DiscoveryResponder(self._reachable, loop)
        try:
            responder.open(place.discovery_port, sorted(interfaces) if place.multicast else ())
        except OSError:
            return  # told by discovery_port: a camera city without discovery is still one
        self._discovery = responder

    def _reachable(self, address: str | None) -> Iterator[Reachable]:
        devices = self._devices.values() if address is None else self._by_address.get(address, ())
        for device in devices:
            if device.discoverable:
                yield device.plan, device.address, device.xaddr

    def _sweep(self) -> None:
        if self._stage is None:
            return
        now = self._stage.loop.time()
        for connection in tuple(self._stage.connections):
            if connection.expired(now):
                connection.abort()
        self._sweeper = self._stage.loop.call_later(_SWEEP_S, self._sweep)


def only_one_loopback() -> bool:
    """Whether 127.0.0.1 is all there is of 127.0.0.0/8, as on macOS."""
    if sys.platform == "linux":
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.1.1", 0))
        except OSError:
            return True
    return False
