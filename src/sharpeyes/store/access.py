"""People, policies, requests, grants and overrides: their rows and their frozen values."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from sharpeyes.domain.access import (
    Action,
    Grant,
    Override,
    Part,
    Place,
    Purpose,
    Request,
    Review,
    Revocation,
    Role,
    Schedule,
    Session,
    Stage,
    Subject,
    Target,
    Terms,
    Vote,
)
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.access_schema import (
    camera_mask,
    camera_place,
    grant_user,
    user,
    user_session,
    view_grant,
    view_override,
    view_policy,
    view_request,
)
from sharpeyes.store.schema import area, camera
from sharpeyes.store.schema import department as department_table

CHUNK = 500
"""Ids in one ``IN``: within every database's limit of bound parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with what a log-in needs. The hash and the sealed secret are not for showing."""

    subject: Subject
    username: str
    password: str | None
    totp: bytes | None
    totp_step: int
    created: Ms
    disabled: Ms | None
    identified: bool
    """Whether a provider of identities has vouched for its user."""
    keyed_by: str | None = None
    """The administrator who gave it its password and may know it; None: its user's own affair."""

    def __repr__(self) -> str:
        return f"Account({self.username!r}, {self.subject.id!r})"


# --- people -------------------------------------------------------------------------------------------


def add_user(
    connection: Connection,
    subject: Subject,
    username: str,
    password: str | None,
    now: Ms,
    *,
    keyed_by: str | None = None,
) -> None:
    """``keyed_by``: the administrator who gives it this password. ConflictError if the name is taken, by a
    disabled user too: the register must not mix up two people. InvalidInputError if there is no such
    department."""
    _check_department(connection, subject.department)
    name = folded(username)
    if connection.execute(select(user.c.id).where(user.c.username == name)).first():
        raise ConflictError(f"username: {username!r} is taken")
    connection.execute(
        insert(user).values(
            id=subject.id,
            username=name,
            name=subject.name,
            department=subject.department,
            roles=sorted(subject.roles),
            password=password,
            totp_step=0,
            created_ms=now,
            changed_ms=now,
            disabled_ms=None if subject.enabled else now,
            keyed_by=keyed_by,
        )
    )


def folded(username: str) -> str:
    """A user name in the one form in which it is stored and looked for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", username).casefold())


def change_user(connection: Connection, user_id: str, now: Ms, **values: Any) -> None:
    """Set columns of a user; NotFoundError if there is none, InvalidInputError for a department that does
    not exist."""
    if "department" in values:
        _check_department(connection, values["department"])
    if "roles" in values:
        values["roles"] = sorted(values["roles"])
    if (
        connection.execute(update(user).where(user.c.id == user_id).values(changed_ms=now, **values)).rowcount
        == 0
    ):
        raise NotFoundError(f"there is no user {user_id!r}")


def _check_department(connection: Connection, name: str) -> None:
    if connection.execute(select(department_table.c.id).where(department_table.c.id == name)).first() is None:
        raise InvalidInputError(
            f"department: there is no {name!r}", mend="Declare it in cameras.yaml, under departments"
        )


def totp_context(user_id: str) -> str:
    """What the vault binds a second factor to."""
    return f"totp of {user_id}"


def spend_totp(connection: Connection, user_id: str, step: int) -> bool:
    """Mark a code's step as used. False if it, or a later one, was used already: of two log-ins with one
    code, one gets in."""
    query = update(user).where(user.c.id == user_id, user.c.totp_step < step).values(totp_step=step)
    return connection.execute(query).rowcount == 1


def find_account(connection: Connection, username: str) -> Account | None:
    row = connection.execute(select(user).where(user.c.username == folded(username))).one_or_none()
    return _account(row) if row else None


def find_identity(connection: Connection, issuer: str, subject: str) -> Account | None:
    """Whose user a provider has vouched for before."""
    query = select(user).where(user.c.issuer == issuer, user.c.issuer_subject == subject)
    row = connection.execute(query).one_or_none()
    return _account(row) if row else None


def get_account(connection: Connection, user_id: str) -> Account:
    return _account(_one(connection, user.c.id, user_id, "user"))


def list_accounts(connection: Connection, *, department: str | None = None) -> list[Account]:
    """All accounts, or those of a department, by user name."""
    query = select(user).order_by(user.c.username)
    if department is not None:
        query = query.where(user.c.department == department)
    return [_account(row) for row in connection.execute(query)]


def keyholders(connection: Connection, user_id: str) -> frozenset[str]:
    """The administrators who may know this account's password: who gave it; who gave theirs; and so on."""
    found: set[str] = set()
    at: str | None = user_id
    while at is not None and at not in found:
        found.add(at)
        at = connection.scalar(select(user.c.keyed_by).where(user.c.id == at))
    return frozenset(found - {user_id})


