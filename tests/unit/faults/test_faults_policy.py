"""The tables: severity, routing, silences, lasting; and the figures drawn from histories."""

import pytest

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import (
    Entry,
    FaultKey,
    FaultKind,
    Move,
    Scope,
    Severity,
    Silence,
    Ticket,
    TicketStage,
)
from sharpeyes.domain.time import Ms, Span
from sharpeyes.faults.policy import (
    FaultPolicy,
    Place,
    RouteRule,
    Times,
    covers,
    lasted,
    route,
    severity,
)
from sharpeyes.faults.statistics import statistics

POLICY = FaultPolicy()
GATE = Place(
    scope=Scope.CAMERA,
    subject="cam-1",
    name="Gate",
    tier="public_security",
    department="police",
    areas=("old-town", "city"),
    zone="west",
    tags=frozenset({"school"}),
    cause="timeout",
)


@pytest.mark.parametrize(
    ("scope", "tier", "kind", "expected"),
    [
        (Scope.ZONE, None, FaultKind.BLIND, Severity.CRITICAL),
        (Scope.NODE, "community", FaultKind.OFFLINE, Severity.CRITICAL),
        (Scope.NODE, "community", FaultKind.FLAPPING, Severity.MINOR),
        (Scope.CAMERA, "public_security", FaultKind.OFFLINE, Severity.MAJOR),
        (Scope.CAMERA, "community", FaultKind.OFFLINE, Severity.MINOR),
        (Scope.CAMERA, "public_security", FaultKind.DEGRADED, Severity.MINOR),
    ],
)
def test_severity_table(scope: Scope, tier: str | None, kind: FaultKind, expected: Severity) -> None:
    assert severity(POLICY, Place(scope=scope, subject="x", name="x", tier=tier), kind) is expected


def test_times_must_make_sense() -> None:
    with pytest.raises(InvalidInputError, match="times"):
        Times(raise_after=0, acknowledge=10, resolve=5)
    with pytest.raises(InvalidInputError, match="minor"):
        FaultPolicy(times={s: POLICY.times[s] for s in (Severity.CRITICAL, Severity.MAJOR)})


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (RouteRule(unit="u"), True),
        (RouteRule(unit="u", areas=frozenset({"city"})), True),
        (RouteRule(unit="u", areas=frozenset({"harbour"})), False),
        (RouteRule(unit="u", tags=frozenset({"school", "park"})), True),
        (RouteRule(unit="u", causes=frozenset({"auth_failed"})), False),
        (RouteRule(unit="u", departments=frozenset({"police"}), zones=frozenset({"west"})), True),
        (RouteRule(unit="u", departments=frozenset({"police"}), zones=frozenset({"east"})), False),
        (RouteRule(unit="u", scopes=frozenset({Scope.NODE})), False),
        (RouteRule(unit="u", kinds=frozenset({FaultKind.OFFLINE})), True),
        (RouteRule(unit="u", tiers=frozenset({"community"})), False),
    ],
)
def test_a_rule_needs_all_that_it_names(rule: RouteRule, matches: bool) -> None:
    found = route(GATE, FaultKind.OFFLINE, [rule], "operations")
    assert (found.unit, found.why) == (("u", "rule 1") if matches else ("police", "owner"))


def test_our_own_fault_goes_to_us() -> None:
    assert route(GATE, FaultKind.BLIND, (), "operations").unit == "operations"
    nobody = Place(scope=Scope.NODE, subject="n", name="n")
    assert route(nobody, FaultKind.OFFLINE, (), "operations").unit == "operations"


@pytest.mark.parametrize(
    ("scope", "subject", "expected"),
    [
        (None, None, True),
        (Scope.CAMERA, "cam-1", True),
        (Scope.CAMERA, "cam-2", False),
        (Scope.NODE, "switch-1", True),
        (Scope.NODE, "switch-2", False),
        (Scope.ZONE, "west", True),
        (Scope.ZONE, "east", False),
    ],
)
def test_what_a_silence_covers(scope: Scope | None, subject: str | None, expected: bool) -> None:
    silence = Silence(id="s", scope=scope, subject=subject, span=Span(Ms(0), Ms(1)), reason="r", by="li")
    assert covers(silence, GATE, ("nvr-1", "switch-1")) is expected


def test_lasting_counts_from_the_last_mark() -> None:
    assert lasted(Ms(100), Ms(500)) == 400
    assert lasted(Ms(100), Ms(500), None, Ms(300)) == 200
    assert lasted(Ms(100), Ms(500), Ms(50)) == 400


def entry(at: int, move: Move, **detail: int) -> Entry:
    return Entry(ticket=1, at=Ms(at), move=move, detail=detail or None)


HISTORY = [
    entry(1_000, Move.RAISE, started_ms=700, due_ms=5_000),
    entry(1_000, Move.ROUTE),
    entry(1_400, Move.ACKNOWLEDGE),
    entry(2_000, Move.HANDLE),
    entry(2_500, Move.FAIL, failed=1),
    entry(6_000, Move.RECOVER, since_ms=5_700),
    entry(6_500, Move.VERIFY),
    entry(8_000, Move.REOPEN, started_ms=7_900, due_ms=12_000),
    entry(8_100, Move.RECOVER, since_ms=8_050),
    entry(8_200, Move.RELAPSE),
    entry(9_000, Move.RECOVER, since_ms=8_900),
    entry(9_500, Move.VERIFY),
]


@pytest.mark.parametrize(
    ("start", "end", "now", "expected"),
    [
        # raised, reopened, closed, open, overdue, failed, mtta, mttr
        (0, 10_000, 10_000, (1, 1, 2, 0, 1, 1, 400, (5_000 + 1_000) / 2)),
        (0, 3_000, 10_000, (1, 0, 0, 1, 0, 1, 400, None)),
        (3_000, 7_000, 10_000, (0, 0, 1, 0, 1, 0, None, 5_000)),
        (7_000, 8_150, 10_000, (0, 1, 0, 1, 0, 0, None, None)),
        (20_000, 30_000, 30_000, (0, 0, 0, 0, 0, 0, None, None)),
    ],
)
def test_statistics_count_what_happened_in_the_span(
    start: int, end: int, now: int, expected: tuple[object, ...]
) -> None:
    ticket = Ticket(
        id=1,
        key=FaultKey(Scope.CAMERA, "cam-1", FaultKind.OFFLINE),
        name="Gate",
        severity=Severity.MAJOR,
        stage=TicketStage.CLOSED,
        cause=None,
        started=Ms(700),
        raised=Ms(1_000),
        acknowledge_by=Ms(2_000),
        due=Ms(5_000),
    )
    found = statistics({1: ticket}, HISTORY, Span(Ms(start), Ms(end)), Ms(now))
    assert (
        found.raised,
        found.reopened,
        found.closed,
        found.open,
        found.overdue,
        found.failed,
        found.mtta_ms,
        found.mttr_ms,
    ) == expected
    assert found.by_kind == ({FaultKind.OFFLINE: 1} if expected[0] else {})
