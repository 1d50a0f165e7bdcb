"""RTP and RTCP from strangers, interleaved and in datagrams: nothing raises, nothing grows for ever."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtp_media import fragment, interleave, rtp
from sharpeyes.wire.h264 import H264Depacketiser
from sharpeyes.wire.h265 import H265Depacketiser
from sharpeyes.wire.jpeg import JpegDepacketiser
from sharpeyes.wire.nal import MAX_KEYFRAME, Depacketiser
from sharpeyes.wire.rtp import RtpReceiver, measured_fps

depacketisers = st.sampled_from(
    [H264Depacketiser, H265Depacketiser, lambda: H265Depacketiser(numbered=True), JpegDepacketiser]
)
payload = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([b"\x7c\x85", b"\x7c\x05", b"\x7c\x45", b"\x78\0\2"]),
        st.binary(max_size=20),
    ),
    st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([b"\x62\1\x93", b"\x62\1\x13", b"\x62\1\x53", b"\x60\1\0\4"]),
        st.binary(max_size=20),
    ),
    st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([b"\0\0\0\0\1\xff\1\1", b"\0\0\0\4\1\x32\1\1"]),
        st.binary(max_size=20),
    ),
)
packet = st.one_of(
    st.builds(
        rtp,
        payload,
        st.integers(0, 40),
        st.integers(0, 4),
        marker=st.booleans(),
        kind=st.just(96),
        ssrc=st.integers(1, 2),
    ),
    st.binary(max_size=40),
)


@settings(deadline=None)
@given(depacketisers, st.lists(packet, max_size=60), st.lists(st.integers(0, 3), max_size=60))
def test_frames(make: object, packets: list[bytes], channels: list[int]) -> None:
    depacketiser: Depacketiser = make()  # type: ignore[operator]
    receiver = RtpReceiver(depacketiser, (96,))
    data = b"".join(
        interleave([packet], channels[index] if index < len(channels) else 0)
        for index, packet in enumerate(packets)
    )
    assert receiver.frames(data, 0) == len(data)
    assert receiver.lost >= 0
    assert receiver.packets <= len(packets)
    if depacketiser.keyframe is not None:
        assert len(depacketiser.keyframe) <= MAX_KEYFRAME + 1_000_000


@settings(deadline=None)
@given(depacketisers, st.lists(packet, max_size=120))
def test_datagrams(make: object, packets: list[bytes]) -> None:
    receiver = RtpReceiver(make(), (96,), reorder=True)  # type: ignore[operator]
    for data in packets:
        receiver.datagram(data)
        receiver.control(data)
        assert len(receiver._held) <= 33


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_as_frames(data: bytes, at: int) -> None:
    end = RtpReceiver(None, (96,)).frames(data, min(at, len(data)))
    assert at <= end <= len(data) or end == min(at, len(data))


@given(
    st.lists(st.integers(-(2**40), 2**40), max_size=200),
    st.sampled_from([1000, 90000]),
    st.sampled_from([None, 25.0]),
)
def test_frame_rate(times: list[int], clock_rate: int, declared: float | None) -> None:
    found = measured_fps(times, clock_rate, declared)
    assert found is None or found >= 0


class PacketByPacket(RtpReceiver):
    """Without the short cut for runs of equally long fragments."""

    __slots__ = ()

    def _run(self, data: bytes, at: int, stride: int, fragments: list[bytes]) -> int:
        return 0


spoilt = st.tuples(st.integers(0, 5000), st.integers(0, 255))


@settings(deadline=None)
@given(
    st.sampled_from(["h264", "h265"]),
    st.integers(0, 0xFFFF),
    st.integers(300, 6000),
    st.integers(20, 120),
    st.booleans(),
    st.lists(spoilt, max_size=4),
    st.integers(0, 3000),
)
@example("h264", 250, 5000, 50, True, [], 1000)
@example("h264", 250, 5000, 50, False, [], 1000)
def test_a_run_of_fragments_is_what_its_packets_are(
    codec: str, first: int, size: int, part: int, key: bool, changes: list[tuple[int, int]], cut: int
) -> None:
    kind = {("h264", True): b"\x65", ("h264", False): b"\x41", ("h265", True): b"\x26\1"}.get(
        (codec, key), b"\2\1"
    )
    unit = kind + b"\x88" + bytes(1 + n % 255 for n in range(size))
    sets = [b"\x67\x42\xc0\x1e\xd9\0\xa0\x47\xfe\x88", b"\x68\xce\x38\x80"] if codec == "h264" else []
    parts = [*sets, *fragment(codec, unit, part)]
    packets = [
        rtp(each, first + number & 0xFFFF, 9000, marker=number == len(parts) - 1)
        for number, each in enumerate(parts)
    ]
    data = bytearray(interleave(packets))
    for at, value in changes:
        data[at % len(data)] = value
    outcomes = []
    for receiver in (RtpReceiver, PacketByPacket):
        depacketiser = H264Depacketiser() if codec == "h264" else H265Depacketiser()
        one = receiver(depacketiser, (96,))
        whole, at = bytes(data), 0
        for end in (min(cut, len(whole)), len(whole)):
            at = one.frames(whole[:end], at)
        outcomes.append((at, one.packets, one.bytes, one.lost, one.times, depacketiser.keyframe, one.ended))
    assert outcomes[0] == outcomes[1]
