"""How faults were dealt with, from the histories of their tickets. Pure; sums of whole milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sharpeyes.domain.faults import Entry, FaultKind, Move, Ticket
from sharpeyes.domain.time import Ms, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What happened within a span. Times are means in ms over ``n_*`` cases, None if there was none."""

    raised: int
    """Tickets raised, those reopened not counted again."""
    reopened: int
    closed: int
    voided: int
    open: int
    """Still open at the end of the span."""
    overdue: int
    """Due times that passed within the span before the fault was mended."""
    failed: int
    """Said to be handled while a probe saw the contrary."""
    mtta_ms: float | None
    """From raised (or reopened) to acknowledged."""
    n_acknowledged: int
    mttr_ms: float | None
    """From the beginning of the fault to its recovery, of those that were closed."""
    n_repaired: int
    by_kind: Mapping[FaultKind, int]
    """Raised, by kind."""


@dataclass(slots=True)
class _Count:
    """Sums that grow while histories are read."""

    span: Span
    moves: Counter[Move] = field(default_factory=Counter)
    kinds: Counter[FaultKind] = field(default_factory=Counter)
    open: int = 0
    overdue: int = 0
    failed: int = 0
    acknowledged: list[int] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)

    def read(self, kind: FaultKind, history: Iterable[Entry], until: Ms) -> None:
        """One ticket: its cycles one after the other."""
        cycle: _Cycle | None = None
        for entry in history:
            inside = self.span.start <= entry.at
            self.moves[entry.move] += inside
            detail = entry.detail or {}
            if entry.move in (Move.RAISE, Move.REOPEN):
                self.kinds[kind] += inside and entry.move is Move.RAISE
                cycle = _Cycle(
                    raised=entry.at,
                    started=Ms(int(detail.get("started_ms") or entry.at)),
                    due=Ms(int(detail.get("due_ms") or entry.at)),
                )
                continue
            if cycle is None:
                continue
            if entry.move in (Move.ACKNOWLEDGE, Move.HANDLE) and not cycle.acknowledged:
                cycle.acknowledged = True
                if inside:
                    self.acknowledged.append(entry.at - cycle.raised)
            elif entry.move is Move.RECOVER:
                cycle.recovered = Ms(max(cycle.started, int(detail.get("since_ms") or entry.at)))
                self._check_due(cycle, cycle.recovered)
            elif entry.move is Move.RELAPSE:
                cycle.recovered = None
            elif entry.move is Move.VERIFY:
                if inside and cycle.recovered is not None:
                    self.repaired.append(cycle.recovered - cycle.started)
                cycle = None
            elif entry.move is Move.VOID:
                cycle = None
            self.failed += inside and "failed" in detail
        if cycle is not None:
            self.open += 1
            if cycle.recovered is None:
                self._check_due(cycle, until)

    def _check_due(self, cycle: _Cycle, until: Ms) -> None:
        if not cycle.late and until >= cycle.due:
            cycle.late = True
            self.overdue += self.span.start <= cycle.due < self.span.end


@dataclass(slots=True)
class _Cycle:
    raised: Ms
    started: Ms
    due: Ms
    acknowledged: bool = False
    recovered: Ms | None = None
    late: bool = False


def statistics(tickets: Mapping[int, Ticket], entries: Iterable[Entry], span: Span, now: Ms) -> Statistics:
    """``entries``: the whole history of each ticket, oldest first; what is later than the span is left out.
    Each thing counts in the span in which it happened."""
    histories: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry.at < span.end:
            histories.setdefault(entry.ticket, []).append(entry)
    count = _Count(span)
    for number, history in histories.items():
        count.read(tickets[number].key.kind, history, Ms(min(now, span.end)))
    return Statistics(
        raised=count.moves[Move.RAISE],
        reopened=count.moves[Move.REOPEN],
        closed=count.moves[Move.VERIFY],
        voided=count.moves[Move.VOID],
        open=count.open,
        overdue=count.overdue,
        failed=count.failed,
        mtta_ms=_mean(count.acknowledged),
        n_acknowledged=len(count.acknowledged),
        mttr_ms=_mean(count.repaired),
        n_repaired=len(count.repaired),
        by_kind=+count.kinds,
    )


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None
