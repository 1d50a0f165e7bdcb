"""Requests, the grants that come of them, and overrides: their rows and their frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from sharpeyes.domain.access import (
    Action,
    Grant,
    Override,
    Part,
    Purpose,
    Request,
    Review,
    Revocation,
    Schedule,
    Stage,
    Terms,
    Vote,
)
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.access_schema import grant_user, view_grant, view_override, view_request
from sharpeyes.store.database import one_row

# --- requests ---------------------------------------------------------------------------------------


def put_request(connection: Connection, request: Request) -> None:
    """Add a request, or store its new stage."""
    changing = {"parts": [_part_document(part) for part in request.parts], "undecided": request.open}
    query = update(view_request).where(view_request.c.id == request.id).values(**changing)
    if connection.execute(query).rowcount:
        return
    connection.execute(
        insert(view_request).values(
            id=request.id,
            applicant=request.applicant,
            department=request.terms.department,
            terms=_terms_document(request.terms),
            submitted_ms=request.submitted,
            decide_by_ms=request.decide_by,
            **changing,
        )
    )


def get_request(connection: Connection, request_id: str) -> Request:
    return _request(one_row(connection, view_request.c.id, request_id, "request"))


def list_requests(
    connection: Connection,
    *,
    department: str | None = None,
    applicant: str | None = None,
    undecided: bool | None = None,
    before: Request | None = None,
    limit: int = 100,
) -> list[Request]:
    """Newest first; ``department`` is the one that asks, ``before`` the last one already seen."""
    query = select(view_request).order_by(view_request.c.submitted_ms.desc(), view_request.c.id).limit(limit)
    if department is not None:
        query = query.where(view_request.c.department == department)
    if applicant is not None:
        query = query.where(view_request.c.applicant == applicant)
    if undecided is not None:
        query = query.where(view_request.c.undecided == undecided)
    if before is not None:
        at = view_request.c.submitted_ms
        query = query.where(
            or_(at < before.submitted, and_(at == before.submitted, view_request.c.id > before.id))
        )
    return [_request(row) for row in connection.execute(query)]


def list_due_requests(connection: Connection, now: Ms) -> list[Request]:
    """Those whose time to decide is over."""
    query = select(view_request).where(view_request.c.undecided, view_request.c.decide_by_ms <= now)
    return [_request(row) for row in connection.execute(query)]


# --- grants and overrides ---------------------------------------------------------------------------


def put_grant(connection: Connection, grant: Grant) -> None:
    """Add a grant, or store its new terms or its end."""
    revoked = grant.revocation
    period = grant.terms.period
    changing = {
        "terms": _terms_document(grant.terms),
        "cameras": sorted(grant.cameras),
        "starts_ms": period.start,
        "ends_ms": min(period.end, revoked.at) if revoked else period.end,
        "revoked_ms": revoked.at if revoked else None,
        "revoked_by": revoked.by if revoked else None,
        "revoke_reason": revoked.reason if revoked else None,
    }
    query = update(view_grant).where(view_grant.c.id == grant.id).values(**changing)
    if not connection.execute(query).rowcount:
        connection.execute(
            insert(view_grant).values(
                id=grant.id,
                owner=grant.owner,
                applicant=grant.applicant,
                request=grant.request,
                issued_ms=grant.issued,
                longest_ms=grant.longest_ms,
                **changing,
            )
        )
    connection.execute(delete(grant_user).where(grant_user.c.grant_id == grant.id))
    connection.execute(
        insert(grant_user), [{"user_id": name, "grant_id": grant.id} for name in sorted(grant.terms.users)]
    )


def get_grant(connection: Connection, grant_id: str) -> Grant:
    return _grant(one_row(connection, view_grant.c.id, grant_id, "grant"))


def list_grants(
    connection: Connection,
    *,
    user_id: str | None = None,
    owner: str | None = None,
    request: str | None = None,
    running_at: Ms | None = None,
    before: Grant | None = None,
    limit: int | None = None,
) -> list[Grant]:
    """Newest first. ``running_at``: not ended by then, nor ever before; they may not have begun. ``before``:
    the last one already seen."""
    query = select(view_grant).order_by(view_grant.c.issued_ms.desc(), view_grant.c.id).limit(limit)
    if user_id is not None:
        query = query.join(grant_user, grant_user.c.grant_id == view_grant.c.id).where(
            grant_user.c.user_id == user_id
        )
    if owner is not None:
        query = query.where(view_grant.c.owner == owner)
    if request is not None:
        query = query.where(view_grant.c.request == request)
    if running_at is not None:
        query = query.where(view_grant.c.ends_ms > running_at, view_grant.c.lapsed_ms.is_(None))
    if before is not None:
        at = view_grant.c.issued_ms
        query = query.where(or_(at < before.issued, and_(at == before.issued, view_grant.c.id > before.id)))
    return [_grant(row) for row in connection.execute(query)]


def lapse_grants(connection: Connection, now: Ms) -> int:
    """Keep it for good that the end of these grants is past at ``now``; how many. What is kept of one grant
    harms no other: one that is made after a clock that was ahead was put right lasts as long as it says."""
    g = view_grant.c
    past = g.lapsed_ms.is_(None), g.ends_ms <= now
    return connection.execute(update(view_grant).where(*past).values(lapsed_ms=now)).rowcount


def any_past_grant(connection: Connection, now: Ms) -> bool:
    """Whether :func:`lapse_grants` has something to do."""
    g = view_grant.c
    query = select(g.id).where(g.lapsed_ms.is_(None), g.ends_ms <= now).limit(1)
    return connection.execute(query).first() is not None


def put_override(connection: Connection, opened: Override) -> None:
    """Add an override, or store its review."""
    review = opened.review
    changing = {
        "reviewed_by": review.by if review else None,
        "reviewed_ms": review.at if review else None,
        "justified": review.justified if review else None,
        "review": review.reason if review else None,
    }
    query = update(view_override).where(view_override.c.grant_id == opened.grant).values(**changing)
    if not connection.execute(query).rowcount:
        connection.execute(
            insert(view_override).values(
                grant_id=opened.grant,
                user_id=opened.by,
                department=opened.department,
                owner=opened.owner,
                at_ms=opened.at,
                reason=opened.reason,
                review_by_ms=opened.review_by,
                **changing,
            )
        )


def get_override(connection: Connection, grant_id: str) -> Override:
    return _override(one_row(connection, view_override.c.grant_id, grant_id, "override"))


def list_overrides(
    connection: Connection,
    *,
    span: Span | None = None,
    user: str | None = None,
    unreviewed: bool = False,
    limit: int | None = None,
) -> list[Override]:
    """Newest first; ``user``: by whom they were opened."""
    query = select(view_override).order_by(view_override.c.at_ms.desc()).limit(limit)
    if span is not None:
        query = query.where(view_override.c.at_ms >= span.start, view_override.c.at_ms < span.end)
    if user is not None:
        query = query.where(view_override.c.user_id == user)
    if unreviewed:
        query = query.where(view_override.c.reviewed_ms.is_(None))
    return [_override(row) for row in connection.execute(query)]


def count_reviews(connection: Connection, now: Ms) -> tuple[int, int]:
    """Overrides that wait for their review: those in time, and those beyond it."""
    late = view_override.c.review_by_ms <= now
    query = select(late, func.count()).where(view_override.c.reviewed_ms.is_(None)).group_by(late)
    found = {bool(row[0]): row[1] for row in connection.execute(query)}
    return found.get(False, 0), found.get(True, 0)


# --- rows to values ---------------------------------------------------------------------------------


def _terms_document(terms: Terms) -> dict[str, Any]:
    schedule = terms.schedule
    return {
        "department": terms.department,
        "users": sorted(terms.users),
        "actions": sorted(terms.actions),
        "start": terms.period.start,
        "end": terms.period.end,
        "schedule": (
            {"start": schedule.start, "end": schedule.end, "days": sorted(schedule.days)}
            if schedule
            else None
        ),
        "purpose": terms.purpose,
        "purpose_text": terms.purpose_text,
        "case_number": terms.case_number,
    }


def _terms(raw: Mapping[str, Any]) -> Terms:
    schedule = raw["schedule"]
    return Terms(
        department=raw["department"],
        users=frozenset(raw["users"]),
        actions=frozenset(Action(action) for action in raw["actions"]),
        period=Span(raw["start"], raw["end"]),
        schedule=(
            Schedule(start=schedule["start"], end=schedule["end"], days=frozenset(schedule["days"]))
            if schedule
            else None
        ),
        purpose=Purpose(raw["purpose"]),
        purpose_text=raw["purpose_text"],
        case_number=raw["case_number"],
    )


def _part_document(part: Part) -> dict[str, Any]:
    return {
        "owner": part.owner,
        "cameras": sorted(part.cameras),
        "needed": part.needed,
        "stage": part.stage,
        "approvals": [_vote_document(vote) for vote in part.approvals],
        "rejection": _vote_document(part.rejection) if part.rejection else None,
    }


def _vote_document(vote: Vote) -> dict[str, Any]:
    return {"by": vote.by, "at": vote.at, "reason": vote.reason}


def _request(row: Row[Any]) -> Request:
    return Request(
        id=row.id,
        applicant=row.applicant,
        terms=_terms(row.terms),
        parts=tuple(
            Part(
                owner=raw["owner"],
                cameras=frozenset(raw["cameras"]),
                needed=raw["needed"],
                stage=Stage(raw["stage"]),
                approvals=tuple(Vote(**vote) for vote in raw["approvals"]),
                rejection=Vote(**raw["rejection"]) if raw["rejection"] else None,
            )
            for raw in row.parts
        ),
        submitted=row.submitted_ms,
        decide_by=row.decide_by_ms,
    )


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        owner=row.owner,
        cameras=frozenset(row.cameras),
        applicant=row.applicant,
        terms=_terms(row.terms),
        issued=row.issued_ms,
        longest_ms=row.longest_ms,
        request=row.request,
        revocation=(
            Revocation(by=row.revoked_by, at=row.revoked_ms, reason=row.revoke_reason)
            if row.revoked_ms is not None
            else None
        ),
        lapsed=row.lapsed_ms,
    )


def _override(row: Row[Any]) -> Override:
    return Override(
        grant=row.grant_id,
        by=row.user_id,
        department=row.department,
        owner=row.owner,
        at=row.at_ms,
        reason=row.reason,
        review_by=row.review_by_ms,
        review=(
            Review(by=row.reviewed_by, at=row.reviewed_ms, justified=row.justified, reason=row.review)
            if row.reviewed_ms is not None
            else None
        ),
    )
