"""A view from the ticket to its end, over real RTSP, WebRTC, database and register."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport

from gateway_town import HOME, LOOPBACK, PASSWORD, LiveCamera, Town, Viewer, gateway, town
from rtp_media import encode
from sharpeyes.domain.access import Action, Place, Schedule
from sharpeyes.domain.errors import (
    ForbiddenError,
    InvalidInputError,
    LimitError,
    NotAcceptableError,
    NotFoundError,
    SharpEyesError,
    UnauthenticatedError,
    UnavailableError,
)
from sharpeyes.gateway.channel import PullState
from sharpeyes.gateway.fmp4 import Muxer
from sharpeyes.gateway.gateway import Gateway, Opened
from sharpeyes.gateway.hls import Segmenter
from sharpeyes.gateway.hub import Viewer as HubViewer
from sharpeyes.gateway.leases import Lease
from sharpeyes.gateway.peer import Peer, extend_codecs
from sharpeyes.gateway.settings import GatewaySettings, IceSettings, Limits
from sharpeyes.gateway.upstream import Upstream

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
        async with asyncio.timeout(60):
            while True:
                for entry in self.town.entries("view_ended"):
                    if entry.details["view"] == view:
                        return dict(entry.details)
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def opened_scene(folder: Path, settings: GatewaySettings = LOOPBACK) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(folder, {"park": camera.url, "gate": camera.url}))
        running = await stack.enter_async_context(gateway(city, settings))
        made = Scene(city, running, camera, [])
        try:
            yield made
        finally:
            for viewer in made.viewers:
                await viewer.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened_scene(tmp_path) as made:
        yield made


async def until(condition: object, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)


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
    await asyncio.sleep(0.3)  # what was sent before may still wait in the viewer's socket
    seen = viewer.received()
    await asyncio.sleep(0.3)
    assert viewer.received() - seen <= 1  # at most the end of DTLS itself
    assert scene.gateway.views == 0


async def test_the_end_of_a_grant_ends_the_picture(scene: Scene) -> None:
    grant = await scene.town.grant("park", life_ms=1500)
    viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(3)
    assert (await scene.ended(opened.view))["why"] == "expired"
    with pytest.raises(NotFoundError):
        scene.gateway.state(opened.session, client=HOME)


@pytest.mark.parametrize("what", ["user", "camera"])
async def test_a_disabled_user_or_camera_ends_the_picture(scene: Scene, what: str) -> None:
    grant = await scene.town.grant("park")
    viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(1)
    if what == "user":
        await scene.town.people.set_enabled(scene.town.who["feng"], scene.town.id("wang"), False)
    else:
        await scene.town.desk.set_place(scene.town.id("feng"), "park", Place.TOILET)
    why = (await scene.ended(opened.view))["why"]
    assert why == ("user_disabled" if what == "user" else "place_forbidden")


async def test_a_right_taken_away_unheard_is_found_by_the_poll(tmp_path: Path) -> None:
    async with opened_scene(tmp_path, replace(LOOPBACK, poll_s=0.1)) as scene:
        grant = await scene.town.grant("park")
        viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
        await viewer.see(1)
        scene.town.database.write(lambda c: c.exec_driver_sql("UPDATE user_account SET disabled_ms = 1"))
        assert (await scene.ended(opened.view))["why"] == "user_disabled"


async def test_who_cannot_look_at_rights_shows_nothing(tmp_path: Path) -> None:
    async with opened_scene(tmp_path, replace(LOOPBACK, poll_s=0.05, stale_s=2.0)) as scene:
        grant = await scene.town.grant("park")
        viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
        await viewer.see(1)
        scene.town.database.write(lambda c: c.exec_driver_sql("ALTER TABLE view_grant RENAME TO elsewhere"))
        assert (await scene.ended(opened.view))["why"] == "rights_unknown"
        assert scene.gateway.views == 0


async def test_every_other_way_in_is_refused_and_registered(scene: Scene) -> None:
    offer = await _offer(scene)
    grant = await scene.town.grant("park", actions=frozenset({Action.LIVE}))
    used = scene.town.ticket("park", grant.id)
    await scene.gateway.whep("park", used, offer, client=HOME)

    async def refused(
        ticket: str, kind: type[SharpEyesError], reason: str, *, camera: str = "park", client: str = HOME
    ) -> None:
        with pytest.raises(kind, match=reason):
            await scene.gateway.whep(camera, ticket, offer, client=client)
        assert scene.town.entries("refusal")[-1].details["reason"] == reason

    town = scene.town
    await refused(used, UnauthenticatedError, "ticket_used")
    await refused("st1.nonsense.nonsense", UnauthenticatedError, "ticket_invalid")
    await refused(town.ticket("park", grant.id), UnauthenticatedError, "ticket_client", client="192.0.2.9")
    await refused(town.ticket("park", grant.id), ForbiddenError, "other_camera", camera="gate")
    await refused(town.ticket("gate", grant.id), ForbiddenError, "other_camera", camera="gate")
    await refused(town.ticket("park", grant.id, user="li"), ForbiddenError, "other_user")
    await refused(town.ticket("park", None), ForbiddenError, "no_grant")
    await refused(town.ticket("park", grant.id, action=Action.SNAPSHOT), ForbiddenError, "action")
    await refused(town.ticket("nowhere", grant.id), NotFoundError, "camera_unknown", camera="nowhere")
    old = town.ticket("park", grant.id)
    town.shift += 61_000
    await refused(old, UnauthenticatedError, "ticket_expired")
    with pytest.raises(ForbiddenError, match="action"):
        await scene.gateway.snapshot(
            "park", town.ticket("park", grant.id, action=Action.SNAPSHOT), client=HOME
        )
    with pytest.raises(ForbiddenError, match="other_user"):
        await scene.gateway.feed("park", town.ticket("park", grant.id, user="li"), client=HOME)
    now = town.clock() // 60_000 % 1440
    minute = (now + 8 * 60 + 120) % 1440  # in two hours, in Shanghai
    await town.desk.narrow(
        town.id("zhao"), grant.id, schedule=Schedule(start=minute, end=(minute + 5) % 1440 or 1440)
    )
    await refused(town.ticket("park", grant.id), ForbiddenError, "schedule")
    await town.desk.revoke(town.id("zhao"), grant.id, "no longer needed")
    await refused(town.ticket("park", grant.id), ForbiddenError, "revoked")
    assert len(town.entries("view_started")) == 1


async def test_nothing_runs_that_is_not_in_the_register(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    offer = await _offer(scene)
    scene.town.database.write(
        lambda c: c.exec_driver_sql(
            "CREATE TRIGGER no_views BEFORE INSERT ON register_entry BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    )
    with pytest.raises(UnavailableError, match="register"):
        await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)
    assert scene.gateway.views == 0
    scene.town.database.write(lambda c: c.exec_driver_sql("DROP TRIGGER no_views"))


async def test_a_camera_that_dies_is_said_to_be_lost_and_comes_back_without_a_click(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(5)
    await scene.camera.kill()
    state = lambda: scene.gateway.state(opened.session, client=HOME).state  # noqa: E731
    await until(lambda: state() is PullState.LOST)
    with pytest.raises(UnavailableError, match="no picture"):
        await scene.gateway.whep(
            "park", scene.town.ticket("park", grant.id), await _offer(scene), client=HOME
        )
    await scene.camera.start()
    await viewer.see(10)
    assert state() is PullState.PLAYING
    assert scene.camera.plays == 2
    assert len(scene.town.entries("view_ended")) == 0


async def test_one_pull_serves_all_and_ends_after_the_last(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    watched = [await scene.watch(scene.town.ticket("park", grant.id)) for _ in range(3)]
    for viewer, _ in watched:
        await viewer.see(3)
    assert scene.camera.plays == 1
    for _, opened in watched:
        scene.gateway.leave(opened.session, client=HOME)
    with pytest.raises(NotFoundError):
        scene.gateway.leave(watched[0][1].session, client=HOME)
    await until(lambda: scene.gateway.pulls == 0 and scene.camera.playing == 0)
    assert [request.method for request in scene.camera.requests][-1] == "TEARDOWN"


async def test_limits_are_named_and_seats_come_back(tmp_path: Path) -> None:
    settings = replace(LOOPBACK, limits=Limits(user=1))
    async with opened_scene(tmp_path, settings) as scene:
        grant = await scene.town.grant("park")
        offer = await _offer(scene)
        opened = await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)
        with pytest.raises(LimitError, match="one user"):
            await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)
        scene.gateway.leave(opened.session, client=HOME)
        await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)


async def test_a_browser_without_the_codec_is_told_so(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    offer = (await _offer(scene)).replace("H264", "AV1")
    with pytest.raises(NotAcceptableError, match=r"H\.264"):
        await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)
    for junk in ("", "v=0\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n" * 20):
        with pytest.raises((NotAcceptableError, InvalidInputError)):
            await scene.gateway.whep("park", scene.town.ticket("park", grant.id), junk, client=HOME)
    assert scene.gateway.views == 0
    assert not scene.town.entries("view_started")


async def test_the_plain_sender_and_a_fixed_port_behind_an_announced_address(tmp_path: Path) -> None:
    ice = IceSettings(addresses=("127.0.0.1",), announced="127.0.0.1", ports=(42_000, 42_040))
    async with opened_scene(tmp_path, replace(LOOPBACK, gso=False, ice=ice)) as scene:
        grant = await scene.town.grant("park")
        viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
        ports = [int(line.split()[5]) for line in opened.answer.splitlines() if "candidate:" in line]
        assert ports
        assert all(42_000 <= port <= 42_040 for port in ports)
        await viewer.see(5)


async def test_h265_goes_to_browsers_that_have_it(tmp_path: Path) -> None:
    async with opened_scene(tmp_path) as scene:
        await scene.camera.kill()
        scene.camera.clip = encode("h265", frames=20, gop=10)
        await scene.camera.start()
        grant = await scene.town.grant("park")
        extend_codecs()  # the viewer, too, has H.265 then
        offer = await _offer(scene)
        opened = await scene.gateway.whep("park", scene.town.ticket("park", grant.id), offer, client=HOME)
        assert "H265/90000" in opened.answer
        assert "H264" not in opened.answer
        scene.gateway.leave(opened.session, client=HOME)
        assert scene.gateway.transcodes == 0
        picture = await scene.gateway.snapshot(
            "park", scene.town.ticket("park", grant.id, action=Action.SNAPSHOT), client=HOME
        )
        assert picture.startswith(b"\xff\xd8")


async def test_an_offer_with_a_section_for_sound_first(tmp_path: Path) -> None:
    ice = IceSettings(addresses=("127.0.0.1",), ports=(42_100, 42_140))
    async with opened_scene(tmp_path, replace(LOOPBACK, ice=ice)) as scene:
        grant = await scene.town.grant("park")
        viewer = Viewer(sound=True)
        scene.viewers.append(viewer)
        opened = await scene.gateway.whep(
            "park", scene.town.ticket("park", grant.id), await viewer.offer(), client=HOME
        )
        await viewer.accept(opened.answer)
        await viewer.see(5)
        ports = {int(line.split()[5]) for line in opened.answer.splitlines() if "candidate:" in line}
        assert all(42_100 <= port <= 42_140 for port in ports)
        assert opened.answer.count("a=inactive") == 1


async def test_a_refused_account_is_not_tried_at_every_click(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    scene.camera.refuses = True
    for _ in range(3):
        with pytest.raises(UnavailableError, match="auth_failed"):
            await scene.gateway.whep(
                "park", scene.town.ticket("park", grant.id), await _offer(scene), client=HOME
            )
        await until(lambda: scene.gateway.pulls == 0)
    answered = [request for request in scene.camera.requests if "authorization" in request.headers]
    assert len(answered) == 1


async def test_a_still_picture_is_registered_before_it_is_given(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    ticket = scene.town.ticket("park", grant.id, action=Action.SNAPSHOT)
    picture = await scene.gateway.snapshot("park", ticket, client=HOME)
    with av.open(io.BytesIO(picture)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (320, 180)
    (entry,) = scene.town.entries("snapshot")
    assert (entry.camera, entry.grant, entry.details["bytes"]) == ("park", grant.id, len(picture))
    assert scene.gateway.views == 0


async def test_fragmented_mp4_decodes_and_ends_with_the_right(scene: Scene) -> None:
    grant = await scene.town.grant("park")
    feed = await scene.gateway.feed("park", scene.town.ticket("park", grant.id), client=HOME)
    segments = feed.segments()
    stream = b"".join([await anext(segments) for _ in range(31)])
    with av.open(io.BytesIO(stream)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 30
    assert frames[0].key_frame
    assert {frame.pts - before.pts for before, frame in pairwise(frames)} == {3600}
    await scene.town.desk.revoke(scene.town.id("zhao"), grant.id, "no longer needed")
    await until(lambda: scene.gateway.views == 0)
    assert [segment async for segment in segments] == []
    (ended,) = scene.town.entries("view_ended")
    assert (ended.details["why"], ended.details["path"]) == ("revoked", "fmp4")


async def test_everything_is_free_when_all_have_left(scene: Scene) -> None:
    grant = await scene.town.grant("park")

    async def crowd() -> None:
        watched = [await scene.watch(scene.town.ticket("park", grant.id)) for _ in range(8)]
        for viewer, _ in watched:
            await viewer.see(1)
        for _, opened in watched:
            scene.gateway.leave(opened.session, client=HOME)
        for viewer in scene.viewers:
            await viewer.close()
        scene.viewers.clear()
        await until(lambda: scene.gateway.pulls == 0 and scene.camera.playing == 0)
        await asyncio.sleep(0.1)
        gc.collect()

    await crowd()
    base = _sockets(), len(asyncio.all_tasks())
    await crowd()
    assert (_sockets(), len(asyncio.all_tasks())) == base


async def test_everything_is_free_when_two_hundred_leave_at_once(tmp_path: Path) -> None:
    """By every way to watch. What a few leave behind is the base that the crowd must come back to."""
    limits = Limits(user=500, department=500, camera=500, gateway=500)
    async with opened_scene(tmp_path, replace(LOOPBACK, limits=limits)) as scene:
        grant = await scene.town.grant("park")

        def ticket() -> str:
            return scene.town.ticket("park", grant.id)

        async def crowd(each: int) -> None:
            # A few by WebRTC: each decodes in this very process, and one that is late loses its connection.
            watched = [await scene.watch(ticket()) for _ in range(min(4, each))]
            for viewer, _ in watched:
                await viewer.see(1)
            feeds = [await scene.gateway.feed("park", ticket(), client=HOME) for _ in range(each)]
            names = [await scene.gateway.hls("park", ticket(), client=HOME) for _ in range(each)]
            reading = [feed.segments() for feed in feeds]
            for segments in reading:
                await anext(segments)
            for name in names:
                assert (await scene.gateway.hls_file(name, "index.m3u8", client=HOME)).data
            count = len(watched) + len(feeds) + len(names)
            assert scene.gateway.views == count
            waiting = [asyncio.ensure_future(anext(segments, None)) for segments in reading]
            ended = len(scene.town.entries("view_ended"))
            for _, opened in watched:
                scene.gateway.leave(opened.session, client=HOME)
            for feed in feeds:
                feed.close()
            for name in names:
                await scene.gateway.hls_leave(name, client=HOME)
            assert scene.gateway.views == 0
            await asyncio.gather(*waiting)
            for viewer in scene.viewers:
                await viewer.close()
            scene.viewers.clear()
            await until(lambda: scene.gateway.pulls == 0 and scene.camera.playing == 0)
            await until(lambda: len(scene.town.entries("view_ended")) == ended + count)

        await crowd(2)
        await _settle()
        base = _sockets(), len(asyncio.all_tasks()), _held()
        assert set(base[2]) <= {"Upstream"}, f"left behind: {base[2]}"
        await crowd(98)
        await _settle()
        assert (_sockets(), len(asyncio.all_tasks()), _held()) == base


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0.1)
        gc.collect()


def _held() -> dict[str, int]:
    """Living objects of the gateway's own types."""
    kinds = (Lease, Muxer, HubViewer, Segmenter, Peer, Upstream, RTCPeerConnection, RTCDtlsTransport)
    return dict(Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds)))


async def test_no_url_and_no_account_of_a_camera_gets_out(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sharpeyes")
    grant = await scene.town.grant("park")
    viewer, opened = await scene.watch(scene.town.ticket("park", grant.id))
    await viewer.see(1)
    said = [opened.answer]
    await scene.camera.kill()
    await until(lambda: scene.gateway.state(opened.session, client=HOME).state is PullState.LOST)
    with pytest.raises(UnavailableError) as caught:
        await scene.gateway.whep(
            "park", scene.town.ticket("park", grant.id), await _offer(scene), client=HOME
        )
    said += [str(caught.value), caplog.text, repr(scene.town.entries())]
    for text in said:
        for secret in (PASSWORD, "secret-path", f":{scene.camera.port}", f"port {scene.camera.port}"):
            assert secret not in text


def _sockets() -> int:
    """Descriptors of sockets; the database opens and closes files as it likes."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(link.readlink()))
    return sum(link.startswith("socket:") for link in links)


async def _offer(scene: Scene) -> str:
    viewer = Viewer()
    scene.viewers.append(viewer)
    return await viewer.offer()
