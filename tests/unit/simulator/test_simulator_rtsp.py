"""The RTSP server of a virtual camera, towards polite and impolite clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from virtual_client import Viewer, device, is_keyframe_packet, lost, playing, rtp_time, sequence

from sharpeyes.domain.camera import Codec
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.device import MAX_CONNECTIONS
from sharpeyes.simulator.fleet import Scheme


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
async def test_plays_in_real_time_from_a_keyframe_without_loss(cache: Path, codec: Codec) -> None:
    async with (
        playing(cache, device(codec=codec)) as simulator,
        Viewer(simulator.endpoints["cam"].url) as viewer,
    ):
        response = await viewer.play()
        info = response.headers.get("rtp-info") or ""
        begun = asyncio.get_running_loop().time()
        media = await viewer.frames(12)
        took = asyncio.get_running_loop().time() - begun
        first = media[0].payload
        assert took > 0.3, "half a second of video does not come at once"
        assert lost(media) == 0
        assert f"seq={sequence(media[0])};rtptime={rtp_time(media[0])}" in info
        assert first[12] & 31 == 7 if codec is Codec.H264 else first[12] >> 1 & 63 == 32
        reports = [each for each in viewer.packets if each.channel == 1]
        assert reports[0].payload[1] == 200
        assert (await viewer.ask("TEARDOWN")).status == 200
        assert simulator.sessions == 0


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("qop", [True, False])
async def test_every_login_opens_and_a_wrong_one_does_not(cache: Path, scheme: Scheme, qop: bool) -> None:
    async with playing(cache, device(scheme=scheme, qop=qop)) as simulator:
        url = simulator.endpoints["cam"].url
        async with Viewer(url) as viewer:
            assert (await viewer.play()).status == 200
            words = {Scheme.NONE: "", Scheme.BASIC: "Basic", Scheme.MD5: "Digest", Scheme.SHA256: "SHA-256"}
            assert words[scheme] in viewer.challenge
            assert ("qop" in viewer.challenge) == (qop and scheme in (Scheme.MD5, Scheme.SHA256))
        if scheme is not Scheme.NONE:
            async with Viewer(url, Credentials("admin", Secret("wrong"))) as viewer:
                assert (await viewer.ask("DESCRIBE")).status == 401
            async with Viewer(url, Credentials("root", Secret('p"w\\1'))) as viewer:
                assert (await viewer.ask("DESCRIBE")).status == 401


async def test_a_nonce_is_of_one_connection(cache: Path) -> None:
    async with playing(cache) as simulator:
        async with Viewer(simulator.endpoints["cam"].url) as viewer:
            assert (await viewer.ask("DESCRIBE")).status == 200
            stolen = viewer.challenge
        async with Viewer(simulator.endpoints["cam"].url) as viewer:
            viewer.challenge = stolen
            viewer.send("DESCRIBE")
            assert (await viewer.response()).status == 401


async def test_udp_arrives_from_the_announced_ports(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
            rtp.bind(("127.0.0.1", 0))
            rtp.setblocking(False)
            port = rtp.getsockname()[1]
            response = await viewer.set_up(f"RTP/AVP;unicast;client_port={port}-{port + 1}")
            assert response.status == 200
            transport = response.headers.get("transport") or ""
            assert (await viewer.ask("PLAY")).status == 200
            loop = asyncio.get_running_loop()
            numbers = []
            for _ in range(30):
                data, sender = await asyncio.wait_for(loop.sock_recvfrom(rtp, 2048), 5)
                assert f"server_port={sender[1]}-{sender[1] + 1}" in transport
                assert sender[0] == simulator.endpoints["cam"].address
                numbers.append(int.from_bytes(data[2:4]))
            assert all((b - a) % 65536 == 1 for a, b in pairwise(numbers))
            assert not viewer.packets


async def test_udp_goes_to_nobody_but_the_asker(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
            victim.bind(("127.0.0.7", 0))
            victim.settimeout(0.3)
            port = victim.getsockname()[1]
            await viewer.set_up(f"RTP/AVP;unicast;destination=127.0.0.7;client_port={port}-{port + 1}")
            assert (await viewer.ask("PLAY")).status == 200
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(victim.recv, 2048)


async def test_channels_are_the_clients_choice(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        response = await viewer.set_up("RTP/AVP/TCP;unicast;interleaved=6-7")
        assert "interleaved=6-7" in (response.headers.get("transport") or "")
        await viewer.ask("PLAY")
        await viewer.media(5)
        assert {each.channel for each in viewer.packets} <= {6, 7}


async def test_statuses_of_the_dialogue(cache: Path) -> None:
    async with playing(cache) as simulator:
        url = simulator.endpoints["cam"].url
        async with Viewer(url) as viewer:
            assert "DESCRIBE" in ((await viewer.ask("OPTIONS", "*")).headers.get("public") or "")
            assert (await viewer.ask("DESCRIBE", url.replace("/main", "/none"))).status == 404
            assert (await viewer.ask("DESCRIBE", Accept="text/html")).status == 406
            assert (await viewer.ask("DESCRIBE", Require="x")).status == 551
            assert (await viewer.ask("RECORD")).status == 405
            assert (await viewer.ask("FIDDLE")).status == 501
            assert (await viewer.ask("PLAY")).status == 455
            assert (await viewer.ask("TEARDOWN")).status == 454
            for transport in (
                "RTP/AVP;multicast",
                "RTP/SAVP;unicast;client_port=1-2",
                "x",
                "RTP/AVP/TCP;interleaved=a",
            ):
                assert (await viewer.set_up(transport)).status == 461
            assert (await viewer.set_up()).status == 200
            assert (await viewer.ask("PLAY", Session="another")).status == 454
            assert (await viewer.ask("PLAY")).status == 200
            assert (await viewer.ask("SETUP", f"{url}/trackID=0", Transport="RTP/AVP/TCP")).status == 455
            assert (await viewer.ask("PLAY")).status == 200
            assert (await viewer.ask("GET_PARAMETER")).status == 200
            assert (await viewer.ask("PAUSE")).status == 200
            assert (await viewer.ask("PAUSE")).status == 455
            assert (await viewer.ask("PLAY")).status == 200
            assert (await viewer.ask("TEARDOWN")).status == 200


async def test_first_transport_that_can_be_served_is_taken(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        offers = "RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=2-3,RTP/AVP;unicast;client_port=9000-9001"
        assert "interleaved=2-3" in ((await viewer.set_up(offers)).headers.get("transport") or "")


async def test_session_limit_is_453_until_one_ends(cache: Path) -> None:
    async with playing(cache, device(session_limit=1)) as simulator:
        url = simulator.endpoints["cam"].url
        async with Viewer(url) as first, Viewer(url) as second:
            assert (await first.set_up()).status == 200
            assert (await second.set_up()).status == 453
            assert (await first.ask("TEARDOWN")).status == 200
            assert (await second.set_up()).status == 200
        async with asyncio.timeout(60):
            while simulator.sessions:
                await asyncio.sleep(0.01)


async def test_channels_of_a_recorder_are_different_streams(cache: Path) -> None:
    async with playing(cache, device("nvr", channels=3, session_limit=2)) as simulator:
        urls = [simulator.endpoints[f"nvr-{number}"].url for number in (1, 2, 3)]
        assert len(set(urls)) == 3
        assert len({each.address for each in simulator.endpoints.values()}) == 1
        async with Viewer(urls[0]) as one, Viewer(urls[1]) as two, Viewer(urls[2]) as three:
            assert (await one.play()).status == 200
            assert (await two.play()).status == 200
            assert (await three.set_up()).status == 453


async def test_live_start_is_between_keyframes(cache: Path) -> None:
    async with playing(cache, live_start=True) as simulator:
        started_at_key = []
        for _ in range(6):
            async with Viewer(simulator.endpoints["cam"].url) as viewer:
                await viewer.play()
                first = (await viewer.media(1))[0]
                started_at_key.append(first.payload[12] & 31 == 7)
            await asyncio.sleep(0.05)
        assert not all(started_at_key)


async def test_a_later_session_sees_a_later_picture(cache: Path) -> None:
    async with playing(cache) as simulator:
        keyframes, times = [], []
        for _ in range(4):
            async with Viewer(simulator.endpoints["cam"].url) as viewer:
                await viewer.play()
                media = await viewer.media(5)
                keyframes.append(next(each.payload[12:] for each in media if is_keyframe_packet(each)))
                times.append(rtp_time(media[0]))
            await asyncio.sleep(0.4)  # ten frames are a group of pictures here
        assert times == sorted(set(times))
        assert len(set(keyframes)) > 1


async def test_a_slow_reader_is_skipped_to_a_keyframe(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await viewer.play()
        await viewer.media(3)
        (session,) = [each for each in simulator._stage.connections if hasattr(each, "playing")]  # type: ignore[union-attr]
        playback = session.playing
        assert playback is not None
        sink = playback._sink
        seen = viewer.rtp[-1]

        class Full:
            congested = True

        playback._sink = Full()  # type: ignore[assignment]
        await asyncio.sleep(0.3)
        assert playback.stalled_since is not None
        playback._sink = sink
        before = len(viewer.packets)
        await viewer.media(before + 5)
        await asyncio.sleep(0.3)
        after = viewer.packets[before:]
        media = [each for each in after if each.channel == 0]
        assert media[0].payload[12] & 31 == 7, "goes on at a keyframe"
        assert rtp_time(media[0]) - rtp_time(seen) > 3600
        assert lost(viewer.rtp) == 0


async def test_who_asks_and_never_reads_is_dropped(cache: Path) -> None:
    async with playing(cache) as simulator:
        endpoint = simulator.endpoints["cam"]
        port = int(endpoint.url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection(endpoint.address, port, limit=1024)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 1000
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                while not writer.is_closing():
                    writer.write(request)
                    await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(60):
            while simulator.connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x01" * 100_000,
        b"GET / HTTP/1.1\r\n\r\n" * 2000,
        b"DESCRIBE rtsp://x RTSP/1.0\r\n" + b"A: " + b"b" * 100_000,
        b"DESCRIBE rtsp://x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
        b"DESCRIBE rtsp://x RTSP/1.0\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    ],
)
async def test_what_is_no_rtsp_ends_the_connection(cache: Path, sent: bytes) -> None:
    async with playing(cache) as simulator:
        endpoint = simulator.endpoints["cam"]
        port = int(endpoint.url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection(endpoint.address, port)
        writer.write(sent)
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer == b"" or answer.startswith(b"RTSP/1.0 400")
        except ConnectionError:
            pass
        writer.transport.abort()


@pytest.mark.parametrize(
    "line",
    [b"DESCRIBE rtsp://[x RTSP/1.0\r\nCSeq: 1", b"OPTIONS * RTSP/1.0", b"PLAY * RTSP/1.0\r\nCSeq: \xff"],
)
async def test_odd_requests_get_an_answer(cache: Path, line: bytes) -> None:
    async with playing(cache, device(credentials=None)) as simulator:
        endpoint = simulator.endpoints["cam"]
        port = int(endpoint.url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection(endpoint.address, port)
        writer.write(line + b"\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"RTSP/1.0 4")
        writer.transport.abort()


async def test_connections_to_a_device_are_limited(cache: Path) -> None:
    async with playing(cache) as simulator:
        endpoint = simulator.endpoints["cam"]
        port = int(endpoint.url.split(":")[2].split("/")[0])
        opened = [await asyncio.open_connection(endpoint.address, port) for _ in range(MAX_CONNECTIONS + 3)]
        async with asyncio.timeout(60):
            while simulator.connections > MAX_CONNECTIONS:
                await asyncio.sleep(0.01)
        for _, writer in opened:
            writer.transport.abort()
        async with asyncio.timeout(60):
            while simulator.connections:
                await asyncio.sleep(0.01)


async def test_silence_ends_a_session_and_any_sign_of_life_keeps_it(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await viewer.play()
        (connection,) = simulator._stage.connections  # type: ignore[union-attr]
        now = asyncio.get_running_loop().time()
        assert not connection.expired(now + 59)
        assert connection.expired(now + 75)
        connection.heard -= 100
        await viewer.ask("GET_PARAMETER")
        assert not connection.expired(now + 1)


async def test_stopping_leaves_nothing_open(cache: Path) -> None:
    async with playing(cache) as simulator:
        url = simulator.endpoints["cam"].url
        async with Viewer(url) as viewer:
            await viewer.play()
            await simulator.stop()
            await asyncio.wait_for(viewer.closed.wait(), 5)
        with pytest.raises(ConnectionRefusedError):
            async with Viewer(url):
                pass
