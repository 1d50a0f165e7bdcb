"""RTP and RTCP from strangers, interleaved and in datagrams: nothing raises, nothing grows for ever."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rtp_media import interleave, rtp
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
