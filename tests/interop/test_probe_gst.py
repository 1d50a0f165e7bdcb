"""gst-rtsp-server with digest authentication, probed by us and by ffprobe: both must see the same stream."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import FailureKind
from sharpeyes.health.probe import ProbeRequest, probe

PYTHON = "/usr/bin/python3"  # Debian's, which has the GObject bindings
SERVER = Path(__file__).with_name("gst_camera.py")
GOOD = Credentials("admin", Secret("s3cret"))
STREAMS = {
    "h264": (640, 360, 25.0),
    "h264b": (638, 358, 15.0),
    "h265": (640, 360, 25.0),
}


def _missing() -> str | None:
    if not Path(PYTHON).exists():
        return f"no {PYTHON}"
    check = subprocess.run([PYTHON, SERVER, "--check"], capture_output=True, text=True, check=False)
    return check.stderr.strip().splitlines()[-1] if check.returncode and check.stderr.strip() else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Base URL of a running server."""
    if (missing := _missing()) is not None:
        pytest.skip(
            f"SKIPPED: gst-rtsp-server is not installed ({missing}); apt install gir1.2-gst-rtsp-server-1.0"
        )
    with subprocess.Popen([PYTHON, SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"rtsp://127.0.0.1:{port}"
        process.terminate()


def ffprobe(url: str, transport: Transport) -> dict[str, object]:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-rtsp_transport",
        str(transport),
        "-of",
        "json",
        "-show_streams",
        url,
    ]
    found = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return json.loads(found.stdout)["streams"][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("name", STREAMS)
async def test_agrees_with_ffprobe(server: str, name: str, transport: Transport) -> None:
    result = await probe(
        ProbeRequest(url=f"{server}/{name}", credentials=GOOD, transport=transport, observe_s=1.2)
    )
    assert result.ok, (result.failure, result.transcript)
    assert result.lost == 0
    assert (result.codec, result.width, result.height, result.fps) == (name.rstrip("b"), *STREAMS[name])
    if shutil.which("ffprobe") is None:
        pytest.skip("SKIPPED: ffprobe is not installed; the stream itself agrees; apt install ffmpeg")
    url = f"{server}/{name}".replace("rtsp://", "rtsp://admin:s3cret@")
    other = ffprobe(url, transport)
    numerator, denominator = map(int, str(other["r_frame_rate"]).split("/"))
    theirs = (
        {"hevc": "h265"}.get(str(other["codec_name"]), other["codec_name"]),
        other["width"],
        other["height"],
    )
    assert theirs == (result.codec, result.width, result.height)
    assert numerator / denominator == pytest.approx(result.fps, rel=0.01)


async def test_a_wrong_password_is_refused(server: str) -> None:
    result = await probe(
        ProbeRequest(url=f"{server}/h264", credentials=Credentials("admin", Secret("no")), timeout_s=5)
    )
    assert result.failure is not None
    assert result.failure.kind is FailureKind.AUTH_FAILED


async def test_no_such_stream(server: str) -> None:
    begun = time.monotonic()
    result = await probe(ProbeRequest(url=f"{server}/nothing", credentials=GOOD, timeout_s=5))
    assert result.failure is not None
    assert result.failure.kind is FailureKind.NOT_FOUND
    assert time.monotonic() - begun < 4
