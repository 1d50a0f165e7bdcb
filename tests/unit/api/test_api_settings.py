"""Settings changed in the console beside cameras.yaml: whose word holds, what is refused, what survives."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_client import CITY, Client, client_of
from sharpeyes.config import load
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import Ms, iso
from sharpeyes.store.schema import setting

SQUARE = [[120.1, 30.1], [120.2, 30.1], [120.2, 30.2], [120.1, 30.2]]
RECIPIENTS = """
    faults:
      allow: [127.0.0.0/8]
      recipients:
        - {id: duty, least: major, webhook: {url: "https://alarm.example/hook?key=abc", secret_env: HOOK}}
"""


async def read(client: Client, what: str, key: str = "") -> Any:
    answer = await client.get(f"/api/v1/settings/{what}")
    assert answer.status_code == 200, answer.text
    return next(one for one in answer.json() if one["id"] == key) if key else answer.json()


async def put(client: Client, what: str, key: str, **values: Any) -> Any:
    """With the version and values of now, but for these."""
    now = await read(client, what, key)
    body = {"version": now["version"], "reason": "as agreed", "values": {**now["values"], **values}}
    return await client.put(f"/api/v1/settings/{what}/{key}", json=body)


async def events(client: Client, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v1/events", params={"kind": kind})).json()["items"]
    return found


def file_says(folder: Path, text: str) -> None:
    (folder / "cameras.yaml").write_text(text.replace("\n    ", "\n").lstrip(), encoding="utf-8")


# --- tiers ----------------------------------------------------------------------------------------------


async def test_a_target_is_changed_shown_kept_and_given_back(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        before = await read(client, "tiers", "public_security")
        assert (before["source"], before["declared"]["target"], before["by"]) == ("file", 0.98, None)
        assert (await put(client, "tiers", "public_security", target=0.97)).status_code == 204
        after = await read(client, "tiers", "public_security")
        assert after["source"] == "changed"
        assert (after["changed"], after["values"]["target"]) == (["target"], 0.97)
        assert (after["declared"]["target"], after["reason"]) == (0.98, "as agreed")
        assert [one["target"] for one in after["targets"]] == [0.98, 0.97]
        shown = (await client.get("/api/v1/tiers")).json()
        assert next(one for one in shown if one["tier"] == "public_security")["target"] == 0.97
        page = (await client.get("/metrics")).text
        assert 'sharpeyes_online_target_ratio{tier="public_security"} 0.97' in page
        (line,) = await events(client, "tier_changed")
        assert "target: 0.98 → 0.97" in line["message"]
        assert "as agreed" in line["message"]
    async with client_of(tmp_path) as client:  # a restart
        client.headers = headers
        kept = await read(client, "tiers", "public_security")
        assert (kept["source"], kept["values"]["target"]) == ("changed", 0.97)
        body = {"version": kept["version"]}
        url = "/api/v1/settings/tiers/public_security/revert"
        assert (await client.post(url, json=body)).status_code == 204
        again = await read(client, "tiers", "public_security")
        assert (again["source"], again["values"]["target"]) == ("file", 0.98)
        assert (await client.post(url, json=body)).status_code == 409  # it is not as it was read


async def test_a_field_of_the_file_follows_the_file_while_another_is_the_consoles(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        await put(client, "tiers", "public_security", target=0.97)
    file_says(tmp_path, CITY.replace("target: 0.98, liveness_s: 10", "target: 0.99, liveness_s: 20"))
    async with client_of(tmp_path) as client:
        client.headers = headers
        now = await read(client, "tiers", "public_security")
        assert now["values"] == {"target": 0.97, "liveness_s": 20, "quality_s": 300}
        assert (now["declared"]["target"], now["changed"]) == (0.99, ["target"])


async def test_two_administrators_do_not_overwrite_each_other(client: Client) -> None:
    old = await read(client, "tiers", "community")
    assert (await put(client, "tiers", "community", target=0.9)).status_code == 204
    url = "/api/v1/settings/tiers/community"
    late = await client.put(url, json={"version": old["version"], "values": {**old["values"], "target": 0.5}})
    assert late.status_code == 409
    assert "was changed by" in late.json()["detail"]
    assert "now" in late.json()["mend"]
    assert (await read(client, "tiers", "community"))["values"]["target"] == 0.9


@pytest.mark.parametrize(
    ("field", "value"),
    [("target", 0), ("target", 1.01), ("target", -1), ("liveness_s", 0.5), ("quality_s", 1e6)],
)
async def test_what_no_tier_can_be_held_to_is_refused_by_name(
    client: Client, field: str, value: float
) -> None:
    answer = await put(client, "tiers", "community", **{field: value})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(field)
    assert answer.json()["mend"]


async def test_numbers_that_are_none_are_refused(client: Client) -> None:
    version = (await read(client, "tiers", "community"))["version"]
    for wrong in ("NaN", "Infinity", "1e999"):
        body = f'{{"version": "{version}", "values": {{"target": {wrong}, "liveness_s": 1, "quality_s": 1}}}}'
        headers = {"Content-Type": "application/json"}
        answer = await client.put("/api/v1/settings/tiers/community", content=body, headers=headers)
        assert answer.status_code == 422, wrong


class Clock:
    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> Ms:
        return Ms(self.at)


async def test_past_periods_keep_the_target_of_their_time(tmp_path: Path) -> None:
    hour, start = 3_600_000, 1_790_006_400_000  # a full hour
    clock = Clock(start)
    async with client_of(tmp_path, clock=clock) as client:
        clock.at = start + 2 * hour
        await put(client, "tiers", "public_security", target=0.5)
        clock.at = start + 4 * hour

        async def target(first: int, last: int) -> float:
            span = {"from": _iso(start + first * hour), "to": _iso(start + last * hour)}
            answer = await client.get("/api/v1/rates", params={"by": "tier", **span})
            (one,) = [item for item in answer.json()["items"] if item["key"] == "public_security"]
            found: float = one["target"]
            return found

        assert await target(0, 2) == 0.98  # ended when the new one began
        assert await target(0, 3) == 0.5  # the target at the end judges the whole span
        assert await target(3, 4) == 0.5
        span = {"from": _iso(start), "to": _iso(start + 4 * hour), "step": "hour"}
        course = (await client.get("/api/v1/rates", params={"by": "tier", **span})).json()["items"]
        told = [one["target"] for one in course if one["key"] == "public_security"]
        assert told[:2] == [0.98, 0.98]
        assert set(told[2:]) == {0.5}


def _iso(at: int) -> str:
    return iso(Ms(at))


async def test_other_cadences_reach_the_fleet_without_a_burst(client: Client) -> None:
    fleet = client.service.fleet
    assert {unit.target.cadence_s for unit in fleet._units.values()} == {10.0, 30.0}
    await put(client, "tiers", "public_security", liveness_s=3600)
    await put(client, "tiers", "public_security", liveness_s=1800)
    units = [u for u in fleet._units.values() if u.target.camera.tier == "public_security"]
    assert {unit.target.cadence_s for unit in units} == {1800.0}


# --- departments ----------------------------------------------------------------------------------------


async def test_a_department_of_the_console_lives_and_goes(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        values = {
            "name": "城管局",
            "name_en": " City Management ",
            "industry": "07",
            "contact": "值班 0571-1",
        }
        body = {"id": "cm", "reason": "new bureau", "values": values}
        answer = await client.post("/api/v1/settings/departments", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["source"] == "console"
        assert answer.json()["values"]["name_en"] == "City Management"
        assert (await client.post("/api/v1/settings/departments", json=body)).status_code == 409
        shown = (await client.get("/api/v1/departments")).json()
        assert {"id": "cm", **answer.json()["values"]} in shown
    async with client_of(tmp_path) as client:
        client.headers = headers
        kept = await read(client, "departments", "cm")
        assert (kept["source"], kept["values"]["name"]) == ("console", "城管局")
        url = "/api/v1/settings/departments/cm"
        assert (await client.post(f"{url}/revert", json={"version": kept["version"]})).status_code == 409
        assert (await client.delete(url, params={"version": "stale"})).status_code == 409
        assert (await client.delete(url, params={"version": kept["version"]})).status_code == 204
        assert "cm" not in {one["id"] for one in (await client.get("/api/v1/departments")).json()}
        (line,) = await events(client, "department_removed")
        assert line["subject"] == "cm"


async def test_what_is_in_use_or_declared_is_not_removed(client: Client) -> None:
    psb = await read(client, "departments", "psb")
    answer = await client.delete("/api/v1/settings/departments/psb", params={"version": psb["version"]})
    assert answer.status_code == 409
    assert "declared in cameras.yaml" in answer.json()["detail"]
    made = await client.post("/api/v1/settings/departments", json={"values": {"name": "新部门"}})
    key = made.json()["id"]
    assert not isinstance(client.service.access, Exception)
    await client.service.access.people.add(
        None,
        username="li",
        name="Li",
        department=key,
        roles=["operator"],
        password=Secret("a long phrase 99"),
    )
    answer = await client.delete(
        f"/api/v1/settings/departments/{key}", params={"version": made.json()["version"]}
    )
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("is in use: 1 accounts")


async def test_a_clash_with_the_file_is_told_and_loses_nothing(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        values = {"name": "城管局", "contact": "0571-1"}
        await client.post("/api/v1/settings/departments", json={"id": "cm", "values": values})
    more = CITY.replace(
        "audit: {name: Audit Office}", "audit: {name: Audit Office}\n      cm: {name: 城市管理}"
    )
    file_says(tmp_path, more)
    for _ in range(2):  # at every start
        async with client_of(tmp_path) as client:
            client.headers = headers
            clash = await read(client, "departments", "cm")
            assert (clash["source"], clash["values"]["name"]) == ("clash", "城管局")
            assert clash["declared"]["name"] == "城市管理"
            assert set(clash["changed"]) == {"name", "contact"}
            told = [one for one in await events(client, "conflict") if one["subject"] == "cm"]
            assert len(told) == 1
            assert "cameras.yaml" in told[0]["message"]
    async with client_of(tmp_path) as client:
        client.headers = headers
        body = {"version": (await read(client, "departments", "cm"))["version"]}
        assert (await client.post("/api/v1/settings/departments/cm/revert", json=body)).status_code == 204
        mine = await read(client, "departments", "cm")
        assert (mine["source"], mine["values"]["name"], mine["values"]["contact"]) == (
            "file",
            "城市管理",
            None,
        )


async def test_what_the_file_takes_up_word_for_word_is_the_files(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        await client.post("/api/v1/settings/departments", json={"id": "cm", "values": {"name": "城管局"}})
        await put(client, "tiers", "public_security", target=0.97)
        text = (await client.get("/api/v1/settings/cameras.yaml")).text
    document = yaml.safe_load((tmp_path / "cameras.yaml").read_text("utf-8"))
    document |= yaml.safe_load(text)
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    async with client_of(tmp_path) as client:
        client.headers = headers
        assert (await read(client, "departments", "cm"))["source"] == "file"
        tier = await read(client, "tiers", "public_security")
        assert (tier["source"], tier["values"]["target"]) == ("file", 0.97)


async def test_what_the_file_drops_while_cameras_belong_to_it_can_be_taken_over(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        await put(client, "departments", "audit", name="审计局")
    file_says(tmp_path, CITY.replace("      audit: {name: Audit Office}\n", ""))
    async with client_of(tmp_path) as client:
        client.headers = headers
        assert "audit" not in {one["id"] for one in await read(client, "departments")}
        told = [one for one in await events(client, "conflict") if one["subject"] == "audit"]
        assert "is kept" in told[0]["message"]
    file_says(tmp_path, CITY)
    async with client_of(tmp_path) as client:
        client.headers = headers
        assert (await read(client, "departments", "audit"))["values"]["name"] == "审计局"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "ok", "industry": "99"}, "industry"),
        ({"name": "ok", "contact": "a\nb"}, "contact"),
    ],
)
async def test_departments_that_are_none(client: Client, values: dict[str, str], field: str) -> None:
    answer = await client.post("/api/v1/settings/departments", json={"values": values})
    assert answer.status_code == 422
    assert field in answer.json()["detail"]


@pytest.mark.parametrize("key", ["../x", "a b", "中", "x" * 65, "-a"])
async def test_ids_that_cannot_stand_in_addresses(client: Client, key: str) -> None:
    body = {"id": key, "values": {"name": "x"}}
    assert (await client.post("/api/v1/settings/departments", json=body)).status_code == 422


# --- areas ----------------------------------------------------------------------------------------------


async def test_an_area_with_its_outline(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        values = {"name": "东区", "parent": "city", "code": "440306", "target": 0.9}
        made = await client.post("/api/v1/settings/areas", json={"id": "east", "values": values})
        assert made.status_code == 201, made.text
        state = made.json()["boundary"]
        assert state["points"] == 0
        body = {"version": state["version"], "geojson": {"type": "Polygon", "coordinates": [SQUARE]}}
        url = "/api/v1/settings/areas/east/boundary"
        assert (await client.put(url, json=body)).status_code == 204
        assert (await client.put(url, json=body)).status_code == 409
        drawn = (await client.get("/api/v1/areas/boundaries")).json()["features"]
        assert [one["id"] for one in drawn] == ["east"]
    async with client_of(tmp_path) as client:
        client.headers = headers
        kept = await read(client, "areas", "east")
        assert (kept["boundary"]["points"], kept["values"]["target"]) == (5, 0.9)
        assert kept["targets"] == [{"since": None, "target": 0.9}]
        drawn = (await client.get("/api/v1/areas/boundaries")).json()["features"]
        assert [one["id"] for one in drawn] == ["east"]
        inner = {"id": "inner", "values": {"name": "里", "parent": "east"}}
        await client.post("/api/v1/settings/areas", json=inner)
        url = "/api/v1/settings/areas/east"
        answer = await client.delete(url, params={"version": kept["version"]})
        assert answer.json()["detail"].endswith("is in use: 1 areas below it")
        round_trip = yaml.safe_load((await client.get("/api/v1/settings/cameras.yaml")).text)
        assert round_trip["areas"]["city"]["children"]["east"]["children"] == {"inner": {"name": "里"}}
        assert len(round_trip["areas"]["city"]["children"]["east"]["boundary"]) == 5


async def test_no_area_lies_within_itself(client: Client) -> None:
    answer = await put(client, "areas", "city", parent="north")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("parent")
    assert (await put(client, "areas", "south", parent="north")).status_code == 204
    assert (await put(client, "areas", "north", parent="south")).status_code == 422
    assert (await put(client, "areas", "north", parent="nowhere")).status_code == 422


async def test_a_tree_that_the_file_turns_round_is_no_circle(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        headers = client.headers
        await put(client, "areas", "south", parent="north")
    turned = CITY.replace(
        'children: {north: {name: North, code: "440305"}, south: {name: South}}',
        'children: {south: {name: South, children: {north: {name: North, code: "440305"}}}}',
    )
    assert turned != CITY
    file_says(tmp_path, turned)
    async with client_of(tmp_path) as client:
        client.headers = headers
        south = await read(client, "areas", "south")
        assert south["values"]["parent"] == "city"
        told = [one for one in await events(client, "conflict") if one["subject"] == "south"]
        assert "within itself" in told[0]["message"]


@pytest.mark.parametrize(
    ("geojson", "said"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "no Polygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "three points"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [200, 1]]]}, "no place on Earth"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10**400, 1], [1, 1]]]}, "no place on Earth"),
        ({"type": "Polygon", "coordinates": []}, "without a ring"),
        ({"type": "Polygon", "coordinates": {"a": 1}}, "not well formed"),
        ({"type": "Polygon", "coordinates": [[[0, 0]] * 50_002]}, "more than 50,000"),
    ],
)
async def test_outlines_that_are_none(client: Client, geojson: dict[str, Any], said: str) -> None:
    version = (await read(client, "areas", "north"))["boundary"]["version"]
    answer = await client.put(
        "/api/v1/settings/areas/north/boundary", json={"version": version, "geojson": geojson}
    )
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert answer.json()["detail"].startswith("geojson")


async def test_a_new_code_numbers_the_cameras_that_waited_for_one(client: Client) -> None:
    await put(client, "areas", "south", code="440399")
    assert (await client.get("/api/v1/cameras/gate-2")).json()["code"].startswith("4403")


# --- who is told ----------------------------------------------------------------------------------------


class Receiver:
    """A webhook's server: takes JSON, keeps it, answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.got.append(({"path": head[0].split()[1], **headers}, body))
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        yield receiver, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook/key-in-path"


