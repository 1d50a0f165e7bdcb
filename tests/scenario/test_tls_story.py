"""Cameras that encrypt, in a whole service: what checks refuse is not shown to viewers either."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection

from api_client import Client, client_of
from certificates import Certificate, certificate
from rtp_media import encode
from scripted_camera import ScriptedCamera
from sharpeyes.discovery.scope import Wanted
from sharpeyes.domain.camera import Camera, Device, Identity, Stream, StreamRole
from sharpeyes.domain.discovery import FoundStatus, How
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import FailureKind, Phase, ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.gateway.channel import PullState
from sharpeyes.gateway.settings import GatewaySettings
from sharpeyes.gateway.source import registered
from sharpeyes.gateway.upstream import Source, Upstream
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.devices import put_devices
from sharpeyes.store.discovery import Found, put_found
from sharpeyes.store.vault import Vault
from soap_device import Device as Soap

NOW = Ms(1_790_000_000_000)

CITY = """\
zones: {{sector: {{name: Sector}}}}
departments: {{edu: {{name: Education}}}}
areas: {{north: {{name: North}}}}
credentials: {{viewer: {{username: admin, password_file: password.txt, allow_basic: true}}}}
cameras:
{cameras}
networks:
  - {{cidr: 127.0.1.0/24, tier: departmental, department: edu, area: north, zone: sector,
     methods: [unicast], tls: {{ca_file: city.pem}}}}
"""
CAMERA = """\
  - {{id: {id}, name: {id}, tier: departmental, department: edu, area: north, zone: sector,
     credential: viewer, liveness_s: 1, main: "{url}"{tls}}}