def in_one_hand(connection: Connection, user_id: str, others: Iterable[str]) -> frozenset[str]:
    """Those of the others who may know this account's password, or whose own this account may know: no
    matter what the names say, one person may act as both."""
    mine = keyholders(connection, user_id)
    return frozenset(one for one in others if one in mine or user_id in keyholders(connection, one))


def get_subject(connection: Connection, user_id: str) -> Subject:
    return get_account(connection, user_id).subject


def list_subjects(
    connection: Connection, *, department: str | None = None, ids: Collection[str] | None = None
) -> list[Subject]:
    """Users by id; those of a department, or these."""
    query = select(user).order_by(user.c.id)
    if department is not None:
        query = query.where(user.c.department == department)
    if ids is None:
        return [_account(row).subject for row in connection.execute(query)]
    wanted, found = sorted(ids), []
    for at in range(0, len(wanted), CHUNK):
        rows = connection.execute(query.where(user.c.id.in_(wanted[at : at + CHUNK])))
        found += [_account(row).subject for row in rows]
    return found


# --- sessions -----------------------------------------------------------------------------------------


def add_session(connection: Connection, session: Session, token_hash: bytes) -> None:
    connection.execute(
        insert(user_session).values(
            id=session.id,
            user_id=session.user,
            hash=token_hash,
            created_ms=session.created,
            seen_ms=session.seen,
            expires_ms=session.expires,
            address=session.address,
            client=session.client,
        )
    )


def find_session(connection: Connection, token_hash: bytes) -> Session | None:
    row = connection.execute(select(user_session).where(user_session.c.hash == token_hash)).one_or_none()
    return _session(row) if row else None


def touch_session(connection: Connection, session_id: str, now: Ms) -> None:
    connection.execute(
        update(user_session)
        .where(user_session.c.id == session_id, user_session.c.seen_ms < now)
        .values(seen_ms=now)
    )


def list_sessions(connection: Connection, user_id: str) -> list[Session]:
    """Those that have not been ended, newest first. Some may have run out."""
    query = (
        select(user_session)
        .where(user_session.c.user_id == user_id, user_session.c.ended_ms.is_(None))
        .order_by(user_session.c.created_ms.desc())
    )
    return [_session(row) for row in connection.execute(query)]


def lapse_sessions(connection: Connection, now: Ms, idle_ms: int) -> int:
    """Keep it for good that the time of these sessions is over at ``now``, so that a clock put back revives
    none; how many. A view that runs in one goes on to the session's last instant (:func:`open_sessions`)."""
    return connection.execute(update(user_session).where(*_past(now, idle_ms)).values(lapsed_ms=now)).rowcount


def any_past_session(connection: Connection, now: Ms, idle_ms: int) -> bool:
    """Whether :func:`lapse_sessions` has something to do."""
    query = select(user_session.c.id).where(*_past(now, idle_ms)).limit(1)
    return connection.execute(query).first() is not None


def _past(now: Ms, idle_ms: int) -> tuple[ColumnElement[bool], ...]:
    s = user_session.c
    return s.lapsed_ms.is_(None), or_(s.expires_ms <= now, s.seen_ms <= now - idle_ms)


def open_sessions(connection: Connection, ids: Collection[str], now: Ms) -> set[str]:
    """Those of these sessions that nobody ended and that have not reached their end. One that is not used
    for a while counts as open: whoever looks at a picture does not touch anything."""
    query = select(user_session.c.id).where(
        user_session.c.id.in_(ids), user_session.c.ended_ms.is_(None), user_session.c.expires_ms > now
    )
    return set(connection.scalars(query)) if ids else set()


def end_sessions(
    connection: Connection, user_id: str, now: Ms, *, only: str | None = None, but: str | None = None
) -> list[str]:
    """End a user's sessions (one; all; all but one). Returns the ids of those that were open."""
    found = [
        session.id
        for session in list_sessions(connection, user_id)
        if (only is None or session.id == only) and session.id != but
    ]
    for at in range(0, len(found), CHUNK):
        connection.execute(
            update(user_session).where(user_session.c.id.in_(found[at : at + CHUNK])).values(ended_ms=now)
        )
    return found


def logged_in_from(connection: Connection, user_id: str, addresses: Collection[str], since: Ms) -> bool:
    """Whether the user has logged in from any of these addresses since then."""
    query = select(user_session.c.id).where(
        user_session.c.user_id == user_id,
        user_session.c.address.in_(list(addresses)),
        user_session.c.created_ms >= since,
    )
    return connection.execute(query.limit(1)).first() is not None


def purge_sessions(connection: Connection, before: Ms) -> int:
    """Forget sessions that ran out before then. The register remembers the log-ins."""
    return connection.execute(delete(user_session).where(user_session.c.expires_ms < before)).rowcount


