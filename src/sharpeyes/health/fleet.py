"""Who is looked at when: every camera on its cadence, bounded, paced, and judged as soon as the answer is in.

The fleet knows nothing of RTSP: it is given the function that probes. Around each probe it decides

- **when** (:mod:`.turns`): a stable slot in the camera's cadence, sooner while evidence is unconfirmed, at
  once when somebody asks; a camera is never in flight twice, and a missed slot is skipped;
- **how many**: ``in_flight`` at work; one that has not ended after ``slow_after_s`` only waits for its
  time-out and costs nothing but a socket, so it gives its place to the next and counts towards ``sockets``
  alone. So a thousand mute cameras do not move the cadence of the others;
- **at which host**: no more than its session budget at once, so that a recorder serves its viewers. If a host
  does not even accept a connection, that answers for all of its channels that were waiting their turn;
- **in which subnet and zone**: so many at work at once, since the way there may be narrow;
- **whether at all**: what somebody watches is seen already (:mod:`.viewing`);
- **with which credentials**: see :mod:`.accounts`;
- **which pictures are looked at**: a probe whose camera is due for that gives its keyframe to
  :mod:`.looks`; the probe itself is judged at once, with what earlier looks have found;
- **what it means**: time-outs while our own event loop stood still are our fault, not the camera's.

Then the camera's case is judged, shown and kept (:mod:`.cases`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import NotFoundError, UnavailableError
from sharpeyes.domain.health import (
    Blame,
    Failure,
    FailureKind,
    Phase,
    ProbeResult,
    Rung,
    Timings,
)
from sharpeyes.domain.time import AHEAD_MS, Ms
from sharpeyes.health import judge, pacing
from sharpeyes.health.accounts import Accounts, Login, Permit, login
from sharpeyes.health.board import Board
from sharpeyes.health.cases import Cases
from sharpeyes.health.hindsight import Blindness, Upstream
from sharpeyes.health.judge import Policy
from sharpeyes.health.looks import Looks
from sharpeyes.health.own_time import OwnTime
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.quality import Look, Quality
from sharpeyes.health.recorder import NoRecord, Recalled, Record
from sharpeyes.health.sight import Sight
from sharpeyes.health.target import Target, endpoint_of, host_of
from sharpeyes.health.turns import Turns
from sharpeyes.health.unit import Flight, Unit, reject
from sharpeyes.health.viewing import Pull, Pulls, Seen
from sharpeyes.health.ways import Ways

__all__ = ["Fleet", "FleetStats", "Limits", "NoRecord", "Probe", "Target", "endpoint_of"]

log = logging.getLogger(__name__)

Probe: TypeAlias = Callable[[ProbeRequest], Awaitable[ProbeResult]]


SPARE_FILES = 256
"""File descriptors left to the API, the store and the log when sockets are counted."""
SOCKETS_A_PROBE = 3
"""RTSP, RTP and RTCP over UDP; a probe over TCP needs one."""
OVERDUE_S = 5.0
"""A probe that outlives its own time-out by this much is ended from outside."""
LOOK_S = 5.0
"""How long looks at pictures may go on, at least, when the fleet stops."""
GIVEN_UP_S = 1.0
"""How long what is given up may take to notice it."""
LAPSE_S = 20.0
"""Within this time every camera is asked once whether its state still stands."""
TICK_S = 0.005
"""Slots that are closer together than this start together: fewer wake-ups, no visible difference."""
REPEAT_MS = 600_000
"""The working of a failure that goes on is kept as often as this."""
_LOCAL_TIMEOUTS = {
    FailureKind.TIMEOUT,
    FailureKind.CLOSED,
    FailureKind.NO_MEDIA,
    FailureKind.NO_KEYFRAME,
}
"""What a camera seems to do when it is us who stood still."""
_NO_CONNECTION = {
    FailureKind.TIMEOUT,
    FailureKind.REFUSED,
    FailureKind.UNREACHABLE,
    FailureKind.NAME_UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard the fleet may work."""

    in_flight: int = 400
    """Probes at work at once."""
    sockets: int = 4000
    """Probes open at once, those included that wait for their time-out."""
    slow_after_s: float = 1.0
    """After that a probe waits rather than works."""
    keyframe_after_s: float = 0.1
    """After that a probe for a picture waits for the camera's next keyframe, seconds away at worst, or for
    its time-out: its place among the looks goes to the next."""
    starts_per_s: float = 2000.0
    """Pace of the first sweep."""
    host_spacing_s: float = 0.02
    """Pause between two probes of one host."""
    subnet_in_flight: int = 100
    """Probes at work at once in one subnet."""
    zone_in_flight: int = 400
    """Probes at work at once in one zone."""
    lag_s: float = 1.0
    """A stall of the event loop from which time-outs are put down to it."""
    stop_s: float = 12.0
    """How long probes may go on when the fleet stops."""

    def within(self, files: int) -> Limits:
        """The same, with no more sockets than ``files`` descriptors allow."""
        sockets = max(8, min(self.sockets, (files - SPARE_FILES) // SOCKETS_A_PROBE))
        return replace(self, sockets=sockets, in_flight=min(self.in_flight, sockets))


@dataclass(slots=True, kw_only=True)
class FleetStats:
    """Figures for metrics; those that count only grow."""

    probes: int = 0
    failures: dict[FailureKind, int] = field(default_factory=dict)
    shared: int = 0
    """Cameras answered for by another channel of their host that did not accept connections."""
    viewed: int = 0
    """Probes that were not needed, since the camera was being watched."""
    withheld: int = 0
    """Probes that went out without credentials, since these were refused before."""
    late_s: float = 0.0
    """How long after its slot the latest probe began."""
    stalls: int = 0
    """Times that the event loop stood still for longer than allowed."""
    set_back: int = 0
    """Times that our own clock was found to have been ahead."""
    blind: bool = False
    """Half of the probes fail for reasons of our own."""


class Fleet:
    """All cameras under watch: :meth:`start`, :meth:`sync` whenever the registry changes, :meth:`stop`."""

    def __init__(
        self,
        probe: Probe,
        *,
        board: Board,
        recorder: Record,
        clock: Callable[[], Ms],
        policy: Policy | None = None,
        limits: Limits | None = None,
        quality: Quality | None = None,
    ) -> None:
        limits = limits or Limits()
        self.accounts = Accounts()
        self.stats = FleetStats()
        self.turns = Turns(
            Ways(
                spacing_s=limits.host_spacing_s,
                subnet_in_flight=limits.subnet_in_flight,
                zone_in_flight=limits.zone_in_flight,
            ),
            in_flight=limits.in_flight,
            sockets=limits.sockets,
            slow_after_s=limits.slow_after_s,
            starts_per_s=limits.starts_per_s,
        )
        self.canaries = Board()
        """How the canaries stand: they are on no other board."""
        self._cases = Cases(board, recorder)
        self._canary_cases = Cases(self.canaries, NoRecord())
        self._probe = probe
        self._recorder = recorder
        self._clock = clock
        self._policy = policy or Policy()
        self._limits = limits
        self._quality = quality
        self._looks: Looks | None = None
        if quality is not None:
            after_s = limits.keyframe_after_s
            self._looks = Looks(quality, self.turns, keyframe_after_s=after_s, ended=self._looked)
        self._policies: dict[tuple[float, float, float, int], Policy] = {}
        self._units: dict[str, Unit] = {}
        self._pulls = Pulls()
        self._recalled: dict[str, Recalled] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._running = False
        self._round: Iterator[str] = iter(())
        self._stalled_until = float("-inf")
        self._own_time = OwnTime(clock)
        self._window = [0.0, 0, 0]  # begin, results, blind ones

    # --- life ----------------------------------------------------------------------------------------

    async def start(self, targets: Iterable[Target] = ()) -> None:
        """Take up where an earlier run ended, and begin to look at ``targets``."""
        self._loop = asyncio.get_running_loop()
        self._own_time.look()
        unique = {target.camera.id: target for target in targets}
        for target in unique.values():  # all, before any: how long a look is valid depends on the neighbours
            self._enlist(target)
        self._recalled = await self._recorder.recall(self._policy_of)
        for camera in self._recalled.keys() - self._units.keys():
            standing = self._recalled.pop(camera).standing
            self._recorder.forget(camera, judge.retire(standing, standing.latest))
        self._recorder.start()
        self._running = True
        self._watch = asyncio.create_task(self._keep_watch(), name="fleet-watch")
        now = self._loop.time()
        for unit in list(self._units.values()):
            self._enter(unit, now, len(self._units))
        self._pump()

    async def stop(self) -> None:
        """Begin no more probes, let those under way end within their bound, store everything."""
        self._running = False
        if self._looks is not None:
            self._looks.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        end = self._loop.time() + self._limits.stop_s
        await _ended({f.task for f in self.turns.flights if f.task is not None}, end, "probes")
        if self._looks is not None:
            end = max(end, self._loop.time() + LOOK_S)
            await _ended(set(self._looks.tasks), end, "looks at pictures")
        for unit in self._units.values():
            reject(unit, UnavailableError("the prober is stopping"))
        await self._recorder.stop()

    @property
    def is_at_rest(self) -> bool:
        """No probe and no look is under way or called for soon."""
        return not any(
            unit.flight is not None or unit.queued or unit.looking or (unit.look_soon and not unit.failed)
            for unit in self._units.values()
        )

    def sync(self, targets: Iterable[Target]) -> None:
        """Watch exactly these cameras from now on; the fleet must have been started. Those that did not
        change keep their slot."""
        wanted = {target.camera.id: target for target in targets}
        for camera in self._units.keys() - wanted.keys():
            if not self._units[camera].target.canary:
                self.remove(camera)
        new = [target for target in wanted.values() if target.camera.id not in self._units]
        for target in wanted.values():
            self._put(target, max(len(new), 1))
        self.accounts.keep(
            {
                (unit.endpoint, unit.target.request.credentials)
                for unit in self._units.values()
                if unit.target.request.credentials is not None
            }
        )

    def put(self, target: Target) -> None:
        """Watch this camera, or look at it in this changed way."""
        self._put(target, 1)

    def remove(self, camera: str) -> None:
        """Watch this camera no more; its open interval closes now."""
        unit = self._units.pop(camera, None)
        if unit is None:
            return
        unit.gone = True
        self.turns.leave_gate(unit)
        self.turns.leave_lanes(unit)
        reject(unit, NotFoundError(f"camera {camera} was removed"))
        if self._looks is not None:
            self._looks.leave(unit, self._loop.time())
        unit.case.close(self._clock())

    def _notice_set_back(self) -> None:
        """If our own clock was ahead until just now, what was said of times that have not come is taken back:
        cameras are unknown until they are seen again, and nothing waits for those times."""
        now, ahead_ms = self._own_time.look()
        if not ahead_ms:
            return
        self.stats.set_back += 1
        log.error("our own clock was ahead by %.0f s: what was observed by it is unknown", ahead_ms / 1000)
        self.accounts.set_back(now)
        self._recorder.set_back(now, ahead_ms)
        for unit in self._units.values():
            unit.kept = None
        self._cases.set_back(now)
        self._canary_cases.set_back(now)

    def explain(
        self,
        blind: Mapping[str, Blindness],
        upstream: Mapping[str, Upstream],
        *,
        real: bool = False,
    ) -> None:
        """More is known from now on than the probes of a camera can tell: ``blind`` zones, and cameras that
        are offline because of something ``upstream`` of them.

        Cameras of a zone that is seen again are judged anew; unless it was ``real``: then they stand as they
        were seen.
        """
        self._cases.explain(blind, upstream, self._clock(), real=real)

    def sight(self, camera: str) -> Sight | None:
        """What is known of a camera's picture. NotFoundError."""
        return self._unit(camera).case.sight

    def see_anew(self, camera: str, sight: Sight | None) -> None:
        """Its picture is judged anew from now on, with ``sight`` as what is known; the next look is due."""
        unit = self._unit(camera)
        unit.look_due = self._loop.time()
        unit.case.see_anew(sight)

    def hurry(self, camera: str) -> None:
        """Something speaks for a look at this picture soon; a camera that is not watched is passed over."""
        unit = self._units.get(camera)
        if unit is not None and self._looks is not None and self._running:
            self._looks.hurry(unit, self._loop.time())
            self._pump()

    def _unit(self, camera: str) -> Unit:
        unit = self._units.get(camera)
        if unit is None:
            raise NotFoundError(f"camera {camera} is not watched")
        return unit

    async def check(self, camera: str, *, retry_login: bool = False) -> ProbeResult:
        """Look at this camera now, ahead of the others; a look that is under way already will do.

        ``retry_login``: credentials that were refused are tried once more, for somebody says that the account
        has been mended. Raises NotFoundError, UnavailableError (stopping).
        """
        unit = self._unit(camera)
        if not self._running:
            raise UnavailableError("the prober is not running")
        credentials = unit.target.request.credentials
        if retry_login and credentials is not None:
            self.accounts.forgive(unit.endpoint, credentials)
        answer: asyncio.Future[ProbeResult] = self._loop.create_future()
        unit.waiters.append(answer)
        if unit.flight is None and not unit.queued:
            unit.due = self._loop.time()
            self.turns.call(unit)
            self._pump()
        return await answer

    def viewed(
        self, camera: str, url: str, credentials: Credentials | None, seen: Seen
    ) -> Callable[[], None]:
        """Somebody pulls a camera's stream: see :class:`~sharpeyes.health.viewing.Viewing`."""
        pull, host = Pull(url, credentials, seen), host_of(url)
        self._pulls.begin(camera, pull)
        self._hold(host, 1)

        def ended() -> None:
            self._pulls.end(camera, pull)
            self._hold(host, -1)

        return ended

    def _hold(self, host: str, sessions: int) -> None:
        """Viewers hold so many more sessions on this host."""
        gate = self.turns.ways.hold(host, sessions)
        if gate is not None and self._running:
            self.turns.arm(gate, self._loop.time())
            self._pump()

    # --- who is watched ------------------------------------------------------------------------------

    def _put(self, target: Target, newcomers: int) -> None:
        camera = target.camera
        unit = self._units.get(camera.id)
        if unit is None:
            unit = self._enlist(target)
            self._enter(unit, self._loop.time(), newcomers)
            self._pump()
            return
        if unit.target == target:
            return
        now = self._loop.time()
        sooner, denser = target.request != unit.target.request, target.cadence_s < unit.target.cadence_s
        if (host_of(target.request.url), target.sessions) != (unit.host, unit.target.sessions):
            sooner = self.turns.leave_gate(unit) or sooner
            unit.gate = self.turns.ways.gate(host_of(target.request.url), target.sessions)
        if target.quality_s < unit.target.quality_s:
            unit.look_due = min(unit.look_due, now + target.quality_s * unit.place)
        if target.camera.zone != unit.target.camera.zone or host_of(target.request.url) != unit.host:
            sooner = self.turns.leave_lanes(unit) or sooner
            unit.lanes = self.turns.ways.lanes(host_of(target.request.url), target.camera.zone)
        unit.target = target
        unit.host, unit.endpoint = host_of(target.request.url), endpoint_of(target.request.url)
        unit.case.declare(camera, self._clock())
        if (sooner or denser) and unit.flight is None and not unit.queued:
            # Another cadence of a tier is another for thousands at once: each in its place within it.
            due = now if sooner else min(unit.due, now + unit.place * target.cadence_s)
            self.turns.schedule(unit, due)
            self._pump()

    def _enlist(self, target: Target) -> Unit:
        host = host_of(target.request.url)
        cases = self._canary_cases if target.canary else self._cases
        unit = self._units[target.camera.id] = Unit(
            target,
            self.turns.ways.gate(host, target.sessions),
            pacing.phase(target.camera.id),
            host,
            endpoint_of(target.request.url),
            cases.newcomer(target.camera, self._clock()),
            self.turns.ways.lanes(host, target.camera.zone),
        )
        return unit

    def _enter(self, unit: Unit, now: float, newcomers: int) -> None:
        """A camera comes under watch: with the standing that an earlier run left, or as a newcomer."""
        target = unit.target
        camera, credentials = target.camera, target.request.credentials
        recalled = self._recalled.pop(camera.id, None)
        if recalled is not None and recalled.withheld_until is not None and credentials is not None:
            fresh = (target.credential_changed or 0) <= (recalled.refused or 0)
            if fresh:
                self.accounts.refuse(unit.endpoint, credentials, recalled.withheld_until)
        if self._looks is not None:
            self._looks.enter(unit, now, newcomers)
        unit.case.open(self._clock(), recalled)
        self.turns.schedule_first(unit, now, newcomers)

    def _policy_of(self, camera: str) -> Policy:
        """How this camera is judged: a look at it, dated to its begin, is valid for three cadences and as
        long as a turn takes, or until the next one ends where both wait for a keyframe."""
        unit = self._units.get(camera)
        if unit is None:
            return self._policy
        request = unit.target.request
        key = (
            unit.target.cadence_s,
            request.timeout_s + request.observe_s,
            request.longest_s,
            unit.gate.rounds,
        )
        policy = self._policies.get(key)
        if policy is None:
            cadence_s, probe_s, longest_s, rounds = key
            own_s = max(3 * cadence_s + probe_s, pacing.PAUSE * cadence_s + 2 * longest_s)
            validity_ms = round(1000 * (probe_s * max(rounds - 1, 0) + own_s))
            policy = self._policies[key] = replace(self._policy, validity_ms=validity_ms)
        return policy

    # --- when ----------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin all that is due and allowed, then sleep until there is more."""
        if not self._running:
            return
        now = self._loop.time()
        turns, looks = self.turns, self._looks
        if looks is not None:
            looks.make_places(now)
        turns.call_due(now, len(self._units))
        if turns.ready and self._recorder.full:
            wake = min(turns.next_slot, now + 0.1)
        else:
            for unit in turns.called(now):
                if not self._begin(unit, now):
                    turns.leave_room(unit.lanes)  # what it was called for is not taken
            wake = min(turns.next_slot, turns.next_room)
        if looks is not None:
            wake = min(wake, looks.next_place)
        if wake != float("inf"):
            self._sleep_until(max(wake, now + TICK_S))

    def _sleep_until(self, wake: float) -> None:
        if self._timer is not None:
            if self._timer_at <= wake:
                return
            self._timer.cancel()
        self._timer_at = wake
        self._timer = self._loop.call_at(wake, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._pump()

    # --- one probe -----------------------------------------------------------------------------------

    def _begin(self, unit: Unit, now: float) -> bool:
        """Begin its probe, or put it where it waits; True if it is under way now."""
        gate, target, looks = unit.gate, unit.target, self._looks
        if unit.gone:
            self.turns.arm(gate, now)
            return False
        request, credentials = target.request, target.request.credentials
        named = target.camera.credential or target.credential
        if named is not None and credentials is None:
            unit.queued = False
            message = f"credential {named} is not there"
            self._conclude(unit, self._local(FailureKind.CREDENTIALS_MISSING, message))
            self.turns.arm(gate, now)
            return False
        if (seen := self._pulls.seen(target.camera.id, request.url, credentials)) is not None:
            self._begin_seen(unit, seen, now)
            return False
        if not self.turns.admit(unit, now):
            return False
        look = looks is not None and looks.take(unit, now)
        if looks is not None and not look and looks.is_awaited(unit, now):
            self.turns.arm(gate, now)
            return False  # it is called when a place is free
        with_login = False
        if credentials is not None:
            permit = self.accounts.ask(unit.endpoint, target.camera.id, credentials, self._clock())
            if permit is Permit.WAIT:  # the trial is on this host: its end opens the gate again
                if looks is not None and look:
                    looks.put_back(unit, now)
                gate.waiting.append(unit)
                return False
            with_login = permit is Permit.USE
            if not with_login:
                request = replace(request, withhold_credentials=True)
                self.stats.withheld += 1
        if looks is not None and look and (follow := looks.follow(unit)):
            request = replace(request, follow=follow)
        self.stats.late_s = now - unit.due
        flight = Flight(unit, target, gate, unit.endpoint, now, with_login, look=look, place=look)
        if looks is not None and look:
            looks.begin(flight)
        self.turns.begin(flight)
        flight.task = self._loop.create_task(self._fly(flight, request))
        return True

    def _begin_seen(self, unit: Unit, result: ProbeResult, now: float) -> None:
        """The camera's turn has come, and nothing needs to be asked of it."""
        unit.queued = False
        self.stats.viewed += 1
        self.stats.late_s = now - unit.due
        if self._looks is not None and self._looks.take(unit, now):
            flight = Flight(unit, unit.target, unit.gate, unit.endpoint, now, False, look=True, place=True)
            self._looks.land(flight, result, now)
        self._conclude(unit, result)
        self.turns.arm(unit.gate, now)

    async def _fly(self, flight: Flight, request: ProbeRequest) -> None:
        result: ProbeResult | None = None
        try:
            result = await self._probe(request)
        except asyncio.CancelledError:
            if not flight.overdue:
                raise
            result = self._local(FailureKind.INTERNAL, "the probe did not end and was given up")
        except Exception as error:  # a fault of ours must not stop the watch, nor be held against a camera
            log.exception("probe of %s failed", flight.target.camera.id)
            result = self._local(FailureKind.INTERNAL, f"fault in the prober: {type(error).__name__}")
        finally:
            self._land(flight, result)

    def _land(self, flight: Flight, result: ProbeResult | None) -> None:
        unit, target, gate = flight.unit, flight.target, flight.gate
        now = self._loop.time()
        self.turns.end(flight)
        credentials = target.request.credentials
        if flight.login and credentials is not None:
            outcome = Login.UNTRIED if result is None else login(result)
            self.accounts.tell(flight.endpoint, target.camera.id, credentials, outcome, self._clock())
        if result is not None:
            result = self._own_up(flight, result)
            self._answer_for_others(flight, result)
        same = target is unit.target or target.request == unit.target.request
        waits = False
        if self._looks is not None and flight.look:
            waits = self._looks.land(flight, result if same and not unit.gone else None, now)
        if not unit.gone and not waits:
            if result is not None and same:
                self._conclude(unit, result)
            else:  # it says nothing about the camera as it is now
                self.turns.schedule(unit, now)
        self.turns.arm(gate, now)
        if unit.gate is not gate:
            self.turns.arm(unit.gate, now)
        self._pump()

    def _own_up(self, flight: Flight, result: ProbeResult) -> ProbeResult:
        """If we stood still meanwhile, a time-out says nothing about the camera; nor do packets that nobody
        took from the kernel."""
        failure = result.failure
        if flight.started > self._stalled_until:
            return result
        if failure is None:
            return replace(result, lost=0) if result.lost else result
        if failure.kind not in _LOCAL_TIMEOUTS:
            return result
        message = f"the prober stood still meanwhile: {failure.message}"
        return replace(result, failure=Failure(failure.phase, FailureKind.OVERLOADED, message))

    def _answer_for_others(self, flight: Flight, result: ProbeResult) -> None:
        """A host that accepts no connection accepts none for its other channels: do not make each one wait.

        Otherwise a dead recorder with 32 channels would take minutes a round.
        """
        failure = result.failure
        if (
            failure is None
            or failure.phase not in (Phase.RESOLVE, Phase.CONNECT)
            or failure.kind not in _NO_CONNECTION
        ):
            return
        note = f"shared: {flight.endpoint} did not accept the connection of camera {flight.target.camera.id}"
        result = replace(result, transcript=(*result.transcript, note))
        waiting = flight.gate.waiting
        for unit in [unit for unit in waiting if unit.endpoint == flight.endpoint]:
            waiting.remove(unit)
            unit.queued = False
            self.stats.shared += 1
            self._conclude(unit, result)

    def _conclude(self, unit: Unit, result: ProbeResult) -> None:
        """An answer is in: judge it, show it, keep it, and set the next slot."""
        target = unit.target
        camera, credentials = target.camera.id, target.request.credentials
        if result.at > (now_ms := self._clock()) + AHEAD_MS:  # it began before our clock was set back
            result = replace(result, at=now_ms)
        withheld_until = None
        unit.failed = result.failure is not None
        if result.failure is not None:
            if self._looks is not None:
                self._looks.pass_over(unit)
            kind = result.failure.kind
            if not target.canary:
                self.stats.failures[kind] = self.stats.failures.get(kind, 0) + 1
            if credentials is not None:
                withheld_until = self.accounts.withheld_until(unit.endpoint, camera, credentials)
            self._keep_working(unit, result, kind)
        unit.case.hear(result, self._policy_of(camera), withheld_until)
        now = self._loop.time()
        if not target.canary:
            self.stats.probes += 1
            self._notice_blindness(now, result)
        unit.urgent = unit.case.standing.unsettled
        if unit.urgent:
            slot = pacing.recheck_slot(now, target.cadence_s)
        else:
            slot = pacing.next_slot(now, unit.place, target.cadence_s)
        if unit.look_soon and now < unit.look_due < slot:
            slot = unit.look_due
        self.turns.schedule(unit, slot)
        if unit.waiters:
            waiters, unit.waiters = unit.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(result)

    def _keep_working(self, unit: Unit, result: ProbeResult, kind: FailureKind) -> None:
        """Keep how a failure came about: when it begins, when it changes, and now and then."""
        if self._quality is None or self._quality.evidence is None or unit.target.canary:
            return
        if unit.kept is not None and unit.kept[0] is kind and result.at - unit.kept[1] < REPEAT_MS:
            return
        unit.kept = (kind, result.at)
        self._quality.evidence.record(unit.target.camera.id, result, bad=True, found={})

    def _looked(self, flight: Flight, result: ProbeResult, look: Look | None) -> None:
        """A look has ended: see :data:`.looks.Ended`."""
        unit, target = flight.unit, flight.target
        if look is not None and self._looks is not None:
            patient = self._looks.patient
            if look.sight is not None and target.request == unit.target.request:
                news = unit.case.see(look.sight, self._clock(), unit.target.quality_s)
                if news and not patient:
                    self.turns.meet(unit, self._loop.time() + self._limits.host_spacing_s)
            if patient:
                self._conclude(unit, result)
            if unit.look_soon and unit.look_due < unit.due:
                self.turns.meet(unit, unit.look_due)
        self._pump()

    def _local(self, kind: FailureKind, message: str) -> ProbeResult:
        return ProbeResult(
            at=self._clock(),
            rung=Rung.NONE,
            failure=Failure(Phase.CONNECT, kind, message),
            timings=Timings(),
        )

    # --- ourselves -----------------------------------------------------------------------------------

    async def _keep_watch(self) -> None:
        """See when the loop stands still, when a probe does not end, when a camera is not looked at."""
        step, rounds = 0.25, 0
        while True:
            expected = self._loop.time() + step
            await asyncio.sleep(step)
            now = self._loop.time()
            if now - expected > self._limits.lag_s:
                self._stalled_until = now
                self.stats.stalls += 1
                log.warning("the event loop stood still for %.1f s", now - expected)
            self._notice_set_back()
            rounds += 1
            if rounds % 20 == 0:
                self._give_up_overdue(now)
            self._lapse(share=step / LAPSE_S)

    def _give_up_overdue(self, now: float) -> None:
        for flight in self.turns.flights:
            if now - flight.started > flight.target.request.longest_s + OVERDUE_S:
                flight.overdue = True
                if flight.task is not None:
                    flight.task.cancel()

    def _lapse(self, share: float) -> None:
        """States that nothing speaks for any more become unknown, not only when the next probe says so.

        A share of the cameras at a time: all of them at once would hold the loop.
        """
        now = self._clock()
        for _ in range(round(len(self._units) * share) + 1):
            camera = next(self._round, None)
            if camera is None:
                self._round = iter(list(self._units))
                return
            unit = self._units.get(camera)
            if unit is not None and unit.case.standing.observed is not None:
                unit.case.lapse(now, self._policy_of(camera))

    def _notice_blindness(self, now: float, result: ProbeResult) -> None:
        """Say once when most probes fail for reasons of our own, and once when that is over."""
        window = self._window
        if now - window[0] > 30.0:
            if self.stats.blind and window[1] and window[2] < 0.1 * window[1]:
                self.stats.blind = False
                log.warning("the prober sees again")
            window[:] = [now, 0, 0]
        window[1] += 1
        failure = result.failure
        if failure is not None and failure.blame is Blame.PROBER:
            window[2] += 1
            if not self.stats.blind and window[1] >= 20 and window[2] >= 0.5 * window[1]:
                self.stats.blind = True
                log.error(
                    "the prober is blind: %d of %d probes failed for reasons of its own, the latest: %s",
                    window[2],
                    window[1],
                    failure.message,
                )


async def _ended(tasks: set[asyncio.Task[None]], end: float, what: str) -> None:
    """Let them end until then, by the loop's time; what does not is given up, and it is said."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=end - asyncio.get_running_loop().time())
    if not late:
        return
    for task in late:
        task.cancel()
    _, stuck = await asyncio.wait(late, timeout=GIVEN_UP_S)
    log.warning(
        "stopped with %d %s under way: given up; %d of them go on all the same", len(late), what, len(stuck)
    )
