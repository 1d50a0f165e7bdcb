"""From observations to states: what is said about a camera, since when, and on what evidence.

A pure state machine: time is an argument, nothing is read, nothing is kept. It is handed the standing of one
camera and one input (an :class:`Observation`, a declared maintenance, a lapse of time, a restart) and answers
with the new standing and the intervals that have closed. :data:`TRANSITIONS` is the table that it runs on.

What the rules are for:

- **Debounce** (3 fails, 2 passes): one lost probe is not an outage, one lucky probe is not a recovery.
- **Debounce gives no time away**: a confirmed change is dated back to the first observation of its streak,
  so an outage counts from its first failing probe, and the recovery from its first passing one.
- **What we could not see is nobody's fault**: a probe that failed on our own side (*blind*), a gap between
  two observations, a restart: the time is unknown from that moment (or from when the last observation
  stopped being valid) until there is evidence again. An unconfirmed streak is dropped: it proved nothing.
- **Out of the unknown** a single good observation is enough, since there is no earlier verdict that it would
  have to overturn; a bad one needs its full confirmation, since false alarms cost most.
- **Maintenance** is declared by the owner, not found; observations during it change nothing, and what comes
  after it is unknown until observed.

Whatever comes in, the closed intervals of a camera and its open one tile the time since the first standing:
no gap, no overlap, none empty. An input dated before the latest one (a clock that stepped back a little, a
late result) counts as of the latest one. A clock that was far ahead is told by :func:`set_back`, and what was
said of a time that has not come is taken back: else nothing newer would count until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from sharpeyes.domain.health import CLOCK_SET_BACK, Blame, Defect, Interval, ProbeResult, State
from sharpeyes.domain.time import Ms
from sharpeyes.health import severity

NOT_OBSERVED = "not_observed"
"""Cause of an unknown state: no observation yet."""
GAP = "gap"
"""Cause of an unknown state: observations stopped coming."""
RESTART = "restart"
"""Cause of an unknown state: the monitor was not running."""
PACKET_LOSS = "packet_loss"
"""Cause of a degraded state: the stream comes, with holes."""


class Outcome(StrEnum):
    """What one observation says about the camera."""

    PASS = "pass"  # noqa: S105 - not a password
    """It delivers."""
    DEGRADED = "degraded"
    """It delivers, with a fault that a viewer would notice."""
    FAIL = "fail"
    """It does not deliver, and the reason is on its side."""
    BLIND = "blind"
    """We could not see, and the reason is on ours."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a camera at one instant (the begin of the probe), with its reason unless it passed."""

    at: Ms
    outcome: Outcome
    cause: str | None = None
    since: Ms | None = None
    """When the evidence began, if that was before this look: the first sight of a fault confirmed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much evidence a verdict needs."""

    fails: int = 3
    """Observations in a row that say *worse* before the state gets worse."""
    passes: int = 2
    """Observations in a row that say *better* before the state gets better."""
    validity_ms: int = 100_000
    """How long an observation speaks for the camera: beyond that its state is unknown."""
    loss: float = 0.02
    """Share of RTP packets lost from which a delivering stream is degraded, 0..1."""
    loss_packets: int = 100
    """A share of fewer packets than this says nothing."""

    def __post_init__(self) -> None:
        if self.fails < 1 or self.passes < 1 or self.validity_ms < 1 or not 0 < self.loss <= 1:
            raise ValueError(f"impossible judging policy: {self}")


class Streak(NamedTuple):
    """Observations in a row that agree: how many, since when, and why the first of them."""

    length: int = 0
    since: Ms = Ms(0)
    cause: str | None = None


