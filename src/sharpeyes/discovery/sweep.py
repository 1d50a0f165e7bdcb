"""Look behind every port of every address of a network: for where discovery by datagrams does not pass."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.net.knock import Knock, knock, knock_url
from sharpeyes.net.ws_discovery import Network

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


def hosts(found: Sequence[Network]) -> Iterator[str]:
    """Every address that a device can have, each once."""
    merged: list[Network] = [
        *ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv6Network)),
    ]
    for network in merged:
        for address in network.hosts():
            yield str(address)


async def sweep(
    found: Sequence[Network],
    ports: Sequence[int] = PORTS,
    *,
    pace: Pace = Pace(),
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """URLs of the device services in these networks.

    One address is asked port after port with all the others between, so that no device sees a burst.

    :param progress: called with the number of ports asked and their total.
    :raises UnavailableError: this machine has no sockets left; what was not asked is not "nobody".
    """
    total = len(ports) * sum(1 for _ in hosts(found))
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
