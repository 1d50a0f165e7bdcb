"""Days in the life of the loop: real database, scripted states, a clock that obeys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults_town import HOUR, MINUTE, SECOND, START, Town

from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.faults import (
    FaultKind,
    Move,
    Node,
    NodeKind,
    NodeOrigin,
    Scope,
    Severity,
    Silence,
    StateChange,
    TicketStage,
    Topic,
)
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.faults.causes import BlindReason
from sharpeyes.faults.notify.channels import SecretRef, Webhook
from sharpeyes.faults.notify.recipients import Recipient
from sharpeyes.faults.policy import FaultPolicy, RouteRule, Times
from sharpeyes.faults.statistics import statistics
from sharpeyes.store import causes
from sharpeyes.store import faults as store
from sharpeyes.store.faults import TicketFilter

SHANGHAI = timezone(timedelta(hours=8))
HOOK = Webhook(url="https://hooks.example.org/x", secret=SecretRef(env="UNUSED"))
WATCHERS = (
    Recipient(id="room", channel=HOOK, timezone=SHANGHAI),
    Recipient(id="chief", channel=HOOK, timezone=SHANGHAI, level=2),
)

Build = Callable[..., Town]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    made: list[Town] = []

    def make(**options: Any) -> Town:
        made.append(Town(tmp_path, **options))
        return made[-1]

    yield make
    for town in made:
        town.close()


async def test_a_camera_fails_is_mended_and_verified(build: Build) -> None:
    town = build(singles=3, recipients=WATCHERS)
    await town.tick()
    town.set(["cam-1"], State.OFFLINE, "timeout")
    await town.run(4 * MINUTE)
    assert town.tickets() == [], "it has not lasted yet"
    await town.run(2 * MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.stage, ticket.unit, ticket.rule) == (TicketStage.ROUTED, "police", "owner")
    assert (ticket.started, ticket.raised, ticket.cause) == (START, START + 5 * MINUTE, "timeout")
    assert (ticket.area, ticket.tier, ticket.severity) == ("old-town", "public_security", Severity.MAJOR)

    await town.loop.move(ticket.id, Move.ACKNOWLEDGE, by="li", at=town.now)
    await town.loop.move(ticket.id, Move.NOTE, by="li", at=town.now, text="cable", attachment="photo/17")
    await town.loop.move(ticket.id, Move.HANDLE, by="li", at=town.now, text="new cable")
    await town.run(2 * MINUTE)
    assert town.tickets()[0].stage is TicketStage.HANDLED, "said, not seen"
    town.set(["cam-1"], State.ONLINE)
    mended = town.now
    await town.run(MINUTE)
    assert town.tickets()[0].stage is TicketStage.VERIFYING
    await town.run(2 * MINUTE)
    (ticket,) = town.tickets()
    assert ticket.stage is TicketStage.CLOSED
    assert ticket.recovered == mended
    assert ticket.evidence is not None
    assert ticket.evidence["observed_ms"] >= mended + 2 * MINUTE
    assert [e.move for e in town.history(ticket)] == [
        Move.RAISE,
        Move.ROUTE,
        Move.ACKNOWLEDGE,
        Move.NOTE,
        Move.HANDLE,
        Move.RECOVER,
        Move.VERIFY,
    ]
    assert [(m.recipient, m.notice.topic) for m in town.messages()] == [
        ("room", Topic.DOWN),
        ("room", Topic.UP),
    ], "one message down, one up"

    tickets, entries = town.database.read(lambda c: store.histories(c, Span(START, Ms(START + 24 * HOUR))))
    figures = statistics(tickets, entries, Span(START, Ms(START + 24 * HOUR)), town.now)
    assert (figures.raised, figures.closed, figures.open) == (1, 1, 0)
    assert figures.mtta_ms == MINUTE
    assert figures.mttr_ms == mended - START


async def test_said_to_be_mended_but_a_probe_disagrees(build: Build) -> None:
    town = build(singles=1)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(6 * MINUTE)
    (ticket,) = town.tickets()
    await town.loop.move(ticket.id, Move.HANDLE, by="li", at=town.now)
    await town.run(6 * MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.stage, ticket.failed, ticket.closed) == (TicketStage.ACKNOWLEDGED, 1, None)
    with pytest.raises(ConflictError, match="by hand"):
        await town.loop.move(ticket.id, Move.VERIFY, by="li", at=town.now)


async def test_a_short_dip_makes_no_ticket_and_a_relapse_no_second_message(build: Build) -> None:
    town = build(singles=1, recipients=WATCHERS[:1])
    await town.tick()
    for _ in range(2):
        town.set(["cam-0"], State.OFFLINE)
        await town.run(3 * MINUTE)
        town.set(["cam-0"], State.ONLINE)
        await town.run(2 * HOUR, step_ms=5 * MINUTE)
    assert town.tickets() == []
    town.set(["cam-0"], State.OFFLINE)
    await town.run(6 * MINUTE)
    town.set(["cam-0"], State.ONLINE)
    await town.run(MINUTE)
    town.set(["cam-0"], State.OFFLINE)
    await town.run(MINUTE)
    (ticket,) = town.tickets()
    assert ticket.stage is TicketStage.ROUTED
    assert len(town.messages()) == 1


async def test_back_within_a_day_reopens_the_ticket(build: Build) -> None:
    town = build(singles=1, recipients=WATCHERS[:1])
    await town.tick()
    for _ in range(2):
        town.set(["cam-0"], State.OFFLINE)
        await town.run(6 * MINUTE)
        town.set(["cam-0"], State.ONLINE)
        await town.run(4 * HOUR, step_ms=5 * MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.stage, ticket.cycle) == (TicketStage.CLOSED, 1)
    assert [m.notice.topic for m in town.messages()] == [Topic.DOWN, Topic.UP] * 2
    await town.run(25 * HOUR, step_ms=HOUR)
    town.set(["cam-0"], State.OFFLINE)
    await town.run(6 * MINUTE)
    assert [t.cycle for t in town.tickets()] == [1, 0], "a day later it is another fault"


async def test_a_recorder_of_32_channels_makes_one_ticket(build: Build) -> None:
    town = build(channels=32, recorders=2, singles=5, recipients=WATCHERS[:1])
    await town.tick()
    channels = [c for c in town.cameras if c.startswith("nvr-1.")]
    town.set(channels, State.OFFLINE, "unreachable", late_ms=3 * SECOND)
    town.set(["cam-3"], State.OFFLINE, "timeout")
    outcomes = await town.run(10 * MINUTE)
    node, camera = sorted(town.tickets(), key=lambda t: t.key.scope, reverse=True)
    assert (node.key.scope, node.key.subject) == (Scope.NODE, "device:nvr-1")
    assert (node.children, node.severity, node.unit) == (32, Severity.CRITICAL, "police")
    assert camera.key.subject == "cam-3"
    assert outcomes[-1].suppressed == {"device:nvr-1": 32}
    assert town.database.read(store.suppressed) == {"device:nvr-1": 32}
    watches = town.database.read(lambda c: store.watches(c, town.cameras))
    assert {key for key, watch in watches.items() if watch.upstream} == set(channels)
    assert len(town.messages()) == 2

    town.set(channels[:30], State.ONLINE, late_ms=SECOND)
    await town.run(4 * MINUTE)
    node = next(t for t in town.tickets() if t.key.scope is Scope.NODE)
    assert node.stage is TicketStage.CLOSED
    assert node.evidence is not None
    assert node.evidence["said"] == "30 of 32 cameras are up"
    assert town.database.read(store.suppressed) == {}
    assert len(town.tickets()) == 2, "who is late has his time from now on"
    await town.run(6 * MINUTE)
    left = [t.key.subject for t in town.tickets() if t.open]
    assert sorted(left) == ["cam-3", *channels[30:]], "who stays down after it has a ticket of his own"


async def test_a_hasty_policy_still_waits_for_the_others_to_fall(build: Build) -> None:
    times = dict.fromkeys(Severity, Times(raise_after=0, acknowledge=MINUTE, resolve=HOUR))
    town = build(channels=8, singles=1, policy=FaultPolicy(times=times))
    await town.tick()
    for channel in town.cameras[:8]:
        town.set([channel], State.OFFLINE)
        await town.run(20 * SECOND, step_ms=10 * SECOND)
    town.set(["cam-0"], State.OFFLINE)
    await town.run(MINUTE)
    assert [t.key.subject for t in town.tickets()] == ["device:nvr-1", "cam-0"]


async def test_one_channel_down_before_is_not_taken_over(build: Build) -> None:
    town = build(channels=8)
    await town.tick()
    town.set(["nvr-1.0"], State.OFFLINE)
    await town.run(30 * MINUTE)
    town.set([c for c in town.cameras if c != "nvr-1.0"], State.OFFLINE)
    await town.run(10 * MINUTE)
    assert {str(t.key): (t.open, t.children) for t in town.tickets()} == {
        "camera:nvr-1.0:offline": (True, 0),
        "node:device:nvr-1:offline": (True, 7),
    }


async def test_a_fault_of_its_own_is_not_mixed_with_the_recorders(build: Build) -> None:
    town = build(channels=8, policy=FaultPolicy(settle_ms=HOUR))
    await town.tick()
    town.set(["nvr-1.0"], State.OFFLINE)
    await town.run(10 * MINUTE)
    town.set(["nvr-1.0"], State.ONLINE)
    await town.run(50 * MINUTE, step_ms=5 * MINUTE)
    town.set(town.cameras, State.OFFLINE)
    await town.run(10 * MINUTE)
    own, node = town.tickets()
    assert (own.key.subject, own.stage, own.failed) == ("nvr-1.0", TicketStage.VERIFYING, 0)
    assert (node.key.scope, node.children) == (Scope.NODE, 8)
    town.set(town.cameras, State.ONLINE)
    await town.run(65 * MINUTE, step_ms=5 * MINUTE)
    offline = [t for t in town.tickets() if t.key.kind is FaultKind.OFFLINE]
    assert [t.stage for t in offline] == [TicketStage.CLOSED] * 2


async def test_a_switch_takes_over_from_its_recorders(build: Build) -> None:
    town = build(channels=4, recorders=3)
    switch = Node(id="switch-9", kind=NodeKind.SWITCH, name="Switch 9", department="police")

    def wire(connection: Any) -> None:
        causes.put_node(connection, switch, now=START)
        for recorder in ("nvr-1", "nvr-2", "nvr-3"):
            node = Node(id=f"device:{recorder}", kind=NodeKind.NVR, name=recorder, parent="switch-9")
            causes.put_node(connection, node, now=START)

    town.database.write(wire)
    await town.tick()
    town.set([c for c in town.cameras if c.startswith("nvr-1")], State.OFFLINE)
    await town.run(150 * SECOND)
    town.set(town.cameras, State.OFFLINE)
    await town.run(10 * MINUTE)
    assert {t.key.subject: t.stage for t in town.tickets()} == {
        "device:nvr-1": TicketStage.VOIDED,
        "switch-9": TicketStage.ROUTED,
    }
    assert next(t for t in town.tickets() if t.open).children == 12


async def test_a_restart_at_any_step_changes_nothing(build: Build, tmp_path: Path) -> None:
    """The same day, once in one run and once with a new loop at every tick, and every tick twice."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    async def day(town: Town, restarts: bool) -> None:
        async def run(length: int) -> None:
            for _ in range(length // MINUTE):
                await town.run(MINUTE, step_ms=MINUTE)
                if restarts:
                    town.start()
                    outcome = await town.tick()
                    assert (outcome.raised, outcome.closed, outcome.voided) == ((), (), ())

        await town.tick()
        for _ in range(4):
            town.set(town.cameras[:8], State.OFFLINE, late_ms=SECOND)
            town.set(["cam-1"], State.DEGRADED, "blurred")
            await run(20 * MINUTE)
            town.set(town.cameras, State.ONLINE)
            await run(15 * MINUTE)

    seen = []
    for name, restarts in (("a", False), ("b", True)):
        town = Town(tmp_path / name, channels=8, singles=3, recipients=WATCHERS)
        await day(town, restarts)
        seen.append(
            (
                town.tickets(),
                [town.history(t) for t in town.tickets()],
                [(m.once, m.notice) for m in town.messages()],
            )
        )
        town.close()
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 1


async def test_a_flapping_camera_makes_one_ticket(build: Build) -> None:
    town = build(singles=2, recipients=WATCHERS[:1])
    await town.tick()
    for _ in range(8):
        town.set(["cam-0"], State.OFFLINE)
        await town.run(3 * MINUTE)
        town.set(["cam-0"], State.ONLINE)
        await town.run(4 * MINUTE)
    (ticket,) = town.tickets()
    assert ticket.key.kind is FaultKind.FLAPPING
    assert len(town.messages()) == 1
    await town.run(3 * HOUR, step_ms=5 * MINUTE)
    (ticket,) = town.tickets()
    assert ticket.stage is TicketStage.CLOSED
    assert [m.notice.topic for m in town.messages()] == [Topic.DOWN, Topic.UP]


async def test_a_flapping_recorder_is_one_ticket_too(build: Build) -> None:
    town = build(channels=6, singles=1)
    await town.tick()
    for _ in range(8):
        town.set(town.cameras[:6], State.OFFLINE)
        await town.run(3 * MINUTE)
        town.set(town.cameras[:6], State.ONLINE)
        await town.run(4 * MINUTE)
    assert {str(t.key) for t in town.tickets()} <= {
        "node:device:nvr-1:flapping",
        "node:device:nvr-1:offline",
    }
    flapping = next(t for t in town.tickets() if t.key.kind is FaultKind.FLAPPING)
    assert START < flapping.started == flapping.raised
    assert all(t.raised <= flapping.raised for t in town.tickets()), "then each fall is no news"


async def test_many_unrelated_cameras_at_once_are_our_own_outage(build: Build) -> None:
    town = build(channels=4, recorders=2, singles=12, recipients=WATCHERS[:1])
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(20 * MINUTE)
    town.set(town.cameras, State.OFFLINE, "timeout", late_ms=SECOND)
    outcomes = await town.run(20 * MINUTE)
    assert outcomes[0].blind["west"].reason is BlindReason.MASS
    assert {str(t.key) for t in town.tickets() if t.open} == {"camera:cam-0:offline", "zone:west:blind"}
    blind = next(t for t in town.tickets() if t.key.scope is Scope.ZONE)
    assert (blind.unit, blind.severity) == ("operations", Severity.CRITICAL)

    # the judge, told so, records unknown: still blind, and nothing else is raised
    town.set(town.cameras, State.UNKNOWN)
    await town.run(HOUR, step_ms=5 * MINUTE)
    assert sum(t.open for t in town.tickets()) == 2
    town.set(town.cameras[:-1], State.ONLINE)
    town.set(town.cameras[-1:], State.OFFLINE)
    await town.run(10 * MINUTE)
    assert {str(t.key) for t in town.tickets() if t.open} == {f"camera:{town.cameras[-1]}:offline"}


async def test_who_was_dead_before_a_restart_did_not_fall_with_it(build: Build) -> None:
    town = build(singles=14)
    await town.tick()
    dead = town.cameras[:10]
    for camera in dead:
        town.set([camera], State.OFFLINE)
        await town.run(20 * MINUTE)
    town.set(town.cameras, State.UNKNOWN, "restart")
    town.start()
    await town.run(MINUTE)
    town.set(dead, State.OFFLINE)
    town.set(town.cameras[10:], State.ONLINE)
    outcomes = await town.run(10 * MINUTE)
    assert not any(outcome.blind for outcome in outcomes)


@pytest.mark.parametrize(("seen", "blind"), [(3, False), (0, True)])
async def test_newcomers_that_never_answered_fell_only_where_nothing_is_seen(
    build: Build, seen: int, blind: bool
) -> None:
    town = build(singles=12)
    town.set(town.cameras, State.UNKNOWN, "not_observed")
    await town.run(MINUTE)
    town.set(town.cameras[seen:], State.OFFLINE, "refused")
    town.set(town.cameras[:seen], State.ONLINE)
    outcomes = await town.run(5 * MINUTE)
    assert any(outcome.blind for outcome in outcomes) is blind


@pytest.mark.parametrize(
    ("cause", "blind"), [("timeout", True), ("no_media", True), ("malformed", False), ("signal_lost", False)]
)
async def test_who_answers_is_seen(build: Build, cause: str, blind: bool) -> None:
    town = build(singles=12)
    await town.tick()
    town.set(town.cameras, State.OFFLINE, cause)
    outcomes = await town.run(5 * MINUTE)
    assert any(outcome.blind for outcome in outcomes) is blind


async def test_our_own_outage_is_held_against_nobody(build: Build) -> None:
    town = build(singles=12)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(10 * MINUTE)
    town.set(["cam-0"], State.ONLINE)
    await town.run(MINUTE)
    town.set(town.cameras, State.OFFLINE)
    await town.run(10 * MINUTE)
    repaired = next(t for t in town.tickets() if t.key.subject == "cam-0")
    assert repaired.stage is TicketStage.VERIFYING, "no relapse: we just do not see it"


async def test_a_failing_canary_makes_the_zone_unseen(build: Build) -> None:
    town = build(singles=6)
    await town.tick()
    failing = town.now
    town.set(town.cameras[:3], State.OFFLINE)
    for _ in range(20):
        town.now = Ms(town.now + 30 * SECOND)
        outcome = await town.tick(west=failing)
        assert outcome.blind["west"].reason is BlindReason.CANARY
    (ticket,) = town.tickets()
    assert str(ticket.key) == "zone:west:blind"
    town.set(town.cameras, State.ONLINE)
    await town.run(4 * MINUTE)
    assert town.tickets()[0].stage is TicketStage.CLOSED


async def test_planned_work_is_silent(build: Build) -> None:
    town = build(channels=4, singles=1, recipients=WATCHERS[:1])
    work = Silence(
        id="work-1",
        scope=Scope.NODE,
        subject="device:nvr-1",
        span=Span(START, Ms(START + HOUR)),
        reason="new firmware",
        by="li",
    )
    town.database.write(lambda c: store.add_silence(c, work))
    await town.tick()
    town.set([*town.cameras[:4], "cam-0"], State.OFFLINE)
    await town.run(59 * MINUTE)
    assert [t.key.subject for t in town.tickets()] == ["cam-0"]
    await town.run(2 * MINUTE)
    assert len(town.tickets()) == 1, "the time counts from the end of the work"
    await town.run(2 * MINUTE)
    assert [t.key.subject for t in town.tickets()] == ["cam-0", "device:nvr-1"]


async def test_planned_work_stops_the_pressing_too(build: Build) -> None:
    town = build(singles=1, recipients=WATCHERS)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(10 * MINUTE)
    span = Span(town.now, Ms(town.now + 3 * HOUR))
    work = Silence(id="w", scope=Scope.CAMERA, subject="cam-0", span=span, reason="digging", by="li")
    town.database.write(lambda c: store.add_silence(c, work))
    await town.run(3 * HOUR - MINUTE, step_ms=MINUTE)
    assert town.tickets()[0].level == 0
    await town.run(2 * MINUTE)
    assert town.tickets()[0].level == 1


async def test_escalation_once_a_level_and_overdue_for_good(build: Build) -> None:
    town = build(singles=1, recipients=WATCHERS)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(50 * HOUR, step_ms=10 * MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.level, ticket.overdue) == (4, ticket.due)
    said = [(m.recipient, m.notice.topic, m.notice.level) for m in town.messages()]
    assert said == [
        ("room", Topic.DOWN, 0),
        ("room", Topic.ESCALATED, 1),
        ("room", Topic.ESCALATED, 2),
        ("chief", Topic.ESCALATED, 2),
        ("room", Topic.ESCALATED, 3),
        ("chief", Topic.ESCALATED, 3),
        ("room", Topic.ESCALATED, 4),
        ("chief", Topic.ESCALATED, 4),
    ]
    town.set(["cam-0"], State.ONLINE)
    await town.run(10 * MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.stage, ticket.overdue) == (TicketStage.CLOSED, ticket.due)
    assert [m.recipient for m in town.messages() if m.notice.topic is Topic.UP] == ["room", "chief"]


async def test_a_ticket_names_the_cause_of_the_day(build: Build) -> None:
    town = build(singles=1)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE, "timeout")
    await town.run(6 * MINUTE)
    town.standing["cam-0"] = (State.OFFLINE, START, "auth_failed")
    await town.run(MINUTE)
    assert town.tickets()[0].cause == "auth_failed"