# --- rules and cameras --------------------------------------------------------------------------------


def read_policies(connection: Connection) -> dict[Tier, Mapping[str, Any]]:
    """What differs from the defaults, by tier."""
    return {Tier(row.tier): row.settings for row in connection.execute(select(view_policy))}


def put_policy(connection: Connection, tier: Tier, settings: Mapping[str, Any], now: Ms) -> None:
    values = {"settings": dict(settings), "changed_ms": now}
    if not connection.execute(update(view_policy).where(view_policy.c.tier == tier).values(values)).rowcount:
        connection.execute(insert(view_policy).values(tier=tier, **values))


def put_place(connection: Connection, camera_id: str, place: Place) -> None:
    connection.execute(delete(camera_place).where(camera_place.c.camera_id == camera_id))
    if place is not Place.OPEN:
        connection.execute(insert(camera_place).values(camera_id=camera_id, place=place))


def put_masks(connection: Connection, camera_id: str, masks: Sequence[Mask]) -> None:
    """These and no others, for a camera that is in the registry."""
    connection.execute(delete(camera_mask).where(camera_mask.c.camera_id == camera_id))
    if masks:
        document = [{"name": mask.name, "points": [list(point) for point in mask.points]} for mask in masks]
        connection.execute(insert(camera_mask).values(camera_id=camera_id, masks=document))


def get_masks(connection: Connection, camera_id: str) -> tuple[Mask, ...]:
    """What must be painted over in this camera's picture. What cannot be read is an error, never "none"."""
    row = connection.execute(
        select(camera_mask.c.masks).where(camera_mask.c.camera_id == camera_id)
    ).one_or_none()
    if row is None:
        return ()
    return tuple(
        Mask(name=mask["name"], points=tuple((int(x), int(y)) for x, y in mask["points"]))
        for mask in row.masks
    )


def get_target(connection: Connection, camera_id: str) -> Target:
    """NotFoundError if the registry never had such a camera; one that is retired comes out as retired."""
    row = connection.execute(_targets().where(camera.c.id == camera_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no camera {camera_id!r}")
    return _target(row)


def list_targets(connection: Connection, ids: Collection[str] | None = None) -> list[Target]:
    """Every camera, or these."""
    if ids is None:
        return [_target(row) for row in connection.execute(_targets())]
    wanted, found = sorted(ids), []
    for at in range(0, len(wanted), CHUNK):
        rows = connection.execute(_targets().where(camera.c.id.in_(wanted[at : at + CHUNK])))
        found += [_target(row) for row in rows]
    return found


def read_area_parents(connection: Connection) -> dict[str, str | None]:
    return {row.id: row.parent for row in connection.execute(select(area.c.id, area.c.parent))}


# --- requests -----------------------------------------------------------------------------------------


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
    return _request(_one(connection, view_request.c.id, request_id, "request"))


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


# --- grants and overrides -----------------------------------------------------------------------------


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
    return _grant(_one(connection, view_grant.c.id, grant_id, "grant"))


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
    return _override(_one(connection, view_override.c.grant_id, grant_id, "override"))


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


def count_users(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(user)).scalar_one()


# --- rows to values -----------------------------------------------------------------------------------


def _one(connection: Connection, column: Column[Any], key: str, what: str) -> Row[Any]:
    """The row of this key; NotFoundError if there is none."""
    row = connection.execute(select(column.table).where(column == key)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {what} {key!r}")
    return row


def _targets() -> Select[Any]:
    columns = camera.c
    return select(
        columns.id,
        columns.department,
        columns.tier,
        columns.area,
        columns.tags,
        columns.retired_ms,
        camera_place.c.place,
    ).outerjoin(camera_place, camera_place.c.camera_id == columns.id)


def _target(row: Row[Any]) -> Target:
    return Target(
        camera=row.id,
        owner=row.department,
        tier=Tier(row.tier),
        area=row.area,
        tags=tuple(row.tags),
        place=Place(row.place or Place.OPEN),
        retired=row.retired_ms is not None,
    )


def _account(row: Row[Any]) -> Account:
    return Account(
        subject=Subject(
            id=row.id,
            name=row.name,
            department=row.department,
            roles=frozenset(Role(role) for role in row.roles),
            enabled=row.disabled_ms is None,
        ),
        username=row.username,
        password=row.password,
        totp=row.totp,
        totp_step=row.totp_step,
        created=row.created_ms,
        disabled=row.disabled_ms,
        identified=row.issuer_subject is not None,
        keyed_by=row.keyed_by,
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user=row.user_id,
        created=row.created_ms,
        seen=row.seen_ms,
        expires=row.expires_ms,
        address=row.address,
        client=row.client,
        ended=row.ended_ms,
        lapsed=row.lapsed_ms,
    )


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
