"""``sharpeyes diagnose`` of a camera on IPv6, and of one that encrypts, made of gst-rtsp-server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "diagnose"))

from made_scene import scene

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import FailureKind, Phase, Rung
from sharpeyes.health.probe import ProbeRequest, TlsPolicy, probe

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
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Signed by itself as cameras do, with its key in one file; and its SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    places = [x509.IPAddress(ipaddress.ip_address(place)) for place in ("127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "camera.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file, made.fingerprint(hashes.SHA256()).hex()


@contextlib.contextmanager
def playing(films: Path, address: str, certificate: Path | None = None) -> Iterator[str]:
    """The stream's URL."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, SERVER, "--check"], check=False).returncode:
        pytest.skip("SKIPPED: gst-rtsp-server is not installed; apt install gir1.2-gst-rtsp-server-1.0")
    command = [PYTHON, SERVER, films, ACCOUNT, PASSWORD, address, *([certificate] if certificate else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip() and certificate is not None:
                pytest.skip("SKIPPED: GLib has no TLS; apt install glib-networking")
            host = f"[{address}]" if ":" in address else address
            yield f"rtsp{'s' if certificate else ''}://{host}:{int(line)}/scene"
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
def secure(request: pytest.FixtureRequest, films: Path, certificate: tuple[Path, str]) -> Iterator[str]:
    if request.param == "::1" and not has_ipv6():
        pytest.skip("SKIPPED: this machine has no IPv6 loopback")
    with playing(films, request.param, certificate[0]) as url:
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
    result = await probe(asked(secure, TlsPolicy(verify=True)))
    assert result.failure is not None
    found = (result.rung, result.failure.phase, result.failure.kind)
    assert found == (Rung.REACHABLE, Phase.TLS, FailureKind.TLS)
    assert "self-signed certificate" in result.failure.message


async def test_it_is_trusted_where_it_is_named(secure: str, certificate: tuple[Path, str]) -> None:
    file, fingerprint = certificate
    for policy in (TlsPolicy(), TlsPolicy(ca_file=str(file)), TlsPolicy(fingerprint=fingerprint)):
        result = await probe(asked(secure, policy))
        assert result.ok, (policy, result.failure)
        assert any(fingerprint in line for line in result.transcript), "recorded as evidence"


async def test_another_one_than_was_pinned_is_refused_and_shown(
    secure: str, certificate: tuple[Path, str]
) -> None:
    result = await probe(asked(secure, TlsPolicy(fingerprint="00" * 32)))
    assert result.failure is not None
    assert (result.failure.phase, result.failure.kind) == (Phase.TLS, FailureKind.TLS)
    assert certificate[1] in result.failure.message