async def test_a_flood_of_tickets_comes_in_portions(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpeyes.faults.round.RAISED_AT_ONCE", 2)
    town = build(singles=7)
    await town.tick()
    for camera in town.cameras[:5]:  # not at once, or it were ours
        town.set([camera], State.OFFLINE)
        await town.run(30 * SECOND)
    town.now = Ms(town.now + HOUR)
    portions = [len((await town.tick()).raised) for _ in range(4)]
    assert portions == [2, 2, 1, 0]
    assert [t.key.subject for t in town.tickets()] == town.cameras[:5], "who has waited longest goes first"


async def test_moved_to_another_unit_it_is_told_there_but_not_upstairs_again(build: Build) -> None:
    chief = Recipient(id="chief", channel=HOOK, timezone=SHANGHAI, level=1)
    police, traffic = (
        Recipient(id=unit, channel=HOOK, timezone=SHANGHAI, units=frozenset({unit}))
        for unit in ("police", "traffic")
    )
    town = build(singles=1, recipients=(chief, police, traffic))
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(2 * HOUR, step_ms=10 * MINUTE)
    (ticket,) = town.tickets()
    assert ticket.level == 1
    before = len(town.messages("chief"))
    await town.loop.move(ticket.id, Move.ROUTE, by="li", at=town.now, unit="traffic")
    assert [m.notice.topic for m in town.messages("traffic")] == [Topic.DOWN]
    assert len(town.messages("chief")) == before
    with pytest.raises(InvalidInputError, match="by is missing"):
        await town.loop.move(ticket.id, Move.ACKNOWLEDGE, by="", at=town.now)


async def test_routing_by_rules_and_by_hand(build: Build) -> None:
    rules = (
        RouteRule(unit="cleaners", kinds=frozenset({FaultKind.DEGRADED}), causes=frozenset({"occluded"})),
        RouteRule(unit="contractor", areas=frozenset({"city"}), kinds=frozenset({FaultKind.OFFLINE})),
    )
    people = tuple(
        Recipient(id=unit, channel=HOOK, timezone=SHANGHAI, units=frozenset({unit}))
        for unit in ("cleaners", "contractor", "police")
    )
    town = build(singles=3, rules=rules, recipients=people)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    town.set(["cam-1"], State.DEGRADED, "occluded")
    town.set(["cam-2"], State.DEGRADED, "blurred")
    await town.run(20 * MINUTE)
    units = {t.key.subject: t.unit for t in town.tickets()}
    assert units == {"cam-0": "contractor", "cam-1": "cleaners", "cam-2": "police"}
    first = town.tickets()[0]
    moved = await town.loop.move(
        first.id, Move.ROUTE, by="wang", at=town.now, unit="police", text="ours after all"
    )
    assert (moved.unit, moved.stage) == ("police", TicketStage.ROUTED)
    about = [m.recipient for m in town.messages() if m.notice.ticket == first.id]
    assert about == ["contractor", "police"]
    with pytest.raises(NotFoundError):
        await town.loop.move(99, Move.ACKNOWLEDGE, by="wang", at=town.now)
    with pytest.raises(InvalidInputError, match="unit"):
        await town.loop.move(first.id, Move.ROUTE, by="wang", at=town.now)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_books_are_in_order(build: Build, seed: int) -> None:
    """A month of nonsense in two hundred steps: states at random, restarts, hands that push at random."""
    chance = Random(seed)
    town = build(channels=4, recorders=2, singles=6, recipients=WATCHERS)
    await town.tick()
    for _ in range(200):
        town.now = Ms(town.now + chance.choice((30 * SECOND, 2 * MINUTE, 10 * MINUTE, 5 * HOUR)))
        some = chance.sample(town.cameras, chance.choice((0, 1, 2, 8)))
        town.set(some, chance.choice(list(State)))
        if chance.random() < 0.2:
            town.set(town.cameras, State.ONLINE)
        if chance.random() < 0.2:
            town.start()
        await town.tick(**({"west": town.now} if chance.random() < 0.05 else {}))
        for ticket in town.tickets(TicketFilter(open=True)):
            if chance.random() < 0.2:
                move = chance.choice((Move.ACKNOWLEDGE, Move.HANDLE, Move.ROUTE, Move.VERIFY))
                with suppress(ConflictError):
                    await town.loop.move(ticket.id, move, by="li", at=town.now, unit="police")
    tickets = town.tickets()
    still_open = [t.key for t in tickets if t.open]
    assert len(still_open) == len(set(still_open)), "one open ticket a key"
    for ticket in tickets:
        history = town.history(ticket)
        assert (ticket.stage is TicketStage.CLOSED) == (ticket.evidence is not None)
        assert not [e for e in history if e.move is Move.VERIFY and e.by]
        assert [e.at for e in history] == sorted(e.at for e in history)
    said = [
        (m.recipient, m.notice.ticket, m.notice.cycle, m.notice.topic, m.notice.level)
        for m in town.messages()
    ]
    assert len(said) == len(set(said)), "nothing is said twice"
    for recipient, number, cycle, topic, _ in said:
        if topic is Topic.UP:
            assert any(
                other[:3] == (recipient, number, cycle) and other[3] is not Topic.UP for other in said
            ), "nobody hears of a recovery who did not hear of the fault"
    assert any(t.stage is TicketStage.CLOSED for t in tickets)


async def test_unknown_and_maintenance_neither_raise_nor_close(build: Build) -> None:
    town = build(singles=2, recipients=WATCHERS)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(6 * MINUTE)
    town.set(town.cameras, State.UNKNOWN)
    await town.run(HOUR, step_ms=5 * MINUTE)
    town.set(["cam-0"], State.MAINTENANCE)
    await town.run(3 * 24 * HOUR, step_ms=HOUR)
    (ticket,) = town.tickets()
    assert ticket.stage is TicketStage.ROUTED
    assert ticket.level <= 1, "nobody is pressed about what is out of service"


async def test_a_retired_camera_voids_its_ticket(build: Build) -> None:
    town = build(singles=2)
    await town.tick()
    town.set(["cam-0"], State.OFFLINE)
    await town.run(6 * MINUTE)
    town.database.write(
        lambda c: c.exec_driver_sql("UPDATE camera SET retired_ms = 1 WHERE id = 'cam-0'") and None
    )
    await town.run(MINUTE)
    (ticket,) = town.tickets()
    assert (ticket.stage, ticket.evidence) == (TicketStage.VOIDED, None)


async def test_it_runs_on_when_the_store_fails(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="sharpeyes.faults.loop")
    town = build(singles=1, recipients=WATCHERS)
    woken = asyncio.Event()
    town.options["wake"] = woken.set
    town.start()
    town.set(["cam-0"], State.OFFLINE)
    town.probe()
    town.database.write(lambda c: c.exec_driver_sql("ALTER TABLE silence RENAME TO gone") and None)
    work = asyncio.ensure_future(town.loop.run(lambda: Ms(START + HOUR), every_s=0.01))
    try:
        async with asyncio.timeout(60):
            while not caplog.records:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            town.database.write(lambda c: c.exec_driver_sql("ALTER TABLE gone RENAME TO silence") and None)
            await woken.wait()
            await asyncio.sleep(0.05)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert len(town.tickets()) == 1
    assert [r.message for r in caplog.records] == ["faults cannot be watched", "faults are watched again"]


async def test_old_news_and_strangers_are_passed_over(build: Build) -> None:
    town = build(singles=1)
    town.set(["cam-0"], State.OFFLINE)
    await town.tick()
    change = StateChange(
        camera="cam-0", state=State.ONLINE, cause=None, since=Ms(START - HOUR), at=Ms(START - HOUR)
    )
    stranger = StateChange(camera="canary", state=State.OFFLINE, cause=None, since=START, at=START)
    await town.loop.observe([change, stranger])
    watches = town.database.read(lambda c: store.watches(c, ["cam-0", "canary"]))
    assert {w.camera: w.state for w in watches.values()} == {"cam-0": State.OFFLINE}


async def test_what_falls_together_again_and_again_is_learned(build: Build) -> None:
    town = build(singles=12)
    together = town.cameras[:4]
    await town.tick()
    for round_ in range(3):
        town.set([*together, town.cameras[5 + round_]], State.OFFLINE)
        await town.run(10 * MINUTE)
        town.set(town.cameras, State.ONLINE)
        await town.run(3 * HOUR, step_ms=10 * MINUTE)
    nodes, edges = town.database.read(causes.load_causes)
    assert [n.origin for n in nodes] == [NodeOrigin.LEARNED]
    assert sorted(edges) == sorted(together)
    town.set(together, State.OFFLINE)
    await town.run(10 * MINUTE)
    new = [t for t in town.tickets() if t.open]
    assert [(t.key.scope, t.children) for t in new] == [(Scope.NODE, 4)]
    town.database.write(lambda c: causes.retire_node(c, nodes[0].id, now=town.now))
    await town.run(MINUTE)
    assert next(t for t in town.tickets() if t.id == new[0].id).stage is TicketStage.VOIDED
    town.set(town.cameras, State.ONLINE)
    await town.run(3 * HOUR, step_ms=10 * MINUTE)
    town.set(together, State.OFFLINE)
    await town.run(10 * MINUTE)
    assert town.database.read(causes.load_causes) == ([], {}), "what was taken out is not learned again"
