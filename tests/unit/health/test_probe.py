"""Probes on real sockets: every quirk, every phase in which a camera can hang, every refusal."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import time
from functools import cache

import pytest
import uvloop

from ports import free_port
from rtp_media import Clip, encode, interleave, rtp
from scripted_camera import CLOSE, SAY_NOTHING, Reply, ScriptedCamera, challenged_and_closed
from sharpeyes.domain.camera import Transport
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Blame, FailureKind, Phase, ProbeResult, Rung
from sharpeyes.health import probe as module
from sharpeyes.health.examine import decoded
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.net.rtsp_client import kind_of
from sharpeyes.wire.rtsp.message import Headers, Interleaved, Request, Response

GOOD = Credentials("admin", Secret("s3cret"))
BAD = Credentials("admin", Secret("wr0ng"))
DIGEST = 'Digest realm="cam", nonce="abc"'


@cache
def clip(codec: str = "h264") -> Clip:
    return encode(codec, frames=12, gop=6)


def camera(**changes: object) -> ScriptedCamera:
    return ScriptedCamera(clip().sdp(), clip().packets(), **changes)  # type: ignore[arg-type]


async def look(cam: ScriptedCamera, url: str | None = None, **changes: object) -> ProbeResult:
    return await probe(ProbeRequest(url=url or cam.url, **{"timeout_s": 60.0, **changes}))  # type: ignore[arg-type]


def ending(result: ProbeResult) -> tuple[Rung, Phase, FailureKind]:
    assert result.failure is not None, result.transcript
    return result.rung, result.failure.phase, result.failure.kind


# -- what works


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", list(Transport))
async def test_a_whole_keyframe_is_the_top(codec: str, transport: Transport) -> None:
    async with ScriptedCamera(clip(codec).sdp(), clip(codec).packets(), challenges=[DIGEST]) as cam:
        result = await look(cam, credentials=GOOD, transport=transport)
    assert result.ok, result.failure
    assert result.rung is Rung.KEYFRAME
    assert (result.codec, result.width, result.height, result.fps) == (codec, 320, 180, 25.0)
    assert result.lost == 0
    times = result.timings
    steps = [times.connect_ms, times.describe_ms, times.play_ms, times.first_packet_ms, times.keyframe_ms]
    assert None not in steps
    assert steps == sorted(steps, key=lambda step: step or 0.0)
    assert result.keyframe is not None
    assert result.keyframe.codec == codec


async def test_observation_measures_rate_and_loss() -> None:
    packets = clip().packets()
    del packets[-3]
    async with ScriptedCamera(clip().sdp(), packets, interval_s=0.001) as cam:
        result = await look(cam, observe_s=0.5)
    assert result.ok
    assert result.lost == 1
    assert result.packets == len(packets)
    assert result.fps == 25.0
    payload = sum(len(packet) - 12 for packet in packets)
    assert result.bitrate_bps == pytest.approx(payload * 8 * 25 / 12, rel=0.01)


def test_it_runs_on_uvloop_too() -> None:
    async def run(transport: Transport) -> ProbeResult:
        async with camera(challenges=[DIGEST]) as cam:
            return await look(cam, credentials=GOOD, transport=transport, observe_s=0.05)

    for transport in Transport:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(run(transport)).ok


@pytest.mark.parametrize(
    "challenges",
    [
        [DIGEST],
        ['Digest realm="cam", nonce="abc", qop="auth", algorithm="SHA-256"'],
        ['Digest realm="cam", nonce="abc", qop="auth,auth-int", algorithm=MD5-sess'],
        ['Basic realm="cam"', 'Digest realm="cam", nonce="a+/=", algorithm=MD5'],
        ['Basic realm="cam", Digest realm="cam", nonce="n"'],
    ],
)
async def test_authentication(challenges: list[str]) -> None:
    async with camera(challenges=challenges) as cam:
        result = await look(cam, credentials=GOOD)
        assert result.ok, result.failure
        assert cam.methods()[:4] == ["DESCRIBE", "DESCRIBE", "SETUP", "PLAY"]


async def test_basic_goes_out_only_if_allowed() -> None:
    async with camera(challenges=['Basic realm="cam"']) as cam:
        refused = await look(cam, credentials=GOOD)
        assert ending(refused)[2] is FailureKind.AUTH_UNSUPPORTED
        assert all("authorization" not in request.headers for request in cam.requests)
        assert (await look(cam, credentials=GOOD, allow_basic=True)).ok


async def test_a_stale_nonce_in_the_middle() -> None:
    """Some cameras take a nonce for one request only and say stale (or not) to the next."""

    def setup(cam: ScriptedCamera, request: Request) -> Response:
        if 'nonce="two"' in (request.headers.get("authorization") or ""):
            return cam.setup(request)
        return Response(
            401, "Unauthorized", Headers([("WWW-Authenticate", 'Digest realm="cam", nonce="two"')])
        )

    async with camera(challenges=[DIGEST], script={"SETUP": setup}) as cam:
        assert (await look(cam, credentials=GOOD)).ok
        assert cam.methods().count("SETUP") == 2


async def test_the_login_of_a_server_that_hangs_up_after_its_challenge() -> None:
    async with camera(script={"DESCRIBE": challenged_and_closed}, challenges=[DIGEST]) as cam:
        result = await look(cam, credentials=GOOD)
        assert result.ok, result.failure
        assert cam.connections == 2
        assert ["authorization" in each.headers for each in cam.requests[:2]] == [False, True]
        assert any("401, on a new connection" in line for line in result.transcript)
        wrong = await look(cam, credentials=BAD)
        assert ending(wrong) == (Rung.RTSP, Phase.DESCRIBE, FailureKind.AUTH_FAILED)
        assert cam.connections == 4
    async with camera(script={"DESCRIBE": closed_when_logged_in}, challenges=[DIGEST]) as cam:
        assert ending(await look(cam, credentials=GOOD))[1:] == (Phase.DESCRIBE, FailureKind.CLOSED)
        assert cam.connections == 2


async def closed_when_logged_in(cam: ScriptedCamera, request: Request) -> Reply:
    return CLOSE if cam.authorized(request) else await challenged_and_closed(cam, request)


async def test_credentials_in_the_url_are_used_and_not_shown() -> None:
    async with camera(challenges=[DIGEST]) as cam:
        result = await look(cam, cam.url.replace("rtsp://", "rtsp://admin:s3cret@"))
        assert result.ok
        wrong = await look(cam, cam.url.replace("rtsp://", "rtsp://admin:hush@"))
    text = repr(result) + repr(wrong) + "".join((*result.transcript, *wrong.transcript))
    assert "s3cret" not in text.replace(repr(result.keyframe), "")
    assert "hush" not in text
    assert all("@" not in request.uri for request in cam.requests)


def test_a_request_does_not_show_its_url() -> None:
    assert "hush" not in repr(ProbeRequest(url="rtsp://admin:hush@cam/"))


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_login_in_the_path_goes_out_only_if_allowed(allowed: bool) -> None:
    account = Credentials("admin", Secret("s3cret"), allow_basic=allowed)
    async with camera() as cam:
        url = f"rtsp://127.0.0.1:{cam.port}/user=&password=&channel=1.sdp"
        result = await probe(ProbeRequest(url=url, credentials=account, timeout_s=5))
        assert result.ok
        assert ("password=s3cret" in cam.requests[0].uri) is allowed
    assert "s3cret" not in "\n".join(result.transcript)


async def test_a_password_in_the_path_is_masked() -> None:
    async with camera() as cam:
        result = await look(cam, cam.url + "/user=admin&password=hush&channel=1.sdp")
    assert result.ok
    assert cam.requests[0].uri.endswith("password=hush&channel=1.sdp")
    assert "hush" not in "".join(result.transcript)


# -- quirks


def with_sdp(extra: str = "", control: str | None = "trackID=0", **headers: str) -> dict[str, object]:
    def describe(cam: ScriptedCamera, request: Request) -> Response:
        body = clip().sdp(control=control, extra=extra)
        return Response(200, "OK", Headers([(k.replace("_", "-"), v) for k, v in headers.items()]), body)

    return {"DESCRIBE": describe}


@pytest.mark.parametrize(
    ("script", "setup_uri", "play_uri"),
    [
        (with_sdp(), "{url}/trackID=0", "{url}"),
        (with_sdp(Content_Base="{url}/"), "{url}/trackID=0", "{url}/"),
        (with_sdp(Content_Location="{url}/"), "{url}/trackID=0", "{url}/"),
        (with_sdp(control=None), "{url}", "{url}"),
        (with_sdp(control="*"), "{url}", "{url}"),
        (with_sdp(control="rtsp://10.9.9.9/inner/track1"), "rtsp://10.9.9.9/inner/track1", "{url}"),
        (with_sdp(control="rtsp://u:p@10.9.9.9/track1"), "rtsp://10.9.9.9/track1", "{url}"),
        (with_sdp(control="track 1"), "{url}/track%201", "{url}"),
        (with_sdp(Content_Base="nonsense"), "{url}/trackID=0", "{url}"),
    ],
)
async def test_controls(script: dict[str, object], setup_uri: str, play_uri: str) -> None:
    async with camera() as cam:
        describe = script["DESCRIBE"]

        def filled(cam: ScriptedCamera, request: Request) -> Response:
            made = describe(cam, request)  # type: ignore[operator]
            headers = [(name, value.format(url=cam.url)) for name, value in made.headers]
            return Response(200, "OK", Headers(headers), made.body)

        cam.script = {"DESCRIBE": filled}
        assert (await look(cam)).ok
        uris = [request.uri for request in cam.requests[:3]]
        assert uris == [cam.url, setup_uri.format(url=cam.url), play_uri.format(url=cam.url)]


async def test_the_server_chooses_other_channels() -> None:
    """gortsplib #72"""
    async with camera(channels=(6, 7)) as cam:
        assert (await look(cam)).ok


