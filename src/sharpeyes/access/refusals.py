"""Who is refused again and again is told to wait, and fills one line of the register, not thousands.

Each refusal takes from two allowances that refill with time: that of its user and that of its address (the
network it came from). While there is something left, the refusal is written down as it is; after that it is
counted, answered with a time to wait, and told of in a summary. What somebody *may* do waits for nothing: a
wall of tiles whose grant has ended must not keep the others dark.

Pure: time is an argument. Counts are in memory; a process that is killed forgets those of its last minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sharpeyes.access.register.entry import Detail, Entry, Kind
from sharpeyes.access.throttle import WaitError, network_of
from sharpeyes.domain.time import Ms

MOST_KEYS = 20_000
"""The longest unused is forgotten first; what it still had to tell goes into a summary without a name."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Refusals that are written one by one: so many at once, then one each ``refill_ms``."""

    burst: int
    refill_ms: int


USER = Allowance(burst=30, refill_ms=30_000)
ADDRESS = Allowance(burst=150, refill_ms=3_000)
"""Many people may share one."""


@dataclass(slots=True)
class _Account:
    """What is left of an allowance, in ms of refilling, and what was counted since the last summary."""

    left_ms: int
    at: Ms
    held: int = 0
    since: int = 0
    last: Entry | None = None
    reasons: dict[str, int] = field(default_factory=dict)


class Refusals:
    """Refusals of late."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._forgotten = _Account(0, Ms(0))

    def wait_ms(self, user: str, now: Ms) -> int:
        """How long this user's refusals have to wait now: ask before a step that is dear."""
        account = self._accounts.get(("user", user))
        return _wait(account, USER, now) if account else 0

    def check(self, user: str, now: Ms) -> None:
        """WaitError if there is a wait."""
        if wait := self.wait_ms(user, now):
            raise _error(wait)

    def take(self, refusal: Entry) -> None:
        """Whether to write this one down: WaitError if it was only counted."""
        now, over = refusal.at, None
        accounts = list(self._of(refusal))
        for account, allowance in accounts:
            if wait := _wait(account, allowance, now):
                over = over or (account, wait)
        if over is None:
            for account, allowance in accounts:
                account.left_ms -= allowance.refill_ms
            return
        account, wait = over
        _hold(account, refusal)
        raise _error(wait)

    def summaries(self, now: Ms) -> Iterator[tuple[Entry, _Account]]:
        """An entry for each that was counted, to be handed to :meth:`told` once it is written."""
        for account in (*self._accounts.values(), self._forgotten):
            if account.held and account.last is not None:
                yield _summary(account, now, named=account is not self._forgotten), account

    def told(self, summary: Entry, account: _Account) -> None:
        """This summary is durable: what came since goes into the next."""
        count = summary.details["count"]
        assert isinstance(count, int)
        account.held -= count
        account.since = summary.at
        account.reasons.clear()

    def _of(self, refusal: Entry) -> Iterator[tuple[_Account, Allowance]]:
        keys = (("user", refusal.user, USER), ("address", refusal.address, ADDRESS))
        for kind, name, allowance in keys:
            if name:
                key = (kind, name if kind == "user" else network_of(name))
                account = self._accounts.get(key)
                if account is None:
                    account = _Account(allowance.burst * allowance.refill_ms, refusal.at)
                    self._accounts[key] = account
                    if len(self._accounts) > MOST_KEYS:
                        self._forget(self._accounts.popitem(last=False)[1])
                self._accounts.move_to_end(key)
                yield account, allowance

    def _forget(self, account: _Account) -> None:
        if account.held and account.last is not None:
            _hold(self._forgotten, account.last)
            self._forgotten.held += account.held - 1


def _wait(account: _Account, allowance: Allowance, now: Ms) -> int:
    """Refill, and the ms until there is enough for one more. A clock that was put back refills nothing."""
    full = allowance.burst * allowance.refill_ms
    account.left_ms = min(full, account.left_ms + max(0, now - account.at))
    account.at = now
    return max(0, allowance.refill_ms - account.left_ms)


def _hold(account: _Account, refusal: Entry) -> None:
    if not account.held:
        account.since = refusal.at
    account.held += 1
    account.last = refusal
    reason = str(refusal.details.get("reason"))
    account.reasons[reason] = account.reasons.get(reason, 0) + 1


def _summary(account: _Account, now: Ms, *, named: bool) -> Entry:
    last = account.last
    assert last is not None
    who = replace(last, camera=None, grant=None, request=None, purpose=None)
    if not named:
        who = Entry(kind=Kind.REFUSAL, at=now)
    details: dict[str, Detail] = {
        "reason": "limited",
        "step": "many",
        "count": account.held,
        "since": account.since,
        "reasons": dict(account.reasons),
    }
    return replace(who, at=now, details=details)


def _error(wait_ms: int) -> WaitError:
    return WaitError(wait_ms, "refused too often of late; the register has how often")
