"""The formulas."""

from __future__ import annotations

import pytest

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates.rate import Headcount, Rate, Verdict

SPAN = Span(Ms(0), Ms(1000))


def rate(member_ms: int = 1000, target: float | None = 0.95, **by_state: int) -> Rate:
    states = {State(name): ms for name, ms in by_state.items()}
    heads = Headcount.of({}, 1)
    return Rate.of(
        "tier", "t", SPAN, cameras=1, member_ms=member_ms, by_state=states, headcount=heads, target=target
    )


def test_what_was_not_seen_is_neither_good_nor_bad() -> None:
    found = rate(online=760, offline=40, unknown=100)  # and 100 in no state at all
    assert found.obliged_ms == 1000
    assert found.unknown_ms == 200
    assert found.observed_ms == 800
    assert found.coverage == 0.8
    assert found.raw == 0.95


def test_maintenance_is_not_obliged() -> None:
    found = rate(online=500, maintenance=500)
    assert (found.obliged_ms, found.unknown_ms, found.raw, found.coverage) == (500, 0, 1.0, 1.0)


def test_degraded_delivers_and_is_shown_apart() -> None:
    found = rate(online=700, degraded=200, offline=100)
    assert (found.online_ms, found.degraded_ms, found.raw) == (900, 200, 0.9)


def test_nothing_seen_is_no_rate() -> None:
    found = rate(unknown=1000)
    assert found.raw is None
    assert found.coverage == 0.0
    assert found.verdict is Verdict.COLLECTING


def test_nothing_obliged_has_no_coverage_and_no_verdict() -> None:
    found = rate(maintenance=1000)
    assert found.coverage is None
    assert found.raw is None
    assert found.verdict is None


@pytest.mark.parametrize(
    ("online", "offline", "verdict"),
    [
        (950, 50, Verdict.MET),  # exactly
        (949, 51, Verdict.MISSED),
        (950, 0, Verdict.MET),  # coverage exactly 95 %
        (949, 0, Verdict.COLLECTING),
        (0, 1000, Verdict.MISSED),
    ],
)
def test_the_verdict_is_exact_and_waits_for_coverage(online: int, offline: int, verdict: Verdict) -> None:
    assert rate(online=online, offline=offline).verdict is verdict


def test_a_target_that_binary_fractions_miss_is_met_all_the_same() -> None:
    assert (
        rate(member_ms=1000 * 10**9, target=0.7, online=700 * 10**9, offline=300 * 10**9).verdict
        is Verdict.MET
    )


def test_no_target_no_verdict() -> None:
    assert rate(target=None, online=1000).verdict is None


def test_headcount() -> None:
    heads = Headcount.of({State.ONLINE: 6, State.DEGRADED: 1, State.OFFLINE: 1, State.MAINTENANCE: 1}, 12)
    assert (heads.online, heads.degraded, heads.unknown) == (7, 1, 3)
    assert heads.rate == 7 / 8
    assert Headcount.of({}, 3).rate is None
