"""Decode processes: their answers are those of threads, and no picture takes more with it than itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import Keyframe, PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health import decoders as room
from sharpeyes.health.decoders import Processes, Said, Threads
from sharpeyes.health.examine import PictureExaminer
from sharpeyes.health.examiner import Answer

AT = Ms(1_790_000_000_000)


def keyframe(shade: int = 120) -> Keyframe:
    image = np.random.default_rng(1).integers(0, shade, (360, 640, 3), np.uint8)
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 640, 360, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
    data = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    return Keyframe(codec="h264", data=data, rtp_time=0)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    begun = Processes(1)
    try:
        yield begun
    finally:
        await begun.stop()


def children(parent: int | None = None) -> list[int]:
    """The decode processes that a process has, dead ones not included."""
    parent = os.getpid() if parent is None else parent
    while True:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one ended meanwhile: read again
            tasks = Path(f"/proc/{parent}/task").iterdir()
            named = [child for task in tasks for child in (task / "children").read_text().split()]
            return [int(each) for each in named if b".health.decoder" in _command(each)]


def _command(process: str) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


async def gone(process: int) -> None:
    async with asyncio.timeout(60):
        while Path(f"/proc/{process}").exists():
            await asyncio.sleep(0.02)


async def test_the_answers_are_those_of_threads(processes: Processes) -> None:
    threads = Threads(PictureExaminer())
    for shade in (1, 120):
        here, _ = await threads.turn("meet", keyframe(shade), AT, {})
        there, spent = await processes.turn("meet", keyframe(shade), AT, {})
        assert spent > 0
        assert (there.decoded, there.checked.mode) == (True, here.checked.mode)
        assert there.checked.findings == here.checked.findings
        assert (there.picture is None) == (here.picture is None) == (not here.checked.findings)
    assert here.trace is None or np.array_equal(here.trace, there.trace)
    again, _ = await processes.turn("see_again", keyframe(), AT, PictureExaminer().trace(_picture()))
    assert (again.decoded, again.moves) == (True, False)
    assert np.array_equal(again.picture.y, _picture().y)
    junk = Keyframe(codec="h264", data=b"\0\0\0\1\x65" + bytes(300), rtp_time=0)
    answer, _ = await processes.turn("glance", junk, AT, None, None)
    assert not answer.decoded
    assert processes.cpu_s > 0
    assert processes.most_bytes > 10_000_000
    await threads.stop()


def _picture():  # type: ignore[no-untyped-def]
    return PictureExaminer().open(keyframe(), AT, None).picture


async def test_what_is_no_reference_is_said_and_a_fault_of_a_turn_is_no_end(processes: Processes) -> None:
    with pytest.raises(ValueError, match="not a camera reference"):
        await processes.turn("load", b"junk")
    with pytest.raises(UnavailableError, match="TypeError"):
        await processes.turn("glance", "too", "few")
    (process,) = children()
    answer, _ = await processes.turn("glance", keyframe(), AT, None, None)
    assert answer.decoded
    assert children() == [process]


async def test_a_process_that_dies_takes_one_picture_with_it(processes: Processes) -> None:
    await processes.start()
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    turns = [asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None)) for _ in range(4)]
    await asyncio.sleep(0)
    os.kill(process, signal.SIGKILL)
    async with asyncio.timeout(60):
        ended = await asyncio.gather(*turns, return_exceptions=True)
    assert isinstance(ended[0], UnavailableError)
    assert [answer.decoded for answer, _ in ended[1:]] == [True] * 3  # type: ignore[misc]
    assert children() != [process]


async def test_a_process_that_hangs_is_killed(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await processes.start()
    monkeypatch.setattr(room, "PATIENCE_S", 0.2)
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(60):
            await processes.turn("glance", keyframe(), AT, None, None)
    monkeypatch.undo()
    await gone(process)
    assert "it is killed" in caplog.text
    answer, _ = await processes.turn("glance", keyframe(), AT, None, None)
    assert answer.decoded


async def test_who_waits_no_more_is_passed_over(processes: Processes) -> None:
    await processes.start()
    turns = [asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None)) for _ in range(6)]
    await asyncio.sleep(0)
    for turn in turns[1:5]:
        turn.cancel()
    ended = await asyncio.gather(*turns, return_exceptions=True)
    assert [isinstance(each, tuple) for each in ended] == [True, False, False, False, False, True]


async def test_the_end_waits_for_what_is_under_way_and_leaves_nothing() -> None:
    processes = Processes(2)
    await processes.start()
    begun = children()
    assert len(begun) == 2
    turn = asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None))
    await asyncio.sleep(0)
    await processes.stop()
    answer, _ = await turn
    assert answer.decoded
    assert children() == []
    with pytest.raises(UnavailableError, match="the monitor stops"):
        await processes.turn("glance", keyframe(), AT, None, None)
    await processes.stop()


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.1, 0.3])
async def test_the_end_comes_while_they_begin(after_s: float) -> None:
    processes = Processes(2)
    turn = asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None))
    await asyncio.sleep(after_s)
    await processes.stop()
    with contextlib.suppress(UnavailableError):
        await turn
    assert children() == []


async def test_the_end_does_not_wait_for_who_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(1)
    await processes.start()
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    turn = asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None))
    await asyncio.sleep(0)
    monkeypatch.setattr(room, "STOP_S", 0.1)
    async with asyncio.timeout(60):
        await processes.stop()
        with pytest.raises(UnavailableError):
            await turn
    assert children() == []


async def test_no_process_can_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(1)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr(room, "_AGAIN_S", (0.01, 0.02))
    with pytest.raises(UnavailableError, match="no decode process can be begun"):
        await processes.turn("glance", keyframe(), AT, None, None)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UnavailableError, match="ended while it began"):
        await processes.turn("glance", keyframe(), AT, None, None)
    monkeypatch.undo()
    answer, _ = await processes.turn("glance", keyframe(), AT, None, None)
    assert answer.decoded
    await processes.stop()


MONITOR = """
import asyncio, sys
from sharpeyes.health.decoders import Processes
async def main():
    await Processes(1).start()
    print("begun", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_process_ends_with_its_monitor_however_that_ends_and_knows_none_of_its_secrets() -> None:
    monitor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        MONITOR,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"SHARPEYES_KEY": "of-great-value"},
    )
    try:
        assert monitor.stdout is not None
        assert await monitor.stdout.readline() == b"begun\n"
        (process,) = children(monitor.pid)
        assert b"of-great-value" not in Path(f"/proc/{process}/environ").read_bytes()
        assert len(list(Path(f"/proc/{process}/fd").iterdir())) <= 5
    finally:
        monitor.kill()
        await monitor.wait()
    await gone(process)


