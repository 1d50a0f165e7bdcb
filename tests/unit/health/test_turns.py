"""Whose turn it is, without a loop and without a camera."""

from __future__ import annotations

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board
from sharpeyes.health.cases import Cases
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.recorder import NoRecord
from sharpeyes.health.target import Target, endpoint_of
from sharpeyes.health.turns import Turns
from sharpeyes.health.unit import Flight, Unit
from sharpeyes.health.ways import Ways


def turns_of(
    *, subnet: int = 100, in_flight: int = 100, sockets: int = 100, starts_per_s: float = 1e9
) -> Turns:
    ways: Ways[Unit] = Ways(spacing_s=0.02, subnet_in_flight=subnet, zone_in_flight=100)
    return Turns(ways, in_flight=in_flight, sockets=sockets, slow_after_s=1.0, starts_per_s=starts_per_s)


def unit_of(turns: Turns, name: str, host: str, *, sessions: int = 4) -> Unit:
    url = f"rtsp://{host}/{name}"
    camera = Camera(
        id=name,
        name=name,
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url=url),),
    )
    target = Target(camera=camera, request=ProbeRequest(url=url, credentials=None), sessions=sessions)
    case = Cases(Board(), NoRecord()).newcomer(camera, Ms(0))
    gate, lanes = turns.ways.gate(host, sessions), turns.ways.lanes(host, "z")
    return Unit(target, gate, 0.0, host, endpoint_of(url), case, lanes)


def begun(turns: Turns, now: float) -> list[Flight]:
    """What a fleet does with those whose turn it is, if all goes well."""
    turns.call_due(now, 1)
    flights = []
    for unit in turns.called(now):
        if turns.admit(unit, now):
            flight = Flight(unit, unit.target, unit.gate, unit.endpoint, now, login=False)
            turns.begin(flight)
            flights.append(flight)
        else:
            turns.leave_room(unit.lanes)
    return flights


def names(flights: list[Flight]) -> list[str]:
    return [flight.target.camera.id for flight in flights]


def test_each_begins_at_the_slot_that_was_said_last_and_once() -> None:
    turns = turns_of()
    one, two = unit_of(turns, "one", "10.0.0.1"), unit_of(turns, "two", "10.0.0.2")
    turns.schedule(one, 5.0)
    turns.schedule(one, 3.0)
    turns.schedule(two, 4.0)
    assert turns.next_slot == 3.0
    assert begun(turns, 2.9) == []
    assert names(begun(turns, 3.0)) == ["one"]
    assert names(begun(turns, 10.0)) == ["two"], "one is in flight already"


def test_who_is_called_or_urgent_goes_ahead() -> None:
    turns = turns_of()
    units = {name: unit_of(turns, name, f"10.0.0.{n}") for n, name in enumerate(("due", "urgent", "called"))}
    turns.schedule(units["due"], 1.0)
    turns.meet(units["urgent"], 1.5)
    turns.call_due(2.0, 3)
    turns.call(units["called"])
    assert names(begun(turns, 2.0)) == ["called", "urgent", "due"]


def test_a_slot_long_gone_is_not_made_up_for() -> None:
    turns = turns_of(starts_per_s=0.1)
    unit = unit_of(turns, "one", "10.0.0.1")
    unit.place = 0.5
    turns.schedule(unit, 0.0)
    assert begun(turns, 16.0) == [], "we stood still: it begins as at the start"
    assert turns.next_slot == 21.0


def test_channels_of_a_host_wait_at_its_gate() -> None:
    turns = turns_of()
    units = [unit_of(turns, f"c{n}", "10.0.0.1", sessions=1) for n in range(3)]
    for unit in units:
        turns.schedule(unit, 1.0)
    (first,) = begun(turns, 1.0)
    assert turns.next_slot == float("inf"), "its end opens the gate"
    turns.end(first)
    turns.arm(first.gate, 1.5)
    assert names(begun(turns, 1.5)) == ["c1"]
    assert turns.leave_gate(units[2])
    assert not units[2].queued


def test_a_slow_probe_gives_its_room_on_and_is_counted_until_it_ends() -> None:
    turns = turns_of(subnet=1)
    for n in range(2):
        turns.schedule(unit_of(turns, f"c{n}", f"10.0.0.{n}"), 1.0)
    (first,) = begun(turns, 1.0)
    assert (turns.paced, turns.in_flight, turns.slow) == (1, 1, 0)
    assert turns.next_room == 2.0
    (second,) = begun(turns, 2.0)
    assert (turns.paced, turns.in_flight, turns.slow) == (0, 2, 1)
    turns.end(first)
    turns.end(second)
    assert (turns.in_flight, turns.slow) == (0, 0)


def test_no_more_at_work_and_no_more_sockets_than_allowed() -> None:
    turns = turns_of(in_flight=2, sockets=3)
    for n in range(5):
        turns.schedule(unit_of(turns, f"c{n}", f"10.0.0.{n}"), 1.0)
    assert len(begun(turns, 1.0)) == 2
    assert len(begun(turns, 2.0)) == 1, "two are slow, and keep their sockets"
    assert len(turns.ready) == 2


def test_who_leaves_the_way_waits_there_no_more() -> None:
    turns = turns_of(subnet=1)
    one, two = unit_of(turns, "one", "10.0.0.1"), unit_of(turns, "two", "10.0.0.2")
    turns.schedule(one, 1.0)
    turns.schedule(two, 1.0)
    (flight,) = begun(turns, 1.0)
    assert turns.leave_lanes(two)
    assert (turns.paced, two.queued) == (0, False)
    turns.end(flight)
    assert begun(turns, 1.5) == []
