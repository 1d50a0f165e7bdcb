"""Exclusions: time that the adjusted rate leaves out, with who asked for it and who agreed.

They are added and decided on, never changed or deleted: an approved one can be revoked, one that nobody has
decided on can be withdrawn by its applicant, and it says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, not_, or_, select, update

from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import DAY_MS, Ms, Span, iso
from sharpeyes.store.events import Event, record
from sharpeyes.store.rates_schema import exclusion, exclusion_subject
from sharpeyes.store.rollups import archived_until
from sharpeyes.store.schema import area, camera, chunks, department, membership
from sharpeyes.store.state_time import area_parents
from sharpeyes.store.telemetry import mark_stale
from sharpeyes.store.tokens import check_another

SUBJECTS = 2000
"""Of one exclusion."""
LONGEST_MS = 400 * DAY_MS
TEXT = 4000
"""Characters of a reason, an evidence, a remark."""


class ExclusionScope(StrEnum):
    """What the subjects are."""

    CAMERA = "camera"
    AREA = "area"
    """With all areas below."""
    DEPARTMENT = "department"
    TIER = "tier"


class ExclusionStage(StrEnum):
    """Where it stands. Only an approved one counts."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    """By its applicant, before anybody decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Who asked to leave what out of the adjusted rate, when and why; and who decided."""

    id: str
    scope: ExclusionScope
    subjects: tuple[str, ...]
    span: Span
    reason: str
    evidence: str
    applicant: str
    department: str | None
    applied: Ms
    stage: ExclusionStage = ExclusionStage.PENDING
    decider: str | None = None
    decided: Ms | None = None
    remark: str | None = None
    revoker: str | None = None
    revoked: Ms | None = None
    withdrawn: Ms | None = None
    withdrawal: str | None = None
    """Why it was withdrawn."""

    @property
    def retroactive(self) -> bool:
        """Asked for when it had begun already."""
        return self.applied > self.span.start


def apply(connection: Connection, item: Exclusion) -> Exclusion:
    """Enter an application, whatever its ``id`` and stage; returns it with the id that it got.

    InvalidInputError for one that is empty, too long or too old; NotFoundError for an unknown subject.
    """
    if not 0 < item.span.length_ms <= LONGEST_MS:
        raise InvalidInputError("to: must be after 'from' and at most 400 days later")
    for name, text in (("reason", item.reason), ("evidence", item.evidence)):
        if not text.strip() or len(text) > TEXT:
            raise InvalidInputError(f"{name}: 1 to {TEXT} characters")
    subjects = tuple(dict.fromkeys(item.subjects))
    if not 0 < len(subjects) <= SUBJECTS:
        raise InvalidInputError(f"subjects: 1 to {SUBJECTS} of them")
    _check_age(connection, item.span)
    known = _known(connection, item.scope, subjects)
    for subject in subjects:
        if subject not in known:
            raise NotFoundError(f"subjects: there is no {item.scope} {subject[:64]}")
    entered = replace(
        item,
        id=secrets.token_hex(8),
        subjects=tuple(sorted(subjects)),
        stage=ExclusionStage.PENDING,
        decider=None,
        decided=None,
        remark=None,
        revoker=None,
        revoked=None,
        withdrawn=None,
        withdrawal=None,
    )
    connection.execute(
        insert(exclusion),
        {
            "id": entered.id,
            "stage": entered.stage.value,
            "scope": entered.scope.value,
            "started_ms": entered.span.start,
            "ended_ms": entered.span.end,
            "reason": entered.reason,
            "evidence": entered.evidence,
            "applicant": entered.applicant,
            "department": entered.department,
            "applied_ms": entered.applied,
        },
    )
    connection.execute(
        insert(exclusion_subject), [{"exclusion": entered.id, "subject": s} for s in entered.subjects]
    )
    _note(connection, entered.id, f"applied for by {entered.applicant}: {entered.reason}", entered.applied)
    return entered


def decide(connection: Connection, key: str, *, by: str, approve: bool, remark: str, now: Ms) -> Exclusion:
    """Approve or refuse. ForbiddenError for the applicant's own, by whichever credential; ConflictError for
    one decided already."""
    found = get(connection, key)
    if found.stage is not ExclusionStage.PENDING:
        raise ConflictError(f"exclusion {key} is {found.stage} already")
    check_another(connection, by, found.applicant, "nobody decides on an exclusion of their own")
    if len(remark) > TEXT:
        raise InvalidInputError(f"remark: at most {TEXT} characters")
    stage = ExclusionStage.REFUSED
    if approve:
        _check_age(connection, found.span)
        mark_stale(connection, found.span.start, found.span.end)
        stage = ExclusionStage.APPROVED
    values = {"stage": stage.value, "decider": by, "decided_ms": now, "remark": remark}
    connection.execute(update(exclusion).where(exclusion.c.id == key).values(values))
    _note(connection, key, f"{stage} by {by}" + (f": {remark}" if remark.strip() else ""), now)
    return replace(found, stage=stage, decider=by, decided=now, remark=remark)


def revoke(connection: Connection, key: str, *, by: str, now: Ms) -> Exclusion:
    """Take an approved one back; ConflictError for any other, and once its days are in the archive."""
    found = get(connection, key)
    if found.stage is not ExclusionStage.APPROVED:
        raise ConflictError(f"exclusion {key} is {found.stage}: only an approved one can be revoked")
    _check_age(connection, found.span)
    mark_stale(connection, found.span.start, found.span.end)
    values = {"stage": ExclusionStage.REVOKED.value, "revoker": by, "revoked_ms": now}
    connection.execute(update(exclusion).where(exclusion.c.id == key).values(values))
    _note(connection, key, f"revoked by {by}", now)
    return replace(found, stage=ExclusionStage.REVOKED, revoker=by, revoked=now)


def withdraw(connection: Connection, key: str, *, by: str, reason: str, now: Ms) -> Exclusion:
    """Take one's own application back. ForbiddenError for another's, ConflictError once it is decided."""
    found = get(connection, key)
    if by != found.applicant:
        raise ForbiddenError("only the applicant withdraws an exclusion", mend="Refuse it instead")
    if found.stage is not ExclusionStage.PENDING:
        raise ConflictError(f"exclusion {key} is {found.stage} already")
    if not reason.strip() or len(reason) > TEXT:
        raise InvalidInputError(f"reason: 1 to {TEXT} characters")
    values = {"stage": ExclusionStage.WITHDRAWN.value, "withdrawn_ms": now, "withdrawal": reason}
    connection.execute(update(exclusion).where(exclusion.c.id == key).values(values))
    _note(connection, key, f"withdrawn by {by}: {reason}", now)
    return replace(found, stage=ExclusionStage.WITHDRAWN, withdrawn=now, withdrawal=reason)


def get(connection: Connection, key: str) -> Exclusion:
    """NotFoundError if there is none."""
    row = connection.execute(select(exclusion).where(exclusion.c.id == key)).first()
    if row is None:
        raise NotFoundError(f"there is no exclusion {key[:64]}")
    return _values(connection, [row])[0]


def overlapping(
    connection: Connection,
    span: Span,
    *,
    stage: ExclusionStage | None = None,
    camera_id: str | None = None,
    department: str | None = None,
    applicant: str | None = None,
    retroactive: bool | None = None,
    limit: int | None = None,
) -> list[Exclusion]:
    """Those that touch the span, by their start; with ``camera_id`` those that touch it where it is now."""
    e = exclusion.c
    query = select(exclusion).where(e.started_ms < span.end, e.ended_ms > span.start)
    if stage is not None:
        query = query.where(e.stage == stage.value)
    if camera_id is not None:
        query = query.where(_touches(connection, camera_id))
    for column, value in ((e.department, department), (e.applicant, applicant)):
        if value is not None:
            query = query.where(column == value)
    if retroactive is not None:
        begun = e.started_ms < e.applied_ms
        query = query.where(begun if retroactive else not_(begun))
    query = query.order_by(e.started_ms, e.id)
    if limit is not None:
        query = query.limit(limit)
    return _values(connection, connection.execute(query).all())


def _touches(connection: Connection, camera_id: str) -> ColumnElement[bool]:
    """The condition on exclusions by which they name a camera, or what it belongs to now."""
    e, s = exclusion.c, exclusion_subject.c
    row = connection.execute(
        select(camera.c.tier, camera.c.department, camera.c.area).where(camera.c.id == camera_id)
    ).first()
    names: dict[ExclusionScope, list[str]] = {ExclusionScope.CAMERA: [camera_id]}
    if row is not None:
        parents = area_parents(connection)
        above: list[str] = []
        node: str | None = row.area
        while node is not None and node not in above:
            above.append(node)
            node = parents.get(node)
        names |= {
            ExclusionScope.TIER: [row.tier],
            ExclusionScope.DEPARTMENT: [row.department],
            ExclusionScope.AREA: above,
        }
    return or_(
        *(
            and_(e.scope == scope.value, e.id.in_(select(s.exclusion).where(s.subject.in_(subjects))))
            for scope, subjects in names.items()
        )
    )


def members_of(connection: Connection, items: Iterable[Exclusion]) -> ColumnElement[bool]:
    """The condition on memberships by which any of these exclusions covers them."""
    m, s = membership.c, exclusion_subject.c
    ids: dict[ExclusionScope, list[str]] = {}
    for item in items:
        ids.setdefault(item.scope, []).append(item.id)
    column = {
        ExclusionScope.CAMERA: m.camera_id,
        ExclusionScope.AREA: m.area,
        ExclusionScope.DEPARTMENT: m.department,
        ExclusionScope.TIER: m.tier,
    }
    conditions: list[ColumnElement[bool]] = []
    for scope, keys in ids.items():
        subjects = select(s.subject).where(s.exclusion.in_(keys))
        if scope is ExclusionScope.AREA:
            inside = _below(area_parents(connection), set(connection.scalars(subjects)))
            conditions.append(m.area.in_(inside))
        else:
            conditions.append(column[scope].in_(subjects))
    return or_(*conditions)


def _below(parents: Mapping[str, str | None], roots: Collection[str]) -> list[str]:
    """The areas that are, or lie in, any of the roots."""
    found = []
    for key in parents:
        here: str | None = key
        seen: set[str] = set()
        while here is not None and here not in seen and here not in roots:
            seen.add(here)
            here = parents.get(here)
        if here in roots:
            found.append(key)
    return found


def _note(connection: Connection, key: str, message: str, now: Ms) -> None:
    record(connection, [Event(at=now, kind="exclusion", subject=key, message=message)])


def _check_age(connection: Connection, span: Span) -> None:
    kept = archived_until(connection)
    if span.start < kept:
        raise InvalidInputError(
            f"from: intervals before {iso(kept)} are in the archive, their figures stand",
            mend="Exclude later time only",
        )


def _known(connection: Connection, scope: ExclusionScope, subjects: Collection[str]) -> set[str]:
    if scope is ExclusionScope.TIER:
        return {tier.value for tier in Tier}
    column: Any = {
        ExclusionScope.CAMERA: camera.c.id,
        ExclusionScope.AREA: area.c.id,
        ExclusionScope.DEPARTMENT: department.c.id,
    }[scope]
    return {
        k for some in chunks(subjects) for k in connection.scalars(select(column).where(column.in_(some)))
    }


def _values(connection: Connection, rows: Iterable[Any]) -> list[Exclusion]:
    rows = list(rows)
    subjects: dict[str, list[str]] = {row.id: [] for row in rows}
    for some in chunks(subjects):
        s = exclusion_subject.c
        query = select(s.exclusion, s.subject).where(s.exclusion.in_(some)).order_by(s.subject)
        for key, subject in connection.execute(query):
            subjects[key].append(subject)
    return [
        Exclusion(
            id=row.id,
            scope=ExclusionScope(row.scope),
            subjects=tuple(subjects[row.id]),
            span=Span(row.started_ms, row.ended_ms),
            reason=row.reason,
            evidence=row.evidence,
            applicant=row.applicant,
            department=row.department,
            applied=row.applied_ms,
            stage=ExclusionStage(row.stage),
            decider=row.decider,
            decided=row.decided_ms,
            remark=row.remark,
            revoker=row.revoker,
            revoked=row.revoked_ms,
            withdrawn=row.withdrawn_ms,
            withdrawal=row.withdrawal,
        )
        for row in rows
    ]
