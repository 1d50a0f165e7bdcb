"""Who may read which requests, grants and overrides. Pure.

Administrators and auditors read all; everybody else what their own department asked for or was given, and
its approvers also what concerns the department's cameras.
"""

from __future__ import annotations

from sharpeyes.domain.access import Grant, Override, Request, Role, Subject

READS_ALL = frozenset({Role.ADMIN, Role.AUDITOR})


def may_read_request(subject: Subject, request: Request) -> bool:
    return _reads(subject, request.terms.department) or any(
        _decides(subject, part.owner) for part in request.parts
    )


def may_read_grant(subject: Subject, grant: Grant) -> bool:
    return _reads(subject, grant.terms.department) or _decides(subject, grant.owner)


def may_read_override(subject: Subject, opened: Override) -> bool:
    return _reads(subject, opened.department) or _decides(subject, opened.owner)


def may_read_person(subject: Subject, other: Subject) -> bool:
    """Colleagues, whom one names in a request; all of them for administrators and auditors."""
    return _reads(subject, other.department)


def _reads(subject: Subject, department: str) -> bool:
    return bool(subject.roles & READS_ALL) or subject.department == department


def _decides(subject: Subject, owner: str) -> bool:
    return subject.has(Role.APPROVER) and subject.department == owner
