"""``sharpeyes diagnose rtsp://...`` as a user runs it, on streams of other people's servers and encoders, and
on what is no stream at all."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "diagnose"))

from made_scene import scene

from sharpeyes.cli.mends import MENDS
from sharpeyes.domain.health import FailureKind

PYTHON = "/usr/bin/python3"  # Debian's, which has the GObject bindings
SERVER = Path(__file__).with_name("gst_scene.py")
ACCOUNT = "admin"
PASSWORD = "s3cr:t@/ü"
IN_URL = "s3cr%3At%40%2F%C3%BC"
LOGIN = ("--username", ACCOUNT, "--password-file", "-")
FRAMES = 20
ENCODERS = {
    # Made by ffmpeg, otherwise than our own and the server's encoder would: file name -> options.
    "slices": ("-profile:v", "main", "-g", "10", "-bf", "2", "-x264-params", "slices=4"),
    "fields": ("-g", "10", "-flags", "+ildct+ilme", "-x264-params", "tff=1"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(5)
    plain = scene()
    noise = rng.normal(0, 2.5, (FRAMES, *plain.shape[:2], 1))
    normal = np.clip(plain + noise, 0, 255).astype(np.uint8)
    black = np.zeros((1, *plain.shape), np.uint8)
    for name, frames in (("normal", normal), ("frozen", normal[:1]), ("black", black)):
        yuv = b"".join(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes() for frame in frames)
        (made / f"{name}.i420").write_bytes(yuv)
    if shutil.which("ffmpeg") is not None:
        raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "640x360", "-r", "5", "-stream_loop", "20")
        for name, options in ENCODERS.items():
            subprocess.run(
                [
                    *("ffmpeg", "-v", "error", *raw, "-i", made / "normal.i420"),
                    *("-c:v", "libx264", *options, made / f"{name}.mkv"),
                ],
                check=True,
            )
    return made


class Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.place = f"127.0.0.1:{int(process.stdout.readline())}"

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}{self.place}/{path}"

    def play(self, show: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{show}\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    ready = Path(PYTHON).exists() and not subprocess.run([PYTHON, SERVER, "--check"], check=False).returncode
    if not ready:
        pytest.skip("SKIPPED: gst-rtsp-server is not installed; apt install gir1.2-gst-rtsp-server-1.0")
    with subprocess.Popen(
        [PYTHON, SERVER, folder, ACCOUNT, PASSWORD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


async def run(*arguments: str, password: str | None = PASSWORD) -> tuple[int, str, str]:
    login = LOGIN if password is not None else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "diagnose", *arguments, *login),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(f"{password}\n".encode())
    for secret in (PASSWORD, IN_URL, "wrong-one"):
        assert secret not in out.decode() + err.decode()
    assert b"Traceback" not in err
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def document(*arguments: str, password: str | None = PASSWORD) -> tuple[int, dict[str, Any]]:
    code, out, err = await run(*arguments, "--json", password=password)
    assert err == "", "one document, and it says it all"
    found = json.loads(out)
    assert set(found) == {"files", "faulty", "failed"}
    return code, found


async def test_healthy_streams_of_each_codec_behind_a_digest(server: Server) -> None:
    server.play("normal")
    urls = [server.url(path) for path in ("scene", "h265", "jpeg")]
    code, found = await document(*urls)
    assert [each["file"] for each in found["files"]] == urls
    assert [each["faults"] for each in found["files"]] == [[], [], []]
    assert (code, found["faulty"], found["failed"]) == (0, 0, 0)


async def test_streams_made_by_ffmpeg(server: Server) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("SKIPPED: ffmpeg is not installed; apt install ffmpeg")
    for _, found in await asyncio.gather(*(document(server.url(name)) for name in ENCODERS)):
        (one,) = found["files"]
        # A film that begins anew for every viewer shows the same picture to each.
        assert set(one["faults"]) <= {"frozen"}, one


async def test_a_stream_that_freezes_and_one_that_goes_black(server: Server) -> None:
    server.play("frozen")
    await asyncio.sleep(1.5)
    # An encoder under rate control codes the same picture otherwise at first: a look or two more.
    for _ in range(3):
        code, found = await document(server.url("scene"))
        if "frozen" in found["files"][0]["faults"]:
            break
    assert code == 1
    assert "frozen" in found["files"][0]["faults"]
    assert found["faulty"] == 1
    server.play("black")
    await asyncio.sleep(1.5)
    code, out, err = await run(server.url("scene"))
    assert code == 1
    assert "faulty" in out
    assert "signal_lost" in out
    assert err == ""


async def test_a_password_in_the_url_is_taken_and_masked(server: Server, tmp_path: Path) -> None:
    server.play("normal")
    url = server.url("scene", f"{ACCOUNT}:{IN_URL}@")
    code, found = await document(url, "--still-dir", str(tmp_path), password=None)
    assert found["files"][0]["file"] == server.url("scene")
    assert "error" not in found["files"][0]
    assert code in (0, 1)
    (still,) = tmp_path.iterdir()
    assert "s3cr" not in still.name


@pytest.mark.parametrize("password", ["wrong-one", None])
async def test_a_wrong_password_and_none(server: Server, password: str | None) -> None:
    code, found = await document(server.url("scene"), password=password)
    (one,) = found["files"]
    assert code == 1
    assert one["error"]["kind"] in ("auth_failed", "credentials_missing")
    assert "--username" in one["error"]["mend"]
    assert (found["faulty"], found["failed"]) == (0, 1)


async def test_a_wrong_path(server: Server) -> None:
    code, out, err = await run(server.url("nothing"))
    assert (code, out) == (1, "")
    assert MENDS[FailureKind.NOT_FOUND] in err


# --- what is no stream ------------------------------------------------------------------------------------


@asynccontextmanager
async def listener(answer: bytes, *, forever: bool) -> AsyncIterator[str]:
    """A server that says this to whoever connects, and then nothing more, or hangs up."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(answer)
            await writer.drain()
            if forever:
                await asyncio.sleep(60)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.9.43.1", 0)
    try:
        yield f"rtsp://127.9.43.1:{server.sockets[0].getsockname()[1]}/live"
    finally:
        server.close()


