"""The routes of views over real HTTP and WebSocket: statuses, headers, problem documents."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import httpx
import pytest
import websockets
from aioice.mdns import MDnsProtocol

from gateway_town import LOOPBACK, LiveCamera, Town, Viewer, gateway, served, town
from rtp_media import encode
from sharpeyes.domain.access import Action
from sharpeyes.gateway.settings import Limits

CLIP = encode("h264", width=320, height=180, frames=50, gop=25)
ME = "127.0.0.1"
PAGE = "https://console.example"
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Town, httpx.AsyncClient]]:
    async with contextlib.AsyncExitStack() as stack:
        camera = LiveCamera(CLIP)
        await camera.start()
        stack.push_async_callback(camera.kill)
        city = await stack.enter_async_context(town(tmp_path, {"park": camera.url}))
        settings = replace(LOOPBACK, limits=Limits(user=1))
        running = await stack.enter_async_context(gateway(city, settings))
        url = await stack.enter_async_context(served(running, (PAGE,)))
        yield city, await stack.enter_async_context(httpx.AsyncClient(base_url=url))


def bearer(ticket: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ticket}"}


async def test_whep_from_the_offer_to_the_delete(site: tuple[Town, httpx.AsyncClient]) -> None:
    city, http = site
    grant = await city.grant("park")
    viewer = Viewer()
    offer = await viewer.offer()

    async def post(ticket: str, body: str = offer, **more: str) -> httpx.Response:
        headers = {**SDP, **bearer(ticket), **more}
        return await http.post("/api/v1/views/park/whep", content=body, headers=headers)

    made = await post(city.ticket("park", grant.id, client=ME), Origin=PAGE)
    assert made.status_code == 201
    assert made.headers["content-type"].startswith("application/sdp")
    assert made.headers["access-control-allow-origin"] == PAGE
    assert "Location" in made.headers["access-control-expose-headers"]
    where = made.headers["location"]
    await viewer.accept(made.text)
    await viewer.see(3)
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag"}
    more = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
    assert (await http.patch(where, content=more, headers=fragment)).status_code == 204
    junk = await http.patch(where, content="a=candidate:1 1\r\n", headers=fragment)
    assert junk.status_code == 422
    assert (await http.get(where)).json()["state"] == "playing"
    full = await post(city.ticket("park", grant.id, client=ME))
    assert (full.status_code, full.json()["type"]) == (429, "urn:sharpeyes:error:limited")
    assert "retry-after" in full.headers
    assert (await http.delete(where)).status_code == 200
    assert (await http.delete(where)).status_code == 404
    await viewer.close()

    none = await http.post("/api/v1/views/park/whep", content=offer, headers=SDP)
    assert none.status_code == 401
    assert none.headers["content-type"] == "application/problem+json"
    refused = await post(city.ticket("park", grant.id, user="li", client=ME), Origin=PAGE)
    assert refused.status_code == 403
    assert "other_user" in refused.json()["detail"]
    assert refused.headers["access-control-allow-origin"] == PAGE
    unlike = await post(city.ticket("park", grant.id, client=ME), offer.replace("H264", "AV1"))
    assert (unlike.status_code, unlike.json()["type"]) == (406, "urn:sharpeyes:error:not_acceptable")
    huge = await post(city.ticket("park", grant.id, client=ME), "v" * 70_000)
    assert huge.status_code == 422


HIDDEN = "a=candidate:1 1 udp 2113937151 0f1b3c9e-1111-4222-8333-444455556666.local 51000 typ host\r\n"


@pytest.mark.parametrize("trickled", [False, True])
async def test_a_viewer_that_hides_its_addresses_is_waited_for(
    site: tuple[Town, httpx.AsyncClient], trickled: bool
) -> None:
    """Its names are looked up nowhere, and that these were all is said before its first check (RFC 8863)."""
    city, http = site
    grant = await city.grant("park")
    viewer = Viewer()
    offer, end = await viewer.offer(), "a=end-of-candidates\r\n"
    offer = re.sub(r"a=candidate:.*\r\n", "", offer).replace(end, "" if trickled else HIDDEN + end)
    assert (HIDDEN + end in offer) is not trickled
    ticket = city.ticket("park", grant.id, client=ME)
    made = await http.post("/api/v1/views/park/whep", content=offer, headers={**SDP, **bearer(ticket)})
    if trickled:
        fragment = {"Content-Type": "application/trickle-ice-sdpfrag"}
        said = await http.patch(made.headers["location"], content=HIDDEN + end, headers=fragment)
        assert said.status_code == 204
    await asyncio.sleep(0.2)  # the gateway's own checks are under way, with nobody to send them to
    await viewer.accept(made.text)
    await viewer.see(3)
    assert not [thing for thing in gc.get_objects() if type(thing) is MDnsProtocol]
    assert (await http.delete(made.headers["location"])).status_code == 200
    await viewer.close()


async def test_other_origins_are_told_nothing(site: tuple[Town, httpx.AsyncClient]) -> None:
    _, http = site
    asked = await http.options("/api/v1/views/park/whep", headers={"Origin": PAGE})
    assert asked.status_code == 204
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    other = await http.options("/api/v1/views/park/whep", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


async def test_a_still_picture(site: tuple[Town, httpx.AsyncClient]) -> None:
    city, http = site
    grant = await city.grant("park")
    ticket = city.ticket("park", grant.id, action=Action.SNAPSHOT, client=ME)
    got = await http.get("/api/v1/views/park/snapshot", headers=bearer(ticket))
    assert (got.status_code, got.headers["content-type"]) == (200, "image/jpeg")
    assert got.content.startswith(b"\xff\xd8")
    again = await http.get("/api/v1/views/park/snapshot", headers=bearer(ticket))
    assert again.status_code == 401


async def test_mse_over_a_websocket_under_the_same_lease(site: tuple[Town, httpx.AsyncClient]) -> None:
    city, http = site
    grant = await city.grant("park")
    url = str(http.base_url).replace("http", "ws") + "/api/v1/views/park/mse"
    async with websockets.connect(url) as socket:
        await socket.send(city.ticket("park", grant.id, client=ME))
        assert json.loads(await socket.recv())["mime"].startswith('video/mp4; codecs="avc1.')
        stream = b"".join([await socket.recv() for _ in range(11)])
        with av.open(io.BytesIO(stream)) as container:
            assert len(list(container.decode(video=0))) == 10
        await city.desk.revoke(city.id("zhao"), grant.id, "no longer needed")
        async with asyncio.timeout(60):
            *_, last = [piece async for piece in socket]  # ends when the server closes
        assert json.loads(last) == {"ended": "revoked"}
    async with websockets.connect(url) as socket:
        await socket.send(city.ticket("park", grant.id, client=ME))
        assert json.loads(await socket.recv())["error"] == "forbidden"
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url, origin="https://evil.example")