def webhook(**values: Any) -> dict[str, Any]:
    return {"name": "值班室", "channel": {"kind": "webhook"}, **values}


@pytest.fixture
def town(tmp_path: Path) -> Callable[[], Any]:
    file_says(tmp_path, CITY + RECIPIENTS)
    return lambda: client_of(tmp_path)


async def test_a_webhook_is_added_tested_changed_switched_off_and_removed(
    town: Callable[[], Any], tmp_path: Path
) -> None:
    async with town() as client, receiving() as (receiver, url):
        headers = client.headers
        form = {"id": "ops", "values": webhook(), "secrets": {"url": url, "secret": "very secret words"}}
        made = await client.post("/api/v1/settings/recipients", json=form)
        assert made.status_code == 201, made.text
        assert made.json()["values"]["channel"] == {"kind": "webhook", "host": "127.0.0.1"}
        assert made.json()["secrets"] == ["secret", "url"]
        tested = (await client.post("/api/v1/settings/recipients/ops/test")).json()
        assert tested["delivered"] is True
        told, body = receiver.got.pop()
        assert told["path"] == "/hook/key-in-path"
        document = json.loads(body)
        assert document["type"] == "test"
        assert "测试" in document["title"]
        assert "值班室" in document["text"]
        signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + body
        digest = hmac.new(b"very secret words", signed, hashlib.sha256).digest()
        assert told["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        receiver.status = 401
        tested = (await client.post("/api/v1/settings/recipients/ops/test")).json()
        assert tested["delivered"] is False
        assert "401" in tested["message"]
        assert "ops" in {one.id for one in client.service.faults.settings.recipients}
        assert (await put(client, "recipients", "ops", enabled=False, least="critical")).status_code == 204
        (ops,) = [one for one in client.service.faults.settings.recipients if one.id == "ops"]
        assert (ops.enabled, ops.least) == (False, "critical")

    async with town() as client, receiving() as (receiver, url):  # sealed secrets open after a restart
        client.headers = headers
        version = (await read(client, "recipients", "ops"))["version"]
        body = {"version": version, "values": webhook(), "secrets": {"url": url}}
        assert (await client.put("/api/v1/settings/recipients/ops", json=body)).status_code == 204
        assert (await client.post("/api/v1/settings/recipients/ops/test")).json()["delivered"] is True
        told, sent = receiver.got.pop()
        signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + sent
        digest = hmac.new(b"very secret words", signed, hashlib.sha256).digest()
        assert told["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        version = (await read(client, "recipients", "ops"))["version"]
        answer = await client.delete("/api/v1/settings/recipients/ops", params={"version": version})
        assert answer.status_code == 204
        assert (await client.post("/api/v1/settings/recipients/ops/test")).status_code == 404

        # Nothing that was secret is anywhere but sealed.
        pages = [await client.get(f"/api/v1/settings/{one}") for one in ("recipients", "cameras.yaml")]
        pages.append(await client.get("/api/v1/events", params={"limit": 1000}))
        assert not any(word in page.text for page in pages for word in ("key-in-path", "very secret"))
    data = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("sharpeyes.db*"))
    assert b"very secret" not in data
    assert b"key-in-path" not in data


async def test_a_recipient_of_the_file_stays_where_it_is(town: Callable[[], Any]) -> None:
    async with town() as client:
        duty = await read(client, "recipients", "duty")
        assert duty["values"]["channel"] == {"kind": "webhook", "host": "alarm.example"}
        assert (await put(client, "recipients", "duty", least="critical", enabled=False)).status_code == 204
        changed = await read(client, "recipients", "duty")
        assert (changed["source"], set(changed["changed"])) == ("changed", {"least", "enabled"})
        (held,) = client.service.faults.settings.recipients
        assert (held.enabled, held.least, held.channel.secret.env) == (False, "critical", "HOOK")
        answer = await put(client, "recipients", "duty", channel={"kind": "wecom"})
        assert answer.status_code == 422
        assert "cameras.yaml" in answer.json()["detail"]
        body = {"version": changed["version"]}
        assert (await client.post("/api/v1/settings/recipients/duty/revert", json=body)).status_code == 204
        assert client.service.faults.settings.recipients[0].enabled


async def test_a_password_is_not_handed_to_another_server(client: Client) -> None:
    mail: dict[str, Any] = {
        "kind": "email",
        "to": "duty@psb.example",
        "sender": "s@psb.example",
        "host": "mail.psb.example",
    }
    mail |= {"port": 587, "security": "starttls", "username": "s"}
    form = {"id": "m", "values": {"channel": mail}, "secrets": {"password": "very secret words"}}
    assert (await client.post("/api/v1/settings/recipients", json=form)).status_code == 201
    assert (await put(client, "recipients", "m", channel={**mail, "to": "b@psb.example"})).status_code == 204
    answer = await put(client, "recipients", "m", channel={**mail, "host": "mail.evil.example"})
    assert answer.status_code == 422
    assert "password" in answer.json()["detail"]
    (held,) = client.service.faults.settings.recipients
    assert (held.channel.to, held.channel.host) == ("b@psb.example", "mail.psb.example")
    assert held.channel.password.read() == Secret("very secret words")
    assert "very secret" not in repr(held)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"values": webhook()}, "url"),
        ({"values": webhook(), "secrets": {"url": "ftp://x", "secret": "s"}}, "not an http"),
        (
            {"values": webhook(), "secrets": {"url": "https://u:p@x.example/", "secret": "s"}},
            "user or password",
        ),
        ({"values": webhook(), "secrets": {"password": "x"}}, "has no password"),
        ({"values": {"channel": {"kind": "wecom"}}, "secrets": {"url": "not a url"}}, "not an http"),
        ({"values": {"channel": {"kind": "wecom"}}, "secrets": {"url": ""}}, "url"),
        ({"values": webhook(units=["x"] * 1001), "secrets": {}}, "units"),
    ],
)
async def test_recipients_that_are_none(client: Client, form: dict[str, Any], said: str) -> None:
    answer = await client.post("/api/v1/settings/recipients", json=form)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert "u:p" not in answer.text


