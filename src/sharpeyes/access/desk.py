"""The desk: where the pure steps of requests and grants meet the store, the register and the gateways.

Every step is one transaction: it reads who acts as they are *now*, takes the pure step, stores what came of
it and the register's entry for it. Both are durable before the caller hears of it, and then whoever runs a
picture is told what changed. A step that somebody may not take is registered as a refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from typing import Any, TypeVar

from sqlalchemy import Connection

from sharpeyes.access import entries, grants, requests
from sharpeyes.access.changes import Changed, Changes
from sharpeyes.access.decide import decide, decide_among
from sharpeyes.access.policy import DEFAULTS, Rules, ViewPolicy
from sharpeyes.access.register.entry import Entry
from sharpeyes.access.register.writer import Register
from sharpeyes.access.requests import Application
from sharpeyes.domain.access import (
    FORBIDDEN_PLACES,
    Action,
    Decision,
    Grant,
    Override,
    Part,
    Place,
    Purpose,
    Reason,
    Refused,
    Request,
    Role,
    Schedule,
    Selection,
    Stage,
    Subject,
    Target,
)
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from sharpeyes.domain.masks import MOST_MASKS, Mask
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database
from sharpeyes.store.grants import (
    any_past_grant,
    get_grant,
    get_override,
    get_request,
    lapse_grants,
    list_due_requests,
    list_grants,
    list_overrides,
    list_requests,
    put_grant,
    put_override,
    put_request,
)
from sharpeyes.store.people import get_subject, in_one_hand, list_subjects
from sharpeyes.store.rules import (
    get_masks,
    get_target,
    list_targets,
    put_masks,
    put_place,
    put_policy,
    read_area_parents,
    read_policies,
)

T = TypeVar("T")

Step = Callable[[Connection, Subject, Ms], tuple[Sequence[Entry], T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A request as somebody fills it in: users by id, the rest as in :class:`Application`."""

    selection: Selection
    users: frozenset[str]
    actions: frozenset[Action]
    purpose: Purpose
    purpose_text: str
    case_number: str | None = None
    start: Ms | None = None
    end: Ms | None = None
    schedule: Schedule | None = None


