"""Who does the work of looking at pictures: turns (:mod:`.examiner`) go in, answers come out.

:class:`Processes` has two interpreters beside this one. Checks are hundreds of short calls into OpenCV and
NumPy, and each lets go of the interpreter's lock and wants it back: two threads beside a busy event loop did
hardly more than one, and requests waited for all of them. And a decoder reads what strangers send: it may
crash or hang, and takes nothing with it but the picture that it was at. :class:`Threads` does the same in
this process.

A message is a length (4 bytes, little-endian) and a pickle. Both ends are the same program, yet a decoder
that a stranger's picture has taken over may say anything: of what it says only values are read, of the few
classes that an answer is made of (:data:`SPOKEN`).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import pickle
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.health.examiner import TURNS, Examiner, Turn
from sharpeyes.net.process import bare_environment

log = logging.getLogger(__name__)

STOP_S = 10.0
"""Turns under way hold up the end for so long."""
PATIENCE_S = 60.0
"""A turn takes milliseconds; a process that is at one for so long hangs, and is killed."""
LENGTH = struct.Struct("<I")
LONGEST = 64 * 1024 * 1024
"""Bytes of an answer; the longest there are, references unpacked, have two million."""
SPOKEN = frozenset(
    {
        "numpy.dtype",
        "numpy.ndarray",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
        "sharpeyes.domain.health.PictureFault",
        "sharpeyes.health.decoders.Said",
        "sharpeyes.health.diagnose.picture.DecoderError",
        "sharpeyes.health.diagnose.picture.Picture",
        "sharpeyes.health.diagnose.reference.ModeReference",
        "sharpeyes.health.examine.Kept",
        "sharpeyes.health.examiner.Answer",
        "sharpeyes.health.examiner.Checked",
        "sharpeyes.health.sight.Finding",
    }
)
_AHEAD = 2
"""Turns that a process has in hand: one to be at, one to go on with."""
_AGAIN_S = (1.0, 60.0)
"""A process that cannot be begun is tried again after the first, then twice as long, up to the second."""
_BUFFER = 1 << 20


class Decoders(Protocol):
    """Does turns."""

    async def start(self) -> None:
        """Ready for turns; without it, the first one waits a second longer."""
        ...

    async def turn(self, turn: Turn, *arguments: Any) -> tuple[Any, float]:
        """The answer, and the seconds of CPU that it cost.

        ValueError as by the turn itself; UnavailableError if it could not be done for a reason of our own.
        """
        ...

    async def stop(self) -> None:
        """No more turns; those under way end first, if they do so in :data:`STOP_S`."""
        ...

    @property
    def cpu_s(self) -> float:
        """Of the processes there are or were beside this one."""
        ...

    @property
    def most_bytes(self) -> int:
        """The most memory that processes beside this one had, but for what they share with it: programs."""
        ...


# --- threads --------------------------------------------------------------------------------------------


class Threads:
    """In this process."""

    cpu_s = 0.0
    most_bytes = 0

    def __init__(self, examiner: Examiner, *, threads: int = 2) -> None:
        self._examiner = examiner
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def start(self) -> None:
        pass

    async def turn(self, turn: Turn, *arguments: Any) -> tuple[Any, float]:
        def timed() -> tuple[Any, float]:
            began = time.thread_time()
            return TURNS[turn](self._examiner, *arguments), time.thread_time() - began

        return await asyncio.get_running_loop().run_in_executor(self._executor, timed)

    async def stop(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._drain)

    def _drain(self) -> None:
        end = threading.Thread(target=self._executor.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        end.start()
        end.join(STOP_S)
        if end.is_alive():
            log.error("a picture is still being looked at after %.0f s: not waited for", STOP_S)


# --- processes ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """A turn on its way."""

    turn: Turn
    arguments: tuple[Any, ...]
    answer: asyncio.Future[tuple[Any, float]]


@dataclass(frozen=True, slots=True)
class Said:
    """A process's answer to a turn, and what it is itself. Once before the first one, that it is ready."""

    kind: Literal["ready", "done", "invalid", "failed"]
    value: Any
    turn_s: float
    """CPU of the turn."""
    cpu_s: float
    """CPU of the process since it began."""
    own_bytes: int
    """Memory of the process, but for what it shares: programs."""