async def test_rtp_before_the_answer_to_play() -> None:
    def play(cam: ScriptedCamera, request: Request) -> bytes:
        packets, cam.packets = cam.packets, []
        return interleave(packets) + b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n"

    async with camera(script={"PLAY": play}) as cam:
        assert (await look(cam)).ok


async def test_stale_frames_of_an_old_session_come_first() -> None:
    """retina #17: old live555 goes on sending to a reused file descriptor"""

    def describe(cam: ScriptedCamera, request: Request) -> bytes:
        stale = interleave([rtp(b"\x41old", 5, 6, ssrc=0x99)], 0)
        answer = Response(200, "OK", Headers([("CSeq", "1")]), cam.sdp).encode()
        return stale + answer + stale

    async with camera(script={"DESCRIBE": describe}) as cam:
        assert (await look(cam)).ok


@pytest.mark.parametrize(
    "answer",
    [
        b"RTSP/1.0 200 OK\nCSeq: 1\ncontent-length: %d\n\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 99\r\nContent-Length: %d\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-length:%d\r\n\r\n",
        b"\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nX-Folded: a\r\n b\r\nContent-Length: %d\r\n\r\n",
        b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n",
    ],
)
async def test_untidy_answers(answer: bytes) -> None:
    async with camera(script={"DESCRIBE": answer % len(clip().sdp()) + clip().sdp()}) as cam:
        assert (await look(cam)).ok