"""
TRUSTED = ("bare", "issued", "pinned", "any")
REFUSED = ("self-signed", "changed")


def playing(shown: Certificate, host: str) -> ScriptedCamera:
    clip = encode("h264", frames=5)
    return ScriptedCamera(
        clip.sdp(), clip.packets(), challenges=['Basic realm="c"'], host=host, tls=shown.context
    )


async def looked_at(client: Client, name: str) -> ProbeResult:
    async with asyncio.timeout(60):
        while (entry := client.service.board.get(name)) is None or entry.probe is None:
            await asyncio.sleep(0.02)
    return entry.probe


async def test_what_cameras_yaml_says_holds_for_checks_and_viewers(tmp_path: Path) -> None:
    own, city = certificate(tmp_path), certificate(tmp_path, "city", hosts=[])
    issued = certificate(tmp_path, "issued", hosts=["127.0.1.1"], signed_by=city)
    pinned, wrong = (f"{{fingerprints: ['{each}']}}" for each in (own.fingerprint.upper(), "00" * 32))
    cameras = {
        "bare": (playing(own, "127.0.0.1"), None),
        "issued": (playing(issued, "127.0.1.1"), None),
        "pinned": (playing(own, "127.0.1.2"), pinned),
        "any": (playing(own, "127.0.1.3"), "any"),
        "self-signed": (playing(own, "127.0.1.4"), None),
        "changed": (playing(own, "127.0.0.5"), wrong),
    }
    (tmp_path / "password.txt").write_text("s3cret\n")
    (tmp_path / "password.txt").chmod(0o600)
    async with AsyncExitStack() as stack:
        for camera, _ in cameras.values():
            await stack.enter_async_context(camera)
        declared = "".join(
            CAMERA.format(id=name, url=camera.url, tls=f", tls: {tls}" if tls else "")
            for name, (camera, tls) in cameras.items()
        )
        (tmp_path / "cameras.yaml").write_text(CITY.format(cameras=declared))
        client = await stack.enter_async_context(client_of(tmp_path))

        for name in TRUSTED:
            assert (await looked_at(client, name)).ok, name
        for name in REFUSED:
            failure = (await looked_at(client, name)).failure
            assert failure is not None
            assert (failure.phase, failure.kind) == (Phase.TLS, FailureKind.CERTIFICATE)
            assert own.fingerprint in failure.message, "whoever knows it to be right can pin it"
        async with asyncio.timeout(60):
            while (entry := client.service.board.get("changed")) is None or (
                entry.standing.state is not State.OFFLINE
            ):
                await asyncio.sleep(0.05)
        assert entry.standing.cause == "certificate"
        shown = (await client.get("/api/v1/cameras/changed")).json()["last_probe"]
        assert (shown["rung"], shown["error"]["kind"]) == (Rung.REACHABLE.label, "certificate")

        stranger = await stack.enter_async_context(playing(own, "127.0.1.9"))
        answer = await client.get("/probe", params={"target": stranger.url})
        assert 'kind="certificate"' in answer.text
        assert stranger.requests == []

        service = client.service
        sources = registered(service.database, Vault.at(service.settings.key_file), service.config.trust)
        for name in REFUSED:
            source = await sources(name, None)
            assert source.credentials is not None
            await refused_to_viewers(source)
            assert cameras[name][0].requests == [], "it never heard a word, least of all the password"
        assert (await sources("bare", None)).tls == TlsPolicy()


async def test_and_for_what_is_said_over_onvif(tmp_path: Path) -> None:
    own, city = certificate(tmp_path), certificate(tmp_path, "city", hosts=[])
    issued = certificate(tmp_path, "issued", hosts=["127.0.1.1"], signed_by=city)
    (tmp_path / "password.txt").write_text("s3cret\n")
    (tmp_path / "cameras.yaml").write_text(CITY.format(cameras="  []\n"))
    trusted, stranger = Soap(host="127.0.1.1"), Soap(host="127.0.1.2")
    async with (
        trusted.serving(issued.context),
        stranger.serving(own.context),
        client_of(tmp_path) as client,
        asyncio.timeout(120),
    ):
        service = client.service

        def register(connection: Connection) -> None:
            """As if both had been found while nothing was declared, and pinned."""
            for name, device, shown in (("trusted", trusted, issued), ("stranger", stranger, own)):
                identity = Identity(address=f"{device.host}:{device.port}")
                row = Device(id=name, identity=identity, xaddr=device.xaddr, fingerprint=shown.fingerprint)
                put_devices(connection, [row], now=NOW)
                put_cameras(connection, [camera_in(row)], now=NOW)
                found = Found(
                    id=name, identity=identity, xaddr=device.xaddr, status=FoundStatus.NEW, how=How.NAMED,
                    first=NOW, last=NOW,
                )  # fmt: skip
                put_found(connection, [found])

        await service.database.awrite(register)
        await service.reload()
        while (clock := service.devices.clocks.of("trusted")) is None or clock.reading is None:
            await asyncio.sleep(0.02)
        while (clock := service.devices.clocks.of("stranger")) is None or own.fingerprint not in clock.why:
            await asyncio.sleep(0.02)

        await service.enrolment.searched.wait()
        await service.enrolment.begin(Wanted(devices=("trusted", "stranger")), by="test")
        while service.enrolment.running:
            await asyncio.sleep(0.02)
        run = service.enrolment.last
        assert run is not None
        assert [(one.where, one.kind) for one in run.errors] == [
            (f"127.0.1.2:{stranger.port}", "certificate")
        ]
        assert "GetDeviceInformation" in trusted.operations()
        assert stranger.requests == [], "not even asked for the time"


def camera_in(device: Device) -> Camera:
    return Camera(
        id=f"at-{device.id}",
        name=device.id,
        tier=Tier.DEPARTMENTAL,
        department="edu",
        area="north",
        zone="sector",
        streams=(Stream(role=StreamRole.MAIN, url="rtsp://127.0.0.1:1/a"),),
        device=device.id,
    )


async def refused_to_viewers(source: Source) -> None:
    pull = Upstream(source, GatewaySettings(), left=lambda _: None, codec_changed=lambda _: None)
    try:
        with pytest.raises(UnavailableError, match="a certificate that is not trusted"):
            await pull.ready(60)
        assert pull.state is PullState.LOST
    finally:
        await pull.close()
