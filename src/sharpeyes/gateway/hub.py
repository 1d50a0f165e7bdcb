"""One camera's stream, packetised once and sent to everybody who may see it.

All viewers of a hub share the payloads and, but for an offset, the numbers of their packets: a layout for
encryption is made once a picture, and a packet that somebody asks for again is found by its number. A viewer
begins with the last key picture; one whose socket is full is skipped up to the next.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits

from sharpeyes.gateway.picture import payloads_of
from sharpeyes.gateway.sender import Chunk, CongestedError, Sender, chunks_of, packets_of

CLOCK_RATE = 90_000
_NTP_EPOCH = 2_208_988_800
_GOP_BYTES = 12 * 1024 * 1024
_GOP_PICTURES = 1000
_RING_PACKETS = 900
"""libsrtp encrypts again what is not older than its window, 1024 packets in aiortc."""
_RING_BYTES = 4 * 1024 * 1024
_TICK_S = 0.004
_TICK_PACKETS = 60
"""A newcomer's backlog goes out at 60 packets every 4 ms, some 140 Mbit/s: no switch buffer overflows."""
_ANSWER_S = 0.5
_RESENT = 256
"""Packets that one viewer gets again within a second, at most."""
_REPORT_S = 4.0
_REPORT = struct.Struct(">BBHIIIIII")


@dataclass(slots=True, eq=False)
class Picture:
    """One coded picture as RTP payloads. ``first``: number of its first packet, counted from 0 for ever."""

    first: int
    time: int
    key: bool
    payloads: tuple[bytes, ...]
    size: int
    units: list[bytes]
    layouts: dict[tuple[int, int, int], tuple[Chunk, ...]] = field(default_factory=dict)

    @property
    def after(self) -> int:
        return self.first + len(self.payloads)


class Watcher:
    """Somebody who is given pictures: base of WebRTC viewers and of what wraps pictures otherwise."""

    __slots__ = ()

    def take(self, picture: Picture) -> None:
        """A picture, in order; the first is a key picture. Must not wait."""
        raise NotImplementedError

    def restarted(self) -> None:
        """Pictures before are out of reach; the next is a key picture."""