async def test_parameter_sets_in_the_description_only() -> None:
    async with ScriptedCamera(clip().sdp(), clip().packets(in_band=False)) as cam:
        assert (await look(cam)).ok


async def test_a_server_that_asks_is_answered() -> None:
    def setup(cam: ScriptedCamera, request: Request) -> bytes:
        answer = cam.setup(request)
        asks = b"OPTIONS * RTSP/1.0\r\nCSeq: 71\r\n\r\nGET_PARAMETER * RTSP/1.0\r\nCSeq: 72\r\n\r\n"
        redirect = b"REDIRECT * RTSP/1.0\r\nCSeq: 73\r\nLocation: rtsp://10.0.0.9/\r\n\r\n"
        numbered = Headers([("CSeq", request.headers.get("cseq") or ""), *answer.headers])
        return asks + redirect + Response(200, "OK", numbered).encode()

    async with camera(script={"SETUP": setup}) as cam:
        assert (await look(cam)).ok
        found = [(response.status, response.headers.get("cseq")) for response in cam.responses]
        assert found == [(200, "71"), (200, "72"), (501, "73")]


async def test_the_other_transport_if_one_is_refused() -> None:
    def setup(cam: ScriptedCamera, request: Request) -> Response:
        if "TCP" in (request.headers.get("transport") or ""):
            return Response(461, "Unsupported Transport")
        return cam.setup(request)

    async with camera(script={"SETUP": setup}) as cam:
        result = await look(cam)
        assert result.ok, result.failure
        assert cam.peer_ports is not None
        refused = await look(cam, fall_back=False)
        assert ending(refused) == (Rung.AUTHENTICATED, Phase.SETUP, FailureKind.RTSP_STATUS)


