"""Look behind every port of every address of a network: for where discovery by datagrams does not pass."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.net.knock import Knock, knock, knock_url
from sharpeyes.net.ws_discovery import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = (80, 8000, 8080, 8899, 2020, 5000)
"""Where device services are: the standard, Hikvision and Reolink, many, white labels, TP-Link, others."""
MAX_HOSTS = 65_536
"""Addresses of one search: a /16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hard a network is looked at."""

    in_flight: int = 512
    per_second: float = 1_000.0
    """New connections; a street of cheap switches takes this."""
    connect_s: float = 1.2
    """Longer than the one second after which a lost SYN is sent again."""
    answer_s: float = 3.0


def networks(cidrs: Sequence[str], *, large: bool = False) -> list[Network]:
    """The networks of ``--cidr`` options; a single address is a network of one.

    :param large: whether more than :data:`MAX_HOSTS` addresses were confirmed.
    :raises InvalidInputError: not a CIDR, or too large.
    """
    found: list[Network] = []
    for text in cidrs:
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise InvalidInputError(
                f"cidr {text!r} is not a network", mend="Write it like 192.0.2.0/24"
            ) from None
    count = sum(network.num_addresses for network in found)
    if count > MAX_HOSTS and not large:
        raise InvalidInputError(
            f"cidr: {count} addresses are too many for one search (at most {MAX_HOSTS}, a /16)",
            mend="Give smaller networks, or confirm with --large",
        )
    if count > 1 << 20:
        raise InvalidInputError(f"cidr: {count} addresses cannot be searched", mend="Give smaller networks")
    return found


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from ``first`` to ``last``, both of them included."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def networks(self) -> Iterator[Network]:
        """The same addresses in as few networks as there can be."""
        return ipaddress.summarize_address_range(self.first, self.last)


def merged(found: Iterable[Network | Range]) -> list[Range]:
    """The addresses that a device can have in these, each once, in order.

    The first and the last of an IPv4 network are nobody's; those of a range were named.
    """
    spans: list[Range] = []
    for one in sorted(map(_span, found), key=lambda span: (span.first.version, int(span.first))):
        last = spans[-1] if spans else None
        if last is None or last.first.version != one.first.version or int(one.first) > int(last.last) + 1:
            spans.append(one)
        elif int(one.last) > int(last.last):
            spans[-1] = Range(last.first, one.last)
    return spans


def _span(one: Network | Range) -> Range:
    if isinstance(one, Range):
        return one
    first, last = one.network_address, one.broadcast_address
    if one.num_addresses > 2:  # RFC 3021, RFC 6164: both of two are somebody's
        first = first + 1
        last = last - 1 if one.version == 4 else last
    return Range(first, last)


def host_of(address: str) -> Address | None:
    """The address of ``host:port``, or of a host alone."""
    host = address if address.count(":") != 1 and "]" not in address else address.rpartition(":")[0]
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def hosts(found: Iterable[Network | Range]) -> Iterator[str]:
    """Every address of :func:`merged`."""
    for span in merged(found):
        kind = type(span.first)
        for number in range(int(span.first), int(span.last) + 1):
            yield str(kind(number))


async def sweep(
    found: Sequence[Network | Range],
    ports: Sequence[int] = PORTS,
    *,
    pace: Pace = Pace(),
    progress: Callable[[int, int], None] | None = None,
    heard: Callable[[str], None] | None = None,
) -> list[str]:
    """URLs of the device services in these networks.

    One address is asked port after port with all the others between, so that no device sees a burst.

    :param progress: called with the number of ports asked and their total.
    :param heard: called with the address of each device service that answered.
    :raises UnavailableError: this machine has no sockets left; what was not asked is not "nobody".
    """
    total = len(ports) * sum(map(len, merged(found)))
    work = ((host, port) for port in ports for host in hosts(found))
    urls: list[str] = []
    done = 0
    exhausted = False
    loop = asyncio.get_running_loop()
    start, begun = loop.time(), 0

    async def worker() -> None:
        nonlocal begun, done, exhausted
        for host, port in work:
            begun += 1
            ahead = start + begun / pace.per_second - loop.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            try:
                answer = await knock(host, port, connect_s=pace.connect_s, answer_s=pace.answer_s)
            except OSError:
                exhausted = True
                return
            if answer is Knock.DEVICE:
                urls.append(knock_url(host, port))
                if heard is not None:
                    heard(host)
            done += 1
            if progress is not None:
                progress(done, total)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(pace.in_flight, _descriptors(), total)):
            group.create_task(worker())
    if exhausted:
        raise UnavailableError("the sweep ran out of file descriptors", mend="Raise the limit with ulimit -n")
    return sorted(urls)


def _descriptors() -> int:
    """How many sockets this process may have besides a reserve for the rest of it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 16 if soft == resource.RLIM_INFINITY else max(16, soft - 256)
