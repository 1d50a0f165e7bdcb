"""``make demo`` as its user meets it: a city is found, its rate can be read, Ctrl-C ends it cleanly."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path

import httpx

ENROLLED = re.compile(r"(\d+) devices found, (\d+) cameras enrolled")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_a_city_is_found_checked_and_left(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEYES_")}
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "demo", "--port", "0", "--cameras", "40"),
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
        assert int(found[2]) == 40
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
            assert (run["added"], run["errors"]) == (40, [])
            page = (await client.get("/api/v1/cameras?limit=1000")).json()
            codes = [camera["code"] for camera in page["items"]]
            assert len(set(codes)) == 40
            assert None not in codes
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(demo.communicate(), 60)
    assert demo.returncode == 0
    assert "The demo has ended." in rest.decode()
    assert "Traceback" not in said + rest.decode()
