"""What must be in the picture is in the picture, by every way to watch, or there is no picture."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from gateway_town import HOME, LOOPBACK, LiveCamera, Town, Viewer, gateway, luma, town
from rtp_media import encode
from sharpeyes.access.policy import DEFAULTS
from sharpeyes.domain.access import Action
from sharpeyes.domain.errors import NotAcceptableError, UnavailableError
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.gateway import recode
from sharpeyes.gateway.gateway import Gateway

CLIP = encode("h264", width=320, height=180, frames=50, gop=25, options={"b": "3000000"})
CORNER = Mask(name="window", points=((0, 0), (5000, 0), (5000, 5000), (0, 5000)))
SETTINGS = replace(LOOPBACK, transcodes=2)


class Scene:
    def __init__(self, city: Town, running: Gateway, camera: LiveCamera) -> None:
        self.town, self.gateway, self.camera = city, running, camera
        self.viewers: list[Viewer] = []

    async def mask(self, *masks: Mask) -> None:
        await self.town.desk.set_masks(self.town.id("feng"), "park", masks)

    async def policy(self, **rules: bool) -> None:
        await self.town.desk.set_policy(self.town.id("feng"), replace(DEFAULTS[Tier.COMMUNITY], **rules))

    async def watch(self, ticket: str, *, lacks: str = "none") -> tuple[Viewer, str, str]:
        """The viewer, its session, its id in the register; ``lacks``: a codec."""
        viewer = Viewer()
        self.viewers.append(viewer)
        opened = await self.gateway.whep(
            "park", ticket, (await viewer.offer()).replace(lacks, "VP9"), client=HOME
        )
        await viewer.accept(opened.answer)
        return viewer, opened.session, opened.view

    async def ended(self) -> list[object]:
        """Why views ended, once none runs."""
        await until(lambda: not self.gateway.views)
        await until(lambda: len(self.town.entries("view_ended")) == len(self.town.entries("view_started")))
        return [entry.details["why"] for entry in self.town.entries("view_ended")]

    def processes(self) -> list[int]:
        """Those that code a stream anew, without the one that waits for the next."""
        spare = self.gateway._places.spare
        spares = {spare.pid} if spare else set()
        return sorted({found for found in burning() if parent_of(found) == os.getpid()} - spares)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(tmp_path, {"park": camera.url}))
        running = await stack.enter_async_context(gateway(city, SETTINGS))
        made = Scene(city, running, camera)
        try:
            yield made
        finally:
            for viewer in made.viewers:
                await viewer.close()
    assert made.processes() == [], "a process outlived the gateway"


async def until(condition: object, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)


def burning() -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"sharpeyes.gateway.burn" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def parent_of(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def assert_masked(picture: np.ndarray | None) -> None:
    """Nothing of the camera's noise in the upper left quarter (but for the blocks at its rim, which are coded
    together with what is outside), all of it in the lower right one."""
    assert picture is not None
    assert np.ptp(picture[:78, :150].astype(int)) < 24, "something shows where the mask is"
    assert picture[100:170, 180:300].std() > 25, "the rest of the picture is gone"


async def test_masks_are_in_every_picture_and_one_process_serves_all(scene: Scene) -> None:
    await scene.mask(CORNER)
    grant = await scene.town.grant("park")
    first, session, _ = await scene.watch(scene.town.ticket("park", grant.id))
    second, *_ = await scene.watch(scene.town.ticket("park", grant.id))
    feed = await scene.gateway.feed("park", scene.town.ticket("park", grant.id), client=HOME)
    segments = feed.segments()
    stream = b"".join([await anext(segments) for _ in range(12)])
    with av.open(io.BytesIO(stream)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 11
    for frame in frames:
        assert_masked(luma(frame))
    for viewer in (first, second):
        await viewer.see(10)
        assert_masked(viewer.picture)
    ticket = scene.town.ticket("park", grant.id, action=Action.SNAPSHOT)
    with av.open(io.BytesIO(await scene.gateway.snapshot("park", ticket, client=HOME))) as container:
        assert_masked(luma(next(container.decode(video=0))))
    assert len(scene.processes()) == scene.gateway.transcodes == 1

    scene.gateway.leave(session, client=HOME)
    await scene.mask(replace(CORNER, points=(*CORNER.points[:3], (0, 6000))))
    assert await scene.ended() == ["left", "masks_changed", "masks_changed"]
    (entry,) = scene.town.entries("policy_changed")[-1:]
    assert (entry.camera, entry.details["what"], entry.details["camera"]) == (None, "masks", "park")
    assert entry.details["after"][0]["points"][-2:] == [0, 6000]  # type: ignore[index]
    await until(lambda: not scene.processes())


async def test_a_mask_set_while_somebody_watches_unmasked_ends_the_picture(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    viewer, *_ = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(3)
    assert scene.processes() == []
    await scene.mask(CORNER)
    assert await scene.ended() == ["masks_changed"]
    again, *_ = await scene.watch(scene.town.ticket("park", grant.id))
    await again.see(3)
    assert_masked(again.picture)


async def test_without_its_process_a_masked_camera_shows_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.mask(CORNER)
    grant = await scene.town.grant("park")
    monkeypatch.setattr(recode.sys, "executable", "/bin/false")
    with pytest.raises(UnavailableError, match="coded anew"):
        await scene.watch(scene.town.ticket("park", grant.id))
    with pytest.raises(UnavailableError, match="coded anew"):
        await scene.gateway.feed("park", scene.town.ticket("park", grant.id), client=HOME)
    assert scene.town.entries("view_started") == []
    assert scene.viewers[0].frames == 0
    monkeypatch.undo()
    scene.town.database.write(lambda c: c.exec_driver_sql("UPDATE camera_mask SET masks = '[{}]'"))
    for action in Action:
        ticket = scene.town.ticket("park", grant.id, action=action)
        asked = (
            scene.watch(ticket)
            if action is Action.LIVE
            else scene.gateway.snapshot("park", ticket, client=HOME)
        )
        with pytest.raises(UnavailableError, match="masks cannot be read"):
            await asked


async def test_a_process_that_dies_is_replaced_and_the_picture_comes_back(scene: Scene) -> None:
    await scene.mask(CORNER)
    grant = await scene.town.grant("park")
    viewer, session, _ = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(5)
    (process,) = scene.processes()
    os.kill(process, signal.SIGKILL)
    await until(lambda: scene.gateway.state(session, client=HOME).state == "lost")
    await viewer.see(5)
    assert_masked(viewer.picture)
    assert scene.gateway.state(session, client=HOME).state == "playing"
    assert scene.processes() != [process]


async def test_a_watermark_is_one_viewers_own_and_there_is_room_for_so_many(scene: Scene) -> None:
    await scene.policy(burned_watermark=True)
    await scene.mask(CORNER)
    grant = await scene.town.grant("park")
    plain = CLIP_PICTURES
    viewer, session, _ = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(8)
    assert viewer.picture is not None
    line = viewer.picture[163:176, 8:200].astype(int)
    assert line.mean() < plain * 0.9, "no watermark: its ground is darker than the picture"
    other, *_ = await scene.watch(scene.town.ticket("park", grant.id))
    await other.see(3)
    assert len(scene.processes()) == 2
    with pytest.raises(UnavailableError, match="capacity"):
        await scene.watch(scene.town.ticket("park", grant.id))
    scene.gateway.leave(session, client=HOME)
    await until(lambda: len(scene.processes()) == 1)
    third, *_ = await scene.watch(scene.town.ticket("park", grant.id))
    await third.see(3)
    ticket = scene.town.ticket("park", grant.id, action=Action.SNAPSHOT)
    with av.open(io.BytesIO(await scene.gateway.snapshot("park", ticket, client=HOME))) as container:
        still = luma(next(container.decode(video=0)))
    assert still[163:176, 8:200].mean() < plain * 0.9
    await scene.town.desk.revoke(scene.town.id("zhao"), grant.id, "no longer needed")
    assert await scene.ended() == ["left", "revoked", "revoked"]
    await until(lambda: not scene.processes())


CLIP_PICTURES = 127.5
"""Mean of the noise that the camera shows."""


@pytest.mark.parametrize("codec", ["h265", "b_frames"])
async def test_what_the_browser_cannot_show_is_coded_anew_where_policy_allows(
    scene: Scene, codec: str
) -> None:
    await scene.camera.kill()
    if codec == "h265":
        scene.camera.clip = encode("h265", width=320, height=180, frames=50, gop=25)
    else:
        options = {"bf": "2", "b-adapt": "0", "preset": "veryfast"}
        scene.camera.clip = encode("h264", width=320, height=180, frames=50, gop=25, options=options)
    await scene.camera.start()
    grant = await scene.town.grant("park")
    if codec == "b_frames":  # they are seen once they come
        await scene.watch(scene.town.ticket("park", grant.id))
        assert await scene.ended() == ["codec_changed"]
    viewer, *_ = await scene.watch(scene.town.ticket("park", grant.id), lacks="H265")
    await viewer.see(20)
    assert viewer.sizes == {(320, 180)}
    assert scene.gateway.transcodes == 1
    await scene.policy(transcode=False)
    with pytest.raises(NotAcceptableError, match="policy"):
        await scene.watch(scene.town.ticket("park", grant.id), lacks="H265")


ORPHAN = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from gateway_town import HOME, LiveCamera, LOOPBACK, gateway, town
from rtp_media import encode
from sharpeyes.domain.masks import Mask

async def main():
    camera = LiveCamera(encode("h264", width=320, height=180, frames=25, gop=25))
    await camera.start()
    async with town(Path({folder!r}), {{"park": camera.url}}) as city, gateway(city, LOOPBACK) as running:
        await city.desk.set_masks(city.id("feng"), "park", [Mask(points=((0, 0), (9, 0), (9, 9)))])
        grant = await city.grant("park")
        await running.feed("park", city.ticket("park", grant.id), client=HOME)
        print("running", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    script = ORPHAN.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as service:  # noqa: ASYNC220
        assert service.stdout is not None
        line = await asyncio.to_thread(service.stdout.readline)
        assert line == b"running\n"
        children = [found for found in burning() if parent_of(found) == service.pid]
        assert children
        service.kill()
        service.wait()
    await until(lambda: not set(children) & set(burning()))
