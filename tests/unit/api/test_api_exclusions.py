"""Exclusions and contests over the API: two people, and a record that stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from sqlalchemy import update

from api_client import Client, client_of
from api_people import Browser, staff_of
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, iso
from sharpeyes.store import schema, telemetry

HOUR = 3_600_000


@asynccontextmanager
async def two_people(folder: Path) -> AsyncIterator[tuple[Client, Browser, Browser]]:
    """A client with a token that an administrator made, their browser, and that of another person."""
    async with client_of(folder) as client, staff_of(client, ("feng", "zhou")) as staff:
        client.headers.update(await token_of(staff["feng"]))
        yield client, staff["feng"], staff["zhou"]


async def token_of(maker: httpx.AsyncClient, scope: str = "admin") -> dict[str, str]:
    made = await maker.post("/api/v1/tokens", json={"name": "machine", "scopes": [scope]})
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['token']}"}


def told(client: Client, camera: str, *spells: tuple[State, int, int]) -> None:
    """Intervals of a camera that was a member all along."""
    m = schema.membership

    def write(connection: object) -> None:
        connection.execute(update(m).where(m.c.camera_id == camera).values(started_ms=spells[0][1]))
        telemetry.write_batch(
            connection,
            intervals=[
                Interval(camera=camera, state=state, start=Ms(a), end=Ms(b), cause="timeout")
                for state, a, b in spells
            ],
        )

    client.service.database.write(write)


async def test_an_exclusion_needs_two_and_leaves_raw_alone(tmp_path: Path) -> None:
    async with two_people(tmp_path) as (client, _, other):
        now = client.service.clock()
        start, middle, end = now - 6 * HOUR, now - 4 * HOUR, now - 2 * HOUR
        told(client, "gate-1", (State.OFFLINE, start, middle), (State.ONLINE, middle, end))
        span = {"by": "camera", "from": iso(start), "to": iso(end)}

        async def rate() -> dict[str, object]:
            items = (await client.get("/api/v1/rates", params=span)).json()["items"]
            return next(i for i in items if i["key"] == "gate-1")

        body = {
            "scope": "camera",
            "subjects": ["gate-1"],
            "from": iso(start),
            "to": iso(middle),
            "reason": "停电",
            "evidence": "供电局通知 12",
        }
        made = await client.post("/api/v1/exclusions", json=body)
        assert made.status_code == 201, made.text
        asked = made.json()
        assert asked["stage"] == "pending"
        assert asked["retroactive"] is True
        assert asked["applicant"].startswith("token:")
        assert (await rate())["adjusted_rate"] == 0.5
        where = f"/api/v1/exclusions/{asked['id']}"
        own = await client.post(f"{where}/decision", json={"approve": True})
        assert own.status_code == 403
        decided = await other.post(f"{where}/decision", json={"approve": True})
        assert decided.json()["decider"] not in ("", asked["applicant"])
        found = await rate()
        assert found["online_rate"] == 0.5
        assert found["adjusted_rate"] == 1.0
        assert found["excluded_s"] == 7200
        again = await other.post(f"{where}/decision", json={"approve": False})
        assert again.status_code == 409
        listed = (await client.get("/api/v1/exclusions", params={"from": iso(start)})).json()["items"]
        assert [i["id"] for i in listed] == [asked["id"]]
        assert (await client.post(f"{where}/revocation")).json()["stage"] == "revoked"
        assert (await rate())["adjusted_rate"] == 0.5


async def test_an_application_is_checked(tmp_path: Path) -> None:
    async with two_people(tmp_path) as (client, _, _):
        now = client.service.clock()
        good = {
            "scope": "department",
            "subjects": ["psb"],
            "from": iso(now + HOUR),
            "to": iso(now + 2 * HOUR),
            "reason": "works",
            "evidence": "order 7",
        }
        assert (await client.post("/api/v1/exclusions", json=good)).json()["retroactive"] is False
        for change, status in (
            ({"subjects": ["nobody"]}, 404),
            ({"subjects": []}, 422),
            ({"to": good["from"]}, 422),
            ({"to": iso(now + 500 * 24 * HOUR)}, 422),
            ({"reason": " "}, 422),
            ({"evidence": ""}, 422),
            ({"scope": "planet"}, 422),
        ):
            assert (await client.post("/api/v1/exclusions", json=good | change)).status_code == status, change
        reader = await token_of(client, "read")
        assert (await client.post("/api/v1/exclusions", json=good, headers=reader)).status_code == 403
        assert (await client.get("/api/v1/exclusions/none")).status_code == 404


async def test_a_contest_and_its_answer_stay(tmp_path: Path) -> None:
    async with two_people(tmp_path) as (client, _, other):
        now = client.service.clock()
        start, end = now - 3 * HOUR, now - 2 * HOUR
        told(client, "gate-1", (State.OFFLINE, start, end))
        filing = {"camera": "gate-1", "start": iso(start), "text": "我方录像显示在线"}
        wrong = await client.post("/api/v1/contests", json=filing | {"start": iso(start + 1)})
        assert wrong.status_code == 404
        stranger = await client.post("/api/v1/contests", json=filing | {"department": "edu"})
        assert stranger.status_code == 403
        filed = await client.post("/api/v1/contests", json=filing)
        assert filed.status_code == 201, filed.text
        contest = filed.json()
        assert contest["department"] == "psb"
        assert contest["interval"]["end"] == iso(end)
        assert (await client.post("/api/v1/contests", json=filing)).status_code == 409
        reply = {"text": "The switch was down; see ticket 4", "outcome": "dismissed"}
        where = f"/api/v1/contests/{contest['id']}/answer"
        assert (await client.post(where, json=reply)).status_code == 403  # one's own
        answered = (await other.post(where, json=reply)).json()
        assert (answered["text"], answered["answer"]) == (filing["text"], reply["text"])
        assert (await other.post(where, json=reply)).status_code == 409
        shown = await client.get(
            "/api/v1/intervals/evidence", params={"camera": "gate-1", "start": iso(start)}
        )
        assert shown.status_code == 200, shown.text
        assert shown.json()["contests"] == [answered]
        open_ones = await client.get("/api/v1/contests", params={"answered": "false"})
        assert open_ones.json()["items"] == []
        both = await client.get("/api/v1/contests", params={"camera": "gate-1"})
        assert both.json()["items"] == [answered]


async def test_an_application_is_withdrawn_by_its_applicant_alone_and_stays(tmp_path: Path) -> None:
    async with two_people(tmp_path) as (client, _, other):
        now = client.service.clock()
        body = {
            "scope": "tier",
            "subjects": ["community"],
            "from": iso(now + HOUR),
            "to": iso(now + 2 * HOUR),
            "reason": "works",
            "evidence": "order 7",
        }
        asked = (await client.post("/api/v1/exclusions", json=body)).json()
        where, why = f"/api/v1/exclusions/{asked['id']}", {"reason": "施工取消"}
        assert (await client.post(f"{where}/withdrawal", json={"reason": " "})).status_code == 422
        refused = await other.post(f"{where}/withdrawal", json=why)
        assert (refused.status_code, refused.json()["mend"]) == (403, "Refuse it instead")
        done = (await client.post(f"{where}/withdrawal", json=why)).json()
        assert (done["stage"], done["withdrawal"], done["decider"]) == ("withdrawn", "施工取消", None)
        assert done["withdrawn"] is not None
        for step, said in (("decision", {"approve": True}), ("withdrawal", why), ("revocation", None)):
            by = client if step == "withdrawal" else other
            again = await by.post(f"{where}/{step}", json=said)
            assert again.status_code == 409, (step, again.text)
        listed = (await client.get("/api/v1/exclusions", params={"stage": "withdrawn"})).json()["items"]
        assert listed == [done]
        told = (await client.get("/api/v1/events", params={"kind": "exclusion"})).json()["items"]
        by = asked["applicant"]
        assert [line["message"] for line in told] == [
            f"withdrawn by {by}: 施工取消",
            f"applied for by {by}: works",
        ]
        assert {line["subject"] for line in told} == {asked["id"]}
        later = (await client.post("/api/v1/exclusions", json=body)).json()
        where = f"/api/v1/exclusions/{later['id']}"
        decided = await other.post(f"{where}/decision", json={"approve": False})
        assert decided.status_code == 200
        assert (await client.post(f"{where}/withdrawal", json=why)).status_code == 409


async def test_a_contest_is_withdrawn_and_makes_room_for_another(tmp_path: Path) -> None:
    async with two_people(tmp_path) as (client, _, other):
        now = client.service.clock()
        start, end = now - 3 * HOUR, now - 2 * HOUR
        told(client, "gate-1", (State.OFFLINE, start, end))
        filing = {"camera": "gate-1", "start": iso(start), "text": "录像在线"}
        filed = (await client.post("/api/v1/contests", json=filing)).json()
        where, why = f"/api/v1/contests/{filed['id']}", {"reason": "看错了时段"}
        assert (await other.post(f"{where}/withdrawal", json=why)).status_code == 403
        done = (await client.post(f"{where}/withdrawal", json=why)).json()
        assert (done["withdrawal"], done["outcome"], done["text"]) == ("看错了时段", None, filing["text"])
        reply = {"text": "no", "outcome": "dismissed"}
        assert (await other.post(f"{where}/answer", json=reply)).status_code == 409
        assert (await client.post(f"{where}/withdrawal", json=why)).status_code == 409
        waiting = await client.get("/api/v1/contests", params={"answered": "false"})
        assert waiting.json()["items"] == []
        assert (await client.get("/api/v1/contests")).json()["items"] == [done]
        again = await client.post("/api/v1/contests", json=filing)  # it blocks no other
        assert again.status_code == 201
        where = f"/api/v1/contests/{again.json()['id']}"
        assert (await other.post(f"{where}/answer", json=reply)).status_code == 200
        assert (await client.post(f"{where}/withdrawal", json=why)).status_code == 409
        kinds = (await client.get("/api/v1/events", params={"kind": "contest"})).json()["items"]
        assert [line["message"].split(" ")[0] for line in kinds] == [
            "dismissed",
            "filed",
            "withdrawn",
            "filed",
        ]


async def test_nobody_decides_on_their_own_with_another_credential(tmp_path: Path) -> None:
    """A token is its maker's, also one that was made with a token."""
    async with two_people(tmp_path) as (client, browser, other):
        now = client.service.clock()
        start, end = now - 3 * HOUR, now - 2 * HOUR
        told(client, "gate-1", (State.OFFLINE, start, end))
        body = {
            "scope": "tier",
            "subjects": ["community"],
            "from": iso(now + HOUR),
            "to": iso(now + 2 * HOUR),
            "reason": "works",
            "evidence": "order 7",
        }
        filing = {"camera": "gate-1", "start": iso(start), "text": "录像在线", "department": "psb"}
        grown = await token_of(client)
        own: tuple[tuple[httpx.AsyncClient, dict[str, str]], ...] = (
            (client, {}),
            (client, grown),
            (browser, {}),
        )
        approve, uphold = {"approve": True}, {"text": "so it is", "outcome": "upheld"}
        asked = ""
        for asker, asking in own:
            made = await asker.post("/api/v1/exclusions", json=body, headers=asking)
            asked = f"/api/v1/exclusions/{made.json()['id']}"
            for decider, deciding in own:
                refused = await decider.post(f"{asked}/decision", json=approve, headers=deciding)
                assert refused.status_code == 403, refused.text
                assert refused.json()["detail"] == "nobody decides on an exclusion of their own"
        assert (await other.post(f"{asked}/decision", json=approve)).status_code == 200

        filed = await client.post("/api/v1/contests", json=filing)
        contest = f"/api/v1/contests/{filed.json()['id']}"
        for decider, deciding in own:
            refused = await decider.post(f"{contest}/answer", json=uphold, headers=deciding)
            assert refused.status_code == 403, refused.text
        assert (await other.post(f"{contest}/answer", json=uphold)).status_code == 200


