"""A month as it comes to pass, told hour by hour, whose figures were worked out by hand, to the millisecond.

October 2026 in Shanghai, 744 hours. Days are added up as the month goes on; what is dated back over midnight,
and what is approved afterwards, has them added up anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, update

from scenario.virtual_city import enter
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.clock import ClockInterval, ClockState, DeviceClock
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.rate import Rate
from sharpeyes.rates.rates import rates, trend
from sharpeyes.rates.rollup import Roller
from sharpeyes.rates.timeline import Every
from sharpeyes.store import clocks, exclusions, pictures, rates_schema, rollups, schema, telemetry
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.exclusions import Exclusion, ExclusionScope
from sharpeyes.store.state_time import Dimension
from sharpeyes.store.telemetry import StoredStanding

ZONE = ZoneInfo("Asia/Shanghai")
OCTOBER = timeline.month(date(2026, 10, 1), ZONE)
H, MINUTE, S = 3_600_000, 60_000, 1000
BY: tuple[Dimension, ...] = ("all", "tier", "department", "area", "zone", "camera")


def at(day: int, hour: int = 0, ms: int = 0) -> Ms:
    return Ms(OCTOBER.start + (day - 1) * 24 * H + hour * H + ms)


def camera(key: str, tier: Tier, department: str, area: str, zone: str) -> Camera:
    stream = Stream(role=StreamRole.SUB, url="rtsp://10.0.0.1/s")
    return Camera(id=key, name=key, tier=tier, department=department, area=area, zone=zone, streams=(stream,))


A = camera("a", Tier.PUBLIC_SECURITY, "d", "quarter", "z1")
B = camera("b", Tier.DEPARTMENTAL, "d", "quarter", "z2")
C = camera("c", Tier.COMMUNITY, "e", "harbour", "z1")
MOVED = at(21, 12, 34 * MINUTE + 56 * S + 789)
"""B goes from department d to e and from the quarter to the harbour, in the middle of an outage."""


class Month:
    """The store, told in the order in which a prober and its people would tell it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = OCTOBER.start
        self.open: dict[str, tuple[State, Ms]] = {}
        self.roller = Roller(database, ZONE, lambda: self.now)
        self.rungs: dict[str, RungInterval] = {}

    def say(self, told: Ms, key: str, *spells: tuple[State, Ms]) -> None:
        """By ``told`` it is known that the camera was in these states, each from its instant on."""
        self.now = told
        closed = []
        for state, since in spells:
            if key in self.open:
                before, start = self.open[key]
                closed.append(Interval(camera=key, state=before, start=start, end=since, cause="timeout"))
            self.open[key] = (state, since)
        state, since = self.open[key]
        standing = StoredStanding(
            camera=key,
            state=state,
            since=since,
            cause=None,
            observed=None,
            fails=0,
            passes=0,
            streak=None,
            last_probe=None,
        )
        self.database.write(
            lambda c: telemetry.write_batch(c, intervals=closed, standings=[standing], beat=told)
        )

    def climb(self, key: str, *spells: tuple[Rung | None, Ms]) -> None:
        """The camera came so far, each from its instant on; None: it was not seen."""
        closed = []
        for rung, since in spells:
            if key in self.rungs:
                closed.append(replace(self.rungs.pop(key), end=since))
            if rung is not None:
                asked = Rung.USABLE if since > at(1) else Rung.KEYFRAME  # no picture is looked at at first
                self.rungs[key] = RungInterval(camera=key, rung=rung, asked=asked, start=since, end=None)
        still = [self.rungs[key]] if key in self.rungs else []
        self.database.write(lambda c: pictures.write_rungs(c, closed, still, [] if still else [key]) and None)

    def clock(self, *spells: tuple[ClockState, Ms]) -> None:
        """How the clock of A's device went."""
        edges = [since for _, since in spells[1:]]
        closed = [
            ClockInterval(device="box", state=state, start=since, end=end)
            for (state, since), end in zip(spells, edges, strict=False)
        ]
        state, since = spells[-1]
        standing = DeviceClock(device="box", state=state, since=since, at=self.now)
        self.database.write(lambda c: clocks.put_clocks(c, [standing], closed))

    def decide(
        self, told: Ms, scope: ExclusionScope, subject: str, start: Ms, end: Ms, *, approve: bool = True
    ) -> None:
        self.now = told
        item = Exclusion(
            id="",
            scope=scope,
            subjects=(subject,),
            span=Span(start, end),
            reason="power cut",
            evidence="notice",
            applicant="ann",
            department=None,
            applied=told,
        )

        def write(connection: Any) -> None:
            key = exclusions.apply(connection, item).id
            exclusions.decide(connection, key, by="bob", approve=approve, remark="", now=told)

        self.database.write(write)

    def midnight(self, day: int) -> int:
        """The prober is alive five minutes into this day, and days are added up."""
        self.now = at(day, 0, 5 * MINUTE)
        self.database.write(lambda c: telemetry.set_heartbeat(c, self.now))
        return asyncio.run(self.roller.turn())

    def rates(self, by: Dimension) -> dict[str, Rate]:
        return {r.key: r for r in self.database.read(lambda c: rates(c, OCTOBER, by, self.now))}


