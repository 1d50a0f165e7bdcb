"""The prober and the enrolment against virtual cameras: each fault is seen for what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sharpeyes.domain.camera import Codec, StreamRole, Transport
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import FailureKind, Phase, ProbeResult, Rung
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet, Scheme
from sharpeyes.simulator.simulator import Simulator

ACCOUNT = Credentials("admin", Secret("secret"))
PLACE = Addressing(network="127.9.9.1", rtsp_port=0, onvif_port=0, discovery_port=None)


def plan(
    name: str, codec: Codec = Codec.H264, scheme: Scheme = Scheme.MD5, *, qop: bool = True
) -> DevicePlan:
    spec = ClipSpec(codec=codec, width=320, height=180, gop=10, gops=2, kbps=300)
    channels = (ChannelPlan(id=name, streams=((StreamRole.MAIN, spec),)),)
    return DevicePlan(id=name, channels=channels, credentials=ACCOUNT, scheme=scheme, qop=qop)


FLEET = Fleet(
    devices=(
        plan("cam"),
        plan("h265", Codec.H265),
        plan("sha256", scheme=Scheme.SHA256),
        plan("old", qop=False),
        plan("basic", scheme=Scheme.BASIC),
    )
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
async def simulator(clips: Path) -> AsyncIterator[Simulator]:
    async with Simulator(FLEET, addressing=PLACE, cache=clips) as running:
        yield running


async def look(simulator: Simulator, camera: str, **given: object) -> ProbeResult:
    options = {"credentials": ACCOUNT, "transport": Transport.TCP, "timeout_s": 1.0, **given}
    return await probe(ProbeRequest(url=simulator.endpoints[camera].url, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("camera", [each.id for each in FLEET.devices])
async def test_healthy_cameras(simulator: Simulator, camera: str, transport: Transport) -> None:
    result = await look(
        simulator, camera, transport=transport, allow_basic=True, observe_s=0.5, timeout_s=5.0
    )
    assert result.failure is None, result.transcript
    assert result.rung is Rung.KEYFRAME
    assert (result.codec, result.width, result.height) == ("h265" if camera == "h265" else "h264", 320, 180)
    assert result.fps == pytest.approx(25, abs=1)
    assert result.lost == 0


@pytest.mark.parametrize(
    ("fault", "kind", "phase"),
    [
        ("off", FailureKind.REFUSED, Phase.CONNECT),
        ("refuse", FailureKind.REFUSED, Phase.CONNECT),
        ({"kind": "hang", "phase": "connect"}, FailureKind.TIMEOUT, Phase.CONNECT),
        ({"kind": "hang", "phase": "describe"}, FailureKind.TIMEOUT, Phase.DESCRIBE),
        ({"kind": "hang", "phase": "setup"}, FailureKind.TIMEOUT, Phase.SETUP),
        ({"kind": "hang", "phase": "play"}, FailureKind.TIMEOUT, Phase.PLAY),
        ("auth", FailureKind.AUTH_FAILED, Phase.DESCRIBE),
        ("not_found", FailureKind.NOT_FOUND, Phase.DESCRIBE),
        ("busy", FailureKind.BUSY, Phase.SETUP),
        ("no_rtp", FailureKind.NO_MEDIA, Phase.MEDIA),
        ("no_keyframe", FailureKind.NO_KEYFRAME, Phase.KEYFRAME),
        ({"kind": "loss", "percent": 60}, FailureKind.NO_KEYFRAME, Phase.KEYFRAME),
        ({"kind": "slow", "bytes_per_s": 500}, FailureKind.NO_KEYFRAME, Phase.KEYFRAME),
        ("reset", FailureKind.CLOSED, Phase.KEYFRAME),
    ],
)
async def test_faults(simulator: Simulator, fault: object, kind: FailureKind, phase: Phase) -> None:
    await simulator.set_fault("cam", Fault.parse(fault))
    result = await look(simulator, "cam")
    assert result.failure is not None
    assert (result.failure.kind, result.failure.phase) == (kind, phase), result.transcript
    await simulator.clear_fault("cam")
    assert (await look(simulator, "cam")).ok


async def test_garbage_is_malformed_or_unanswered(simulator: Simulator) -> None:
    await simulator.set_fault("cam", Fault.parse("garbage"))
    result = await look(simulator, "cam")
    assert result.failure is not None
    assert result.failure.kind in (FailureKind.MALFORMED, FailureKind.TIMEOUT)
    assert result.failure.phase is Phase.DESCRIBE
