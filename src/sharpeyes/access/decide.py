"""May this subject do this with this camera now? One pure function, asked by everything that shows a picture.

It is asked when a ticket is issued, when the ticket is redeemed, and again at every instant that an answer
names in ``until``; the gateway need not understand grants, only keep that timer and ask again.
"""

from __future__ import annotations

from sharpeyes.access.policy import Rules
from sharpeyes.access.schedule import next_start, open_until
from sharpeyes.domain.access import (
    WATCHING_ROLES,
    Action,
    Allowed,
    Basis,
    Decision,
    Grant,
    Reason,
    Refused,
    Role,
    Subject,
    Target,
    forbids,
)
from sharpeyes.domain.time import Ms


def decide(
    subject: Subject, target: Target, action: Action, grant: Grant | None, now: Ms, rules: Rules
) -> Decision:
    """The answer at ``now``, with the next instant at which time alone may change it.

    ``grant`` is the lease that the subject refers to, or None to rely on the right of operators to their own
    department's cameras. What no grant can mend (place, role, ...) is looked at first.
    """
    return (
        _of_camera(target)
        or _of_subject(subject)
        or (
            _of_grant(subject, target, action, grant, now, rules)
            if grant
            else _of_owner(subject, target, rules)
        )
    )


def decide_among(
    subject: Subject, target: Target, action: Action, grants: tuple[Grant, ...], now: Ms, rules: Rules
) -> Decision:
    """The best answer among the operator's own right and these grants: the allowed one that lasts longest,
    else the refusal that says most (the one that comes furthest in the checks of a grant)."""
    answers = [decide(subject, target, action, grant, now, rules) for grant in (None, *grants)]
    allowed = [answer for answer in answers if isinstance(answer, Allowed)]
    if allowed:
        return max(allowed, key=lambda answer: (answer.until is None, answer.until or 0))
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    return max(refused, key=lambda answer: _TELLING.get(answer.reason, 0))


_TELLING = {
    reason: rank
    for rank, reason in enumerate(
        (
            Reason.NO_GRANT,
            Reason.OTHER_DEPARTMENT,
            Reason.OTHER_USER,
            Reason.OTHER_CAMERA,
            Reason.OTHER_OWNER,
            Reason.ACTION,
            Reason.REVOKED,
            Reason.EXPIRED,
            Reason.NOT_YET,
            Reason.SCHEDULE,
        )
    )
}


def admit(target: Target) -> Refused | None:
    """Whether a camera may stand in the registry at all: None, or why not."""
    return forbids(target.place)


def _of_camera(target: Target) -> Refused | None:
    if refusal := admit(target):
        return refusal
    if target.retired:
        return Refused(reason=Reason.CAMERA_RETIRED, message="This camera is out of the registry")
    return None


def _of_subject(subject: Subject) -> Refused | None:
    if not subject.enabled:
        return Refused(reason=Reason.USER_DISABLED, message="This account is disabled")
    if subject.has(Role.AUDITOR):
        # Whoever checks the watchers does not watch, whatever other roles they were given.
        return Refused(reason=Reason.AUDITOR, message="Auditors read the register and do not watch")
    if subject.roles & WATCHING_ROLES:
        return None
    if subject.has(Role.MAINTAINER):
        return Refused(reason=Reason.MAINTAINER, message="Maintainers see the health of cameras, not video")
    return Refused(reason=Reason.ROLE, message="None of this account's roles may watch")


def _of_owner(subject: Subject, target: Target, rules: Rules) -> Decision:
    policy = rules.of(target)
    if subject.has(Role.OPERATOR) and subject.department == target.owner:
        if policy.operators_watch_own:
            return Allowed(
                basis=Basis.OWN,
                grant=None,
                until=None,
                watermark=policy.burned_watermark,
                transcode=policy.transcode,
            )
        return Refused(
            reason=Reason.POLICY, message="Policy wants a grant even for the owning department's operators"
        )
    return Refused(reason=Reason.NO_GRANT, message="No grant covers this camera: request one")


def _of_grant(
    subject: Subject, target: Target, action: Action, grant: Grant, now: Ms, rules: Rules
) -> Decision:
    terms = grant.terms
    if subject.department != terms.department:
        return Refused(
            reason=Reason.OTHER_DEPARTMENT, message="The grant was given to another department than yours"
        )
    if subject.id not in terms.users:
        return Refused(reason=Reason.OTHER_USER, message="The grant names other users")
    if target.camera not in grant.cameras:
        return Refused(reason=Reason.OTHER_CAMERA, message="The grant does not cover this camera")
    if target.owner != grant.owner:
        # The camera changed hands after the grant: the new owner has not agreed.
        return Refused(
            reason=Reason.OTHER_OWNER, message="The camera has another owner than the one that agreed"
        )
    if action not in terms.actions:
        return Refused(reason=Reason.ACTION, message=f"The grant does not allow: {action}")
    if grant.revocation:  # whatever the clock says: one that is put back gives nothing back
        return Refused(reason=Reason.REVOKED, message="The grant was revoked")
    if grant.lapsed is not None or now >= terms.period.end:
        return Refused(reason=Reason.EXPIRED, message="The grant has expired")
    if now < terms.period.start:
        return Refused(reason=Reason.NOT_YET, message="The grant has not begun yet", until=terms.period.start)
    until = terms.period.end
    if terms.schedule:
        closes = open_until(terms.schedule, now, rules.zone)
        if closes is None:
            opens = next_start(terms.schedule, now, rules.zone)
            return Refused(
                reason=Reason.SCHEDULE,
                message="Outside the hours of the grant",
                until=min(until, opens),
            )
        until = min(until, closes)
    return Allowed(
        basis=Basis.EMERGENCY if grant.emergency else Basis.GRANT,
        grant=grant.id,
        until=until,
        watermark=rules.of(target).burned_watermark,
        transcode=rules.of(target).transcode,
    )
