"""Canaries as they really perform: small, and cheap to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharpeyes.domain.health import FailureKind, Rung
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.selfwatch.schedule import FAULTS, Show
from sharpeyes.selfwatch.stage import FAULTS as SHOWN
from sharpeyes.selfwatch.stage import SimulatedStage


def test_every_fault_of_the_timetable_can_be_shown() -> None:
    assert set(SHOWN) == set(FAULTS)


async def test_a_canary_is_a_camera_that_can_refuse_and_be_off_by_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stage = SimulatedStage(("west", "east"), {"east": "127.0.98.7"})
    try:
        urls = await stage.open()
        assert "127.0.98.7" in urls["east"]
        assert urls["west"].split(":")[1] != urls["east"].split(":")[1], "a host of its own each"
        request = ProbeRequest(url=urls["west"], credentials=stage.credentials)
        found = await probe(request)
        assert (found.rung, found.failure) == (Rung.KEYFRAME, None)
        assert found.received_bytes < 60_000, "a look costs a few kilobytes a second"
        assert abs((await stage.read_clock("west")).offset_ms) < 5_000
        await stage.show("west", Show.REFUSAL)
        refused = await probe(request)
        assert refused.failure is not None
        assert refused.failure.kind is FailureKind.AUTH_FAILED
        await stage.show("west", Show.CLOCK)
        assert (await stage.read_clock("west")).offset_ms > 500_000
        await stage.show("west", Show.HEALTHY)
        assert (await probe(request)).ok
    finally:
        await stage.close()
