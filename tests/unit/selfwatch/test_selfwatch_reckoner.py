"""What a canary showed against what was said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms
from sharpeyes.selfwatch.reckoner import SETTLE_MS, Account, Glimpse, Tally, reckon
from sharpeyes.selfwatch.schedule import FAULTS, Schedule, Show

BEGIN = Ms(1_000_000_000)
PLAN = Schedule(begin=BEGIN, warm_ms=300_000)
TURN = PLAN.fault_ms + PLAN.healthy_ms
WELL = Glimpse(state=State.ONLINE)
NAMED = {
    Show.BLACK: Glimpse(state=State.OFFLINE, cause="signal_lost", faults=frozenset({"signal_lost"})),
    Show.REFUSAL: Glimpse(state=State.OFFLINE, cause="auth_failed"),
    Show.FREEZE: Glimpse(state=State.DEGRADED, cause="frozen", faults=frozenset({"frozen"})),
    Show.HANG: Glimpse(state=State.OFFLINE, cause="timeout"),
    Show.BLUR: Glimpse(state=State.DEGRADED, cause="blurred", faults=frozenset({"blurred"})),
    Show.CLOCK: Glimpse(state=State.ONLINE, faults=frozenset({"clock"})),
    Show.SHIFT: Glimpse(state=State.DEGRADED, cause="scene_shift", faults=frozenset({"scene_shift"})),
}


def start_of(show: Show) -> int:
    """When it is shown first, in seconds from the begin."""
    return (PLAN.warm_ms + FAULTS.index(show) * TURN) // 1000


class Story:
    """An account, looked at each second; probes observe at each look unless the glimpse says otherwise."""

    def __init__(self) -> None:
        self.account = Account.opened(PLAN)
        self.second = 0
        self.tallies: list[tuple[int, Tally]] = []

    def say(self, glimpse: Glimpse, until: int) -> Story:
        while self.second < until:
            now = Ms(BEGIN + self.second * 1000)
            seen = replace(glimpse, observed=now) if glimpse.state is not State.UNKNOWN else glimpse
            self.account, tally = reckon(self.account, seen, now)
            if tally != Tally():
                self.tallies.append((self.second, tally))
            self.second += 1
        return self


@pytest.mark.parametrize("show", FAULTS)
def test_a_fault_that_is_named_is_detected_with_its_delay(show: Show) -> None:
    story, start = Story(), start_of(show)
    story.account = replace(story.account, at=Ms(BEGIN + (start - 20) * 1000))
    story.second = start - 20
    story.account = replace(story.account, phase=PLAN.at(story.account.at))
    story.say(WELL, start + 40).say(NAMED[show], start + 180 + 60).say(WELL, start + 359)
    assert story.tallies == [(start + 40, Tally(detected=((show, 40.0),)))]
    assert story.account.failing is None


def test_a_fault_that_nobody_names_is_missed_when_its_phase_ends() -> None:
    story = Story().say(WELL, 300 + 180 + 10)
    assert story.tallies == [(480, Tally(missed=(Show.BLACK,)))]
    assert story.account.failing is None, "that a fault is missed says nothing against our view"


def test_named_by_another_word_is_a_miss() -> None:
    other = Glimpse(state=State.DEGRADED, cause="blurred", faults=frozenset({"blurred"}))
    story = Story().say(WELL, 340).say(other, 500)
    assert [t.missed for _, t in story.tallies] == [(Show.BLACK,)]


def test_a_verdict_against_a_canary_that_is_well_is_a_false_alarm_once_a_phase() -> None:
    wrong = Glimpse(state=State.DEGRADED, cause="noise", faults=frozenset({"noise", "clock"}))
    story = Story().say(WELL, 100).say(wrong, 250).say(WELL, 260).say(wrong, 299)
    assert story.tallies == [(100, Tally(false_alarms=("clock", "noise")))]
    assert story.account.failing is None, "it delivers: our view is not lost"


def test_a_fault_may_be_spoken_of_for_a_while_after_its_end() -> None:
    black = NAMED[Show.BLACK]
    settled = 480 + SETTLE_MS // 1000
    story = Story().say(WELL, 310).say(black, settled)
    assert story.account.failing is None
    story.say(black, settled + 5)
    assert story.account.failing == Ms(BEGIN + (settled - 1) * 1000), "the last instant it could be right"


@pytest.mark.parametrize(
    "blind",
    [
        Glimpse(state=State.UNKNOWN, cause="no_descriptors"),
        Glimpse(state=State.OFFLINE, cause="timeout"),
        Glimpse(state=State.OFFLINE, cause="signal_lost", faults=frozenset({"signal_lost"})),
    ],
)
def test_down_for_no_reason_of_its_own_means_that_our_view_is_lost_since_it_was_last_right(
    blind: Glimpse,
) -> None:
    story = Story().say(WELL, 200)
    story.say(blind, 230)
    assert story.account.failing == Ms(BEGIN + 199_000)
    story.say(WELL, 231)
    assert story.account.failing is None


def test_probes_that_failed_and_are_not_confirmed_are_no_good_instants() -> None:
    story = Story().say(WELL, 200).say(replace(WELL, doubted=True), 220)
    assert story.account.failing is None
    story.say(Glimpse(state=State.OFFLINE, cause="refused"), 221)
    assert story.account.failing == Ms(BEGIN + 199_000)


def test_a_hang_explains_time_outs_and_not_what_our_own_side_lacks() -> None:
    start = start_of(Show.HANG)
    story = Story()
    story.second = start - 1
    story.account = replace(story.account, at=Ms(BEGIN + (start - 1) * 1000))
    story.say(NAMED[Show.HANG], start + 60)
    assert story.account.failing is None
    story.say(Glimpse(state=State.UNKNOWN, cause="no_descriptors"), start + 61)
    assert story.account.failing == Ms(BEGIN + (start + 59) * 1000)


def test_a_phase_in_which_we_did_not_see_says_nothing_of_detection() -> None:
    story = Story().say(WELL, 310).say(Glimpse(state=State.UNKNOWN, cause="overloaded"), 320).say(WELL, 500)
    assert story.tallies == []


def test_nobody_knows_what_was_said_while_nobody_looked() -> None:
    story = Story().say(WELL, 200)
    story.second = 2_000  # a stall, or a laptop that slept
    story.say(WELL, 2_400)
    first = PLAN.at(Ms(BEGIN + 2_000_000))
    assert all(at * 1000 + BEGIN >= first.end for at, _ in story.tallies)


def test_before_the_first_probe_nothing_is_failing() -> None:
    nothing = Glimpse(state=State.UNKNOWN, cause="not_observed")
    story = Story().say(nothing, SETTLE_MS // 1000)
    assert story.account.failing is None
    story.say(nothing, SETTLE_MS // 1000 + 1)
    assert story.account.failing == BEGIN, "probes cannot run"


def test_a_day_by_the_second_counts_every_fault_once() -> None:
    """A monitor that names what it sees after 40 s, is blind for ten minutes at noon, and knows no blur."""
    story, noon = Story(), 12 * 3600
    while story.second < 24 * 3600:
        now = Ms(BEGIN + story.second * 1000)
        phase, step = PLAN.at(now), 20
        late = now >= phase.start + 40_000
        said = NAMED.get(phase.show, WELL) if late and phase.show is not Show.BLUR else WELL
        if noon <= story.second < noon + 600:
            said = Glimpse(state=State.UNKNOWN, cause="no_descriptors")
        story.say(said, story.second + step)
    detected = [show for _, t in story.tallies for show, delay in t.detected if delay == 40.0]
    missed = [show for _, t in story.tallies for show in t.missed]
    turns = (24 * 3600 - 300) * 1000 // TURN
    assert set(missed) == {Show.BLUR}
    assert len(detected) + len(missed) == turns, "and the one that began last, but for one at noon"
    assert {word for _, t in story.tallies for word in t.false_alarms} == set()
    assert len(detected) == sum(len(t.detected) for _, t in story.tallies)
