"""What cameras there shall be: frozen descriptions, from a single camera to a city, and where they live."""

from __future__ import annotations

import ipaddress
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase


class Scheme(StrEnum):
    """How RTSP and snapshots ask for a login."""

    NONE = "none"
    BASIC = "basic"
    MD5 = "md5"
    SHA256 = "sha256"


class OnvifLogin(StrEnum):
    """How ONVIF asks for a login."""

    WSSE = "wsse"
    """UsernameToken with a password digest (WS-Security)."""
    DIGEST = "digest"
    """HTTP Digest alone."""
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPlan:
    """One camera, or one input of a recorder."""

    id: str
    name: str = ""
    streams: tuple[tuple[StreamRole, ClipSpec], ...] = (
        (StreamRole.MAIN, ClipSpec()),
        (StreamRole.SUB, ClipSpec(width=640, height=360, kbps=400)),
    )
    fault: Fault | None = None
    """From the start; see :meth:`Simulator.set_fault`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan:
    """A box with an address: a camera, or a recorder with several channels."""

    id: str
    channels: tuple[ChannelPlan, ...]
    manufacturer: str = "SharpEyes"
    model: str = "Virtual camera"
    firmware: str = "1.0.0"
    serial: str = ""
    mac: str = ""
    """Empty: made from the id, locally administered."""
    credentials: Credentials | None = None
    """None: nobody is asked for a login."""
    scheme: Scheme = Scheme.MD5
    qop: bool = True
    """Digest with qop=auth (RFC 2617, RFC 7616); else as in RFC 2069."""
    onvif_login: OnvifLogin = OnvifLogin.BOTH
    session_limit: int = 16
    """RTSP sessions at a time; one more gets 453."""
    clock_offset_s: float = 0.0
    pull_points: int = 8
    """Event subscriptions at a time; 0: the device has no event service."""
    event_filters: bool = True
    """Whether it knows topic filters; many devices refuse a subscription that has one."""
    discoverable: bool = True
    scopes: tuple[str, ...] = ()
    """Further WS-Discovery scopes, sent as they are."""
    tier: Tier | None = None
    address: str | None = None
    """None: the next of the simulator's addresses."""
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if not self.channels:
            raise InvalidInputError(f"device {self.id} has no channel", mend="Give at least one")
        for channel in self.channels:
            if not channel.streams:
                raise InvalidInputError(f"camera {channel.id} has no stream", mend="Give at least one")

    @property
    def hardware_address(self) -> str:
        """MAC, ``02:..`` if none was given."""
        made = uuid.uuid5(uuid.NAMESPACE_OID, self.id).bytes[:5]
        return self.mac or ":".join(f"{part:02x}" for part in b"\x02" + made)

    @property
    def serial_number(self) -> str:
        return self.serial or f"SE{uuid.uuid5(uuid.NAMESPACE_OID, self.id).int % 10**10:010d}"

    @property
    def endpoint(self) -> str:
        """WS-Discovery endpoint reference; stable."""
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sharpeyes:virtual:{self.id}')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Devices that one simulator plays."""

    devices: tuple[DevicePlan, ...] = ()

    def __len__(self) -> int:
        """Cameras, that is channels."""
        return sum(len(device.channels) for device in self.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """Where the devices listen."""

    network: str = "127.0.1.1"
    """A network, whose hosts are taken in order (``127.0.1.0/24``), or the first address to take."""
    rtsp_port: int = 8554
    """0: any free port, another for each device."""
    onvif_port: int = 8899
    discovery_port: int | None = 3702
    """UDP port of WS-Discovery; None: no discovery."""
    shared_address: bool = False
    """All devices on the first address, with RTSP on ``rtsp_port + 2 * n`` and ONVIF on the port after it:
    for systems where 127.0.0.1 is the only loopback address."""
    multicast: bool = True
    """Answer multicast probes too, on the interfaces of the devices' addresses, if the machine allows it."""

    def __post_init__(self) -> None:
        for name in ("rtsp_port", "onvif_port", "discovery_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port <= 65535:
                raise InvalidInputError(f"{name} is {port}", mend="Give 0 to 65535")
        try:
            ipaddress.IPv4Network(self.network, strict=False)
        except ValueError:
            raise InvalidInputError(
                f"address {self.network!r} is neither an IPv4 address nor a network",
                mend="Write for example 127.0.1.0/24 or 127.0.1.1",
            ) from None

    def addresses(self) -> Iterator[str]:
        """Addresses in order. InvalidInputError where the network ends."""
        network = ipaddress.IPv4Network(self.network, strict=False)
        first = ipaddress.IPv4Address(self.network.partition("/")[0])
        if self.shared_address:
            host = str(first + 1 if first == network.network_address and network.num_addresses > 2 else first)
            while True:
                yield host
        endless = "/" not in self.network
        last = int(first) + 2**20 if endless else int(network.broadcast_address)
        for number in range(int(first), last + 1):
            if number & 255 not in (0, 255) or (network.num_addresses <= 2 and not endless):
                yield str(ipaddress.IPv4Address(number))
        raise InvalidInputError(f"network {self.network} has too few addresses", mend="Give a larger network")


# --- fleets ready to use ------------------------------------------------------------------------------------

SIMULATED = Credentials("admin", Secret("simulated"))
"""The account of virtual cameras if nobody chooses another. No secret: it opens nothing but drawings."""

SCENES = 4
"""Different places in the ready fleets: each costs the time to make its clips."""


def streams(scene: int = 0, codec: Codec = Codec.H264) -> tuple[tuple[StreamRole, ClipSpec], ...]:
    """A 1080p25 main stream of 2 Mbit/s and a 640x360 sub-stream of 0.4 Mbit/s, both of one place."""
    return (
        (StreamRole.MAIN, ClipSpec(codec=codec, scene=scene, gops=4)),
        (StreamRole.SUB, ClipSpec(codec=codec, scene=scene, gops=7, width=640, height=360, kbps=400)),
    )


def uniform(
    cameras: int,
    *,
    credentials: Credentials | None = SIMULATED,
    scheme: Scheme = Scheme.MD5,
    scenes: int = 2,
    codec: Codec = Codec.H264,
) -> Fleet:
    """So many healthy single cameras ``camera-0001``..., alike but for the scene: for benches."""
    if not 1 <= cameras <= 100_000:
        raise InvalidInputError(f"number of cameras is {cameras}", mend="Give 1 to 100000")
    views = [streams(scene, codec) for scene in range(max(1, scenes))]
    return Fleet(
        devices=tuple(
            DevicePlan(
                id=(name := f"camera-{number:04d}"),
                channels=(ChannelPlan(id=name, name=f"Camera {number}", streams=views[number % len(views)]),),
                credentials=credentials,
                scheme=scheme,
            )
            for number in range(1, cameras + 1)
        )
    )


_PLACES = (
    (
        "Renmin Road",
        "Jiefang Square",
        "North Station",
        "Harbour Bridge",
        "Ring Road East",
        "Museum",
        "Court",
        "Town Hall",
    ),
    ("Clinic", "Primary School", "Bus Depot", "Reservoir", "Waterworks", "Market Hall", "Library", "Stadium"),
    ("Lakeside Estate", "Willow Lane", "Garden Court", "Old Mill", "Corner Shop", "Underground Car Park"),
)
_SPOTS = ("north gate", "south gate", "crossing", "entrance", "car park", "footbridge", "yard", "corridor")
_MAKERS = (
    ("Beiguang", "BG-IPC-2204"),
    ("Nordlicht", "NL-D1080"),
    ("Seto Optics", "SO-77"),
    ("Haitian Vision", "HV-NVR16"),
)
_FAULTS = (
    Fault(kind=FaultKind.OFF),
    Fault(kind=FaultKind.BLACK),
    Fault(kind=FaultKind.AUTH),
    Fault(kind=FaultKind.NO_RTP),
    Fault(kind=FaultKind.HANG, phase=FaultPhase.DESCRIBE),
    Fault(kind=FaultKind.CLOCK, seconds=7200),
    Fault(kind=FaultKind.BLUR),
    Fault(kind=FaultKind.LOSS, percent=8),
)


def city(
    cameras: int = 60, *, seed: int = 1, faulty: float = 0.1, credentials: Credentials | None = SIMULATED
) -> Fleet:
    """A small city: three tiers, names, makers, recorders of four and eight channels, H.264 and H.265,
    several kinds of login, and a share of ``faulty`` cameras. The same arguments give the same city.
    """
    if not 1 <= cameras <= 5_000:
        raise InvalidInputError(f"number of cameras is {cameras}", mend="Give 1 to 5000")
    chance = random.Random(seed)
    views = [streams(scene) for scene in range(SCENES)] + [streams(SCENES, Codec.H265)]
    devices: list[DevicePlan] = []
    made = 0
    bounds = (round(cameras * 0.5), round(cameras * 0.8), cameras)
    for tier, bound, places in zip(Tier, bounds, _PLACES, strict=True):
        while made < bound:
            # Recorders stand where one owner has many cameras: in departments and communities.
            wanted = chance.choice((1, 1, 1, 4, 8)) if tier is not Tier.PUBLIC_SECURITY else 1
            size = wanted if made + wanted <= bound else 1
            maker, model = _MAKERS[3] if size > 1 else chance.choice(_MAKERS[:3])
            place = chance.choice(places)
            channels = tuple(
                ChannelPlan(
                    id=f"camera-{made + index:04d}",
                    name=f"{place}, {chance.choice(_SPOTS)} {made + index}",
                    streams=views[(made + index) % len(views)],
                )
                for index in range(1, size + 1)
            )
            devices.append(
                DevicePlan(
                    id=channels[0].id if size == 1 else f"recorder-{len(devices) + 1:03d}",
                    channels=channels,
                    manufacturer=maker,
                    model=model,
                    firmware=f"V{chance.randint(2, 6)}.{chance.randint(0, 9)}.{chance.randint(0, 40)}",
                    serial="" if chance.random() > 0.1 else "000000000",
                    credentials=credentials,
                    scheme=chance.choice((Scheme.MD5, Scheme.MD5, Scheme.SHA256)),
                    qop=chance.random() < 0.7,
                    onvif_login=chance.choice((OnvifLogin.BOTH, OnvifLogin.WSSE, OnvifLogin.DIGEST)),
                    session_limit=max(4, size),
                    tier=tier,
                    scopes=chance.choice(
                        (
                            (),
                            ("onvif://www.onvif.org/location/city/New Town",),
                            ("onvif://www.onvif.org/location/%D6%D0",),
                        )
                    ),
                )
            )
            made += size
    faults = iter(_FAULTS * (cameras // len(_FAULTS) + 1))
    singles = [index for index, device in enumerate(devices) if len(device.channels) == 1]
    for index in sorted(chance.sample(singles, min(len(singles), round(cameras * faulty)))):
        devices[index] = replace(devices[index], fault=next(faults))
    return Fleet(devices=tuple(devices))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one virtual camera is to be found. URLs hold no credentials."""

    camera: str
    device: str
    name: str
    tier: Tier | None
    address: str
    token: str
    """ONVIF video source."""
    xaddr: str
    streams: dict[StreamRole, str] = field(default_factory=dict)
    snapshot_url: str = ""

    @property
    def url(self) -> str:
        """The main stream, or the only one."""
        return self.streams.get(StreamRole.MAIN) or next(iter(self.streams.values()))

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.camera,
            "device": self.device,
            "name": self.name,
            "tier": self.tier,
            "address": self.address,
            "token": self.token,
            "xaddr": self.xaddr,
            "streams": {role.value: url for role, url in self.streams.items()},
            "snapshot_url": self.snapshot_url,
        }
