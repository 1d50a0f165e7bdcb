"""From a log-in to a revocation, in a real database with a real register; and what each refusal leaves."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from sharpeyes.access import passwords, people, totp
from sharpeyes.access.changes import Changed, Changes
from sharpeyes.access.desk import Desk, Form
from sharpeyes.access.people import CodeNeededError, LoggedIn, People, WaitError
from sharpeyes.access.policy import DEFAULTS, HOUR, MINUTE
from sharpeyes.access.register.entry import Entry, Kind, decode
from sharpeyes.access.register.figures import count
from sharpeyes.access.register.note import Signer
from sharpeyes.access.register.verify import verify
from sharpeyes.access.register.writer import Register
from sharpeyes.access.sessions import MOST_SESSIONS, SessionPolicy
from sharpeyes.domain.access import (
    Action,
    Allowed,
    Basis,
    Place,
    Purpose,
    Reason,
    Role,
    Selection,
    Stage,
    Subject,
)
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.grants import list_overrides, list_requests
from sharpeyes.store.organisation import put_areas, put_departments, put_zones
from sharpeyes.store.register import read_entries
from sharpeyes.store.vault import Vault

SIGNER = Signer("city.example/register", bytes(range(32)))
NOON = 1_790_049_600_000  # 2026-09-22T04:00:00Z, noon in Shanghai
HOME = "192.0.2.1"
PASSWORD = Secret("correct horse battery")
LIVE = frozenset({Action.LIVE})


class City:
    """Two owners, one asker, and a clock that moves when told."""

    def __init__(self, database: Database, register: Register, now: list[int]) -> None:
        self.database = database
        self.register = register
        self.now = now
        self.told: list[Changed] = []
        changes = Changes()
        changes.listen(self.told.append)
        clock = self.clock
        self.desk = Desk(database, register, changes, clock, ZoneInfo("Asia/Shanghai"))
        self.people = People(
            database, register, Vault([bytes(32)]), changes, clock, SessionPolicy(idle_ms=30 * MINUTE)
        )
        self.who: dict[str, Subject] = {}

    def clock(self) -> Ms:
        return Ms(self.now[0])

    def later(self, ms: int) -> None:
        self.now[0] += ms

    async def settle(self) -> None:
        for name, department, role in (
            ("wang", "traffic", Role.REQUESTER),
            ("li", "traffic", Role.REQUESTER),
            ("zhao", "police", Role.APPROVER),
            ("qian", "police", Role.APPROVER),
            ("sun", "school", Role.APPROVER),
            ("zhou", "police", Role.OPERATOR),
            ("wu", "audit", Role.AUDITOR),
            ("feng", "it", Role.ADMIN),
        ):
            password = PASSWORD if name in ("wang", "feng") else None
            self.who[name] = await self.people.add(
                None, username=name, name=name.title(), department=department, roles={role}, password=password
            )

    def id(self, name: str) -> str:
        return self.who[name].id

    def form(self, *cameras: str, **more: object) -> Form:
        return replace(
            Form(
                selection=Selection(cameras=frozenset(cameras)),
                users=frozenset({self.id("wang"), self.id("li")}),
                actions=LIVE,
                purpose=Purpose.TRAFFIC,
                purpose_text="Jam at the crossing",
            ),
            **more,  # type: ignore[arg-type]
        )

    async def log_in(
        self, password: Secret = PASSWORD, code: str | None = None, address: str = HOME
    ) -> LoggedIn:
        return await self.people.log_in("Wang", password, code, address=address, client="test")

    async def check(self, name: str, camera: str, grant: str | None = None) -> Reason | Basis:
        answer = await self.desk.check(self.id(name), camera, Action.LIVE, grant, address=HOME)
        return answer.basis if isinstance(answer, Allowed) else answer.reason

    def entries(self, kind: Kind | None = None) -> list[Entry]:
        def read(connection: Connection) -> list[Entry]:
            return [decode(row.body) for rows in read_entries(connection) for row in rows]

        return [entry for entry in self.database.read(read) if kind is None or entry.kind is kind]


def a_camera(name: str, department: str, tier: Tier, area: str, *tags: str) -> Camera:
    url = "rtsp://192.0.2.50/main"
    return Camera(
        id=name,
        name=name,
        tier=tier,
        department=department,
        area=area,
        zone="z",
        streams=(Stream(role=StreamRole.MAIN, url=url),),
        tags=tags,
    )


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    now = [NOON]
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()

        def fill(connection: Connection) -> None:
            departments = ("traffic", "police", "school", "audit", "it")
            put_departments(connection, [Department(id=name, name=name) for name in departments])
            put_areas(
                connection, [Area(id="city", name="city"), Area(id="north", name="north", parent="city")]
            )
            put_zones(connection, [Zone(id="z", name="z")])
            put_cameras(
                connection,
                [
                    a_camera("crossing", "police", Tier.PUBLIC_SECURITY, "north"),
                    a_camera("park", "police", Tier.COMMUNITY, "north", "green"),
                    a_camera("gate", "school", Tier.DEPARTMENTAL, "city"),
                ],
                now=Ms(NOON),
            )

        database.write(fill)
        clock = lambda: Ms(now[0])  # noqa: E731
        async with Register(database, SIGNER, clock, checkpoint_file=tmp_path / "checkpoints") as register:
            made = City(database, register, now)
            await made.settle()
            yield made
        verdict = database.read(
            lambda c: verify(c, (SIGNER.verifier,), (tmp_path / "checkpoints").read_text())
        )
        assert verdict.ok
        assert verdict.covered == verdict.entries


# --- the story ----------------------------------------------------------------------------------------


async def test_ask_approve_watch_revoke(city: City) -> None:
    session = await city.log_in()
    assert session.subject.id == city.id("wang")
    request = await city.desk.submit(city.id("wang"), city.form("crossing"))
    assert await city.check("wang", "crossing") is Reason.NO_GRANT
    _, none = await city.desk.approve(city.id("zhao"), request.id, "police", "fine by me")
    assert none is None
    assert await city.check("wang", "crossing") is Reason.NO_GRANT
    _, grant = await city.desk.approve(city.id("qian"), request.id, "police")
    assert grant is not None
    for name in ("wang", "li"):
        assert await city.check(name, "crossing") is Basis.GRANT
        assert await city.check(name, "crossing", grant.id) is Basis.GRANT
    assert await city.check("wang", "park") is Reason.OTHER_CAMERA
    assert await city.check("zhou", "crossing", grant.id) is Reason.OTHER_DEPARTMENT

    before = await city.desk.check(city.id("wang"), "crossing", Action.LIVE, grant.id, address="")
    assert isinstance(before, Allowed)
    assert before.until == NOON + 4 * HOUR
    city.told.clear()
    await city.desk.revoke(city.id("zhao"), grant.id, "the jam has dissolved")
    assert city.told == [Changed(grants=frozenset({grant.id}))]
    assert await city.check("wang", "crossing", grant.id) is Reason.REVOKED

    told = [(entry.kind, entry.user) for entry in city.entries() if entry.kind is not Kind.REFUSAL]
    wang, zhao, qian = city.id("wang"), city.id("zhao"), city.id("qian")
    assert told[-6:] == [
        (Kind.LOGIN, wang),
        (Kind.REQUEST, wang),
        (Kind.DECISION, zhao),
        (Kind.DECISION, qian),
        (Kind.RIGHT_CHANGED, qian),
        (Kind.RIGHT_CHANGED, zhao),
    ]
    refused = city.entries(Kind.REFUSAL)
    assert [entry.details["reason"] for entry in refused] == [
        "no_grant",
        "no_grant",
        "other_camera",
        "other_department",
        "revoked",
    ]
    assert all(entry.user and entry.name and entry.unit and entry.address == HOME for entry in refused)


async def test_the_lease_ends_by_itself(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    _, grant = await city.desk.approve(city.id("zhao"), request.id, "police")
    assert grant is not None
    city.later(8 * HOUR - 1)
    assert await city.check("wang", "park", grant.id) is Basis.GRANT
    city.later(1)
    assert await city.check("wang", "park", grant.id) is Reason.EXPIRED
    with pytest.raises(ConflictError):
        await city.desk.extend(city.id("zhao"), grant.id, Ms(city.clock() + HOUR))


async def test_extend_and_narrow(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    _, grant = await city.desk.approve(city.id("zhao"), request.id, "police")
    assert grant is not None
    await city.desk.extend(city.id("zhao"), grant.id, Ms(NOON + 10 * HOUR))
    await city.desk.narrow(city.id("zhao"), grant.id, users=frozenset({city.id("wang")}))
    city.later(9 * HOUR)
    assert await city.check("wang", "park") is Basis.GRANT
    assert await city.check("li", "park", grant.id) is Reason.OTHER_USER
    assert await city.check("li", "park") is Reason.NO_GRANT


async def test_several_owners_each_decide(city: City) -> None:
    form = replace(city.form(), selection=Selection(areas=frozenset({"city"})))
    request = await city.desk.submit(city.id("wang"), form)
    assert [(part.owner, part.needed) for part in request.parts] == [("police", 2), ("school", 1)]
    rejected = await city.desk.reject(city.id("sun"), request.id, "school", "not during lessons")
    assert rejected.part("school").stage is Stage.REJECTED  # type: ignore[union-attr]
    await city.desk.approve(city.id("zhao"), request.id, "police")
    _, grant = await city.desk.approve(city.id("qian"), request.id, "police")
    assert grant is not None
    assert grant.cameras == {"crossing", "park"}
    assert await city.check("wang", "gate") is Reason.OTHER_CAMERA


async def test_two_approvers_at_the_same_moment_make_one_grant(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    answers = await asyncio.gather(
        *(city.desk.approve(city.id(name), request.id, "police") for name in ("zhao", "qian")),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError", "tuple"]


async def test_what_nobody_may_do_is_registered(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    for name in ("wang", "sun", "feng", "wu"):
        with pytest.raises(ForbiddenError):
            await city.desk.approve(city.id(name), request.id, "police")
    with pytest.raises(ForbiddenError):
        await city.desk.set_policy(city.id("wang"), DEFAULTS[Tier.COMMUNITY])
    refused = city.entries(Kind.REFUSAL)
    assert [entry.details["step"] for entry in refused] == ["approve"] * 4 + ["set_policy"]
    assert refused[0].details["about"] == request.id
    assert not city.entries(Kind.DECISION)


async def test_requests_that_nobody_decides_expire(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    assert await city.desk.expire_requests() == 0
    city.later(8 * HOUR)
    assert await city.desk.expire_requests() == 1
    assert await city.desk.expire_requests() == 0
    found = city.database.read(lambda c: list_requests(c, department="traffic"))
    assert [(item.id, item.open) for item in found] == [(request.id, False)]
    assert city.entries(Kind.REQUEST)[-1].details["step"] == "expired"


async def test_withdrawn_is_withdrawn(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    await city.desk.withdraw(city.id("wang"), request.id)
    with pytest.raises(ConflictError):
        await city.desk.approve(city.id("zhao"), request.id, "police")


async def test_every_change_of_rights_is_told(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    _, grant = await city.desk.approve(city.id("zhao"), request.id, "police")
    assert grant is not None
    assert city.told[-1].grants == {grant.id}
    await city.desk.revoke(city.id("zhao"), grant.id, "no longer needed")
    assert city.told[-1] == Changed(grants=frozenset({grant.id}))
    await city.people.set_enabled(city.who["feng"], city.id("wang"), False)
    assert city.told[-1] == Changed(users=frozenset({city.id("wang")}))
    ((opened, _),) = await city.desk.override(city.id("zhou"), ["gate"], LIVE, "Fire at the school gate")
    assert city.told[-1].overrides == {opened.grant}
    await city.desk.set_place(city.id("feng"), "park", Place.BATH)
    assert city.told[-1] == Changed(cameras=frozenset({"park"}))
    await city.desk.set_policy(city.id("feng"), replace(DEFAULTS[Tier.COMMUNITY], approvers=2))
    assert city.told[-1] == Changed(policy=True)
    told = len(city.told)
    await city.check("wang", "park")
    assert len(city.told) == told


async def test_a_listener_that_fails_does_not_keep_the_news_from_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes, told = Changes(), list[Changed]()

    def fail(_: Changed) -> None:
        raise RuntimeError("no")

    changes.listen(fail)
    stop = changes.listen(told.append)
    changes.tell(Changed(policy=True))
    stop()
    changes.tell(Changed(policy=True))
    assert told == [Changed(policy=True)]
    assert "a listener for changed rights failed" in caplog.text


# --- emergencies --------------------------------------------------------------------------------------


async def test_an_emergency_opens_at_once_and_is_looked_at_afterwards(city: City) -> None:
    assert await city.check("zhou", "park") is Basis.OWN
    assert await city.check("zhou", "gate") is Reason.NO_GRANT
    opened = await city.desk.override(city.id("zhou"), ["gate", "park"], LIVE, "Fire at the school gate")
    assert {grant.owner for _, grant in opened} == {"school", "police"}
    assert city.told[-1].overrides == {override.grant for override, _ in opened}
    assert await city.check("zhou", "gate") is Basis.EMERGENCY
    school = next(override for override, grant in opened if grant.owner == "school")
    assert len(city.database.read(lambda c: list_overrides(c, unreviewed=True))) == 2
    with pytest.raises(ForbiddenError):
        await city.desk.review(city.id("zhao"), school.grant, True, "I trust my colleague")
    await city.desk.review(city.id("wu"), school.grant, True, "There was a fire")
    assert len(city.database.read(lambda c: list_overrides(c, unreviewed=True))) == 1
    city.later(30 * MINUTE)
    assert await city.check("zhou", "gate") is Reason.NO_GRANT
    entry = city.entries(Kind.OVERRIDE)[0]
    assert entry.details["reason"] == "Fire at the school gate"
    with pytest.raises(ForbiddenError):
        await city.desk.override(city.id("wang"), ["gate"], LIVE, "I should like to look")


# --- rules and cameras --------------------------------------------------------------------------------


async def test_policy_can_be_changed_and_counts_at_once(city: City) -> None:
    strict = replace(DEFAULTS[Tier.COMMUNITY], operators_watch_own=False, approvers=2)
    await city.desk.set_policy(city.id("feng"), strict)
    assert city.told[-1].policy
    assert await city.check("zhou", "park") is Reason.POLICY
    assert city.database.read(city.desk.rules).tiers[Tier.COMMUNITY] == strict
    entry = city.entries(Kind.POLICY_CHANGED)[0]
    assert entry.details["changed"] == {"approvers": [1, 2], "operators_watch_own": [True, False]}


async def test_a_camera_found_to_stand_where_none_may_be_goes_dark(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    await city.desk.set_place(city.id("feng"), "park", Place.CHANGING_ROOM)
    assert city.told[-1].cameras == {"park"}
    assert await city.check("zhou", "park") is Reason.PLACE_FORBIDDEN
    with pytest.raises(InvalidInputError, match="stands where none may be"):
        await city.desk.approve(city.id("zhao"), request.id, "police")
    with pytest.raises(InvalidInputError):
        await city.desk.submit(city.id("wang"), city.form("park"))
    await city.desk.set_place(city.id("feng"), "park", Place.OPEN)
    assert await city.check("zhou", "park") is Basis.OWN


async def test_a_camera_that_is_not_there(city: City) -> None:
    assert await city.check("wang", "x" * 500) is Reason.CAMERA_UNKNOWN
    assert await city.check("wang", "park", "g-nothing") is Reason.NO_GRANT
    with pytest.raises(NotFoundError):
        await city.desk.check("u-nobody", "park", Action.LIVE, address=HOME)


# --- logging in ---------------------------------------------------------------------------------------


async def test_sessions_are_listed_and_ended(city: City) -> None:
    first, second = await city.log_in(), await city.log_in()
    subject, session = await city.people.authenticate(first.token.reveal())
    assert (subject.id, session.id) == (city.id("wang"), first.session.id)
    assert len(await city.people.sessions_of(subject.id)) == 2
    with pytest.raises(ForbiddenError):
        await city.people.end_sessions(city.who["li"], subject.id)
    assert await city.people.end_sessions(subject, subject.id, but=first.session.id) == 1
    with pytest.raises(UnauthenticatedError):
        await city.people.authenticate(second.token.reveal())
    await city.people.authenticate(first.token.reveal())
    assert await city.people.end_sessions(city.who["feng"], subject.id) == 1
    with pytest.raises(UnauthenticatedError):
        await city.people.authenticate(first.token.reveal())


async def test_a_session_lives_while_it_is_used(city: City) -> None:
    token = (await city.log_in()).token.reveal()
    for _ in range(4):
        city.later(20 * MINUTE)
        await city.people.authenticate(token)
    city.later(30 * MINUTE)
    with pytest.raises(UnauthenticatedError):
        await city.people.authenticate(token)
    for junk in ("", "x", "\ud800", token[:-1]):
        with pytest.raises(UnauthenticatedError):
            await city.people.authenticate(junk)


async def test_a_disabled_user_is_out_at_once(city: City) -> None:
    token = (await city.log_in()).token.reveal()
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    _, grant = await city.desk.approve(city.id("zhao"), request.id, "police")
    assert grant is not None
    await city.people.set_enabled(city.who["feng"], city.id("wang"), False)
    assert city.told[-1].users == {city.id("wang")}
    with pytest.raises(UnauthenticatedError):
        await city.people.authenticate(token)
    assert await city.check("wang", "park", grant.id) is Reason.USER_DISABLED
    with pytest.raises(UnauthenticatedError, match="wrong"):
        await city.log_in()
    with pytest.raises(ForbiddenError):
        await city.desk.submit(city.id("wang"), city.form("park"))


async def test_an_account_that_is_disabled_while_its_password_is_checked_gets_no_session(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, disabled = threading.Event(), threading.Event()

    def at_length(encoded: str | None, password: Secret) -> bool:
        begun.set()
        return disabled.wait(60) and passwords.matches(encoded, password)

    monkeypatch.setattr(people, "matches", at_length)
    asked = asyncio.create_task(city.log_in())
    try:
        assert await asyncio.to_thread(begun.wait, 60)
        await city.people.set_enabled(city.who["feng"], city.id("wang"), False)
    finally:
        disabled.set()
    with pytest.raises(UnauthenticatedError):
        await asked
    assert not await city.people.sessions_of(city.id("wang"))


async def test_failures_are_registered_and_slowed_but_only_where_they_come_from(city: City) -> None:
    await city.log_in()
    for _ in range(4):
        with pytest.raises(UnauthenticatedError):
            await city.log_in(Secret("wrong password!"), address="203.0.113.9")
    with pytest.raises(WaitError) as caught:
        await city.log_in(address="203.0.113.9")  # even with the right one
    assert caught.value.retry_after_s == 1
    await city.log_in()
    outcomes = [(e.details["outcome"], e.address) for e in city.entries(Kind.LOGIN)]
    assert outcomes == [("ok", HOME), *[("wrong", "203.0.113.9")] * 4, ("ok", HOME)]
    assert {entry.user for entry in city.entries(Kind.LOGIN)} == {city.id("wang")}


async def test_a_name_that_does_not_exist_is_answered_alike_and_not_written_down(city: City) -> None:
    """It may be a password in the wrong field."""
    answers = []
    for name in ("wang", "my-secret-password"):
        with pytest.raises(UnauthenticatedError) as caught:
            await city.people.log_in(name, Secret("wrong password!"), address=HOME, client="test")
        answers.append(caught.value.message)
    assert answers[0] == answers[1]
    last = city.entries(Kind.LOGIN)[-1]
    assert (last.user, last.name, last.details) == (None, None, {"outcome": "wrong"})


async def test_one_session_too_many_ends_the_oldest_and_the_register_says_so(city: City) -> None:
    begun = []
    for _ in range(MOST_SESSIONS + 2):
        city.later(1)
        begun.append((await city.log_in()).session.id)
    alive = await city.people.sessions_of(city.who["wang"].id)
    assert [session.id for session in alive] == begun[:1:-1]
    ended = [entry.details for entry in city.entries(Kind.LOGIN) if entry.details["outcome"] == "ended"]
    assert [(one["session"], one["why"]) for one in ended] == [(name, "too_many") for name in begun[:2]]


async def test_codes(city: City) -> None:
    wang = city.who["wang"]
    secret = totp.new_secret()

    def code() -> str:
        return totp.code_at(secret, city.now[0] // totp.STEP_MS)

    with pytest.raises(InvalidInputError):
        await city.people.confirm_totp(wang, secret, "000000" if code() != "000000" else "111111")
    await city.people.confirm_totp(wang, secret, code())
    stored = city.database.read(lambda c: c.exec_driver_sql("SELECT totp FROM user_account").scalars().all())
    assert not any(secret.reveal().encode() in (value or b"") for value in stored)
    with pytest.raises(CodeNeededError):
        await city.log_in()
    with pytest.raises(UnauthenticatedError):
        await city.log_in(code=code())  # used when it was confirmed
    city.later(totp.STEP_MS)
    answers = await asyncio.gather(*(city.log_in(code=code()) for _ in range(2)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["LoggedIn", "UnauthenticatedError"]
    city.later(10 * MINUTE)
    await city.people.remove_totp(city.who["feng"], wang.id)
    await city.log_in()


async def test_accounts_are_managed_by_administrators_and_nobody_raises_themselves(city: City) -> None:
    feng, wang = city.who["feng"], city.who["wang"]
    new = {"name": "He", "department": "it", "roles": {Role.REQUESTER}, "password": None}
    await city.people.add(feng, username="he", **new)  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match="taken"):
        await city.people.add(feng, username="HE", **new)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        await city.people.add(wang, username="she", **new)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError, match="their own"):
        await city.people.set_roles(feng, feng.id, {Role.ADMIN, Role.OPERATOR})
    with pytest.raises(InvalidInputError, match="auditor"):
        await city.people.set_roles(feng, wang.id, {Role.AUDITOR, Role.ADMIN})
    await city.people.set_roles(feng, wang.id, {Role.MAINTAINER})
    assert await city.check("wang", "park") is Reason.MAINTAINER
    for old in (None, Secret("wrong password!")):
        with pytest.raises(ForbiddenError, match="old password"):
            await city.people.set_password(wang, wang.id, Secret("another good password"), old=old)
    with pytest.raises(ForbiddenError):
        await city.people.set_password(wang, feng.id, Secret("another good password"), old=PASSWORD)
    await city.people.set_password(wang, wang.id, Secret("another good password"), old=PASSWORD)
    with pytest.raises(UnauthenticatedError):
        await city.log_in()
    await city.log_in(Secret("another good password"))
    with pytest.raises(NotFoundError):
        await city.people.set_enabled(feng, "u-nobody", False)
    changes = [entry.details["change"] for entry in city.entries(Kind.RIGHT_CHANGED)]
    assert changes[-3:] == ["user_added", "roles", "password"]


# --- what is published --------------------------------------------------------------------------------


async def test_figures_count_by_department_and_purpose_and_name_nobody(city: City) -> None:
    request = await city.desk.submit(city.id("wang"), city.form("park"))
    _, grant = await city.desk.approve(city.id("zhao"), request.id, "police")
    assert grant is not None
    refused = await city.desk.submit(city.id("li"), city.form("gate"))
    await city.desk.reject(city.id("sun"), refused.id, "school", "not during lessons")
    await city.desk.revoke(city.id("qian"), grant.id, "no longer needed")
    await city.check("wang", "park")
    await city.desk.override(city.id("zhou"), ["gate"], LIVE, "Fire at the school gate")
    found = count(city.entries(), Span(Ms(NOON), Ms(NOON + 1)))
    traffic = found["traffic", "traffic"].as_json()
    assert {name: value for name, value in traffic.items() if value} == {
        "requests": 2,
        "approvals": 1,
        "rejections": 1,
        "grants": 1,
        "revocations": 1,
    }
    assert found["police", "emergency"].overrides == 1
    assert found["traffic", ""].refusals == 1
    assert not count(city.entries(), Span(Ms(NOON + 1), Ms(NOON + 2)))
