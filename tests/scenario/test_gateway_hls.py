"""Views by HLS: an independent player plays them, and every file of them is under the lease."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import httpx
import pytest

from gateway_town import LOOPBACK, LiveCamera, Town, gateway, served, town
from rtp_media import encode
from sharpeyes.gateway.gateway import Gateway
from sharpeyes.gateway.hls import Segmenter
from sharpeyes.gateway.hub import Picture

CLIP = encode("h264", width=320, height=180, frames=50, gop=25)
ME = "127.0.0.1"


@dataclass
class Site:
    town: Town
    gateway: Gateway
    http: httpx.AsyncClient
    url: str

    async def open(self, grant: str) -> str:
        """The URL of a new view's playlist."""
        ticket = self.town.ticket("park", grant, client=ME)
        opened = await self.http.post("/api/v1/views/park/hls", headers={"Authorization": f"Bearer {ticket}"})
        assert opened.status_code == 201, opened.text
        assert opened.headers["cache-control"] == "no-store"
        playlist: str = opened.json()["playlist"]
        assert playlist.startswith(opened.headers["location"])
        return self.url + playlist

    async def refused(self) -> list[tuple[str, object]]:
        """Reasons of the refusals in the register, with who was refused."""
        return [(str(entry.details["reason"]), entry.name) for entry in self.town.entries("refusal")]


@contextlib.asynccontextmanager
async def opened_site(folder: Path, silence_s: float = 20) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(folder, {"park": camera.url}))
        running = await stack.enter_async_context(gateway(city, replace(LOOPBACK, silence_s=silence_s)))
        url = await stack.enter_async_context(served(running))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        yield Site(city, running, http, url)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened_site(tmp_path) as made:
        yield made


async def test_an_independent_player_plays_it(site: Site) -> None:
    playlist = await site.open((await site.town.grant("park")).id)
    while "EXTINF" not in (await site.http.get(playlist)).text:  # it knows whole segments only
        await asyncio.sleep(0.1)

    def play() -> list[int]:
        with av.open(playlist, options={"live_start_index": "-1"}, timeout=10) as container:
            frames = container.decode(video=0)
            return [frame.pts for frame, _ in zip(frames, range(60), strict=False)]

    times = await asyncio.to_thread(play)
    assert len(times) == 60
    assert {b - a for a, b in pairwise(times)} == {3600}


async def test_a_playlist_waits_for_what_it_promises(site: Site) -> None:
    playlist = await site.open((await site.town.grant("park")).id)
    text = (await site.http.get(playlist)).text
    assert "CAN-BLOCK-RELOAD=YES" in text
    (hint,) = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="part-(\d+)-(\d+)\.m4s"', text)
    part, then = await asyncio.gather(
        site.http.get(playlist.replace("index.m3u8", f"part-{hint[0]}-{hint[1]}.m4s")),
        site.http.get(playlist, params={"_HLS_msn": hint[0], "_HLS_part": hint[1]}),
    )
    assert (part.status_code, part.headers["cache-control"]) == (200, "no-store")
    assert f'URI="part-{hint[0]}-{hint[1]}.m4s"' in then.text
    durations = [float(found) for found in re.findall(r"PART:DURATION=([0-9.]+)", then.text)]
    target = float(re.search(r"PART-TARGET=([0-9.]+)", then.text)[1])  # type: ignore[index]
    assert max(durations) <= target < 0.5
    later = (await site.http.get(playlist, params={"_HLS_msn": int(hint[0]) + 1, "_HLS_part": 0})).text
    number = int(hint[0])
    count = len(re.findall(rf'URI="part-{number}-\d+', later.split("#EXT-X-PRELOAD")[0]))
    parts = [
        (await site.http.get(playlist.replace("index.m3u8", f"part-{number}-{at}.m4s"))).content
        for at in range(count)
    ]
    whole = (await site.http.get(playlist.replace("index.m3u8", f"segment-{number}.m4s"))).content
    assert b"".join(parts) == whole
    assert (await site.http.get(playlist, params={"_HLS_msn": number + 99})).status_code == 422
    assert (await site.http.get(playlist.replace("index.m3u8", "x.mp4"))).status_code == 404
    assert (await site.http.get(playlist.replace("index.m3u8", "init-99.mp4"))).status_code == 404


