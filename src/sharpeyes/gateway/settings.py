"""What a site sets of its gateway: frozen values with defaults that work on one machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnServer:
    """A relay for viewers that no direct path reaches."""

    url: str
    """``turn:host:port?transport=udp`` or ``turns:...?transport=tcp``."""
    username: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class IceSettings:
    """Where media leaves this gateway, and what viewers are told about it."""

    addresses: tuple[str, ...] = ()
    """Local addresses to send from; empty: all of this machine but the loopback one."""
    announced: str | None = None
    """What viewers are told instead of the local address: the outer one of a NAT that forwards ``ports``."""
    ports: tuple[int, int] | None = None
    """First and last UDP port to use, one a viewer; None: any."""
    stun: str | None = None
    """``stun:host:port``, to find the outer address where it is not known. Without effect where one of the
    three above is set."""
    turn: TurnServer | None = None

    def __post_init__(self) -> None:
        if self.ports and not 1 <= self.ports[0] <= self.ports[1] <= 65535:
            raise InvalidInputError(
                f"gateway ports: {self.ports[0]}-{self.ports[1]} is no range", mend="For example 50000-50999"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Views at a time."""

    user: int = 16
    department: int = 200
    camera: int = 500
    gateway: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """All of it."""

    ice: IceSettings = field(default_factory=IceSettings)
    limits: Limits = field(default_factory=Limits)
    grace_s: float = 15.0
    """How long a camera is still pulled after its last viewer left."""
    stall_s: float = 5.0
    """Without a packet for so long, the connection to a camera counts as dead."""
    start_s: float = 10.0
    """How long a viewer waits for a camera that is not pulled yet."""
    connect_s: float = 20.0
    """How long a viewer may take from the answer to the first packet."""
    silence_s: float = 20.0
    """A viewer by HLS that asked for nothing so long has left."""
    poll_s: float = 1.0
    """Rights are looked at again so often, besides what is told."""
    stale_s: float = 5.0
    """If rights could not be looked at for so long, every picture stops."""
    pulls: int = 200
    """Cameras pulled at a time."""
    transcodes: int = field(default_factory=lambda: 2 * (os.cpu_count() or 1))
    """Pictures coded anew at a time, each by a process of its own (up to a third of a core at 1080p): one for
    each camera with privacy masks, and for each viewer with a watermark burned in."""
    origins: tuple[str, ...] = ()
    """Web origins whose pages may call the gateway (CORS), such as ``https://console.example``."""
    gso: bool = True
    """Use UDP segmentation offload where the self-test finds it."""