def live_through(month: Month) -> None:
    online, offline, unknown = State.ONLINE, State.OFFLINE, State.UNKNOWN
    for key in "abc":
        month.say(at(1), key, (online, at(1)))
        month.climb(key, (Rung.KEYFRAME, at(1)), (Rung.USABLE, at(1, 6)))
    month.clock((ClockState.OK, at(1)))
    month.midnight(2)
    assert month.midnight(3) == 1
    # A was away for 3.000 s over midnight; it is told ten minutes after the day was added up
    month.say(at(3, 0, 10 * MINUTE), "a", (offline, Ms(at(3) - 1500)), (online, Ms(at(3) + 1500)))
    month.climb("a", (Rung.REACHABLE, Ms(at(3) - 1500)), (Rung.USABLE, Ms(at(3) + 1500)))
    assert month.midnight(4) == 2  # the 2nd anew, and the 3rd
    for flap in range(5):  # B flaps: five times 1.001 s, a minute apart
        gone = Ms(at(5, 9) + flap * MINUTE)
        month.say(Ms(gone + 30 * S), "b", (offline, gone), (online, Ms(gone + 1001)))
        month.climb("b", (Rung.RTSP, gone), (Rung.USABLE, Ms(gone + 1001)))
    for day in range(5, 8):
        month.midnight(day)
    month.say(at(8), "c", (State.MAINTENANCE, at(8)))
    month.climb("c", (None, at(8)))
    for day in range(9, 11):
        month.midnight(day)
    # planned beforehand: the whole town has no power on the 10th
    month.decide(at(9, 12), ExclusionScope.AREA, "town", at(10), at(11))
    month.say(at(10, 6, 90 * S), "a", (offline, at(10, 6)))
    month.climb("a", (Rung.NONE, at(10, 6)))
    month.midnight(11)
    month.say(at(11, 18, 60 * S), "a", (online, at(11, 18, 1)))  # after 36 h and 1 ms
    month.climb("a", (Rung.USABLE, at(11, 18, 1)))
    for day in range(12, 16):
        month.midnight(day)
    month.say(at(15, 1), "c", (online, at(15)))
    month.climb("c", (Rung.USABLE, at(15)))
    for day in range(16, 18):
        month.midnight(day)
    # our own prober is away for 26 hours from the 17th, 22:00: nobody's fault, so unknown, said on its return
    month.database.write(lambda c: telemetry.set_heartbeat(c, at(17, 22)))
    for key in "abc":
        month.say(at(19), key, (unknown, at(17, 22)), (online, at(19)))
        month.climb(key, (None, at(17, 22)), (Rung.USABLE, at(19)))
    assert month.midnight(19) == 2
    for day in range(20, 22):
        month.midnight(day)
    month.say(at(21, 12, 90 * S), "b", (offline, at(21, 12)))
    month.climb("b", (Rung.NONE, at(21, 12)))

    def move(connection: Any) -> None:
        put_cameras(connection, [replace(B, department="e", area="harbour")], now=MOVED)

    month.database.write(move)
    month.say(at(21, 14, 30 * S), "b", (online, at(21, 14)))
    month.climb("b", (Rung.USABLE, at(21, 14)))
    for day in range(22, 25):
        if day == 24:  # all of the 23rd, somebody had covered A: it delivered, nothing of use
            month.climb("a", (Rung.CHANGING, at(23)), (Rung.USABLE, at(24)))
        month.midnight(day)
    month.database.write(
        lambda c: put_cameras(
            c, [replace(B, department="e", area="harbour", tier=Tier.COMMUNITY)], now=at(25)
        )
    )
    for day in range(25, 28):
        month.midnight(day)
    month.say(at(27, 10, 60 * S), "c", (offline, at(27, 10)))
    month.say(at(27, 22, 60 * S), "c", (online, at(27, 22)))
    month.climb("c", (Rung.AUTHENTICATED, at(27, 10)), (Rung.USABLE, at(27, 22)))
    for day in range(28, 33):
        if day == 29:  # all of the 28th, A's clock was minutes off
            month.clock((ClockState.OK, at(1)), (ClockState.FAIL, at(28)), (ClockState.OK, at(29)))
        month.midnight(day)
    # afterwards, with the month added up: an hour of B's outage and one beside it; two that overlap on C, of
    # which the one for department e is for B as well; six hours in which nobody saw A; and one refused
    month.decide(at(32, 9), ExclusionScope.CAMERA, "b", at(21, 13), at(21, 15))
    month.decide(at(32, 9), ExclusionScope.DEPARTMENT, "e", at(27, 10), at(27, 12))
    month.decide(at(32, 9), ExclusionScope.CAMERA, "c", at(27, 11), at(27, 14))
    month.decide(at(32, 9), ExclusionScope.TIER, "public_security", at(18), at(18, 6))
    month.decide(at(32, 9), ExclusionScope.CAMERA, "a", at(11), at(12), approve=False)


