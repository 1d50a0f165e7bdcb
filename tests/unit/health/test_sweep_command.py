"""``sharpeyes sweep``: what is declared is looked at once, and counted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from certificates import certificate
from rtp_media import encode
from scripted_camera import ScriptedCamera
from sharpeyes.config import load
from sharpeyes.domain.time import Ms
from sharpeyes.registry.registry import apply_config
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store.database import Database
from sharpeyes.store.vault import Vault

CITY = """
zones: {{z: {{name: Z}}}}
departments: {{d: {{name: D}}}}
areas: {{a: {{name: A}}}}
credentials: {{viewer: {{username: admin, password_file: password}}}}
cameras:
{cameras}
"""
CAMERA = """\
  - {{id: {id}, tier: {tier}, department: d, area: a, zone: z, credential: viewer,
     main: "{main}", sub: "{sub}"}}
"""


async def run(*arguments: str, config: Path | None = None) -> tuple[int, str, str]:
    """``config``: what the service's environment names."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sharpeyes",
        "sweep",
        *arguments,
        env=os.environ | ({"SHARPEYES_CONFIG": str(config)} if config else {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def document(expected: int, *arguments: str) -> dict[str, Any]:
    code, out, err = await run(*arguments, "--json")
    assert (code, err) == (expected, "")
    found: dict[str, Any] = json.loads(out)
    return found


async def test_a_sweep_counts_states_rungs_and_faults(tmp_path: Path) -> None:
    place = Addressing(rtsp_port=0, onvif_port=0, discovery_port=None, network="127.0.62.1")
    async with Simulator(uniform(4, scenes=1), addressing=place) as simulator:
        tiers = ("public_security", "public_security", "community", "community")
        cameras = [
            CAMERA.format(id=e.camera, tier=tier, **{role.value: url for role, url in e.streams.items()})
            for e, tier in zip(simulator.endpoints.values(), tiers, strict=True)
        ]
        (tmp_path / "password").write_text("simulated", encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        config = tmp_path / "cameras.yaml"
        config.write_text(CITY.format(cameras="".join(cameras)), encoding="utf-8")
        await simulator.set_fault("camera-0001", Fault(kind=FaultKind.BLACK))
        await simulator.set_fault("camera-0002", Fault(kind=FaultKind.OFF))

        found = await document(1, "--config", str(config))
        assert (found["cameras"], found["by_state"]) == (4, {"online": 3, "offline": 1})
        assert found["by_rung"] == {"keyframe": 3, "none": 1}
        assert found["wall_seconds"] > 0 < found["cpu_seconds"]
        assert found["max_rss_bytes"] > 1_000_000

        found = await document(1, "--config", str(config), "--diagnose")
        assert found["by_fault"]["signal_lost"] == 1
        assert found["by_rung"] == {"none": 1, "decoded": 1, "usable": 2}
        black, off = found["findings"]
        assert (black["camera"], black["state"], black["cause"]) == ("camera-0001", "offline", "signal_lost")
        assert {"kind": "signal_lost", "severity": 3} in black["faults"]
        assert (off["camera"], off["state"], off["faults"]) == ("camera-0002", "offline", [])
        _, out, _ = await run("--config", str(config), "--diagnose")
        assert "camera-0001: offline, signal_lost (severity 3)" in out

        code, out, err = await run("--config", str(config), "--tier", "community", "--diagnose", "--quick")
        assert (code, err) == (0, "")
        assert "online 2" in out
        assert "decoded 2" in out, "nobody looked whether the picture changes"


async def test_a_declared_camera_is_swept_by_the_certificate_that_is_pinned(tmp_path: Path) -> None:
    clip, own = encode("h264", frames=5), certificate(tmp_path)
    (tmp_path / "password").write_text("s3cret", encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    config = tmp_path / "cameras.yaml"
    async with ScriptedCamera(clip.sdp(), clip.packets(), tls=own.context) as camera:
        cameras = CAMERA.format(id="cam", tier="community", main=camera.url, sub=camera.url)
        pinned = f", tls: {{fingerprints: ['{'0' * 64}']}}}}\n"
        config.write_text(CITY.format(cameras=cameras.rstrip("}\n") + pinned), encoding="utf-8")
        code, out, err = await run("--config", str(config), "--json")
        assert (code, err, json.loads(out)["by_state"]) == (1, "", {"offline": 1})
        assert camera.requests == []


async def test_a_registry_is_swept_by_the_certificates_that_the_file_trusts(tmp_path: Path) -> None:
    """The file that the service's environment names says whose they are, the registry what is looked at."""
    clip, own = encode("h264", frames=5), certificate(tmp_path)
    async with ScriptedCamera(clip.sdp(), clip.packets(), host="127.9.62.2", tls=own.context) as camera:
        (tmp_path / "password").write_text("pass", encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        cameras = CAMERA.format(id="cam", tier="community", main=camera.url, sub=camera.url)
        city = CITY.format(cameras=cameras)
        config = tmp_path / "cameras.yaml"
        config.write_text(city, encoding="utf-8")
        with Database(f"sqlite:///{tmp_path}/sharpeyes.db") as database:
            database.upgrade()
            declared, vault = load(config).declared, Vault.at(tmp_path / "secrets.key")
            database.write(lambda c: apply_config(c, declared, vault, now=Ms(1_790_000_000_000)))
        for trusted, expected in ((own.fingerprint, "online"), ("0" * 64, "offline")):
            network = (
                "networks: [{cidr: 127.9.62.0/24, tier: community, department: d, area: a, zone: z,"
                f' tls: {{fingerprints: ["{trusted}"]}}}}]\n'
            )
            config.write_text(city + network, encoding="utf-8")
            code, out, err = await run("--data-dir", str(tmp_path), "--json", config=config)
            assert (code, err) == (int(expected == "offline"), "")
            assert json.loads(out)["by_state"] == {expected: 1}


async def test_a_data_directory_without_a_registry_is_refused(tmp_path: Path) -> None:
    code, out, err = await run("--data-dir", str(tmp_path), "--json")
    assert (code, out) == (2, "")
    assert "no registry" in err
    assert list(tmp_path.iterdir()) == []


async def test_a_sweep_takes_no_memory_for_the_service(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    (tmp_path / "password").chmod(0o600)
    config = tmp_path / "cameras.yaml"
    closed = "rtsp://127.0.0.1:1/x"
    one = CAMERA.format(id="c", tier="community", main=closed, sub=closed + "/sub")
    config.write_text(CITY.format(cameras=one))
    program = f"""
import sys
from sharpeyes.cli import app
app(["sweep", "--config", {str(config)!r}, "--diagnose"], standalone_mode=False)
print(sorted({{"fastapi", "uvicorn", "aiortc", "sharpeyes.app"}} & set(sys.modules)))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == "[]"
