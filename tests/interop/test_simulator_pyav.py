"""PyAV (FFmpeg's libraries from its own wheel) opens virtual cameras, with a login."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import pytest

from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet, Scheme
from sharpeyes.simulator.simulator import Simulator

PLACE = Addressing(network="127.9.6.1", rtsp_port=0, onvif_port=0, discovery_port=None)


def read(url: str, transport: str, count: int) -> list[tuple[int, int]]:
    with av.open(url, options={"rtsp_transport": transport, "stimeout": "5000000"}, timeout=10) as container:
        sizes = []
        for frame in container.decode(video=0):
            sizes.append((frame.width, frame.height))
            if len(sizes) == count:
                break
        return sizes


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
@pytest.mark.parametrize(
    ("scheme", "transport"), [(Scheme.MD5, "tcp"), (Scheme.MD5, "udp"), (Scheme.BASIC, "tcp")]
)
async def test_opens_and_decodes(tmp_path: Path, codec: Codec, scheme: Scheme, transport: str) -> None:
    spec = ClipSpec(codec=codec, width=320, height=180, gop=10, gops=1, kbps=300)
    device = DevicePlan(
        id="cam",
        channels=(ChannelPlan(id="cam", streams=((StreamRole.MAIN, spec),)),),
        credentials=Credentials("admin", Secret("secret")),
        scheme=scheme,
    )
    async with Simulator(Fleet(devices=(device,)), addressing=PLACE, cache=tmp_path) as simulator:
        url = simulator.endpoints["cam"].url.replace("rtsp://", "rtsp://admin:secret@")
        sizes = await asyncio.to_thread(read, url, transport, 25)
        assert sizes == [(320, 180)] * 25
        with pytest.raises(av.error.FFmpegError):
            await asyncio.to_thread(read, url.replace("secret", "wrong"), transport, 1)
