"""What the operator declared, as plain values that the configuration is read into."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.discovery import Enrol
from sharpeyes.domain.dossier import Dossier
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Node
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.net.tls import TlsPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCredential:
    """An account; its password is None if it could not be read now, which keeps the one stored before."""

    id: str
    username: str
    password: Secret | None
    allow_basic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNode:
    """Something upstream, and the cameras that hang from it directly."""

    node: Node
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The whole of it: what is missing here and was declared before is to be retired."""

    tiers: tuple[TierPolicy, ...] = ()
    zones: tuple[Zone, ...] = ()
    departments: tuple[Department, ...] = ()
    areas: tuple[Area, ...] = ()
    """Parents before their children."""
    credentials: tuple[DeclaredCredential, ...] = ()
    cameras: tuple[Camera, ...] = ()
    dossiers: Mapping[str, Dossier] = field(default_factory=dict)
    """What is said of cameras' dossiers; cells that are left out stay as they are."""
    boundaries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Area -> GeoJSON geometry."""
    nodes: tuple[DeclaredNode, ...] = ()
    tls: Mapping[str, TlsPolicy] = field(default_factory=dict)
    """What is asked of the certificates of single cameras, by their ids."""


class Method(StrEnum):
    """How the devices of a network are looked for."""

    UNICAST = "unicast"
    """A WS-Discovery probe to every address."""
    SWEEP = "sweep"
    """An HTTP request to every address and port."""
    MULTICAST = "multicast"
    """WS-Discovery on an interface of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A whole network whose cameras are to be found, and what holds for each that is."""

    cidr: IPv4Network | IPv6Network
    tier: Tier
    department: str
    area: str
    zone: str
    credential: str | None = None
    ports: tuple[int, ...]
    """Ports of the ONVIF device service, for unicast replies and the sweep."""
    methods: frozenset[Method]
    interface: str | None = None
    """Name or address of the interface for multicast."""
    camera_name: str
    """Pattern of the names of its cameras; see :data:`NAME_FIELDS`."""
    events: bool = True
    """Whether its devices are asked what they report of their scenes: one event subscription each."""
    tls: TlsPolicy | None = None
    """What is asked of the certificates at its addresses; None if nothing is declared."""
    enrol: Enrol = Enrol.AUTOMATIC
    """Whether what is found in it goes into the registry at once or waits until somebody approves it."""

    @property
    def id(self) -> str:
        """No other network has it."""
        return f"{self.cidr}@{self.zone}"


NAME_FIELDS = ("area", "address", "channel", "manufacturer", "model", "number")
"""What may stand in braces in :attr:`Network.camera_name`: the area's name, the device's address, the
channel's name, maker and model, and the first number from 1 on that makes the name a new one."""
CAMERA_NAME = "{area} {model} {number}"
"""Without the address: everybody reads names, and where devices are in the network is for who mends them."""


def check_pattern(pattern: str) -> None:
    """InvalidInputError, without the name of the field, if this is no pattern of names."""
    try:
        for _, name, specification, conversion in string.Formatter().parse(pattern):
            if name is not None and (name not in NAME_FIELDS or specification or conversion):
                raise InvalidInputError(
                    f"{{{name}}} is not known here", mend=f"Use {', '.join(f'{{{n}}}' for n in NAME_FIELDS)}"
                )
    except ValueError:
        raise InvalidInputError(
            "a brace is not closed", mend="Write fields as {number}, a brace itself as {{"
        ) from None


def network_of(networks: Iterable[Network], address: str | None) -> Network | None:
    """The smallest network that holds a device's address (``host:port``), the first of equals by its text."""
    try:
        host = ip_address((address or "").rpartition(":")[0].strip("[]"))
    except ValueError:
        return None
    inside = [network for network in networks if host in network.cidr]
    return min(inside, key=lambda one: (-one.cidr.prefixlen, str(one.cidr)), default=None)
