"""Logging in without ever locking an account.

Many cameras lock an account for half an hour after a handful of failed logins, and a recorder with 32
channels and one wrong password would see 32 of them a sweep. So an account on a host that has not yet been
accepted is tried by **one probe at a time**; once refused, its credentials are **withheld** for 30 minutes,
then 60, then 120 ... up to six hours. A probe goes out all the same, without them: it still shows that the
camera answers, and counts as not authenticated. Changed credentials are tried at once.

An account that was accepted is used by as many probes as the host allows. If one of them is refused, either
the password was changed or this one channel is closed to the account: that channel is withheld, and the
account is on trial again with the next. So a changed password costs two failed logins, and a channel without
rights does not take its 31 neighbours down.

Pure: time is an argument, nothing is read or sent.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.health import FailureKind, ProbeResult, Rung
from sharpeyes.domain.time import Ms

FIRST_MS = 30 * 60_000
"""How long credentials are withheld after the first refusal: the usual length of a lock-out."""
LONGEST_MS = 6 * 3_600_000
"""It doubles with every further refusal, up to this."""


class Permit(StrEnum):
    """What a probe may do about its credentials."""

    USE = "use"
    """Log in."""
    WITHHOLD = "withhold"
    """Go, but without credentials."""
    WAIT = "wait"
    """Another probe is trying this account just now: ask again when it has ended."""


class Login(StrEnum):
    """How an attempt with credentials ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNTRIED = "untried"
    """It ended before the credentials were judged."""


class Trust(StrEnum):
    """What is known of an account on a host."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Credentials were refused: withheld until ``until``, ``times`` in a row by now."""

    times: int
    until: Ms

    @classmethod
    def after(cls, earlier: Refusal | None, now: Ms) -> Refusal:
        times = earlier.times + 1 if earlier else 1
        return cls(times, Ms(now + min(FIRST_MS << min(times - 1, 16), LONGEST_MS)))

    def by(self, latest: Ms) -> Refusal:
        """The same, over by then at the latest."""
        return self if self.until <= latest else Refusal(self.times, latest)


@dataclass(slots=True)
class _Account:
    trust: Trust = Trust.UNPROVEN
    trial: str | None = None
    """The camera whose probe is trying the account."""
    refusal: Refusal | None = None
    channels: dict[str, Refusal] = field(default_factory=dict)
    """Cameras that refuse an account which others of the same host accept."""


def login(result: ProbeResult) -> Login:
    """How the credentials fared in a probe that went out with them."""
    if result.failure is not None and result.failure.kind is FailureKind.AUTH_FAILED:
        return Login.REFUSED
    return Login.ACCEPTED if result.rung >= Rung.AUTHENTICATED else Login.UNTRIED


class Accounts:
    """The accounts of all hosts, each known by ``host:port`` and its credentials: changed ones are new ones.

    Every :meth:`ask` that was answered USE must be followed by a :meth:`tell`.
    """

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, Credentials], _Account] = {}

    def ask(self, host: str, camera: str, credentials: Credentials, now: Ms) -> Permit:
        """May a probe of ``camera`` log in to ``host`` with these credentials now?"""
        account = self._accounts.setdefault((host, credentials), _Account())
        if account.refusal is not None and now < account.refusal.until:
            return Permit.WITHHOLD
        refused_here = account.channels.get(camera)
        if refused_here is not None and now < refused_here.until:
            return Permit.WITHHOLD
        if account.trust is Trust.PROVEN:
            return Permit.USE
        if account.trial is not None:
            return Permit.WAIT
        account.trial = camera
        return Permit.USE

    def tell(self, host: str, camera: str, credentials: Credentials, outcome: Login, now: Ms) -> None:
        """How the attempt that was permitted ended."""
        account = self._accounts.get((host, credentials))
        if account is None:
            return
        on_trial = account.trial == camera
        if on_trial:
            account.trial = None
        if outcome is Login.ACCEPTED:
            account.channels.pop(camera, None)
            if on_trial or account.trust is Trust.PROVEN:  # a late success does not outweigh a refusal
                account.trust, account.refusal = Trust.PROVEN, None
        elif outcome is Login.REFUSED:
            if on_trial and camera not in account.channels:
                account.trust, account.refusal = Trust.REFUSED, Refusal.after(account.refusal, now)
            else:
                account.channels[camera] = Refusal.after(account.channels.get(camera), now)
                if account.trust is Trust.PROVEN:
                    account.trust = Trust.UNPROVEN

    def refuse(self, host: str, credentials: Credentials, until: Ms) -> None:
        """Remember a refusal from before a restart: a service that restarts often locks nobody out."""
        self._accounts.setdefault((host, credentials), _Account(Trust.REFUSED, refusal=Refusal(1, until)))

    def set_back(self, now: Ms) -> None:
        """Our own clock was ahead, and it is ``now``: nobody is kept out for longer than ever."""
        latest = Ms(now + LONGEST_MS)
        for account in self._accounts.values():
            if account.refusal is not None:
                account.refusal = account.refusal.by(latest)
            account.channels = {name: refusal.by(latest) for name, refusal in account.channels.items()}

    def forgive(self, host: str, credentials: Credentials) -> None:
        """Try this account again at the next probe: somebody says that it has been mended on the device."""
        account = self._accounts.get((host, credentials))
        if account is not None:
            account.trust, account.refusal = Trust.UNPROVEN, None
            account.channels.clear()

    def trust(self, host: str, credentials: Credentials) -> Trust:
        """What is known of the account; an account never asked for is unproven."""
        account = self._accounts.get((host, credentials))
        return Trust.UNPROVEN if account is None else account.trust

    def withheld_until(self, host: str, camera: str, credentials: Credentials) -> Ms | None:
        """When this camera's credentials will be tried again, None if they are not withheld."""
        account = self._accounts.get((host, credentials))
        if account is None:
            return None
        refusals = [r.until for r in (account.refusal, account.channels.get(camera)) if r is not None]
        return max(refusals, default=None)

    def counts(self) -> Mapping[Trust, int]:
        """Accounts by trust, for metrics."""
        totals = dict.fromkeys(Trust, 0)
        for account in self._accounts.values():
            totals[account.trust] += 1
        return totals

    def keep(self, used: Container[tuple[str, Credentials]]) -> None:
        """Forget the accounts (host, credentials) that no camera uses any more."""
        self._accounts = {key: account for key, account in self._accounts.items() if key in used}
