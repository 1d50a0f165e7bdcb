"""RTP (RFC 3550): one video stream received, measured, and handed to its depacketiser.

The inner loop is the hottest code of the product: a keyframe is some fifty packets. It takes interleaved
frames out of the bytes as they came from the socket, with one unpacking a packet, and runs of equally long
fragments (which is what a keyframe consists of) by one unpacking for all.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import pairwise

from sharpeyes.wire.nal import Depacketiser

# $ channel size | V P X CC, M PT, sequence, time, SSRC
_FRAME = struct.Struct(">BBHBBHII")
_PACKET = struct.Struct(">BBHII")
_MAX_DROPOUT = 3000  # RFC 3550 A.1: beyond this a jump is a restart, not loss
_REORDER = 32  # packets that wait for an older one, UDP only
_MIN_TIMES = 6
_MAX_TIMES = 4096  # pictures over which the frame rate is measured
_MIN_RUN = 4
_RUN_BYTES = 256 * 1024

_RECEIVER_REPORT, _BYE = 201, 203


class RtpReceiver:
    """One video stream: packets in, figures and keyframes out.

    ``payload_types`` are those of the track, the one to follow first. A camera that uses another number than
    it declared is followed, if the number belongs to no other format of the track.
    """

    __slots__ = (
        "_channel",
        "_depacketiser",
        "_expected",
        "_held",
        "_highest",
        "_others",
        "_payload_type",
        "_reorder",
        "_ssrc",
        "_time",
        "_unwrapped",
        "bytes",
        "ended",
        "lost",
        "packets",
        "times",
    )

    def __init__(
        self,
        depacketiser: Depacketiser | None,
        payload_types: tuple[int, ...],
        *,
        channel: int = 0,
        reorder: bool = False,
    ) -> None:
        self._depacketiser = depacketiser
        self._payload_type = payload_types[0] if payload_types else -1
        self._others = frozenset(payload_types[1:])
        self._channel = channel
        self._reorder = reorder
        self._ssrc = -1
        self._expected = -1  # next sequence number, 16 bits
        self._held: dict[int, bytes] = {}  # came early
        self._time = -1
        self._unwrapped = 0
        self._highest = 0
        self.packets = 0
        self.bytes = 0
        """RTP payload bytes, headers not counted."""
        self.lost = 0
        self.times: list[int] = []
        """RTP time of each picture, unwrapped, in order of arrival; at most 4096."""
        self.ended = False
        """The sender said goodbye (RTCP BYE)."""

    @property
    def depacketiser(self) -> Depacketiser | None:
        return self._depacketiser

    def frames(self, data: bytes, at: int) -> int:
        """Eat whole interleaved frames from ``at`` on; a :data:`FrameSink` of the message reader."""
        total = len(data)
        channel = self._channel
        while total - at >= 4 and data[at] == 0x24:
            size = data[at + 2] << 8 | data[at + 3]
            end = at + 4 + size
            if end > total:
                break
            if data[at + 1] == channel:
                fragments = self._depacketiser.fragments if self._depacketiser is not None else None
                if fragments is not None and total - at >= _MIN_RUN * (size + 4) and size > 16:
                    run = self._run(data, at, size + 4, fragments)
                    if run:
                        at += run
                        continue
                if size >= 12:
                    self._packet(data, at + 4, end)
            elif data[at + 1] == channel + 1:
                self.control(data[at + 4 : end])
            at = end
        return at

    def datagram(self, data: bytes) -> None:
        """One RTP packet from UDP, where packets may come in another order than they were sent."""
        if len(data) < 12:
            return
        if not self._reorder or self._expected < 0:
            self._packet(data, 0, len(data))
            return
        ahead = (data[2] << 8 | data[3]) - self._expected & 0xFFFF
        if ahead == 0 or ahead >= _MAX_DROPOUT:
            self._packet(data, 0, len(data))
        else:
            self._held[data[2] << 8 | data[3]] = data
            if len(self._held) > _REORDER:
                oldest = min(self._held, key=lambda number: number - self._expected & 0xFFFF)
                early = self._held.pop(oldest)
                self._packet(early, 0, len(early))
        while self._held and (following := self._held.pop(self._expected, None)) is not None:
            self._packet(following, 0, len(following))

    def control(self, data: bytes) -> None:
        """RTCP: only a BYE matters."""
        at = 0
        while len(data) - at >= 4 and data[at] >> 6 == 2:
            if data[at + 1] == _BYE:
                self.ended = True
            at += 4 + 4 * (data[at + 2] << 8 | data[at + 3])

    def report(self) -> bytes:
        """An empty receiver report (RFC 3550 6.4.2): tells a sender over UDP that somebody listens."""
        return struct.pack(">BBHI", 0x80, _RECEIVER_REPORT, 1, 0x53686172)

    def punch(self) -> bytes:
        """A packet without payload: opens the way for media through a NAT (as RFC 7604 describes)."""
        return _PACKET.pack(0x80, max(0, self._payload_type), 0, 0, 0x53686172)

    def bitrate(self, clock_rate: int) -> int | None:
        """Bits a second of payload, by the sender's own clock; None for fewer than ten pictures.

        The sender's clock counts, because many cameras begin with a burst of what they have in stock.
        """
        count = len(self.times)
        if not 10 <= count < _MAX_TIMES:
            return None
        span = max(self.times) - min(self.times)
        if span <= 0:
            return None
        return round(self.bytes * 8 * clock_rate * (count - 1) / (span * count))

    def _packet(self, data: bytes, at: int, end: int) -> None:
        """One RTP packet, at least 12 bytes."""
        flags, kind, number, rtp_time, ssrc = _PACKET.unpack_from(data, at)
        if flags >> 6 != 2:
            return
        payload_type = kind & 0x7F
        if payload_type != self._payload_type:
            if self.packets or payload_type in self._others or 72 <= payload_type <= 76:
                return
            self._payload_type = payload_type
        start = at + 12
        if flags != 0x80:
            start += 4 * (flags & 0x0F)
            if flags & 0x10:  # header extension
                if end - start < 4:
                    return
                start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
            if flags & 0x20:  # padding
                end -= data[end - 1]
            if start > end:
                return
        if (number != self._expected or ssrc != self._ssrc) and not self._sequence(number, ssrc):
            return
        self._expected = number + 1 & 0xFFFF
        self.packets += 1
        self.bytes += end - start
        depacketiser = self._depacketiser
        if rtp_time != self._time:
            self._picture(rtp_time)
        elif kind < 0x80 and depacketiser is not None and depacketiser.fragments is not None:
            middle = depacketiser.middle
            if end - start > len(middle) and data.startswith(middle, start):  # the common case, inlined
                if depacketiser.wanted:
                    start += len(middle)
                    depacketiser.fragments.append(data[start:end])
                    depacketiser.appended(end - start)
                return
        if depacketiser is not None and end > start:
            depacketiser.payload(data, start, end, rtp_time, kind > 0x7F)

    def _sequence(self, number: int, ssrc: int) -> bool:
        """The number is not the expected one. Gives whether the packet is to be used."""
        if self._expected < 0:
            self._ssrc = ssrc
            return True
        ahead = number - self._expected & 0xFFFF
        if ssrc != self._ssrc:
            self._ssrc = ssrc
        elif ahead < _MAX_DROPOUT:
            self.lost += ahead
        elif ahead > 0x10000 - 100:
            return False  # a duplicate, or too late to be of use
        if self._depacketiser is not None:
            self._depacketiser.gap()
        return True

    def _picture(self, rtp_time: int) -> None:
        if self._time >= 0:
            delta = rtp_time - self._time & 0xFFFFFFFF
            self._unwrapped += delta if delta < 0x80000000 else delta - 0x100000000
        self._time = rtp_time
        if len(self.times) < _MAX_TIMES:
            self.times.append(self._unwrapped)

    def _run(self, data: bytes, at: int, stride: int, fragments: list[bytes]) -> int:
        """Eat a run of equally long middle fragments of the unit under way; gives its length in bytes.

        All packets are cut by one unpacking, into what must be constant, the low byte of the sequence number,
        which must count, and the payload.
        """
        depacketiser = self._depacketiser
        assert depacketiser is not None
        number, middle = self._expected, depacketiser.middle
        count = min(len(data) - at, _RUN_BYTES) // stride
        count = min(count, 256 - (number & 0xFF))  # the low byte counts up without a carry
        head = _FRAME.pack(
            0x24, self._channel, stride - 4, 0x80, self._payload_type, number, self._time, self._ssrc
        )
        if not data.startswith(head + middle, at) or not data.startswith(head[:4], at + 3 * stride):
            return 0
        size = stride - 16 - len(middle)
        if size < 0 or count < _MIN_RUN:
            return 0
        cut = _cut(len(middle), size, depacketiser.wanted)
        packets = cut.iter_unpack(memoryview(data)[at : at + count * stride])
        before, numbers, behind, *parts = zip(*packets, strict=True)
        constant, counting, tail = head[:7], tuple(range(number & 0xFF, (number & 0xFF) + count)), head[8:]
        tail += middle
        if before.count(constant) != count or numbers != counting or behind.count(tail) != count:
            found = zip(before, numbers, behind, counting, strict=True)
            count = next(i for i, (a, n, b, c) in enumerate(found) if a != constant or n != c or b != tail)
            if count < _MIN_RUN:
                return 0
        if depacketiser.wanted:
            fragments.extend(parts[0][:count])
            depacketiser.appended(count * size)
        self.packets += count
        self.bytes += count * (stride - 16)
        self._expected = number + count & 0xFFFF
        return count * stride


@lru_cache(maxsize=64)
def _cut(middle: int, size: int, wanted: bool) -> struct.Struct:
    """Header up to the low byte of the sequence number, that byte, the rest with what begins a middle
    fragment, and ``size`` bytes of payload if they are wanted."""
    return struct.Struct(f"7sB{8 + middle}s{size}{'s' if wanted else 'x'}")


def measured_fps(times: list[int], clock_rate: int, declared: float | None) -> float | None:
    """Frames a second from the RTP times of pictures; ``declared`` if there are too few to measure.

    Times may be out of order (B-frames), have holes (loss) and jitter (stamped from a clock of 1 ms). The
    rate is the mean over those distances that are near the median one, moved to the declared or the nearest
    customary rate where that is within what such jitter explains.
    """
    if len(times) < _MIN_TIMES:
        return declared
    ordered = sorted(set(times))
    deltas = sorted(b - a for a, b in pairwise(ordered))
    if len(deltas) < _MIN_TIMES - 1:
        return declared
    median = deltas[len(deltas) // 2]
    near = [delta for delta in deltas if 0.5 * median < delta < 1.5 * median]
    fps = clock_rate * len(near) / sum(near)
    if declared is not None and abs(fps - declared) <= 0.02 * declared:
        return declared
    nearest = min(_CUSTOMARY, key=lambda rate: abs(rate - fps))
    return nearest if abs(nearest - fps) <= 0.01 * nearest else round(fps, 3)


_CUSTOMARY = (
    *(float(rate) for rate in (*range(1, 26), 30, 40, 48, 50, 60, 75, 90, 100, 120)),
    *(6.25, 7.5, 12.5, 24000 / 1001, 30000 / 1001, 60000 / 1001),
)
