"""What somebody with bad intent tries at the doors of people, requests, grants and tickets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_client import Client, client_of, kind
from api_people import PASSWORD, Clock, Staff, staff_of
from sharpeyes.access import requests, totp
from sharpeyes.access.grants import MOST_UNREVIEWED
from sharpeyes.api.bodies import MOST_BYTES
from sharpeyes.domain.access import Action, Allowed, Decision, Reason, Refused
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.grants import get_grant, put_grant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def staff(tmp_path: Path, clock: Clock) -> AsyncIterator[Staff]:
    async with client_of(tmp_path, clock=clock) as client, staff_of(client) as staff:
        yield staff


class TestSessions:
    async def test_a_cookie_that_somebody_planted_is_not_the_session(self, staff: Staff) -> None:
        browser = await staff.browser()
        browser.cookies.set("sharpeyes_session", "planted", domain="sharpeyes.local", path="/api")
        assert (await browser.log_in("wang")).status_code == 201
        async with httpx.AsyncClient(transport=staff.transport, base_url="http://sharpeyes") as thief:
            answer = await thief.get("/api/v1/session", headers={"Cookie": "sharpeyes_session=planted"})
            assert answer.status_code == 401

    @pytest.mark.parametrize("url", ["http://sharpeyes", "https://sharpeyes"])
    async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
        self, staff: Staff, url: str
    ) -> None:
        browser = await staff.browser(url=url)
        cookie = (await browser.log_in("wang")).headers["set-cookie"].lower()
        parts = {part.strip() for part in cookie.split(";")}
        assert {"httponly", "samesite=strict", "path=/api"} <= parts
        assert ("secure" in parts) is url.startswith("https")
        assert not any(part.startswith("domain") for part in parts)

    @pytest.mark.parametrize("form", ["text/plain", "application/x-www-form-urlencoded", None])
    async def test_another_site_cannot_log_somebody_in(self, staff: Staff, form: str | None) -> None:
        """A page can send these without asking; JSON by its name it cannot."""
        browser = await staff.browser()
        body = json.dumps({"username": "wang", "password": PASSWORD})
        headers = {} if form is None else {"Content-Type": form}
        answer = await browser.post("/api/v1/session", content=body, headers=headers)
        assert answer.status_code == 422
        assert "set-cookie" not in answer.headers

    async def test_sessions_of_others_are_neither_seen_nor_ended(self, staff: Staff) -> None:
        (theirs,) = (await staff["li"].get("/api/v1/sessions")).json()
        assert kind(await staff["wang"].delete(f"/api/v1/sessions/{theirs['id']}")) == (404, "not_found")
        assert (await staff["li"].get("/api/v1/session")).status_code == 200

    async def test_a_clock_that_is_put_back_lengthens_no_session(self, staff: Staff, clock: Clock) -> None:
        clock.ahead_ms = -86_400_000
        assert (await staff["wang"].get("/api/v1/session")).status_code == 401

    async def test_a_token_that_was_revoked_stays_so_whatever_the_clock_says(
        self, staff: Staff, clock: Clock
    ) -> None:
        (token,) = (await staff.client.get("/api/v1/tokens")).json()
        assert (await staff.client.delete(f"/api/v1/tokens/{token['id']}")).status_code == 204
        clock.ahead_ms = -86_400_000
        assert (await staff.client.get("/api/v1/tokens")).status_code == 401

    async def test_a_clock_put_back_revives_no_grant_that_had_ended_also_after_a_restart(
        self, tmp_path: Path
    ) -> None:
        clock = Clock()
        async with client_of(tmp_path, clock=clock) as client, staff_of(client) as staff:
            old = await staff.approve(await staff.ask("gate-1"), "zhao", "qian")
            assert old
            user, grant = staff.id("wang"), old["id"]
            assert (await staff.ticket("wang", "gate-1", grant)).status_code == 201

        async def look(grant: str, ahead_ms: int, *, lapsed: bool = False) -> Decision:
            """The answer of a service that starts at this time of the clock, once it saw what there is."""
            clock.ahead_ms = ahead_ms
            async with client_of(tmp_path, clock=clock) as client, asyncio.timeout(60):
                desk = client.service.access.desk  # type: ignore[union-attr]
                get = partial(get_grant, grant_id=grant)
                while lapsed and (await client.service.database.aread(get)).lapsed is None:
                    await asyncio.sleep(0.02)
                best = await desk.check(user, "gate-1", Action.LIVE, address="")
                assert isinstance(best, Allowed) is not lapsed
                return await desk.check(user, "gate-1", Action.LIVE, grant, address="")

        assert isinstance(await look(grant, 1_000), Allowed)
        for ahead_ms in (40 * 86_400_000, 2_000):
            answer = await look(grant, ahead_ms, lapsed=True)
            assert isinstance(answer, Refused)
            assert answer.reason is Reason.EXPIRED
        async with client_of(tmp_path, clock=clock) as client:
            later = await client.service.database.aread(partial(get_grant, grant_id=grant))
            fresh = replace(later, id="g-fresh", issued=clock(), lapsed=None)
            await client.service.database.awrite(lambda c: put_grant(c, fresh))
        assert isinstance(await look("g-fresh", 3_000), Allowed), "a clock that was ahead harms nothing new"

    async def test_a_code_opens_once_and_an_open_session_does_not_change_the_app(
        self, staff: Staff, clock: Clock
    ) -> None:
        secret = Secret((await staff["wang"].post("/api/v1/session/totp")).json()["secret"])

        def code(ahead: int = 0) -> str:
            return totp.code_at(secret, clock() // totp.STEP_MS + ahead)

        proof = {"secret": secret.reveal(), "code": code()}
        assert (await staff["wang"].put("/api/v1/session/totp", json=proof)).status_code == 204
        browser = await staff.browser()
        assert kind(await browser.log_in("wang")) == (401, "code_needed")
        assert kind(await browser.log_in("wang", code=code())) == (401, "unauthenticated")  # shown already
        assert (await browser.log_in("wang", code=code(1))).status_code == 201
        assert kind(await browser.log_in("wang", code=code(1))) == (401, "unauthenticated")
        other = totp.new_secret()
        proof = {"secret": other.reveal(), "code": totp.code_at(other, clock() // totp.STEP_MS)}
        assert kind(await browser.put("/api/v1/session/totp", json=proof)) == (409, "conflict")

    async def test_nobody_removes_their_own_app_without_proof_that_they_are_there(
        self, staff: Staff, clock: Clock
    ) -> None:
        """An administrator neither: a session left open is not enough."""
        feng, removal = staff["feng"], "/api/v1/session/totp/removal"
        secret = Secret((await feng.post("/api/v1/session/totp")).json()["secret"])

        def code(ahead: int = 0) -> str:
            return totp.code_at(secret, clock() // totp.STEP_MS + ahead)

        proof = {"password": PASSWORD, "code": code()}
        assert kind(await feng.post(removal, json=proof)) == (409, "conflict"), "there is none yet"
        wanted = {"secret": secret.reveal(), "code": code()}
        assert (await feng.put("/api/v1/session/totp", json=wanted)).status_code == 204
        own = await feng.delete(f"/api/v1/users/{staff.id('feng')}/totp")
        assert kind(own) == (403, "forbidden")
        assert "another administrator" in own.json()["mend"]
        shown = {"password": PASSWORD, "code": wanted["code"]}  # when it was confirmed
        for wrong in (shown, {**proof, "password": "another", "code": code(1)}, {**proof, "code": "12"}):
            assert kind(await feng.post(removal, json=wrong)) == (403, "forbidden"), wrong
        assert (await feng.post(removal, json={**proof, "code": code(1)})).status_code == 204
        assert (await feng.get("/api/v1/session")).status_code == 401, "every session ends"
        assert (await feng.log_in("feng")).status_code == 201
        steps = [entry["details"].get("step") for entry in await staff.register(kind="refusal")]
        assert steps.count("totp") == 4


class TestNames:
    async def test_nobody_learns_who_has_an_account(self, staff: Staff) -> None:
        """One text for no account, a wrong password, a disabled one, and one without a password."""
        people = staff.client.service.access.people  # type: ignore[union-attr]
        await people.add(None, username="sso", name="S", department="edu", roles={"operator"}, password=None)  # type: ignore[arg-type]
        await people.set_enabled(None, staff.id("li"), False)
        browser = await staff.browser()
        answers = [
            await browser.log_in("nobody"),
            await browser.log_in("wang", "a wrong password"),
            await browser.log_in("li"),
            await browser.log_in("sso"),
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.text for answer in answers}) == 1
        assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1

    async def test_no_name_passes_for_another(self, staff: Staff) -> None:
        for name in (
            "w\u0430ng",  # Cyrillic
            "wan\u0261",
            "\uff57ang",  # full width
            "\u212aelvin",
            "\ufb02ower",
            "wa\u200dng",
            "wang\u202e",
            "wang li",
        ):
            form = {"username": name, "name": "X", "department": "edu", "roles": ["operator"]}
            answer = await staff["feng"].post("/api/v1/users", json=form)
            assert kind(answer) == (422, "invalid"), ascii(name)
            assert "username" in answer.json()["detail"]

    async def test_plain_names_are_taken_in_one_form(self, staff: Staff) -> None:
        for name in ("王芳", "zhang.wei_2", "josé", "Wang-2@psb"):
            form = {"username": name, "name": "X", "department": "edu", "roles": ["operator"]}
            assert (await staff["feng"].post("/api/v1/users", json=form)).status_code == 201
            again = await staff["feng"].post("/api/v1/users", json={**form, "username": name.upper()})
            assert kind(again) == (409, "conflict"), name

    async def test_a_persons_name_holds_no_control_characters(self, staff: Staff) -> None:
        """It goes into watermarks, logs and the register."""
        form = {"username": "x1", "name": "A\nB", "department": "edu", "roles": ["operator"]}
        assert kind(await staff["feng"].post("/api/v1/users", json=form)) == (422, "invalid")


class TestBodies:
    async def test_a_huge_body_is_not_read(self, client: Client) -> None:
        answer = await client.post("/api/v1/session", content=b"x" * (MOST_BYTES + 1))
        assert kind(answer) == (413, "too_large")

        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 64 * MOST_BYTES:
                sent += 65_536
                yield b" " * 65_536

        answer = await client.post(
            "/api/v1/session", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        assert sent <= MOST_BYTES + 65_536

    async def test_deep_json_is_refused_as_such(self, client: Client) -> None:
        for body in ("[" * 200_000, '{"username":' * 80_000):
            answer = await client.post(
                "/api/v1/session", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in (400, 422), answer.status_code

    async def test_no_answer_takes_over_a_header(self, staff: Staff) -> None:
        browser = await staff.browser()
        for path in ("/api/v1/session/oidc?next=%0d%0aX-Evil:%201", "/api/v1/users/%0d%0aX-Evil:%201"):
            assert "x-evil" not in (await browser.get(path)).headers
        answer = await browser.log_in("wang\r\nX-Evil: 1")
        assert "x-evil" not in answer.headers


class TestOthersThings:
    async def test_requests_grants_and_overrides_of_others_are_not_there(self, staff: Staff) -> None:
        request = await staff.ask("school-1")
        grant = await staff.approve(request, "sun")
        assert grant is not None
        (opened,) = (
            await staff["zhou"].post(
                "/api/v1/overrides", json={"cameras": ["gate-1"], "reason": "Child lost at the river"}
            )
        ).json()
        for path in (f"view-requests/{request['id']}", f"grants/{grant['id']}"):
            assert kind(await staff["zhou"].get(f"/api/v1/{path}")) == (404, "not_found")
        for name, path, form in (
            ("zhou", f"grants/{grant['id']}/revoke", {"reason": "because I want"}),
            ("zhou", f"grants/{grant['id']}/narrow", {"actions": ["live"]}),
            ("li", f"grants/{grant['id']}/extend", {"end": "2030-01-01T00:00:00Z"}),
            ("li", f"view-requests/{request['id']}/withdraw", None),
            ("zhao", f"view-requests/{request['id']}/approve", {"owner": "edu"}),
            (
                "zhou",
                f"overrides/{opened['grant']['id']}/review",
                {"justified": True, "reason": "mine, fine"},
            ),
            ("sun", f"overrides/{opened['grant']['id']}/review", {"justified": True, "reason": "of others"}),
        ):
            assert kind(await staff[name].post(f"/api/v1/{path}", json=form)) == (403, "forbidden"), path
        assert (await staff["wang"].get("/api/v1/overrides")).json() == []

    async def test_a_ticket_is_for_one_user_and_one_camera(self, staff: Staff) -> None:
        grant = await staff.approve(await staff.ask("school-1"), "sun")
        assert grant is not None
        assert kind(await staff.ticket("li", "school-1", grant["id"])) == (403, "other_user")
        assert kind(await staff.ticket("wang", "gate-1", grant["id"])) == (403, "other_camera")
        assert kind(await staff.ticket("zhou", "school-1", grant["id"])) == (403, "other_department")

    async def test_another_department_or_a_disabled_account_loses_the_grant_at_once(
        self, staff: Staff
    ) -> None:
        grant = await staff.approve(await staff.ask("school-1"), "sun")
        assert grant is not None
        user = f"/api/v1/users/{staff.id('wang')}"
        assert (await staff["feng"].patch(user, json={"department": "psb"})).status_code == 200
        assert (await staff["wang"].get("/api/v1/session")).status_code == 401
        await staff["wang"].log_in("wang")
        assert kind(await staff.ticket("wang", "school-1", grant["id"])) == (403, "other_department")


class TestDeciding:
    async def test_nobody_approves_their_own_through_a_second_department(self, staff: Staff) -> None:
        request = await staff.ask("gate-1", "school-1", users=[staff.id("li")])
        for name, department in (("wang", "psb"), ("li", "psb"), ("wang", "edu")):
            user = f"/api/v1/users/{staff.id(name)}"
            change = {"department": department, "roles": ["approver"]}
            assert (await staff["feng"].patch(user, json=change)).status_code == 200
            await staff[name].log_in(name)
            answer = await staff[name].post(f"/api/v1/view-requests/{request['id']}/approve", json={})
            assert kind(answer) == (403, "forbidden")
            assert "of their own" in answer.json()["detail"]

    async def test_who_said_yes_and_was_removed_is_asked_for_again(self, staff: Staff) -> None:
        request = await staff.ask("gate-1")
        await staff.approve(request, "zhao")
        user = f"/api/v1/users/{staff.id('zhao')}"
        assert (await staff["feng"].patch(user, json={"enabled": False})).status_code == 200
        assert await staff.approve(request, "qian") is None

    async def test_rules_that_change_while_a_request_waits(self, staff: Staff) -> None:
        path = "/api/v1/view-policies/departmental"
        rules = (await staff["feng"].get(path)).json()
        del rules["tier"], rules["version"]

        async def rule(**changes: Any) -> None:
            assert (await staff["feng"].put(path, json=rules | changes)).status_code == 200

        long, request = await staff.ask("school-1"), await staff.ask("school-1")
        await rule(default_life_s=60, longest_life_s=60)
        answer = await staff["sun"].post(f"/api/v1/view-requests/{long['id']}/approve", json={})
        assert kind(answer) == (409, "conflict")
        await rule(approvers=2)
        assert await staff.approve(request, "sun") is None  # one more is wanted by now
        await rule(approvers=1)
        kept = (await staff["sun"].get(f"/api/v1/view-requests/{request['id']}")).json()
        assert kept["parts"][0]["needed"] == 2

    async def test_a_grant_that_was_revoked_stays_so_whatever_the_clock_says(
        self, staff: Staff, clock: Clock
    ) -> None:
        grant = await staff.approve(await staff.ask("school-1"), "sun")
        assert grant is not None
        clock.ahead_ms = 120_000
        revoked = await staff["wang"].post(
            f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "not needed any more"}
        )
        assert revoked.json()["ended"]
        clock.ahead_ms = 60_000
        assert kind(await staff.ticket("wang", "school-1", grant["id"])) == (403, "revoked")


class TestFlooding:
    async def test_nobody_buries_approvers_in_requests(
        self, staff: Staff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "MOST_UNDECIDED", 3)
        asked = [await staff.ask("gate-1") for _ in range(3)]
        form = {"cameras": ["gate-1"], "purpose": "traffic", "purpose_text": "Jam at the crossing"}
        assert kind(await staff["wang"].post("/api/v1/view-requests", json=form)) == (409, "conflict")
        assert (await staff["li"].post("/api/v1/view-requests", json=form)).status_code == 201
        gone = await staff["wang"].post(f"/api/v1/view-requests/{asked[0]['id']}/withdraw")
        assert gone.status_code == 200
        assert (await staff["wang"].post("/api/v1/view-requests", json=form)).status_code == 201


class TestOverrides:
    async def override(self, staff: Staff, *cameras: str) -> httpx.Response:
        form = {"cameras": cameras, "reason": "Child lost at the river"}
        return await staff["zhou"].post("/api/v1/overrides", json=form)

    async def test_again_and_again_is_no_emergency(self, staff: Staff) -> None:
        for _ in range(MOST_UNREVIEWED):
            opened = await self.override(staff, "gate-1")
            assert opened.status_code == 201
        answer = await self.override(staff, "gate-1")
        assert kind(answer) == (403, "forbidden")
        assert "review" in answer.json()["detail"]
        (entry,) = await staff.register(kind="refusal")
        assert (entry["user"], entry["details"]["step"]) == (staff.id("zhou"), "override")
        path = f"/api/v1/overrides/{opened.json()[0]['grant']['id']}/review"
        judged = await staff["wu"].post(path, json={"justified": True, "reason": "The child was found"})
        assert judged.status_code == 200
        assert (await self.override(staff, "gate-1")).status_code == 201

    async def test_several_at_a_time_open_no_more_than_one_may(self, staff: Staff) -> None:
        path = "/api/v1/view-policies/public_security"
        rules = (await staff["feng"].get(path)).json()
        del rules["tier"], rules["version"]
        await staff["feng"].put(path, json=rules | {"override_cameras": 1})
        (first,) = (await self.override(staff, "gate-1")).json()
        assert kind(await self.override(staff, "gate-2")) == (403, "forbidden")
        assert (await self.override(staff, "gate-1")).status_code == 201
        overridden = (await staff["wu"].get("/api/v1/overrides")).json()
        for one in overridden:
            revoked = await staff["zhou"].post(
                f"/api/v1/grants/{one['grant']}/revoke", json={"reason": "no need any more"}
            )
            assert revoked.status_code == 200
        assert first["override"]["grant"] in {one["grant"] for one in overridden}
        assert (await self.override(staff, "gate-2")).status_code == 201


class TestRules:
    async def test_each_rule_of_each_tier_can_be_set_and_is_on_the_register(self, staff: Staff) -> None:
        for tier in ("public_security", "departmental", "community"):
            path = f"/api/v1/view-policies/{tier}"
            rules = (await staff["feng"].get(path)).json()
            del rules["tier"], rules["version"]
            if tier == "public_security":
                assert rules["approvers"] == 2
            for name, value in rules.items():
                other = (not value) if isinstance(value, bool) else value + 1
                if name == "default_life_s":
                    other = value - 1
                changed = await staff["feng"].put(path, json=rules | {name: other})
                assert changed.status_code == 200, changed.text
                assert changed.json()[name] == other
                assert (await staff["feng"].get(path)).json()[name] == other
                (entry, *_) = await staff.register(kind="policy_changed")
                key = name.removesuffix("_s") + "_ms" if name.endswith("_s") else name
                factor = 1000 if name.endswith("_s") else 1
                assert entry["details"]["tier"] == tier
                assert entry["details"]["changed"][key] == [value * factor, other * factor]
                await staff["feng"].put(path, json=rules)