# By hand: obliged, online, offline, unknown, maintenance; then of what is excluded: obliged, online, offline.
#
# A: 36 h 1 ms and 3,000 ms offline. On the 10th it was online for 6 h and offline for 18; 6 h were unseen.
ALL_OF_A = (744 * H, 682 * H - 3001, 36 * H + 3001, 26 * H, 0, 30 * H, 6 * H, 18 * H)
# B until it moved: 480 h + 12:34:56.789, 5 x 1,001 ms and 34:56.789 offline; the 10th is excluded, online.
BEFORE = 492 * H + 2_096_789
B_IN_D = (BEFORE, 466 * H - 5005, 5005 + 2_096_789, 26 * H, 0, 24 * H, 24 * H, 0)
# B since: 251:25:03.211, of which 1:25:03.211 offline; 13 to 15 h on the 21st, half of it online; 10 to 12 h
# on the 27th, all of it.
AFTER = 744 * H - BEFORE
GONE_IN_E = 2 * H - 2_096_789
B_IN_E = (AFTER, AFTER - GONE_IN_E, GONE_IN_E, 0, 0, 4 * H, 3 * H, 1 * H)
# B by tier: 24 days departmental, 7 community.
B_FIRST = (576 * H, 548 * H - 5005, 2 * H + 5005, 26 * H, 0, 26 * H, 25 * H, 1 * H)
B_LAST = (168 * H, 168 * H, 0, 0, 0, 2 * H, 2 * H, 0)
# C: a week of maintenance, 12 h offline, of which 10 to 14 h are excluded once, though two say so.
ALL_OF_C = (576 * H, 538 * H, 12 * H, 26 * H, 168 * H, 4 * H, 0, 4 * H)


def plus(*figures: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*figures, strict=True)))


