"""``sharpeyes sweep``: what is declared is looked at once, and counted."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

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


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sharpeyes",
        "sweep",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


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

        code, out, err = await run("--config", str(config), "--json")
        assert (code, err) == (1, "")
        found = json.loads(out)
        assert (found["cameras"], found["by_state"]) == (4, {"online": 3, "offline": 1})
        assert found["by_rung"] == {"keyframe": 3, "none": 1}
        assert found["wall_seconds"] > 0 < found["cpu_seconds"]
        assert found["max_rss_bytes"] > 1_000_000

        code, out, err = await run(
            "--config", str(config), "--tier", "public_security", "--diagnose", "--json"
        )
        assert (code, err) == (1, "")
        found = json.loads(out)
        assert (found["cameras"], found["by_state"]) == (2, {"offline": 2})
        assert found["by_rung"] == {"decoded": 1, "none": 1}
        assert found["by_fault"]["signal_lost"] == 1

        code, out, _ = await run("--config", str(config), "--tier", "community")
        assert code == 0
        assert "online 2" in out

        await simulator.set_fault("camera-0003", Fault(kind=FaultKind.FREEZE))
        code, out, _ = await run("--config", str(config), "--tier", "community", "--diagnose", "--json")
        found = json.loads(out)
        assert found["by_fault"] == {"frozen": 1}
        assert found["by_rung"] == {"decoded": 1, "usable": 1}

        quick = ("--tier", "community", "--diagnose", "--quick", "--json")
        code, out, _ = await run("--config", str(config), *quick)
        found = json.loads(out)
        assert (code, found["by_fault"], found["by_state"]) == (0, {}, {"online": 2})
        assert found["by_rung"] == {"decoded": 2}, "nobody looked whether the picture changes"


async def test_a_data_directory_without_a_registry_is_refused(tmp_path: Path) -> None:
    code, out, err = await run("--data-dir", str(tmp_path), "--json")
    assert (code, out) == (2, "")
    assert "no registry" in err
    assert list(tmp_path.iterdir()) == []