NO_CAMERA = [
    (b"", True, {"timeout"}),
    (b"", False, {"closed"}),
    (b"HTTP/1.1 200 OK\r\n\r\n", True, {"malformed", "timeout"}),
    (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n", True, {"malformed"}),
    (b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n", True, {"not_found"}),
    (b"RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: 1\r\n\r\n", True, {"busy"}),
    (b"\x00\xff" * 5_000, True, {"malformed", "timeout"}),
]


async def test_servers_that_are_no_camera() -> None:
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(listener(one, forever=lasts)) for one, lasts, _ in NO_CAMERA]
        code, found = await document(*urls, "--timeout", "1")
    assert (code, found["failed"]) == (1, len(NO_CAMERA))
    for each, (answer, _, kinds) in zip(found["files"], NO_CAMERA, strict=True):
        assert each["error"]["kind"] in kinds, answer
        assert each["error"]["mend"] == MENDS[FailureKind(each["error"]["kind"])]


async def test_a_dead_host_does_not_hide_what_another_shows(folder: Path, tmp_path: Path) -> None:
    frame = np.fromfile(folder / "black.i420", np.uint8).reshape(540, 640)
    picture = tmp_path / "black.png"
    cv2.imwrite(str(picture), cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420))
    dead = ("rtsp://127.9.43.2:1/x", "rtsp://camera.invalid/x")
    code, found = await document(dead[0], str(picture), dead[1], "--timeout", "2")
    assert code == 1
    assert [each.get("error", {}).get("kind") for each in found["files"]] == ["refused", None, "name_unknown"]
    assert (found["faulty"], found["failed"]) == (1, 2)
    code, out, err = await run(dead[0], str(picture), "--timeout", "2")
    assert code == 1
    assert str(picture) in out
    assert err.count("\n") == 1
    assert MENDS[FailureKind.REFUSED] in err


@pytest.mark.parametrize(
    "url", ["rtsp://", "rtsp://[::1", "rtsp://h:99999/x", "rtsp://u:wrong-one@", "ftp://h/x"]
)
async def test_what_is_no_url_is_wrong_use(url: str) -> None:
    code, out, err = await run(url, password=None)
    assert (code, out) == (2, "")
    assert err.startswith("sharpeyes: ")


def test_each_failure_has_a_mend() -> None:
    assert set(MENDS) == set(FailureKind)
    assert all(mend and not mend.endswith(".") for mend in MENDS.values())