class Hub:
    """Numbers, cache, ring and fan-out of one stream. ``idle`` is called when the last viewer has left."""

    def __init__(self, *, idle: Callable[[], None] = lambda: None) -> None:
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self.codec = "h264"
        self.ssrc = getrandbits(31) | 1
        self._watchers: dict[Watcher, None] = {}
        self._behind: dict[Watcher, _Backlog] = {}
        self._next = getrandbits(14)
        self._time = getrandbits(31)
        self._shift: int | None = None
        self._at = self._loop.time()
        self._gop: list[Picture] = []
        self._gop_bytes = 0
        self._ring: deque[Picture] = deque()
        self._ring_bytes = 0
        self._ticking: asyncio.TimerHandle | None = None
        self._reporting: asyncio.TimerHandle | None = None
        self.pictures = 0
        self.key_picture: asyncio.Event = asyncio.Event()
        """Set while there is a picture to begin with."""

    def __len__(self) -> int:
        return len(self._watchers)

    @property
    def gop(self) -> tuple[Picture, ...]:
        """From the last key picture on; empty if there is none to begin with."""
        return tuple(self._gop)

    # -- from the camera

    def restarted(self) -> None:
        """The camera is pulled anew: its clock and its numbers begin elsewhere, ours go on."""
        self._shift = None
        self._gop = []
        self._gop_bytes = 0
        self.key_picture.clear()
        for watcher in tuple(self._watchers):
            watcher.restarted()

    def picture(self, units: list[bytes], key: bool, rtp_time: int) -> None:
        """The next picture, in decoding order."""
        now = self._loop.time()
        if self._shift is None:
            passed = max(1, int((now - self._at) * CLOCK_RATE))
            self._shift = self._time + passed - rtp_time
        self._time = rtp_time + self._shift & 0xFFFFFFFF
        self._at = now
        payloads = payloads_of(self.codec, units)
        size = sum(map(len, payloads))
        picture = Picture(self._next, self._time, key, payloads, size, units)
        self._next = picture.after
        self.pictures += 1
        self._keep(picture)
        behind = self._behind
        for watcher in tuple(self._watchers):
            if watcher not in behind:
                watcher.take(picture)
        picture.layouts.clear()

    def _keep(self, picture: Picture) -> None:
        if picture.key:
            self._gop, self._gop_bytes = [picture], picture.size
            self.key_picture.set()
        elif self._gop:
            self._gop.append(picture)
            self._gop_bytes += picture.size
            if self._gop_bytes > _GOP_BYTES or len(self._gop) > _GOP_PICTURES:
                self._gop = []  # too long to begin with: newcomers wait for the next key picture
                self.key_picture.clear()
        ring = self._ring
        ring.append(picture)
        self._ring_bytes += picture.size
        while len(ring) > 1 and (
            picture.after - ring[0].after > _RING_PACKETS or self._ring_bytes > _RING_BYTES
        ):
            self._ring_bytes -= ring.popleft().size

    # -- for viewers

    def add(self, watcher: Watcher) -> None:
        """From now on, beginning with the last key picture."""
        self._watchers[watcher] = None
        self.replay(watcher)
        if self._reporting is None:
            self._reporting = self._loop.call_later(_REPORT_S, self._report)

    def remove(self, watcher: Watcher) -> None:
        """Nothing more for this one: when this returns, no packet leaves."""
        if watcher not in self._watchers:
            return
        del self._watchers[watcher]
        self._behind.pop(watcher, None)
        if not self._watchers:
            for timer in (self._reporting, self._ticking):
                if timer is not None:
                    timer.cancel()
            self._reporting = self._ticking = None
            self._idle()

    def replay(self, watcher: Watcher) -> None:
        """Begin again with the last key picture, paced; without one, with the next."""
        if watcher not in self._watchers:
            return
        watcher.restarted()
        if not self._gop:
            self._behind.pop(watcher, None)
            return
        self._behind[watcher] = _Backlog(self._gop)
        self._catch_up(watcher)
        if self._behind and self._ticking is None:
            self._ticking = self._loop.call_later(_TICK_S, self._tick)

    def find(self, number: int) -> tuple[Picture, int] | None:
        """The picture that packet ``number`` belongs to, and its place in it, if it is still kept."""
        ring = self._ring
        if not ring or not ring[0].first <= number < ring[-1].after:
            return None
        low, high = 0, len(ring) - 1
        while low < high:
            middle = (low + high) // 2
            if ring[middle].after <= number:
                low = middle + 1
            else:
                high = middle
        return ring[low], number - ring[low].first

    def now(self) -> int:
        """The stream's RTP time at this moment."""
        return int(self._time + (self._loop.time() - self._at) * CLOCK_RATE) & 0xFFFFFFFF

    def _catch_up(self, watcher: Watcher) -> None:
        backlog = self._behind[watcher]
        if backlog.gop is not self._gop:  # a key picture came meanwhile, or the camera was lost
            watcher.restarted()
            if not self._gop:
                del self._behind[watcher]
                return
            backlog = self._behind[watcher] = _Backlog(self._gop)
        sent = 0
        while backlog.at < len(backlog.gop):
            picture = backlog.gop[backlog.at]
            if sent and sent + len(picture.payloads) > _TICK_PACKETS:
                return
            backlog.at += 1
            sent += len(picture.payloads)
            watcher.take(picture)
            if self._behind.get(watcher) is not backlog:  # it left, or began again, over this picture
                return
        del self._behind[watcher]

    def _tick(self) -> None:
        self._ticking = None
        for watcher in tuple(self._behind):
            if watcher in self._behind:
                self._catch_up(watcher)
        for picture in self._gop:
            picture.layouts.clear()
        if self._behind:
            self._ticking = self._loop.call_later(_TICK_S, self._tick)

    def _report(self) -> None:
        self._reporting = self._loop.call_later(_REPORT_S, self._report) if self._watchers else None
        wall = time.time() + _NTP_EPOCH
        for watcher in tuple(self._watchers):
            if isinstance(watcher, Viewer):
                watcher.report(wall, self.now())


@dataclass(slots=True)
class _Backlog:
    gop: list[Picture]
    at: int = 0