async def test_the_other_transport_of_a_server_that_refuses_and_hangs_up() -> None:
    async def setup(cam: ScriptedCamera, request: Request) -> Reply:
        if "TCP" not in (request.headers.get("transport") or ""):
            return cam.setup(request)
        assert cam.writer is not None
        cam.writer.write(b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 3\r\n\r\n")
        await cam.writer.drain()
        return CLOSE

    async with camera(script={"SETUP": setup}, challenges=[DIGEST]) as cam:
        result = await look(cam, credentials=GOOD)
        assert result.ok, result.failure
        assert cam.connections == 2
    async with camera(script={"SETUP": CLOSE}) as cam:
        assert ending(await look(cam))[1:] == (Phase.SETUP, FailureKind.CLOSED)
        assert cam.connections == 1


async def test_udp_opens_the_way_back_and_takes_packets_from_the_camera_only() -> None:
    async with camera(script={"PLAY": Response(200, "OK")}) as cam:
        cam.packets = []
        task = asyncio.create_task(look(cam, transport=Transport.UDP, timeout_s=2.0))
        while "PLAY" not in cam.methods():
            await asyncio.sleep(0.01)
        assert cam.peer_ports is not None
        assert [len(punch) for punch in cam.udp_received()] == [12]
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind(("127.0.0.2", 0))
        for packet in clip().packets():
            stranger.sendto(packet, ("127.0.0.1", cam.peer_ports[0]))
        stranger.close()
        result = await task
    assert ending(result) == (Rung.AUTHENTICATED, Phase.MEDIA, FailureKind.NO_MEDIA)
    assert result.packets == 0


async def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("SKIPPED: this machine has no IPv6 loopback")
    for transport in Transport:
        async with camera(host="::1") as cam:
            assert (await look(cam, transport=transport)).ok


# -- redirects


@pytest.mark.parametrize("same_port", [True, False])
async def test_a_redirect_on_the_same_host_is_followed(same_port: bool) -> None:
    async with camera() as target:

        def describe(cam: ScriptedCamera, request: Request) -> Response:
            if request.uri.endswith("/new"):
                return cam.describe(request)
            port = cam.port if same_port else target.port
            return Response(302, "Moved", Headers([("Location", f"rtsp://127.0.0.1:{port}/new")]))

        async with camera(script={"DESCRIBE": describe}) as cam:
            assert (await look(cam)).ok
            assert target.connections == (0 if same_port else 1)


async def test_a_redirect_to_another_host_is_not_followed() -> None:
    async with camera(host="127.0.0.2") as other:
        moved = Response(302, "Moved", Headers([("Location", other.url)]))
        async with camera(script={"DESCRIBE": moved}) as cam:
            result = await look(cam, credentials=GOOD)
        assert ending(result) == (Rung.RTSP, Phase.DESCRIBE, FailureKind.RTSP_STATUS)
        assert other.connections == 0


async def test_redirects_in_a_circle_end() -> None:
    def describe(cam: ScriptedCamera, request: Request) -> Response:
        return Response(302, "Moved", Headers([("Location", cam.url)]))

    async with camera(script={"DESCRIBE": describe}) as cam:
        assert ending(await look(cam))[2] is FailureKind.RTSP_STATUS
        assert len(cam.requests) <= 4


# -- refusals


@pytest.mark.parametrize(
    ("method", "status", "kind"),
    [
        ("DESCRIBE", 404, FailureKind.NOT_FOUND),
        ("DESCRIBE", 454, FailureKind.NOT_FOUND),
        ("DESCRIBE", 503, FailureKind.BUSY),
        ("SETUP", 453, FailureKind.BUSY),  # HikLoad #4: session limits of recorders
        ("PLAY", 453, FailureKind.BUSY),
        ("DESCRIBE", 403, FailureKind.RTSP_STATUS),
        ("SETUP", 500, FailureKind.RTSP_STATUS),
        ("PLAY", 455, FailureKind.RTSP_STATUS),
    ],
)
async def test_statuses(method: str, status: int, kind: FailureKind) -> None:
    async with camera(script={method: Response(status, "No")}) as cam:
        result = await look(cam)
    assert ending(result)[1:] == (Phase(method.lower()), kind)
    assert result.failure is not None
    # Sessions taken by others say nothing about the camera.
    assert result.failure.blame is (Blame.PROBER if kind is FailureKind.BUSY else Blame.CAMERA)
    assert str(status) in result.failure.message


async def test_a_wrong_password_is_tried_once() -> None:
    """evercam-server #91, CamioCam/rtsp #34: repeated failures lock the account for half an hour"""
    offers = [
        'Digest realm="c", nonce="1", algorithm=SHA-256',
        'Digest realm="c", nonce="1"',
        'Basic realm="c"',
    ]
    async with camera(challenges=offers) as cam:
        result = await look(cam, credentials=BAD)
        assert ending(result) == (Rung.RTSP, Phase.DESCRIBE, FailureKind.AUTH_FAILED)
        assert sum("authorization" in request.headers for request in cam.requests) == 1


async def test_without_credentials_it_is_our_fault() -> None:
    async with camera(challenges=[DIGEST]) as cam:
        result = await look(cam)
    assert ending(result)[2] is FailureKind.CREDENTIALS_MISSING
    assert result.failure is not None
    assert result.failure.blame is Blame.PROBER


async def test_withheld_credentials_are_not_sent() -> None:
    async with camera(challenges=[DIGEST]) as cam:
        result = await look(cam, credentials=GOOD, withhold_credentials=True)
        assert ending(result)[2] is FailureKind.AUTH_FAILED
        assert "withheld" in (result.failure.message if result.failure else "")
        assert len(cam.requests) == 1
        assert "authorization" not in cam.requests[0].headers
    async with camera() as open_cam:  # which asks for none
        assert (await look(open_cam, credentials=GOOD, withhold_credentials=True)).ok


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4000, FailureKind.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 70000\r\n\r\n", FailureKind.MALFORMED),
        (b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 5000, FailureKind.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", FailureKind.MALFORMED),
        (Response(200, "OK", Headers(), b"v=0\r\nm=audio 0 RTP/AVP 0\r\n"), FailureKind.NO_VIDEO),
        (b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n" * 100, FailureKind.MALFORMED),
        (CLOSE, FailureKind.CLOSED),
    ],
    ids=["HTTP", "huge body", "endless headers", "no SDP", "audio only", "100 forever", "closes"],
)
async def test_bad_descriptions(reply: bytes | Response | None, kind: FailureKind) -> None:
    async with camera(script={"DESCRIBE": reply}) as cam:
        assert ending(await look(cam))[1:] == (Phase.DESCRIBE, kind)


async def test_a_codec_that_is_not_understood_is_media_without_video() -> None:
    sdp = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n"
    async with ScriptedCamera(sdp, [rtp(b"x" * 100, 1, 1)]) as cam:
        result = await look(cam)
    assert ending(result) == (Rung.MEDIA, Phase.KEYFRAME, FailureKind.NO_VIDEO)
    assert result.codec == "av1"


# -- silence and hanging up, phase by phase


async def outwaited(cam: ScriptedCamera, phase: Phase, kind: FailureKind) -> ProbeResult:
    """How a probe ends that waits in vain. Short, for the suite waits too; where the machine was too busy
    to get as far as that, again with more time."""
    async with asyncio.timeout(120):
        for timeout_s in (0.4, 4.0, 40.0):
            result = await look(cam, timeout_s=timeout_s)
            if ending(result)[1:] == (phase, kind):
                break
    return result


@pytest.mark.parametrize(
    ("method", "rung", "phase"),
    [
        ("DESCRIBE", Rung.REACHABLE, Phase.DESCRIBE),
        ("SETUP", Rung.AUTHENTICATED, Phase.SETUP),
        ("PLAY", Rung.AUTHENTICATED, Phase.PLAY),
    ],
)
async def test_hangs_and_hang_ups(method: str, rung: Rung, phase: Phase) -> None:
    async with camera(script={method: SAY_NOTHING}) as cam:
        result = await outwaited(cam, phase, FailureKind.TIMEOUT)
        assert ending(result) == (rung, phase, FailureKind.TIMEOUT)
    async with camera(script={method: CLOSE}) as cam:
        assert ending(await look(cam)) == (rung, phase, FailureKind.CLOSED)


async def test_plays_but_no_rtp() -> None:
    """reolinkproxy #24, mediamtx #2182, frigate #2347: a 200 OK is no picture"""
    async with ScriptedCamera(clip().sdp(), []) as cam:
        result = await outwaited(cam, Phase.MEDIA, FailureKind.NO_MEDIA)
    assert ending(result) == (Rung.AUTHENTICATED, Phase.MEDIA, FailureKind.NO_MEDIA)


async def test_rtp_but_never_a_keyframe() -> None:
    async with ScriptedCamera(clip().sdp(), clip().packets(pictures=slice(1, 5))) as cam:
        result = await outwaited(cam, Phase.KEYFRAME, FailureKind.NO_KEYFRAME)
    assert ending(result) == (Rung.MEDIA, Phase.KEYFRAME, FailureKind.NO_KEYFRAME)
    assert result.packets > 0
    assert (result.width, result.height) == (320, 180)  # from the description


@pytest.mark.parametrize("patience", [1.0, 3.0])
async def test_a_late_keyframe_is_waited_for_while_video_comes(patience: float) -> None:
    """Encoders that save bits send one in fifteen seconds and more."""
    sent: list[bytes] = []
    while len(sent) < 60:
        sent += clip().packets(pictures=slice(1, 5), first=100 + len(sent))
    pause = 1.5 / len(sent)
    sent += clip().packets(first=100 + len(sent))

    async def look_for(timeout_s: float) -> ProbeResult:
        async with ScriptedCamera(clip().sdp(), sent, interval_s=pause * timeout_s) as cam:
            return await look(cam, timeout_s=timeout_s, patience=patience)

    wanted = None if patience > 1 else FailureKind.NO_KEYFRAME
    for timeout_s in (1.0, 5.0, 20.0):  # where the machine was too busy, with more time
        result = await look_for(timeout_s)
        if (result.failure.kind if result.failure else None) is wanted:
            break
    assert (result.failure.kind if result.failure else None) is wanted
    assert result.rung is (Rung.MEDIA if wanted else Rung.KEYFRAME)


async def test_a_stream_that_is_refreshed_bit_by_bit_has_keyframes_too() -> None:
    options = {"preset": "medium", "x264-params": "intra-refresh=1:keyint=10"}
    refreshed = encode("h264", frames=60, gop=10, options=options)
    sent = refreshed.packets(pictures=slice(3, None), in_band=False)
    async with ScriptedCamera(refreshed.sdp(), sent) as cam:
        result = await look(cam, follow=5)
    assert (result.failure, result.rung) == (None, Rung.KEYFRAME)
    assert result.keyframe is not None
    picture, _ = decoded(result.keyframe, result.at)
    assert picture is not None
    assert not picture.errors


async def test_a_session_is_kept_alive_while_its_keyframe_is_waited_for() -> None:
    """Sessions of five seconds and ten between keyframes are both to be had."""

    def setup(cam: ScriptedCamera, request: Request) -> Response:
        said = cam.setup(request)
        return Response(200, "OK", Headers([*list(said.headers)[:1], ("Session", "12345678;timeout=2")]))

    async def alive(cam: ScriptedCamera, _: Request) -> Response:
        assert cam.writer is not None
        cam.writer.write(interleave(clip().packets(first=200), 0))
        return Response(200, "OK")

    script = {"SETUP": setup, "GET_PARAMETER": alive, "OPTIONS": alive}
    async with ScriptedCamera(clip().sdp(), clip().packets(pictures=slice(1, 5)), script=script) as cam:
        result = await look(cam, timeout_s=30.0)
    assert result.failure is None
    assert result.rung is Rung.KEYFRAME


async def test_a_flood_without_a_keyframe_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 50_000)
    packets: list[bytes] = []
    while sum(map(len, packets)) < 60_000:
        packets += clip().packets(pictures=slice(1, 5), first=100 + len(packets))
    async with ScriptedCamera(clip().sdp(), packets) as cam:
        result = await look(cam, timeout_s=200.0)
    assert ending(result) == (Rung.MEDIA, Phase.KEYFRAME, FailureKind.NO_KEYFRAME)
    assert result.received_bytes > 50_000