class Desk:
    """Requests, grants and overrides of one site. ``by`` is the id of the user who acts."""

    def __init__(
        self,
        database: Database,
        register: Register,
        changes: Changes,
        clock: Callable[[], Ms],
        zone: tzinfo,
    ) -> None:
        """``zone``: time zone of the site's wall clocks."""
        self._database = database
        self._register = register
        self._changes = changes
        self._clock = clock
        self._zone = zone

    # --- asking ---------------------------------------------------------------------------------------

    async def check(
        self, by: str, camera: str, action: Action, grant: str | None = None, *, address: str
    ) -> Decision:
        """May this user do this now? Under the grant named, else under whichever right serves best. A
        refusal is in the register before it is given; WaitError instead of one more of too many."""
        now = self._clock()
        answer, subject, purpose = await self._database.aquick(
            lambda connection: self._decide(connection, by, camera, action, grant, now)
        )
        if isinstance(answer, Refused):
            await self._register.append(
                entries.refused(
                    now,
                    subject,
                    answer,
                    step=action,
                    camera=camera[:64],
                    grant=grant[:64] if grant else None,
                    purpose=purpose,
                    address=address,
                )
            )
        return answer

    async def watchable(self, by: str) -> dict[str, Decision]:
        """What this user would be told of each camera in service, asked for its live picture now: to know
        beforehand what to offer. Nothing is registered, since nothing was asked for."""
        now = self._clock()

        def look(connection: Connection) -> dict[str, Decision]:
            subject, rules = get_subject(connection, by), self.rules(connection)
            running = list_grants(connection, user_id=by, running_at=now)
            covering: dict[str, tuple[Grant, ...]] = {}
            for grant in running:
                for camera in grant.cameras:
                    covering[camera] = (*covering.get(camera, ()), grant)
            return {
                target.camera: decide_among(
                    subject, target, Action.LIVE, covering.get(target.camera, ()), now, rules
                )
                for target in list_targets(connection)
                if not target.retired
            }

        return await self._database.aread(look)

    def _decide(
        self, connection: Connection, by: str, camera: str, action: Action, grant: str | None, now: Ms
    ) -> tuple[Decision, Subject, Purpose | None]:
        """The answer, who asked, and the purpose of the grant that was named."""
        subject, rules = get_subject(connection, by), self.rules(connection)
        try:
            target = get_target(connection, camera)
        except NotFoundError:
            return Refused(reason=Reason.CAMERA_UNKNOWN, message="There is no such camera"), subject, None
        if grant is None:
            running = tuple(list_grants(connection, user_id=by, running_at=now))
            return decide_among(subject, target, action, running, now, rules), subject, None
        try:
            named = get_grant(connection, grant)
        except NotFoundError:
            return Refused(reason=Reason.NO_GRANT, message="There is no such grant"), subject, None
        return decide(subject, target, action, named, now, rules), subject, named.terms.purpose

    def rules(self, connection: Connection) -> Rules:
        """The rules as they stand in this transaction."""
        changed = read_policies(connection)
        tiers = {tier: replace(policy, **changed.get(tier, {})) for tier, policy in DEFAULTS.items()}
        return Rules(zone=self._zone, tiers=tiers)

    # --- requests -------------------------------------------------------------------------------------

    async def submit(self, by: str, form: Form) -> Request:
        """A new request for what the form selects."""

        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], Request]:
            waiting = list_requests(
                connection, applicant=subject.id, undecided=True, limit=requests.MOST_UNDECIDED
            )
            if len(waiting) == requests.MOST_UNDECIDED:
                raise ConflictError(
                    f"{len(waiting)} requests of yours wait for a decision",
                    mend="Withdraw those that are not needed any more",
                )
            found = requests.resolve(form.selection, list_targets(connection), read_area_parents(connection))
            users = list_subjects(connection, ids=form.users)
            if missing := sorted(form.users - {user.id for user in users}):
                raise InvalidInputError(f"users: there is no {missing[0]!r}")
            application = Application(
                users=tuple(users),
                actions=form.actions,
                purpose=form.purpose,
                purpose_text=form.purpose_text,
                case_number=form.case_number,
                start=form.start,
                end=form.end,
                schedule=form.schedule,
            )
            request = requests.submit(_new_id("r"), subject, application, found, now, self.rules(connection))
            put_request(connection, request)
            return [entries.requested(now, subject, request, "submitted")], request

        return await self._take(by, "submit", "request", step)

    async def approve(
        self, by: str, request_id: str, owner: str, reason: str = ""
    ) -> tuple[Request, Grant | None]:
        """One approver's yes for one owner's cameras; the grant, if that was the last that was needed."""

        def step(
            connection: Connection, subject: Subject, now: Ms
        ) -> tuple[list[Entry], tuple[Request, Grant | None]]:
            request = get_request(connection, request_id)
            needed, gone = self._wanted_now(connection, request.part(owner))
            hands = in_one_hand(connection, subject.id, _people_of(request))
            request = requests.approve(
                request, owner, subject, now, reason, needed=needed, gone=gone, hands=hands
            )
            put_request(connection, request)
            said = [entries.decided(now, subject, request, owner, "approved", reason)]
            part = request.part(owner)
            if part is None or part.stage is not Stage.APPROVED:
                return said, (request, None)
            policy = self.rules(connection).strictest(self._targets_of(connection, part))
            if request.terms.period.length_ms > policy.longest_life_ms:
                raise ConflictError(
                    f"policy allows grants of {policy.longest_life_ms // 3_600_000} hours on these cameras, "
                    "and more is asked for",
                    mend="Reject this part; the applicant can ask anew",
                )
            users = _standing(connection, request)
            grant = grants.issue(_new_id("g"), request, part, now, policy, users=users)
            put_grant(connection, grant)
            return [*said, entries.right_changed(now, subject, grant, "issued")], (request, grant)

        request, grant = await self._take(by, "approve", request_id, step)
        if grant:
            self._changes.tell(Changed(grants=frozenset({grant.id}), users=grant.terms.users))
        return request, grant

    async def reject(self, by: str, request_id: str, owner: str, reason: str) -> Request:
        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], Request]:
            request = requests.reject(get_request(connection, request_id), owner, subject, now, reason)
            put_request(connection, request)
            return [entries.decided(now, subject, request, owner, "rejected", reason)], request

        return await self._take(by, "reject", request_id, step)

    async def withdraw(self, by: str, request_id: str) -> Request:
        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], Request]:
            request = requests.withdraw(get_request(connection, request_id), subject, now)
            put_request(connection, request)
            return [entries.requested(now, subject, request, "withdrawn")], request

        return await self._take(by, "withdraw", request_id, step)

    async def expire_requests(self) -> int:
        """Expire what nobody decided in time. To be called every minute."""
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], int]:
            expired = [requests.expire(request, now) for request in list_due_requests(connection, now)]
            for request in expired:
                put_request(connection, request)
            return [entries.requested(now, None, request, "expired") for request in expired], len(expired)

        if not await self._database.aread(lambda connection: list_due_requests(connection, now)):
            return 0
        return await self._register.record(change)

    # --- grants ---------------------------------------------------------------------------------------

    async def lapse_grants(self) -> int:
        """Keep it that grants have ended, so that a clock put back revives none. To be called every few
        seconds."""
        now = self._clock()
        if not await self._database.aread(lambda connection: any_past_grant(connection, now)):
            return 0
        return await self._database.awrite(lambda connection: lapse_grants(connection, now))

    async def extend(self, by: str, grant_id: str, end: Ms) -> Grant:
        def step(connection: Connection, subject: Subject, now: Ms, grant: Grant) -> Grant:
            policy = self.rules(connection).strictest(list_targets(connection, grant.cameras))
            hands = in_one_hand(connection, subject.id, {grant.applicant, *grant.terms.users})
            return grants.extend(grant, subject, end, now, policy, hands=hands)

        return await self._change_grant(by, grant_id, "extended", step)

    async def narrow(
        self,
        by: str,
        grant_id: str,
        *,
        cameras: frozenset[str] | None = None,
        users: frozenset[str] | None = None,
        actions: frozenset[Action] | None = None,
        end: Ms | None = None,
        schedule: Schedule | None = None,
    ) -> Grant:
        def step(_: Connection, subject: Subject, now: Ms, grant: Grant) -> Grant:
            return grants.narrow(
                grant,
                subject,
                now,
                cameras=cameras,
                users=users,
                actions=actions,
                end=end,
                schedule=schedule,
            )

        return await self._change_grant(by, grant_id, "narrowed", step)

    async def revoke(self, by: str, grant_id: str, reason: str) -> Grant:
        """The end of a grant. Listeners are told the moment that it is durable."""

        def step(_: Connection, subject: Subject, now: Ms, grant: Grant) -> Grant:
            return grants.revoke(grant, subject, reason, now)

        return await self._change_grant(by, grant_id, "revoked", step, reason)

    # --- emergencies ----------------------------------------------------------------------------------

    async def override(
        self,
        by: str,
        cameras: Iterable[str],
        actions: frozenset[Action],
        reason: str,
        *,
        life_ms: int | None = None,
    ) -> tuple[tuple[Override, Grant], ...]:
        """Open cameras at once, one grant an owner. The auditors learn of it from ``unreviewed`` and from
        the change that is told in this moment."""
        wanted = frozenset(cameras)

        def step(
            connection: Connection, subject: Subject, now: Ms
        ) -> tuple[list[Entry], tuple[tuple[Override, Grant], ...]]:
            targets = list_targets(connection, wanted)
            if missing := sorted(wanted - {target.camera for target in targets}):
                raise InvalidInputError(f"cameras: {missing[0]!r} is not in the registry")
            rules = self.rules(connection)
            if targets and len(targets) > (policy := rules.strictest(targets)).override_cameras:
                raise InvalidInputError("cameras: more than policy lets an override open")
            if targets:
                running = list_grants(connection, user_id=by, running_at=now)
                grants.check_repeated(
                    frozenset().union(*(grant.cameras for grant in running if grant.emergency)),
                    list_overrides(connection, user=by, unreviewed=True),
                    wanted,
                    policy,
                )
            opened = []
            for owner in sorted({target.owner for target in targets}):
                owned = tuple(target for target in targets if target.owner == owner)
                pair = grants.override(
                    _new_id("e"), subject, owned, actions, reason, now, rules, life_ms=life_ms
                )
                put_grant(connection, pair[1])
                put_override(connection, pair[0])
                opened.append(pair)
            if not opened:
                raise InvalidInputError("cameras: none is chosen")
            return [entries.overridden(now, subject, *pair) for pair in opened], tuple(opened)

        opened = await self._take(by, "override", "cameras", step)
        self._changes.tell(
            Changed(
                grants=frozenset(grant.id for _, grant in opened),
                users=frozenset({by}),
                overrides=frozenset(override.grant for override, _ in opened),
            )
        )
        return opened

    async def review(self, by: str, grant_id: str, justified: bool, reason: str) -> Override:
        """Another person's judgement of an override."""

        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], Override]:
            opened = get_override(connection, grant_id)
            hands = in_one_hand(connection, subject.id, {opened.by})
            opened = grants.review(opened, subject, justified, reason, now, hands=hands)
            put_override(connection, opened)
            return [entries.reviewed(now, subject, opened)], opened

        return await self._take(by, "review", grant_id, step)

    # --- rules ----------------------------------------------------------------------------------------

    async def set_policy(self, by: str, policy: ViewPolicy, *, version: str | None = None) -> None:
        """Other rules for a tier, for all that is decided from now on; running pictures are judged again.

        ConflictError if the rules are others than those of ``version``, which somebody read before."""

        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], None]:
            _check_admin(subject)
            held = self.rules(connection).tiers[policy.tier]
            if version is not None and version != held.version:
                raise ConflictError(
                    f"the rules of {policy.tier} were changed since you read them",
                    mend="Look at what they say now, and change that",
                )
            before = asdict(held)
            default = asdict(DEFAULTS[policy.tier])
            wanted = asdict(policy)
            put_policy(connection, policy.tier, {k: v for k, v in wanted.items() if v != default[k]}, now)
            differs = {k: [before[k], v] for k, v in wanted.items() if v != before[k]}
            entry = entries.policy_changed(now, subject, "view_policy", tier=policy.tier, changed=differs)
            return [entry], None

        await self._take(by, "set_policy", policy.tier, step)
        self._changes.tell(Changed(policy=True))

    async def set_place(self, by: str, camera: str, place: Place) -> None:
        """What kind of place a camera stands in. From then on nobody watches where the law forbids it."""

        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], None]:
            _check_admin(subject)
            before = get_target(connection, camera).place
            put_place(connection, camera, place)
            said: dict[str, Any] = {"camera": camera, "before": before, "place": place}
            return [entries.policy_changed(now, subject, "place", **said)], None

        await self._take(by, "set_place", camera, step)
        self._changes.tell(Changed(cameras=frozenset({camera})))

    async def set_masks(self, by: str, camera: str, masks: Sequence[Mask]) -> None:
        """What nobody may see of a camera's picture. Pictures that run without these masks end at once."""

        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], None]:
            _check_admin(subject)
            if len(masks) > MOST_MASKS:
                raise InvalidInputError(f"masks: a camera has at most {MOST_MASKS}")
            get_target(connection, camera)
            before = get_masks(connection, camera)
            put_masks(connection, camera, masks)
            return [entries.masks_changed(now, subject, camera, before, masks)], None

        await self._take(by, "set_masks", camera, step)
        self._changes.tell(Changed(cameras=frozenset({camera})))

    # --- within ---------------------------------------------------------------------------------------

    async def _take(self, by: str, name: str, about: str, step: Step[T]) -> T:
        """One step in one transaction with its entries; a refusal goes into the register as well. WaitError
        for whoever was refused too often of late."""
        now = self._clock()
        self._register.refusals.check(by, now)

        def change(connection: Connection) -> tuple[Sequence[Entry], T]:
            return step(connection, get_subject(connection, by), now)

        try:
            return await self._register.record(change)
        except ForbiddenError as error:
            subject = await self._database.aread(lambda connection: get_subject(connection, by))
            await self._register.append(entries.forbidden(now, subject, error.message, name, about[:64]))
            raise

    async def _change_grant(
        self,
        by: str,
        grant_id: str,
        change: str,
        act: Callable[[Connection, Subject, Ms, Grant], Grant],
        reason: str = "",
    ) -> Grant:
        def step(connection: Connection, subject: Subject, now: Ms) -> tuple[list[Entry], Grant]:
            before = get_grant(connection, grant_id)
            grant = act(connection, subject, now, before)
            put_grant(connection, grant)
            return [entries.right_changed(now, subject, grant, change, reason)], grant

        grant = await self._take(by, change, grant_id, step)
        self._changes.tell(Changed(grants=frozenset({grant.id})))
        return grant

    def _wanted_now(self, connection: Connection, part: Part | None) -> tuple[int, frozenset[str]]:
        """How many approvals policy wants for this part now, and who gave one and might not any more."""
        if part is None:
            return 1, frozenset()
        voters = {vote.by for vote in part.approvals}
        standing = {
            voter.id
            for voter in list_subjects(connection, ids=voters)
            if voter.enabled and voter.has(Role.APPROVER) and voter.department == part.owner
        }
        targets = list_targets(connection, part.cameras)
        return self.rules(connection).strictest(targets).approvers, frozenset(voters - standing)

    def _targets_of(self, connection: Connection, part: Part) -> list[Target]:
        """The part's cameras, if the owner still owns them and none became one that nobody may watch."""
        targets = list_targets(connection, part.cameras)
        for target in targets:
            if target.owner != part.owner or target.retired or target.place in FORBIDDEN_PLACES:
                raise InvalidInputError(
                    f"camera {target.camera!r} has changed hands, is retired or stands where none may be "
                    "watched since it was asked for",
                    mend="Reject this part; the applicant can ask anew",
                )
        return targets


def _check_admin(subject: Subject) -> None:
    if not subject.enabled or not subject.has(Role.ADMIN):
        raise ForbiddenError("only administrators change the rules")


def _people_of(request: Request) -> frozenset[str]:
    """Whoever asked, will watch or has said yes."""
    voters = {vote.by for part in request.parts for vote in part.approvals}
    return frozenset({request.applicant, *request.terms.users, *voters})


def _standing(connection: Connection, request: Request) -> frozenset[str]:
    """The users that the request names, less those whose accounts are disabled. ConflictError if nobody is
    left, or the applicant is one of these."""
    named = list_subjects(connection, ids={request.applicant, *request.terms.users})
    enabled = {user.id for user in named if user.enabled}
    users = request.terms.users & enabled
    if request.applicant not in enabled or not users:
        raise ConflictError(
            "the account of the applicant, or of everybody named, is disabled", mend="Reject this part"
        )
    return users


def _new_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(8)}"
