"""What the books of a demo hold before pictures of it are taken, so that no page of them is empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from stage import Stage

Cast = Mapping[str, str]
"""Ids of cameras, by their part: for the paths of pictures."""


async def rehearse(stage: Stage) -> Cast:
    """What a working city has in its books, by its people; gives who plays which part."""
    own = await stage.camera_ids(department="police", state="online")
    theirs = (await stage.ask("cameras", state="online", department="traffic", limit=50))["items"]
    foreign = [one["id"] for one in theirs]
    coded = [one["id"] for one in theirs if one["streams"][0]["codec"] == "h265"]
    offline = (await stage.ask("cameras", state="offline", department="traffic", limit=50))["items"]
    degraded = (await stage.ask("cameras", state="degraded", department="police", limit=50))["items"]
    health = (await stage.ask("cameras", state="online", department="health", limit=50))["items"]
    now = datetime.now(UTC).replace(microsecond=0)
    async with stage.acting("police") as http:
        shift = await http.post("shifts", json={})
        if shift.is_success:
            note = {"text": "23:40 Quay cranes dark, harbour police told. 码头两路无信号，已通知港航公安。"}
            (await http.post(f"shifts/{shift.json()['id']}/notes", json=note)).raise_for_status()
        tickets = (await http.get("tickets", params={"open": True})).json()["items"]
        for ticket in [one for one in tickets if one["stage"] == "routed"][:3]:
            await http.post(f"tickets/{ticket['id']}/acknowledge", json={"text": ""})
    async with stage.acting("traffic-chief") as http:
        for number, one in enumerate(offline[:2]):
            wanted = {
                "scope": "camera",
                "subjects": [one["id"]],
                "from": (now - timedelta(minutes=30)).isoformat(),
                "to": (now + timedelta(hours=4)).isoformat(),
                "reason": ("Power cut announced by the grid 电网计划停电", "Road works 道路施工")[number],
                "evidence": f"Notice 通知 2026-{117 + number}",
            }
            (await http.post("exclusions", json=wanted)).raise_for_status()
        interval = (await http.get("intervals", params={"camera": offline[0]["id"]})).json()["items"][-1]
        said = {"text": "The recorder was being moved 录像机搬迁中"}
        claim = {"camera": offline[0]["id"], "start": interval["start"], **said}
        await http.post("contests", json=claim)  # refused if the pictures are taken a second time
    site = ZoneInfo((await stage.ask("status"))["timezone"])
    today = now.astimezone(site).date()
    async with stage.acting("street-head") as http:
        for by, wanted in (
            ("tier", {"period": f"{today:%Y-%m}", "formats": ["pdf", "xlsx"]}),
            ("department", {"period": f"{today:%G-W%V}", "formats": ["xlsx"]}),
            ("department", {"period": f"{today}", "formats": ["pdf", "csv"], "department": "streets"}),
        ):
            (await http.post("reports/made", json={"by": by, "lang": "en", **wanted})).raise_for_status()
    async with stage.acting("admin") as http:
        masks = {one["id"]: (await http.get(f"cameras/{one['id']}/masks")).json()["masks"] for one in health}
        first = (await http.get("exclusions")).json()["items"][-1]
        decision = {"approve": True, "remark": "Notice seen 已核对通知"}
        (await http.post(f"exclusions/{first['id']}/decision", json=decision)).raise_for_status()
    async with stage.acting("clinic") as http:
        why = {"purpose": "emergency", "purpose_text": "Ambulances leave by this gate 救护车由此出入"}
        asked = await http.post(
            "view-requests",
            json={"cameras": foreign[1:3], "end": (now + timedelta(hours=8)).isoformat(), **why},
        )
        asked.raise_for_status()
    for approver in ("traffic-chief", "traffic-deputy"):
        async with stage.acting(approver) as http:
            verdict = {"owner": "traffic", "reason": "Agreed 同意"}
            await http.post(f"view-requests/{asked.json()['id']}/approve", json=verdict)
    return {
        "dead": offline[0]["id"],
        "ill": [*(one["id"] for one in degraded), *own][0],
        "watched": ",".join(own[:4]),
        "foreign": foreign[0],
        "coded": [*coded, *foreign][0],
        "masked": next(one for one, of in masks.items() if of),
        "well": health[-1]["id"],
        "well_name": health[-1]["name"],
    }
