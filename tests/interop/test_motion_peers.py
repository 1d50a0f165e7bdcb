"""What moves and what stands still, of other people's encoders and server: the pictures behind a keyframe."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sharpeyes.health.examine import decoded
from sharpeyes.health.probe import ProbeRequest, probe

PYTHON = "/usr/bin/python3"  # Debian's, which has the GObject bindings
SERVER = Path(__file__).with_name("gst_motion.py")


@dataclass(frozen=True)
class Peer:
    port: int
    encoders: list[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Peer]:
    check = [PYTHON, SERVER, "--check"]
    if not Path(PYTHON).exists() or subprocess.run(check, check=False, capture_output=True).returncode:
        pytest.skip("SKIPPED: gst-rtsp-server is not installed; apt install gir1.2-gst-rtsp-server-1.0")
    with subprocess.Popen([PYTHON, SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, *encoders = process.stdout.readline().split()
            yield Peer(int(port), encoders)
        finally:
            process.kill()


async def moves(url: str) -> tuple[bool, int]:
    """Whether something moves behind the next keyframe, and behind how many pictures that was looked for."""
    result = await probe(ProbeRequest(url=url, timeout_s=30, follow=8))
    assert result.keyframe is not None, (result.failure, result.transcript)
    picture, moving = await asyncio.to_thread(decoded, result.keyframe, result.at)
    assert picture is not None
    return moving, len(result.keyframe.following)


@pytest.mark.parametrize("encoder", ["x264enc", "openh264enc", "x265enc", "jpegenc"])
async def test_rings_that_run_move_and_those_that_stand_do_not(server: Peer, encoder: str) -> None:
    if encoder not in server.encoders:
        pytest.skip(f"SKIPPED: GStreamer has no {encoder}; apt install gstreamer1.0-plugins-bad and -ugly")
    place = f"rtsp://127.0.0.1:{server.port}/{encoder}"
    async with asyncio.timeout(120):  # an encoder that has just begun may code too coarsely to tell
        while not (await moves(f"{place}/living"))[0]:
            pass
        pictures = 0
        while pictures < 12:  # the encoder's first group of pictures, and later ones
            moving, number = await moves(f"{place}/frozen")
            assert not moving
            pictures += number