async def test_messages_go_only_where_the_file_allows(client: Client) -> None:
    async with receiving() as (receiver, url):
        form = {"id": "in", "values": webhook(), "secrets": {"url": url, "secret": "s"}}
        assert (await client.post("/api/v1/settings/recipients", json=form)).status_code == 201
        tested = (await client.post("/api/v1/settings/recipients/in/test")).json()
        assert tested["delivered"] is False
        assert "allowed" in tested["mend"]
        assert receiver.got == []


async def test_one_that_no_key_opens_any_more_harms_no_other(town: Callable[[], Any], tmp_path: Path) -> None:
    async with town() as client:
        headers = client.headers
        form = {"id": "ops", "values": webhook(), "secrets": {"url": "https://x.example/", "secret": "s"}}
        assert (await client.post("/api/v1/settings/recipients", json=form)).status_code == 201
        await client.service.database.awrite(
            lambda c: c.execute(setting.update().where(setting.c.id == "ops").values(sealed=b"\x01rubbish"))
        )
    async with town() as client:
        client.headers = headers
        assert [one.id for one in client.service.faults.settings.recipients] == ["duty"]
        ops = await read(client, "recipients", "ops")
        body = {
            "version": ops["version"],
            "values": ops["values"],
            "secrets": {"url": "https://y.example/", "secret": "t"},
        }
        assert (await client.put("/api/v1/settings/recipients/ops", json=body)).status_code == 204
        assert len(client.service.faults.settings.recipients) == 2


