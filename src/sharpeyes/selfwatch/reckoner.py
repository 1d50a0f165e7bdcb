"""What a canary showed against what judge and quality said of it: detections, misses, false alarms, and
whether our view of its zone is lost.

Pure: an :class:`Account` and a :class:`Glimpse` go in, the next account and what is to be counted come out.

- A fault is *detected* once the verdict that a technician reads says so (a confirmed fault of the picture, a
  confirmed state with its reason, a judged clock), *missed* if its phase ends before that.
- A verdict while the canary is well, and has had the time to be seen so, is a *false alarm*.
- Our *view is lost* while the canary is said not to deliver for a reason that nothing it shows explains; or
  is unknown, for then probes do not get as far as to say anything. A phase in which that happened says
  nothing of detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sharpeyes.domain.health import FailureKind, PictureFault, State
from sharpeyes.domain.time import Ms
from sharpeyes.selfwatch.schedule import Phase, Schedule, Show

SETTLE_MS = 90_000
"""So long after a fault ended it may still be spoken of."""
ASLEEP_MS = 30_000
"""Who did not look for so long does not know what was shown and said meanwhile."""

CLOCK = "clock"
"""The word for a clock outside tolerance."""
EXPECTED: Mapping[Show, frozenset[str]] = {
    Show.HEALTHY: frozenset(),
    Show.BLACK: frozenset({PictureFault.SIGNAL_LOST}),
    Show.REFUSAL: frozenset({FailureKind.AUTH_FAILED}),
    Show.FREEZE: frozenset({PictureFault.FROZEN}),
    Show.HANG: frozenset({FailureKind.TIMEOUT, FailureKind.CLOSED, FailureKind.NO_MEDIA}),
    Show.BLUR: frozenset({PictureFault.BLURRED}),
    Show.CLOCK: frozenset({CLOCK}),
    Show.SHIFT: frozenset({PictureFault.SCENE_SHIFT}),
}
"""Any of these words is the right one for what is shown."""
ALARMS = frozenset({*(kind.value for kind in PictureFault), CLOCK})
"""What may be said against a canary that is well, beyond that it does not deliver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What is said of a canary at this moment."""

    state: State
    cause: str | None = None
    observed: Ms | None = None
    """The latest probe that was not our own failure."""
    doubted: bool = False
    """The latest probes speak against the state."""
    faults: frozenset[str] = frozenset()
    """Confirmed faults of its picture, and :data:`CLOCK` if its clock is judged to be off."""

    @property
    def words(self) -> frozenset[str]:
        """All that is said against it."""
        return self.faults | ({self.cause} if self.state is State.OFFLINE and self.cause else frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is known of one canary so far."""

    schedule: Schedule
    phase: Phase
    at: Ms
    """The latest look."""
    good: Ms
    """The latest instant at which it was seen as what it shows."""
    before: Show = Show.HEALTHY
    """What was shown before the present phase."""
    failing: Ms | None = None
    """Since when our view is lost: the last good instant before that. None while it is not."""
    found: bool = False
    """The fault of this phase has been named."""
    alarmed: frozenset[str] = frozenset()
    """False alarms of this phase, so that each counts once."""
    void: bool = False
    """This phase says nothing of detection: we did not see, or did not look."""

    @classmethod
    def opened(cls, schedule: Schedule) -> Account:
        """Nothing is known yet."""
        begin = schedule.begin
        return cls(schedule=schedule, phase=schedule.at(begin), at=begin, good=begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one step adds to the figures."""

    detected: tuple[tuple[Show, float], ...] = ()
    """What was shown, and how many seconds it took to be named."""
    missed: tuple[Show, ...] = ()
    false_alarms: tuple[str, ...] = ()


def reckon(account: Account, glimpse: Glimpse, now: Ms) -> tuple[Account, Tally]:
    """Take one look into account."""
    phase = account.schedule.at(now)
    missed: tuple[Show, ...] = ()
    asleep = not 0 <= now - account.at <= ASLEEP_MS
    if phase != account.phase:
        ended = account.phase.show
        if ended is not Show.HEALTHY and not (account.found or account.void or asleep):
            missed = (ended,)
        account = replace(account, phase=phase, before=ended, found=False, alarmed=frozenset(), void=asleep)
    account = _view(replace(account, at=now, void=account.void or asleep), glimpse, now)
    if account.void:
        return account, Tally(missed=missed)
    detected: tuple[tuple[Show, float], ...] = ()
    if not account.found and glimpse.words & EXPECTED[phase.show]:
        account = replace(account, found=True)
        detected = ((phase.show, (now - phase.start) / 1000),)
    alarms: frozenset[str] = frozenset()
    if phase.show is Show.HEALTHY and not _settling(account, now):
        alarms = glimpse.faults - account.alarmed
        account = replace(account, alarmed=account.alarmed | alarms)
    return account, Tally(detected=detected, missed=missed, false_alarms=tuple(sorted(alarms)))


def _view(account: Account, glimpse: Glimpse, now: Ms) -> Account:
    """Whether we see the canary as what it shows, or may yet."""
    if _explained(account, glimpse, now):
        if glimpse.observed is None or glimpse.doubted:
            return replace(account, failing=None)
        return replace(account, failing=None, good=Ms(max(account.good, min(glimpse.observed, now))))
    if glimpse.state is State.UNKNOWN and now < account.schedule.begin + SETTLE_MS:
        return account  # nobody has looked yet
    return replace(account, failing=account.good if account.failing is None else account.failing, void=True)


def _explained(account: Account, glimpse: Glimpse, now: Ms) -> bool:
    if glimpse.state in (State.ONLINE, State.DEGRADED):
        return True
    if glimpse.state is not State.OFFLINE:
        return False
    shown = EXPECTED[account.phase.show]
    if _settling(account, now):
        shown |= EXPECTED[account.before]
    return glimpse.cause in shown


def _settling(account: Account, now: Ms) -> bool:
    return now < account.phase.start + SETTLE_MS
