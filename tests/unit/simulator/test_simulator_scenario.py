"""Scenario files: each mistake with its line; what is played."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from virtual_client import device, playing

from sharpeyes.domain.errors import ConfigError
from sharpeyes.simulator import scenario as scenarios
from sharpeyes.simulator.fault import Fault, FaultKind


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "empty"),
        ("- a", 1, "the scenario is no mapping"),
        ("events: 3", 1, "events is no list"),
        ("event: []", 1, "unknown field 'event'"),
        ("events: []\nevents: []", 2, "events is given twice"),
        ("events:\n  - at: 1\n    cameras: [a]", 2, "an event without fault"),
        ("events:\n  - at: -1\n    cameras: [a]\n    fault: off", 2, "at is -1"),
        ("events:\n  - at: soon\n    cameras: [a]\n    fault: black", 2, "at is 'soon'"),
        ("events:\n  - at: 1\n    cameras: []\n    fault: black", 3, "cameras is no list of ids"),
        (
            "events:\n  - at: 1\n    cameras: a\n    fault: {kind: hang, phase: x}",
            4,
            "phase of the fault is 'x'",
        ),
        ("events:\n  - at: 1\n    cameras: a\n    fault: black\n    for: 0", 5, "for is 0 seconds"),
        ("repeat_s: 3\nevents:\n  - at: 5\n    cameras: a\n    fault: black", 1, "repeat_s ends before"),
        ("events: [\n", 2, "expected"),
        ("events: &a [*a]", 1, "an event is no mapping"),
        ("events:\n  - at: 1\n    cameras: !!python/object:os.system [x]\n    fault: x", 3, "constructor"),
        ("\x00", 1, "special characters"),
    ],
)
def test_each_mistake_has_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        scenarios.parse(text.encode(), "city.yaml")
    assert str(caught.value).startswith(f"city.yaml:{line}: ")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        scenarios.load(tmp_path / "none.yaml")


def test_off_is_a_fault_and_not_a_boolean() -> None:
    found = scenarios.parse(b"events:\n  - {at: 1, cameras: a, fault: off}", "f")
    assert found.events[0].fault.kind is FaultKind.OFF


async def test_names_must_be_somebodys(cache: Path) -> None:
    async with playing(cache) as simulator:
        found = scenarios.parse(b"events:\n  - {at: 0, cameras: 'dog*', fault: black}", "f.yaml")
        with pytest.raises(ConfigError, match=r"^f.yaml:2: no camera is called 'dog\*'"):
            scenarios.targets(found, simulator.ids, "f.yaml")


async def test_plays_begins_ends_and_leaves_what_others_set(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "events:\n"
        "  - {at: 0.0, for: 0.2, cameras: ['cam?'], fault: no_rtp}\n"
        "  - {at: 0.1, for: 0.3, cameras: cam2, fault: busy}\n"
        "  - {at: 0.3, cameras: cam3, fault: {kind: loss, percent: 5}}\n"
    )
    told: list[tuple[str, str]] = []

    def tell(target: str, fault: Fault | None) -> None:
        told.append((target, fault.kind.value if fault else "well"))

    async with playing(cache, *(device(f"cam{n}") for n in (1, 2, 3))) as simulator:
        await asyncio.wait_for(scenarios.run(scenarios.load(file), simulator, tell), 5)
        assert told == [
            *((f"cam{n}", "no_rtp") for n in (1, 2, 3)),
            ("cam2", "busy"),
            ("cam1", "well"),
            ("cam3", "well"),
            ("cam3", "loss"),
            ("cam2", "well"),
        ]
        fault = simulator.fault("cam3")
        assert fault is not None
        assert fault.percent == 5
        assert simulator.fault("cam2") is None


async def test_repeats(cache: Path) -> None:
    found = scenarios.parse(b"repeat_s: 0.1\nevents:\n  - {at: 0, for: 0.05, cameras: cam, fault: busy}", "f")
    told: list[Fault | None] = []
    async with playing(cache) as simulator:
        task = asyncio.create_task(scenarios.run(found, simulator, lambda _, fault: told.append(fault)))
        async with asyncio.timeout(60):
            while len(told) < 6:
                await asyncio.sleep(0.01)
        task.cancel()
        assert [each is not None for each in told[:6]] == [True, False] * 3
