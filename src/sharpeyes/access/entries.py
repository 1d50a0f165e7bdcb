"""Entries of the register for what the rooms of this product do. One place for their details' names, which
figures and auditors rely on."""

from __future__ import annotations

from collections.abc import Sequence

from sharpeyes.access.register.entry import Detail, Entry, Kind
from sharpeyes.domain.access import (
    Action,
    Allowed,
    Grant,
    Override,
    Purpose,
    Reason,
    Refused,
    Request,
    Subject,
    Terms,
)
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.time import Ms

HOST = "host"
"""The name under which the command line of the machine itself acts."""


def by(subject: Subject | None) -> dict[str, str]:
    """Who did it: id, name and unit; the machine's own command line if nobody."""
    if subject is None:
        return {"name": HOST}
    return {"user": subject.id, "name": subject.name, "unit": subject.department}


def login(at: Ms, subject: Subject | None, outcome: str, address: str, **details: Detail) -> Entry:
    """``outcome``: ok, wrong, disabled, code_missing, code_wrong, ended. Without an account, what was typed
    as its name is left out: it might be a password."""
    who = by(subject) if subject else {}
    return Entry(kind=Kind.LOGIN, at=at, address=address, details={"outcome": outcome, **details}, **who)


def requested(at: Ms, subject: Subject | None, request: Request, step: str) -> Entry:
    """``step``: submitted, withdrawn, expired (then nobody did it)."""
    details: dict[str, Detail] = {"step": step}
    if step == "submitted":
        details["cameras"] = sorted(c for part in request.parts for c in part.cameras)
        details |= _terms(request.terms)
    else:
        details["department"] = request.terms.department
    return Entry(
        kind=Kind.REQUEST,
        at=at,
        request=request.id,
        purpose=request.terms.purpose,
        details=details,
        **(by(subject) if subject else {}),
    )


def decided(at: Ms, subject: Subject, request: Request, owner: str, verdict: str, reason: str) -> Entry:
    """``verdict``: approved or rejected, as this one person said it."""
    return Entry(
        kind=Kind.DECISION,
        at=at,
        request=request.id,
        purpose=request.terms.purpose,
        details={
            "verdict": verdict,
            "owner": owner,
            "reason": reason,
            "department": request.terms.department,
        },
        **by(subject),
    )


def right_changed(at: Ms, subject: Subject, grant: Grant, change: str, reason: str = "") -> Entry:
    """``change``: issued, extended, narrowed, revoked. The whole of what is granted now goes in."""
    return Entry(
        kind=Kind.RIGHT_CHANGED,
        at=at,
        grant=grant.id,
        request=grant.request,
        purpose=grant.terms.purpose,
        details={
            "change": change,
            "owner": grant.owner,
            "reason": reason,
            "cameras": sorted(grant.cameras),
            **_terms(grant.terms),
        },
        **by(subject),
    )


def user_changed(at: Ms, subject: Subject | None, user: str, change: str, **details: Detail) -> Entry:
    """``change``: user_added, name, roles, password, totp, disabled, enabled."""
    return Entry(
        kind=Kind.RIGHT_CHANGED, at=at, details={"change": change, "of": user, **details}, **by(subject)
    )


def token_changed(
    at: Ms, subject: Subject | None, caller: str, token: str, change: str, **details: Detail
) -> Entry:
    """``change``: token_added, token_revoked; ``caller``: who did it, where that is a token and no person."""
    who = by(subject) if subject else {"name": caller}
    return Entry(
        kind=Kind.RIGHT_CHANGED, at=at, details={"change": change, "of": f"token:{token}", **details}, **who
    )


def policy_changed(at: Ms, subject: Subject | None, what: str, **details: Detail) -> Entry:
    return Entry(kind=Kind.POLICY_CHANGED, at=at, details={"what": what, **details}, **by(subject))


def masks_changed(
    at: Ms, subject: Subject, camera: str, before: Sequence[Mask], after: Sequence[Mask]
) -> Entry:
    """Points in parts of 10,000 of the picture's width and height, one after the other: x, y, x, y, ..."""

    def said(masks: Sequence[Mask]) -> list[Detail]:
        return [{"name": mask.name, "points": [n for point in mask.points for n in point]} for mask in masks]

    return policy_changed(at, subject, "masks", camera=camera, before=said(before), after=said(after))