async def test_keyframes_without_parameter_sets_say_so() -> None:
    async with ScriptedCamera(clip().sdp(sprop=False), clip().packets(in_band=False)) as cam:
        result = await outwaited(cam, Phase.KEYFRAME, FailureKind.NO_KEYFRAME)
    assert ending(result)[2] is FailureKind.NO_KEYFRAME
    assert "SPS" in (result.failure.message if result.failure else "")


async def test_a_drip_ends_at_the_deadline() -> None:
    async def drip(cam: ScriptedCamera, request: Request) -> bytes:
        assert cam.writer is not None
        cam.writer.write(b"RTSP/1.0 200 OK\r\nX: ")
        while True:
            cam.writer.write(b"x")
            await cam.writer.drain()
            await asyncio.sleep(0.01)

    async with camera(script={"DESCRIBE": drip}) as cam:
        result = await outwaited(cam, Phase.DESCRIBE, FailureKind.TIMEOUT)
    assert ending(result)[1:] == (Phase.DESCRIBE, FailureKind.TIMEOUT)


async def test_goodbye_before_a_keyframe() -> None:
    def play(cam: ScriptedCamera, request: Request) -> bytes:
        return b"RTSP/1.0 200 OK\r\n\r\n" + Interleaved(1, b"\x81\xcb\x00\x01abcd").encode()

    async with ScriptedCamera(
        clip().sdp(), clip().packets(pictures=slice(1, 2)), script={"PLAY": play}
    ) as cam:
        result = await look(cam)
    assert ending(result)[2] is FailureKind.CLOSED


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize(
    ("method", "rung", "phase"),
    [("DESCRIBE", Rung.AUTHENTICATED, Phase.SETUP), ("SETUP", Rung.AUTHENTICATED, Phase.PLAY)],
)
async def test_an_end_in_one_reading_with_an_answer_ends_the_probe(
    method: str, rung: Rung, phase: Phase, transport: Transport
) -> None:
    def answered_and_ended(cam: ScriptedCamera, request: Request) -> bytes:
        answer = cam.describe(request) if method == "DESCRIBE" else cam.setup(request)
        return answer.encode() + b"TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n"

    async with camera(script={method: answered_and_ended}) as cam:
        result = await look(cam, transport=transport)
        assert cam.methods()[-1] == method
    assert ending(result) == (rung, phase, FailureKind.CLOSED)


