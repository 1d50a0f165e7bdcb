"""Which alerts keep which others quiet, decided by a real Alertmanager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_peers import Server, alertmanager, inbox, until

PLACE = {"site": "district", "job": "sharpeyes", "instance": "a"}


def alert(name: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **PLACE, **labels}}


def step(percent: str, tier: str = "community", **labels: str) -> dict[str, Any]:
    severity = "warning" if percent == "5" else "critical"
    return alert(
        "SharpEyesCamerasOffline", concern="cameras", severity=severity, step=percent, tier=tier, **labels
    )


BELOW = alert("SharpEyesOnlineRateBelowTarget", concern="cameras", severity="warning", tier="community")
COVERAGE = alert("SharpEyesCoverageLow", concern="coverage", severity="warning", tier="community")
BLIND = alert("SharpEyesProberBlind", concern="prober", severity="critical")
STALE = alert("SharpEyesProberStale", concern="prober", severity="critical")
UNSTORED = alert("SharpEyesTelemetryNotStored", concern="prober", severity="critical")
LATE = alert("SharpEyesProberLate", concern="prober", severity="warning")
TICKETS = alert("SharpEyesTicketsOverdue", concern="tickets", severity="major")
DOWN = alert("SharpEyesDown", concern="prober", severity="critical")


def name(one: dict[str, Any]) -> str:
    labels = one["labels"]
    return ":".join(
        labels[key] for key in ("alertname", "instance", "tier", "step") if key in labels
    ).removeprefix("SharpEyes")


CASES = {
    "the largest step stands for all": ([step("30"), step("15"), step("5"), BELOW], [step("30")]),
    "so does the next one": ([step("15"), step("5"), BELOW], [step("15")]),
    "and the smallest": ([step("5"), BELOW], [step("5")]),
    "each tier for itself": (
        [step("30"), step("5", "departmental")],
        [step("30"), step("5", "departmental")],
    ),
    "each service for itself": (
        [step("30"), step("5", instance="b"), BLIND],
        [step("5", instance="b"), BLIND],
    ),
    "who is blind says nothing of cameras": ([BLIND, step("30"), BELOW, COVERAGE, TICKETS], [BLIND, TICKETS]),
    "nor who looks at none": ([STALE, step("15"), COVERAGE], [STALE]),
    "nor who keeps nothing": ([UNSTORED, step("5"), COVERAGE], [UNSTORED]),
    "late is not blind": ([LATE, step("5")], [LATE, step("5")]),
    "from a service that is down nothing is believed": ([DOWN, step("30"), COVERAGE, TICKETS], [DOWN]),
}


@pytest.fixture
async def manager(tmp_path: Path) -> Any:
    async with inbox() as got, alertmanager(tmp_path, got.url) as server:
        yield server


async def test_who_keeps_whom_quiet(manager: Server) -> None:
    for what, (raised, _) in CASES.items():
        # A label of its own keeps the cases apart: the site, which has to be the same for an inhibition.
        for one in raised:
            one["labels"]["site"] = what
        answer = await manager.client.post(f"{manager.url}/api/v2/alerts", json=raised)
        assert answer.status_code == 200, answer.text

    async def settled() -> dict[str, list[str]] | None:
        alerts = (await manager.client.get(f"{manager.url}/api/v2/alerts")).json()
        if any(one["status"]["state"] == "unprocessed" for one in alerts):
            return None
        active: dict[str, list[str]] = {what: [] for what in CASES}
        for one in alerts:
            if one["status"]["state"] == "active":
                active[one["labels"]["site"]].append(name(one))
        return active

    active = await until("Alertmanager has seen to all of them", settled)
    for what, (_, heard) in CASES.items():
        assert sorted(active[what]) == sorted(name(one) for one in heard), what