class _Reader(pickle.Unpickler):
    """Reads values, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in SPOKEN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")
        return super().find_class(module, name)


class _Worker(asyncio.Protocol):
    """This end of one process."""

    def __init__(self, lost: Callable[[_Worker], None], freed: Callable[[], None]) -> None:
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.hands: deque[_Work] = deque()
        """In the order in which they will be answered."""
        self.process: asyncio.subprocess.Process | None = None
        self.cpu_s = 0.0
        self.most_bytes = 0
        self._lost, self._freed = lost, freed
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_met(self) -> bool:
        """Whether its socket is the event loop's."""
        return self._transport is not None

    def take(self, work: _Work) -> None:
        assert self._transport is not None
        self.hands.append(work)
        message = pickle.dumps((work.turn, work.arguments), pickle.HIGHEST_PROTOCOL)
        self._transport.writelines((LENGTH.pack(len(message)), message))
        if self._timer is None:
            self._watch()

    def close(self) -> None:
        """Its source ends, and so does it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    # -- as the event loop calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream socket

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            for said in self._messages():
                self.cpu_s, self.most_bytes = said.cpu_s, max(self.most_bytes, said.own_bytes)
                if said.kind == "ready":
                    self.ready.set_result(True)
                else:
                    self._answered(said)
        except Exception as error:  # noqa: BLE001 (whatever it is made to say, it is not believed any more)
            log.error("a decode process says what is no answer (%s): it is killed", error)
            self.kill()
            return
        self._freed()

    def _messages(self) -> Iterator[Said]:
        buffer = self._data
        while len(buffer) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(buffer)
            if size > LONGEST:
                raise ValueError(f"{size} bytes")
            end = LENGTH.size + size
            if len(buffer) < end:
                return
            said = _Reader(io.BytesIO(buffer[LENGTH.size : end])).load()
            del buffer[:end]
            if not isinstance(said, Said):
                raise TypeError(type(said).__name__)
            yield said

    def connection_lost(self, _error: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ready.done():
            self.ready.set_result(False)
        self._lost(self)

    def _answered(self, said: Said) -> None:
        answer = self.hands.popleft().answer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.hands:
            self._watch()
        if answer.done():  # nobody waits any more
            return
        if said.kind == "done":
            answer.set_result((said.value, said.turn_s))
        elif said.kind == "invalid":
            answer.set_exception(ValueError(said.value))
        else:
            answer.set_exception(UnavailableError(f"a decoder failed by a fault of its own: {said.value}"))

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._hangs)

    def _hangs(self) -> None:
        log.error("a decode process is at one picture for %.0f s: it is killed", PATIENCE_S)
        self.kill()


class Processes:
    """In processes beside this one, which begin with the first turn and end with :meth:`stop`."""

    def __init__(self, processes: int = 2) -> None:
        self._most = processes
        self._workers: list[_Worker] = []
        self._waiting: deque[_Work] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._pause_s = 0.0
        """After a process that could not be begun."""
        self._stopped = False
        self._gone_cpu_s = 0.0
        self._gone_bytes = 0

    @property
    def cpu_s(self) -> float:
        return self._gone_cpu_s + sum(worker.cpu_s for worker in self._workers)

    @property
    def most_bytes(self) -> int:
        return max(self._gone_bytes, sum(worker.most_bytes for worker in self._workers))

    async def start(self) -> None:
        self._begin(self._most - len(self._workers) - self._starting)
        await asyncio.gather(*self._tasks)

    async def turn(self, turn: Turn, *arguments: Any) -> tuple[Any, float]:
        if self._stopped:
            raise UnavailableError("no more pictures are looked at: the monitor stops")
        work = _Work(turn, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(work)
        self._hand_out()
        return await work.answer

    async def stop(self) -> None:
        self._stopped = True
        self._refuse("no more pictures are looked at: the monitor stops")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = list(self._workers)
        under_way = [work.answer for worker in workers for work in worker.hands]
        if under_way:
            await asyncio.wait(under_way, timeout=STOP_S)
        for worker in workers:
            if worker.hands:
                log.error("a picture is still being looked at after %.0f s: not waited for", STOP_S)
                worker.kill()
            worker.close()
        await asyncio.gather(*(_ended(worker) for worker in workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- turns to processes ------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        while self._waiting:
            if self._waiting[0].answer.done():  # cancelled
                self._waiting.popleft()
                continue
            worker = min(self._workers, key=lambda each: len(each.hands), default=None)
            if worker is None or len(worker.hands) >= _AHEAD:
                break
            worker.take(self._waiting.popleft())
        if self._waiting and len(self._workers) + self._starting < self._most:
            self._begin(1)

    def _refuse(self, why: str) -> None:
        for work in self._waiting:
            if not work.answer.done():
                work.answer.set_exception(UnavailableError(why))
        self._waiting.clear()

    # --- processes ---------------------------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        for _ in range(number):
            self._starting += 1
            self._spawn(self._begin_one())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="decoder")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin_one(self) -> None:
        worker = None
        try:
            await asyncio.sleep(self._pause_s)
            worker = await _begun(self._lost, self._hand_out)
        except OSError as error:
            why = f"no decode process can be begun: {error.strerror or error}"
        else:
            why = "a decode process ended while it began; its own words are in this program's standard error"
        finally:
            self._starting -= 1
        if worker is not None and worker.ready.result():
            self._pause_s = 0.0
            self._workers.append(worker)
            self._hand_out()
            return
        log.error("%s", why)
        self._pause_s = min(max(_AGAIN_S[0], 2 * self._pause_s), _AGAIN_S[1])
        if not self._workers:
            self._refuse(why)
        if worker is not None:
            await _ended(worker)

    def _lost(self, worker: _Worker) -> None:
        """It is gone, and with it the picture that it was at. The next one was not begun."""
        if worker not in self._workers:
            return
        self._gone_bytes = self.most_bytes
        self._gone_cpu_s += worker.cpu_s
        self._workers.remove(worker)
        if not self._stopped:
            log.error("a decode process ended by itself%s", " at a picture" if worker.hands else "")
            self._spawn(_ended(worker))
        if worker.hands:
            culprit = worker.hands.popleft().answer
            if not culprit.done():
                culprit.set_exception(UnavailableError("the decode process ended at this picture"))
            self._waiting.extendleft(reversed(worker.hands))
            worker.hands.clear()
        if self._stopped:
            self._refuse("no more pictures are looked at: the monitor stops")
        else:
            self._hand_out()


async def _begun(lost: Callable[[_Worker], None], freed: Callable[[], None]) -> _Worker:
    """A process that is ready, or has ended before it was. OSError."""
    ours, theirs = socket.socketpair()
    worker = _Worker(lost, freed)
    try:
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sharpeyes.health.decoder",
                str(theirs.fileno()),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=bare_environment(),
            )
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        await worker.ready
    except BaseException:
        worker.close()
        if not worker.is_met:
            ours.close()
        if worker.process is not None:
            worker.kill()
            await worker.process.wait()
        raise
    return worker


async def _ended(worker: _Worker) -> None:
    """Waits for its end, which is near."""
    assert worker.process is not None
    try:
        async with asyncio.timeout(STOP_S):
            await worker.process.wait()
    except TimeoutError:
        worker.kill()
        await worker.process.wait()