ALL_OF_B = plus(B_IN_D, B_IN_E)
BY_HAND: dict[Dimension, dict[str, tuple[int, ...]]] = {
    "all": {"all": plus(ALL_OF_A, ALL_OF_B, ALL_OF_C)},
    "camera": {"a": ALL_OF_A, "b": ALL_OF_B, "c": ALL_OF_C},
    "tier": {
        "public_security": ALL_OF_A,
        "departmental": B_FIRST,
        "community": plus(ALL_OF_C, B_LAST),
    },
    "department": {"d": plus(ALL_OF_A, B_IN_D), "e": plus(ALL_OF_C, B_IN_E)},
    "area": {
        "town": plus(ALL_OF_A, B_IN_D),
        "quarter": plus(ALL_OF_A, B_IN_D),
        "harbour": plus(ALL_OF_C, B_IN_E),
    },
    "zone": {"z1": plus(ALL_OF_A, ALL_OF_C), "z2": ALL_OF_B},
}


# Of the ladder, by hand: reached reachable; reached and judged keyframe; reached and judged usable; intact.
#
# For all: the first 6 h nobody looked at the picture; the unseen 26 h are in none of it.
# A: 36 h 1 ms without an answer, 3,000 ms only reachable, 24 h covered, 24 h with a clock that was off.
UP_A = (682 * H - 1, 682 * H - 3001, 718 * H, 652 * H - 3001, 712 * H, 628 * H - 3001)
# B: 5 x 1,001 ms answering no more than RTSP, 2 h without an answer, of which 34:56.789 in d.
UP_B_IN_D = (
    466 * H,
    466 * H - 5005,
    466 * H + 2_096_789,
    460 * H - 5005,
    460 * H + 2_096_789,
    460 * H - 5005,
)
UP_B_IN_E = (250 * H, 250 * H, AFTER, 250 * H, AFTER, 250 * H)
UP_B_FIRST = (548 * H, 548 * H - 5005, 550 * H, 542 * H - 5005, 544 * H, 542 * H - 5005)
UP_B_LAST = (168 * H,) * 6
# C: 12 h in which its stream was described, and never came.
UP_C = (550 * H, 538 * H, 550 * H, 532 * H, 544 * H, 532 * H)
UP_BY_HAND: dict[Dimension, dict[str, tuple[int, ...]]] = {
    "all": {"all": plus(UP_A, UP_B_IN_D, UP_B_IN_E, UP_C)},
    "camera": {"a": UP_A, "b": plus(UP_B_IN_D, UP_B_IN_E), "c": UP_C},
    "tier": {
        "public_security": UP_A,
        "departmental": UP_B_FIRST,
        "community": plus(UP_C, UP_B_LAST),
    },
    "department": {"d": plus(UP_A, UP_B_IN_D), "e": plus(UP_C, UP_B_IN_E)},
    "area": {
        "town": plus(UP_A, UP_B_IN_D),
        "quarter": plus(UP_A, UP_B_IN_D),
        "harbour": plus(UP_C, UP_B_IN_E),
    },
    "zone": {"z1": plus(UP_A, UP_C), "z2": plus(UP_B_IN_D, UP_B_IN_E)},
}


def ladder(rate: Rate) -> tuple[int, ...]:
    climb = rate.climb
    return (
        climb.reached_ms(Rung.REACHABLE),
        climb.reached_ms(Rung.KEYFRAME),
        climb.judged_ms(Rung.KEYFRAME),
        climb.reached_ms(Rung.USABLE),
        climb.judged_ms(Rung.USABLE),
        rate.intact_ms,
    )


