"""What a canary shows when."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.time import Ms
from sharpeyes.selfwatch.schedule import FAULTS, Schedule, Show

BEGIN = Ms(1_790_000_000_000)
PLAN = Schedule(begin=BEGIN, warm_ms=400, fault_ms=100, healthy_ms=200)


@given(st.integers(-10_000, 100_000))
def test_phases_tile_time_and_each_fault_is_followed_by_health(offset: int) -> None:
    now = Ms(BEGIN + offset)
    phase = PLAN.at(now)
    assert offset < 0 or phase.start <= now < phase.end
    assert PLAN.at(phase.start) == phase
    following = PLAN.at(phase.end)
    assert following.start == phase.end
    assert (phase.show is Show.HEALTHY) != (following.show is Show.HEALTHY)


def test_every_fault_is_shown_once_a_cycle() -> None:
    first = BEGIN + PLAN.warm_ms
    shown = [PLAN.at(Ms(first + n * 300)).show for n in range(2 * len(FAULTS))]
    assert shown == [*FAULTS, *FAULTS]


def test_a_day_of_25_hours_shows_as_much_an_hour_as_any() -> None:
    """The clocks go back in Berlin: the schedule goes by UTC and does not notice."""
    berlin = ZoneInfo("Europe/Berlin")
    start = Ms(round(datetime(2026, 10, 25, tzinfo=berlin).astimezone(UTC).timestamp() * 1000))
    plan = Schedule(begin=start, warm_ms=0)
    assert plan.at(Ms(start + 25 * 3_600_000)).start == start + 25 * 3_600_000
    turns = 25 * 3_600_000 // (plan.fault_ms + plan.healthy_ms)
    assert turns == 250
