"""Playing a clip into a session in real time, healthy or not. Who plays is woken by one shared tick."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

from sharpeyes.domain.camera import StreamRole
from sharpeyes.simulator.clip import Clip
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase

TICK_S = 0.04
_REPORT_S = 5.0
_NTP_EPOCH = 2_208_988_800  # 1900 to 1970 (RFC 3550 section 4)


class Sink(Protocol):
    """Where packets go: an RTSP connection or a UDP socket."""

    def send(self, frame: bytes, starts: Sequence[int]) -> None:
        """Interleaved packets; ``starts`` are the offsets of their 4-byte headers."""

    def control(self, packet: bytes) -> None:
        """One RTCP packet."""

    def trickle(self, data: bytes, room: int) -> int:
        """Send at most ``room`` bytes of interleaved packets; gives how many went."""

    @property
    def congested(self) -> bool:
        """The reader does not keep up: nothing more now."""

    def reset(self) -> None:
        """Break the connection off."""


class Source(Protocol):
    """What a playback wants to know of its camera; asked for every frame, so that faults act at once."""

    @property
    def current_fault(self) -> Fault | None: ...

    def clip(self, role: StreamRole) -> Clip: ...

    def position(self, clip: Clip, now: float) -> int:
        """The frame that the camera takes now."""

    @property
    def clock_offset_s(self) -> float: ...


class Pacer:
    """One timer for all who play; it rests while nobody does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._playing: set[Playback] = set()
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._playing)

    def add(self, playback: Playback) -> None:
        self._playing.add(playback)
        if self._timer is None:
            self._next = self._loop.time() + TICK_S
            self._timer = self._loop.call_at(self._next, self._tick)

    def discard(self, playback: Playback) -> None:
        self._playing.discard(playback)

    def stop(self) -> None:
        self._playing.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        if not self._playing:
            self._timer = None
            return
        now = self._loop.time()
        self._next = max(self._next + TICK_S, now)
        self._timer = self._loop.call_at(self._next, self._tick)
        for playback in tuple(self._playing):
            playback.pump(now)


