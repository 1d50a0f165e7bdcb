"""One who is refused again and again fills neither the register nor the service's time."""

from __future__ import annotations

import asyncio

from api_client import Client
from api_people import staff_of
from sharpeyes.access.refusals import USER


async def test_tickets_asked_for_in_vain(client: Client) -> None:
    async with staff_of(client, ("wang", "zhou", "wu")) as staff:
        answers = await asyncio.gather(*(staff.ticket("wang", "gate-1") for _ in range(USER.burst + 50)))
        codes = [answer.status_code for answer in answers]
        assert (codes.count(403), codes.count(429)) == (USER.burst, 50)
        (late, *_) = [answer for answer in answers if answer.status_code == 429]
        assert late.json()["type"] == "urn:sharpeyes:error:throttled"
        assert 0 < int(late.headers["retry-after"]) <= USER.refill_ms // 1000
        assert len(await staff.register(kind="refusal", user=staff.id("wang"))) == USER.burst
        # Steps that cost a transaction are not even begun, and others are not kept waiting.
        asked = {"cameras": ["gate-1"], "purpose": "traffic", "purpose_text": "Jam at the crossing"}
        assert (await staff["wang"].post("/api/v1/view-requests", json=asked)).status_code == 429
        assert (await staff["wang"].get("/api/v1/register/entries")).status_code == 429
        assert (await staff.ticket("zhou", "gate-1")).status_code == 201
        access = client.service.access
        await access.register.sum_up()  # type: ignore[union-attr]
        (summary, *_) = await staff.register(kind="refusal", user=staff.id("wang"))
        assert summary["details"]["count"] == 50
        assert summary["details"]["reasons"] == {"no_grant": 50}
        month = summary["at"][:7]
        figures = (await staff["wu"].get(f"/api/v1/transparency?month={month}")).json()
        assert sum(row["refusals"] for row in figures["items"]) == USER.burst + 50


async def test_what_one_may_see_one_sees_however_often_one_was_refused(client: Client) -> None:
    async with staff_of(client, ("zhou",)) as staff:
        for _ in range(USER.burst + 5):
            await staff.ticket("zhou", "school-1")
        assert (await staff.ticket("zhou", "school-1")).status_code == 429
        assert (await staff.ticket("zhou", "gate-1")).status_code == 201


async def test_a_stop_writes_what_was_only_counted(client: Client) -> None:
    async with staff_of(client, ("wang", "wu")) as staff:
        for _ in range(USER.burst + 3):
            await staff.ticket("wang", "gate-1")
        register = client.service.access.register  # type: ignore[union-attr]
        before = register.size
        assert await register.sum_up() == 1
        assert await register.sum_up() == 0
        assert register.size == before + 1


async def test_a_token_that_is_refused_is_on_the_register_by_its_name(client: Client) -> None:
    async with staff_of(client, ("wu",)) as staff:
        assert (await client.get("/api/v1/register/entries")).status_code == 403
        (entry,) = await staff.register(kind="refusal")
        assert entry["name"].startswith("token:")
        assert (entry["user"], entry["address"]) == (None, "127.0.0.1")
