"""Fleets, addresses, and many cameras at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from virtual_client import LOOPBACK, Viewer, device, playing

from sharpeyes.domain.camera import Codec
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from sharpeyes.domain.organisation import Tier
from sharpeyes.simulator.fleet import Addressing, Fleet, city, uniform
from sharpeyes.simulator.simulator import Simulator


def test_a_city_is_of_three_tiers_mixed_and_the_same_again() -> None:
    fleet = city(60)
    assert fleet == city(60)
    assert fleet != city(60, seed=2)
    assert len(fleet) == 60
    channels = [channel for each in fleet.devices for channel in each.channels]
    assert len({channel.id for channel in channels}) == 60
    assert len({channel.name for channel in channels}) == 60
    assert {each.tier for each in fleet.devices} == set(Tier)
    assert any(len(each.channels) > 1 for each in fleet.devices)
    assert {spec.codec for channel in channels for _, spec in channel.streams} == {Codec.H264, Codec.H265}
    assert 4 <= sum(each.fault is not None for each in fleet.devices) <= 6
    assert len({each.manufacturer for each in fleet.devices}) >= 3
    assert len({channel.streams for channel in channels}) >= 5, "a city is not one picture"


@pytest.mark.parametrize("cameras", [1, 2, 7, 300])
def test_a_city_has_the_size_asked_for(cameras: int) -> None:
    assert len(city(cameras)) == cameras


@pytest.mark.parametrize("cameras", [0, 10**6])
def test_impossible_sizes(cameras: int) -> None:
    for make in (city, uniform):
        with pytest.raises(InvalidInputError, match=str(cameras)):
            make(cameras)


def test_addresses_in_order() -> None:
    def first(network: str, count: int, **given: bool) -> list[str]:
        addresses = Addressing(network=network, **given).addresses()
        return [next(addresses) for _ in range(count)]

    assert first("127.0.1.0/24", 2) == ["127.0.1.1", "127.0.1.2"]
    assert first("127.0.1.254", 2) == ["127.0.1.254", "127.0.2.1"], "no .255 and no .0"
    assert first("127.0.1.7/32", 1) == ["127.0.1.7"]
    assert first("127.0.0.1", 3, shared_address=True) == ["127.0.0.1"] * 3
    with pytest.raises(InvalidInputError, match="too few addresses"):
        first("127.0.1.0/30", 4)


@pytest.mark.parametrize(
    "given", [{"network": "here"}, {"network": "::1"}, {"rtsp_port": -1}, {"onvif_port": 70000}]
)
def test_impossible_addresses(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        Addressing(**given)  # type: ignore[arg-type]


async def test_five_hundred_cameras_start_serve_and_stop(cache: Path) -> None:
    plans = tuple(device(f"cam{n}") for n in range(500))
    place = Addressing(network="127.9.8.1", rtsp_port=18554, onvif_port=18899, discovery_port=0)
    async with Simulator(Fleet(devices=plans), addressing=place, cache=cache) as simulator:
        endpoints = list(simulator.endpoints.values())
        assert len({each.address for each in endpoints}) == 500
        assert all(":18554/" in each.url for each in endpoints)
        async with Viewer(endpoints[0].url) as first, Viewer(endpoints[-1].url) as last:
            assert (await first.play()).status == 200
            assert (await last.play()).status == 200
            await first.media(3)
            await last.media(3)
            assert simulator.playing == 2
    assert simulator.connections == 0


async def test_one_address_for_all(cache: Path) -> None:
    place = replace(LOOPBACK, network="127.0.0.1", shared_address=True)
    async with playing(cache, *(device(f"cam{n}") for n in range(3)), addressing=place) as simulator:
        assert {each.address for each in simulator.endpoints.values()} == {"127.0.0.1"}
        assert len({each.url for each in simulator.endpoints.values()}) == 3
        async with Viewer(simulator.endpoints["cam2"].url) as viewer:
            assert (await viewer.play()).status == 200


async def test_cameras_come_and_go(cache: Path) -> None:
    async with playing(cache) as simulator:
        (endpoint,) = await simulator.add(device("late"))
        async with Viewer(endpoint.url) as viewer:
            assert (await viewer.play()).status == 200
            with pytest.raises(ConflictError, match="late"):
                await simulator.add(device("late"))
            await simulator.remove("late")
            await asyncio.wait_for(viewer.closed.wait(), 5)
        assert set(simulator.endpoints) == {"cam"}
        with pytest.raises(NotFoundError):
            await simulator.remove("late")


async def test_a_taken_port_is_told_and_leaves_nothing_open(cache: Path) -> None:
    place = replace(LOOPBACK, rtsp_port=18556)
    async with playing(cache, addressing=place):
        again = Simulator(
            Fleet(devices=(device("x", address="127.9.1.9"), device())), addressing=place, cache=cache
        )
        with pytest.raises(UnavailableError, match=r"127\.9\.1\.1:18556.*Choose another port"):
            await again.start()
        assert not again.endpoints
    async with again:
        assert len(again.endpoints) == 2, "and it can be started later"


@pytest.fixture
def home(cache: Path, tmp_path: Path) -> dict[str, str]:
    """An environment whose clip cache is this session's."""
    (tmp_path / "sharpeyes").mkdir()
    (tmp_path / "sharpeyes" / "clips").symlink_to(cache)
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}


async def run(home: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sharpeyes",
        "simulate",
        *arguments,
        env=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_prints_where_everything_is_and_ends_cleanly(
    home: dict[str, str], tmp_path: Path
) -> None:
    events = tmp_path / "s.yaml"
    events.write_text("events: [{at: 0, cameras: camera-0001, fault: off}]")
    ports = ("--rtsp-port", "0", "--onvif-port", "0", "--address", "127.9.3.0/24", "--control", "127.0.0.1:0")
    process = await run(home, "--cameras", "1", *ports, "--scenario", str(events), "--json")
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 120)  # makes full-size clips the first time
    document = json.loads(line)
    assert [each["id"] for each in document["cameras"]] == ["camera-0001"]
    assert document["control"].startswith("http://127.0.0.1:")
    assert b"simulated" not in line
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
        while (await client.get(f"{document['control']}/cameras/camera-0001")).json()["fault"] is None:
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    rest, said = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, rest) == (0, b"")
    assert b"camera-0001: off" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--control", "nowhere"), b"--control"),
        (("--address", "here"), b"address"),
        (("--username", "a"), b"--password-file"),
        (("--username", "a", "--password-file", "/none"), b"/none"),
        (("--scenario", "/none"), b"/none:1: cannot be read"),
    ],
)
async def test_wrong_use_of_the_command_is_2(
    home: dict[str, str], arguments: tuple[str, ...], says: bytes
) -> None:
    process = await run(home, *arguments)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert says in said
