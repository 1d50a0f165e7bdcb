"""Find and enrol: whoever answers to discovery, hides in the networks or was named, asked what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sharpeyes.discovery.enrol import Target, enrol
from sharpeyes.discovery.found import FoundDevice, FoundError
from sharpeyes.discovery.sweep import PORTS, Pace, hosts, sweep
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.credentials import Credentials
from sharpeyes.net.onvif import OnvifClient, OnvifLimits, TlsTrust
from sharpeyes.net.ws_discovery import Interface, Network, Sighting
from sharpeyes.net.ws_discovery import discover as ask_around
from sharpeyes.wire.service_url import device_service_url


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
    xaddrs: Sequence[str] = ()
    credentials: Credentials | None = None
    ports: Sequence[int] = PORTS
    unicast: bool = True
    sweep: bool = True
    wait_s: float = 3.0
    pace: Pace = field(default_factory=Pace)
    limits: OnvifLimits = field(default_factory=OnvifLimits)
    trust: TlsTrust = TlsTrust.PIN
    in_flight: int = 64
    """Devices that are enrolled at a time."""


async def discover(search: Search, progress: Progress | None = None) -> list[FoundDevice]:
    """Every device found, in the order of addresses; one that could not be enrolled, with its error.

    :raises InvalidInputError: one of ``search.xaddrs`` is no URL of a device service.
    :raises UnavailableError: this machine has no sockets left for the sweep.
    """
    tell = progress or (lambda step, done, total: None)  # noqa: ARG005
    named = [Target(xaddr=device_service_url(xaddr)) for xaddr in search.xaddrs]
    heard = 0

    def count(_: Sighting) -> None:
        nonlocal heard
        heard += 1
        tell(Step.PROBE, heard, 0)

    try:
        async with asyncio.TaskGroup() as group:
            answers = group.create_task(
                ask_around(
                    multicast=search.interfaces,
                    unicast=hosts(search.networks) if search.unicast else (),
                    believed=search.networks,
                    wait_s=search.wait_s,
                    heard=count,
                )
            )
            swept = group.create_task(
                sweep(
                    search.networks if search.sweep else (),
                    search.ports,
                    pace=search.pace,
                    progress=lambda done, total: tell(Step.SWEEP, done, total),
                )
            )
    except ExceptionGroup as group_of:
        raise group_of.exceptions[0] from None
    targets, unfit = _targets(answers.result(), swept.result(), named)
    found = await _enrol_all(search, targets, tell)
    return sorted([*unfit, *found], key=lambda device: (device.address, device.xaddr))


def _targets(
    sightings: Sequence[Sighting], swept: Sequence[str], named: Sequence[Target]
) -> tuple[list[Target], list[FoundDevice]]:
    """Each device service once, with what its announcement said; and the announcements not to be followed."""
    targets: dict[str, Target] = {}
    endpoints: set[str] = set()
    unfit: list[FoundDevice] = []
    for sighting in sightings:
        match = sighting.match
        if not sighting.xaddrs:
            unfit.append(_unbelieved(sighting))
            continue
        # A device with several addresses is enrolled over one: the one that it answered from, if there is;
        # a link-local one last, since without its zone it leads nowhere.
        xaddrs = sorted(
            sighting.xaddrs, key=lambda url: (f"//{sighting.source}" not in url, "//[fe80:" in url)
        )
        xaddr = device_service_url(xaddrs[0])
        if xaddr in targets or (match.endpoint is not None and match.endpoint in endpoints):
            continue
        endpoints |= {match.endpoint} if match.endpoint is not None else set()
        targets[xaddr] = Target(xaddr=xaddr, endpoint=match.endpoint, scopes=match.scopes)
    dialled = {_authority(xaddr) for xaddr in targets}
    for target in [*(Target(xaddr=url) for url in swept), *named]:
        # The sweep guesses the path; an announcement knows it.
        if _authority(target.xaddr) not in dialled:
            targets[target.xaddr] = target
            dialled.add(_authority(target.xaddr))
    return list(targets.values()), unfit


def _authority(url: str) -> str:
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
        identity=Identity(endpoint=sighting.match.endpoint),
        error=FoundError(
            "xaddr_refused",
            f"{sighting.source} announces a device at {sighting.refused[0]}, which is not its own address. "
            "If that is right, name its network with --cidr or the device with --xaddr",
        ),
    )


async def _enrol_all(
    search: Search, targets: Sequence[Target], tell: Callable[[Step, int, int], None]
) -> list[FoundDevice]:
    if not targets:
        return []
    found: list[FoundDevice] = []
    work = iter(targets)

    async with OnvifClient(search.limits) as client:

        async def worker() -> None:
            for target in work:
                found.append(await enrol(client, target, search.credentials, search.trust))
                tell(Step.ENROL, len(found), len(targets))

        tell(Step.ENROL, 0, len(targets))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(search.in_flight, len(targets))):
                group.create_task(worker())
    return found
