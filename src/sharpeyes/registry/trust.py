"""How the certificates of a city's cameras are trusted, as ``cameras.yaml`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sharpeyes.domain.camera import Camera
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.registry.declared import Network, network_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Policies of single cameras by their ids, and those of networks, for whatever has its address in one."""

    cameras: Mapping[str, TlsPolicy] = field(default_factory=dict)
    networks: Sequence[Network] = ()
    otherwise: TlsPolicy | None = None

    def of(self, host: str, *cameras: Camera) -> TlsPolicy | None:
        """What is asked of the certificate of a host at which these cameras are; None if nothing is declared.

        The first of the cameras that has a policy of its own counts, else the smallest network that has one,
        those of the cameras' zone before others. Names are in no network, only addresses are.
        """
        for camera in cameras:
            if (own := self.cameras.get(camera.id)) is not None:
                return own
        networks = [network for network in self.networks if network.tls is not None]
        if not networks:
            return self.otherwise
        address, zones = f"[{host}]:0", {camera.zone for camera in cameras}
        network = network_of((one for one in networks if one.zone in zones), address)
        network = network or network_of(networks, address)
        return self.otherwise if network is None else network.tls
