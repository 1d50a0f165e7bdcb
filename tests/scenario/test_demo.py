"""``make demo`` as its visitor meets it: a city is found, fills up, is logged in to, and ends on Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ports import free_port
from sharpeyes.cli.demo import _check_ports, _emptied
from sharpeyes.cli.demo_names import CHINESE, Language, spoken
from sharpeyes.cli.demo_story import opening, story
from sharpeyes.cli.demo_town import (
    ACCOUNTS,
    OUTLINES,
    OWNERS,
    UNWIRED,
    UNWIRED_PLACE,
    Town,
    cameras_yaml,
    dossier_rows,
    settle,
    stands_in,
)
from sharpeyes.config import Config, load
from sharpeyes.domain.access import Role
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.dossier import COLUMNS
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.organisation import Tier
from sharpeyes.simulator.fleet import Endpoint, city

ENROLLED = re.compile(r"(\d+) devices found, (\d+) cameras enrolled")


def declared(town: Town, file: Path) -> Config:
    """The town's cameras.yaml, read as the service does."""
    file.with_name("password.txt").write_text("secret word", encoding="utf-8")
    endpoints = {
        channel.id: Endpoint(
            camera=channel.id,
            device=device.id,
            name=channel.name,
            tier=device.tier,
            address=device.address or "",
            token="t",
            xaddr="",
            streams={role: f"rtsp://{device.address}/{role}" for role in StreamRole},
        )
        for device in town.fleet.devices
        for channel in device.channels
    }
    file.write_text(cameras_yaml(town, endpoints, 8899, "password.txt"), encoding="utf-8")
    return load(file)


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("cameras", [6, 12, 60, 600])
def test_a_town_of_any_size_is_one(cameras: int, language: Language, tmp_path: Path) -> None:
    town = settle(city(cameras), seed=1, language=language)
    devices = town.fleet.devices
    assert len({device.address for device in devices}) == len(devices)
    assert set(town.places) == {channel.id for device in devices for channel in device.channels}
    for device in devices:
        for channel in device.channels:
            assert stands_in(town.owners[device.id].area, town.places[channel.id]), channel.id
    assert stands_in("old-town", UNWIRED_PLACE)
    parts = (*town.switch, *town.dark, *town.actors, *town.standing)
    assert len(set(parts)) == len(parts), "nobody plays two parts"
    assert len(town.switch) >= 2, "the fault of one camera is no switch's"
    acts = [*opening(town), *story(town)]
    assert {device for act in acts for device in act.devices} == set(parts)
    assert [act.at_s for act in acts] == sorted(act.at_s for act in acts)

    config = declared(town, tmp_path / "cameras.yaml")
    assert set(config.declared.boundaries) == set(OUTLINES)
    (node,) = config.declared.nodes
    assert {camera.id for camera in config.declared.cameras} == set(node.cameras)


def test_the_chinese_town_is_the_english_one_by_other_names(tmp_path: Path) -> None:
    def names(town: Town) -> list[str]:
        """Whatever has a name in its cameras.yaml, then its cameras, then its people."""
        ours = declared(town, tmp_path / "cameras.yaml").declared
        nodes = (one.node for one in ours.nodes)
        things = (*ours.areas, *ours.zones, *ours.departments, *nodes, *ours.cameras)
        cameras = [channel.name for device in town.fleet.devices for channel in device.channels]
        return [thing.name for thing in things] + cameras + [town.language.say(one.name) for one in ACCOUNTS]

    fleet = city(600)
    english, chinese = (settle(fleet, seed=1, language=one) for one in (Language.EN, Language.ZH))
    assert (english.places, english.switch, english.dark) == (chinese.places, chinese.switch, chinese.dark)
    assert english.owners == chinese.owners
    ours, theirs = names(english), names(chinese)
    assert len(ours) == len(theirs) > 600
    for english_name, name in zip(ours, theirs, strict=True):
        assert any("\u4e00" <= sign <= "\u9fff" for sign in name), name
        assert not any(sign.isascii() and sign.isalpha() for sign in name), name
        assert english_name.isascii()
    assert len(set(theirs)) == len(set(ours)), "two things of the one have one name in the other"
    rows, same = dossier_rows(chinese), dossier_rows(english)
    assert len(rows) == len(same)
    named = rows[0].index(next(column.heading for column in COLUMNS if column.field == "name"))
    assert {row[named] for row in rows[1:]} > {
        channel.name for device in chinese.fleet.devices for channel in device.channels
    }
    assert len(set(CHINESE.values())) == len(CHINESE)


def test_a_town_speaks_as_whoever_starts_it() -> None:
    assert spoken({"LANG": "zh_CN.UTF-8"}) is Language.ZH
    assert spoken({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}) is Language.ZH
    assert spoken({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}) is Language.EN
    assert spoken({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}) is Language.ZH
    assert spoken({}) is Language.EN


