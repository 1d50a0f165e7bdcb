"""Transparency figures: how much was asked, granted, refused and watched, by department and purpose.

No person, camera or case appears in them, so that they can be published as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields

from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.domain.time import Span


@dataclass(slots=True)
class Figures:
    """Counts over a span of time."""

    requests: int = 0
    approvals: int = 0
    rejections: int = 0
    grants: int = 0
    revocations: int = 0
    views: int = 0
    view_seconds: int = 0
    """Of views that ended within the span."""
    snapshots: int = 0
    overrides: int = 0
    refusals: int = 0
    exports: int = 0
    withdrawn: int = 0
    """Requests that their applicants took back."""
    expired: int = 0
    """Requests that nobody decided on in time."""
    reviews: int = 0
    """Overrides that somebody looked at."""
    unjustified: int = 0
    """Of these, found to be none."""

    def as_json(self) -> dict[str, int]:
        return {item.name: getattr(self, item.name) for item in fields(self)}


def count(entries: Iterable[Entry], span: Span) -> dict[tuple[str, str], Figures]:
    """Figures by (department that asked, purpose); ``""`` where an entry has none. What an owner's approver
    does counts for the department that asked, which such entries name in ``details.department``."""
    found: defaultdict[tuple[str, str], Figures] = defaultdict(Figures)
    for entry in entries:
        if not span.start <= entry.at < span.end:
            continue
        asker = str(entry.details.get("department") or entry.unit or "")
        key = (asker, entry.purpose or "")
        if step := _step(entry):
            setattr(found[key], step, getattr(found[key], step) + _times(entry))
            if step == "reviews" and entry.details.get("verdict") == "unjustified":
                found[key].unjustified += 1
        elif entry.kind is Kind.VIEW_ENDED:
            began = entry.details.get("started")
            if isinstance(began, int):
                found[key].view_seconds += max(0, entry.at - began) // 1000
    return dict(found)


def _times(entry: Entry) -> int:
    """1, or what a summary of refusals counts."""
    many = entry.details.get("count") if entry.kind is Kind.REFUSAL else None
    return many if isinstance(many, int) else 1


def _step(entry: Entry) -> str | None:
    details = entry.details
    match entry.kind:
        case Kind.REQUEST:
            steps = {"submitted": "requests", "withdrawn": "withdrawn", "expired": "expired"}
            return steps.get(str(details.get("step")))
        case Kind.DECISION:
            verdicts = {"approved": "approvals", "rejected": "rejections"}
            verdicts |= dict.fromkeys(("justified", "unjustified"), "reviews")
            return verdicts.get(str(details.get("verdict")))
        case Kind.RIGHT_CHANGED:
            return {"issued": "grants", "revoked": "revocations"}.get(str(details.get("change")))
        case Kind.VIEW_STARTED:
            return "views"
        case Kind.SNAPSHOT:
            return "snapshots"
        case Kind.OVERRIDE:
            return "overrides"
        case Kind.REFUSAL:
            return "refusals"
        case Kind.EXPORT:
            return "exports"
        case _:
            return None
