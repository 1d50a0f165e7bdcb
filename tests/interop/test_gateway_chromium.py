"""A real browser: Chromium plays, stops, and survives loss."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from console_browser import CHROMIUM, PATIENCE_S, Tab, browser
from gateway_town import LOOPBACK, LiveCamera, Town, gateway, served, town
from rtp_media import encode
from sharpeyes.access.policy import DEFAULTS
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.gateway import peer
from sharpeyes.gateway.gateway import Gateway
from sharpeyes.gateway.sender import Chunk, GsoSender
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"
)
ME = "127.0.0.1"
# On a busy machine a camera may take long to begin; a process that codes anew goes behind all else, and takes
# two seconds of a core to start.
PATIENT = replace(LOOPBACK, start_s=3 * PATIENCE_S, connect_s=PATIENCE_S, silence_s=PATIENCE_S)
CLIP = encode(
    "h264", width=640, height=360, frames=100, gop=50, options={"b": "1000000", "maxrate": "1000000"}
)

WATCH = """async (ticket) => {
  const pc = window.pc = new RTCPeerConnection();
  const video = Object.assign(document.createElement('video'), {muted: true, autoplay: true});
  document.body.append(video);
  pc.ontrack = event => {
    event.receiver.jitterBufferTarget = 0;
    video.srcObject = new MediaStream([event.track]);
  };
  pc.addTransceiver('video', {direction: 'recvonly'});
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch('/api/v1/views/park/whep', {
    method: 'POST', body: pc.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp', Authorization: 'Bearer ' + ticket},
  });
  const text = await answer.text();
  if (answer.status !== 201) return {status: answer.status, text};
  const where = answer.headers.get('Location');
  const trickle = candidate => fetch(where, {
    method: 'PATCH', headers: {'Content-Type': 'application/trickle-ice-sdpfrag'},
    body: candidate ? `a=mid:${candidate.sdpMid}\\r\\na=${candidate.candidate}\\r\\n`
      : 'a=end-of-candidates\\r\\n',
  });
  pc.onicecandidate = event => trickle(event.candidate);
  await pc.setRemoteDescription({type: 'answer', sdp: text});
  return {status: 201, where};
}"""
STATS = """async () => {
  for (const item of (await pc.getStats()).values())
    if (item.type === 'inbound-rtp') return item;
  return {};
}"""
TOLD = """async (where) => (await fetch(where)).json()"""
PLAY_MSE = """async (ticket) => {
  const video = window.video = Object.assign(document.createElement('video'), {muted: true, autoplay: true});
  document.body.append(video);
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise(done => source.onsourceopen = done);
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/api/v1/views/park/mse');
  socket.binaryType = 'arraybuffer';
  const waiting = [];
  let buffer;
  const feed = () => {
    if (buffer && !buffer.updating && waiting.length) buffer.appendBuffer(waiting.shift());
  };
  socket.onopen = () => socket.send(ticket);
  socket.onmessage = event => {
    if (typeof event.data === 'string') {
      buffer = source.addSourceBuffer(JSON.parse(event.data).mime);
      buffer.onupdateend = feed;
    } else { waiting.push(event.data); feed(); }
  };
}"""


PLAY_HLS = """async (ticket) => {
  const video = window.video = Object.assign(document.createElement('video'), {muted: true, autoplay: true});
  document.body.append(video);
  const opened = await fetch('/api/v1/views/park/hls', {
    method: 'POST', headers: {Authorization: 'Bearer ' + ticket},
  });
  const {playlist} = await opened.json();
  for (;;) {
    const text = await (await fetch(playlist)).text();
    if (text.split('EXTINF').length > 3) break;  // it begins with no less
    await new Promise(done => setTimeout(done, 200));
  }
  video.src = playlist;
}"""


@dataclass
class Stage:
    town: Town
    gateway: Gateway
    tab: Tab
    camera: LiveCamera | None = None
    where: str = ""

    async def watch(self) -> str:
        """Begin a view under a new grant; gives the grant."""
        grant = await self.town.grant("park")
        made = await self.tab.call(WATCH, self.town.ticket("park", grant.id, client=ME))
        assert made["status"] == 201, made
        self.where = made["where"]
        return grant.id

    async def told(self, state: str, within_s: float = PATIENCE_S) -> None:
        """Wait until the page is told that its camera is in this state."""
        async with asyncio.timeout(within_s):
            while (await self.tab.call(TOLD, self.where))["state"] != state:
                await asyncio.sleep(0.1)

    async def decoded(self, count: int, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the browser decoded that many more pictures; gives its figures."""
        stats = await self.tab.call(STATS)
        wanted = stats.get("framesDecoded", 0) + count
        async with asyncio.timeout(within_s):
            while stats.get("framesDecoded", 0) < wanted:
                await asyncio.sleep(0.1)
                stats = await self.tab.call(STATS)
        return stats