async def test_a_server_that_ends_the_session_during_observation_spoils_nothing() -> None:
    def play(cam: ScriptedCamera, request: Request) -> bytes:
        return (
            b"RTSP/1.0 200 OK\r\n\r\n" + interleave(cam.packets) + b"TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        )

    async with camera(script={"PLAY": play}) as cam:
        result = await look(cam, observe_s=600.0)  # it would be longer than any test
    assert result.ok


# -- the pictures behind the keyframe


def coded(codec: str, pictures: slice) -> tuple[bytes, ...]:
    """Pictures of the clip as a decoder takes them."""
    start = b"\0\0\0\1"
    slices = (1, 5) if codec == "h264" else range(32)
    kind = (lambda unit: unit[0] & 31) if codec == "h264" else (lambda unit: unit[0] >> 1 & 63)
    return tuple(
        start + start.join(unit for unit in units if kind(unit) in slices)
        for units in clip(codec).pictures[pictures]
    )


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", list(Transport))
async def test_pictures_behind_the_keyframe_are_brought(codec: str, transport: Transport) -> None:
    async with ScriptedCamera(clip(codec).sdp(), clip(codec).packets()) as cam:
        async with asyncio.timeout(60):  # what comes late, on a loaded machine, is not waited for
            while not (result := await look(cam, transport=transport, follow=4)).keyframe.following:  # type: ignore[union-attr]
                pass
        plain = await look(cam, transport=transport)
    assert result.keyframe is not None
    assert plain.keyframe is not None
    found = result.keyframe.following
    assert 1 <= len(found) <= 4
    assert found == coded(codec, slice(1, 1 + len(found)))
    assert (result.keyframe.data, plain.keyframe.following) == (plain.keyframe.data, ())
    assert result.rung is Rung.KEYFRAME


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("transport", list(Transport))
def test_who_stalls_behind_the_keyframe_has_brought_it(transport: Transport, factory: object) -> None:
    async def run() -> ProbeResult:
        async with ScriptedCamera(clip().sdp(), clip().packets(pictures=slice(1))) as cam:
            result = await look(cam, transport=transport, follow=4)
            async with asyncio.timeout(60):
                while "TEARDOWN" not in cam.methods():
                    await asyncio.sleep(0.01)
        return result

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        result = runner.run(run())
    assert result.ok, result.failure
    assert result.keyframe is not None
    assert result.keyframe.following == ()


@pytest.mark.parametrize("ending", ["end of stream", "teardown", "goodbye", "half a picture"])
async def test_who_goes_behind_the_keyframe_has_brought_it(ending: str) -> None:
    packets, first = clip().packets(), len(clip().packets(pictures=slice(1)))
    after = {
        "teardown": b"TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        "goodbye": Interleaved(1, b"\x81\xcb\x00\x01abcd").encode(),
        "half a picture": interleave(packets[first : len(clip().packets(pictures=slice(3))) - 1]),
    }

    async def play(cam: ScriptedCamera, request: Request) -> bytes:
        assert cam.writer is not None
        cam.writer.write(b"RTSP/1.0 200 OK\r\n\r\n" + interleave(packets[:first]))
        for _ in range(50):  # the probe reads in this very loop
            await asyncio.sleep(0)
        cam.writer.write(after.get(ending, b""))
        if ending in ("end of stream", "half a picture"):
            cam.writer.write_eof()
        return SAY_NOTHING

    async with camera(script={"PLAY": play}) as cam:
        result = await look(cam, follow=4)
    assert result.ok, result.failure
    assert result.keyframe is not None
    assert result.keyframe.following == coded("h264", slice(1, 2 if ending == "half a picture" else 1))


async def test_what_never_ends_is_not_taken_for_ever() -> None:
    async def play(cam: ScriptedCamera, request: Request) -> bytes:
        assert cam.writer is not None
        cam.writer.write(cam.play(request).encode())
        number = 0
        while True:
            number += 1
            packets = clip().packets(first=100 + number * 1000)
            cam.writer.write(interleave(packets))
            await cam.writer.drain()
            await asyncio.sleep(0)

    async with camera(script={"PLAY": play}) as cam:
        result = await look(cam, follow=4)
    assert result.ok, result.failure


async def test_a_lost_packet_ends_what_is_brought() -> None:
    packets = clip().packets()
    begins = len(clip().packets(pictures=slice(3)))
    del packets[begins]
    async with ScriptedCamera(clip().sdp(), packets) as cam:
        result = await look(cam, follow=8)
    assert result.keyframe is not None
    assert len(result.keyframe.following) <= 2
    assert result.keyframe.following == coded("h264", slice(1, 1 + len(result.keyframe.following)))


async def test_pictures_behind_the_keyframe_of_an_observation() -> None:
    async with camera(interval_s=0.001) as cam:
        async with asyncio.timeout(60):
            while not (result := await look(cam, observe_s=0.5, follow=3)).keyframe.following:  # type: ignore[union-attr]
                pass
    assert result.fps == 25.0
    assert result.bitrate_bps is not None
    assert result.keyframe is not None
    found = result.keyframe.following
    assert found == coded("h264", slice(1, 1 + len(found)))


async def test_of_jpeg_the_last_picture_comes_with_the_first() -> None:
    sdp = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:trackID=0\r\n"
    payload = b"\0\0\0\0\1\x50\2\2" + bytes(60)
    packets = [
        rtp(payload + bytes((number,)), number, number * 3600, marker=True, kind=26) for number in range(5)
    ]
    async with ScriptedCamera(sdp, packets) as cam:
        async with asyncio.timeout(60):
            while not (result := await look(cam, follow=4)).keyframe.following:  # type: ignore[union-attr]
                pass
        plain = await look(cam)
    assert result.keyframe is not None
    assert plain.keyframe is not None
    assert (result.keyframe.codec, result.keyframe.data[-3:-2]) == ("jpeg", b"\0")
    assert [each[-3:-2] for each in result.keyframe.following] == [b"\4"]
    assert (plain.keyframe.data, plain.keyframe.following) == (result.keyframe.data, ())


async def test_cancellation_behind_the_keyframe_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_GATHER_S", 3600.0)
    async with camera() as cam:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        attempt: list[module._Attempt] = []
        made = module._Attempt.__init__

        def noted(self: module._Attempt, request: ProbeRequest) -> None:
            made(self, request)
            attempt.append(self)

        monkeypatch.setattr(module._Attempt, "__init__", noted)
        task = asyncio.create_task(look(cam, follow=4))
        async with asyncio.timeout(60):
            while not (attempt and attempt[0]._gathers):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):
            while "TEARDOWN" not in cam.methods() or len(os.listdir("/proc/self/fd")) > before:  # noqa: PTH208
                await asyncio.sleep(0.01)


