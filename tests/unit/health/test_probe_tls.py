"""RTSPS: encrypted with whatever certificate the camera has, verified or pinned where that is configured."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rtp_media import encode
from scripted_camera import ScriptedCamera
from sharpeyes.domain.health import FailureKind, Phase, ProbeResult, Rung
from sharpeyes.health.probe import ProbeRequest, TlsPolicy, probe


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A self-signed certificate with its key in one file, and its SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
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


@pytest.fixture
def camera(certificate: tuple[Path, str]) -> ScriptedCamera:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0])
    clip = encode("h264", frames=2)
    return ScriptedCamera(clip.sdp(), clip.packets(), tls=context)


async def test_any_certificate_will_do_and_is_recorded(
    camera: ScriptedCamera, certificate: tuple[Path, str]
) -> None:
    async with camera:
        result = await probe(ProbeRequest(url=camera.url))
    assert result.ok, result.failure
    assert any(certificate[1] in line for line in result.transcript)


async def test_pictures_behind_the_keyframe_come_encrypted_too(camera: ScriptedCamera) -> None:
    async with camera, asyncio.timeout(60):  # what comes late, on a loaded machine, is not waited for
        while True:
            result = await probe(ProbeRequest(url=camera.url, follow=8))
            assert result.ok, result.failure
            assert result.keyframe is not None
            if result.keyframe.following:
                break
    assert len(result.keyframe.following) == 1, "there are two pictures"


async def test_verified_and_pinned(camera: ScriptedCamera, certificate: tuple[Path, str]) -> None:
    file, fingerprint = certificate
    colons = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    async with camera:
        for policy in (TlsPolicy(ca_file=str(file)), TlsPolicy(fingerprint=colons)):
            assert (await probe(ProbeRequest(url=camera.url, tls=policy))).ok


@pytest.mark.parametrize("policy", [TlsPolicy(verify=True), TlsPolicy(fingerprint="00" * 32)])
async def test_what_is_not_trusted_gets_no_request(camera: ScriptedCamera, policy: TlsPolicy) -> None:
    async with camera:
        result = await probe(ProbeRequest(url=camera.url, tls=policy))
        assert result.failure is not None
        assert (result.rung, result.failure.phase, result.failure.kind) == (
            Rung.REACHABLE,
            Phase.TLS,
            FailureKind.TLS,
        )
        assert camera.requests == []


def test_on_uvloop(camera: ScriptedCamera, certificate: tuple[Path, str]) -> None:
    async def run(policy: TlsPolicy) -> ProbeResult:
        async with camera:
            return await probe(ProbeRequest(url=camera.url, tls=policy))

    for policy, kind in (
        (TlsPolicy(), None),
        (TlsPolicy(ca_file=str(certificate[0])), None),
        (TlsPolicy(verify=True), FailureKind.TLS),
        (TlsPolicy(fingerprint="00" * 32), FailureKind.TLS),
    ):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(run(policy))
        assert (result.failure and result.failure.kind) == kind


async def test_authorities_that_cannot_be_read_are_our_fault(camera: ScriptedCamera) -> None:
    async with camera:
        result = await probe(ProbeRequest(url=camera.url, tls=TlsPolicy(ca_file="/nonexistent")))
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INTERNAL


async def test_a_camera_without_tls() -> None:
    clip = encode("h264", frames=2)
    async with ScriptedCamera(clip.sdp(), clip.packets()) as plain:
        result = await probe(ProbeRequest(url=plain.url.replace("rtsp://", "rtsps://"), timeout_s=1.0))
    assert result.failure is not None
    assert result.failure.phase is Phase.TLS
