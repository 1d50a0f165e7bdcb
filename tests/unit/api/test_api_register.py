"""The register over HTTP: searched, proven, copied, counted; and what happens when it is damaged."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api_client import Client, client_of
from api_people import staff_of
from sharpeyes.access import entries
from sharpeyes.access.register.note import Verifier
from sharpeyes.access.register.proof import Inclusion, check_export
from sharpeyes.access.register.tree import verify_consistency
from sharpeyes.api.routes import register_check


async def sign(client: Client) -> None:
    """Write so much that a checkpoint is due."""
    register = client.service.access.register  # type: ignore[union-attr]
    now = client.service.clock()
    await asyncio.gather(*(register.append(entries.login(now, None, "wrong", "")) for _ in range(1001)))


class TestRegister:
    async def test_searched_a_page_at_a_time(self, client: Client) -> None:
        async with staff_of(client, ("wu", "zhou")) as staff:
            for _ in range(3):
                await staff.ticket("zhou", "school-1")
            found = await staff.register(kind="refusal", user=staff.id("zhou"), camera="school-1")
            assert len(found) == 3
            page = (await staff["wu"].get("/api/v1/register/entries?kind=refusal&limit=2")).json()
            rest = (
                await staff["wu"].get(f"/api/v1/register/entries?kind=refusal&before={page['next']}")
            ).json()
            assert [e["seq"] for e in page["items"] + rest["items"]] == [e["seq"] for e in found]
            assert rest["next"] is None
            one = (await staff["wu"].get(f"/api/v1/register/entries/{found[0]['seq']}")).json()
            assert one == found[0]
            assert await staff.register(to=found[-1]["at"], kind="refusal") == []
            assert (await staff["wu"].get("/api/v1/register/entries/999999")).status_code == 404

    async def test_proofs_hold_with_the_public_key_alone(self, client: Client) -> None:
        async with staff_of(client, ("wu", "wang")) as staff:
            await sign(client)
            first = (await client.get("/api/v1/register/checkpoint")).json()
            await staff.ticket("wang", "gate-1")
            await sign(client)
            second = (await client.get("/api/v1/register/checkpoint")).json()
            verifier = Verifier.parse(second["keys"][0])
            old, new = verifier.open(first["note"]), verifier.open(second["note"])
            assert (old.size, new.size) == (first["size"], second["size"])
            query = {"old": old.size, "new": new.size}
            grown = (await staff["wang"].get("/api/v1/register/consistency", params=query)).json()
            hashes = [base64.b64decode(item) for item in grown["hashes"]]
            assert verify_consistency(old.size, new.size, old.root, new.root, hashes)

            proof = (await staff["wu"].get(f"/api/v1/register/entries/{new.size}/proof")).json()
            inclusion = Inclusion(
                seq=proof["seq"],
                body=proof["entry"].encode(),
                size=proof["size"],
                hashes=tuple(base64.b64decode(item) for item in proof["hashes"]),
                checkpoint=proof["checkpoint"],
            )
            assert inclusion.holds(verifier)
            bad = await staff["wang"].get("/api/v1/register/consistency?old=9&new=2")
            assert bad.status_code == 422

    async def test_an_export_checks_offline_and_is_registered(self, client: Client) -> None:
        async with staff_of(client, ("wu",)) as staff:
            await sign(client)
            span = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
            copy = await staff["wu"].post("/api/v1/register/exports", json=span)
            assert copy.headers["content-type"].startswith("application/jsonl")
            checkpoint = (await staff["wu"].get("/api/v1/register/checkpoint")).json()
            exported = check_export(copy.text.splitlines(), Verifier.parse(checkpoint["keys"][0]))
            assert (exported.first, exported.last) == (1, checkpoint["size"])
            (entry,) = await staff.register(kind="export")
            assert (entry["user"], entry["details"]["first"]) == (staff.id("wu"), 1)
            nothing = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
            assert (await staff["wu"].post("/api/v1/register/exports", json=nothing)).status_code == 404

    async def test_read_back_as_a_whole_it_says_how_far_and_what_does_not_hold(self, tmp_path: Path) -> None:
        async with client_of(tmp_path) as client, staff_of(client, ("wu", "zhao")) as staff:
            await sign(client)
            where = "/api/v1/register/verification"
            assert (await staff["zhao"].post(where)).status_code == 403

            async def lines() -> list[dict[str, Any]]:
                answer = await staff["wu"].post(where)
                assert answer.headers["content-type"].startswith("application/jsonl")
                return [json.loads(line) for line in answer.text.splitlines()]

            last = (await client.get("/api/v1/register/checkpoint")).json()
            *progress, end = await lines()
            assert all(line["verdict"] is None for line in progress)
            verdict = end["verdict"]
            assert (verdict["ok"], verdict["findings"], verdict["checkpoint_file"]) == (True, [], True)
            entries = verdict["entries"]
            assert (end["part"], end["done"], end["of"]) == ("entries", entries, entries)
            assert (verdict["checkpoint_size"], verdict["checkpoint_at"]) == (last["size"], last["at"])
            assert verdict["covered"] == last["size"] <= verdict["entries"]
            async with staff.transport.app.state.context.verifying:
                busy = await staff["wu"].post(where)
                assert (busy.status_code, busy.json()["type"]) == (409, "urn:sharpeyes:error:conflict")
            with (
                closing(sqlite3.connect(tmp_path / "data" / "sharpeyes.db")) as database,
                database,
            ):  # whoever owns the file
                database.execute("DROP TRIGGER register_entry_no_update")
                database.execute("UPDATE register_entry SET user_id = 'u-other' WHERE seq = 5")
            database.close()
            verdict = (await lines())[-1]["verdict"]
            assert verdict["ok"] is False
            (finding,) = verdict["findings"]
            assert (finding["wrong"], finding["entry"]) == ("changed", 5)

    async def test_who_leaves_ends_the_reading(self, client: Client) -> None:
        async with staff_of(client, ("wu",)) as staff:
            await sign(client)
            rooms = staff.transport.app.state.context
            lines = register_check._lines(rooms)
            assert json.loads(await anext(lines))["verdict"] is None
            assert rooms.verifying.locked()
            await lines.aclose()
            assert not rooms.verifying.locked()
            assert json.loads([line async for line in register_check._lines(rooms)][-1])["verdict"]["ok"]

    async def test_it_is_read_by_auditors_alone(self, client: Client) -> None:
        span = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
        async with staff_of(client) as staff:
            for name in ("wang", "zhao", "zhou", "feng", "ma"):
                for path in ("entries", "entries/1", "entries/1/proof"):
                    assert (await staff[name].get(f"/api/v1/register/{path}")).status_code == 403
                answer = await staff[name].post("/api/v1/register/exports", json=span)
                assert answer.status_code == 403
        assert (await client.get("/api/v1/register/entries")).status_code == 403

    async def test_figures_name_nobody(self, client: Client) -> None:
        async with staff_of(client, ("wang", "sun", "wu")) as staff:
            await staff.approve(await staff.ask("school-1"), "sun")
            await staff.ticket("wang", "gate-1")
            month = (await staff.register())[0]["at"][:7]
            answer = await staff["wang"].get(f"/api/v1/transparency?month={month}")
            assert answer.json()["zone"] == "Asia/Shanghai"
            for secret in (staff.id("wang"), "Wang", "school-1", "crossing"):
                assert secret not in answer.text
            assert (await staff["wang"].get("/api/v1/transparency?month=2026-13")).status_code == 422
            assert (await staff["wang"].get("/api/v1/transparency?month=9999-12")).status_code == 422


async def test_with_a_damaged_register_nobody_gets_in_and_watching_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(tmp_path) as client:
        token = client.headers["Authorization"]
        async with staff_of(client, ("wang",)):
            pass
    with closing(sqlite3.connect(tmp_path / "data" / "sharpeyes.db")) as database, database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:  # whoever owns the file can do this
            database.execute(f"DROP TRIGGER {name}")
        (size,) = database.execute("SELECT max(seq) FROM register_entry").fetchone()
        database.execute("DELETE FROM register_entry WHERE seq > ?", (size - 2,))
    database.close()
    caplog.set_level(logging.CRITICAL)
    async with client_of(tmp_path) as client:
        assert "nobody can log in, decide or watch" in caplog.text
        form = {"username": "wang", "password": "correct horse battery"}
        answer = await client.post("/api/v1/session", json=form)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:sharpeyes:error:register_damaged"
        assert "sharpeyes audit verify" in answer.json()["mend"]
        client.headers["Authorization"] = token
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/api/v1/rates?by=tier")).status_code == 200
        assert (await client.post("/api/v1/cameras/gate-1/probe")).status_code == 200
        assert (await client.get("/api/v1/register/checkpoint")).status_code == 503
        made = await client.post("/api/v1/tokens", json={"name": "new"})
        assert made.status_code == 503
        (first,) = (await client.get("/api/v1/tokens")).json()
        assert (await client.delete(f"/api/v1/tokens/{first['id']}")).status_code == 204
        assert (await client.get("/api/v1/tokens")).status_code == 401
