"""ipycam's own RTSP server, probed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.health import FailureKind, Phase, Rung
from sharpeyes.health.probe import ProbeRequest, probe


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if shutil.which("ffmpeg") is None:
        pytest.skip("SKIPPED: ipycam streams nothing without ffmpeg; apt install ffmpeg")
    script = Path(__file__).with_name("ipycam_stream.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"rtsp://127.0.0.1:{int(process.stdout.readline())}/video_main"
        process.kill()


async def test_probe(url: str) -> None:
    result = await probe(ProbeRequest(url=url, observe_s=1.5, timeout_s=20))
    assert result.ok, (result.failure, result.transcript)
    assert (result.codec, result.width, result.height) == ("h264", 640, 360)
    assert result.fps == pytest.approx(15, rel=0.02)
    assert result.keyframe is not None


async def test_says_that_it_plays_over_udp_but_sends_nothing(url: str) -> None:
    """The fault as it happens: its encoder cannot bind the port that its server holds; ffprobe waits, too."""
    result = await probe(ProbeRequest(url=url, transport=Transport.UDP, timeout_s=3))
    if result.ok:
        pytest.skip("SKIPPED: this ipycam sends over UDP; nothing to see here")
    assert result.failure is not None
    assert (result.rung, result.failure.phase, result.failure.kind) == (
        Rung.AUTHENTICATED,
        Phase.MEDIA,
        FailureKind.NO_MEDIA,
    )