async def test_nobody_waits_for_any_number_of_files(site: Site) -> None:
    playlist = await site.open((await site.town.grant("park")).id)
    (last,) = re.findall(r'HINT:TYPE=PART,URI="part-(\d+)-', (await site.http.get(playlist)).text)
    wanted = {"_HLS_msn": int(last) + 1}
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=40)) as greedy:
        answers = await asyncio.gather(*(greedy.get(playlist, params=wanted) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 16 + [429] * 4


async def test_two_viewers_share_the_work_and_the_last_one_ends_it(site: Site) -> None:
    grant = await site.town.grant("park")
    first, second = await site.open(grant.id), await site.open(grant.id)
    assert first != second
    files = [(await site.http.get(found)).text for found in (first, second)]
    assert all("part-" in text for text in files)
    for found in (first, second):
        assert (await site.http.delete(found.rpartition("/")[0])).status_code == 200
    assert (await site.http.get(first)).status_code == 403
    async with asyncio.timeout(60):
        while site.gateway.pulls or len(site.town.entries("view_ended")) < 2:
            await asyncio.sleep(0.02)
    ended = site.town.entries("view_ended")
    assert [(entry.details["why"], entry.details["path"]) for entry in ended] == [("left", "hls")] * 2
    assert all(int(str(entry.details["bytes"])) > 0 for entry in ended)


async def test_every_file_is_under_the_lease(site: Site) -> None:
    grant = await site.town.grant("park")
    playlist = await site.open(grant.id)
    text = (await site.http.get(playlist)).text
    (segment,) = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="part-(\d+)-', text)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as other:
        for _ in range(2):
            stolen = await other.get(playlist)
            assert (stolen.status_code, stolen.headers["content-type"]) == (403, "application/problem+json")
        assert (await other.delete(playlist.rpartition("/")[0])).status_code == 403
    assert await site.refused() == [("ticket_client", None)]
    for _ in range(2):
        assert (await site.http.get(f"/api/v1/views/hls/{'x' * 32}/index.m3u8")).status_code == 404
    assert (await site.refused())[1:] == [("ticket_invalid", None)]

    waiting = asyncio.create_task(site.http.get(playlist, params={"_HLS_msn": int(segment) + 1}))
    await asyncio.sleep(0.05)
    await site.town.desk.revoke(site.town.id("zhao"), grant.id, "no longer needed")
    assert (await waiting).status_code in (403, 404), "who waited for a part gets none after the revocation"
    for file in ("index.m3u8", f"segment-{segment}.m4s", f"part-{segment}-0.m4s", "init-0.mp4"):
        assert (await site.http.get(playlist.replace("index.m3u8", file))).status_code == 403
    assert (await site.refused())[2:] == [("revoked", "Wang")]


async def test_who_asks_for_nothing_any_more_has_left(tmp_path: Path) -> None:
    async with opened_site(tmp_path, silence_s=0.3) as site:
        await site.open((await site.town.grant("park")).id)
        async with asyncio.timeout(60):
            while not (ended := site.town.entries("view_ended")):
                await asyncio.sleep(0.02)
        assert ended[0].details["why"] == "left"


async def test_other_parameter_sets_are_a_discontinuity() -> None:
    segmenter = Segmenter()
    time = 0
    for width, count in ((320, 60), (640, 60)):
        clip = encode("h264", width=width, height=180, frames=count, gop=25)
        for place, units in enumerate(clip.pictures):
            time += 3600
            segmenter.take(Picture(0, time & 0xFFFFFFFF, place % 25 == 0, (), 0, units))
    text = await segmenter.playlist()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    first, second = sorted(set(re.findall(r'URI="(init-\d+)\.mp4"', text)))
    assert (first, second) == ("init-0", "init-3")
    stream = segmenter.initialisation(3) + await segmenter.segment(3)
    with av.open(io.BytesIO(stream)) as container:
        assert {frame.width for frame in container.decode(video=0)} == {640}
