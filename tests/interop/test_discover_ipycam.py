"""ipycam, written by others: found, logged in to, and understood; with its clock right and hours off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ipycam_peer import ipycam
from sharpeyes.discovery.enrol import Target, enrol
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.net.onvif import OnvifClient
from sharpeyes.net.ws_discovery import discover, interfaces

ACCOUNT = Credentials("operator", Secret("s3cret & <more>"))


def login() -> dict[str, str]:
    return {"username": ACCOUNT.username, "password": ACCOUNT.password.reveal()}


@pytest.mark.parametrize("shift_s", [0.0, 7_200.0, -7_200.0])
async def test_enrolled_though_its_clock_is_off(shift_s: float) -> None:
    """Every call wants a login, GetSystemDateAndTime included: the time comes from the Date header."""
    with ipycam(shift_s=shift_s, **login()) as ports:
        async with OnvifClient() as client:
            found = await enrol(client, Target(xaddr=f"http://127.0.0.1:{ports['http']}"), ACCOUNT)
    assert found.error is None
    assert found.clock_offset_seconds == pytest.approx(shift_s, abs=3)
    assert (found.identity.manufacturer, found.identity.model) == ("PythonCam", "VirtualCam-1")
    assert found.identity.serial == "PY-778899"
    assert found.identity.address == f"127.0.0.1:{ports['http']}"
    [channel] = found.channels
    assert [profile.token for profile in channel.profiles] == ["Profile_Main", "Profile_Sub"]
    main = channel.profiles[0]
    assert (main.codec, main.width, main.height) == ("h264", 1920, 1080)
    assert main.fps
    assert main.stream_uri is not None
    assert main.stream_uri.startswith("rtsp://127.0.0.1:8554/")
    assert channel.profiles[1].stream_uri not in (None, main.stream_uri)
    assert channel.snapshot_uri is not None


async def test_a_wrong_password_is_told_apart_and_tried_only_once() -> None:
    with ipycam(**login()) as ports:
        async with OnvifClient() as client:
            target = Target(xaddr=f"http://127.0.0.1:{ports['http']}")
            wrong = await enrol(client, target, Credentials("operator", Secret("guess")))
            missing = await enrol(client, target, None)
    assert wrong.error is not None
    assert wrong.error.kind == "auth_failed"
    assert "guess" not in wrong.error.message
    assert missing.error is not None
    assert missing.error.kind == "credentials_missing"


async def test_answers_multicast_and_unicast_probes() -> None:
    with ipycam() as ports:
        multicast = await discover(multicast=interfaces(["127.0.0.1"]), wait_s=1.0, port=ports["discovery"])
        unicast = await discover(unicast=["127.0.0.1"], wait_s=0.5, port=ports["discovery"])
    for sightings in (multicast, unicast):
        [sighting] = sightings
        assert sighting.xaddrs == (f"http://127.0.0.1:{ports['http']}/onvif/device_service",)
        assert "onvif://www.onvif.org/name/Loading Bay" in sighting.match.scopes


def test_the_command_prints_what_it_found(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(ACCOUNT.password.reveal() + "\n")
    with ipycam(**login()) as ports:
        url = f"http://127.0.0.1:{ports['http']}"
        command = [sys.executable, "-m", "sharpeyes", "discover", "--xaddr", url, "--username", "operator"]
        command += ["--password-file", str(secret)]
        as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
        table = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert as_json.returncode == 0, as_json.stderr
    assert as_json.stderr == ""
    [device] = json.loads(as_json.stdout)
    assert device["xaddr"] == f"{url}/onvif/device_service"
    assert device["serial"] == "PY-778899"
    assert device["error"] is None
    assert device["channels"][0]["profiles"][0]["stream_uri"].startswith("rtsp://127.0.0.1")
    assert table.returncode == 0
    assert "VirtualCam-1" in table.stdout
    assert ACCOUNT.password.reveal() not in as_json.stdout + table.stdout + table.stderr