# --- who is responsible -----------------------------------------------------------------------------------


async def test_routes_are_changed_and_given_back(client: Client) -> None:
    before = await read(client, "routing")
    rules = [{"unit": "telecom", "areas": ["north"], "kinds": ["offline"]}]
    body = {"version": before["version"], "values": {"rules": rules, "fallback_unit": "psb"}}
    assert (await client.put("/api/v1/settings/routing", json=body)).status_code == 204
    assert client.service.faults.settings.rules[0].areas == frozenset({"north"})
    shown = (await client.get("/api/v1/ticket-routes")).json()
    assert (shown["rules"][0]["unit"], shown["fallback"]) == ("telecom", "psb")
    now = await read(client, "routing")
    rules[0]["areas"] = ["nowhere"]
    body = {"version": now["version"], "values": {"rules": rules, "fallback_unit": "psb"}}
    answer = await client.put("/api/v1/settings/routing", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("rules.1.areas")
    back = await client.post("/api/v1/settings/routing/revert", json={"version": now["version"]})
    assert back.status_code == 204
    assert client.service.faults.settings.rules == ()


async def test_the_register_tells_who_changed_what(client: Client) -> None:
    await put(client, "tiers", "community", target=0.9)
    rows = await client.service.database.aread(
        lambda c: [bytes(row[0]) for row in c.exec_driver_sql("SELECT body FROM register_entry")]
    )
    (entry,) = [json.loads(row) for row in rows if b'"settings"' in row]
    assert entry["details"]["of"] == "tier:community"
    assert entry["details"]["changed"] == {"target": ["0.95", "0.9"]}


async def test_what_holds_can_be_moved_into_the_file(town: Callable[[], Any], tmp_path: Path) -> None:
    async with town() as client:
        form = {"id": "ops", "values": webhook(digests=["08:00"]), "secrets": {}}
        form["secrets"] = {"url": "https://x.example/key", "secret": "s"}
        assert (await client.post("/api/v1/settings/recipients", json=form)).status_code == 201
        text = (await client.get("/api/v1/settings/cameras.yaml")).text
    document = yaml.safe_load((tmp_path / "cameras.yaml").read_text("utf-8"))
    file = tmp_path / "moved.yaml"
    file.write_text(yaml.safe_dump(document | yaml.safe_load(text), allow_unicode=True), encoding="utf-8")
    (moved,) = load(file, environ={}).faults.recipients
    assert (moved.id, moved.digests) == ("ops", (480,))