NO_STREAK = Streak()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one camera now: its open interval and the streaks of evidence for or against it.

    The four streaks overlap on purpose: a degraded observation *delivers* and is *lacking* at once.
    No streak is older than the last blindness, gap or maintenance.
    """

    camera: str
    state: State
    since: Ms
    """Begin of the open interval."""
    cause: str | None
    latest: Ms
    """The latest instant that any input spoke of; never goes back."""
    observed: Ms | None = None
    """The latest observation that was not blind, None if there is none since the last gap."""
    failing: Streak = NO_STREAK
    """Fails in a row."""
    lacking: Streak = NO_STREAK
    """Fails or degraded in a row."""
    delivering: Streak = NO_STREAK
    """Passes or degraded in a row."""
    passing: Streak = NO_STREAK
    """Passes in a row."""
    seen_state: State | None = None
    """What the probes alone say, where :mod:`.hindsight` has put something else over it; the judge knows
    nothing of that."""
    seen_cause: str | None = None

    @classmethod
    def newcomer(cls, camera: str, at: Ms, *, cause: str = NOT_OBSERVED) -> Standing:
        """A camera of which nothing is known yet: it is unknown from ``at`` on."""
        return cls(camera, State.UNKNOWN, at, cause, at)

    @property
    def unsettled(self) -> bool:
        """There is evidence against the state that is not confirmed yet: a second look is worth its cost."""
        match self.state:
            case State.ONLINE:
                return self.lacking.length > 0
            case State.DEGRADED:
                return self.failing.length > 0 or self.passing.length > 0
            case State.OFFLINE:
                return self.delivering.length > 0
            case State.UNKNOWN:
                return self.failing.length > 0
        return False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer: the standing from now on, and what has closed, oldest first."""

    standing: Standing
    closed: tuple[Interval, ...] = ()


class Evidence(StrEnum):
    """What moves a camera from one state to another."""

    PASSING = "passing"
    DELIVERING = "delivering"
    LACKING = "lacking"
    FAILING = "failing"
    BLIND = "blind"
    GAP = "gap"
    RESTART = "restart"
    DISOWNED = "disowned"
    SET_BACK = "set_back"
    MAINTENANCE_BEGINS = "maintenance_begins"
    MAINTENANCE_ENDS = "maintenance_ends"


class Needs(StrEnum):
    """How often the evidence must come in a row."""

    ONCE = "once"
    PASSES = "passes"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the table: in one of ``states``, this evidence leads ``to``, dated to ``since``."""

    states: tuple[State, ...]
    evidence: Evidence
    needs: Needs
    to: State
    since: str


_SEEN = (State.ONLINE, State.DEGRADED, State.OFFLINE)
_STREAK = "the first observation of the streak"

TRANSITIONS: tuple[Transition, ...] = (
    Transition((State.UNKNOWN,), Evidence.PASSING, Needs.ONCE, State.ONLINE, _STREAK),
    Transition((State.UNKNOWN,), Evidence.DELIVERING, Needs.ONCE, State.DEGRADED, _STREAK),
    Transition((State.UNKNOWN,), Evidence.FAILING, Needs.FAILS, State.OFFLINE, _STREAK),
    Transition((State.ONLINE,), Evidence.FAILING, Needs.FAILS, State.OFFLINE, _STREAK),
    Transition((State.ONLINE,), Evidence.LACKING, Needs.FAILS, State.DEGRADED, _STREAK),
    Transition((State.DEGRADED,), Evidence.FAILING, Needs.FAILS, State.OFFLINE, _STREAK),
    Transition((State.DEGRADED,), Evidence.PASSING, Needs.PASSES, State.ONLINE, _STREAK),
    Transition((State.OFFLINE,), Evidence.PASSING, Needs.PASSES, State.ONLINE, _STREAK),
    Transition((State.OFFLINE,), Evidence.DELIVERING, Needs.PASSES, State.DEGRADED, _STREAK),
    Transition(_SEEN, Evidence.BLIND, Needs.ONCE, State.UNKNOWN, "the blind observation"),
    Transition(_SEEN, Evidence.GAP, Needs.ONCE, State.UNKNOWN, "the end of the last observation's validity"),
    Transition(_SEEN, Evidence.RESTART, Needs.ONCE, State.UNKNOWN, "the last sign of life before it"),
    Transition(_SEEN, Evidence.DISOWNED, Needs.ONCE, State.UNKNOWN, "the moment we see again"),
    Transition(_SEEN, Evidence.SET_BACK, Needs.ONCE, State.UNKNOWN, "the moment it is set back"),
    Transition(
        (*_SEEN, State.UNKNOWN),
        Evidence.MAINTENANCE_BEGINS,
        Needs.ONCE,
        State.MAINTENANCE,
        "its declaration",
    ),
    Transition(
        (State.MAINTENANCE,),
        Evidence.MAINTENANCE_ENDS,
        Needs.ONCE,
        State.UNKNOWN,
        "the end of its declaration",
    ),
)
"""Every way from one state to another; of the rows that apply, the first is taken."""

_STREAKS = (Evidence.PASSING, Evidence.DELIVERING, Evidence.LACKING, Evidence.FAILING)
_BY_STATE: dict[State, tuple[Transition, ...]] = {
    state: tuple(row for row in TRANSITIONS if state in row.states and row.evidence in _STREAKS)
    for state in State
}
_SETTLED = {State.ONLINE: Outcome.PASS, State.DEGRADED: Outcome.DEGRADED, State.OFFLINE: Outcome.FAIL}


_OUTCOMES = {State.ONLINE: Outcome.PASS, State.DEGRADED: Outcome.DEGRADED, State.OFFLINE: Outcome.FAIL}


def observe(result: ProbeResult, policy: Policy, defects: Sequence[Defect] = ()) -> Observation:
    """What a probe's result says about its camera, and the faults that its picture is known to have."""
    failure = result.failure
    if failure is not None:
        outcome = Outcome.BLIND if failure.blame is Blame.PROBER else Outcome.FAIL
        return Observation(result.at, outcome, failure.kind.value)
    defect = severity.worst(defects)
    if defect is not None and (outcome := _OUTCOMES[severity.state_of(defect)]) is not Outcome.PASS:
        return Observation(result.at, outcome, defect.kind.value, defect.since)
    sent = result.packets + result.lost
    if result.lost and sent >= policy.loss_packets and result.lost >= policy.loss * sent:
        return Observation(result.at, Outcome.DEGRADED, PACKET_LOSS)
    return Observation(result.at, Outcome.PASS)


