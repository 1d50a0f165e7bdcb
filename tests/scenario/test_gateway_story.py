"""A view from the ticket to its end, over real RTSP, WebRTC, database and register."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway_town import HOME, LOOPBACK, LiveCamera, Town, Viewer, gateway, town
from rtp_media import encode
from sharpeyes.domain.access import Action
from sharpeyes.gateway.gateway import Gateway, Opened

CLIP = encode("h264", width=320, height=180, frames=50, gop=25)


@dataclass
class Scene:
    town: Town
    gateway: Gateway
    camera: LiveCamera
    viewers: list[Viewer]

    async def watch(self, ticket: str, *, camera: str = "park", client: str = HOME) -> tuple[Viewer, Opened]:
        viewer = Viewer()
        self.viewers.append(viewer)
        opened = await self.gateway.whep(camera, ticket, await viewer.offer(), client=client)
        await viewer.accept(opened.answer)
        return viewer, opened

    async def ended(self, view: str) -> dict[str, object]:
        """The register's word on the end of a view."""
        async with asyncio.timeout(10):
            while True:
                for entry in self.town.entries("view_ended"):
                    if entry.details["view"] == view:
                        return dict(entry.details)
                await asyncio.sleep(0.02)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(tmp_path, {"park": camera.url, "gate": camera.url}))
        running = await stack.enter_async_context(gateway(city, LOOPBACK))
        made = Scene(city, running, camera, [])
        try:
            yield made
        finally:
            for viewer in made.viewers:
                await viewer.close()


async def test_a_granted_view_plays_and_stops_when_the_grant_is_revoked(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(10)
    assert viewer.sizes == {(320, 180)}
    started = scene.town.entries("view_started")
    assert [(e.camera, e.grant, e.name, e.address) for e in started] == [("park", grant.id, "Wang", HOME)]
    await scene.town.desk.revoke(scene.town.id("zhao"), grant.id, "no longer needed")
    ended = await scene.ended(opened.view)
    assert ended["why"] == "revoked"
    assert ended["bytes"] > 0
    seen = viewer.received()
    await asyncio.sleep(0.3)
    assert viewer.received() - seen <= 1  # at most the end of DTLS itself
    assert scene.gateway.views == 0
