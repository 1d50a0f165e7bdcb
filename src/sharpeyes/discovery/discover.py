"""Find and enrol: whoever answers to discovery, hides in the networks or was named, asked what it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from sharpeyes.discovery.enrol import Target, enrol
from sharpeyes.discovery.found import FoundDevice, FoundError, trimmed
from sharpeyes.discovery.sweep import PORTS, Pace, Range, hosts, merged, sweep
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.discovery import How
from sharpeyes.net.onvif import OnvifClient, OnvifLimits
from sharpeyes.net.ws_discovery import Interface, Network, Sighting
from sharpeyes.net.ws_discovery import discover as ask_around
from sharpeyes.registry.trust import Trust
from sharpeyes.wire.service_url import device_service_url

_A_SOURCE = 64
"""Devices that one address may announce."""


class Step(StrEnum):
    """What a search is doing."""

    PROBE = "probe"
    SWEEP = "sweep"
    ENROL = "enrol"


Progress = Callable[[Step, int, int], None]
"""Called with the step, how much of it is done, and how much there is (0 if that is not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look, and as whom. Nothing is asked that is not named here."""

    interfaces: Sequence[Interface] = ()
    """For multicast."""
    networks: Sequence[Network] = ()
    """For unicast probes and the sweep; their addresses may also be named by other sources."""
    ranges: Sequence[Range] = ()
    """The same, but each of their addresses is believed of itself alone."""
    within: bool = False
    """Whether only devices in ``networks`` and ``ranges`` are asked what they are, whoever else answers."""
    xaddrs: Sequence[str] = ()
    credentials: Credentials | None = None
    accounts: Mapping[str, Credentials | None] = field(default_factory=dict)
    """Those of single devices, by ``host:port``, in the place of ``credentials``."""
    ports: Sequence[int] = PORTS
    unicast: bool = True
    sweep: bool = True
    wait_s: float = 3.0
    pace: Pace = field(default_factory=Pace)
    limits: OnvifLimits = field(default_factory=OnvifLimits)
    trust: Trust = field(default_factory=Trust)
    in_flight: int = 64
    """Devices that are enrolled at a time."""

    @property
    def places(self) -> list[Network | Range]:
        return [*self.networks, *self.ranges]

    @property
    def questions(self) -> int:
        """How many ports (or addresses, if none is swept) are asked."""
        if not (self.sweep or self.unicast):
            return 0
        return sum(map(len, merged(self.places))) * (len(self.ports) if self.sweep else 1)


async def discover(
    search: Search,
    progress: Progress | None = None,
    *,
    heard: Callable[[str], None] | None = None,
    found: Callable[[FoundDevice], None] | None = None,
) -> list[FoundDevice]:
    """Every device found, in the order of addresses; one that could not be enrolled, with its error.

    :param heard: called with each address that answers as a device does.
    :param found: called with each device once it was asked what it is.
    :raises InvalidInputError: one of ``search.xaddrs`` is no URL of a device service.
    :raises UnavailableError: this machine has no sockets left for the sweep.
    """
    tell = progress or (lambda step, done, total: None)  # noqa: ARG005
    named = [Target(xaddr=device_service_url(xaddr)) for xaddr in search.xaddrs]
    sightings = 0

    def count(sighting: Sighting) -> None:
        nonlocal sightings
        sightings += 1
        tell(Step.PROBE, sightings, 0)
        if heard is not None and within(sighting.source):
            heard(sighting.source)

    spans = merged(search.places) if search.within else None

    def within(host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return spans is None or any(address in span for span in spans)

    try:
        async with asyncio.TaskGroup() as group:
            answers = group.create_task(
                ask_around(
                    multicast=search.interfaces,
                    unicast=hosts(search.places) if search.unicast else (),
                    believed=search.networks,
                    wait_s=search.wait_s,
                    heard=count,
                )
            )
            swept = group.create_task(
                sweep(
                    search.places if search.sweep else (),
                    search.ports,
                    pace=search.pace,
                    progress=lambda done, total: tell(Step.SWEEP, done, total),
                    heard=heard,
                )
            )
    except ExceptionGroup as group_of:
        raise group_of.exceptions[0] from None
    targets, unfit = _targets(answers.result(), swept.result(), named, within)
    told = found or (lambda device: None)  # noqa: ARG005
    for device in unfit:
        told(device)
    enrolled = await _enrol_all(search, targets, tell, told)
    return sorted([*unfit, *enrolled], key=lambda device: (device.address, device.xaddr))


def _targets(
    sightings: Sequence[Sighting],
    swept: Sequence[str],
    named: Sequence[Target],
    within: Callable[[str], bool],
) -> tuple[list[Target], list[FoundDevice]]:
    """Each device service once, with what its announcement said; and the announcements not to be followed."""
    targets: dict[str, Target] = {}
    endpoints: set[str] = set()
    unfit: list[FoundDevice] = []
    by_source: Counter[str] = Counter()
    for sighting in sightings:
        match = sighting.match
        by_source[sighting.source] += 1
        if by_source[sighting.source] > _A_SOURCE:
            continue
        if not sighting.xaddrs:
            if within(sighting.source):
                unfit.append(_unbelieved(sighting))
            continue
        believed = [url for url in sighting.xaddrs if within(urlsplit(url).hostname or "")]
        if not believed:
            continue  # it may well be there, but nobody asked for it
        # A device with several addresses is enrolled over one: the one that it answered from, if there is;
        # a link-local one last, since without its zone it leads nowhere.
        xaddrs = sorted(believed, key=lambda url: (f"//{sighting.source}" not in url, "//[fe80:" in url))
        xaddr = device_service_url(xaddrs[0])
        if xaddr in targets or (match.endpoint is not None and match.endpoint in endpoints):
            continue
        endpoints |= {match.endpoint} if match.endpoint is not None else set()
        targets[xaddr] = Target(xaddr=xaddr, endpoint=match.endpoint, scopes=match.scopes, how=How.PROBE)
    dialled = {authority(xaddr) for xaddr in targets}
    for target in [*(Target(xaddr=url, how=How.SWEEP) for url in swept), *named]:
        # The sweep guesses the path; an announcement knows it.
        if authority(target.xaddr) not in dialled:
            targets[target.xaddr] = target
            dialled.add(authority(target.xaddr))
    return list(targets.values()), unfit


def authority(url: str) -> str:
    """``host:port`` of an HTTP(S) URL, the port said even where it is the scheme's own."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    return (
        authority
        if authority.rpartition("]")[2].count(":")
        else f"{authority}:{80 if scheme == 'http' else 443}"
    )


def _unbelieved(sighting: Sighting) -> FoundDevice:
    return FoundDevice(
        address=sighting.source,
        xaddr=sighting.refused[0],
        identity=Identity(endpoint=sighting.match.endpoint, address=sighting.source),
        error=FoundError(
            "xaddr_refused",
            f"{sighting.source} announces a device at {sighting.refused[0]}, which is not its own address. "
            "If that is right, name its network with --cidr or the device with --xaddr",
        ),
        how=How.PROBE,
    )


async def _enrol_all(
    search: Search, targets: Sequence[Target], tell: Progress, told: Callable[[FoundDevice], None]
) -> list[FoundDevice]:
    if not targets:
        return []
    found: list[FoundDevice] = []
    work = iter(targets)

    async with OnvifClient(search.limits) as client:

        async def worker() -> None:
            for target in work:
                account = search.accounts.get(authority(target.xaddr), search.credentials)
                tls = search.trust.of(urlsplit(target.xaddr).hostname or "")
                device = trimmed(await enrol(client, target, account, tls))
                found.append(device)
                told(device)
                tell(Step.ENROL, len(found), len(targets))

        tell(Step.ENROL, 0, len(targets))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(search.in_flight, len(targets))):
                group.create_task(worker())
    return found
