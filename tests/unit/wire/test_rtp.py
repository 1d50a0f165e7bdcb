"""Receiving RTP: sequence numbers, order, loss, runs, and the frame rate out of time stamps."""

from __future__ import annotations

import random
from functools import cache

import pytest

from rtp_media import Clip, encode, interleave, rtp
from sharpeyes.wire.h264 import H264Depacketiser
from sharpeyes.wire.rtp import RtpReceiver, measured_fps


@cache
def clip() -> Clip:
    return encode("h264", width=640, height=360, frames=12, gop=4)


def keyframes_and_figures(pieces: list[bytes], channel: int = 0) -> tuple[list[bytes], tuple[int, ...]]:
    depacketiser = H264Depacketiser()
    receiver = RtpReceiver(depacketiser, (96,), channel=channel)
    found = []
    waiting = b""
    for piece in pieces:
        waiting += piece
        at = receiver.frames(waiting, 0)
        waiting = waiting[at:]
        if depacketiser.keyframe is not None:
            found.append(depacketiser.keyframe)
            depacketiser.keyframe = None
    assert not waiting
    return found, (receiver.packets, receiver.bytes, receiver.lost, len(receiver.times))


def test_runs_and_single_packets_give_the_same() -> None:
    """The strided path and the plain one must agree on every byte and every figure."""
    packets = clip().packets(first=65500)  # wraps
    one_by_one = keyframes_and_figures([interleave([packet]) for packet in packets])
    by_picture = []
    for packet in packets:
        by_picture.append(interleave([packet]))
        if packet[1] & 0x80:
            by_picture.append(b"")
    joined: list[bytes] = [b""]
    for piece in by_picture:
        if piece:
            joined[-1] += piece
        else:
            joined.append(b"")
    runs = keyframes_and_figures(joined)
    assert len(runs[0]) == 3
    assert runs == one_by_one


@pytest.mark.parametrize("seed", range(20))
def test_a_run_is_not_taken_for_more_than_it_is(seed: int) -> None:
    """Damage any header byte of a fragment in the middle: both paths must still agree."""
    pick = random.Random(seed)
    packets = clip().packets(pictures=slice(0, 4))
    for _ in range(40):
        broken = list(packets)
        index = pick.randrange(2, len(broken))
        packet = bytearray(broken[index])
        packet[pick.randrange(0, 14)] ^= 1 << pick.randrange(8)
        broken[index] = bytes(packet)
        assert (
            keyframes_and_figures([interleave(broken)])[1]
            == (keyframes_and_figures([interleave([p]) for p in broken])[1])
        )


def test_loss_is_counted_and_spoils_the_keyframe() -> None:
    packets = clip().packets(pictures=slice(0, 4))
    found, figures = keyframes_and_figures([interleave(packets[:5] + packets[7:])])
    assert found == []
    assert figures[2] == 2


def test_channels_are_kept_apart() -> None:
    packets = clip().packets(pictures=slice(0, 1))
    noise = [interleave([rtp(b"\x67junk", 1, 2)], 0), interleave([b"\x80\xc9\x00\x01abcd"], 3)]
    pieces = [piece for packet in packets for piece in (interleave([packet], 2), *noise)]
    found, figures = keyframes_and_figures([b"".join(pieces)], channel=2)
    assert len(found) == 1
    assert figures[0] == len(packets)


def test_order_is_restored_over_udp() -> None:
    packets = clip().packets(pictures=slice(0, 4), first=65530)
    shuffled = list(packets)
    for at in range(3, len(shuffled) - 4, 4):
        shuffled[at : at + 4] = reversed(shuffled[at : at + 4])
    depacketiser = H264Depacketiser()
    receiver = RtpReceiver(depacketiser, (96,), reorder=True)
    for packet in shuffled:
        receiver.datagram(packet)
        receiver.datagram(packet)  # and a duplicate of each
    assert depacketiser.keyframe is not None
    assert (receiver.packets, receiver.lost) == (len(packets), 0)


