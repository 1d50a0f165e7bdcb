"""A camera's stream coded anew, with what must be burned in, by a process of its own.

Its viewers see nothing that has not been through that process: while it does not run there is no picture.
One process serves everybody who must see the same (one camera, the same masks); a watermark is for one
viewer, and so is its process. Processes are counted, and end with their last viewer or with this service,
however that ends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.masks import Mask
from sharpeyes.gateway.burn import CONFIGURE, HEADER, KEY_PICTURE, MAX_MESSAGE, PICTURE
from sharpeyes.gateway.channel import Channel, PullState
from sharpeyes.gateway.hub import Picture, Watcher
from sharpeyes.gateway.overlay import Mark
from sharpeyes.gateway.picture import StreamFacts
from sharpeyes.gateway.upstream import Upstream
from sharpeyes.net.process import bare_environment
from sharpeyes.wire import h264
from sharpeyes.wire.nal import START, BitError

log = logging.getLogger(__name__)

_UNSENT = 16 * 1024 * 1024
"""Bytes that wait for the process; with more, it begins again with the next key picture."""
_END_S = 1.0
"""Within so long a process that has closed its output is expected to have ended."""
_SPARE_AFTER_S = 3.0
"""When what was asked for runs, and the processor has time for the next one."""
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 15.0
_SHOWN = frozenset((1, 5, 7, 8))
"""H.264 units that go to viewers: slices and parameter sets."""


class Places:
    """How many processes may run, how many do, and one that is started already: to start takes longer than a
    viewer wants to wait."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self.spare: asyncio.subprocess.Process | None = None
        """It waits for its orders. There is none before the first process was asked for."""
        self._filling: asyncio.Task[None] | None = None

    @property
    def free(self) -> bool:
        return self.taken < self.most

    def take(self) -> None:
        """UnavailableError if all are taken."""
        if not self.free:
            raise UnavailableError(
                f"this gateway codes {self.most} pictures anew already (capacity)",
                mend="Try again when somebody has left; SHARPEYES_VIEW_TRANSCODES allows more",
            )
        self.taken += 1

    def give_back(self) -> None:
        self.taken -= 1

    async def process(self) -> asyncio.subprocess.Process:
        """A process that waits for its orders. OSError."""
        process, self.spare = self.spare, None
        if process is None or process.returncode is not None:
            process = await _started()
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(), name="recode spare")
        return process

    async def close(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        if self.spare is not None:
            await _ended(self.spare)
            self.spare = None

    async def _fill(self) -> None:
        await asyncio.sleep(_SPARE_AFTER_S)
        with contextlib.suppress(OSError):
            self.spare = await _started()


async def _started() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sharpeyes.gateway.burn",
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment(),
        limit=2 * MAX_MESSAGE,
    )


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


