"""Grants are leases: issued, extended, narrowed, revoked, expired; and opened at once in an emergency.

Pure steps like those of ``requests``. Whoever applies one must tell the gateways, so that a picture that
runs under the grant is judged again at once (see ``desk``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from sharpeyes.access.policy import OVERRIDE_ROLES, Rules, ViewPolicy
from sharpeyes.access.requests import check_hands, given_reason
from sharpeyes.domain.access import (
    FORBIDDEN_PLACES,
    Action,
    Grant,
    OneHandError,
    Override,
    Part,
    Purpose,
    Request,
    Review,
    Revocation,
    Role,
    Schedule,
    Stage,
    Subject,
    Target,
    Terms,
)
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError
from sharpeyes.domain.time import Ms, Span

MOST_UNREVIEWED = 5
"""Overrides of one person that wait for somebody to look at them. With more, it is no emergency any more but
a way around asking."""


def issue(
    grant_id: str,
    request: Request,
    part: Part,
    now: Ms,
    policy: ViewPolicy,
    *,
    users: frozenset[str] | None = None,
) -> Grant:
    """The lease that an approved part becomes. ``policy`` is the strictest of the part's cameras; ``users``:
    those of the request who still may watch; None: all."""
    assert part.stage is Stage.APPROVED
    terms = request.terms if users is None else replace(request.terms, users=users)
    return Grant(
        id=grant_id,
        owner=part.owner,
        cameras=part.cameras,
        applicant=request.applicant,
        terms=terms,
        issued=now,
        longest_ms=policy.longest_life_ms,
        request=request.id,
    )


def ended(grant: Grant, now: Ms) -> bool:
    """Whether the lease is over for good."""
    return grant.lapsed is not None or now >= grant.terms.period.end or grant.revocation is not None


def extend(
    grant: Grant,
    by: Subject,
    end: Ms,
    now: Ms,
    policy: ViewPolicy,
    *,
    hands: frozenset[str] = frozenset(),
) -> Grant:
    """A later end, within the longest life. ``policy`` is the strictest of the grant's cameras: where it
    wants several approvers, one of them cannot lengthen what all had to agree on. ``hands``: accounts through
    which the same person may act."""
    _check_running(grant, now)
    _check_owner_decides(grant, by)
    check_hands(hands, grant.applicant, grant.terms, "nobody decides on a grant of their own")
    if grant.emergency:
        raise ForbiddenError("an emergency override is not extended", mend="Request a view in the usual way")
    if policy.approvers > 1:
        raise ForbiddenError(
            f"policy wants {policy.approvers} approvers for these cameras", mend="Make a new request"
        )
    if end <= grant.terms.period.end:
        raise InvalidInputError("end: is not later than now agreed", mend="Narrow the grant instead")
    latest = grant.terms.period.start + min(grant.longest_ms, policy.longest_life_ms)
    if end > latest:
        raise InvalidInputError("end: beyond the longest life of a grant", mend="Make a new request")
    return replace(grant, terms=replace(grant.terms, period=Span(grant.terms.period.start, end)))


def narrow(
    grant: Grant,
    by: Subject,
    now: Ms,
    *,
    cameras: frozenset[str] | None = None,
    users: frozenset[str] | None = None,
    actions: frozenset[Action] | None = None,
    end: Ms | None = None,
    schedule: Schedule | None = None,
) -> Grant:
    """Less of everything that is given, none of it empty. To take all away, revoke."""
    _check_running(grant, now)
    _check_may_end(grant, by)
    terms = grant.terms
    for name, new, old in (
        ("cameras", cameras, grant.cameras),
        ("users", users, terms.users),
        ("actions", actions, terms.actions),
    ):
        if new is not None and (not new or not new <= old):
            raise InvalidInputError(f"{name}: must be some of those now granted", mend="To end it, revoke")
    if end is not None and not max(now, terms.period.start) < end <= terms.period.end:
        raise InvalidInputError(
            "end: must lie between now, or the start, and the end now agreed", mend="To end it, revoke"
        )
    if schedule is not None and terms.schedule is not None and not _inside(schedule, terms.schedule):
        raise InvalidInputError("schedule: reaches outside the hours now granted")
    narrowed = replace(
        terms,
        users=terms.users if users is None else users,
        actions=terms.actions if actions is None else actions,
        period=terms.period if end is None else Span(terms.period.start, end),
        schedule=terms.schedule if schedule is None else schedule,
    )
    return replace(grant, cameras=grant.cameras if cameras is None else cameras, terms=narrowed)


def revoke(grant: Grant, by: Subject, reason: str, now: Ms) -> Grant:
    """The end of a grant, now."""
    _check_running(grant, now)
    _check_may_end(grant, by)
    return replace(grant, revocation=Revocation(by=by.id, at=now, reason=given_reason(reason)))


def override(
    grant_id: str,
    by: Subject,
    targets: tuple[Target, ...],
    actions: frozenset[Action],
    reason: str,
    now: Ms,
    rules: Rules,
    *,
    life_ms: int | None = None,
) -> tuple[Override, Grant]:
    """Open one owner's cameras at once, for the asker alone and for a short time. The caller tells the
    auditors in the same breath: an override that nobody hears of is not one of these."""
    if not by.enabled or by.has(Role.AUDITOR) or not by.roles & OVERRIDE_ROLES:
        raise ForbiddenError("only operators open cameras in an emergency")
    if not targets or not actions:
        raise InvalidInputError("cameras, actions: none is chosen")
    owners = {target.owner for target in targets}
    if len(owners) > 1:
        raise InvalidInputError("cameras: of several owners", mend="Override for one owner at a time")
    policy = rules.strictest(targets)
    if not policy.override:
        raise ForbiddenError("policy allows no emergency override for these cameras")
    if len(targets) > policy.override_cameras:
        raise InvalidInputError(f"cameras: an override opens at most {policy.override_cameras}")
    if any(target.retired or target.place in FORBIDDEN_PLACES for target in targets):
        raise ForbiddenError("a camera is retired, or stands where none may be watched")
    life = policy.override_life_ms if life_ms is None else life_ms
    if not 0 < life <= policy.override_life_ms:
        raise InvalidInputError(
            f"life: an override lasts at most {policy.override_life_ms // 60_000} minutes",
            mend="Request a view in the usual way for longer",
        )
    reason = given_reason(reason)
    grant = Grant(
        id=grant_id,
        owner=owners.pop(),
        cameras=frozenset(target.camera for target in targets),
        applicant=by.id,
        terms=Terms(
            department=by.department,
            users=frozenset({by.id}),
            actions=actions,
            period=Span(now, Ms(now + life)),
            purpose=Purpose.EMERGENCY,
            purpose_text=reason,
        ),
        issued=now,
        longest_ms=life,
    )
    opened = Override(
        grant=grant_id,
        by=by.id,
        department=by.department,
        owner=grant.owner,
        at=now,
        reason=reason,
        review_by=Ms(now + policy.review_within_ms),
    )
    return opened, grant


def check_repeated(
    running: frozenset[str], unreviewed: Iterable[Override], wanted: frozenset[str], policy: ViewPolicy
) -> None:
    """ForbiddenError for an override beside, or after, too many others of the same person.

    ``running``: cameras that this person has open in an emergency now; ``unreviewed``: overrides of theirs
    that nobody has looked at. Several owners at one instant are one emergency.
    """
    if len(running | wanted) > policy.override_cameras:
        raise ForbiddenError(
            f"{len(running)} cameras are open to you in an emergency, and policy allows "
            f"{policy.override_cameras} at a time",
            mend="Revoke those that are not needed any more, or request a view in the usual way",
        )
    if len({opened.at for opened in unreviewed}) >= MOST_UNREVIEWED:
        raise ForbiddenError(
            f"{MOST_UNREVIEWED} overrides of yours wait for a review",
            mend="Have one reviewed, or request a view in the usual way",
        )


def review(
    opened: Override,
    by: Subject,
    justified: bool,
    reason: str,
    now: Ms,
    *,
    hands: frozenset[str] = frozenset(),
) -> Override:
    """Another person's judgement: an auditor's, or that of an approver of the department that owns.
    ``hands``: accounts through which the same person may act."""
    entitled = by.has(Role.AUDITOR) or (by.has(Role.APPROVER) and by.department == opened.owner)
    if not by.enabled or not entitled:
        raise ForbiddenError("auditors and approvers of the owning department review overrides")
    if by.id == opened.by:
        raise ForbiddenError("nobody reviews an override of their own")
    if opened.by in hands:
        raise OneHandError("nobody reviews an override of their own")
    if opened.review:
        raise ConflictError("this override has been reviewed already")
    return replace(opened, review=Review(by=by.id, at=now, justified=justified, reason=given_reason(reason)))


def counts_against(opened: Override, now: Ms) -> bool:
    """Whether the override counts against the department that used it: found unjustified, or not reviewed
    in time. A review that comes late does not undo that nobody looked."""
    if opened.review is None:
        return now >= opened.review_by
    return not opened.review.justified or opened.review.at >= opened.review_by


def count_against(overrides: Iterable[Override], now: Ms) -> dict[str, int]:
    """How many of these overrides count against each department, those with none left out."""
    return dict(Counter(opened.department for opened in overrides if counts_against(opened, now)))


def _check_running(grant: Grant, now: Ms) -> None:
    if ended(grant, now):
        raise ConflictError("the grant has ended already")


def _check_owner_decides(grant: Grant, by: Subject) -> None:
    if not by.enabled or not by.has(Role.APPROVER) or by.department != grant.owner:
        raise ForbiddenError("only approvers of the department that owns the cameras decide on them")
    if by.id == grant.applicant or by.id in grant.terms.users:
        raise ForbiddenError("nobody decides on a grant of their own, or that names them")


def _check_may_end(grant: Grant, by: Subject) -> None:
    """Taking access away is open to more people than giving it: whoever stops a picture does no harm."""
    if by.enabled and (
        by.has(Role.ADMIN)
        or (by.has(Role.APPROVER) and by.department == grant.owner)
        or (by.has(Role.AUDITOR) and grant.emergency)
        or by.id == grant.applicant
    ):
        return
    raise ForbiddenError(
        "a grant is ended by its applicant, the owner's approvers or an administrator; "
        "an override by auditors too"
    )


def _inside(inner: Schedule, outer: Schedule) -> bool:
    """Whether every window of ``inner`` lies in the window of ``outer`` of the same day."""

    def minutes(schedule: Schedule) -> tuple[int, int]:
        overnight = schedule.end <= schedule.start
        return schedule.start, schedule.end + (24 * 60 if overnight else 0)

    (start, end), (first, last) = minutes(inner), minutes(outer)
    return inner.days <= outer.days and first <= start and end <= last
