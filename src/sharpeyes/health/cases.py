"""What is known of each camera and said of it: judged, told with what is known beyond it, shown and kept.

A camera's :class:`Case` is opened when it comes under watch and closed when it leaves. Whatever happens to it
between (a probe, a look at its picture, time without either, something that is found out afterwards) goes
the same way: the judge speaks, :mod:`.hindsight` says what is told of it, the board shows that and the
recorder keeps it. When a camera is looked at, and how, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.health import Interval, ProbeResult, Rung, RungInterval, State
from sharpeyes.domain.time import AHEAD_MS, DAY_MS, Ms, Span
from sharpeyes.health import hindsight, judge
from sharpeyes.health.board import Board
from sharpeyes.health.hindsight import Blindness, Upstream
from sharpeyes.health.judge import Judgement, Policy, Standing
from sharpeyes.health.ladder import Climb, Ladder
from sharpeyes.health.own_time import no_later
from sharpeyes.health.recorder import Recalled, Record
from sharpeyes.health.sight import Sight

SIGHT_CADENCES = 3
"""For so many cadences a look at the picture holds."""
SIGHT_MS = DAY_MS
"""Faults of a picture that nobody has looked at for so long, as after a long stop, are not believed."""
_LIVE = Climb(Rung.KEYFRAME, Rung.KEYFRAME)
"""How far a probe climbs whose picture nobody has looked at."""
_UNSEEN = {State.UNKNOWN, State.MAINTENANCE}
_NEVER = Ms(0)
_FOREVER = Ms(1 << 62)


class Cases:
    """The cases of all cameras on one ``board``; ``record`` keeps what becomes of them."""

    def __init__(self, board: Board, record: Record) -> None:
        self.board = board
        self.record = record
        self.blind: Mapping[str, Blindness] = {}
        """Zones that we do not see."""
        self.open: dict[str, Case] = {}
        """Of the cameras under watch."""
        self._above: frozenset[str] = frozenset()
        """Cameras whose being offline was last put down to something above them."""

    def newcomer(self, camera: Camera, now: Ms) -> Case:
        """A case that is not open yet."""
        return Case(self, camera, Standing.newcomer(camera.id, now), Ladder(camera.id))

    def explain(
        self, blind: Mapping[str, Blindness], upstream: Mapping[str, Upstream], now: Ms, *, real: bool
    ) -> None:
        """See :meth:`sharpeyes.health.fleet.Fleet.explain`."""
        # Nothing begins or ends later than now, though a clock that was ahead may have said so.
        blind = {zone: one.by(now) for zone, one in blind.items()}
        upstream = {camera: one.by(now) for camera, one in upstream.items()}
        before, self.blind = self.blind, blind
        touched: Iterable[str] = self.open
        if before == blind:
            touched = [camera for camera in (*self._above, *upstream) if camera in self.open]
        self._above = frozenset(upstream)
        for camera in touched:
            case = self.open[camera]
            case.explain(before.get(case.camera.zone), upstream.get(camera), now, real=real)

    def set_back(self, now: Ms) -> None:
        """Our own clock was ahead, and it is ``now``: what was said of times that have not come is void."""
        self.blind = {zone: blind.by(now) for zone, blind in self.blind.items()}
        for case in self.open.values():
            case.set_back(now)


@dataclass(slots=True, eq=False)
class Case:
    """One camera's. All but :attr:`camera` is as the judge has it; what the board shows may know better."""

    cases: Cases
    camera: Camera
    standing: Standing
    ladder: Ladder
    upstream: Upstream | None = None
    sight: Sight | None = None
    fresh_until: Ms = _NEVER
    """Until then the sight speaks for how far it climbs."""

    # --- what happens to it --------------------------------------------------------------------------

    def open(self, now: Ms, recalled: Recalled | None) -> None:
        """The camera is under watch from now on: as an earlier run left it, or as a newcomer."""
        camera, board = self.camera, self.cases.board
        self.cases.open[camera.id] = self
        standing = Standing.newcomer(camera.id, now) if recalled is None else recalled.standing
        judgement = _declared(camera, standing, now)
        self.standing = judgement.standing
        shown, _ = self._shown()
        board.place(camera, shown)
        if recalled is not None and recalled.sight is not None and now - recalled.sight.at < SIGHT_MS:
            self.sight = recalled.sight
            board.update(shown, sight=self.sight)
        if recalled is None or judgement.standing is not standing:
            self._keep(judgement)

    def close(self, now: Ms) -> None:
        """The camera is watched no more; its open interval ends now."""
        camera, cases = self.camera.id, self.cases
        if camera not in cases.board:
            return
        shown, _ = self._shown()
        self.ladder, climbed = self.ladder.unseen(now)
        closed = self._told(judge.retire(self.standing, now))
        cases.record.forget(camera, closed, self._told_rungs(_some(climbed), closed, shown))
        cases.board.remove(camera)
        cases.open.pop(camera, None)

    def declare(self, camera: Camera, now: Ms) -> None:
        """This is what its owner says of the camera from now on."""
        self.camera = camera
        judgement = _declared(camera, self.standing, now)
        self.cases.board.place(camera, self._shown()[0])
        if judgement.standing is not self.standing:
            self._keep(judgement)

    def hear(self, result: ProbeResult, policy: Policy, withheld_until: Ms | None) -> None:
        """A probe's answer is in. Its credentials will not be tried before ``withheld_until``."""
        observation = judge.observe(result, policy, () if self.sight is None else self.sight.defects)
        judgement = judge.judge(self.standing, observation, policy)
        self.standing = judgement.standing
        (shown, _), closed = self._shown(), self._told(judgement.closed)
        if self.upstream is not None and self.standing.state is not State.OFFLINE:
            self.upstream = None
        climb, climbed = self._climb(result, judgement, observation.since, policy)
        climbed = self._told_rungs(climbed, closed, shown)
        said = _said(self.ladder, shown)
        entry = self.cases.board.update(shown, result, withheld_until, rung=climb.rung, ladder=said)
        self.cases.record.note(entry, closed, climbed)

    def see(self, sight: Sight, now: Ms, cadence_s: float) -> bool:
        """A look has ended: what it found is known from now on, and judged with the next probe. True if there
        are other faults than before."""
        if sight.at > now + AHEAD_MS:
            sight = no_later(sight, now)
        news = sight.defects != (() if self.sight is None else self.sight.defects)
        self.sight = sight
        self.fresh_until = Ms(sight.at + round(1000 * SIGHT_CADENCES * cadence_s) + 60_000)
        board = self.cases.board
        entry = board.get(self.camera.id)
        assert entry is not None
        rung = entry.rung
        if rung is not None and rung >= Rung.KEYFRAME:
            rung = max(Rung.KEYFRAME, sight.rung)
        self.cases.record.note(board.update(entry.standing, rung=rung, sight=sight))
        return news

    def see_anew(self, sight: Sight | None) -> None:
        """Its picture is judged anew from now on, with ``sight`` as what is known."""
        self.sight, self.fresh_until = sight, _NEVER
        board = self.cases.board
        entry = board.get(self.camera.id)
        if entry is not None and sight is not None:
            self.cases.record.note(board.update(entry.standing, sight=sight))

    def lapse(self, now: Ms, policy: Policy) -> None:
        """Nothing was heard of it until now: a state that nothing speaks for any more becomes unknown."""
        judgement = judge.lapse(self.standing, now, policy)
        if judgement.standing is not self.standing:
            self._keep(judgement)

    def set_back(self, now: Ms) -> None:
        """It is unknown until it is seen again, and nothing waits for times that have not come."""
        self.upstream = None
        self.fresh_until = Ms(min(self.fresh_until, now))
        if self.sight is not None:
            self.sight = no_later(self.sight, now)
        self.ladder, climbed = self.ladder.set_back(now)
        self._keep(judge.set_back(self.standing, now), _some(climbed))

    def explain(self, before: Blindness | None, upstream: Upstream | None, now: Ms, *, real: bool) -> None:
        """Whether we see its zone may have changed (it was ``before``), and what lies ``upstream`` of it."""
        was, blind = self.upstream, self.cases.blind.get(self.camera.zone)
        settled = was is not None and was.until is not None and self.standing.since <= was.until
        if not settled:
            self.upstream = upstream
        if blind == before and self.upstream == was:
            return
        closed: list[Interval] = []
        if before is not None and blind is None:
            seen, _ = hindsight.shown(self.standing, before, None)
            alike = real and seen.since == self.standing.since
            if seen is not self.standing and not alike:
                judgement = judge.disown(self.standing, now, before.cause)
                self.standing = judgement.standing
                for interval in judgement.closed:
                    closed += (interval,) if real else hindsight.told(interval, before, None)
        shown, over = self._shown()
        self._show(shown, (*closed, *over))

    def _keep(self, judgement: Judgement, climbed: Sequence[RungInterval] = ()) -> None:
        """Show and keep a judgement that no probe led to, and what has ``climbed`` by it already."""
        self.standing = judgement.standing
        shown, _ = self._shown()
        self._show(shown, self._told(judgement.closed), climbed)

    def _show(
        self, shown: Standing, closed: Sequence[Interval], climbed: Sequence[RungInterval] = ()
    ) -> None:
        last = None
        if self.standing.state in _UNSEEN:
            self.ladder, last = self.ladder.unseen(self.standing.since)
        rungs = self._told_rungs([*climbed, *_some(last)], closed, shown)
        entry = self.cases.board.update(shown, ladder=_said(self.ladder, shown), sight=self.sight)
        self.cases.record.note(entry, closed, rungs)

    def _climb(
        self, result: ProbeResult, judgement: Judgement, since: Ms | None, policy: Policy
    ) -> tuple[Climb, list[RungInterval]]:
        """How far this probe came, its picture included, and what that closes on the ladder."""
        failure, sight, standing = result.failure, self.sight, judgement.standing
        if failure is not None:
            climb = Climb(result.rung, Rung.USABLE)
        elif sight is not None and result.at <= self.fresh_until:
            climb = Climb(max(result.rung, sight.rung), Rung.USABLE)
        else:
            climb = _LIVE
        closed: list[RungInterval] = []
        for interval in judgement.closed:  # a gap that began and ended within this judgement
            if interval.state in _UNSEEN:
                self.ladder, climbed = self.ladder.unseen(interval.start)
                closed += _some(climbed)
        if standing.state in _UNSEEN:
            self.ladder, climbed = self.ladder.unseen(standing.since)
        elif self.ladder.climb is None:
            self.ladder, climbed = self.ladder.look(standing.since, climb, policy)
        else:
            at = standing.latest if since is None else since
            self.ladder, climbed = self.ladder.look(at, climb, policy)
        return climb, closed + _some(climbed)

    # --- what is said of it --------------------------------------------------------------------------

    def _shown(self) -> tuple[Standing, tuple[Interval, ...]]:
        """What is said of its standing, and what of its open interval is over by that."""
        blind = self.cases.blind.get(self.camera.zone)
        if blind is None and self.upstream is None:
            return self.standing, ()
        return hindsight.shown(self.standing, blind, self.upstream)

    def _told(self, closed: Iterable[Interval]) -> list[Interval]:
        """What is said of intervals that the judge has closed."""
        blind = self.cases.blind.get(self.camera.zone)
        if blind is None and self.upstream is None:
            return list(closed)
        return [piece for one in closed for piece in hindsight.told(one, blind, self.upstream)]

    def _told_rungs(
        self, climbed: list[RungInterval], told: Iterable[Interval], shown: Standing
    ) -> list[RungInterval]:
        """What is said of rungs that have closed, beside what is said of the states. The rung that lasts is
        cut where the time begins or ends of which we say that we do not see."""
        unsaid = [Span(i.start, i.end) for i in told if hindsight.is_unsaid(i) and i.end is not None]
        if hindsight.is_unsaid(shown):
            unsaid.append(Span(shown.since, _FOREVER))
        if not unsaid:
            return climbed
        for span in unsaid:
            for edge in (span.start, span.end):
                if edge != _FOREVER:
                    self.ladder, piece = self.ladder.cut(edge)
                    climbed = climbed + _some(piece)
        return [piece for one in climbed for piece in hindsight.told_rung(one, unsaid)]


def _declared(camera: Camera, standing: Standing, now: Ms) -> Judgement:
    """Bring a standing in line with what the owner declares."""
    if camera.maintenance:
        return judge.begin_maintenance(standing, now)
    return judge.end_maintenance(standing, now)


def _some(interval: RungInterval | None) -> list[RungInterval]:
    return [] if interval is None else [interval]


def _said(ladder: Ladder, shown: Standing) -> Ladder:
    """The ladder as it is shown: nothing of it while we say that we do not see."""
    return Ladder(ladder.camera) if hindsight.is_unsaid(shown) else ladder