def whole(stats: dict[str, Any]) -> bool:
    """Nothing is missing but what may be on its way. How evenly pictures come is this machine's doing."""
    return bool(stats["packetsLost"] <= 5 + 0.01 * stats["packetsReceived"])


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(tmp_path, {"park": camera.url}))
        running = await stack.enter_async_context(gateway(city, PATIENT))
        url = await stack.enter_async_context(served(running))
        tab = await stack.enter_async_context(browser())
        await tab.page.goto(url)
        yield Stage(city, running, tab, camera)


async def test_the_picture_moves_and_stops_when_the_grant_is_revoked(stage: Stage) -> None:
    grant = await stage.watch()
    stats = await stage.decoded(30)
    assert (stats["frameWidth"], stats["frameHeight"]) == (640, 360)
    assert whole(stats)
    await stage.town.desk.revoke(stage.town.id("zhao"), grant, "no longer needed")
    async with asyncio.timeout(PATIENCE_S):
        while stage.gateway.views:
            await asyncio.sleep(0.01)
    last = -1
    async with asyncio.timeout(PATIENCE_S):  # for what was on its way
        while (packets := (await stage.tab.call(STATS)).get("packetsReceived")) != last:
            last = packets
            await asyncio.sleep(0.7)


async def test_a_lost_camera_is_said_to_be_lost_and_comes_back_without_a_click(tmp_path: Path) -> None:
    """The source is a virtual camera; its viewer asks how it does, as the console does."""
    place = Addressing(network="127.0.92.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    spec = ClipSpec(width=320, height=180, kbps=300, gop=25, gops=2)
    channels = (ChannelPlan(id="view", streams=((StreamRole.MAIN, spec),)),)
    async with contextlib.AsyncExitStack() as stack:
        fleet = Fleet(devices=(DevicePlan(id="box", channels=channels),))
        simulator = await stack.enter_async_context(
            Simulator(fleet, addressing=place, cache=tmp_path / "clips")
        )
        city = await stack.enter_async_context(town(tmp_path, {"park": simulator.endpoints["view"].url}))
        running = await stack.enter_async_context(gateway(city, PATIENT))
        url = await stack.enter_async_context(served(running))
        tab = await stack.enter_async_context(browser())
        await tab.page.goto(url)
        stage = Stage(city, running, tab)
        await stage.watch()
        await stage.decoded(10)
        await simulator.set_fault("box", Fault(kind=FaultKind.OFF))
        await stage.told("lost")
        before = (await tab.call(STATS))["framesDecoded"]
        await simulator.clear_fault("box")
        await stage.told("playing")
        stats = await stage.decoded(20)
        assert stats["framesDecoded"] >= before + 20
        assert len(city.entries("view_started")) == 1
        assert city.entries("view_ended") == []


@pytest.mark.parametrize("way", ["masks", "watermark", "h265"])
async def test_what_is_coded_anew_plays(stage: Stage, way: str) -> None:
    feng = stage.town.id("feng")
    if way == "masks":
        await stage.town.desk.set_masks(feng, "park", [Mask(points=((0, 0), (5000, 0), (0, 5000)))])
    elif way == "watermark":
        rules = replace(DEFAULTS[Tier.COMMUNITY], burned_watermark=True)
        await stage.town.desk.set_policy(feng, rules)
    else:
        assert stage.camera is not None
        await stage.camera.kill()
        stage.camera.clip = encode("h265", width=640, height=360, frames=100, gop=50)
        await stage.camera.start()
    await stage.watch()
    stats = await stage.decoded(40)
    assert (stats["frameWidth"], stats["frameHeight"]) == (640, 360)
    assert whole(stats)
    assert stage.gateway.transcodes == 1


async def test_hls_plays(stage: Stage) -> None:
    if not await stage.tab.call("() => document.createElement('video').canPlayType('application/x-mpegURL')"):
        pytest.skip("this Chromium has no HLS of its own")
    grant = await stage.town.grant("park")
    await stage.tab.call(PLAY_HLS, stage.town.ticket("park", grant.id, client=ME))
    await stage.tab.until("() => video.getVideoPlaybackQuality().totalVideoFrames >= 30")
    assert await stage.tab.call("() => video.error") is None


async def test_loss_is_mended_by_the_ring(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)

    class LossyPath(GsoSender):
        """Three packets of a hundred are lost on the way, at first and when sent again."""

        def send(self, chunk: Chunk) -> int:
            sent = 0
            for at, length in chunk.slots:
                if chance.random() >= 0.03:
                    data = chunk.data[at : at + length + self.tag]
                    sent += super().send(Chunk(data, 0, ((0, length),)))
            return sent

    monkeypatch.setattr(peer, "sender_for", lambda dtls, *, gso: LossyPath(dtls))
    await stage.watch()
    stats = await stage.decoded(100)
    assert stats["nackCount"] > 0
    assert whole(stats)


async def test_mse_plays(stage: Stage) -> None:
    grant = await stage.town.grant("park")
    await stage.tab.call(PLAY_MSE, stage.town.ticket("park", grant.id, client=ME))
    await stage.tab.until("() => video.getVideoPlaybackQuality().totalVideoFrames >= 30")
    assert await stage.tab.call("() => video.error") is None