# -- the connection


async def test_refused() -> None:
    result = await probe(ProbeRequest(url=f"rtsp://127.0.0.1:{free_port()}/"))
    assert ending(result) == (Rung.NONE, Phase.CONNECT, FailureKind.REFUSED)


async def test_nobody_accepts() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        port = listener.getsockname()[1]
        result = await probe(ProbeRequest(url=f"rtsp://127.0.0.1:{port}/", timeout_s=0.4))
        for filler in fillers:
            filler.close()
    assert ending(result) == (Rung.NONE, Phase.CONNECT, FailureKind.TIMEOUT)


async def test_a_bad_url_is_our_fault_and_not_quoted() -> None:
    result = await probe(ProbeRequest(url="rtsp://admin:pa/ss@cam/"))
    assert ending(result)[2].blame is Blame.PROBER
    assert "ss@cam" not in repr(result)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_out_of_descriptors_is_our_fault(factory: object) -> None:
    async def run() -> ProbeResult:
        async with camera() as cam:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, hard))
            hogs = []
            try:
                while True:
                    try:
                        hogs.append(os.open("/dev/null", os.O_RDONLY))
                    except OSError:
                        break
                return await look(cam)
            finally:
                for hog in hogs:
                    os.close(hog)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        result = runner.run(run())
    assert ending(result) == (Rung.NONE, Phase.CONNECT, FailureKind.NO_DESCRIPTORS)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, FailureKind.NO_DESCRIPTORS),
        (errno.ENOBUFS, FailureKind.NO_RESOURCES),
        (errno.ENETUNREACH, FailureKind.NO_ROUTE),
        (errno.EADDRNOTAVAIL, FailureKind.NO_ROUTE),
        (errno.EHOSTUNREACH, FailureKind.UNREACHABLE),
        (errno.ECONNREFUSED, FailureKind.REFUSED),
        (errno.ECONNRESET, FailureKind.CLOSED),
        (errno.ETIMEDOUT, FailureKind.TIMEOUT),
        (errno.EIO, FailureKind.INTERNAL),
    ],
)
def test_what_errors_mean(number: int, kind: FailureKind) -> None:
    assert kind_of(OSError(number, "x")) is kind


