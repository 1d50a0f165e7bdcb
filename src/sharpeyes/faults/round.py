"""One look at everything: what is wrong, whose fault it is, what becomes of each ticket, which are new.

Orchestrates the pure decisions (``flap``, ``causes``, ``policy``, ``ticket``) on what the store holds, within
one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import median_high

from sqlalchemy import Connection

from sharpeyes.domain.clock import DeviceClock
from sharpeyes.domain.faults import (
    ENDED,
    FaultKey,
    FaultKind,
    Move,
    Node,
    NodeKind,
    NodeOrigin,
    Scope,
    Ticket,
    TicketStage,
    Topic,
    Verdict,
    Watch,
)
from sharpeyes.domain.health import UPSTREAM, State
from sharpeyes.domain.time import Ms
from sharpeyes.faults import causes, flap
from sharpeyes.faults import ticket as machine
from sharpeyes.faults.causes import Above, Blamed, BlindReason, Episode, Graph, OwnOutage
from sharpeyes.faults.desk import Desk, Office
from sharpeyes.faults.policy import Place, covers, lasted, severity
from sharpeyes.faults.ticket import Step
from sharpeyes.store import causes as cause_store
from sharpeyes.store import clocks as clock_store
from sharpeyes.store import faults as store
from sharpeyes.store import own_outages
from sharpeyes.store.cameras import get_cameras
from sharpeyes.store.organisation import list_areas
from sharpeyes.store.own_outages import StoredOutage

UP = frozenset({State.ONLINE, State.DEGRADED})
RAISED_AT_ONCE = 500
"""Tickets raised in one tick, the worst first: the rest comes with the next, and others may write between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a tick did and found."""

    raised: tuple[int, ...] = ()
    """Tickets, those reopened included."""
    closed: tuple[int, ...] = ()
    voided: tuple[int, ...] = ()
    blind: Mapping[str, OwnOutage] = field(default_factory=dict)
    """Zone -> why we do not see it: what its cameras seem to be is unknown."""
    suppressed: Mapping[str, int] = field(default_factory=dict)
    """Node -> cameras that are down because of it and have no ticket of their own."""
    upstream: Mapping[str, Above] = field(default_factory=dict)
    """Camera -> the node above it that its being offline is put down to."""
    verifying: frozenset[str] = frozenset()
    """Cameras whose tickets wait for a probe: worth looking at sooner."""


class Round:
    """One look at everything, within one transaction."""

    def __init__(
        self,
        connection: Connection,
        office: Office,
        graph: Graph,
        now: Ms,
        canaries: Mapping[str, Ms],
    ) -> None:
        self.connection = connection
        self.policy = office.policy
        self.graph = graph
        self.now = now
        self.canaries = canaries
        self.desk = Desk(connection, office, now)
        self.watches = store.noteworthy(connection)
        self.changed: dict[str, Watch] = {}
        self.tickets = store.open_tickets(connection)
        self.silences = store.list_silences(connection, Ms(now - self._longest_wait()))
        self.zone_of = store.zones_of(connection, self.watches)
        self.raised: list[int] = []
        self.closed: list[int] = []
        self.voided: list[int] = []

    @property
    def told(self) -> bool:
        return self.desk.told

    def run(self) -> Outcome:
        self._sample()
        self.down = {w.camera: w.since for w in self.watches.values() if w.state is State.OFFLINE}
        self.blind = self._find_blind()
        self.ours = self._ours()
        self.blamed = self._find_blamed()
        self.flapping = self._find_flapping()
        self.clocks = self._find_clocks()
        for item in list(self.tickets.values()):
            self._follow(item)
        wanted = sorted(self._wanted(), key=lambda pair: (pair[0].severity.rank, pair[0].started))
        for item, place in wanted[:RAISED_AT_ONCE]:
            self._raise(item, place)
        self._learn()
        self.desk.flush()
        store.put_watches(self.connection, self.changed.values())
        waiting = (TicketStage.HANDLED, TicketStage.VERIFYING)
        return Outcome(
            raised=tuple(self.raised),
            closed=tuple(self.closed),
            voided=tuple(self.voided),
            blind=self.blind,
            suppressed=causes.suppressed(self.blamed.values()),
            upstream=self._upstream(),
            verifying=frozenset(
                t.key.subject
                for t in self.tickets.values()
                if t.key.scope is Scope.CAMERA and t.stage in waiting
            ),
        )

    # --- what is the case -----------------------------------------------------------------------------

    def _sample(self) -> None:
        """Let time pass in the histories that it can still change."""
        for watch in list(self.watches.values()):
            passed = (self.now - watch.sampled) // self.policy.sample_ms
            if passed <= 0 or flap.steady(watch.history):
                continue
            history = watch.history
            for _ in range(min(passed, flap.LENGTH)):
                history = flap.push(history, watch.state)
            self._change(
                replace(
                    watch,
                    history=history,
                    sampled=Ms(watch.sampled + passed * self.policy.sample_ms),
                    flapping=flap.flapping(history, watch.flapping),
                )
            )

    def _change(self, watch: Watch) -> None:
        self.watches[watch.camera] = self.changed[watch.camera] = watch

    def _find_blind(self) -> dict[str, OwnOutage]:
        """Zones that we do not see. Once raised, it is so until the zone is seen again."""
        self.up_in = store.up_by_zone(self.connection)
        self.down_in: dict[str, dict[str, Ms]] = {}
        self.unknown_in: dict[str, int] = {}
        for watch in self.watches.values():
            zone = self.zone_of[watch.camera]
            if watch.state is State.OFFLINE:
                self.down_in.setdefault(zone, {})[watch.camera] = watch.since
            elif watch.state is State.UNKNOWN:
                self.unknown_in[zone] = self.unknown_in.get(zone, 0) + 1
        self.held = own_outages.open_outages(self.connection)
        found = {}
        for zone in {*self.down_in, *self.canaries, *self.held}:
            outage = self._outage(zone)
            if outage is not None:
                found[zone] = outage
        return found

    def _outage(self, zone: str) -> OwnOutage | None:
        """Whether we do not see a zone now. What is begun goes on until the zone is seen again, and what
        somebody has said to be real is not taken for ours a second time."""
        canary = self.canaries.get(zone)
        held = self.held.get(zone)
        if held is not None:
            by_canary = held.reason == BlindReason.CANARY
            if canary is None if by_canary else (self._sees(zone) or canary is not None):
                own_outages.end(self.connection, held.id, at=self.now)
                del self.held[zone]
            elif held.real is not None:
                return None
            else:
                return _resumed(held)
        judged = partial(
            causes.own_outage,
            zone,
            up=self.up_in.get(zone, 0),
            graph=self.graph,
            canary_failing=canary,
            now=self.now,
            policy=self.policy.causes,
        )
        outage = judged(down=self.down_in.get(zone, {}))
        if outage is not None and outage.reason is BlindReason.MASS:
            outage = judged(down=self._fallen(zone))
        if outage is not None:
            self.held[zone] = own_outages.begin(
                self.connection,
                StoredOutage(
                    zone=zone,
                    reason=outage.reason.value,
                    since=outage.since,
                    noticed=self.now,
                    fallen=outage.fallen,
                    seen=outage.seen,
                    branches=outage.branches,
                ),
            )
        return outage

    def _fallen(self, zone: str) -> dict[str, Ms]:
        """Cameras of a zone that were up when they were last seen, and are down for want of an answer: since
        when. Those never seen count only where nothing at all is seen: elsewhere the way is there, and they
        may have been dead for years."""
        down = self.down_in.get(zone, {})
        before = own_outages.last_seen(self.connection, down)
        strangers = not self.up_in.get(zone)
        return {
            camera: since
            for camera, since in down.items()
            if self.watches[camera].cause in causes.PERHAPS_OURS
            and (before[camera] in UP if camera in before else strangers)
        }

    def _sees(self, zone: str) -> bool:
        return causes.sees_again(
            down=len(self.down_in.get(zone, {})) + self.unknown_in.get(zone, 0),
            up=self.up_in.get(zone, 0),
            canary_failing=self.canaries.get(zone),
            policy=self.policy.causes,
        )

    def _ours(self) -> frozenset[str]:
        """Cameras that seem to be down because we are blind."""
        window = self.policy.causes.window_ms
        return frozenset(
            camera
            for zone, outage in self.blind.items()
            for camera, since in self.down_in.get(zone, {}).items()
            if since >= outage.since - window
        )

    @cached_property
    def unseen(self) -> set[str]:
        return store.unseen(self.connection) | self.ours

    def _find_blamed(self) -> dict[str, Blamed]:
        down = {camera: since for camera, since in self.down.items() if camera not in self.ours}
        active: dict[str, Ms] = {}
        for watch in self.watches.values():
            if watch.upstream is not None and watch.camera in down:
                ticket = self.tickets.get(FaultKey(Scope.NODE, watch.upstream, FaultKind.OFFLINE))
                since = ticket.started if ticket is not None else watch.since
                active[watch.upstream] = min(since, active.get(watch.upstream, since))
        if any(camera in self.graph.parent_of for camera in down):
            blamed = causes.blame(self.graph, down, self.unseen, active, self.policy.causes)
        else:
            blamed = {}
        below = {camera: each.node for each in blamed.values() for camera in each.children}
        for watch in list(self.watches.values()):
            node = below.get(watch.camera)
            if node is not None and watch.upstream != node:
                self._change(replace(watch, upstream=node))
            elif node is None and watch.upstream is not None and watch.state in (*UP, State.OFFLINE):
                self._change(replace(watch, upstream=None, released=self.now))
        return blamed

    def _upstream(self) -> dict[str, Above]:
        """What each camera's being offline is put down to: a node that is at fault, or was when it fell.

        Where the node is well again the cameras below it have the time of a window to recover too; those
        that do not are offline for a reason of their own from then on.
        """
        found = {}
        for watch in self.watches.values():
            if watch.state is not State.OFFLINE:
                continue
            if watch.upstream is not None:
                found[watch.camera] = Above(watch.upstream)
            elif watch.released is not None and watch.released >= watch.since:
                late = self.now - watch.released > self.policy.causes.window_ms
                found[watch.camera] = Above("", watch.released if late else None)
        return found

    def _find_flapping(self) -> dict[str, Blamed]:
        """Nodes below which nearly everything flaps."""
        flapping = {w.camera: Ms(0) for w in self.watches.values() if w.flapping}
        if not any(camera in self.graph.parent_of for camera in flapping):
            return {}
        return causes.blame(self.graph, flapping, self.unseen - flapping.keys(), {}, self.policy.causes)

    def _find_clocks(self) -> dict[FaultKey, DeviceClock]:
        """Clocks outside tolerance, each said once: of a recorder, or of the camera that is its device."""
        failing = clock_store.load_clocks(self.connection, failing=True)
        found = {}
        for device, cameras in store.cameras_of(self.connection, failing).items():
            if not all(self._in_maintenance(camera) for camera in cameras):
                found[self._clock_key(device, cameras)] = failing[device]
        return found

    def _clock_key(self, device: str, cameras: Sequence[str]) -> FaultKey:
        node = cause_store.DEVICE + device
        if len(cameras) > 1 and self.graph.cameras(node):
            return FaultKey(Scope.NODE, node, FaultKind.CLOCK)
        return FaultKey(Scope.CAMERA, min(cameras), FaultKind.CLOCK)

    def _in_maintenance(self, camera: str) -> bool:
        watch = self.watches.get(camera)
        return watch is not None and watch.state is State.MAINTENANCE

    # --- what becomes of open tickets -----------------------------------------------------------------

    def _follow(self, item: Ticket) -> None:
        lost = self._lost(item)
        if lost is not None:
            self._end(self.desk.apply(item, Step(move=Move.VOID, at=self.now, text=lost)))
            return
        before = item
        verdict = self._verdict(item)
        while (step := machine.react(item, verdict, self.now, self.policy)) is not None:
            item = self.desk.apply(item, step)
        if item.stage in ENDED:
            self._end(item)
            self.desk.tell(item, Topic.UP)
            return
        item = machine.mark_overdue(self._refreshed(item), self.now)
        level = machine.level(item, self.now, self.policy)
        if level > item.level and not self._quiet(item):
            item = self.desk.apply(item, Step(move=Move.ESCALATE, at=self.now, level=level))
            self.desk.tell(item, Topic.ESCALATED)
        elif item != before:
            store.save_ticket(self.connection, item)
        self.tickets[item.key] = item

    def _refreshed(self, item: Ticket) -> Ticket:
        """With the cause and the number of children of this moment, while the fault goes on."""
        if item.recovered is not None:
            return item
        if item.key.scope is Scope.NODE:
            found = self._at_fault(item.key.kind).get(item.key.subject)
            return replace(item, children=len(found.children)) if found is not None else item
        watch = self._cameras.get(item.key.subject) if item.key.scope is Scope.CAMERA else None
        if watch is not None and watch.state.value == item.key.kind.value:
            return replace(item, cause=watch.cause)
        return item

    def _at_fault(self, kind: FaultKind) -> Mapping[str, Blamed]:
        """Nodes that have this kind of fault now."""
        if kind is FaultKind.CLOCK:
            return {}
        return self.flapping if kind is FaultKind.FLAPPING else self.blamed

    def _quiet(self, item: Ticket) -> bool:
        """Whether nobody is to be pressed now: planned work, or declared out of service meanwhile."""
        watch = self._cameras.get(item.key.subject) if item.key.scope is Scope.CAMERA else None
        out_of_service = watch is not None and watch.state is State.MAINTENANCE
        place = Place(scope=item.key.scope, subject=item.key.subject, name=item.name, zone=item.zone)
        return out_of_service or self._silence(place)

    def _end(self, item: Ticket) -> None:
        del self.tickets[item.key]
        (self.closed if item.stage is TicketStage.CLOSED else self.voided).append(item.id)

    def _lost(self, item: Ticket) -> str | None:
        """Why a ticket has no object any more, None if it has."""
        scope, subject, kind = item.key.scope, item.key.subject, item.key.kind
        if scope is Scope.NODE and not self.graph.cameras(subject):
            return "nothing hangs from the node any more"
        if scope is Scope.CAMERA and subject not in self._cameras:
            return "the camera was retired"
        if kind is FaultKind.BLIND and (held := self.held.get(subject)) is not None and held.real is not None:
            return f"{held.real_by} says that it was real"
        if kind not in (FaultKind.OFFLINE, FaultKind.FLAPPING):
            return None
        found = self._at_fault(kind)
        above = self.graph.above(subject) if scope is Scope.CAMERA else self.graph.ancestors(subject)
        for node in above:
            if node not in found:
                continue
            together = item.started >= found[node].since - self.policy.causes.window_ms
            if scope is Scope.NODE or (subject in found[node].children and together):
                return f"{UPSTREAM}: {node} has taken it over"
        return None

    @cached_property
    def _cameras(self) -> dict[str, Watch]:
        """The watches of all cameras in service that have a ticket."""
        ids = [key.subject for key in self.tickets if key.scope is Scope.CAMERA]
        found = store.watches(self.connection, store.in_service(self.connection, ids))
        return {camera: self.watches.get(camera, watch) for camera, watch in found.items()}

    @cached_property
    def _observed(self) -> dict[str, Ms]:
        return store.observed(self.connection, self._cameras)

    def _verdict(self, item: Ticket) -> Verdict:
        if item.key.kind is FaultKind.CLOCK:
            return self._verdict_of_clock(item)
        match item.key.scope:
            case Scope.CAMERA:
                return self._verdict_of_camera(item)
            case Scope.NODE:
                return self._verdict_of_node(item)
            case Scope.ZONE:
                return self._verdict_of_zone(item)

    def _verdict_of_camera(self, item: Ticket) -> Verdict:
        watch = self._cameras[item.key.subject]
        good: bool | None
        since = watch.since
        match item.key.kind:
            case FaultKind.FLAPPING:
                good = False if watch.flapping else (True if watch.state in UP else None)
                since = item.recovered if item.recovered is not None else self.now
            case FaultKind.DEGRADED:
                good = {State.ONLINE: True, State.DEGRADED: False}.get(watch.state)
            case _:
                good = {State.ONLINE: True, State.DEGRADED: True, State.OFFLINE: False}.get(watch.state)
        if good is False and (watch.camera in self.ours or watch.upstream is not None):
            good = None  # that it is down now is not its own doing
        said = watch.state.value if watch.cause is None else f"{watch.state}: {watch.cause}"
        return Verdict(good=good, since=since, observed=self._observed.get(watch.camera), said=said)

    def _verdict_of_clock(self, item: Ticket) -> Verdict:
        subject = item.key.subject
        if item.key.scope is Scope.NODE:
            device: str | None = subject.removeprefix(cause_store.DEVICE)
        else:
            cameras = get_cameras(self.connection, [subject])
            device = cameras[subject].device if subject in cameras else None
        clock = clock_store.clocks_of(self.connection, [device] if device else []).get(device or "")
        if clock is None or clock.reading is None:
            return Verdict(good=None, since=self.now, observed=None, said="its clock is not read")
        return Verdict(
            good=clock.state.tolerable,
            since=clock.since,
            observed=clock.reading.at,
            said=f"its clock is off by {clock.reading.offset_ms / 1000:+.1f} s",
        )

    def _verdict_of_node(self, item: Ticket) -> Verdict:
        node = item.key.subject
        cameras = [c for c in self.graph.cameras(node) if c not in self.unseen]
        since = item.started - self.policy.causes.window_ms
        down = [c for c in cameras if c in self.down and self.down[c] >= since]
        up = [c for c in cameras if c not in self.down]
        good: bool | None = None
        if node in self._at_fault(item.key.kind):
            good = False
        elif up and len(up) >= (len(up) + len(down)) * (1 - self.policy.causes.keep):
            good = True
        looked = store.observed(self.connection, up if good else cameras).values()
        return Verdict(
            good=good,
            since=item.recovered if good and item.recovered is not None else self.now,
            observed=median_high(looked) if looked else None,  # half of them were seen then or later
            said=f"{len(up)} of {len(up) + len(down)} cameras are up",
        )

    def _verdict_of_zone(self, item: Ticket) -> Verdict:
        zone = item.key.subject
        outage = self.blind.get(zone)
        good = False if outage is not None else (True if self._sees(zone) else None)
        up, down = self.up_in.get(zone, 0), len(self.down_in.get(zone, {}))
        return Verdict(
            good=good,
            since=item.recovered if good and item.recovered is not None else self.now,
            observed=store.observed_in_zone(self.connection, zone),
            said=outage.explain() if outage is not None else f"{up} of {up + down} cameras are up",
        )

    # --- what is new ----------------------------------------------------------------------------------

    def _wanted(self) -> list[tuple[Ticket, Place]]:
        """Faults that have lasted and have no ticket yet."""
        faults: list[tuple[FaultKey, Ms, str | None, int, Ms | None]] = [
            (
                FaultKey(Scope.ZONE, zone, FaultKind.BLIND),
                outage.since,
                outage.reason.value,
                outage.fallen,
                None,
            )
            for zone, outage in self.blind.items()
            if outage.seen
        ]
        for kind, found in ((FaultKind.OFFLINE, self.blamed), (FaultKind.FLAPPING, self.flapping)):
            for node, each in found.items():
                if kind is FaultKind.OFFLINE and node in self.flapping:
                    continue  # it has been said that it comes and goes
                since = each.since if kind is FaultKind.OFFLINE else self.now
                faults.append((FaultKey(Scope.NODE, node, kind), since, None, len(each.children), None))
        faults += [
            (key, clock.since, FaultKind.CLOCK.value, len(self._children(key)), None)
            for key, clock in self.clocks.items()
        ]
        flapping_below = {camera for each in self.flapping.values() for camera in each.children}
        for watch in self.watches.values():
            if watch.camera in self.ours or watch.upstream is not None:
                continue
            if watch.flapping:
                if watch.camera in flapping_below:
                    continue
                kind = FaultKind.FLAPPING
            elif watch.state in (State.OFFLINE, State.DEGRADED):
                kind = FaultKind(watch.state.value)
            else:
                continue
            key = FaultKey(Scope.CAMERA, watch.camera, kind)
            faults.append((key, watch.since, watch.cause, 0, watch.released))
        faults = [fault for fault in faults if fault[0] not in self.tickets]
        places = self._places([key for key, *_ in faults])
        wanted = []
        for key, since, cause, children, released in faults:
            place = replace(places[key], cause=cause)
            silence, ended = self._silence(place), self._last_silence(place, since)
            bad = severity(self.policy, place, key.kind)
            times = self.policy.times[bad]
            after = 0 if key.kind is FaultKind.FLAPPING else times.raise_after
            if key.scope is Scope.CAMERA and key.kind is FaultKind.OFFLINE and self.graph.above(key.subject):
                after = max(after, self.policy.causes.window_ms)  # the others may be about to fall too
            if silence or lasted(since, self.now, released, ended) < after:
                continue
            wanted.append(
                (
                    Ticket(
                        key=key,
                        name=place.name,
                        severity=bad,
                        stage=TicketStage.RAISED,
                        cause=cause,
                        started=since,
                        raised=self.now,
                        acknowledge_by=Ms(self.now + times.acknowledge),
                        due=Ms(self.now + times.resolve),
                        tier=place.tier,
                        department=place.department,
                        area=place.area,
                        zone=place.zone,
                        children=children,
                    ),
                    place,
                )
            )
        return wanted

    def _raise(self, item: Ticket, place: Place) -> None:
        item = self.desk.open(item, place)
        self.tickets[item.key] = item
        self.raised.append(item.id)

    def _places(self, keys: Sequence[FaultKey]) -> dict[FaultKey, Place]:
        if not keys:
            return {}
        below = {key: self._children(key) for key in keys}
        cameras = get_cameras(self.connection, {c for ids in below.values() for c in ids})
        parents = {area.id: area.parent for area in list_areas(self.connection, include_retired=True)}
        places = {}
        for key in keys:
            some = [cameras[camera] for camera in below[key] if camera in cameras]
            areas: list[str] = []
            above = _common(camera.area for camera in some)
            while above is not None and above not in areas:
                areas.append(above)
                above = parents.get(above)
            node = self.graph.nodes.get(key.subject) if key.scope is Scope.NODE else None
            owner = node.department if node is not None else None
            name = key.subject
            if key.scope is Scope.CAMERA and some:
                name = some[0].name
            elif node is not None:
                name = node.name
            places[key] = Place(
                scope=key.scope,
                subject=key.subject,
                name=name,
                tier=_common(camera.tier.value for camera in some),
                department=owner or _common(camera.department for camera in some),
                areas=tuple(areas),
                zone=key.subject if key.scope is Scope.ZONE else _common(camera.zone for camera in some),
                tags=frozenset(some[0].tags) if key.scope is Scope.CAMERA and some else frozenset(),
            )
        return places

    def _children(self, key: FaultKey) -> Sequence[str]:
        match key.scope:
            case Scope.CAMERA:
                return (key.subject,)
            case Scope.NODE:
                return self.graph.cameras(key.subject)
            case Scope.ZONE:
                return tuple(self.down_in.get(key.subject, {}))

    # --- silences -------------------------------------------------------------------------------------

    def _longest_wait(self) -> int:
        return max(times.raise_after for times in self.policy.times.values()) + self.policy.causes.window_ms

    def _above(self, place: Place) -> tuple[str, ...]:
        match place.scope:
            case Scope.CAMERA:
                return self.graph.above(place.subject)
            case Scope.NODE:
                return (place.subject, *self.graph.ancestors(place.subject))
            case Scope.ZONE:
                return ()

    def _silence(self, place: Place) -> bool:
        above = self._above(place)
        return any(s.span.start <= self.now < s.span.end and covers(s, place, above) for s in self.silences)

    def _last_silence(self, place: Place, since: Ms) -> Ms | None:
        """When the last silence ended that the fault began in or before."""
        above = self._above(place)
        ends = [
            s.span.end for s in self.silences if since < s.span.end <= self.now and covers(s, place, above)
        ]
        return max(ends, default=None)

    # --- learning -------------------------------------------------------------------------------------

    def _learn(self) -> None:
        free = {
            camera: since
            for camera, since in self.down.items()
            if camera not in self.ours and camera not in self.graph.parent_of
        }
        policy = self.policy.causes
        new = [
            episode
            for episode in causes.episodes(self.zone_of, free, self.now, policy)
            if cause_store.add_episode(self.connection, episode.zone, episode.at, episode.cameras)
        ]
        for zone in {episode.zone for episode in new}:
            past = cause_store.list_episodes(self.connection, zone)
            known = cause_store.known_nodes(self.connection)
            for branch in causes.learn((Episode(zone, at, cameras) for at, cameras in past), policy):
                if branch.id not in known and branch.cameras.isdisjoint(self.graph.parent_of):
                    node = Node(
                        id=branch.id,
                        kind=NodeKind.LINK,
                        name=f"{zone} × {len(branch.cameras)}",
                        origin=NodeOrigin.LEARNED,
                    )
                    cause_store.put_node(self.connection, node, branch.cameras, now=self.now)


def _resumed(held: StoredOutage) -> OwnOutage:
    return OwnOutage(
        zone=held.zone,
        since=held.since,
        reason=BlindReason(held.reason),
        fallen=held.fallen,
        seen=held.seen,
        branches=held.branches,
    )


def _common(values: Iterable[str]) -> str | None:
    """The one value that all have."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