class Viewer(Watcher):
    """One WebRTC viewer: its numbers, its sender, what it asks for again."""

    __slots__ = (
        "_answered",
        "_closed",
        "_gone",
        "_hub",
        "_kind",
        "_loop",
        "_next",
        "_offsets",
        "_resent",
        "_resent_since",
        "_sender",
        "_started",
        "_waiting",
        "octets",
        "packets",
        "skipped",
    )

    def __init__(self, hub: Hub, sender: Sender, payload_type: int, *, gone: Callable[[], None]) -> None:
        """``gone`` is called once if the connection turns out to be closed."""
        self._hub = hub
        self._sender = sender
        self._kind = payload_type
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._waiting = True
        self._started = self._closed = False
        self._next = 0
        self._offsets: deque[tuple[int, int]] = deque(maxlen=16)
        self._answered = self._resent_since = float("-inf")
        self._resent = 0
        self.packets = self.octets = 0
        """RTP packets sent, and their bytes as encrypted."""
        self.skipped = 0
        """How often the socket was full."""

    def restarted(self) -> None:
        self._waiting = True

    def take(self, picture: Picture) -> None:
        if self._waiting:
            if not picture.key:
                return
            self._begin(picture)
        offset = self._offsets[-1][1]
        tag = self._sender.tag
        shared = (offset & 0xFFFF, self._kind, tag)
        layout = picture.layouts.get(shared)
        if layout is None:
            packets = packets_of(
                picture.payloads, self._kind, picture.first + offset, picture.time, self._hub.ssrc
            )
            layout = chunks_of(packets, tag)
            if len(picture.layouts) < 8:
                picture.layouts[shared] = layout
        for chunk in layout:
            # Counted before it leaves: once encrypted, a number is never used for anything else, sent or not.
            self._next += len(chunk.slots)
            try:
                self.octets += self._sender.send(chunk)
            except CongestedError:
                self.skipped += 1
                self._waiting = True
                return
            except (ConnectionError, OSError):
                self._waiting = True
                self._loop.call_soon(self._gone)
                return
            self.packets += len(chunk.slots)

    def _begin(self, picture: Picture) -> None:
        """Numbers go on where this viewer's ended, whatever the hub's are."""
        self._waiting = False
        if not self._started:
            # In the lower half of the 16 bits: a loss around the wrap right at the start would put the
            # receiver's idea of the packet index wrong for good (RFC 3711 3.3.1).
            self._started = True
            self._next = picture.first & 0x7FFF
        offset = self._next - picture.first
        if not self._offsets or self._offsets[-1][1] != offset:
            self._offsets.append((self._next, offset))

    # -- from the viewer

    def lost(self, numbers: list[int]) -> None:
        """A NACK: 16-bit numbers of packets that did not arrive. Those still in the ring go out again, the
        same bytes under the same number."""
        if self._closed:
            return
        now = self._loop.time()
        if now - self._resent_since > 1:
            self._resent_since, self._resent = now, 0
        for number in numbers[:_RESENT]:
            behind = (self._next - number) & 0xFFFF
            unwrapped = self._next - behind
            offset = next((o for since, o in reversed(self._offsets) if since <= unwrapped), None)
            if not 0 < behind <= _RING_PACKETS or offset is None or self._resent >= _RESENT:
                continue
            found = self._hub.find(unwrapped - offset)
            if found is None:
                continue
            picture, at = found
            packets = packets_of(
                picture.payloads, self._kind, picture.first + offset, picture.time, self._hub.ssrc
            )
            self._resent += 1
            for chunk in chunks_of([packets[at]], self._sender.tag):
                try:
                    self.octets += self._sender.send(chunk)
                except (CongestedError, OSError):
                    return

    def lost_picture(self) -> None:
        """A PLI or FIR: the viewer cannot go on. It begins again with the last key picture, under new
        numbers; not more than twice a second."""
        now = self._loop.time()
        if self._waiting or now - self._answered < _ANSWER_S:
            return
        self._answered = now
        self._hub.replay(self)

    def report(self, wall: float, rtp_time: int) -> None:
        """Send a sender report (RFC 3550 6.4.1). ``wall``: seconds since 1900."""
        seconds = int(wall)
        self._sender.control(
            _REPORT.pack(
                0x80,
                200,
                6,
                self._hub.ssrc,
                seconds & 0xFFFFFFFF,
                int((wall - seconds) * 2**32),
                rtp_time,
                self.packets & 0xFFFFFFFF,
                self.octets & 0xFFFFFFFF,
            )
        )

    def close(self) -> None:
        """Out of the hub first; then the sender is closed. No packet leaves after this."""
        self._closed = True
        self._hub.remove(self)
        self._sender.close()