async def test_a_token_of_nobody_knows_whom_decides_on_no_persons_wish(tmp_path: Path) -> None:
    """That of the first start is in whoever's hands read the screen then. It asks as a machine asks."""
    async with client_of(tmp_path) as client, staff_of(client, ("feng",)) as staff:
        now, feng = client.service.clock(), staff["feng"]
        body = {
            "scope": "tier",
            "subjects": ["community"],
            "from": iso(now + HOUR),
            "to": iso(now + 2 * HOUR),
            "reason": "works",
            "evidence": "order 7",
        }
        child = await token_of(client)
        told(client, "gate-1", (State.OFFLINE, now - 3 * HOUR, now - 2 * HOUR))
        filing = {"camera": "gate-1", "start": iso(now - 3 * HOUR), "text": "录像在线", "department": "psb"}

        async def decision(
            asker: httpx.AsyncClient, decider: httpx.AsyncClient, headers: dict[str, str] | None = None
        ) -> int:
            asked = (await asker.post("/api/v1/exclusions", json=body)).json()
            where = f"/api/v1/exclusions/{asked['id']}/decision"
            return (await decider.post(where, json={"approve": True}, headers=headers)).status_code

        assert await decision(feng, client) == 403
        assert await decision(feng, client, child) == 403
        assert await decision(client, client) == 403
        assert await decision(client, client, child) == 200
        assert await decision(client, feng) == 200
        filed = (await client.post("/api/v1/contests", json=filing)).json()
        where, reply = f"/api/v1/contests/{filed['id']}/answer", {"text": "so it is", "outcome": "upheld"}
        assert (await client.post(where, json=reply)).status_code == 403
        assert (await feng.post(where, json=reply)).status_code == 200
        (mine, *_) = (await feng.get("/api/v1/tokens")).json()
        assert mine["owner"] is None
