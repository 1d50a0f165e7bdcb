"""The life of a ticket: the table, its guards, and what never happens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sharpeyes.domain.errors import ConflictError, InvalidInputError
from sharpeyes.domain.faults import (
    ENDED,
    FaultKey,
    FaultKind,
    Move,
    Scope,
    Severity,
    Ticket,
    TicketStage,
    Verdict,
)
from sharpeyes.domain.time import Ms
from sharpeyes.faults import ticket as machine
from sharpeyes.faults.policy import FaultPolicy
from sharpeyes.faults.ticket import (
    BY_HAND,
    RESUME,
    TABLE,
    Step,
    advance,
    level,
    mark_overdue,
    react,
    reopened,
)

POLICY = FaultPolicy()
S = TicketStage
T0 = Ms(1_000_000_000)
TIMES = POLICY.times[Severity.MAJOR]


def fresh(stage: TicketStage = S.RAISED, **changes: object) -> Ticket:
    ticket = Ticket(
        id=1,
        key=FaultKey(Scope.CAMERA, "cam-1", FaultKind.OFFLINE),
        name="Gate",
        severity=Severity.MAJOR,
        stage=stage,
        cause="timeout",
        started=Ms(T0 - 300_000),
        raised=T0,
        acknowledge_by=Ms(T0 + TIMES.acknowledge),
        due=Ms(T0 + TIMES.resolve),
        unit="police",
    )
    return replace(ticket, **changes)  # type: ignore[arg-type]


def well(observed: int, since: int = T0) -> Verdict:
    return Verdict(good=True, since=Ms(since), observed=Ms(observed), said="online")


def ill(observed: int) -> Verdict:
    return Verdict(good=False, since=T0, observed=Ms(observed), said="offline")


def step(move: Move, at: int = T0, **options: object) -> Step:
    if move is Move.ROUTE:
        options.setdefault("unit", "police")
    if move is Move.NOTE:
        options.setdefault("text", "seen")
    if move is Move.VERIFY:
        options.setdefault("verdict", well(at))
    return Step(move=move, at=Ms(at), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("move", Move)
@pytest.mark.parametrize("stage", S)
def test_the_table_decides(stage: TicketStage, move: Move) -> None:
    ticket = fresh(stage, resume=S.ROUTED, recovered=Ms(T0 - POLICY.settle_ms))
    if (stage, move) not in TABLE:
        with pytest.raises(ConflictError, match=f"is {stage}: it cannot {move}"):
            advance(ticket, step(move), POLICY)
        return
    expected = TABLE[stage, move]
    if move is Move.REOPEN:
        after, entry = reopened(ticket, at=T0, started=T0, cause=None, policy=POLICY)
    else:
        after, entry = advance(ticket, step(move), POLICY)
    assert after.stage is (S.ROUTED if expected is RESUME else expected)
    assert (entry.ticket, entry.move, entry.at) == (1, move, T0)


def test_no_hand_leads_to_closed() -> None:
    for (stage, move), after in TABLE.items():
        if after is S.CLOSED and stage is not S.CLOSED:
            assert (stage, move) == (S.VERIFYING, Move.VERIFY)
        if after is S.VERIFYING and stage is not S.VERIFYING:
            assert move is Move.RECOVER
    for move in set(Move) - BY_HAND:
        with pytest.raises(ConflictError, match="by hand"):
            advance(fresh(S.VERIFYING), step(move, by="li"), POLICY)


@pytest.mark.parametrize(
    "verdict",
    [
        None,
        ill(T0 + 10_000_000),
        Verdict(good=None, since=T0, observed=Ms(T0 + 10_000_000), said="unknown"),
        Verdict(good=True, since=T0, observed=None, said="online"),
        well(T0 + POLICY.settle_ms - 1),
    ],
)
def test_closing_needs_a_probe_that_looked_after_the_settling_time(verdict: Verdict | None) -> None:
    ticket = fresh(S.VERIFYING, recovered=T0)
    with pytest.raises(ConflictError, match="not been seen well"):
        advance(ticket, Step(move=Move.VERIFY, at=Ms(T0 + 10_000_000), verdict=verdict), POLICY)
    closed, _ = advance(ticket, Step(move=Move.VERIFY, at=T0, verdict=well(T0 + POLICY.settle_ms)), POLICY)
    assert closed.evidence == {"said": "online", "since_ms": T0, "observed_ms": T0 + POLICY.settle_ms}


@pytest.mark.parametrize(
    ("stage", "handled", "verdict", "move"),
    [
        (S.ROUTED, None, well(T0 + 1), Move.RECOVER),
        (S.ROUTED, None, ill(T0 + 1), None),
        (S.HANDLED, T0, well(T0 - 1), None),  # seen before it was said
        (S.HANDLED, T0, well(T0 + 1), Move.RECOVER),
        (S.HANDLED, T0, ill(T0 + 1), None),  # give it time to start
        (S.HANDLED, T0, ill(T0 + POLICY.grace_ms), Move.FAIL),
        (S.VERIFYING, None, ill(T0), Move.RELAPSE),
        (S.VERIFYING, None, well(T0 + POLICY.settle_ms - 1), None),
        (S.VERIFYING, None, well(T0 + POLICY.settle_ms), Move.VERIFY),
        (S.CLOSED, None, ill(T0), None),
        (S.VOIDED, None, ill(T0), None),
    ],
)
def test_react(stage: TicketStage, handled: Ms | None, verdict: Verdict, move: Move | None) -> None:
    recovered = T0 if stage is S.VERIFYING else None
    found = react(fresh(stage, handled=handled, recovered=recovered), verdict, T0, POLICY)
    assert (found.move if found else None) is move


def test_a_repair_is_proven_by_what_was_seen_after_it() -> None:
    seen = T0 + POLICY.settle_ms
    ticket = fresh(S.VERIFYING, recovered=T0, handled=Ms(seen + 1))
    assert react(ticket, well(seen), T0, POLICY) is None
    assert react(ticket, well(seen + 1), T0, POLICY) is not None


def test_no_recovery_before_the_fault() -> None:
    ticket, _ = advance(fresh(S.ROUTED), step(Move.RECOVER, verdict=well(T0, since=0)), POLICY)
    assert ticket.recovered == ticket.started


def test_a_relapse_after_handled_counts_as_a_failed_repair() -> None:
    ticket = fresh(S.VERIFYING, resume=S.HANDLED, handled=T0, acknowledged=T0)
    after, entry = advance(ticket, step(Move.RELAPSE, verdict=ill(T0)), POLICY)
    assert (after.stage, after.failed, after.handled) == (S.ACKNOWLEDGED, 1, None)
    assert entry.detail is not None
    assert entry.detail["failed"] == 1


def test_handled_while_verifying_is_remembered() -> None:
    ticket, _ = advance(fresh(S.ROUTED), step(Move.RECOVER, verdict=well(T0)), POLICY)
    ticket, _ = advance(ticket, step(Move.HANDLE, T0 + 5, by="li"), POLICY)
    assert (ticket.stage, ticket.resume, ticket.handled) == (S.VERIFYING, S.HANDLED, T0 + 5)
    ticket, _ = advance(ticket, step(Move.ACKNOWLEDGE, T0 + 6, by="li"), POLICY)
    assert (ticket.resume, ticket.acknowledged) == (S.HANDLED, T0 + 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"move": Move.ROUTE}, "unit"),
        ({"move": Move.NOTE}, "text"),
        ({"move": Move.NOTE, "text": "x" * 5000}, "text"),
        ({"move": Move.NOTE, "attachment": "x" * 600}, "attachment"),
        ({"move": Move.NOTE, "attachment": "a\nb"}, "attachment"),
    ],
)
def test_bad_steps_are_refused_by_field(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        advance(fresh(S.ROUTED), Step(at=T0, by="li", **options), POLICY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "acknowledged", "expected"),
    [
        (TIMES.acknowledge - 1, False, 0),
        (TIMES.acknowledge, False, 1),
        (TIMES.acknowledge, True, 0),
        (TIMES.resolve, True, 2),
        (TIMES.resolve + POLICY.escalate_again_ms, True, 3),
        (TIMES.resolve * 50, True, POLICY.levels),
    ],
)
def test_levels(after: int, acknowledged: bool, expected: int) -> None:
    ticket = fresh(S.ROUTED, acknowledged=T0 if acknowledged else None)
    assert level(ticket, Ms(T0 + after), POLICY) == expected


@given(st.lists(st.integers(0, 10 * TIMES.resolve), min_size=2), st.integers(0, 4))
def test_levels_and_overdue_only_grow(moments: list[int], first: int) -> None:
    ticket = fresh(S.ROUTED, level=first)
    levels, marks = [], []
    for moment in sorted(moments):
        ticket = mark_overdue(ticket, Ms(T0 + moment))
        ticket = replace(ticket, level=level(ticket, Ms(T0 + moment), POLICY))
        levels.append(ticket.level)
        marks.append(ticket.overdue is not None)
        assert marks[-1] == (T0 + moment >= ticket.due)
    assert levels == sorted(levels)
    assert marks == sorted(marks)


class Life(RuleBasedStateMachine):
    """Any sequence of hands and observations."""

    @initialize()
    def begin(self) -> None:
        self.now = T0
        self.ticket = fresh()
        self.overdue: Ms | None = None
        self.observed: list[Verdict] = []

    @rule(ms=st.integers(1, TIMES.resolve), good=st.sampled_from([True, False, None]), seen=st.booleans())
    def look(self, ms: int, good: bool | None, seen: bool) -> None:
        self.now = Ms(self.now + ms)
        verdict = Verdict(good=good, since=self.now, observed=self.now if seen else None, said=str(good))
        self.observed.append(verdict)
        while (wanted := react(self.ticket, verdict, self.now, POLICY)) is not None:
            self.ticket, _ = advance(self.ticket, wanted, POLICY)
        self.ticket = mark_overdue(self.ticket, self.now)
        self.ticket = replace(self.ticket, level=level(self.ticket, self.now, POLICY))

    @rule(move=st.sampled_from(sorted(Move)), by=st.sampled_from(["", "li"]))
    def push(self, move: Move, by: str) -> None:
        if not by and move in (Move.RECOVER, Move.RELAPSE, Move.VOID, Move.REOPEN, Move.RAISE):
            return  # the loop's own, made only on an observation
        before = self.ticket
        try:
            self.ticket, entry = advance(before, step(move, self.now, by=by, verdict=None), POLICY)
        except ConflictError:
            assert self.ticket is before
        else:
            assert entry.by == by

    @precondition(lambda self: self.ticket.stage is S.CLOSED)
    @rule()
    def come_back(self) -> None:
        self.ticket, _ = reopened(self.ticket, at=self.now, started=self.now, cause=None, policy=POLICY)
        self.observed = []

    @invariant()
    def closed_only_by_a_probe(self) -> None:
        if self.ticket.stage is S.CLOSED:
            proof = self.ticket.evidence
            assert proof is not None
            assert any(
                v.good and v.observed == proof["observed_ms"] and v.since == proof["since_ms"]
                for v in self.observed
            )
        assert (self.ticket.closed is not None) == (self.ticket.stage in ENDED)

    @invariant()
    def overdue_stays(self) -> None:
        if self.overdue is not None:
            assert self.ticket.overdue == self.overdue
        self.overdue = self.ticket.overdue

    @invariant()
    def times_are_in_order(self) -> None:
        for moment in (self.ticket.acknowledged, self.ticket.handled):
            assert moment is None or moment >= self.ticket.raised
        assert self.ticket.recovered is None or self.ticket.recovered >= self.ticket.started


TestLife = Life.TestCase


def test_the_picture_in_the_docs_names_every_stage() -> None:
    assert machine.__doc__ is not None
    for stage in set(S) - {S.VOIDED}:
        assert stage.name in machine.__doc__
