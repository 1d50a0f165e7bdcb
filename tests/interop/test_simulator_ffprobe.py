"""ffprobe and ffmpeg read virtual cameras: TCP and UDP, H.264 and H.265, over the loop of a clip."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Endpoint, Fleet, Scheme
from sharpeyes.simulator.simulator import Simulator

pytestmark = pytest.mark.skipif(
    shutil.which("ffprobe") is None, reason="FFPROBE IS MISSING: install the Debian package ffmpeg"
)
PLACE = Addressing(network="127.9.5.1", rtsp_port=0, onvif_port=0, discovery_port=None)


def plan(codec: Codec, scheme: Scheme = Scheme.MD5) -> DevicePlan:
    spec = ClipSpec(codec=codec, width=640, height=360, gop=15, gops=1, kbps=600)
    return DevicePlan(
        id="cam",
        channels=(ChannelPlan(id="cam", streams=((StreamRole.MAIN, spec),)),),
        credentials=Credentials("admin", Secret("secret")),
        scheme=scheme,
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


async def tool(name: str, endpoint: Endpoint, transport: str, *arguments: str) -> tuple[int, str, str]:
    url = endpoint.url.replace("rtsp://", "rtsp://admin:secret@")
    process = await asyncio.create_subprocess_exec(
        name,
        *("-nostdin", "-v", "warning") if name == "ffmpeg" else ("-v", "warning"),
        *("-rtsp_transport", transport, "-i", url, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), 40)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(), said.decode()


@pytest.mark.parametrize("in_band", [True, False], ids=["in_band", "sdp_alone"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
async def test_decodes_over_the_loop_without_a_word(
    clips: Path, codec: Codec, transport: str, in_band: bool
) -> None:
    fleet = Fleet(devices=(plan(codec),))
    async with Simulator(fleet, addressing=PLACE, cache=clips, in_band=in_band) as simulator:
        endpoint = simulator.endpoints["cam"]
        # 40 frames of a loop of 15
        code, _, said = await tool("ffmpeg", endpoint, transport, "-frames:v", "40", "-f", "null", "-")
        assert code == 0, said
        # ffmpeg notes time stamps that it had to guess; what decoder or RTP reader say is a fault.
        wrong = [line for line in said.splitlines() if "[null" not in line and "guess" not in line]
        assert wrong == []


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
@pytest.mark.parametrize("scheme", [Scheme.MD5, Scheme.BASIC])
async def test_ffprobe_agrees_on_what_it_is(clips: Path, codec: Codec, scheme: Scheme) -> None:
    async with Simulator(Fleet(devices=(plan(codec, scheme),)), addressing=PLACE, cache=clips) as simulator:
        endpoint = simulator.endpoints["cam"]
        code, out, said = await tool("ffprobe", endpoint, "tcp", "-of", "json", "-show_streams")
        assert code == 0, said
        (stream,) = json.loads(out)["streams"]
        assert stream["codec_name"] == ("h264" if codec is Codec.H264 else "hevc")
        assert (stream["width"], stream["height"], stream["r_frame_rate"]) == (640, 360, "25/1")