def judge(standing: Standing, observation: Observation, policy: Policy) -> Judgement:
    """Take one observation into account."""
    at = Ms(max(observation.at, standing.latest))
    standing, closed = _lapse(standing, at, policy)
    outcome = observation.outcome
    if standing.state is State.MAINTENANCE:
        observed = standing.observed if outcome is Outcome.BLIND else at
        return Judgement(replace(standing, latest=at, observed=observed), closed)
    if outcome is Outcome.BLIND:
        standing, more = _become(standing, State.UNKNOWN, at, observation.cause)
        return Judgement(_unseen(standing, at), closed + more)

    standing = _count(standing, observation, at)
    if _SETTLED.get(standing.state) is outcome:
        return Judgement(standing, closed)
    for row in _BY_STATE[standing.state]:
        streak: Streak = getattr(standing, row.evidence.value)
        if streak.length >= _needed(row.needs, policy):
            cause = streak.cause or observation.cause  # a streak may have begun with a pass
            standing, more = _become(standing, row.to, streak.since, cause)
            return Judgement(standing, closed + more)
    return Judgement(standing, closed)


def lapse(standing: Standing, now: Ms, policy: Policy) -> Judgement:
    """Time passes without an observation: a state that nothing speaks for any more becomes unknown."""
    standing, closed = _lapse(standing, now, policy)
    return Judgement(standing, closed)


def resume(standing: Standing, alive: Ms | None, policy: Policy) -> Judgement:
    """Take up a standing that was stored by an earlier run, last seen ``alive`` (None: it left no sign).

    From then on, or from the end of the last observation's validity if that is earlier, nobody looked:
    unknown, until the first observation of this run. A declared maintenance goes on.
    """
    if standing.state not in _SEEN:
        return Judgement(_unseen(standing, standing.latest))
    known = standing.latest if alive is None else alive
    if standing.observed is not None:
        known = Ms(min(known, standing.observed + policy.validity_ms))
    known = Ms(max(known, standing.since))
    latest = Ms(max(known, standing.latest))
    standing, closed = _become(standing, State.UNKNOWN, known, RESTART)
    return Judgement(_unseen(standing, latest), closed)


def disown(standing: Standing, at: Ms, cause: str) -> Judgement:
    """What was seen until ``at`` is not believed, for our own view was lost: judged anew from then on."""
    at = Ms(max(at, standing.latest))
    if standing.state not in _SEEN:
        return Judgement(_unseen(standing, at))
    standing, closed = _become(standing, State.UNKNOWN, at, cause)
    return Judgement(_unseen(standing, at), closed)


