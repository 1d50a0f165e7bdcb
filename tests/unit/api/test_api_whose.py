"""Whose footage, whose addresses: what a role alone does not open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from api_client import Client, client_of, until_probed
from api_people import Staff, staff_of
from sharpeyes.access.policy import DEFAULTS
from sharpeyes.access.register.entry import Kind
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.store.events import Event, record


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with client_of(tmp_path) as client, staff_of(client) as staff:
        yield staff


async def still_of(client: Client, camera: str) -> str:
    picture = cv2.imencode(".jpg", np.full((384, 640, 3), 200, np.uint8))[1].tobytes()
    still = await client.service.evidence.keep(camera, "still", picture, keep_ms=60_000)
    return f"/api/v1/cameras/{camera}/stills/{still}"


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("reason", "")


class TestStills:
    """A still is footage: its camera's owner sees it, others by grant, and the register has who did."""

    async def test_another_departments_operator_sees_none(self, staff: Staff) -> None:
        theirs, ours = await still_of(staff.client, "school-1"), await still_of(staff.client, "gate-1")
        assert reason(await staff["zhou"].get(theirs)) == (403, "no_grant")
        (refusal,) = await staff.register(kind=Kind.REFUSAL)
        assert (refusal["user"], refusal["camera"]) == (staff.id("zhou"), "school-1")
        assert (await staff["zhou"].get(ours)).status_code == 200
        (seen,) = await staff.register(kind=Kind.SNAPSHOT)
        assert (seen["user"], seen["camera"]) == (staff.id("zhou"), "gate-1")
        assert seen["details"]["still"] == ours.rpartition("/")[2]

    async def test_a_token_sees_none(self, staff: Staff) -> None:
        assert (await staff.client.get(await still_of(staff.client, "gate-1"))).status_code == 403

    async def test_a_still_that_is_not_there_is_not_registered_as_seen(self, staff: Staff) -> None:
        answer = await staff["zhou"].get("/api/v1/cameras/gate-1/stills/" + "0" * 32)
        assert answer.status_code == 404
        assert await staff.register(kind=Kind.SNAPSHOT) == []

    async def test_an_operator_whose_department_changes_sees_no_more(self, staff: Staff) -> None:
        ours = await still_of(staff.client, "gate-1")
        people = staff.client.service.access.people  # type: ignore[union-attr]
        await people.set_department(None, staff.id("zhou"), "edu")
        assert (await staff["zhou"].log_in("zhou")).status_code == 201
        assert reason(await staff["zhou"].get(ours)) == (403, "no_grant")

    async def test_where_names_are_burned_in_they_are_in_stills_too(self, staff: Staff) -> None:
        """Else this would be the way to a picture that says nothing of who took it."""
        path = await still_of(staff.client, "gate-1")

        async def bright() -> np.ndarray:
            answer = await staff["zhou"].get(path)
            assert answer.status_code == 200
            return np.asarray(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE))

        assert np.ptp((await bright())[:360]) < 10
        rules = staff.client.service.access.desk  # type: ignore[union-attr]
        policy = replace(DEFAULTS[Tier.PUBLIC_SECURITY], burned_watermark=True)
        await rules.set_policy(staff.id("feng"), policy)
        marked = await bright()
        assert marked[170:190].min() < 150  # across the middle
        assert np.ptp(marked[364:]) < 10  # the line below is the diagnosis' own


class TestAddresses:
    async def test_the_evidence_of_an_interval_names_hosts_to_maintainers_alone(self, staff: Staff) -> None:
        async def evidence(name: str) -> str:
            interval = (await staff[name].get("/api/v1/intervals?camera=gate-1")).json()["items"][-1]
            where = {"camera": "gate-1", "start": interval["start"]}
            answer = await staff[name].get("/api/v1/intervals/evidence", params=where)
            return answer.text if answer.json().get("probes") else ""

        await until_probed(staff.client)
        while not await evidence("ma"):  # until what was seen is written down
            await asyncio.sleep(0.05)
        assert "127.0.0.1" in await evidence("ma")
        assert "refused" in (hidden := await evidence("wang"))
        assert "127.0.0.1" not in hidden

    async def test_the_journal_names_addresses_to_maintainers_alone(self, staff: Staff) -> None:
        lines = [
            Event(at=Ms(1), kind="device_added", subject="dev-1", message="device found at 10.0.0.7:80"),
            Event(at=Ms(2), kind="conflict", subject="[fd00::7]:80", message="two say [fd00::7]:80"),
        ]
        await staff.client.service.database.awrite(lambda connection: record(connection, lines))
        shown = {name: (await staff[name].get("/api/v1/events?limit=2")).text for name in ("ma", "wang")}
        assert "10.0.0.7:80" in shown["ma"]
        assert "[fd00::7]:80" in shown["ma"]
        assert "device found at …" in shown["wang"]
        assert "10.0.0.7" not in shown["wang"]
        assert "fd00" not in shown["wang"]
