"""The judge: rules one by one, then whatever the generator thinks of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sharpeyes.domain.health import (
    Failure,
    FailureKind,
    Interval,
    Phase,
    ProbeResult,
    Rung,
    State,
    Timings,
)
from sharpeyes.domain.time import Ms
from sharpeyes.health import judge
from sharpeyes.health.judge import TRANSITIONS, Judgement, Observation, Outcome, Policy, Standing

POLICY = Policy(fails=3, passes=2, validity_ms=100)
WORD = {"P": Outcome.PASS, "D": Outcome.DEGRADED, "F": Outcome.FAIL, "B": Outcome.BLIND}
ONLINE, DEGRADED, OFFLINE = State.ONLINE, State.DEGRADED, State.OFFLINE
UNKNOWN, MAINTENANCE = State.UNKNOWN, State.MAINTENANCE


def run(
    story: str, start: Standing | None = None, first: int = 10, step: int = 10
) -> list[tuple[State, int]]:
    """Judge one observation each 10 ms from t=10 on; states with their beginning, the open one last."""
    standing = start or Standing.newcomer("c", Ms(0))
    spells: list[tuple[State, int]] = []
    for n, letter in enumerate(story):
        observation = Observation(Ms(first + n * step), WORD[letter], None if letter == "P" else letter)
        judgement = judge.judge(standing, observation, POLICY)
        spells += [(i.state, i.start) for i in judgement.closed]
        standing = judgement.standing
    return [*spells, (standing.state, standing.since)]


@pytest.mark.parametrize(
    ("story", "spells"),
    [
        ("P", [(UNKNOWN, 0), (ONLINE, 10)]),
        ("PPPP", [(UNKNOWN, 0), (ONLINE, 10)]),
        ("PFP", [(UNKNOWN, 0), (ONLINE, 10)]),
        ("PFFP", [(UNKNOWN, 0), (ONLINE, 10)]),
        ("PFFF", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20)]),  # dated to the first fail
        ("PFFPFFF", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 50)]),  # a pass breaks the streak
        ("PFFFP", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20)]),
        ("PFFFPF", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20)]),
        ("PFFFPP", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20), (ONLINE, 50)]),  # dated to the first pass
        ("F", [(UNKNOWN, 0)]),
        ("FF", [(UNKNOWN, 0)]),
        ("FFF", [(UNKNOWN, 0), (OFFLINE, 10)]),
        ("FFPF", [(UNKNOWN, 0), (ONLINE, 30)]),
        ("D", [(UNKNOWN, 0), (DEGRADED, 10)]),
        ("PDDD", [(UNKNOWN, 0), (ONLINE, 10), (DEGRADED, 20)]),
        ("PDFD", [(UNKNOWN, 0), (ONLINE, 10), (DEGRADED, 20)]),  # never three fails, but nothing good either
        ("PDFFF", [(UNKNOWN, 0), (ONLINE, 10), (DEGRADED, 20), (OFFLINE, 30)]),
        ("DPP", [(UNKNOWN, 0), (DEGRADED, 10), (ONLINE, 20)]),
        ("PFFFDD", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20), (DEGRADED, 50)]),
        ("PFFFPD", [(UNKNOWN, 0), (ONLINE, 10), (OFFLINE, 20), (DEGRADED, 50)]),
        ("PB", [(UNKNOWN, 0), (ONLINE, 10), (UNKNOWN, 20)]),
        ("PBP", [(UNKNOWN, 0), (ONLINE, 10), (UNKNOWN, 20), (ONLINE, 30)]),
        ("PFFBF", [(UNKNOWN, 0), (ONLINE, 10), (UNKNOWN, 40)]),  # blindness clears the streak
        ("PFFBFFF", [(UNKNOWN, 0), (ONLINE, 10), (UNKNOWN, 40), (OFFLINE, 50)]),
        ("FFFBFFF", [(UNKNOWN, 0), (OFFLINE, 10), (UNKNOWN, 40), (OFFLINE, 50)]),
        ("BBB", [(UNKNOWN, 0)]),
    ],
)
def test_debounce_and_back_dating(story: str, spells: list[tuple[State, int]]) -> None:
    assert run(story) == spells


def test_a_gap_is_unknown_from_the_end_of_the_last_observations_validity() -> None:
    standing = judge.judge(Standing.newcomer("c", Ms(0)), Observation(Ms(10), Outcome.PASS), POLICY).standing
    judgement = judge.judge(standing, Observation(Ms(500), Outcome.PASS), POLICY)
    assert [(i.state, i.start, i.end, i.cause) for i in judgement.closed] == [
        (ONLINE, 10, 110, None),
        (UNKNOWN, 110, 500, judge.GAP),
    ]
    assert (judgement.standing.state, judgement.standing.since) == (ONLINE, 500)


def test_fails_on_both_sides_of_a_gap_are_no_streak() -> None:
    standing = Standing.newcomer("c", Ms(0))
    for at in (10, 20, 30):
        standing = judge.judge(standing, Observation(Ms(at), Outcome.PASS), POLICY).standing
    for at in (40, 50, 500, 510):
        standing = judge.judge(standing, Observation(Ms(at), Outcome.FAIL), POLICY).standing
    assert standing.state is UNKNOWN
    assert judge.judge(standing, Observation(Ms(520), Outcome.FAIL), POLICY).standing.since == 500


def test_time_alone_makes_a_state_unknown() -> None:
    standing = judge.judge(Standing.newcomer("c", Ms(0)), Observation(Ms(10), Outcome.PASS), POLICY).standing
    assert judge.lapse(standing, Ms(110), POLICY) == Judgement(standing)
    lapsed = judge.lapse(standing, Ms(111), POLICY)
    assert (lapsed.standing.state, lapsed.standing.since) == (UNKNOWN, 110)
    assert judge.lapse(lapsed.standing, Ms(5000), POLICY) == Judgement(lapsed.standing)


def test_a_restart_is_unknown_from_the_last_sign_of_life() -> None:
    standing = Standing("c", OFFLINE, Ms(40), "timeout", Ms(90), Ms(90))
    resumed = judge.resume(standing, Ms(95), POLICY)
    assert [(i.state, i.start, i.end) for i in resumed.closed] == [(OFFLINE, 40, 95)]
    assert (resumed.standing.state, resumed.standing.since, resumed.standing.cause) == (
        UNKNOWN,
        95,
        judge.RESTART,
    )


@pytest.mark.parametrize(("alive", "known"), [(95, 95), (5000, 190), (20, 40), (None, 90)])
def test_what_is_known_at_a_restart(alive: int | None, known: int) -> None:
    """Never beyond the validity of the last observation, never before the interval began."""
    standing = Standing("c", ONLINE, Ms(40), None, Ms(90), Ms(90))
    assert judge.resume(standing, None if alive is None else Ms(alive), POLICY).standing.since == known


def test_maintenance_survives_a_restart() -> None:
    standing = Standing("c", MAINTENANCE, Ms(40), None, Ms(90))
    resumed = judge.resume(standing, Ms(95), POLICY)
    assert (resumed.standing.state, resumed.standing.since, resumed.closed) == (MAINTENANCE, 40, ())


def test_maintenance_is_declared_and_what_follows_is_unknown_until_observed() -> None:
    standing = judge.judge(Standing.newcomer("c", Ms(0)), Observation(Ms(10), Outcome.PASS), POLICY).standing
    begun = judge.begin_maintenance(standing, Ms(20))
    assert begun.closed == (Interval(camera="c", state=ONLINE, start=Ms(10), end=Ms(20)),)
    during = begun.standing
    for at in (30, 40, 50, 60):
        during = judge.judge(during, Observation(Ms(at), Outcome.FAIL, "timeout"), POLICY).standing
    assert (during.state, during.since) == (MAINTENANCE, 20)
    assert judge.begin_maintenance(during, Ms(65)) == Judgement(during)
    ended = judge.end_maintenance(during, Ms(70)).standing
    assert (ended.state, ended.since) == (UNKNOWN, 70)
    after = judge.judge(ended, Observation(Ms(80), Outcome.FAIL, "timeout"), POLICY).standing
    assert after.state is UNKNOWN  # the fails seen during maintenance do not count
    assert run("P", ended, first=80)[-1] == (ONLINE, 80)


def test_a_result_dated_back_counts_as_of_the_latest() -> None:
    standing = judge.judge(
        Standing.newcomer("c", Ms(1000)), Observation(Ms(1010), Outcome.PASS), POLICY
    ).standing
    judgement = judge.judge(standing, Observation(Ms(3), Outcome.BLIND, "no_route"), POLICY)
    assert judgement.closed == ()  # no time has passed
    assert (judgement.standing.state, judgement.standing.since) == (UNKNOWN, 1010)


def test_unsettled_asks_for_a_second_look_only_while_something_is_unconfirmed() -> None:
    assert not judged("P").unsettled
    assert judged("PF").unsettled
    assert judged("PFF").unsettled
    assert not judged("PFFF").unsettled
    assert judged("PFFFP").unsettled
    assert not judged("PFFFPP").unsettled
    assert judged("F").unsettled
    assert not judged("B").unsettled


def judged(story: str) -> Standing:
    standing = Standing.newcomer("c", Ms(0))
    for n, letter in enumerate(story):
        standing = judge.judge(standing, Observation(Ms(10 + n * 10), WORD[letter]), POLICY).standing
    return standing


# --- from a probe's result ----------------------------------------------------------------------------

GOOD = ProbeResult(at=Ms(5), rung=Rung.KEYFRAME, failure=None, timings=Timings(), packets=1000)


@pytest.mark.parametrize(
    ("result", "outcome", "cause"),
    [
        (GOOD, Outcome.PASS, None),
        (replace(GOOD, packets=980, lost=19), Outcome.PASS, None),
        (replace(GOOD, packets=980, lost=20), Outcome.DEGRADED, "packet_loss"),
        (replace(GOOD, packets=50, lost=20), Outcome.PASS, None),  # too few to tell
        (
            replace(GOOD, failure=Failure(Phase.CONNECT, FailureKind.REFUSED, "refused")),
            Outcome.FAIL,
            "refused",
        ),
        (
            replace(GOOD, failure=Failure(Phase.CONNECT, FailureKind.NO_DESCRIPTORS, "EMFILE")),
            Outcome.BLIND,
            "no_descriptors",
        ),
    ],
)
def test_what_a_probe_says(result: ProbeResult, outcome: Outcome, cause: str | None) -> None:
    assert judge.observe(result, POLICY) == Observation(Ms(5), outcome, cause)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_says_something(kind: FailureKind) -> None:
    result = replace(GOOD, failure=Failure(Phase.CONNECT, kind, ""))
    assert judge.observe(result, POLICY).outcome in (Outcome.FAIL, Outcome.BLIND)


# --- the table ----------------------------------------------------------------------------------------


def test_the_table_leads_into_and_out_of_every_state() -> None:
    assert {row.to for row in TRANSITIONS} == set(State)
    assert {state for row in TRANSITIONS for state in row.states} == set(State)
    assert not any(row.to in row.states for row in TRANSITIONS)


# --- whatever comes -----------------------------------------------------------------------------------

inputs = st.lists(
    st.tuples(
        st.integers(-50, 400),  # step of the clock: sometimes back, sometimes far
        st.sampled_from([*Outcome, "lapse", "begin", "end", "restart"]),
    ),
    max_size=60,
)
policies = st.builds(
    Policy, fails=st.integers(1, 4), passes=st.integers(1, 4), validity_ms=st.integers(1, 300)
)


@given(inputs, policies)
@example([(0, Outcome.PASS), (1, Outcome.PASS), (-1, "restart")], Policy(fails=1, passes=1, validity_ms=1))
def test_intervals_tile_time_whatever_comes(story: list[tuple[int, object]], policy: Policy) -> None:
    standing = Standing.newcomer("c", Ms(1000))
    closed: list[Interval] = []
    now = 1000
    for step, what in story:
        now += step
        before = standing
        match what:
            case Outcome():
                judgement = judge.judge(standing, Observation(Ms(now), what, str(what)), policy)
            case "lapse":
                judgement = judge.lapse(standing, Ms(now), policy)
            case "begin":
                judgement = judge.begin_maintenance(standing, Ms(now))
            case "end":
                judgement = judge.end_maintenance(standing, Ms(now))
            case _:
                judgement = judge.resume(standing, Ms(now), policy)
        standing = judgement.standing
        closed += judgement.closed
        assert standing.latest >= before.latest
        assert standing.since <= standing.latest
        for streak in (standing.failing, standing.lacking, standing.delivering, standing.passing):
            assert streak.length == 0 or streak.since <= standing.latest
        if standing.state in (UNKNOWN, MAINTENANCE):
            assert standing.passing.length == 0
    closed += judge.retire(standing, Ms(now))
    reached = 1000
    for interval in closed:
        assert interval.start == reached
        assert interval.end is not None
        assert interval.end > interval.start
        reached = interval.end
    assert reached == max(standing.latest, now)


@given(st.text("PDFB", max_size=40))
def test_the_same_story_gives_the_same_end_and_repeating_a_settled_word_changes_nothing(story: str) -> None:
    standing = judged(story)
    assert judged(story) == standing
    settled = {ONLINE: "P", DEGRADED: "D", OFFLINE: "F"}.get(standing.state)
    if settled:
        for _ in range(5):
            judgement = judge.judge(standing, Observation(Ms(standing.latest + 10), WORD[settled]), POLICY)
            standing = judgement.standing
            assert judgement.closed == ()


@given(st.text("PF", max_size=60))
def test_debounce_against_a_plain_reading_of_the_rule(story: str) -> None:
    """Offline begins at the first of three fails in a row and ends at the first of two passes in a row."""
    timeline = run("P" + story)
    state, expected, n = ONLINE, [(UNKNOWN, 0), (ONLINE, 10)], 0
    text = "P" + story
    while n < len(text):
        if state is ONLINE and text.startswith("FFF", n):
            state = OFFLINE
            expected.append((OFFLINE, 10 + n * 10))
        elif state is OFFLINE and text.startswith("PP", n):
            state = ONLINE
            expected.append((ONLINE, 10 + n * 10))
        n += 1
    assert timeline == expected
