"""How many connections the service holds, in all and of one address, and which of them somebody answers for.

A connection is a stranger's until a request by it was let in: by a session, a token, a ticket, or an address
that may read the metrics. Strangers of one address are few; where the service is full, the address that has
most strangers loses its oldest for whoever comes. So a crowd of strangers neither ends a stream nor keeps a
newcomer of another address out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

MOST = 2000
EACH = 256
STRANGERS = 4
"""One part in so many of an address' connections may be strangers'."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that whoever has it cannot choose."""


@dataclass(slots=True, eq=False)
class Held:
    """One connection that is held."""

    address: str
    drop: Callable[[], None]
    """Ends it at once."""
    known: bool = False
    book: Connections | None = field(default=None, repr=False)

    def vouched(self) -> None:
        """Somebody answers for it from now on."""
        if self.book is not None and not self.known:
            self.book.know(self)

    def over(self) -> None:
        """It is closed."""
        if self.book is not None:
            self.book.forget(self)


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Why a connection is not held."""

    status: HTTPStatus
    why: str
    """address: that of the other end has too many; full: the service has."""
    detail: str
    mend: str


class Connections:
    """Those of one service, up to ``most``, and ``each`` of an address that is not one of the ``proxies``."""

    def __init__(self, most: int = MOST, each: int = EACH, proxies: Iterable[str] = ()) -> None:
        self.most = most
        self.each = each
        self._all = False
        self._proxies: list[IPv4Network | IPv6Network] = []
        for text in proxies:
            self._all |= text == "*"
            try:
                self._proxies.append(ip_network(text, strict=False))
            except ValueError:
                continue  # a name, which no address of a connection is
        self._strangers: dict[str, dict[Held, None]] = {}
        self._each: Counter[str] = Counter()
        self.known = 0
        self.refused: Counter[str] = Counter({"address": 0, "full": 0, "displaced": 0})

    @property
    def strangers(self) -> int:
        return sum(map(len, self._strangers.values()))

    def hold(self, peer: str, drop: Callable[[], None]) -> Held | TurnedAway:
        """A connection that came from ``peer``; ``drop`` ends it, should another need its place."""
        address, trusted = self._place(peer)
        mine = self._strangers.get(address, {})
        few = max(1, self.each // STRANGERS)
        if not trusted and (self._each[address] >= self.each or len(mine) >= few):
            self.refused["address"] += 1
            return TurnedAway(
                HTTPStatus.TOO_MANY_REQUESTS,
                "address",
                f"your address holds {self._each[address]} connections, {len(mine)} of them without a log-in",
                "Close some; SHARPEYES_MAX_CONNECTIONS_EACH bounds them",
            )
        if self.known + self.strangers >= self.most and not self._displace():
            self.refused["full"] += 1
            return TurnedAway(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "full",
                f"the service holds {self.most} connections",
                "Try again in a few seconds; SHARPEYES_MAX_CONNECTIONS bounds them",
            )
        held = Held(address, drop, book=self)
        self._each[address] += 1
        self._strangers.setdefault(address, {})[held] = None
        return held

    def know(self, held: Held) -> None:
        self._leave(held)
        held.known = True
        self.known += 1

    def forget(self, held: Held) -> None:
        if held.known:
            self.known -= 1
        else:
            self._leave(held)
        held.book = None
        self._each[held.address] -= 1
        if not self._each[held.address]:
            del self._each[held.address]

    def _displace(self) -> bool:
        """Drop the oldest stranger of the address that has most; False if there is none."""
        if not self._strangers:
            return False
        most = max(self._strangers.values(), key=len)
        oldest = next(iter(most))
        self.refused["displaced"] += 1
        self.forget(oldest)
        oldest.drop()
        return True

    def _leave(self, held: Held) -> None:
        mine = self._strangers.get(held.address, {})
        mine.pop(held, None)
        if not mine:
            self._strangers.pop(held.address, None)

    def _place(self, peer: str) -> tuple[str, bool]:
        """Under which address it is counted, and whether that is a proxy's, behind which are many."""
        try:
            address = ip_address(peer)
        except ValueError:
            return peer, True  # a socket of this machine
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if self._all or any(address in network for network in self._proxies):
            return str(address), True
        if isinstance(address, IPv6Address):
            return str(ip_network((address, IPV6_PREFIX), strict=False)), False
        return str(address), False


def vouch(request: HTTPConnection) -> None:
    """Whoever sent this was let in: their connection is no stranger's."""
    held = getattr(request.state, "held", None)
    if isinstance(held, Held):
        held.vouched()
