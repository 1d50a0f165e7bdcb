"""The ways to the cameras."""

from __future__ import annotations

import pytest

from sharpeyes.health.ways import Ways


def ways() -> Ways[str]:
    return Ways(spacing_s=0.02, subnet_in_flight=100, zone_in_flight=400)


@pytest.mark.parametrize(("sessions", "pause_s"), [(1, 0.02), (2, 0.02), (200, 0.0002)])
def test_a_host_that_takes_more_sessions_is_met_more_often(sessions: int, pause_s: float) -> None:
    gate = ways().gate("10.0.0.1", sessions)
    gate.enter(100.0)
    assert gate.ready_at == pytest.approx(100.0 + pause_s)


def test_the_smallest_of_several_answers_holds_for_the_pause_too() -> None:
    known = ways()
    known.gate("10.0.0.1", 200)
    gate = known.gate("10.0.0.1", 4)
    assert (gate.limit, gate.spacing) == (4, pytest.approx(0.01))
