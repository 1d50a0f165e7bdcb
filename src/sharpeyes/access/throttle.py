"""How long a log-in must wait after failures. Pure: time is an argument, and nothing sleeps here.

Three counts are kept, each with a wait that doubles and a ceiling: per account *and* address, per account
over all addresses, and per address over all accounts. A count is forgotten after a quiet quarter of an hour.

A stranger cannot lock somebody out: an address from which the account has logged in before is not held to
the count over all addresses, so its owner waits only for what was done from there. Somebody at a *new*
address may have to compete with the guesser for the attempts that are let through, one a minute at the least.
An attempt within a wait is refused unchecked and does not lengthen it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.time import Ms

QUIET_MS = 15 * 60_000
MOST_KEYS = 50_000
"""The longest unused is forgotten first: memory stays bounded, whatever names are tried."""


class WaitError(UnavailableError):
    """Too often of late."""

    kind = "throttled"

    def __init__(self, wait_ms: int, message: str = "too many failed attempts") -> None:
        self.retry_after_s = -(-wait_ms // 1000)
        super().__init__(message, mend=f"Try again in {self.retry_after_s} s")


@dataclass(frozen=True, slots=True)
class Limit:
    """No wait up to ``free`` failures, then ``first_ms``, doubled by each one more, up to ``ceiling_ms``."""

    free: int
    first_ms: int
    ceiling_ms: int

    def wait_ms(self, failures: int) -> int:
        over = failures - self.free
        return 0 if over <= 0 else min(self.ceiling_ms, self.first_ms << min(over - 1, 30))


PAIR = Limit(free=3, first_ms=1_000, ceiling_ms=5 * 60_000)
ACCOUNT = Limit(free=10, first_ms=1_000, ceiling_ms=60_000)
ADDRESS = Limit(free=30, first_ms=1_000, ceiling_ms=5 * 60_000)


@dataclass(slots=True)
class _Count:
    failures: int
    last: Ms


class Throttle:
    """Failures of late."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, ...], _Count] = OrderedDict()

    def begin(self, account: str, address: str, now: Ms, *, known: bool) -> int:
        """Ask to try. 0: go on, and the attempt counts as failed until :meth:`succeeded` says otherwise, so
        that many at once are no way around. Else: the ms to wait, and nothing was counted.

        ``known``: the account has logged in from this address before.
        """
        return self._begin(self._keys(account, address, known), now)

    def begin_at(self, address: str, now: Ms) -> int:
        """The same where no account is named: for the address alone."""
        return self._begin([(("address", network_of(address)), ADDRESS)], now)

    def _begin(self, keys: list[tuple[tuple[str, ...], Limit]], now: Ms) -> int:
        wait = max(self._wait(key, limit, now) for key, limit in keys)
        if wait:
            return wait
        for key, _ in keys:
            count = self._counts.get(key)
            if count is None or abs(now - count.last) >= QUIET_MS:
                count = self._counts[key] = _Count(0, now)
            count.failures += 1
            count.last = now
            self._counts.move_to_end(key)
        while len(self._counts) > MOST_KEYS:
            self._counts.popitem(last=False)
        return 0

    def succeeded(self, account: str, address: str, *, known: bool) -> None:
        """The attempt was good: the pair starts afresh; the wider counts lose what this attempt added, and
        no more, so that an account of one's own is no way to clear them."""
        for key, limit in self._keys(account, address, known):
            if limit is PAIR:
                self._counts.pop(key, None)
            elif count := self._counts.get(key):
                count.failures = max(0, count.failures - 1)

    def succeeded_at(self, address: str) -> None:
        """What :meth:`begin_at` counted was no failure."""
        if count := self._counts.get(("address", network_of(address))):
            count.failures = max(0, count.failures - 1)

    def _keys(self, account: str, address: str, known: bool) -> list[tuple[tuple[str, ...], Limit]]:
        account, network = account.casefold(), network_of(address)
        keys = [(("pair", account, network), PAIR), (("address", network), ADDRESS)]
        return keys if known else [*keys, (("account", account), ACCOUNT)]

    def _wait(self, key: tuple[str, ...], limit: Limit, now: Ms) -> int:
        count = self._counts.get(key)
        # A clock that was put back far starts afresh: nobody waits until it has caught up.
        if count is None or abs(now - count.last) >= QUIET_MS:
            return 0
        return max(0, min(count.last, now) + limit.wait_ms(count.failures) - now)


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 host can roam in."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(IPv6Address(int(ip) >> 64 << 64))
    return str(ip)
