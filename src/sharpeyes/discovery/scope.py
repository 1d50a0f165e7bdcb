"""Where a run may look: what an administrator asked for, held against what this deployment permits. Pure.

Only addresses in a declared network or in ``SHARPEYES_DISCOVERY_ALLOWED`` are asked, by default the private
ones: a service inside a city's network, that asks whatever address it is told to, is a scanner for whoever
gets hold of an administrator's session. Link-local addresses (a cloud's metadata service has one), multicast
and the unspecified ones are nobody's camera and never asked; loopback only where it is declared or allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from sharpeyes.discovery.discover import Search
from sharpeyes.discovery.sweep import PORTS, Range, host_of, merged
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.discovery import Enrol
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.net.ws_discovery import interfaces
from sharpeyes.registry.declared import Method, Network, network_of
from sharpeyes.store.discovery import Found

MAX_ADDRESSES = 65_536
"""Of one run over addresses given to it: a /16."""
WAIT_S = 3.0
"""For answers to probes, after the last of them was sent."""
MAX_ENTRIES = 256
MAX_PORTS = 16
MAX_DEVICES = 500
"""Found devices that are asked again in one run."""
Allowed = Sequence[IPv4Network | IPv6Network]

# fmt: off
_NEVER = tuple(map(ip_network, (
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32",
    "::/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8", "fd00:ec2::254/128",
)))
# fmt: on
"""Nobody's cameras, whatever is allowed; the single ones are metadata services of clouds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks to be searched; nothing: all declared networks."""

    networks: tuple[str, ...] = ()
    """Ids of declared ones."""
    addresses: tuple[str, ...] = ()
    """Networks, addresses and ranges, as people write them."""
    devices: tuple[str, ...] = ()
    """Ids of found devices, to be asked again."""
    ports: tuple[int, ...] = ()
    """For ``addresses``; none: those of ``like``, else the usual ones."""
    like: str | None = None
    """The declared network whose defaults hold for ``addresses``."""
    credential: str | None = None
    """The account for ``addresses``; None: they are asked without one."""
    enrol: Enrol | None = None
    """None: what each declared network says; ``addresses`` are approved first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One search of a run."""

    label: str
    network: Network | None = None
    """The declared one that is searched, or whose defaults hold."""
    ranges: tuple[Range, ...] = ()
    """Addresses given to the run, in the place of the network's own."""
    xaddrs: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    credential: str | None = None
    enrol: Enrol | None = None
    """None: what the network says that a device is in, else it is approved first."""

    def search(self, account: Credentials | None, accounts: Mapping[str, Credentials | None]) -> Search:
        """What is to be done for it. InvalidInputError if a declared interface is not on this machine."""
        if self.ranges or self.xaddrs or self.network is None:
            # A password that may go readable goes so in the networks alone that it was declared for.
            return Search(
                ranges=self.ranges,
                xaddrs=self.xaddrs,
                within=bool(self.ranges),
                credentials=replace(account, allow_basic=False) if account is not None else None,
                accounts={} if self.anonymous else accounts,
                ports=self.ports,
                unicast=bool(self.ranges),
                sweep=bool(self.ranges),
                wait_s=WAIT_S,
            )
        network = self.network
        multicast = Method.MULTICAST in network.methods
        return Search(
            interfaces=interfaces([network.interface] if network.interface else ()) if multicast else (),
            networks=[network.cidr],
            within=not multicast,
            credentials=account,
            accounts=accounts,
            ports=network.ports,
            unicast=Method.UNICAST in network.methods,
            sweep=Method.SWEEP in network.methods,
            wait_s=WAIT_S,
        )

    @property
    def anonymous(self) -> bool:
        """Whether nobody is to be told any account, not even by whom it is known."""
        return bool(self.ranges) and self.credential is None

    @property
    def swept(self) -> list[tuple[Range, frozenset[int]]]:
        """The addresses that are asked, with the ports."""
        if self.ranges or self.xaddrs or self.network is None:
            return [(span, frozenset(self.ports)) for span in self.ranges]
        if Method.SWEEP not in self.network.methods:
            return []
        return [(span, frozenset(self.network.ports)) for span in merged([self.network.cidr])]

    @property
    def questions(self) -> int:
        """How many ports and addresses are asked."""
        if self.xaddrs:
            return len(self.xaddrs)
        if self.ranges or self.network is None:
            return sum(map(len, self.ranges)) * len(self.ports)
        methods, network = self.network.methods, self.network
        if not methods & {Method.UNICAST, Method.SWEEP}:
            return 0
        each = len(network.ports) if Method.SWEEP in methods else 1
        return sum(map(len, merged([network.cidr]))) * each


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run before it is begun."""

    by: str
    parts: tuple[Part, ...]
    scope: Mapping[str, Any] = field(default_factory=dict)
    """As it is shown and kept: no secret is in it."""


def plan(
    wanted: Wanted, networks: Sequence[Network], allowed: Allowed, found: Mapping[str, Found], *, by: str
) -> Plan:
    """The run that was asked for.

    :param found: the found devices that ``wanted.devices`` names.
    :raises InvalidInputError: it names something that is not there, too much, or what is not permitted.
    :raises ConflictError: there is nothing to search.
    """
    parts = [*_declared(wanted, networks), *_given(wanted, networks, allowed)]
    if wanted.devices:
        parts.append(_again(wanted, networks, allowed, found))
    if not parts:
        raise ConflictError(
            "no networks are configured",
            mend="Describe them under 'networks:' in cameras.yaml, or name addresses",
        )
    scope = {
        "networks": [part.network.id for part in parts if part.network and not (part.ranges or part.xaddrs)],
        "addresses": [text.strip() for text in wanted.addresses],
        "devices": len(wanted.devices),
        "ports": list(next((part.ports for part in parts if part.ranges), ())),
        "like": wanted.like,
        "credential": wanted.credential,
        "enrol": wanted.enrol,
    }
    return Plan(by=by, parts=tuple(parts), scope=scope)


def permitted(first: str, networks: Iterable[Network], allowed: Allowed) -> bool:
    """Whether one address may be asked."""
    try:
        address = ip_address(first)
    except ValueError:
        return False
    return _why_not(Range(address, address), networks, allowed) is None


def parse(text: str) -> Range:
    """``192.0.2.0/24``, ``192.0.2.7``, ``192.0.2.7-192.0.2.40`` or ``192.0.2.7-40``; all ends included but
    for the first and last of a network.

    :raises InvalidInputError: none of these, or too many addresses.
    """
    first, dash, last = (part.strip() for part in text.strip().partition("-"))
    try:
        if not dash:
            [span] = merged([ip_network(first, strict=False)])
        else:
            start = ip_address(first)
            if last.isascii() and last.isdigit() and isinstance(start, IPv4Address):
                last = f"{first.rpartition('.')[0]}.{last}"
            span = Range(start, ip_address(last))
            if start.version != span.last.version or int(start) > int(span.last):
                raise ValueError
    except ValueError:
        raise InvalidInputError(
            f"addresses: {text[:80]!r} is no network, address or range",
            mend="Write it like 10.1.0.0/24, 10.1.0.7 or 10.1.0.7-10.1.0.40",
        ) from None
    if int(span.last) - int(span.first) >= MAX_ADDRESSES:
        raise InvalidInputError(
            f"addresses: {text[:80]} has more than {MAX_ADDRESSES:,} addresses",
            mend="Search the parts that hold cameras, one after the other",
        )
    return span


def _declared(wanted: Wanted, networks: Sequence[Network]) -> list[Part]:
    known = {network.id: network for network in networks}
    if wanted.networks:
        chosen = [known.get(key) or _unknown("networks", key) for key in dict.fromkeys(wanted.networks)]
    elif wanted.addresses or wanted.devices:
        chosen = []
    else:
        chosen = list(networks)
    return [
        Part(label=str(one.cidr), network=one, credential=one.credential, enrol=wanted.enrol or one.enrol)
        for one in chosen
    ]


def _given(wanted: Wanted, networks: Sequence[Network], allowed: Allowed) -> list[Part]:
    if not wanted.addresses:
        for name in ("ports", "like", "credential"):
            if getattr(wanted, name):
                raise InvalidInputError(
                    f"{name}: holds for addresses, and none are given", mend="Name addresses"
                )
        return []
    if len(wanted.addresses) > MAX_ENTRIES:
        raise InvalidInputError(f"addresses: more than {MAX_ENTRIES} entries", mend="Give larger networks")
    known = {network.id: network for network in networks}
    like = (known.get(wanted.like) or _unknown("like", wanted.like)) if wanted.like else None
    spans = []
    for text in wanted.addresses:
        span = parse(text)
        if (why := _why_not(span, networks, allowed)) is not None:
            raise InvalidInputError(f"addresses: {text.strip()[:80]} {why[0]}", mend=why[1])
        spans.append(span)
    spans = merged(spans)
    if (count := sum(map(len, spans))) > MAX_ADDRESSES:
        raise InvalidInputError(
            f"addresses: {count:,} are too many for one run (at most {MAX_ADDRESSES:,})",
            mend="Search one part after the other",
        )
    ports = tuple(dict.fromkeys(wanted.ports)) or (like.ports if like else PORTS)
    if len(ports) > MAX_PORTS:
        raise InvalidInputError(f"ports: more than {MAX_PORTS}", mend="Name those of ONVIF device services")
    if wanted.enrol is Enrol.AUTOMATIC and like is None:
        raise InvalidInputError(
            "enrol: what is found at once needs tier, department and area",
            mend="Name in 'like' the network whose defaults apply, or approve what is found",
        )
    label = ", ".join(text.strip() for text in wanted.addresses)
    return [
        Part(
            label=label if len(label) <= 80 else f"{label[:79]}…",
            network=like,
            ranges=tuple(spans),
            ports=ports,
            credential=wanted.credential,
            enrol=wanted.enrol or Enrol.APPROVE,
        )
    ]


def _again(wanted: Wanted, networks: Sequence[Network], allowed: Allowed, found: Mapping[str, Found]) -> Part:
    if len(wanted.devices) > MAX_DEVICES:
        raise InvalidInputError(f"devices: more than {MAX_DEVICES}", mend="Ask fewer at a time")
    xaddrs = []
    for key in dict.fromkeys(wanted.devices):
        if key not in found:
            raise NotFoundError(f"devices: no device {key[:64]} was found")
        host = urlsplit(found[key].xaddr).hostname or ""
        if not permitted(host, networks, allowed):
            raise InvalidInputError(f"devices: {host or key} {_OUTSIDE[0]}", mend=_OUTSIDE[1])
        if host_of(found[key].address) != ip_address(host):
            raise InvalidInputError(
                f"devices: {found[key].address} announces a device at {host}, which is not its own address",
                mend="If that is right, search that address",
            )
        xaddrs.append(found[key].xaddr)
    return Part(label=f"{len(xaddrs)} devices", xaddrs=tuple(xaddrs), enrol=wanted.enrol)


_OUTSIDE = (
    "lies in no network that may be searched",
    "Declare its network in cameras.yaml, or have SHARPEYES_DISCOVERY_ALLOWED name it",
)


def _why_not(span: Range, networks: Iterable[Network], allowed: Allowed) -> tuple[str, str] | None:
    """Why these addresses may not be asked, and what to do about it."""
    for never in _NEVER:
        edges = Range(never.network_address, never.broadcast_address)
        if never.version == span.first.version and (
            int(span.first) <= int(edges.last) and int(edges.first) <= int(span.last)
        ):
            return f"holds addresses that are never asked ({never})", "Leave them out"
    # Two neighbours that are both allowed allow what lies across them.
    whole = [
        Range(one.network_address, one.broadcast_address)
        for one in (*(network.cidr for network in networks), *allowed)
    ]
    for room in merged(whole):
        if span.first in room and span.last in room:
            return None
    return _OUTSIDE


def _unknown(name: str, key: str) -> Network:
    raise InvalidInputError(
        f"{name}: no network {key[:80]!r} is declared", mend="GET /api/v1/discovery/options lists them"
    )


def policy_of(address: str, networks: Sequence[Network], asked: Enrol | None) -> Enrol:
    """What becomes of a device: a network that wants approval has it, whoever asked for what."""
    network = network_of(networks, address)
    if network is None:
        return asked or Enrol.APPROVE
    return Enrol.APPROVE if network.enrol is Enrol.APPROVE else asked or network.enrol
