"""Slots of the cadence."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.health import pacing
from sharpeyes.health.pacing import HostGate

cadences = st.floats(1, 3600)
moments = st.floats(0, 1e7)
places = st.floats(0, 0.999_999)


@given(moments, places, cadences)
def test_the_next_slot_is_the_cameras_own_and_neither_too_soon_nor_too_late(
    now: float, place: float, cadence: float
) -> None:
    slot = pacing.next_slot(now, place, cadence)
    assert now + 0.49 * cadence <= slot <= now + (1.5 + pacing.JITTER) * cadence + 0.01
    off = (slot / cadence - place) % 1.0
    assert off <= pacing.JITTER + 1e-3 or off >= 1 - 1e-3


@given(moments, places, cadences, st.integers(1, 100_000))
def test_a_first_look_comes_within_a_cadence(now: float, place: float, cadence: float, cameras: int) -> None:
    slot = pacing.first_slot(now, place, cadence, cameras, 2000.0)
    assert now <= slot <= now + cadence
    assert slot - now <= cameras / 2000


@given(moments, cadences)
def test_a_second_look_comes_in_a_third_of_the_cadence(now: float, cadence: float) -> None:
    assert 0.3 * cadence < pacing.recheck_slot(now, cadence) - now + 1e-6 < 0.36 * cadence + 1e-5


def test_places_are_stable_and_even() -> None:
    places = sorted(pacing.phase(f"camera-{n}") for n in range(4000))
    assert pacing.phase("camera-1") == pacing.phase("camera-1")
    tenths = [sum(t / 10 <= p < (t + 1) / 10 for p in places) for t in range(10)]
    assert statistics.pstdev(tenths) < 60


def test_a_gate_lets_in_as_many_as_its_budget_and_one_after_the_other() -> None:
    gate: HostGate[str] = HostGate(2, 0.5)
    assert gate.is_open(0.0)
    gate.enter(0.0)
    assert not gate.is_open(0.4)  # too soon
    assert gate.is_open(0.5)
    gate.enter(0.5)
    assert not gate.is_open(10.0)  # full
    gate.leave()
    assert gate.is_open(10.0)


def test_rounds_of_a_host() -> None:
    assert [HostGate(2, 0.0, cameras=n).rounds for n in (0, 1, 2, 3, 32)] == [0, 1, 1, 2, 16]


def test_subnets() -> None:
    hosts = ("10.1.2.3", "10.1.2.200", "10.1.3.1", "fd00:1:2:3::5", "fd00:1:2:3:9::1", "fe80::1%eth0", "cam")
    assert [pacing.subnet(host) for host in hosts] == [
        "10.1.2.0/24",
        "10.1.2.0/24",
        "10.1.3.0/24",
        "fd00:1:2:3::/64",
        "fd00:1:2:3::/64",
        "fe80::/64",
        "cam",
    ]
