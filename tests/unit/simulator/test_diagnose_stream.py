"""``sharpeyes diagnose rtsp://...`` as a user runs it, on a virtual camera."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import SIMULATED, Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

PLACE = Addressing(network="127.9.41.1", rtsp_port=0, onvif_port=0, discovery_port=None)


async def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sharpeyes", "diagnose", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_camera_is_diagnosed_as_files_are(tmp_path: Path) -> None:
    async with Simulator(uniform(1, scenes=1), addressing=PLACE) as simulator:
        url = simulator.endpoints["camera-0001"].url
        secret = SIMULATED.password.reveal()
        login = ("--username", SIMULATED.username, "--password-file", "-", "--json")
        code, out, err = await run(url, *login, stdin=f"{secret}\n".encode())
        assert code == 0, (out, err)
        (well,) = json.loads(out)["files"]
        assert (well["file"], well["faults"]) == (url, [])
        await simulator.set_fault("camera-0001", Fault(kind=FaultKind.BLACK))
        whole = url.replace("rtsp://", f"rtsp://{SIMULATED.username}:{secret}@")
        code, out, err = await run(whole, "--json", "--still-dir", str(tmp_path))
        assert code == 1, (out, err)
        (black,) = json.loads(out)["files"]
        assert "signal_lost" in black["faults"]
        assert secret not in out + err
        (still,) = tmp_path.iterdir()
        assert secret not in still.name
        assert still.read_bytes()[:2] == b"\xff\xd8"
        code, out, err = await run(url, *login, stdin=b"wrong\n")
        assert (code, err) == (1, "")
        (refused,) = json.loads(out)["files"]
        assert refused["error"]["kind"] == "auth_failed"
        assert "--password-file" in refused["error"]["mend"]
        assert "wrong" not in out


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.jpg", "https://user:pw@h/a.jpg", "file:///etc/passwd"])
async def test_other_urls_are_refused(url: str) -> None:
    code, out, err = await run(url)
    assert (code, out) == (2, "")
    assert "give the file" in err
    assert "pw" not in err
