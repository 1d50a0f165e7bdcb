"""Figures by month: all of them for those who are known, coarse ones of past months for everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx

from api_client import client_of
from api_people import staff_of
from sharpeyes.access.register.entry import Entry, Kind
from sharpeyes.access.register.figures import Figures, count
from sharpeyes.access.register.figures_public import coarse, publish
from sharpeyes.domain.time import Ms, Span

LATER = Ms(round(datetime(2027, 2, 10, tzinfo=UTC).timestamp() * 1000))


def test_counts_are_coarse() -> None:
    assert [coarse(number) for number in (0, 1, 4, 5, 9, 10, 4711)] == [0, None, None, 5, 5, 10, 4710]
    rows = publish({("edu", "traffic"): Figures(views=4, view_seconds=7300, refusals=7)})
    assert rows[0].view_hours is None
    assert (rows[0].counts["views"], rows[0].counts["refusals"]) == (None, 5)
    assert publish({("edu", ""): Figures(views=5, view_seconds=7300)})[0].view_hours == 2


def test_every_act_of_the_register_is_in_the_figures() -> None:
    def entry(kind: Kind, **details: str | int) -> Entry:
        return Entry(kind=kind, at=Ms(5), unit="edu", purpose="traffic", details=details)

    entries = [
        *(entry(Kind.REQUEST, step=step) for step in ("submitted", "withdrawn", "expired")),
        *(entry(Kind.DECISION, verdict=v) for v in ("approved", "rejected", "justified", "unjustified")),
        *(entry(Kind.RIGHT_CHANGED, change=change) for change in ("issued", "revoked", "roles")),
        entry(Kind.VIEW_STARTED),
        entry(Kind.VIEW_ENDED, started=-60_000),
        entry(Kind.SNAPSHOT),
        entry(Kind.OVERRIDE),
        entry(Kind.REFUSAL),
        entry(Kind.REFUSAL, count=41),
        entry(Kind.EXPORT),
    ]
    assert count(entries, Span(Ms(0), Ms(10))) == {
        ("edu", "traffic"): Figures(
            requests=1,
            withdrawn=1,
            expired=1,
            approvals=1,
            rejections=1,
            reviews=2,
            unjustified=1,
            grants=1,
            revocations=1,
            views=1,
            view_seconds=60,
            snapshots=1,
            overrides=1,
            refusals=42,
            exports=1,
        )
    }


async def test_nobody_reads_them_without_logging_in_unless_the_site_publishes_them(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client, staff_of(client, ("wang",)) as staff:
        async with httpx.AsyncClient(transport=staff.transport, base_url="http://sharpeyes") as citizen:
            assert (await citizen.get("/api/v1/transparency?month=2026-10")).status_code == 401
        mine = (await staff["wang"].get("/api/v1/transparency?month=2026-10")).json()
        assert mine["complete"] is True


async def test_citizens_read_coarse_figures_of_months_that_are_over(tmp_path: Path) -> None:
    async with (
        client_of(tmp_path, clock=lambda: LATER, transparency_public=True) as client,
        staff_of(client, ("wang", "zhou", "wu")) as staff,
    ):
        register = client.service.access.register  # type: ignore[union-attr]
        january = Ms(LATER - 20 * 86_400_000)
        for number in range(13):
            unit, user = ("edu", "u-1") if number < 11 else ("psb", "u-2")
            entry = Entry(
                kind=Kind.VIEW_STARTED,
                at=january,
                user=user,
                unit=unit,
                camera="gate-1",
                purpose="traffic",
            )
            await register.append(entry)
        async with httpx.AsyncClient(transport=staff.transport, base_url="http://sharpeyes") as citizen:
            answer = await citizen.get("/api/v1/transparency?month=2027-01")
            assert answer.headers["cache-control"] == "public, max-age=3600"
            views = {row["department"]: row["counts"]["views"] for row in answer.json()["public"]}
            assert views == {"edu": 10, "psb": None}
            for secret in ("u-1", "gate-1", "11", "13"):
                assert secret not in answer.text
            running = await citizen.get("/api/v1/transparency?month=2027-02")
            assert running.status_code == 404
            # Only this: nothing else is open, and a credential that does not hold is refused as ever.
            assert (await citizen.get("/api/v1/register/checkpoint")).status_code == 401
            stale = {"Authorization": "Bearer se_x_y"}
            path = "/api/v1/transparency?month=2027-01"
            assert (await citizen.get(path, headers=stale)).status_code == 401
        known = (await staff["wang"].get("/api/v1/transparency?month=2027-01")).json()
        assert {row["department"]: row["views"] for row in known["items"]} == {"edu": 11, "psb": 2}
