"""The life of a request, as pure steps from one frozen value to the next.

    submit --> SUBMITTED --approve (n of n)--> APPROVED --> a grant (see ``grants``)
                   |------reject-------------> REJECTED
                   |------withdraw-----------> WITHDRAWN
                   `------expire-------------> EXPIRED

Each owner's part goes its own way: one owner's no does not undo another's yes. A step that is not open to
this person or from this stage raises ForbiddenError, ConflictError or InvalidInputError and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sharpeyes.access.policy import DAY, Rules
from sharpeyes.domain.access import (
    FORBIDDEN_PLACES,
    WATCHING_ROLES,
    Action,
    OneHandError,
    Part,
    Purpose,
    Request,
    Role,
    Schedule,
    Selection,
    Stage,
    Subject,
    Target,
    Terms,
    Vote,
)
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError
from sharpeyes.domain.time import Ms, Span

SHORTEST_REASON = 4
"""Characters: enough that a dot is no reason, few enough for two words of Chinese."""
LONGEST_REASON = 2_000
LONGEST_CASE_NUMBER = 100
MOST_UNDECIDED = 50
"""Requests of one person that wait. With more, approvers read none of them."""
FARTHEST_START_MS = 90 * DAY
"""Nobody knows today why they will need to look in a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What an applicant fills in."""

    users: tuple[Subject, ...]
    """Who will watch."""
    actions: frozenset[Action]
    purpose: Purpose
    purpose_text: str
    case_number: str | None = None
    start: Ms | None = None
    """None: from now."""
    end: Ms | None = None
    """None: policy's default after the start."""
    schedule: Schedule | None = None


def resolve(
    selection: Selection, targets: Iterable[Target], parents: Mapping[str, str | None]
) -> tuple[Target, ...]:
    """The cameras that a selection means today, in the order of their ids.

    ``parents`` gives the area above each area. Areas and tags pass over cameras that cannot be watched;
    one that is *named* and cannot be is an error, as is a name that does not exist. What an area gains later
    is not in the request: owners decide on the list that they were shown.
    """
    known = {target.camera: target for target in targets}
    if missing := sorted(selection.cameras - known.keys()):
        raise InvalidInputError(f"cameras: {missing[0]!r} is not in the registry")
    if missing := sorted(selection.areas - parents.keys()):
        raise InvalidInputError(f"areas: {missing[0]!r} is not in the registry")
    for name in sorted(selection.cameras):
        if not _watchable(known[name]):
            raise InvalidInputError(f"cameras: {name!r} is retired, or stands where none may be watched")
    chosen = [
        target
        for target in known.values()
        if target.camera in selection.cameras
        or (
            _watchable(target)
            and (selection.tags.intersection(target.tags) or _within(target.area, selection.areas, parents))
        )
    ]
    return tuple(sorted(chosen, key=lambda target: target.camera))


def submit(
    request_id: str,
    applicant: Subject,
    application: Application,
    targets: tuple[Target, ...],
    now: Ms,
    rules: Rules,
) -> Request:
    """A new request, every part of it undecided."""
    if not applicant.enabled or not applicant.roles & WATCHING_ROLES:
        raise ForbiddenError("only operators and requesters ask for views")
    if not targets:
        raise InvalidInputError("cameras: none is chosen", mend="Name cameras, an area or a tag")
    policy = rules.strictest(targets)
    if len(targets) > policy.most_cameras:
        raise InvalidInputError(
            f"cameras: {len(targets)} are chosen, and policy allows {policy.most_cameras} in a request",
            mend="Ask for fewer, or for each area on its own",
        )
    _check_users(applicant, application.users, policy.most_users)
    if not application.actions:
        raise InvalidInputError("actions: none is chosen", mend="Choose live, snapshot or both")
    case_number = (application.case_number or "").strip() or None
    if case_number and len(case_number) > LONGEST_CASE_NUMBER:
        raise InvalidInputError(f"case_number: longer than {LONGEST_CASE_NUMBER} characters")
    if application.purpose is Purpose.INVESTIGATION and not case_number:
        raise InvalidInputError("case_number: an investigation has one", mend="Give the number of the case")
    start = now if application.start is None else max(now, application.start)
    if start - now > FARTHEST_START_MS:
        raise InvalidInputError("start: more than 90 days ahead", mend="Ask nearer to the time")
    end = Ms(start + policy.default_life_ms) if application.end is None else application.end
    if end <= start:
        raise InvalidInputError("end: is not after the start, or already past")
    if end - start > policy.longest_life_ms:
        raise InvalidInputError(
            f"end: a grant on these cameras lasts at most {policy.longest_life_ms // 3_600_000} hours",
            mend="Ask for a shorter period",
        )
    terms = Terms(
        department=applicant.department,
        users=frozenset(user.id for user in application.users),
        actions=application.actions,
        period=Span(start, end),
        schedule=application.schedule,
        purpose=application.purpose,
        purpose_text=given_reason(application.purpose_text, "purpose_text"),
        case_number=case_number,
    )
    return Request(
        id=request_id,
        applicant=applicant.id,
        terms=terms,
        parts=_parts(targets, rules),
        submitted=now,
        decide_by=Ms(min(end, now + policy.decide_within_ms)),
    )