def test_names() -> None:
    assert kind_of(socket.gaierror(socket.EAI_NONAME, "x")) is FailureKind.NAME_UNKNOWN
    assert kind_of(socket.gaierror(socket.EAI_AGAIN, "x")) is FailureKind.NO_RESOLVER
    assert kind_of(None) is FailureKind.CLOSED


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_time_out_while_our_own_loop_stood_still_is_our_fault(factory: object) -> None:
    async def run() -> ProbeResult:
        async with camera(script={"DESCRIBE": SAY_NOTHING}) as cam:
            task = asyncio.create_task(look(cam, timeout_s=1.0))
            await asyncio.sleep(0.05)
            time.sleep(0.7)  # noqa: ASYNC251
            return await task

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        assert ending(runner.run(run()))[2] is FailureKind.OVERLOADED


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_that_came_while_we_stood_still_is_read(factory: object) -> None:
    async def describe(cam: ScriptedCamera, request: Request) -> Response:
        time.sleep(0.8)  # noqa: ASYNC251 (the camera's loop is ours, too)
        return cam.describe(request)

    async def run() -> ProbeResult:
        async with camera(script={"DESCRIBE": describe}) as cam:
            return await look(cam, timeout_s=1.2)

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        assert runner.run(run()).ok


async def test_cancellation_leaves_nothing_behind() -> None:
    async with camera(script={"DESCRIBE": SAY_NOTHING}) as cam:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        task = asyncio.create_task(look(cam))
        while not cam.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


async def test_a_session_is_given_back() -> None:
    async with camera() as cam:
        await look(cam)
        for _ in range(100):
            if "TEARDOWN" in cam.methods():
                break
            await asyncio.sleep(0.01)
        assert cam.requests[-1].headers.get("session") == "12345678"


async def test_a_fault_of_ours_is_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "parse_url", broken)
    result = await probe(ProbeRequest(url="rtsp://127.0.0.1/"))
    assert ending(result)[2] is FailureKind.INTERNAL
