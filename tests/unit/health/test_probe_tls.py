"""RTSPS: whom a probe believes that it is the camera, and what is said of whoever else answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from certificates import Certificate, certificate
from rtp_media import encode
from scripted_camera import ScriptedCamera
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Blame, FailureKind, Phase, ProbeResult, Rung
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.net.tls import SYSTEM, TlsPolicy, read_authorities

ACCOUNT = Credentials("admin", Secret("s3cret"), allow_basic=True)


@dataclass(frozen=True)
class Papers:
    """The camera's own, an authority's and one signed by that, for another host."""

    own: Certificate
    city: Certificate
    issued: Certificate

    @property
    def of_city(self) -> str:
        return read_authorities(self.city.file)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("tls")
    city = certificate(folder, "city", hosts=[])
    return Papers(
        certificate(folder), city, certificate(folder, "issued", hosts=["camera.example"], signed_by=city)
    )


def camera_with(shown: Certificate) -> ScriptedCamera:
    clip = encode("h264", frames=2)
    return ScriptedCamera(clip.sdp(), clip.packets(), challenges=['Basic realm="camera"'], tls=shown.context)


@pytest.fixture
def camera(papers: Papers) -> ScriptedCamera:
    return camera_with(papers.own)


def asked(camera: ScriptedCamera, policy: TlsPolicy = TlsPolicy(), follow: int = 0) -> ProbeRequest:  # noqa: B008
    return ProbeRequest(url=camera.url, credentials=ACCOUNT, tls=policy, follow=follow)


async def test_any_certificate_will_do_and_is_recorded(camera: ScriptedCamera, papers: Papers) -> None:
    async with camera:
        result = await probe(asked(camera))
    assert result.ok, result.failure
    assert any(papers.own.fingerprint in line for line in result.transcript)


async def test_pictures_behind_the_keyframe_come_encrypted_too(camera: ScriptedCamera) -> None:
    async with camera, asyncio.timeout(60):  # what comes late, on a loaded machine, is not waited for
        while True:
            result = await probe(asked(camera, follow=8))
            assert result.ok, result.failure
            assert result.keyframe is not None
            if result.keyframe.following:
                break
    assert len(result.keyframe.following) == 1, "there are two pictures"


async def test_named_by_an_authority_or_itself(camera: ScriptedCamera, papers: Papers) -> None:
    async with camera:
        for policy in (
            TlsPolicy(authorities=read_authorities(papers.own.file)),
            TlsPolicy(fingerprints=("00" * 32, papers.own.fingerprint)),
        ):
            assert (await probe(asked(camera, policy))).ok, policy


async def refused(camera: ScriptedCamera, policy: TlsPolicy) -> str:
    """The message. Nothing was said to the camera, and nobody takes it for one that is not there."""
    async with camera:
        result = await probe(asked(camera, policy))
        assert camera.requests == []
    assert result.failure is not None
    assert result.rung is Rung.REACHABLE
    assert (result.failure.phase, result.failure.kind) == (Phase.TLS, FailureKind.CERTIFICATE)
    assert result.failure.blame is Blame.CAMERA
    return result.failure.message


async def test_what_was_met_and_expected_is_said_of_another_certificate(
    camera: ScriptedCamera, papers: Papers
) -> None:
    message = await refused(camera, TlsPolicy(fingerprints=("0f" * 32,)))
    assert f"met SHA-256 {papers.own.fingerprint}, expected SHA-256 {'0f' * 32}" in message
    message = await refused(camera, TlsPolicy(fingerprints=("0f" * 32, "f0" * 32)))
    assert f"met SHA-256 {papers.own.fingerprint}, expected one of the 2 that are pinned" in message


async def test_and_of_one_that_nobody_vouches_for(camera: ScriptedCamera, papers: Papers) -> None:
    for policy in (TlsPolicy(authorities=SYSTEM), TlsPolicy(authorities=papers.of_city)):
        message = await refused(camera, policy)
        assert "self-signed certificate" in message
        assert f"met SHA-256 {papers.own.fingerprint}, expected one " in message


async def test_an_authority_and_the_name_of_the_host(papers: Papers) -> None:
    message = await refused(camera_with(papers.issued), TlsPolicy(authorities=papers.of_city))
    assert "IP address mismatch" in message
    assert papers.issued.fingerprint in message
    async with camera_with(papers.issued) as camera:
        assert (await probe(asked(camera, TlsPolicy(authorities=papers.of_city, check_host=False)))).ok


async def test_an_authority_may_have_others_above_it(papers: Papers, tmp_path: Path) -> None:
    district = certificate(tmp_path, "district", hosts=[], signed_by=papers.city)
    issued = certificate(tmp_path, hosts=["127.0.0.1"], signed_by=district)
    async with camera_with(issued) as camera:
        named = TlsPolicy(authorities=read_authorities(district.file))
        assert (await probe(asked(camera, named))).ok
    message = await refused(camera_with(issued), TlsPolicy(authorities=papers.of_city))
    assert "unable to get local issuer certificate" in message, "who does not show what is between"


def test_on_uvloop(camera: ScriptedCamera, papers: Papers) -> None:
    async def run(policy: TlsPolicy) -> ProbeResult:
        async with camera:
            return await probe(asked(camera, policy))

    for policy, trusted in (
        (TlsPolicy(), True),
        (TlsPolicy(authorities=read_authorities(papers.own.file)), True),
        (TlsPolicy(fingerprints=(papers.own.fingerprint,)), True),
        (TlsPolicy(authorities=papers.of_city), False),
        (TlsPolicy(fingerprints=("00" * 32,)), False),
    ):
        camera.requests.clear()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(run(policy))
        assert result.ok is trusted, (policy, result.failure)
        if not trusted:
            assert result.failure is not None
            assert result.failure.kind is FailureKind.CERTIFICATE
            assert papers.own.fingerprint in result.failure.message
            assert camera.requests == []


async def test_a_camera_without_tls() -> None:
    clip = encode("h264", frames=2)
    async with ScriptedCamera(clip.sdp(), clip.packets()) as plain:
        url = plain.url.replace("rtsp://", "rtsps://")
        result = await probe(ProbeRequest(url=url, timeout_s=1.0))
    assert result.failure is not None
    assert result.failure.phase is Phase.TLS


async def test_what_answers_tls_with_something_else_is_told_as_it_is() -> None:
    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await probe(ProbeRequest(url=f"rtsps://127.0.0.1:{port}/"))
    assert result.failure is not None
    assert (result.failure.phase, result.failure.kind) == (Phase.TLS, FailureKind.TLS)
    assert "not permitted" not in result.failure.message
    assert "SSL" in result.failure.message
