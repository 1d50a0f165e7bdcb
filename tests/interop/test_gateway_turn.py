"""A relay between the gateway and its viewers: coturn."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway_town import HOME, LOOPBACK, LiveCamera, Viewer, gateway, town
from ports import free_port
from rtp_media import encode
from sharpeyes.app import gateway_settings
from sharpeyes.config import Settings

COTURN = shutil.which("turnserver")
pytestmark = pytest.mark.skipif(COTURN is None, reason="coturn is not installed (Debian: apt install coturn)")
CLIP = encode("h264", width=320, height=180, frames=50, gop=25)
RELAY = "127.0.91.1"
USER, PASSWORD = "gateway", "turn-password-of-the-gateway"


@contextlib.asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[int]:
    """A relay that asks for the account; gives its port."""
    assert COTURN is not None
    port = free_port()
    options = (
        f"--listening-ip={RELAY} --relay-ip={RELAY} --listening-port={port} --lt-cred-mech --realm=test "
        f"--user={USER}:{PASSWORD} --allow-loopback-peers --cli-password=unused --no-cli --no-tls --no-dtls "
        f"--userdb={folder}/users --pidfile={folder}/pid --log-file=stdout --simple-log"
    )
    process = await asyncio.create_subprocess_exec(
        COTURN, "-n", *options.split(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(RELAY, port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def test_a_viewer_whom_no_direct_path_reaches_is_served_by_the_relay(tmp_path: Path) -> None:
    camera = LiveCamera(CLIP)
    await camera.start()
    viewer = Viewer()
    try:
        async with coturn(tmp_path) as port, town(tmp_path, {"park": camera.url}) as city:
            settings = gateway_settings(
                Settings.read(
                    {
                        "SHARPEYES_VIEW_ADDRESSES": "127.0.0.1",
                        "SHARPEYES_VIEW_TURN": f"turn:{RELAY}:{port}?transport=udp",
                        "SHARPEYES_VIEW_TURN_USERNAME": USER,
                        "SHARPEYES_VIEW_TURN_PASSWORD": PASSWORD,
                    }
                )
            )
            async with gateway(city, replace(settings, grace_s=LOOPBACK.grace_s)) as running:
                grant = await city.grant("park")
                offer = await viewer.offer()
                viewer.firewall(lambda address: address[0] == RELAY)
                opened = await running.whep("park", city.ticket("park", grant.id), offer, client=HOME)
                assert f" {RELAY} " in opened.answer
                assert "typ relay" in opened.answer
                assert PASSWORD not in opened.answer
                await viewer.accept(opened.answer)
                await viewer.see(10)
                assert {host for host, _ in viewer.arrived} == {RELAY}
                assert await _ends(viewer, city.desk.revoke(city.id("zhao"), grant.id, "over"))
    finally:
        await viewer.close()
        await camera.kill()


async def _ends(viewer: Viewer, revoke: object) -> bool:
    await revoke  # type: ignore[misc]
    await asyncio.sleep(0.3)
    seen = viewer.received()
    await asyncio.sleep(0.5)
    return viewer.received() == seen