def check_steps(database: Database, now: Ms) -> None:
    """Hours, days, weeks and the month, each in one course: together they come to the month by hand."""
    for every, number in ((Every.HOUR, 744), (Every.DAY, 31), (Every.WEEK, 5), (Every.MONTH, 1)):
        for by in BY:
            keys = list("abc") if by == "camera" else None
            course = database.read(
                lambda c, by=by, e=every, k=keys: trend(c, OCTOBER, by, e, ZONE, now, keys=k)
            )
            assert len({rate.span for rate in course}) == number
            for expected, told in ((BY_HAND, figures), (UP_BY_HAND, ladder)):
                total = {
                    key: plus(*(told(rate) for rate in course if rate.key == key)) for key in expected[by]
                }
                assert total == expected[by], (every, by)
    hours = database.read(lambda c: trend(c, OCTOBER, "camera", Every.HOUR, ZONE, now, keys=["a", "b", "c"]))
    by_hour = {(rate.key, rate.span.start): rate for rate in hours}
    for hour in (at(2, 23), at(3)):  # a second and a half on either side of midnight
        assert by_hour["a", hour].online_ms == H - 1500
    flapping = by_hour["b", at(5, 9)]
    assert (flapping.offline_ms, flapping.climb.reached_ms(Rung.RTSP)) == (5005, H)
    assert by_hour["b", at(21, 12)].raw == by_hour["b", at(21, 13)].raw == 0.0
    assert by_hour["a", at(18, 3)].raw is None
    assert by_hour["a", at(23, 5)].raw == 1.0
    assert by_hour["a", at(23, 5)].intact == by_hour["a", at(28, 5)].intact == 0.0
    assert by_hour["a", at(28, 5)].reached(Rung.USABLE) == 1.0
    assert by_hour["a", at(1, 5)].intact is None
    assert by_hour["c", at(27, 12)].reached(Rung.AUTHENTICATED) == 1.0
    assert by_hour["c", at(27, 12)].reached(Rung.MEDIA) == 0.0


def figures(rate: Rate) -> tuple[int, ...]:
    x = rate.excluded
    return (
        rate.obliged_ms,
        rate.online_ms,
        rate.offline_ms,
        rate.unknown_ms,
        rate.maintenance_ms,
        x.obliged_ms,
        x.online_ms,
        x.offline_ms,
    )


def test_a_scripted_month_comes_to_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    assert plus(B_FIRST, B_LAST) == ALL_OF_B  # the same by hand in two ways
    with Database(f"sqlite:///{tmp_path}/m.db") as database:
        database.upgrade()

        def registry(connection: Any) -> None:
            enter(connection, [A, B, C], OCTOBER.start)
            connection.execute(insert(schema.area), [{"id": "town", "name": "Town"}])
            where = schema.area.c.id == "quarter"
            connection.execute(update(schema.area).where(where).values(parent="town"))
            box = {"id": "box", "session_limit": 4, "created_ms": 0, "changed_ms": 0}
            connection.execute(insert(schema.device), [box])
            connection.execute(update(schema.camera).where(schema.camera.c.id == "a").values(device="box"))

        database.write(registry)
        month = Month(database)
        live_through(month)
        for turn in ("from intervals where a day is stale", "from days"):
            for by in BY:
                found = month.rates(by)
                assert {key: figures(rate) for key, rate in found.items()} == BY_HAND[by], (turn, by)
                assert {key: ladder(rate) for key, rate in found.items()} == UP_BY_HAND[by], (turn, by)
            month.now = at(32, 10)
            database.write(lambda c: telemetry.set_heartbeat(c, month.now))
            if turn != "from days":
                assert asyncio.run(month.roller.turn()) == 3  # the 18th, the 21st and the 27th
                assert database.read(lambda c: rollups.fresh_spans(c, OCTOBER)) == [OCTOBER]
        whole = month.rates("all")["all"]
        assert whole.raw == whole.online_ms / (whole.online_ms + whole.offline_ms)
        assert whole.raw is not None
        assert whole.adjusted is not None
        assert whole.adjusted > whole.raw
        one = month.rates("camera")["a"]
        assert one.adjusted == (676 * H - 3001) / (718 * H - 24 * H)
        assert one.clock_coverage == 1.0
        check_steps(database, month.now)
        kept = {by: month.rates(by) for by in BY}
        database.write(lambda c: c.execute(delete(rates_schema.rollup_day)) and None)
        assert {by: month.rates(by) for by in BY} == kept
