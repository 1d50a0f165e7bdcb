"""``sharpeyes diagnose`` of a camera on IPv6, and of one that encrypts, made of gst-rtsp-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "diagnose"))

from made_scene import scene

from certificates import Certificate, certificate
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import FailureKind, Phase, Rung
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.net.tls import SYSTEM, TlsPolicy, read_authorities

PYTHON = "/usr/bin/python3"  # Debian's, which has the GObject bindings
SERVER = Path(__file__).with_name("gst_scene.py")
ACCOUNT, PASSWORD = "admin", "s3cret"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(7)
    plain = scene()
    noise = rng.normal(0, 2.5, (20, *plain.shape[:2], 1))
    frames = np.clip(plain + noise, 0, 255).astype(np.uint8)
    yuv = b"".join(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes() for frame in frames)
    (made / "normal.i420").write_bytes(yuv)
    return made


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@contextlib.contextmanager
def playing(films: Path, address: str, secure: Path | None = None) -> Iterator[str]:
    """The stream's URL."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, SERVER, "--check"], check=False).returncode:
        pytest.skip("SKIPPED: gst-rtsp-server is not installed; apt install gir1.2-gst-rtsp-server-1.0")
    command = [PYTHON, SERVER, films, ACCOUNT, PASSWORD, address, *([secure] if secure else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip() and secure is not None:
                pytest.skip("SKIPPED: GLib has no TLS; apt install glib-networking")
            host = f"[{address}]" if ":" in address else address
            yield f"rtsp{'s' if secure else ''}://{host}:{int(line)}/scene"
        finally:
            process.kill()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(scope="module", params=["127.0.0.1", "::1"])
def secure(request: pytest.FixtureRequest, films: Path, own: Certificate) -> Iterator[str]:
    if request.param == "::1" and not has_ipv6():
        pytest.skip("SKIPPED: this machine has no IPv6 loopback")
    with playing(films, request.param, own.file) as url:
        yield url


async def diagnose(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "diagnose", *arguments),
        *("--username", ACCOUNT, "--password-file", "-", "--timeout", "60", "--json"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(f"{PASSWORD}\n".encode())
    assert err == b""
    assert PASSWORD.encode() not in out
    assert process.returncode is not None
    return process.returncode, json.loads(out)


async def test_a_camera_on_ipv6(films: Path) -> None:
    if not has_ipv6():
        pytest.skip("SKIPPED: this machine has no IPv6 loopback")
    with playing(films, "::1") as url:
        code, found = await diagnose(url)
    (one,) = found["files"]
    assert (code, one["file"], one["faults"]) == (0, url, []), found


async def test_a_camera_that_encrypts(secure: str) -> None:
    code, found = await diagnose(secure)
    (one,) = found["files"]
    assert (code, one["file"], one["faults"]) == (0, secure, []), found


async def test_one_that_encrypts_is_not_met_in_the_clear_and_the_reason_is_said(secure: str) -> None:
    code, found = await diagnose(secure.replace("rtsps:", "rtsp:"))
    (one,) = found["files"]
    assert (code, found["failed"]) == (1, 1), found
    assert one["error"], one


def asked(url: str, policy: TlsPolicy) -> ProbeRequest:
    return ProbeRequest(url=url, credentials=Credentials(ACCOUNT, Secret(PASSWORD)), tls=policy, timeout_s=60)


async def test_a_certificate_that_signs_itself_is_refused_where_it_must_be_verified(secure: str) -> None:
    result = await probe(asked(secure, TlsPolicy(authorities=SYSTEM)))
    assert result.failure is not None
    found = (result.rung, result.failure.phase, result.failure.kind)
    assert found == (Rung.REACHABLE, Phase.TLS, FailureKind.CERTIFICATE)
    assert "self-signed certificate" in result.failure.message


async def test_it_is_trusted_where_it_is_named(secure: str, own: Certificate) -> None:
    for policy in (
        TlsPolicy(),
        TlsPolicy(authorities=read_authorities(own.file)),
        TlsPolicy(fingerprints=(own.fingerprint,)),
    ):
        result = await probe(asked(secure, policy))
        assert result.ok, (policy, result.failure)
        assert any(own.fingerprint in line for line in result.transcript), "recorded as evidence"


async def test_another_one_than_was_pinned_is_refused_and_shown(secure: str, own: Certificate) -> None:
    result = await probe(asked(secure, TlsPolicy(fingerprints=("00" * 32,))))
    assert result.failure is not None
    assert (result.failure.phase, result.failure.kind) == (Phase.TLS, FailureKind.CERTIFICATE)
    assert own.fingerprint in result.failure.message


async def test_pictures_are_diagnosed_if_the_certificate_is_the_one_that_is_named(
    secure: str, own: Certificate
) -> None:
    code, found = await diagnose(secure, "--tls-fingerprint", own.fingerprint.upper())
    assert (code, found["failed"]) == (0, 0), found
    code, found = await diagnose(secure, "--tls-fingerprint", "00" * 32)
    assert (code, found["failed"]) == (1, 1), found
    assert found["files"][0]["error"]["kind"] == "certificate"
