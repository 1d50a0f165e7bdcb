"""Who may read which requests, grants and overrides. Pure.

Administrators and auditors read all; everybody else what their own department asked for or was given, and
its approvers also what concerns the department's cameras. Views that run are seen by those who watch over the
cameras: operators and approvers of the owner.
"""

from __future__ import annotations

from sharpeyes.domain.access import Grant, Override, Request, Role, Subject

READS_ALL = frozenset({Role.ADMIN, Role.AUDITOR})
ASKS = frozenset({Role.REQUESTER, Role.OPERATOR})
"""Who may come with a request."""


def may_read_request(subject: Subject, request: Request) -> bool:
    return _reads(subject, request.terms.department) or any(
        _decides(subject, part.owner) for part in request.parts
    )


def may_read_grant(subject: Subject, grant: Grant) -> bool:
    return _reads(subject, grant.terms.department) or _decides(subject, grant.owner)


def may_read_override(subject: Subject, opened: Override) -> bool:
    return _reads(subject, opened.department) or _decides(subject, opened.owner)


def may_read_person(subject: Subject, other: Subject) -> bool:
    """Colleagues, whom one names in a request; for approvers also whoever may ask them, since they decide on
    a person with a name; all of them for administrators and auditors."""
    return _reads(subject, other.department) or (subject.has(Role.APPROVER) and bool(other.roles & ASKS))


def may_read_view(subject: Subject, viewer: str, owner: str) -> bool:
    """A view that runs: ``viewer`` is who watches, ``owner`` the department of the camera."""
    return bool(subject.roles & READS_ALL) or may_end_view(subject, viewer, owner)


def may_end_view(subject: Subject, viewer: str, owner: str) -> bool:
    """Auditors look on; they end nothing."""
    keeps = subject.has(Role.OPERATOR) or subject.has(Role.APPROVER)
    return subject.id == viewer or subject.has(Role.ADMIN) or (keeps and subject.department == owner)


def _reads(subject: Subject, department: str) -> bool:
    return bool(subject.roles & READS_ALL) or subject.department == department


def _decides(subject: Subject, owner: str) -> bool:
    return subject.has(Role.APPROVER) and subject.department == owner
