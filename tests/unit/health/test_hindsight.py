"""What is said of a camera when more is known than its probes can tell."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms
from sharpeyes.health.hindsight import Blindness, Upstream, shown, told
from sharpeyes.health.judge import Standing

ONLINE, DEGRADED, OFFLINE = State.ONLINE, State.DEGRADED, State.OFFLINE
UNKNOWN, MAINTENANCE = State.UNKNOWN, State.MAINTENANCE
CANARY = Blindness(Ms(50), "prober_canary", whole=True)
MASS = Blindness(Ms(50), "prober_mass", whole=False)


def spell(state: State, start: int, end: int | None, cause: str | None = None) -> Interval:
    return Interval(
        camera="c", state=state, start=Ms(start), end=None if end is None else Ms(end), cause=cause
    )


def pieces(
    interval: Interval, blind: Blindness | None = None, upstream: Upstream | None = None
) -> list[tuple[State, int, int | None, str | None, State | None]]:
    return [(p.state, p.start, p.end, p.cause, p.seen_state) for p in told(interval, blind, upstream)]


def test_while_a_canary_fails_nothing_that_was_seen_counts() -> None:
    assert pieces(spell(ONLINE, 0, 100), CANARY) == [
        (ONLINE, 0, 50, None, None),
        (UNKNOWN, 50, 100, "prober_canary", ONLINE),
    ]
    assert pieces(spell(ONLINE, 0, 50), CANARY) == [(ONLINE, 0, 50, None, None)]
    assert pieces(spell(OFFLINE, 60, None, "timeout"), CANARY) == [
        (UNKNOWN, 60, None, "prober_canary", OFFLINE)
    ]
    (kept,) = told(spell(OFFLINE, 60, 90, "timeout"), CANARY, None)
    assert kept.seen_cause == "timeout"


def test_after_a_mass_failure_only_falls_do_not_count() -> None:
    assert pieces(spell(OFFLINE, 50, 80, "timeout"), MASS) == [(UNKNOWN, 50, 80, "prober_mass", OFFLINE)]
    for own in (spell(OFFLINE, 49, 80, "timeout"), spell(ONLINE, 60, 80), spell(DEGRADED, 60, None, "x")):
        assert told(own, MASS, None) == (own,)


def test_what_was_not_seen_or_not_owed_stays_what_it_is() -> None:
    for state in (UNKNOWN, MAINTENANCE):
        own = spell(state, 60, 80, "gap")
        assert told(own, CANARY, Upstream("nvr")) == (own,)


def test_a_fault_above_gives_the_cause_and_leaves_the_state() -> None:
    assert pieces(spell(OFFLINE, 10, None, "timeout"), None, Upstream("nvr")) == [
        (OFFLINE, 10, None, "upstream", OFFLINE)
    ]
    assert pieces(spell(OFFLINE, 10, None, "timeout"), None, Upstream("nvr", Ms(40))) == [
        (OFFLINE, 10, 40, "upstream", OFFLINE),
        (OFFLINE, 40, None, "timeout", None),
    ]
    own = spell(OFFLINE, 60, None, "timeout")
    assert told(own, None, Upstream("nvr", Ms(40))) == (own,), "it fell after that"
    up = spell(ONLINE, 10, None)
    assert told(up, None, Upstream("nvr")) == (up,)


def test_a_standing_is_shown_as_its_open_interval_is_told() -> None:
    judged = Standing("c", ONLINE, Ms(0), None, Ms(90), observed=Ms(90))
    said, over = shown(judged, CANARY, None)
    assert (said.state, said.since, said.cause, said.seen_state) == (UNKNOWN, 50, "prober_canary", ONLINE)
    assert said.observed == 90
    assert over == (spell(ONLINE, 0, 50),)
    assert shown(judged, None, None) == (judged, ())
    assert shown(judged, MASS, None)[0] is judged


@given(
    st.lists(st.tuples(st.sampled_from(State), st.integers(1, 40)), min_size=1, max_size=8),
    st.integers(0, 200),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 200)),
    st.booleans(),
)
def test_whatever_is_known_better_time_is_tiled_as_before(
    spells: list[tuple[State, int]], since: int, whole: bool, until: int | None, seen: bool
) -> None:
    at, judged = 0, []
    for state, length in spells:
        judged.append(spell(state, at, at + length, "x"))
        at += length
    blind = None if seen else Blindness(Ms(since), "prober", whole=whole)
    found = [
        p for one in judged for p in told(one, blind, Upstream("n", None if until is None else Ms(until)))
    ]
    assert found[0].start == 0
    assert found[-1].end == at
    assert all(a.end == b.start for a, b in pairwise(found))
    assert all(p.end is not None and p.end > p.start for p in found)
    if blind is not None and whole:
        assert all(
            p.end is not None and p.end <= since for p in found if p.state in (ONLINE, OFFLINE, DEGRADED)
        )
    for piece in found:  # nothing is lost: what the probes said is there
        judge_said = next(one for one in judged if one.start <= piece.start < (one.end or 0))
        assert (piece.seen_state or piece.state) is judge_said.state
