"""``sharpeyes probe`` as a user runs it: fields, exit codes, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from certificates import certificate
from rtp_media import encode
from scripted_camera import ScriptedCamera

FIELDS = [
    *("rung", "ok", "codec", "width", "height", "fps", "bitrate_bps", "packets", "lost"),
    *("connect_ms", "first_packet_ms", "keyframe_ms", "error"),
]


async def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sharpeyes", "probe", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def camera(**changes: object) -> ScriptedCamera:
    clip = encode("h264", frames=25)
    return ScriptedCamera(clip.sdp(), clip.packets(), **changes)  # type: ignore[arg-type]


async def test_json_of_a_good_stream() -> None:
    async with camera(challenges=['Digest realm="c", nonce="n"'], interval_s=0.0005) as cam:
        code, out, err = await run(
            *(cam.url, "--username", "admin", "--password-file", "-", "--json", "--observe", "3"),
            stdin=b"s3cret\n",
        )
    found = json.loads(out)
    assert code == 0, (out, err)
    assert list(found) == FIELDS
    assert (found["rung"], found["ok"], found["error"]) == ("keyframe", True, None)
    assert (found["codec"], found["width"], found["height"], found["fps"]) == ("h264", 320, 180, 25.0)
    assert found["bitrate_bps"] > 100_000
    assert err == ""


async def test_json_of_a_failure() -> None:
    async with camera(challenges=['Digest realm="c", nonce="n"']) as cam:
        url = cam.url.replace("rtsp://", "rtsp://admin:hush@")
        code, out, err = await run(url, "--json", "-v")
    found = json.loads(out)
    assert code == 1
    assert list(found) == FIELDS
    assert (found["rung"], found["ok"]) == ("rtsp", False)
    assert (found["error"]["phase"], found["error"]["kind"]) == ("describe", "auth_failed")
    assert "hush" not in out + err


async def test_whom_to_believe_that_it_is_the_camera(tmp_path: Path) -> None:
    own, elsewhere = certificate(tmp_path), certificate(tmp_path, "else", hosts=["camera.example"])
    async with camera(tls=own.context) as cam:
        for trusted in (
            ["--tls-ca", str(own.file)],
            ["--tls-fingerprint", own.fingerprint],
        ):
            code, out, err = await run(cam.url, "--json", "--observe", "0", *trusted)
            assert (code, err) == (0, ""), out
        cam.requests.clear()
        for refused in (["--tls-ca", str(elsewhere.file)], ["--tls-fingerprint", "00" * 32]):
            code, out, err = await run(cam.url, *refused)
            assert (code, err) == (1, "")
            assert "certificate in tls, on the camera's side" in out
            assert f"met SHA-256 {own.fingerprint}" in out
            assert "✓ reachable" in out
        assert cam.requests == []
    async with camera(tls=elsewhere.context) as cam:
        assert (await run(cam.url, "--tls-ca", str(elsewhere.file)))[0] == 1
        assert (await run(cam.url, "--tls-ca", str(elsewhere.file), "--tls-any-host"))[0] == 0


async def test_the_ladder_is_drawn() -> None:
    async with camera() as cam:
        code, out, _ = await run(cam.url, "-v", "--observe", "0")
    assert code == 0
    for word in ("reachable", "authenticated", "keyframe", "320x180", "> DESCRIBE", "< 200 OK"):
        assert word in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://cam/"],
        [],
        ["rtsp://cam/", "--transport", "pigeon"],
        ["rtsp://cam/", "--timeout", "0"],
        ["rtsp://cam/", "--username", "u"],
        ["rtsp://cam/", "--username", "u", "--password-file", "/nonexistent"],
        ["rtsp://cam/", "--password-file", "-"],
        ["rtsps://cam/", "--tls-ca", "/nonexistent"],
        ["rtsps://cam/", "--tls-ca", "/dev/null"],
        ["rtsps://cam/", "--tls-fingerprint", "00"],
        ["rtsps://cam/", "--tls-fingerprint", "00" * 32, "--tls-ca", "/dev/null"],
        ["rtsps://cam/", "--tls-any-host"],
        ["rtsp://cam/", "--tls-fingerprint", "00" * 32],
    ],
)
async def test_wrong_use(arguments: Sequence[str]) -> None:
    code, out, err = await run(*arguments)
    assert code == 2
    assert out == ""
    assert err
