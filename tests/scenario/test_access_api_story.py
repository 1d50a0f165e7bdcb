"""The story of authorised views as its people live it: over HTTP, with the command line at both ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from typer.testing import CliRunner, Result

from api_client import client_of
from api_people import PASSWORD, Staff
from sharpeyes.api.app import create_api
from sharpeyes.app import context_of
from sharpeyes.cli import app
from sharpeyes.domain.time import Ms, iso

PEOPLE = (
    ("wang", "edu", "requester"),
    ("li", "edu", "requester"),
    ("zhao", "psb", "approver"),
    ("qian", "psb", "approver"),
    ("zhou", "psb", "operator"),
    ("wu", "audit", "auditor"),
)


class Clock:
    """Runs, and can be put on."""

    def __init__(self) -> None:
        self.shift = 0

    def __call__(self) -> Ms:
        return Ms(time.time_ns() // 1_000_000 + self.shift)

    def later(self, minutes: float) -> None:
        self.shift += round(minutes * 60_000)


async def run(*arguments: str | Path, stdin: str = "") -> Result:
    """The command, as typed beside the running service."""
    runner = CliRunner()
    return await asyncio.to_thread(runner.invoke, app, [str(a) for a in arguments], input=stdin)


def reason(answer: httpx.Response) -> str:
    assert answer.status_code == 403, answer.text
    return str(answer.json()["type"]).rpartition(":")[2]


async def test_asked_approved_seen_revoked_and_all_of_it_proven(tmp_path: Path) -> None:
    clock, data = Clock(), tmp_path / "data"
    where = ("--data-dir", data)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(tmp_path, clock=clock))
        transport = httpx.ASGITransport(create_api(context_of(client.service)), client=("192.0.2.1", 4711))
        staff = Staff(client, transport, stack)

        # The first administrator comes from the machine itself, while the service runs.
        secret = tmp_path / "password.txt"
        secret.write_text(PASSWORD + "\n")
        new = ("user", "add", "feng", "--role", "admin", "--department", "edu", "--password-file", secret)
        made = await run(*new, *where)
        assert made.exit_code == 0, made.output
        assert PASSWORD not in made.output
        assert (await run("user", "add", "x", "--role", "king", "--department", "edu", *where)).exit_code != 0
        staff.browsers["feng"] = await staff.browser()
        assert (await staff["feng"].log_in("feng")).status_code == 201
        for name, department, role in PEOPLE:
            form = {
                "username": name,
                "name": name.title(),
                "department": department,
                "roles": [role],
                "password": PASSWORD,
            }
            assert (await staff["feng"].post("/api/v1/users", json=form)).status_code == 201
            staff.browsers[name] = browser = await staff.browser()
            assert (await browser.log_in(name)).status_code == 201

        # Asked, approved by two others, seen; the applicant's own yes counts nothing.
        request = await staff.ask("gate-1", end=iso(clock() + 3_600_000))
        own = await staff["wang"].post(
            f"/api/v1/view-requests/{request['id']}/approve", json={"owner": "psb"}
        )
        assert own.status_code == 403
        assert reason(await staff.ticket("wang", "gate-1")) == "no_grant"
        grant = await staff.approve(request, "zhao", "qian")
        assert grant is not None
        ticket = (await staff.ticket("wang", "gate-1", grant["id"])).json()
        assert (ticket["basis"], ticket["grant"]) == ("grant", grant["id"])
        assert ticket["until"] == grant["terms"]["end"]

        # What is not granted is not shown.
        assert reason(await staff.ticket("li", "gate-1", grant["id"])) == "other_user"
        assert reason(await staff.ticket("wang", "gate-2", grant["id"])) == "other_camera"
        assert reason(await staff.ticket("wang", "gate-1", grant["id"], action="snapshot")) == "action"
        assert reason(await staff.ticket("zhou", "gate-1", grant["id"])) == "other_department"
        assert reason(await staff.ticket("wang", "gate-1", "g-nothing")) == "no_grant"

        # Revoked by an approver of the owner: at once.
        revoked = await staff["zhao"].post(
            f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "The road is clear"}
        )
        assert revoked.json()["ended"] is True
        assert reason(await staff.ticket("wang", "gate-1", grant["id"])) == "revoked"

        # Outside its hours, and after its end.
        hours = _later_today(clock)
        request = await staff.ask("gate-1", schedule=hours)
        scheduled = await staff.approve(request, "zhao", "qian")
        assert scheduled is not None
        refused = await staff.ticket("wang", "gate-1", scheduled["id"])
        assert reason(refused) == "schedule"
        assert refused.json()["until"] > iso(clock())
        short = await staff.approve(await staff.ask("gate-1", end=iso(clock() + 10 * 60_000)), "zhao", "qian")
        assert short is not None
        assert (await staff.ticket("wang", "gate-1", short["id"])).status_code == 201
        clock.later(11)
        assert reason(await staff.ticket("wang", "gate-1", short["id"])) == "expired"

        # Every no is in the register, in the words that were given.
        refusals = [
            (entry["user"], entry["details"]["reason"])
            for entry in reversed(await staff.register(kind="refusal"))
        ]
        assert refusals == [
            (staff.id("wang"), "role"),
            (staff.id("wang"), "no_grant"),
            (staff.id("li"), "other_user"),
            (staff.id("wang"), "other_camera"),
            (staff.id("wang"), "action"),
            (staff.id("zhou"), "other_department"),
            (staff.id("wang"), "no_grant"),
            (staff.id("wang"), "revoked"),
            (staff.id("wang"), "schedule"),
            (staff.id("wang"), "expired"),
        ]

        # Disabled from the command line: the session of the running service dies with the account.
        assert (await staff["wang"].get("/api/v1/session")).status_code == 200
        assert (await run("user", "disable", "wang", *where)).exit_code == 0
        await client.service.database.awrite(lambda _: None)  # as the sign of life does, once a second
        assert (await staff["wang"].get("/api/v1/session")).status_code == 401
        assert (await staff.ticket("wang", "gate-1")).status_code == 401
        listed = json.loads((await run("user", "list", "--json", *where)).stdout)
        assert [one["username"] for one in listed if not one["enabled"]] == ["wang"]

        # A lost password, given anew on standard input.
        changed = await run(
            "user", "password", "li", "--password-file", "-", *where, stdin="a new long phrase\n"
        )
        assert changed.exit_code == 0, changed.output
        assert (await staff["li"].get("/api/v1/session")).status_code == 401
        assert (await staff["li"].log_in("li", "a new long phrase")).status_code == 201

        entry = (await staff.register(kind="right_changed"))[0]
        assert (entry["name"], entry["user"], entry["details"]["change"]) == ("host", None, "password")
        copy = tmp_path / "register.jsonl"
        span = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
        exported = await staff["wu"].post("/api/v1/register/exports", json=span)
        copy.write_text(exported.text)

    # Stopped: everything is signed, and whoever has the public key can check it.
    verified = await run("audit", "verify", "--json", *where)
    verdict = json.loads(verified.stdout)
    assert (verified.exit_code, verdict["ok"], verdict["findings"]) == (0, True, [])
    assert verdict["covered"] == verdict["entries"]
    assert verdict["checkpoint_file"] is True
    checked = await run("audit", "check", copy, *where)
    assert (checked.exit_code, "whole and unaltered" in checked.output) == (0, True), checked.output

    database = sqlite3.connect(data / "sharpeyes.db")
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE register_entry SET body = replace(body, 'revoked', 'granted')")
    database.commit()
    database.close()
    assert (await run("audit", "verify", *where)).exit_code == 1


def _later_today(clock: Clock) -> dict[str, Any]:
    """Hours of the site's wall clock that begin in two hours."""
    start = datetime.fromtimestamp(clock() / 1000, ZoneInfo("Asia/Shanghai")) + timedelta(hours=2)
    return {"start": f"{start:%H:%M}", "end": f"{start + timedelta(hours=1):%H:%M}"}