def set_back(standing: Standing, now: Ms) -> Judgement:
    """Our own clock was ahead, and it is ``now``: unknown until observed, and nothing is later than that.

    What was said of times that have not come is void; a declared maintenance goes on.
    """
    declared = standing.state is State.MAINTENANCE
    if standing.since >= now:
        state, cause = (State.MAINTENANCE, standing.cause) if declared else (State.UNKNOWN, CLOCK_SET_BACK)
        return Judgement(Standing(standing.camera, state, now, cause, now))
    if standing.state not in _SEEN:
        return Judgement(_unseen(standing, now))
    standing, closed = _become(standing, State.UNKNOWN, now, CLOCK_SET_BACK)
    return Judgement(_unseen(standing, now), closed)


def begin_maintenance(standing: Standing, at: Ms) -> Judgement:
    """The owner declares the camera out of service from ``at`` on. Declared twice, it stays as it is."""
    return _declare(standing, at, State.MAINTENANCE, standing.state is not State.MAINTENANCE)


def end_maintenance(standing: Standing, at: Ms) -> Judgement:
    """The owner takes the camera back into service at ``at``: unknown until observed."""
    return _declare(standing, at, State.UNKNOWN, standing.state is State.MAINTENANCE)


def retire(standing: Standing, at: Ms) -> tuple[Interval, ...]:
    """The camera leaves the registry at ``at``: its open interval closes, nothing follows."""
    return _closing(standing, Ms(max(at, standing.latest)))


def _declare(standing: Standing, at: Ms, state: State, applies: bool) -> Judgement:
    if not applies:
        return Judgement(standing)
    at = Ms(max(at, standing.latest))
    cause = None if state is State.MAINTENANCE else NOT_OBSERVED
    standing, closed = _become(standing, state, at, cause)
    return Judgement(_unseen(standing, at), closed)


def _lapse(standing: Standing, now: Ms, policy: Policy) -> tuple[Standing, tuple[Interval, ...]]:
    observed = standing.observed
    if observed is None or now - observed <= policy.validity_ms:
        return standing, ()
    valid = Ms(observed + policy.validity_ms)
    if standing.state not in _SEEN:  # nothing to close, but a streak across a gap is not a streak
        return _unseen(standing, Ms(max(valid, standing.latest))), ()
    standing, closed = _become(standing, State.UNKNOWN, Ms(max(valid, standing.since)), GAP)
    return _unseen(standing, Ms(max(valid, standing.latest))), closed


def _count(standing: Standing, observation: Observation, at: Ms) -> Standing:
    """The standing with its streaks continued or broken by one observation that is not blind."""
    outcome, cause, since = observation.outcome, observation.cause, at
    if observation.since is not None and standing.state is not State.UNKNOWN:
        # Never back behind what is already said, and never into time that nobody saw.
        since = Ms(min(at, max(observation.since, standing.since)))
    failing = lacking = delivering = passing = NO_STREAK
    if outcome is not Outcome.FAIL:
        delivering = _longer(standing.delivering, at, cause)
    if outcome is not Outcome.PASS:
        lacking = _longer(standing.lacking, since, cause)
    if outcome is Outcome.PASS:
        passing = _longer(standing.passing, at, cause)
    if outcome is Outcome.FAIL:
        failing = _longer(standing.failing, since, cause)
    return Standing(
        standing.camera,
        standing.state,
        standing.since,
        standing.cause,
        at,
        at,
        failing,
        lacking,
        delivering,
        passing,
    )


def _longer(streak: Streak, at: Ms, cause: str | None) -> Streak:
    length, since, first_cause = streak
    return Streak(length + 1, since, first_cause) if length else Streak(1, at, cause)


def _become(
    standing: Standing, state: State, since: Ms, cause: str | None
) -> tuple[Standing, tuple[Interval, ...]]:
    """Cut the open interval at ``since``. Nothing changes if that is the state already."""
    if standing.state is state:
        return standing, ()
    return replace(standing, state=state, since=since, cause=cause), _closing(standing, since)


def _closing(standing: Standing, end: Ms) -> tuple[Interval, ...]:
    if end <= standing.since:  # changed its mind within one millisecond: no time passed in that state
        return ()
    return (
        Interval(
            camera=standing.camera,
            state=standing.state,
            start=standing.since,
            end=end,
            cause=standing.cause,
        ),
    )


def _unseen(standing: Standing, latest: Ms) -> Standing:
    """The standing without any memory of observations."""
    return Standing(standing.camera, standing.state, standing.since, standing.cause, latest)


def _needed(needs: Needs, policy: Policy) -> int:
    if needs is Needs.FAILS:
        return policy.fails
    return policy.passes if needs is Needs.PASSES else 1