class Playback:
    """One session's way through a clip.

    Frame numbers are the camera's own and never end, so two sessions of one camera see the same picture at
    the same time, and a later session sees a later one. Starts at the last keyframe, or mid-way (``live``).
    Sequence numbers have no gap but by the fault ``loss``: what a slow reader misses was never packetised.
    """

    __slots__ = (
        "_channel",
        "_drip",
        "_dripped",
        "_epoch",
        "_later",
        "_n",
        "_octets",
        "_packets",
        "_random",
        "_report",
        "_role",
        "_shift",
        "_sink",
        "_skipping",
        "_source",
        "_started",
        "clip",
        "stalled_since",
    )

    def __init__(
        self,
        source: Source,
        role: StreamRole,
        sink: Sink,
        now: float,
        *,
        channel: int = 0,
        live: bool = False,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.clip = source.clip(role)
        self._source, self._role, self._sink, self._channel, self._later = source, role, sink, channel, later
        position = source.position(self.clip, now)
        self._n = position if live else position - position % self.clip.spec.gop
        self._started = self._n
        self._epoch = now - self._n / self.clip.spec.fps
        self._shift = 0
        self._packets = self._octets = 0
        self._report = now
        self._skipping = False
        self._drip = b""
        self._dripped = now
        self._random: random.Random | None = None
        self.stalled_since: float | None = None

    @property
    def sequence(self) -> int:
        """Of the next packet."""
        return (self.clip.sequence(self._n) + self._shift) & 0xFFFF

    @property
    def rtp_time(self) -> int:
        """Of the next frame."""
        return self.clip.rtp_time(self._n)

    @property
    def silent(self) -> bool:
        """The camera hangs: not even requests are answered."""
        fault = self._source.current_fault
        return fault is not None and fault.phase is FaultPhase.MEDIA and fault.kind is FaultKind.HANG

    def after_drip(self, data: bytes) -> bool:
        """Whether ``data`` was queued behind a packet of which only a part has left."""
        if self._drip:
            self._drip += data
        return bool(self._drip)

    def pump(self, now: float) -> None:
        """Send what is due."""
        spec = self.clip.spec
        fault = self._source.current_fault
        if self._drip or (fault is not None and fault.kind is FaultKind.SLOW):
            self._trickle(fault, now)
            return
        self._dripped = now
        due = int((now - self._epoch) * spec.fps + 1e-4)
        if due < self._n:
            return
        if self._sink.congested:
            self._skipping = True
            if self.stalled_since is None:
                self.stalled_since = now
            return
        if self._skipping:
            self._skipping, self.stalled_since = False, None
            self._jump(due + -due % spec.gop)
        elif due - self._n > spec.gop:
            # We were stopped, not the reader: go on where we were, nothing is lost.
            self._epoch = now - self._n / spec.fps
            due = self._n
        while self._n <= due:
            self._frame(fault)
            self._n += 1
        if now >= self._report:
            self._report = now + _REPORT_S
            self._sink.control(self._sender_report())

    def _jump(self, n: int) -> None:
        sequence = self.sequence
        self._n = n
        self._shift = (sequence - self.clip.sequence(n)) & 0xFFFF

    def _frame(self, fault: Fault | None) -> None:
        n = self._n
        if n % self.clip.spec.gop == 0:
            wanted = self._source.clip(self._role)
            if wanted is not self.clip:
                sequence = self.sequence
                self.clip = wanted
                self._shift = (sequence - wanted.sequence(n)) & 0xFFFF
        clip = self.clip
        starts = clip.starts(n)
        if fault is not None and fault.kind in _MEDIA_FAULTS and fault.phase in (None, FaultPhase.MEDIA):
            self._spoiled(fault, n, starts)
            return
        self._send(clip.frame(n, self._channel, self._shift), starts)

    def _send(self, frame: bytes, starts: Sequence[int]) -> None:
        self._packets += len(starts)
        self._octets += len(frame) - 16 * len(starts)
        self._sink.send(frame, starts)

    def _spoiled(self, fault: Fault, n: int, starts: Sequence[int]) -> None:
        chance = self._random = self._random or random.Random(n)
        kind = fault.kind
        if (
            kind is FaultKind.NO_RTP
            or (kind is FaultKind.NO_KEYFRAME and self.clip.is_keyframe(n))
            or (kind is FaultKind.HANG and n - self._started >= 2)
        ):
            self._shift = (self._shift - self.clip.count(n)) & 0xFFFF
            return
        frame = self.clip.frame(n, self._channel, self._shift)
        if kind is FaultKind.LOSS:
            bounds = pairwise((*starts, len(frame)))
            kept = [frame[a:b] for a, b in bounds if chance.random() * 100 >= (fault.percent or 0)]
            at, offsets = 0, []
            for packet in kept:
                offsets.append(at)
                at += len(packet)
            if kept:
                self._send(b"".join(kept), offsets)
        elif kind is FaultKind.CORRUPT:
            spoiled = bytearray(frame)
            for a, b in pairwise((*starts, len(frame))):
                if b - a > 200 and chance.random() < 0.3:
                    at = chance.randrange(a + 40, b - 60)
                    spoiled[at : at + 32] = chance.randbytes(32)
            self._send(bytes(spoiled), starts)
        elif kind is FaultKind.RESET:
            self._sink.trickle(frame, len(frame) // 2)
            self._later(0.02, self._sink.reset)
        elif kind is FaultKind.GARBAGE:
            self._sink.send(chance.randbytes(len(frame)), starts)
        else:
            self._send(frame, starts)

    def _trickle(self, fault: Fault | None, now: float) -> None:
        """Bytes as ``slow`` allows. A frame once begun is ended, whatever became of the fault."""
        rate = fault.bytes_per_s if fault is not None and fault.kind is FaultKind.SLOW else None
        clip = self.clip
        room = int((now - self._dripped) * rate) if rate else len(self._drip)
        if room <= 0:
            return
        self._dripped = now
        while room > 0:
            if not self._drip:
                if rate is None:
                    return
                due = int((now - self._epoch) * clip.spec.fps + 1e-4)
                if due < self._n:
                    return
                if due - self._n > clip.spec.gop:
                    self._jump(due - due % clip.spec.gop)
                self._drip = clip.frame(self._n, self._channel, self._shift)
                self._packets += clip.count(self._n)
                self._n += 1
            sent = self._sink.trickle(self._drip, min(room, len(self._drip)))
            if not sent:
                return
            self._drip = self._drip[sent:]
            room -= sent

    def _sender_report(self) -> bytes:
        """RFC 3550 section 6.4.1, without report blocks; in the camera's own time."""
        wall = time.time() + self._source.clock_offset_s + _NTP_EPOCH
        seconds = int(wall)
        return struct.pack(
            ">BBHIIIIII",
            0x80,
            200,
            6,
            self.clip.ssrc,
            seconds & 0xFFFFFFFF,
            int((wall - seconds) * 2**32),
            self.clip.rtp_time(self._n),
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )


_MEDIA_FAULTS = frozenset(
    {
        FaultKind.NO_RTP,
        FaultKind.NO_KEYFRAME,
        FaultKind.LOSS,
        FaultKind.CORRUPT,
        FaultKind.RESET,
        FaultKind.GARBAGE,
        FaultKind.HANG,
    }
)