class Taken:
    """What a decoder says that a picture has taken over."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("kill -9 $PPID",)


@pytest.mark.parametrize(
    "said",
    [
        pickle.dumps(Said("done", Taken(), 0.0, 0.0, 0)),
        pickle.dumps(Answer(decoded=True)),
        b"junk",
        None,
    ],
    ids=["calls", "no answer", "no pickle", "endless"],
)
async def test_what_a_decoder_says_is_not_done(
    processes: Processes, said: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    await processes.start()
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    turn = asyncio.create_task(processes.turn("glance", keyframe(), AT, None, None))
    await asyncio.sleep(0)
    message = b"\xff\xff\xff\xff" if said is None else room.LENGTH.pack(len(said)) + said
    processes._workers[0].data_received(message)
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(60):
            await turn
    await gone(process)
    assert "no answer" in caplog.text
    answer, _ = await processes.turn("glance", keyframe(), AT, None, None)
    assert answer.decoded


async def test_all_that_is_learnt_and_found_can_be_said(processes: Processes) -> None:
    examiner = PictureExaminer()
    samples = [keyframe(shade) for shade in (118, 120, 122)]
    learnt, _ = await processes.turn("learn", samples, "day", AT)
    reference, _ = await processes.turn("load", learnt)
    assert np.array_equal(reference.field, examiner.load(learnt).field)
    answer, _ = await processes.turn("compare", _picture(), keyframe(), AT, {"day": reference}, ())
    assert PictureFault.FROZEN in {finding.kind for finding in answer.checked.findings}
    assert answer.checked.still[:2] == b"\xff\xd8"
    assert answer.checked.stood
    well, _ = await processes.turn(
        "compare", _picture(), samples[0], AT, {"day": reference}, answer.checked.stood
    )
    kept = well.checked.normal
    if kept is not None:
        again, _ = await processes.turn("glance", samples[2], AT, kept, well.checked.mode)
        assert again.decoded
