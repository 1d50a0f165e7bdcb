"""Faults on command: each value checked, each effect seen by a client."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from virtual_client import Viewer, device, is_keyframe_packet, last_picture, lost, playing, rtp_time

from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase
from sharpeyes.simulator.simulator import Simulator


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("boom", "kind of the fault is 'boom'"),
        (7, "fault is no mapping"),
        ({}, "kind of the fault is None"),
        ({"kind": []}, "kind of the fault"),
        ({"kind": "hang", "phase": "lunch"}, "phase of the fault is 'lunch'"),
        ({"kind": "off", "phase": "setup"}, "fault off has no phase"),
        ({"kind": "garbage", "phase": "setup"}, "garbage cannot have phase setup"),
        ({"kind": "black", "percent": 3}, "fault black has no percent"),
        ({"kind": "loss", "percent": 300}, "percent of fault loss is 300"),
        ({"kind": "loss", "percent": "much"}, "percent of the fault is 'much'"),
        ({"kind": "loss", "percent": True}, "percent of the fault is True"),
        ({"kind": "slow", "bytes_per_s": float("nan")}, "bytes_per_s of fault slow is nan"),
        ({"kind": "slow", "speed": 1}, "unknown field 'speed'"),
    ],
)
def test_a_wrong_fault_says_what_is_wrong(given: object, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as caught:
        Fault.parse(given)
    assert caught.value.mend


@pytest.mark.parametrize(
    "given",
    [
        "off",
        {"kind": "hang"},
        {"kind": "loss", "percent": 12.5},
        {"kind": "clock", "seconds": -60},
        "occluded",
    ],
)
def test_documents_read_back(given: object) -> None:
    fault = Fault.parse(given)
    assert Fault.parse(fault.document()) == fault


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


async def connects(address: str, port: int, seconds: float = 1.0) -> str:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "nothing"
    writer.transport.abort()
    await asyncio.sleep(0)
    return "yes"


async def reach(simulator: Simulator) -> tuple[str, str]:
    endpoint = simulator.endpoints["cam"]
    return (
        await connects(endpoint.address, port_of(endpoint.url)),
        await connects(endpoint.address, port_of(endpoint.xaddr)),
    )


async def test_off_refuse_and_hang_at_connect_and_back(cache: Path) -> None:
    async with playing(cache) as simulator:
        for fault, seen in (
            (Fault(kind=FaultKind.OFF), ("refused", "refused")),
            (Fault(kind=FaultKind.REFUSE), ("refused", "yes")),
            (Fault(kind=FaultKind.HANG, phase=FaultPhase.CONNECT), ("nothing", "yes")),
            (Fault(kind=FaultKind.OFF), ("refused", "refused")),
        ):
            await simulator.set_fault("cam", fault)
            assert await reach(simulator) == seen, fault
            await simulator.clear_fault("cam")
            assert await reach(simulator) == ("yes", "yes")


async def test_off_breaks_running_sessions(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await viewer.play()
        await simulator.set_fault("cam", Fault(kind=FaultKind.OFF))
        await asyncio.wait_for(viewer.closed.wait(), 5)
        assert simulator.playing == 0


@pytest.mark.parametrize("phase", [FaultPhase.DESCRIBE, FaultPhase.SETUP, FaultPhase.PLAY])
async def test_hangs_at_that_phase_and_not_before(cache: Path, phase: FaultPhase) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.HANG, phase=phase))
        if phase is not FaultPhase.DESCRIBE:
            assert (await viewer.ask("DESCRIBE")).status == 200
            if phase is not FaultPhase.SETUP:
                assert (await viewer.set_up()).status == 200
        viewer.send(phase.name, Transport="RTP/AVP/TCP;interleaved=0-1")
        with pytest.raises(TimeoutError):
            await viewer.response(0.3)
        assert not viewer.closed.is_set()


async def test_hang_in_the_media_leaves_all_without_an_answer(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.HANG, phase=FaultPhase.MEDIA))
        await viewer.play()
        await viewer.media(1)
        await asyncio.sleep(0.2)
        count = len(viewer.rtp)
        await asyncio.sleep(0.3)
        assert len(viewer.rtp) == count
        viewer.send("GET_PARAMETER")
        with pytest.raises(TimeoutError):
            await viewer.response(0.3)
        await simulator.clear_fault("cam")
        await viewer.media(count + 5)
        assert lost(viewer.rtp) == 0


@pytest.mark.parametrize(
    ("kind", "method", "status"),
    [
        (FaultKind.AUTH, "DESCRIBE", 401),
        (FaultKind.NOT_FOUND, "DESCRIBE", 404),
        (FaultKind.BUSY, "SETUP", 453),
    ],
)
async def test_refusals(cache: Path, kind: FaultKind, method: str, status: int) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=kind))
        response = await (viewer.set_up() if method == "SETUP" else viewer.ask(method))
        assert response.status == status


async def test_no_rtp_answers_keep_alives_and_sends_nothing(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.NO_RTP))
        assert (await viewer.play()).status == 200
        await asyncio.sleep(0.3)
        assert (await viewer.ask("GET_PARAMETER")).status == 200
        assert not viewer.rtp


async def test_no_keyframe_sends_all_but_keyframes_without_a_gap(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.NO_KEYFRAME))
        await viewer.play()
        media = await viewer.frames(22)  # over two keyframes of the loop
        assert not any(is_keyframe_packet(each) for each in media)
        assert lost(media) == 0


async def test_loss_is_what_was_asked_for(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.LOSS, percent=30))
        await viewer.play()
        media = await viewer.media(60)
        share = lost(media) / (lost(media) + len(media))
        assert 0.1 < share < 0.55


async def test_slow_drips_whole_messages(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.SLOW, bytes_per_s=3000))
        await viewer.play()
        await asyncio.sleep(0.2)
        before = len(viewer.raw)
        viewer.send("GET_PARAMETER")
        await asyncio.sleep(1)
        assert 1500 < len(viewer.raw) - before < 4500
        await simulator.clear_fault("cam")
        assert (await viewer.response()).status == 200, "the answer waited behind the packet"
        await viewer.media(30)


async def test_slow_slows_a_running_session_at_once(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await viewer.play()
        await viewer.frames(10)
        await simulator.set_fault("cam", Fault(kind=FaultKind.SLOW, bytes_per_s=1000))
        before = len(viewer.raw)
        await asyncio.sleep(0.6)
        assert len(viewer.raw) - before < 1500


async def test_an_open_camera_under_auth_asks_and_never_admits(cache: Path) -> None:
    async with playing(cache, device(credentials=None)) as simulator:
        await simulator.set_fault("cam", Fault(kind=FaultKind.AUTH))
        async with Viewer(simulator.endpoints["cam"].url) as viewer:
            assert (await viewer.ask("DESCRIBE")).status == 401
            assert viewer.challenge.startswith("Digest")


async def test_changes_at_the_same_time_follow_one_another(cache: Path) -> None:
    async with playing(cache) as simulator:
        kinds = (FaultKind.OFF, FaultKind.BUSY, FaultKind.REFUSE, FaultKind.NO_RTP) * 5
        await asyncio.gather(*(simulator.set_fault("cam", Fault(kind=kind)) for kind in kinds))
        await simulator.clear_fault("cam")
        assert await reach(simulator) == ("yes", "yes")


async def test_corrupt_keeps_the_packets_and_spoils_what_is_in_them(cache: Path) -> None:
    async with playing(cache) as simulator:
        url = simulator.endpoints["cam"].url
        async with Viewer(url) as well:
            await well.play()
            good = {each.payload[12:] for each in await well.frames(20)}
        await simulator.set_fault("cam", Fault(kind=FaultKind.CORRUPT))
        async with Viewer(url) as ill:
            await ill.play()
            media = await ill.frames(22)
        assert lost(media) == 0
        assert len({each.payload[12:] for each in media} - good) > 1


async def test_reset_comes_in_the_middle_of_the_first_picture(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.RESET))
        await viewer.play()
        await asyncio.wait_for(viewer.closed.wait(), 5)
        assert viewer.reset
        assert viewer.packets
        assert not any(each.payload[1] & 0x80 for each in viewer.rtp)


async def test_garbage_is_no_rtsp(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await simulator.set_fault("cam", Fault(kind=FaultKind.GARBAGE))
        viewer.send("DESCRIBE")
        await asyncio.sleep(0.3)
        assert len(viewer.raw) == 512
        assert b"RTSP/" not in viewer.raw


async def test_a_picture_fault_enters_and_leaves_a_running_stream_without_a_gap(cache: Path) -> None:
    async with playing(cache) as simulator, Viewer(simulator.endpoints["cam"].url) as viewer:
        await viewer.play()
        assert last_picture(await viewer.frames(15)).to_ndarray(format="gray").mean() > 50
        await simulator.set_fault("cam", Fault(kind=FaultKind.BLACK))
        await asyncio.sleep(0.6)  # longer than a group of pictures
        assert last_picture(viewer.rtp).to_ndarray(format="gray").mean() < 30
        await simulator.clear_fault("cam")
        await asyncio.sleep(0.6)
        media = viewer.rtp
        assert last_picture(media).to_ndarray(format="gray").mean() > 50
        assert lost(media) == 0
        steps = [(rtp_time(b) - rtp_time(a)) % 2**32 for a, b in pairwise(media)]
        assert set(steps) <= {0, 3600}


async def test_faults_can_be_there_from_the_start(cache: Path) -> None:
    plan = device(fault=Fault(kind=FaultKind.OFF))
    async with playing(cache, plan) as simulator:
        assert simulator.fault("cam") == plan.fault
        assert await reach(simulator) == ("refused", "refused")


async def test_a_channel_of_a_recorder_fails_alone(cache: Path) -> None:
    async with playing(cache, device("nvr", channels=2)) as simulator:
        await simulator.set_fault("nvr-2", Fault(kind=FaultKind.NOT_FOUND))
        async with Viewer(simulator.endpoints["nvr-1"].url) as viewer:
            assert (await viewer.play()).status == 200
        async with Viewer(simulator.endpoints["nvr-2"].url) as viewer:
            assert (await viewer.ask("DESCRIBE")).status == 404
        with pytest.raises(InvalidInputError, match="cannot have the fault off alone") as caught:
            await simulator.set_fault("nvr-1", Fault(kind=FaultKind.OFF))
        assert "Set it on the device nvr" in caught.value.mend
        await simulator.set_fault("nvr", Fault(kind=FaultKind.AUTH))
        async with Viewer(simulator.endpoints["nvr-1"].url) as viewer:
            assert (await viewer.ask("DESCRIBE")).status == 401
        await simulator.clear_fault("nvr")
        assert simulator.fault("nvr-2") is None


async def test_nobody_is_told_so(cache: Path) -> None:
    async with playing(cache) as simulator:
        with pytest.raises(NotFoundError, match="no camera 'x'"):
            await simulator.set_fault("x", Fault(kind=FaultKind.OFF))
