"""Sessions and accounts over HTTP: log in, be known, be refused, be shut out."""

from __future__ import annotations

import httpx
import pytest

from api_client import Client
from api_people import PASSWORD, Browser, staff_of
from sharpeyes.access import totp
from sharpeyes.domain.credentials import Secret

PROBLEM = "application/problem+json"


def reason(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == PROBLEM
    return str(answer.json()["type"]).rpartition(":")[2]


class TestSession:
    async def test_log_in_who_am_i_log_out(self, client: Client) -> None:
        async with staff_of(client, ()) as staff:
            answer = await staff["wang"].log_in("Wang")
            assert answer.status_code == 201
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert "Secure" not in cookie
            assert answer.headers["cache-control"] == "no-store"
            me = (await staff["wang"].get("/api/v1/session")).json()
            assert (me["user"]["name"], me["user"]["roles"]) == ("Wang", ["requester"])
            assert me["csrf"] == answer.json()["csrf"]
            assert "see cameras, states and rates" in me["may"]
            token = staff["wang"].cookies["sharpeyes_session"]
            assert token not in answer.text
            assert (await staff["wang"].delete("/api/v1/session")).status_code == 204
            assert "sharpeyes_session" not in staff["wang"].cookies
            stolen = {"Cookie": f"sharpeyes_session={token}"}
            assert (await staff["li"].get("/api/v1/session", headers=stolen)).status_code == 401

    async def test_over_https_the_cookie_is_secure(self, client: Client) -> None:
        async with staff_of(client, ()) as staff:
            browser = await staff.browser(url="https://sharpeyes")
            assert "Secure" in (await browser.log_in("wang")).headers["set-cookie"]

    @pytest.mark.parametrize(("name", "password"), [("wang", "wrong"), ("nobody", PASSWORD)])
    async def test_a_wrong_name_and_a_wrong_password_are_answered_alike(
        self, client: Client, name: str, password: str
    ) -> None:
        async with staff_of(client, ("wu",)) as staff:
            answer = await staff["wang"].log_in(name, password)
            assert (answer.status_code, reason(answer)) == (401, "unauthenticated")
            assert answer.json()["detail"] == "the name, the password or the code is wrong"
            assert "set-cookie" not in answer.headers
            (entry, *_) = await staff.register(kind="login")
            assert (entry["details"]["outcome"], entry["address"]) == ("wrong", "192.0.2.1")

    async def test_too_many_failures_wait(self, client: Client) -> None:
        async with staff_of(client, ()) as staff:
            for _ in range(4):
                assert (await staff["wang"].log_in("wang", "wrong")).status_code == 401
            answer = await staff["wang"].log_in("wang")
            assert (answer.status_code, reason(answer)) == (429, "throttled")
            assert int(answer.headers["retry-after"]) >= 1

    async def test_a_code_is_asked_for_once_it_is_wanted(self, client: Client) -> None:
        async with staff_of(client, ("wang",)) as staff:
            wang = staff["wang"]
            offer = (await wang.post("/api/v1/session/totp")).json()
            assert offer["uri"].startswith("otpauth://totp/SharpEyes:wang?")
            wrong = await wang.put("/api/v1/session/totp", json={"secret": offer["secret"], "code": "000000"})
            assert wrong.status_code == 422
            weak = await wang.put("/api/v1/session/totp", json={"secret": "1!", "code": "000000"})
            assert weak.status_code == 422
            step = client.service.clock() // totp.STEP_MS
            code = totp.code_at(Secret(offer["secret"]), step)
            right = await wang.put("/api/v1/session/totp", json={"secret": offer["secret"], "code": code})
            assert right.status_code == 204
            answer = await wang.log_in("wang")
            assert (answer.status_code, reason(answer)) == (401, "code_needed")
            later = totp.code_at(Secret(offer["secret"]), step + 1)
            assert (await wang.log_in("wang", code=later)).status_code == 201

    async def test_own_sessions_are_listed_and_ended(self, client: Client) -> None:
        async with staff_of(client, ("wang",)) as staff:
            other = await staff.browser()
            await other.log_in("wang")
            sessions = (await staff["wang"].get("/api/v1/sessions")).json()
            assert len(sessions) == 2
            (stranger,) = [one for one in sessions if not one["current"]]
            assert (await staff["wang"].delete(f"/api/v1/sessions/{stranger['id']}")).status_code == 204
            assert (await other.get("/api/v1/session")).status_code == 401
            assert (await staff["wang"].delete(f"/api/v1/sessions/{stranger['id']}")).status_code == 404
            assert (await staff["wang"].get("/api/v1/session")).status_code == 200
            await other.log_in("wang")
            assert (await other.delete("/api/v1/sessions")).status_code == 204
            assert (await staff["wang"].get("/api/v1/session")).status_code == 401
            assert (await other.get("/api/v1/session")).status_code == 200

    async def test_a_new_password_takes_the_old_one_and_ends_every_session(self, client: Client) -> None:
        async with staff_of(client, ("wang",)) as staff:
            form = {"old": "wrong", "password": "another good phrase"}
            refused = await staff["wang"].put("/api/v1/session/password", json=form)
            assert (refused.status_code, reason(refused)) == (403, "forbidden")
            form["old"] = PASSWORD
            assert (await staff["wang"].put("/api/v1/session/password", json=form)).status_code == 204
            assert (await staff["wang"].get("/api/v1/session")).status_code == 401
            assert (await staff["wang"].log_in("wang", "another good phrase")).status_code == 201

    async def test_a_name_is_corrected_by_oneself_and_by_an_administrator(self, client: Client) -> None:
        async with staff_of(client, ("wang", "feng", "wu", "zhao")) as staff:
            wang, feng = staff["wang"], staff["feng"]
            assert (await wang.put("/api/v1/session/name", json={"name": "  王 丽 "})).status_code == 204
            assert (await wang.get("/api/v1/session")).json()["user"]["name"] == "王 丽"
            for other in ("Zhao", "zhao", "\uff3ahao", "Z hao"):  # nobody passes for the approver
                taken = await wang.put("/api/v1/session/name", json={"name": other})
                assert (taken.status_code, reason(taken)) == (409, "conflict"), other
            for wrong in ("", "   ", "a\u202eb", "x" * 101):
                bad = await wang.put("/api/v1/session/name", json={"name": wrong})
                assert bad.status_code == 422, wrong
            where = f"/api/v1/users/{staff.id('wang')}"
            assert (await staff["zhao"].patch(where, json={"name": "Me"})).status_code == 403
            made = (await feng.patch(where, json={"name": "Zhao"})).json()  # a namesake, as somebody knows
            assert (made["name"], made["username"]) == ("Zhao", "wang")
            assert (await feng.patch(where, json={"username": "other"})).status_code == 422
            own = await feng.patch(f"/api/v1/users/{staff.id('feng')}", json={"name": "Feng Yi"})
            assert own.json()["name"] == "Feng Yi"  # a name is no right
            said = [
                (one["name"], one["details"]["before"], one["details"]["after"])
                for one in await staff.register(kind="right_changed")
                if one["details"]["change"] == "name"
            ]
            assert said == [("Feng", "Feng", "Feng Yi"), ("Feng", "王 丽", "Zhao"), ("Wang", "Wang", "王 丽")]


class TestCsrf:
    @pytest.mark.parametrize("sent", [None, "", "wrong", "é"])
    async def test_a_change_without_the_proof_is_refused(self, client: Client, sent: str | None) -> None:
        async with staff_of(client, ("feng", "wang")) as staff:
            feng = staff["feng"]
            del feng.headers["X-CSRF-Token"]
            headers = {} if sent is None else {"X-CSRF-Token": sent.encode("latin-1")}
            for method, path in (
                ("POST", "/api/v1/users"),
                ("DELETE", "/api/v1/session"),
                ("PATCH", "/api/v1/cameras/gate-1"),
                ("POST", "/api/v1/tokens"),
            ):
                answer = await feng.request(method, path, json={}, headers=headers)
                assert (answer.status_code, reason(answer)) == (403, "csrf"), path
            assert (await feng.get("/api/v1/users", headers=headers)).status_code == 200

    async def test_the_proof_of_another_session_does_not_do(self, client: Client) -> None:
        async with staff_of(client, ("feng", "wang")) as staff:
            staff["feng"].headers["X-CSRF-Token"] = staff["wang"].headers["X-CSRF-Token"]
            answer = await staff["feng"].delete("/api/v1/session")
            assert (answer.status_code, reason(answer)) == (403, "csrf")

    async def test_a_token_in_the_header_needs_none(self, client: Client) -> None:
        assert (await client.post("/api/v1/cameras/gate-1/probe")).status_code == 200


class TestUsers:
    async def test_an_administrator_makes_accounts(self, client: Client) -> None:
        async with staff_of(client, ("feng", "wu")) as staff:
            form = {
                "username": "chen",
                "name": "Chen",
                "department": "edu",
                "roles": ["requester"],
                "password": PASSWORD,
            }
            made = await staff["feng"].post("/api/v1/users", json=form)
            assert made.status_code == 201
            assert PASSWORD not in made.text
            assert (await (await staff.browser()).log_in("chen")).status_code == 201
            again = await staff["feng"].post("/api/v1/users", json=form)
            assert (again.status_code, reason(again)) == (409, "conflict")
            nowhere = await staff["feng"].post("/api/v1/users", json={**form, "department": "nasa"})
            assert nowhere.status_code == 422
            assert "nasa" in nowhere.json()["detail"]
            both = {**form, "username": "dou", "roles": ["auditor", "operator"]}
            assert (await staff["feng"].post("/api/v1/users", json=both)).status_code == 422
            (entry,) = [e for e in await staff.register() if e["details"].get("username") == "chen"]
            assert (entry["user"], entry["details"]["change"]) == (staff.id("feng"), "user_added")

    async def test_a_disabled_user_is_out_at_once(self, client: Client) -> None:
        async with staff_of(client, ("feng", "wang")) as staff:
            path = f"/api/v1/users/{staff.id('wang')}"
            assert (await staff["wang"].get("/api/v1/cameras")).status_code == 200
            disabled = await staff["feng"].patch(path, json={"enabled": False})
            assert disabled.json()["enabled"] is False
            assert (await staff["wang"].get("/api/v1/cameras")).status_code == 401
            assert (await staff["wang"].log_in("wang")).status_code == 401
            await staff["feng"].patch(path, json={"enabled": True})
            assert (await staff["wang"].log_in("wang")).status_code == 201

    async def test_nobody_changes_their_own_rights(self, client: Client) -> None:
        async with staff_of(client, ("feng", "wu")) as staff:
            path = f"/api/v1/users/{staff.id('feng')}"
            answer = await staff["feng"].patch(path, json={"roles": ["admin", "operator"]})
            assert answer.status_code == 403
            (entry,) = await staff.register(kind="refusal")
            assert (entry["user"], entry["details"]["about"]) == (staff.id("feng"), staff.id("feng"))

    async def test_roles_and_department_change_and_password_and_code_are_reset(self, client: Client) -> None:
        async with staff_of(client, ("feng", "li")) as staff:
            path = f"/api/v1/users/{staff.id('li')}"
            form = {"roles": ["operator"], "department": "psb"}
            changed = (await staff["feng"].patch(path, json=form)).json()
            assert (changed["roles"], changed["department"]) == (["operator"], "psb")
            assert (await staff["li"].get("/api/v1/session")).status_code == 401
            new = {"password": "another good phrase"}
            assert (await staff["feng"].put(f"{path}/password", json=new)).status_code == 204
            assert (await staff["feng"].delete(f"{path}/totp")).status_code == 204
            assert (await staff["li"].log_in("li", new["password"])).status_code == 201
            assert (await staff["feng"].delete(f"{path}/sessions")).status_code == 204
            assert (await staff["li"].get("/api/v1/session")).status_code == 401

    async def test_accounts_are_for_administrators_alone(self, client: Client) -> None:
        async with staff_of(client) as staff:
            for name in ("wang", "zhao", "zhou", "wu", "ma"):
                answer = await staff[name].get("/api/v1/users")
                assert (answer.status_code, reason(answer)) == (403, "forbidden"), name
            refusals = await staff.register(kind="refusal")
            assert {e["user"] for e in refusals} == {
                staff.id(n) for n in ("wang", "zhao", "zhou", "wu", "ma")
            }
            assert {e["details"]["about"] for e in refusals} == {"/api/v1/users"}
        token = await client.get("/api/v1/users")
        assert token.status_code == 403
        assert "takes a person" in token.json()["detail"]

    async def test_colleagues_are_seen_by_colleagues(self, client: Client) -> None:
        async with staff_of(client, ("wang", "feng", "zhao")) as staff:

            async def names(browser: Browser) -> set[str]:
                return {person["name"] for person in (await browser.get("/api/v1/people")).json()}

            assert await names(staff["wang"]) == {"Wang", "Li", "Sun", "Feng"}
            assert {"Zhao", "Wu"} <= await names(staff["feng"])
            # An approver of another department decides on people with names, but knows no auditor.
            seen = await names(staff["zhao"])
            assert {"Wang", "Li"} <= seen
            assert "Wu" not in seen


class TestRightsOfSessions:
    async def test_roles_open_what_scopes_open(self, client: Client) -> None:
        async with staff_of(client) as staff:
            for name in ("wang", "wu", "ma", "feng"):
                assert (await staff[name].get("/api/v1/states")).status_code == 200
            assert (await staff["ma"].post("/api/v1/cameras/gate-1/probe")).status_code == 200
            assert (await staff["wang"].post("/api/v1/cameras/gate-1/probe")).status_code == 403
            assert (await staff["feng"].get("/api/v1/tokens")).status_code == 200
            assert (await staff["zhou"].get("/api/v1/tokens")).status_code == 403

    async def test_tokens_are_made_and_revoked_in_the_register(self, client: Client) -> None:
        async with staff_of(client, ("feng", "wu")) as staff:
            form = {"name": "grafana", "scopes": ["read"]}
            made = (await staff["feng"].post("/api/v1/tokens", json=form)).json()
            assert (await client.delete(f"/api/v1/tokens/{made['id']}")).status_code == 204
            revoked, added = (await staff.register(kind="right_changed"))[:2]
            assert (added["user"], added["details"]["change"]) == (staff.id("feng"), "token_added")
            by = [token["id"] for token in (await client.get("/api/v1/tokens")).json() if token["last_used"]]
            assert (revoked["user"], revoked["name"]) == (None, f"token:{by[0]}")
            assert revoked["details"] == {"change": "token_revoked", "of": f"token:{made['id']}"}

    async def test_addresses_of_cameras_are_for_those_who_mend_them(self, client: Client) -> None:
        async with staff_of(client, ("wang", "zhou", "ma")) as staff:
            for name in ("wang", "zhou"):
                for path in ("cameras", "cameras/gate-1"):
                    assert "rtsp://" not in (await staff[name].get(f"/api/v1/{path}")).text
            assert "rtsp://" in (await staff["ma"].get("/api/v1/cameras/gate-1")).text