class Recoding(Channel, Watcher):
    """One process, between a camera's hub and a hub of its own, whose stream is H.264 without B-frames."""

    def __init__(
        self,
        upstream: Upstream,
        places: Places,
        *,
        masks: Sequence[Mask],
        mark: Mark | None,
        grace_s: float,
        left: Callable[[Recoding], None],
    ) -> None:
        """UnavailableError if there is no place for one more. The codec is that of ``upstream`` now."""
        places.take()
        super().__init__(grace_s, lambda: left(self))
        self.upstream = upstream
        self.codec = upstream.hub.codec
        self.process: asyncio.subprocess.Process | None = None
        self._places = places
        self._masks = masks
        self._mark = mark
        self._failure: str | None = None
        self._waiting = True
        self._time = 1 << 32
        self._task = asyncio.create_task(self._run(), name=f"recode {upstream.source.camera}")

    # -- for those who watch

    def told(self) -> PullState:
        return PullState.LOST if self._failure is not None else self.upstream.told()

    async def ready(self, within_s: float, *, picture: bool = True) -> StreamFacts:  # noqa: ARG002
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if self._failure is not None:
                        raise UnavailableError(
                            f"the picture must be coded anew, which does not work now: {self._failure}",
                            mend="Ask again in a moment; the service's log says more",
                        )
                    if self.facts is not None and self.hub.key_picture.is_set():
                        return self.facts
                    await self._news.wait()
        except TimeoutError:
            raise UnavailableError(
                "the picture must be coded anew, and none came in time", mend="Ask again in a moment"
            ) from None

    def stop(self) -> None:
        """Its place is free from now on; :meth:`close` waits until its process has ended."""
        self._forget_grace()
        self._task.cancel()
        self._places.give_back()

    async def close(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    # -- from the camera

    def take(self, picture: Picture) -> None:
        if self.process is None or (self._waiting and not picture.key):
            return
        pipe = self.process.stdin
        assert pipe is not None
        if pipe.transport.get_write_buffer_size() > _UNSENT:
            self._waiting = True
            return
        self._waiting = False
        # Unwrapped: the process tells by it which of two pictures is the later one.
        self._time += ((picture.time - self._time + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        data = START + START.join(picture.units)
        kind = KEY_PICTURE if picture.key else PICTURE
        with contextlib.suppress(ConnectionError, RuntimeError):  # its end is seen where it is read from
            pipe.write(HEADER.pack(kind, self._time, len(data)) + data)

    def restarted(self) -> None:
        self._waiting = True

    # -- the process

    async def _run(self) -> None:
        wait = _FIRST_WAIT_S
        with self.upstream.claimed():
            while True:
                try:
                    failure = await self._once()
                except OSError as error:
                    failure = f"its process cannot be had: {error.strerror or type(error).__name__}"
                if self._failure is None:
                    log.error("gateway: %s is not coded anew: %s", self.upstream.source.camera, failure)
                if self.facts is not None:
                    wait = _FIRST_WAIT_S
                self._failure, self.facts = failure, None
                self.hub.restarted()
                self._tell()
                await asyncio.sleep(wait)
                wait = min(_LONGEST_WAIT_S, wait * 2)

    async def _once(self) -> str:
        """One process, from its beginning to its end, and what is to be said of that."""
        said = await asyncio.to_thread(self._said)
        process = await self._places.process()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(HEADER.pack(CONFIGURE, 0, len(said)) + said)
            self.process, self._waiting = process, True
            self.upstream.hub.add(self)
            while True:
                kind, at, size = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
                if size > MAX_MESSAGE:
                    return "its process sent a message that is too long"
                self._burned(await process.stdout.readexactly(size), kind == KEY_PICTURE, at & 0xFFFFFFFF)
        except asyncio.IncompleteReadError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await process.wait()
            return f"its process ended ({process.returncode})"
        finally:
            self.process = None
            self.upstream.hub.remove(self)
            await _ended(process)

    def _burned(self, data: bytes, key: bool, at: int) -> None:
        """What the process made; it reads what cameras send, so it is not trusted more than they are."""
        units = [unit for unit in re.split(rb"\x00*\x00\x00\x01", data) if unit and unit[0] & 0x1F in _SHOWN]
        if not units:
            return
        if key and (facts := _facts(units)) != self.facts:
            self.facts = facts
        if self.facts is None:
            return
        self._failure = None
        self.hub.picture(units, key, at)
        if key:
            self._tell()

    def _said(self) -> bytes:
        mark = self._mark
        return json.dumps(
            {
                "codec": self.codec,
                "masks": [mask.points for mask in self._masks],
                "mark": mark
                and {
                    "text": mark.text,
                    "zone": mark.zone_name,
                    "glyphs": {
                        character: base64.b64encode(glyph.tobytes()).decode()
                        for character, glyph in mark.glyphs().items()
                    },
                },
            }
        ).encode()


def _facts(units: Sequence[bytes]) -> StreamFacts | None:
    for unit in units:
        if unit[0] & 0x1F == 7:
            with contextlib.suppress(BitError):
                _, geometry = h264.parse_sps(unit)
                return StreamFacts(codec="h264", profile=unit[1:4].hex(), geometry=geometry)
    return None
