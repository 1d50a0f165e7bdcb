"""Requests, grants, overrides, rules and tickets over HTTP: who may do what, and who sees what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_client import Client, kind
from api_people import Staff, staff_of
from sharpeyes.domain.time import from_datetime
from sharpeyes.store.grants import count_reviews


@pytest.fixture
async def staff(client: Client) -> AsyncIterator[Staff]:
    async with staff_of(client) as staff:
        yield staff


class TestRequests:
    async def test_a_request_is_split_by_owner_and_strictness(self, staff: Staff) -> None:
        request = await staff.ask("gate-1", "school-1")
        assert [(part["owner"], part["needed"], part["stage"]) for part in request["parts"]] == [
            ("edu", 1, "submitted"),
            ("psb", 2, "submitted"),
        ]
        assert request["terms"]["users"] == [staff.id("wang")]
        assert (await staff["wang"].get(f"/api/v1/view-requests/{request['id']}")).json() == request

    async def test_areas_and_schedules_are_taken(self, staff: Staff) -> None:
        hours = {"start": "22:00", "end": "06:00", "days": ["mon", "sun"]}
        form: dict[str, Any] = {
            "areas": ["south"],
            "purpose": "investigation",
            "purpose_text": "Theft of bicycles",
            "case_number": "2026-117",
            "users": [staff.id("wang"), staff.id("li")],
            "actions": ["live", "snapshot"],
            "schedule": hours,
        }
        answer = await staff["wang"].post("/api/v1/view-requests", json=form)
        request = answer.json()
        assert request["parts"][0]["cameras"] == ["gate-2"]
        assert request["terms"]["schedule"] == hours
        assert request["terms"]["case_number"] == "2026-117"

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"cameras": ["nothing"]}, "nothing"),
            ({"cameras": []}, "cameras"),
            ({"purpose_text": "x"}, "purpose_text"),
            ({"purpose": "curiosity"}, "purpose"),
            ({"purpose": "investigation"}, "case_number"),
            ({"schedule": {"start": "8:00"}}, "schedule"),
            ({"schedule": {"start": "08:00", "end": "08:00"}}, "schedule"),
            ({"end": "2026-10-01T00:00:00"}, "end"),
            ({"colour": "red"}, "colour"),
        ],
    )
    async def test_a_mistake_is_named(self, staff: Staff, change: dict[str, Any], named: str) -> None:
        form = {"cameras": ["gate-1"], "purpose": "traffic", "purpose_text": "Jam at the crossing"}
        answer = await staff["wang"].post("/api/v1/view-requests", json=form | change)
        assert answer.status_code == 422
        assert named in answer.json()["detail"]

    async def test_two_others_approve_for_public_security(self, staff: Staff) -> None:
        request = await staff.ask("gate-1")
        path = f"/api/v1/view-requests/{request['id']}/approve"
        for name in ("wang", "sun", "zhou", "feng", "wu"):
            assert kind(await staff[name].post(path, json={"owner": "psb"})) == (403, "forbidden"), name
        assert await staff.approve(request, "zhao") is None
        assert kind(await staff["zhao"].post(path, json={})) == (409, "conflict")
        grant = await staff.approve(request, "qian")
        assert grant is not None
        assert (grant["owner"], grant["cameras"], grant["ended"]) == ("psb", ["gate-1"], False)
        refused = {entry["user"] for entry in await staff.register(kind="refusal")}
        assert refused == {staff.id(name) for name in ("wang", "sun", "zhou", "feng", "wu")}

    async def test_an_applicant_who_approves_does_not_approve_their_own(self, staff: Staff) -> None:
        """Roles together on one account do not help either."""
        path = f"/api/v1/users/{staff.id('zhao')}"
        await staff["feng"].patch(path, json={"roles": ["approver", "operator"]})
        request = await staff.ask("gate-1", by="zhao")
        answer = await staff["zhao"].post(f"/api/v1/view-requests/{request['id']}/approve", json={})
        assert kind(answer) == (403, "forbidden")
        assert "of their own" in answer.json()["detail"]

    async def test_rejected_with_a_reason_or_withdrawn(self, staff: Staff) -> None:
        first, second = await staff.ask("gate-1"), await staff.ask("gate-2")
        path = f"/api/v1/view-requests/{first['id']}/reject"
        assert (await staff["zhao"].post(path, json={"reason": ""})).status_code == 422
        rejected = (await staff["zhao"].post(path, json={"reason": "No jam there"})).json()
        assert (rejected["open"], rejected["parts"][0]["rejection"]["reason"]) == (False, "No jam there")
        path = f"/api/v1/view-requests/{second['id']}/withdraw"
        assert kind(await staff["li"].post(path)) == (403, "forbidden")
        assert (await staff["wang"].post(path)).json()["parts"][0]["stage"] == "withdrawn"

    async def test_lists_are_cut_to_who_reads_them(self, staff: Staff) -> None:
        ids = [(await staff.ask(camera))["id"] for camera in ("gate-1", "gate-2", "school-1")]

        async def listed(name: str, query: str = "") -> list[str]:
            answer = await staff[name].get(f"/api/v1/view-requests?{query}")
            return [item["id"] for item in answer.json()["items"]]

        for name in ("wang", "li", "sun", "feng", "wu"):
            assert sorted(await listed(name)) == sorted(ids), name
        assert sorted(await listed("zhao")) == sorted(ids[:2])
        assert await listed("zhou") == await listed("ma") == []
        assert (await staff["zhou"].get(f"/api/v1/view-requests/{ids[0]}")).status_code == 404
        assert await listed("li", "mine=true") == []
        assert await listed("sun", "to_decide=true") == [ids[2]]
        await staff.approve({"id": ids[0]}, "zhao")
        assert await listed("zhao", "to_decide=true") == [ids[1]]
        assert sorted(await listed("qian", "to_decide=true")) == sorted(ids[:2])

        seen: list[str] = []
        query = "limit=1"
        while True:
            page = (await staff["wang"].get(f"/api/v1/view-requests?{query}")).json()
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            query = f"limit=1&before={page['next']}"
        assert sorted(seen) == sorted(ids)


class TestGrants:
    async def test_extended_by_the_owner_within_bounds(self, staff: Staff) -> None:
        grant = await staff.approve(await staff.ask("school-1"), "sun")
        assert grant is not None
        path = f"/api/v1/grants/{grant['id']}/extend"
        end = datetime.fromisoformat(grant["terms"]["end"])
        later = {"end": (end + timedelta(hours=1)).isoformat()}
        assert kind(await staff["zhao"].post(path, json=later)) == (403, "forbidden")
        changed = (await staff["sun"].post(path, json=later)).json()
        assert datetime.fromisoformat(changed["terms"]["end"]) == end + timedelta(hours=1)
        never = {"end": (end + timedelta(days=30)).isoformat()}
        assert kind(await staff["sun"].post(path, json=never)) == (422, "invalid")

    async def test_narrowed_and_revoked(self, staff: Staff) -> None:
        request = await staff.ask("gate-1", "gate-2", users=[staff.id("wang"), staff.id("li")])
        grant = await staff.approve(request, "zhao", "qian")
        assert grant is not None
        path = f"/api/v1/grants/{grant['id']}"
        less = {"cameras": ["gate-1"], "users": [staff.id("wang")]}
        changed = (await staff["zhao"].post(f"{path}/narrow", json=less)).json()
        assert changed["cameras"] == ["gate-1"]
        assert kind(await staff.ticket("li", "gate-1", grant["id"])) == (403, "other_user")
        more = {"cameras": ["gate-1", "gate-2"]}
        assert kind(await staff["zhao"].post(f"{path}/narrow", json=more)) == (422, "invalid")
        reason = {"reason": "The road is clear"}
        assert kind(await staff["zhou"].post(f"{path}/revoke", json=reason)) == (403, "forbidden")
        revoked = (await staff["wang"].post(f"{path}/revoke", json=reason)).json()
        assert (revoked["ended"], revoked["revoke_reason"]) == (True, "The road is clear")
        assert kind(await staff["wang"].post(f"{path}/revoke", json=reason)) == (409, "conflict")

    async def test_lists_are_cut_to_who_reads_them(self, staff: Staff) -> None:
        first = await staff.approve(await staff.ask("gate-1"), "zhao", "qian")
        second = await staff.approve(await staff.ask("school-1", users=[staff.id("li")]), "sun")
        assert first is not None
        assert second is not None

        async def listed(name: str, query: str = "") -> set[str]:
            answer = await staff[name].get(f"/api/v1/grants?{query}")
            return {item["id"] for item in answer.json()["items"]}

        assert await listed("wang") == await listed("wu") == {first["id"], second["id"]}
        assert await listed("wang", "mine=true") == {first["id"]}
        assert await listed("zhao") == {first["id"]}
        assert await listed("zhou") == set()
        assert (await staff["zhou"].get(f"/api/v1/grants/{first['id']}")).status_code == 404
        await staff["wang"].post(f"/api/v1/grants/{first['id']}/revoke", json={"reason": "Done with it"})
        assert await listed("wang", "running=true") == {second["id"]}
        page = (await staff["wang"].get("/api/v1/grants?limit=1")).json()
        rest = (await staff["wang"].get(f"/api/v1/grants?limit=1&before={page['next']}")).json()
        assert {page["items"][0]["id"], rest["items"][0]["id"]} == {first["id"], second["id"]}
        assert rest["next"] is None


class TestOverrides:
    async def test_opened_at_once_and_reviewed_by_another(self, staff: Staff) -> None:
        form = {"cameras": ["gate-1", "school-1"], "reason": "Child missing at the gate", "life_s": 600}
        assert kind(await staff["wang"].post("/api/v1/overrides", json=form)) == (403, "forbidden")
        opened = await staff["zhou"].post("/api/v1/overrides", json=form)
        assert opened.status_code == 201
        assert [one["grant"]["owner"] for one in opened.json()] == ["edu", "psb"]
        school = opened.json()[0]
        assert school["grant"]["emergency"] is True
        ticket = (await staff.ticket("zhou", "school-1")).json()
        assert (ticket["basis"], ticket["grant"]) == ("emergency", school["grant"]["id"])

        waiting = (await staff["wu"].get("/api/v1/overrides?unreviewed=true")).json()
        assert len(waiting) == 2
        assert (await staff["ma"].get("/api/v1/overrides")).json() == waiting  # the same department
        path = f"/api/v1/overrides/{school['grant']['id']}/review"
        verdict = {"justified": False, "reason": "Nobody was missing"}
        assert kind(await staff["zhou"].post(path, json=verdict)) == (403, "forbidden")
        reviewed = (await staff["wu"].post(path, json=verdict)).json()
        assert (reviewed["justified"], reviewed["counts_against"]) == (False, True)
        assert len((await staff["wu"].get("/api/v1/overrides?unreviewed=true")).json()) == 1
        month = datetime.now(UTC).strftime("%Y-%m")
        figures = (await staff["wang"].get(f"/api/v1/transparency?month={month}")).json()
        assert figures["against"] in ({"psb": 1}, {})  # {}: near midnight, another month in Shanghai

    async def test_no_longer_and_no_more_than_policy_allows(self, staff: Staff) -> None:
        form = {"cameras": ["gate-1"], "reason": "Child missing at the gate", "life_s": 86_400}
        assert kind(await staff["zhou"].post("/api/v1/overrides", json=form)) == (422, "invalid")


class TestRules:
    async def test_policies_are_changed_by_administrators(self, staff: Staff) -> None:
        policy = (await staff["wang"].get("/api/v1/view-policies/public_security")).json()
        assert (policy.pop("tier"), policy["approvers"], policy["default_life_s"]) == (
            "public_security",
            2,
            14_400,
        )
        path = "/api/v1/view-policies/public_security"
        changed = policy | {"approvers": 1, "default_life_s": 3_600}
        assert kind(await staff["zhao"].put(path, json=changed)) == (403, "forbidden")
        assert (await staff["feng"].put(path, json=changed)).json()["approvers"] == 1
        late = await staff["feng"].put(path, json=policy | {"approvers": 3})  # as read before that
        assert kind(late) == (409, "conflict")
        assert await staff.approve(await staff.ask("gate-1"), "zhao") is not None
        tiers = (await staff["wang"].get("/api/v1/view-policies")).json()
        assert [tier["approvers"] for tier in tiers] == [1, 1, 1]
        (entry,) = await staff.register(kind="policy_changed")
        assert entry["details"]["changed"]["approvers"] == [2, 1]

    async def test_rules_that_contradict_each_other_are_refused(self, staff: Staff) -> None:
        policy = (await staff["feng"].get("/api/v1/view-policies/community")).json()
        del policy["tier"]
        wrong = policy | {"default_life_s": policy["longest_life_s"] + 1}
        answer = await staff["feng"].put("/api/v1/view-policies/community", json=wrong)
        assert kind(answer) == (422, "invalid")
        short = await staff["feng"].put("/api/v1/view-policies/community", json={"approvers": 1})
        assert kind(short) == (422, "invalid")

    async def test_where_the_law_forbids_cameras_nobody_watches(self, staff: Staff) -> None:
        assert (await staff.ticket("zhou", "gate-1")).status_code == 201
        path = "/api/v1/cameras/gate-1/place"
        assert kind(await staff["zhou"].put(path, json={"place": "toilet"})) == (403, "forbidden")
        assert (await staff["feng"].put(path, json={"place": "toilet"})).status_code == 200
        assert (await staff["zhou"].get(path)).json() == {"place": "toilet"}
        assert kind(await staff.ticket("zhou", "gate-1")) == (403, "place_forbidden")
        assert (
            await staff["wang"].post(
                "/api/v1/view-requests",
                json={"cameras": ["gate-1"], "purpose": "traffic", "purpose_text": "Jam at the crossing"},
            )
        ).status_code == 422


class TestTickets:
    async def test_own_cameras_need_no_grant(self, staff: Staff) -> None:
        answer = await staff.ticket("zhou", "gate-1")
        ticket = answer.json()
        assert (ticket["basis"], ticket["grant"], ticket["until"]) == ("own", None, None)
        assert ticket["watermark"] == {"name": "Zhou", "unit": "psb", "grant": None, "burned_in": False}
        assert answer.headers["cache-control"] == "no-store"
        assert "rtsp" not in answer.text

    @pytest.mark.parametrize(
        ("name", "camera", "reason"),
        [
            ("wang", "gate-1", "no_grant"),
            ("zhou", "school-1", "no_grant"),
            ("wu", "gate-1", "auditor"),
            ("ma", "gate-1", "maintainer"),
            ("zhao", "gate-1", "role"),
            ("feng", "gate-1", "role"),
            ("zhou", "nothing", "camera_unknown"),
        ],
    )
    async def test_refused_in_the_words_of_the_register(
        self, staff: Staff, name: str, camera: str, reason: str
    ) -> None:
        answer = await staff.ticket(name, camera)
        assert kind(answer) == (403, reason)
        (entry,) = await staff.register(kind="refusal")
        assert (entry["user"], entry["camera"]) == (staff.id(name), camera)
        assert entry["address"] == "192.0.2.1"
        assert entry["details"]["reason"] == answer.json()["reason"] == reason
        assert entry["details"]["message"] == answer.json()["detail"]

    async def test_a_token_gets_no_ticket(self, client: Client) -> None:
        answer = await client.post("/api/v1/view-tickets", json={"camera": "gate-1"})
        assert kind(answer) == (403, "forbidden")
        assert "person" in answer.json()["detail"]


async def test_openapi_describes_every_route_and_shows_examples(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    shapes = document["components"]["schemas"]
    tags = {"session", "users", "views", "register", "faults"}
    looked = 0

    def resolve(schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return dict(shapes[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return resolve(schema["anyOf"][0])
        return resolve(schema["items"]) if schema.get("type") == "array" else schema

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not tags & set(operation.get("tags", ())) or path.startswith("/api/v1/views"):
                continue
            looked += 1
            assert operation["description"], path
            bodies = [
                operation.get("requestBody", {}),
                *(answer for code, answer in operation["responses"].items() if code in ("200", "201")),
            ]
            for body in bodies:
                schema = body.get("content", {}).get("application/json", {}).get("schema")
                if schema:
                    assert "example" in resolve(schema), f"{method} {path}: {schema}"
    assert looked >= 40


async def test_an_override_without_a_review_is_counted_for_the_alert(staff: Staff) -> None:
    service = staff.client.service
    form = {"cameras": ["gate-1"], "reason": "Child lost at the river"}
    opened = await staff["zhou"].post("/api/v1/overrides", json=form)
    assert opened.status_code == 201, opened.text
    assert await service.database.aread(lambda c: count_reviews(c, service.clock())) == (1, 0)
    due = from_datetime(datetime.fromisoformat(opened.json()[0]["override"]["review_by"]))
    assert await service.database.aread(lambda c: count_reviews(c, due)) == (0, 1)
    service.metrics.tell_reviews(1, 0)
    page = (await staff.client.get("/metrics")).text
    assert 'sharpeyes_override_reviews{state="waiting"} 1.0' in page


async def test_what_could_be_watched_is_told_and_not_registered(client: Client) -> None:
    async with staff_of(client, ("wang", "sun", "zhou", "feng", "wu")) as staff:
        where = "/api/v1/watchable"
        before = await staff.register()
        nothing = (await staff["wang"].get(where)).json()
        assert (nothing["may"], set(nothing["refused"])) == ({}, {"no_grant"})
        assert sorted(nothing["refused"]["no_grant"]) == ["gate-1", "gate-2", "school-1"]
        own = (await staff["zhou"].get(where)).json()
        assert own == {"may": {"gate-1": None, "gate-2": None}, "refused": {"no_grant": ["school-1"]}}
        assert set((await staff["feng"].get(where)).json()["refused"]) == {"role"}
        assert set((await staff["wu"].get(where)).json()["refused"]) == {"auditor"}
        assert await staff.register() == before
        grant = await staff.approve(await staff.ask("school-1"), "sun")
        assert grant is not None
        assert (await staff["wang"].get(where)).json()["may"] == {"school-1": grant["id"]}
        ended = await staff["sun"].post(
            f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "enough seen"}
        )
        assert ended.status_code == 200, ended.text
        assert (await staff["wang"].get(where)).json() == nothing
        assert (await client.get(where)).status_code == 403  # a token watches nothing
