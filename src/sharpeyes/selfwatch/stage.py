"""Where canaries perform: virtual cameras of the simulator, one a zone, in this process.

They share one small drawing of 640x360 at 5 frames a second: a probe that waits for a keyframe moves about
twenty kilobytes. Clips are drawn once by a child process and kept in the user's cache folder.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.clock import ClockReading
from sharpeyes.domain.credentials import Credentials
from sharpeyes.net.onvif import OnvifClient
from sharpeyes.selfwatch.schedule import Show
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase
from sharpeyes.simulator.fleet import SIMULATED, Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator, only_one_loopback

log = logging.getLogger(__name__)

CLIP = ClipSpec(width=640, height=360, fps=5.0, gop=10, kbps=250, scene=6)
FAULTS: Mapping[Show, Fault] = {
    Show.BLACK: Fault(kind=FaultKind.BLACK),
    Show.REFUSAL: Fault(kind=FaultKind.AUTH),
    Show.FREEZE: Fault(kind=FaultKind.FREEZE),
    Show.HANG: Fault(kind=FaultKind.HANG, phase=FaultPhase.DESCRIBE),
    Show.BLUR: Fault(kind=FaultKind.BLUR),
    Show.CLOCK: Fault(kind=FaultKind.CLOCK, seconds=600.0),
    Show.SHIFT: Fault(kind=FaultKind.SHIFT),
}
LOOPBACK = "127.0.99.1"
"""The first canary's; a host of its own each, so that one that hangs takes nobody's turn."""


@dataclass(slots=True)
class SimulatedStage:
    """Canaries of ``zones``. ``addresses``: where those of some zones listen; the others on loopback."""

    zones: tuple[str, ...]
    addresses: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials = SIMULATED
    _simulator: Simulator | None = None
    _onvif: OnvifClient | None = None

    async def open(self) -> Mapping[str, str]:
        """Zone -> RTSP URL. UnavailableError if an address is not ours or a clip cannot be drawn."""
        devices = tuple(
            DevicePlan(
                id=zone,
                channels=(ChannelPlan(id=zone, name=f"Canary of {zone}", streams=((StreamRole.SUB, CLIP),)),),
                model="Canary",
                credentials=self.credentials,
                discoverable=False,
                address=self.addresses.get(zone),
            )
            for zone in self.zones
        )
        place = Addressing(
            network="127.0.0.1" if only_one_loopback() else LOOPBACK,
            rtsp_port=0,
            onvif_port=0,
            discovery_port=None,
            shared_address=only_one_loopback(),
        )
        simulator = Simulator(Fleet(devices=devices), addressing=place)
        await simulator.start()
        self._simulator = simulator
        self._onvif = await OnvifClient().__aenter__()
        return {zone: simulator.endpoints[zone].url for zone in self.zones}

    async def show(self, zone: str, show: Show) -> None:
        """From now on this. UnavailableError if its clip cannot be drawn."""
        assert self._simulator is not None
        if show is Show.HEALTHY:
            await self._simulator.clear_fault(zone)
        else:
            await self._simulator.set_fault(zone, FAULTS[show])

    async def read_clock(self, zone: str) -> ClockReading:
        """The canary's clock as any device's is read. OnvifError."""
        assert self._simulator is not None
        assert self._onvif is not None
        return await self._onvif.dial(self._simulator.endpoints[zone].xaddr).measure_clock()

    async def close(self) -> None:
        if self._onvif is not None:
            await self._onvif.__aexit__()
            self._onvif = None
        if self._simulator is not None:
            await self._simulator.stop()
            self._simulator = None