def test_a_packet_that_never_comes_over_udp_is_lost_after_a_while() -> None:
    receiver = RtpReceiver(None, (96,), reorder=True)
    for number in range(100):
        if number != 10:
            receiver.datagram(rtp(b"x", number, 0))
    assert (receiver.packets, receiver.lost) == (99, 1)


def test_padding_extension_and_sources_are_no_payload() -> None:
    receiver = RtpReceiver(None, (96,))
    plain = rtp(b"abc", 1, 0)
    with_all = (
        bytes((0x80 | 0x20 | 0x10 | 2,))
        + plain[1:12]
        + b"ssrcssrc"
        + b"\xbe\xde\x00\x01extn"
        + b"abc\x00\x02"
    )
    receiver.frames(interleave([with_all]), 0)
    assert receiver.bytes == 3
    for broken in (
        bytes((0x90,)) + plain[1:12],
        bytes((0xA0,)) + plain[1:12] + b"\xff",
        bytes((0x8F,)) + plain[1:12],
    ):
        receiver.frames(interleave([broken]), 0)
    assert receiver.packets == 1


def test_another_payload_type_than_declared_is_followed_unless_it_is_another_format() -> None:
    receiver = RtpReceiver(None, (96, 97))
    receiver.frames(
        interleave([rtp(b"x", 1, 0, kind=97), rtp(b"x", 2, 0, kind=98), rtp(b"x", 3, 0, kind=96)]), 0
    )
    assert receiver.packets == 1
    receiver.frames(interleave([rtp(b"x", 3, 0, kind=98)]), 0)
    assert receiver.packets == 2


def test_a_new_source_is_a_restart_not_loss() -> None:
    receiver = RtpReceiver(None, (96,))
    receiver.frames(interleave([rtp(b"x", 1, 0), rtp(b"x", 40_000, 0, ssrc=9), rtp(b"x", 7, 0, ssrc=9)]), 0)
    assert (receiver.packets, receiver.lost) == (3, 0)


def test_goodbye() -> None:
    receiver = RtpReceiver(None, (96,))
    receiver.frames(interleave([b"\x80\xc8\x00\x06" + bytes(24) + b"\x81\xcb\x00\x01abcd"], 1), 0)
    assert receiver.ended


TICK = 90000


@pytest.mark.parametrize(
    ("times", "declared", "expected"),
    [
        ([], None, None),
        ([0, 3600], 25.0, 25.0),
        ([n * 3600 for n in range(50)], None, 25.0),
        ([n * 3003 for n in range(60)], None, 30000 / 1001),
        ([n * 3003 for n in range(60)], 30.0, 30.0),
        ([round(n * TICK / 15) for n in range(40)], 25.0, 15.0),
        ([round(n * 1000 / 30) * 90 for n in range(60)], None, 30.0),  # stamped from milliseconds
        ([n * 3600 for n in range(60) if n % 7], None, 25.0),  # lost pictures
        ([n * 3600 for n in (0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11)], None, 25.0),  # B-frames
        ([n * 3600 for n in range(20)] + [10**9 + n * 3600 for n in range(20)], None, 25.0),  # a jump
        ([n * TICK for n in range(10)], None, 1.0),
        ([n * 4186 for n in range(60)], None, 21.5),
        ([0] * 50, 20.0, 20.0),
    ],
)
def test_frame_rate(times: list[int], declared: float | None, expected: float | None) -> None:
    assert measured_fps(times, TICK, declared) == (
        pytest.approx(expected, abs=0.001) if expected else expected
    )


def test_bit_rate_is_by_the_senders_clock() -> None:
    receiver = RtpReceiver(None, (96,))
    for number in range(50):
        receiver.frames(interleave([rtp(bytes(1000), number, number * 3600)]), 0)
    assert receiver.bitrate(90000) == 25 * 1000 * 8
    assert RtpReceiver(None, (96,)).bitrate(90000) is None