def overridden(at: Ms, subject: Subject, opened: Override, grant: Grant) -> Entry:
    return Entry(
        kind=Kind.OVERRIDE,
        at=at,
        grant=grant.id,
        purpose=Purpose.EMERGENCY,
        details={
            "owner": opened.owner,
            "reason": opened.reason,
            "review_by": opened.review_by,
            "cameras": sorted(grant.cameras),
            **_terms(grant.terms),
        },
        **by(subject),
    )


def reviewed(at: Ms, subject: Subject, opened: Override) -> Entry:
    assert opened.review is not None
    return Entry(
        kind=Kind.DECISION,
        at=at,
        grant=opened.grant,
        purpose=Purpose.EMERGENCY,
        details={
            "verdict": "justified" if opened.review.justified else "unjustified",
            "reason": opened.review.reason,
            "department": opened.department,
        },
        **by(subject),
    )


def refused(
    at: Ms,
    subject: Subject | None,
    refusal: Refused,
    *,
    step: str,
    camera: str | None = None,
    grant: str | None = None,
    request: str | None = None,
    purpose: Purpose | None = None,
    address: str | None = None,
) -> Entry:
    """``step``: what was asked for: live, snapshot, ticket, approve, ..."""
    return Entry(
        kind=Kind.REFUSAL,
        at=at,
        camera=camera,
        grant=grant,
        request=request,
        purpose=purpose,
        address=address,
        details={"reason": refusal.reason, "step": step, "message": refusal.message},
        **(by(subject) if subject else {}),
    )


def forbidden(
    at: Ms,
    subject: Subject | None,
    message: str,
    step: str,
    about: str,
    *,
    caller: str = HOST,
    address: str | None = None,
) -> Entry:
    """A step that somebody may not take; ``caller``: who, where that is a token and no person."""
    who = by(subject) if subject else {"name": caller}
    return Entry(
        kind=Kind.REFUSAL,
        at=at,
        address=address,
        details={"reason": Reason.ROLE, "step": step, "message": message, "about": about},
        **who,
    )


def view_started(
    at: Ms,
    subject: Subject,
    allowed: Allowed,
    *,
    view: str,
    camera: str,
    terms: Terms | None,
    address: str,
    path: str,
) -> Entry:
    """A picture is about to run. Write this, and wait for it, before the first packet.

    ``view``: id of this viewing; ``terms``: those of its grant; ``path``: webrtc, fmp4, hls.
    """
    return Entry(
        kind=Kind.VIEW_STARTED,
        at=at,
        camera=camera,
        grant=allowed.grant,
        purpose=terms.purpose if terms else None,
        address=address,
        details={"view": view, "basis": allowed.basis, "path": path, **_case(terms)},
        **by(subject),
    )


def view_ended(started: Entry, at: Ms, *, sent_bytes: int, why: str, **more: Detail) -> Entry:
    """The end of a view that :func:`view_started` began; ``why``: left, expired, revoked, stopped, ...;
    ``more``: who stopped it, and for what reason."""
    return Entry(
        kind=Kind.VIEW_ENDED,
        at=at,
        user=started.user,
        name=started.name,
        unit=started.unit,
        camera=started.camera,
        grant=started.grant,
        purpose=started.purpose,
        address=started.address,
        details={**started.details, "started": started.at, "bytes": sent_bytes, "why": why, **more},
    )


def snapshot(
    at: Ms,
    subject: Subject,
    allowed: Allowed,
    *,
    camera: str,
    terms: Terms | None,
    address: str,
    size: int,
    **details: Detail,
) -> Entry:
    """One picture was given; ``still`` in the details: one that a diagnosis kept."""
    return Entry(
        kind=Kind.SNAPSHOT,
        at=at,
        camera=camera,
        grant=allowed.grant,
        purpose=terms.purpose if terms else None,
        address=address,
        details={"basis": allowed.basis, "action": Action.SNAPSHOT, "bytes": size, **_case(terms), **details},
        **by(subject),
    )


def exported(at: Ms, subject: Subject | None, *, first: int, last: int) -> Entry:
    """Somebody took a copy of a part of the register."""
    return Entry(
        kind=Kind.EXPORT, at=at, details={"what": "register", "first": first, "last": last}, **by(subject)
    )


def _terms(terms: Terms) -> dict[str, Detail]:
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
        "purpose_text": terms.purpose_text,
        **_case(terms),
    }


def _case(terms: Terms | None) -> dict[str, Detail]:
    return {"case_number": terms.case_number} if terms and terms.case_number else {}