def approve(
    request: Request,
    owner: str,
    by: Subject,
    now: Ms,
    reason: str = "",
    *,
    needed: int = 1,
    gone: frozenset[str] = frozenset(),
    hands: frozenset[str] = frozenset(),
) -> Request:
    """One approver's yes to one owner's part. The part is approved once enough different people said it.

    ``needed``: by policy now; it may want more than when the request was made, and then that holds, but never
    fewer. ``gone``: who said yes and is no approver of this owner any more; their word does not count.
    ``hands``: accounts through which the same person may act (one has its password from the other).
    """
    part = _decidable(request, owner, by, now, hands)
    if any(vote.by == by.id for vote in part.approvals):
        raise ConflictError("you have approved this already", mend="Another approver of the owner must do it")
    if any(vote.by in hands for vote in part.approvals):
        raise OneHandError("nobody approves twice")
    if len(reason) > LONGEST_REASON:
        raise InvalidInputError(f"reason: longer than {LONGEST_REASON} characters")
    approvals = (*part.approvals, Vote(by.id, now, reason.strip()))
    needed = max(needed, part.needed)
    count = sum(vote.by not in gone for vote in approvals)
    stage = Stage.APPROVED if count >= needed else Stage.SUBMITTED
    return _with(request, replace(part, approvals=approvals, needed=needed, stage=stage))


def reject(request: Request, owner: str, by: Subject, now: Ms, reason: str) -> Request:
    """One approver's no ends the part, with a reason that the applicant reads."""
    part = _decidable(request, owner, by, now)
    vote = Vote(by.id, now, given_reason(reason))
    return _with(request, replace(part, rejection=vote, stage=Stage.REJECTED))


def withdraw(request: Request, by: Subject, now: Ms) -> Request:
    """The applicant takes back what is undecided. Grants already given are revoked, not withdrawn."""
    if by.id != request.applicant or not by.enabled:
        raise ForbiddenError("only the applicant withdraws a request")
    if not request.open or now >= request.decide_by:
        raise ConflictError("nothing of this request is undecided")
    return _end_open_parts(request, Stage.WITHDRAWN)


def close(request: Request) -> Request:
    """The request of somebody whose account is disabled: nobody can decide on it any more."""
    return _end_open_parts(request, Stage.WITHDRAWN)


def expire(request: Request, now: Ms) -> Request:
    """The request with its undecided parts expired if their time is over; unchanged before."""
    return _end_open_parts(request, Stage.EXPIRED) if now >= request.decide_by else request


def check_hands(hands: frozenset[str], applicant: str, terms: Terms, own: str) -> None:
    """ForbiddenError if the applicant, or somebody who will watch, may be the one who decides."""
    if hands & {applicant, *terms.users}:
        raise OneHandError(f"{own}, or that names them")


def given_reason(text: str, field: str = "reason") -> str:
    """The text, trimmed, if it is long enough to be a reason and short enough to be read."""
    text = text.strip()
    if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
        raise InvalidInputError(
            f"{field}: has {len(text)} characters",
            mend=f"Write {SHORTEST_REASON} to {LONGEST_REASON} characters: it goes into the register",
        )
    return text


def _decidable(
    request: Request, owner: str, by: Subject, now: Ms, hands: frozenset[str] = frozenset()
) -> Part:
    """The part, if this person may decide on it now."""
    if not by.enabled or not by.has(Role.APPROVER) or by.department != owner:
        raise ForbiddenError("only approvers of the department that owns the cameras decide on them")
    part = request.part(owner)
    if not part:
        raise InvalidInputError(f"owner: no camera of {owner!r} is in this request")
    if by.id == request.applicant or by.id in request.terms.users:
        raise ForbiddenError("nobody decides on a request of their own, or that names them")
    check_hands(hands, request.applicant, request.terms, "nobody decides on a request of their own")
    if part.stage is not Stage.SUBMITTED:
        raise ConflictError(f"this part of the request is {part.stage} already")
    if now >= request.decide_by:
        raise ConflictError("the time to decide is over: the request has expired")
    return part


def _check_users(applicant: Subject, users: tuple[Subject, ...], most: int) -> None:
    if not users:
        raise InvalidInputError("users: nobody is named", mend="Name who will watch")
    if len({user.id for user in users}) > most:
        raise InvalidInputError(f"users: policy allows {most} in a request")
    for user in users:
        if user.department != applicant.department:
            raise InvalidInputError(f"users: {user.id!r} is not of your department")
        if not user.enabled or not user.roles & WATCHING_ROLES or user.has(Role.AUDITOR):
            raise InvalidInputError(f"users: {user.id!r} is disabled or has no role that may watch")


def _parts(targets: tuple[Target, ...], rules: Rules) -> tuple[Part, ...]:
    by_owner: defaultdict[str, list[Target]] = defaultdict(list)
    for target in targets:
        by_owner[target.owner].append(target)
    return tuple(
        Part(
            owner=owner,
            cameras=frozenset(target.camera for target in owned),
            needed=rules.strictest(owned).approvers,
        )
        for owner, owned in sorted(by_owner.items())
    )


def _with(request: Request, changed: Part) -> Request:
    parts = tuple(changed if part.owner == changed.owner else part for part in request.parts)
    return replace(request, parts=parts)


def _end_open_parts(request: Request, stage: Stage) -> Request:
    if not request.open:
        return request
    parts = tuple(
        replace(part, stage=stage) if part.stage is Stage.SUBMITTED else part for part in request.parts
    )
    return replace(request, parts=parts)


def _watchable(target: Target) -> bool:
    return not target.retired and target.place not in FORBIDDEN_PLACES


def _within(area: str, areas: frozenset[str], parents: Mapping[str, str | None]) -> bool:
    """Whether ``area`` is one of ``areas`` or below one. Bounded, should the tree hold a loop."""
    node: str | None = area
    for _ in range(len(parents) + 1):
        if node is None or node in areas:
            break
        node = parents.get(node)
    return node in areas