def test_every_role_is_there_and_every_owner_can_decide() -> None:
    assert {account.role for account in ACCOUNTS} == set(Role)
    for owner in OWNERS:
        approvers = [
            one for one in ACCOUNTS if (one.department, one.role) == (owner.department, Role.APPROVER)
        ]
        assert len(approvers) >= (2 if owner.tier is Tier.PUBLIC_SECURITY else 1)


def test_a_port_or_a_folder_in_use_is_told_with_its_option(tmp_path: Path) -> None:
    town = settle(city(6), seed=1)
    with closing(socket.create_server((town.fleet.devices[-1].address or "", 0))) as other:
        taken = other.getsockname()[1]
        with pytest.raises(UnavailableError, match="choose another with --onvif-port"):
            _check_ports(town, 0, taken)
        with pytest.raises(UnavailableError, match="choose another with --rtsp-port"):
            _check_ports(town, taken, free_port())
    with (
        _emptied(tmp_path / "one"),
        pytest.raises(UnavailableError, match="--data-dir"),
        _emptied(tmp_path / "one"),
    ):
        pass


@pytest.mark.parametrize("language", list(Language))
async def test_a_city_is_found_checked_and_left(language: Language, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEYES_")}
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "demo", "--port", "0", "--cameras", "40"),
        *("--language", language),
        *("--rtsp-port", "0", "--onvif-port", str(free_port())),  # a demo may be running on the usual ones
        cwd=tmp_path,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert demo.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(240):  # a first run draws the city's pictures
            while not (found := ENROLLED.search(said)) or " offline" not in said.splitlines()[-1]:
                line = await demo.stdout.readline()
                assert line, f"the demo ended by itself:\n{said}"
                said += line.decode()
        assert int(found[2]) in (40, 41), "41 with the one that has a dossier only"
        url = re.search(r"listens on (http://\S+)", said)
        token = re.search(r"token +(se_\S+)", said)
        assert url, said
        assert token, said
        headers = {"Authorization": f"Bearer {token[1]}"}
        async with httpx.AsyncClient(base_url=url[1], headers=headers) as client:
            rates = {i["key"]: i for i in (await client.get("/api/v1/rates?by=tier")).json()["items"]}
            assert set(rates) == {"public_security", "departmental", "community"}
            assert all(rate["online_rate"] is not None for rate in rates.values())
            metrics = (await client.get("/metrics")).text
            assert 'sharpeyes_online_ratio{tier="departmental"}' in metrics
            run = (await client.get("/api/v1/discovery")).json()["last"]
            assert run["errors"] == []
            await look_around(client, language)
        await ask_and_audit(url[1], said)
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(demo.communicate(), 60)
    assert demo.returncode == 0
    assert "The demo has ended." in rest.decode()
    assert "Traceback" not in said + rest.decode()


async def look_around(client: httpx.AsyncClient, language: Language) -> None:
    """Every camera has a number and a place; one has no stream, some hang from a switch."""
    table = (await client.get("/api/v1/cameras/table")).json()
    cameras = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert len({camera["code"] for camera in cameras} - {None}) == len(cameras) == 41
    assert all(camera["longitude"] and camera["latitude"] for camera in cameras)
    (unwired,) = [camera for camera in cameras if camera["name"] == language.say(*UNWIRED, gap=", ")]
    assert (unwired["state"], unwired["cause"]) == ("unknown", "no_stream")
    covers = (await client.get("/api/v1/areas/cover")).json()["items"]
    assert {cover["area"]: cover["cameras"] for cover in covers}["harbour"] == 2
    causes = (await client.get("/api/v1/causes")).json()["items"]
    assert [one["cameras"] for one in causes if one["kind"] == "switch"] == [5]
    dossiers = (await client.get("/api/v1/dossiers/completeness?by=tier")).json()["items"]
    filled = {one["key"]: one["filled"] for one in dossiers}
    assert 0.5 < filled["community"] < filled["public_security"] < 1


async def ask_and_audit(url: str, said: str) -> None:
    """With the passwords of the greeting."""

    async def ask(username: str, path: str) -> list[dict[str, object]]:
        password = re.search(rf"^ +{username} +(\S+)", said, re.MULTILINE)
        assert password, said
        async with httpx.AsyncClient(base_url=url) as client:
            entering = {"username": username, "password": password[1]}
            assert (await client.post("/api/v1/session", json=entering)).status_code == 201
            found: list[dict[str, object]] = (await client.get(f"/api/v1/{path}")).json()["items"]
            return found

    assert len(await ask("school", "view-requests")) == 1
    assert len(await ask("traffic-deputy", "view-requests")) == 1
    kinds = {str(entry["kind"]) for entry in await ask("auditor", "register/entries?limit=100")}
    assert {"right_changed", "policy_changed", "request"} <= kinds, kinds
