"""Whose power ends with whose account, and that one person with two accounts is one person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import exists, select

from api_client import client_of, kind
from api_people import PASSWORD, Browser, Clock, Staff, staff_of
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.access_schema import user_session
from sharpeyes.store.schema import api_token

DAY = 86_400_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def staff(tmp_path: Path, clock: Clock) -> AsyncIterator[Staff]:
    async with client_of(tmp_path, clock=clock) as client, staff_of(client) as staff:
        yield staff


async def engage(staff: Staff, by: str, name: str, department: str, *roles: str) -> Browser:
    """An account that somebody makes in the console, logged in."""
    form = {"username": name, "name": name, "department": department, "roles": roles, "password": PASSWORD}
    answer = await staff[by].post("/api/v1/users", json=form)
    assert answer.status_code == 201, answer.text
    staff.browsers[name] = browser = await staff.browser()
    assert (await browser.log_in(name)).status_code == 201
    return browser


async def make(staff: Staff, name: str, department: str, *roles: Role) -> Browser:
    """An account that the host makes, logged in."""
    people = staff.client.service.access.people  # type: ignore[union-attr]
    await people.add(
        None, username=name, name=name, department=department, roles=roles, password=Secret(PASSWORD)
    )
    staff.browsers[name] = browser = await staff.browser()
    assert (await browser.log_in(name)).status_code == 201
    return browser


async def token_of(caller: httpx.AsyncClient, **more: Any) -> dict[str, str]:
    answer = await caller.post("/api/v1/tokens", json={"name": "poll", "scopes": ["admin"], **more})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def decide(staff: Staff, request: dict[str, Any], by: str, **more: Any) -> httpx.Response:
    return await staff[by].post(f"/api/v1/view-requests/{request['id']}/approve", json=more)


class TestDisabled:
    async def test_sessions_tokens_and_wishes_end_at_once_and_for_good(self, staff: Staff) -> None:
        he = await make(staff, "deng", "edu", Role.ADMIN, Role.REQUESTER)
        machine = await staff.browser()
        own = await token_of(he)
        heirs = await token_of(machine_with(machine, own))
        wish = await staff.ask("gate-1", by="deng")
        shared = await staff.ask("gate-1", by="wang", users=[staff.id("wang"), he.id])
        for enabled in (False, True):
            answer = await staff["feng"].patch(f"/api/v1/users/{he.id}", json={"enabled": enabled})
            assert answer.status_code == 200
            assert (await he.get("/api/v1/session")).status_code == 401
            for headers in (own, heirs):
                assert (await machine.get("/api/v1/cameras", headers=headers)).status_code == 401
        assert kind(await decide(staff, wish, "zhao")) == (409, "conflict")
        (entry,) = [e for e in await staff.register(kind="request") if e["details"]["step"] == "withdrawn"]
        assert (entry["user"], entry["request"]) == (staff.id("feng"), wish["id"])
        (said,) = [
            e for e in await staff.register(kind="right_changed") if e["details"]["change"] == "disabled"
        ]
        assert len(said["details"]["tokens"]) == 2
        await staff["feng"].patch(f"/api/v1/users/{he.id}", json={"enabled": False})
        grant = await staff.approve(shared, "zhao", "qian")
        assert grant
        assert grant["terms"]["users"] == [staff.id("wang")], "who is disabled is not let in later"

    async def test_their_yes_counts_no_more(self, staff: Staff) -> None:
        wish = await staff.ask("gate-1")
        assert await staff.approve(wish, "zhao") is None
        await staff["feng"].patch(f"/api/v1/users/{staff.id('zhao')}", json={"enabled": False})
        assert await staff.approve(wish, "qian") is None

    async def test_who_is_no_administrator_any_more_has_no_tokens(self, staff: Staff) -> None:
        he = await make(staff, "deng", "edu", Role.ADMIN)
        headers, machine = await token_of(he), await staff.browser()
        assert (await machine.get("/api/v1/tokens", headers=headers)).status_code == 200
        await staff["feng"].patch(f"/api/v1/users/{he.id}", json={"roles": ["operator"]})
        assert (await machine.get("/api/v1/tokens", headers=headers)).status_code == 401


def machine_with(machine: Browser, headers: dict[str, str]) -> Browser:
    machine.headers.update(headers)
    return machine


class TestClockPutBack:
    async def test_a_token_that_was_seen_expired_stays_so(self, staff: Staff, clock: Clock) -> None:
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        headers = await token_of(staff["feng"], expires=expires)
        machine = await staff.browser()
        for ahead, status in ((0, 200), (7_200_000, 401), (0, 401)):
            clock.ahead_ms = ahead
            answer = await machine.get("/api/v1/cameras", headers=headers)
            assert answer.status_code == status, ahead
        assert "expired" in answer.json()["detail"]

    @pytest.mark.parametrize("ahead_ms", [3_600_000, 13 * 3_600_000], ids=["idle", "over"])
    async def test_a_session_that_was_seen_over_stays_so(
        self, staff: Staff, clock: Clock, ahead_ms: int
    ) -> None:
        for ahead, status in ((0, 200), (ahead_ms, 401), (0, 401)):
            clock.ahead_ms = ahead
            assert (await staff["wang"].get("/api/v1/session")).status_code == status, ahead
        assert (await staff["wang"].log_in("wang")).status_code == 201

    async def test_what_nobody_asks_for_is_seen_over_too(self, tmp_path: Path, clock: Clock) -> None:
        """By the chores, here those of a service that starts while the clock is ahead."""
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        async with client_of(tmp_path, clock=clock) as client, staff_of(client) as staff:
            headers = await token_of(staff["feng"], expires=expires)
            cookies = staff["wang"].cookies
        clock.ahead_ms = DAY
        async with client_of(tmp_path, clock=clock) as client:
            waiting = [table.c.lapsed_ms.is_(None) for table in (user_session, api_token)]
            waiting[1] &= api_token.c.expires_ms.is_not(None)
            query = select(exists().where(waiting[0]) | exists().where(waiting[1]))
            async with asyncio.timeout(60):
                while await client.service.database.aread(lambda c: c.scalar(query)):
                    await asyncio.sleep(0.02)
        clock.ahead_ms = 0
        async with client_of(tmp_path, clock=clock) as client:
            assert (await client.get("/api/v1/cameras", headers=headers)).status_code == 401
            client.cookies = cookies
            assert (await client.get("/api/v1/session")).status_code == 401


class TestOneHand:
    """Whoever gave an account its password may be the one who acts in its name."""

    async def test_a_second_account_decides_on_nothing_of_the_first(self, staff: Staff) -> None:
        await make(staff, "deng", "edu", Role.ADMIN, Role.REQUESTER)
        wish = await staff.ask("gate-1", by="deng")
        second = await engage(staff, "deng", "second", "psb", "approver")
        assert kind(await decide(staff, wish, "second")) == (403, "one_hand")
        changed = {"old": PASSWORD, "password": "another long phrase of words"}
        answer = await second.put("/api/v1/session/password", json=changed)
        assert answer.status_code == 204, answer.text
        assert (await second.log_in("second", changed["password"])).status_code == 201
        refused = await decide(staff, wish, "second")
        assert kind(refused) == (403, "one_hand"), "whoever knew it could change it"
        assert "confirm" in refused.json()["mend"]
        entry = (await staff.register(kind="refusal", user=second.id))[0]
        assert "one of the two accounts" in entry["details"]["message"]

    async def test_nor_the_first_on_the_seconds_wish_nor_by_a_third(self, staff: Staff) -> None:
        await make(staff, "deng", "psb", Role.ADMIN, Role.APPROVER)
        await engage(staff, "deng", "second", "edu", "admin", "requester")
        await engage(staff, "second", "third", "psb", "approver")
        wish = await staff.ask("gate-1", by="second")
        for name in ("deng", "third"):
            assert kind(await decide(staff, wish, name)) == (403, "one_hand"), name
        theirs = await staff.ask("gate-1", by="wang")
        assert await staff.approve(theirs, "deng") is None
        assert kind(await decide(staff, theirs, "third")) == (403, "one_hand"), "two approvers are two people"
        assert await staff.approve(theirs, "zhao")

    async def test_another_administrator_confirms_it_and_nobody_of_the_same_hand(self, staff: Staff) -> None:
        deng = await make(staff, "deng", "edu", Role.ADMIN, Role.REQUESTER)
        second = await engage(staff, "deng", "second", "psb", "approver")
        helper = await engage(staff, "deng", "helper", "edu", "admin")
        assert (await staff["feng"].get(f"/api/v1/users/{second.id}")).json()["keyed_by"] == deng.id
        path = f"/api/v1/users/{second.id}/confirm"
        for name in ("deng", "helper"):
            assert kind(await staff[name].post(path)) == (403, "one_hand"), name
        assert kind(await second.post(path)) == (403, "forbidden")
        assert (await staff["feng"].post(path)).status_code == 204
        assert kind(await staff["feng"].post(path)) == (409, "conflict")
        wish = await staff.ask("gate-1", by="deng")
        assert (await decide(staff, wish, "second")).status_code == 200
        assert helper.id != second.id

    async def test_a_password_that_was_set_counts_like_one_that_was_given(self, staff: Staff) -> None:
        """A colleague's account is taken by a new password: it is in the hand of whoever set it."""
        await make(staff, "deng", "edu", Role.ADMIN, Role.REQUESTER)
        wish = await staff.ask("gate-1", by="deng")
        form = {"password": "another long phrase of words"}
        answer = await staff["deng"].put(f"/api/v1/users/{staff.id('zhao')}/password", json=form)
        assert answer.status_code == 204
        assert (await staff["zhao"].log_in("zhao", form["password"])).status_code == 201
        assert kind(await decide(staff, wish, "zhao")) == (403, "one_hand")
        await staff["feng"].put(f"/api/v1/users/{staff.id('zhao')}/password", json={"password": PASSWORD})
        assert (await staff["zhao"].log_in("zhao")).status_code == 201
        assert (await decide(staff, wish, "zhao")).status_code == 200, "deng does not know this one"

    async def test_exclusions_contests_and_reviews_go_by_the_same_rule(self, staff: Staff) -> None:
        await make(staff, "deng", "psb", Role.ADMIN, Role.OPERATOR)
        await engage(staff, "deng", "second", "psb", "admin")
        await engage(staff, "deng", "auditor", "audit", "auditor")
        now = datetime.now(UTC)
        form = {
            "scope": "camera",
            "subjects": ["gate-1"],
            "from": (now - timedelta(hours=2)).isoformat(),
            "to": (now - timedelta(hours=1)).isoformat(),
            "reason": "works at the mast",
            "evidence": "letter 7",
        }
        asked = await staff["deng"].post("/api/v1/exclusions", json=form)
        assert asked.status_code == 201, asked.text
        path, form = f"/api/v1/exclusions/{asked.json()['id']}/decision", {"approve": True}
        answer = await staff["second"].post(path, json=form)
        assert kind(answer) == (403, "one_hand")
        machine = await staff.browser()
        machine.headers.update(await token_of(staff["second"]))
        assert kind(await machine.post(path, json=form)) == (403, "one_hand"), "nor by a token of it"
        form = {"cameras": ["gate-1"], "actions": ["live"], "reason": "fire in the street"}
        opened = await staff["deng"].post("/api/v1/overrides", json=form)
        assert opened.status_code == 201, opened.text
        path = f"/api/v1/overrides/{opened.json()[0]['grant']['id']}/review"
        form = {"justified": True, "reason": "there was a fire"}
        assert kind(await staff["auditor"].post(path, json=form)) == (403, "one_hand")
        assert (await staff["wu"].post(path, json=form)).status_code == 200

    async def test_the_journal_tells_the_others(self, staff: Staff) -> None:
        await make(staff, "deng", "edu", Role.ADMIN)
        second = await engage(staff, "deng", "second", "psb", "approver")
        path = f"/api/v1/users/{second.id}"
        for change in ({"enabled": False}, {"enabled": True}, {"roles": ["operator"]}, {"department": "edu"}):
            assert (await staff["deng"].patch(path, json=change)).status_code == 200
        lines = (await staff["feng"].get("/api/v1/events?kind=account")).json()["items"]
        told = [line["message"] for line in reversed(lines) if line["subject"] == second.id]
        assert told == [
            "account second: user_added by deng (roles approver; username second; department psb)",
            "account second: disabled by deng",
            "account second: enabled by deng",
            "account second: roles by deng (roles operator)",
            "account second: department by deng (department edu)",
        ]
        assert (await staff["wu"].get("/api/v1/events?kind=account")).json()["items"] == lines
        for name in ("wang", "zhou", "ma"):
            assert (await staff[name].get("/api/v1/events?kind=account")).json()["items"] == []
        said = {e["details"].get("change") for e in await staff.register(kind="right_changed")}
        assert {"user_added", "disabled", "enabled", "roles", "department"} <= said
