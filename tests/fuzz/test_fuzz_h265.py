"""H.265 parameter sets and payloads from strangers."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from rtp_media import encode, fragment
from sharpeyes.wire.h265 import H265Depacketiser, parse_sps
from sharpeyes.wire.nal import BitError


@cache
def units() -> list[bytes]:
    return encode("h265", frames=1).pictures[0]


def changed(at: int, by: bytes) -> bytes:
    """The sequence parameter set with some bytes replaced."""
    sps = units()[1]
    return sps[:at] + by + sps[at + len(by) :]


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=120), st.builds(changed, st.integers(1, 60), st.binary(min_size=1, max_size=3))
    )
)
def test_parameter_sets_are_read_or_refused(data: bytes) -> None:
    try:
        _, geometry = parse_sps(data)
    except BitError:
        return
    assert 0 < geometry.width <= 16384
    assert 0 < geometry.height <= 16384
    assert geometry.fps is None or 0 < geometry.fps <= 480


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.integers(0, 255)), max_size=6),
    st.integers(0, 99),
)
def test_damaged_pictures(changes: list[tuple[int, int, int]], drop: int) -> None:
    payloads = [payload for unit in units() for payload in fragment("h265", unit, 700)]
    depacketiser = H265Depacketiser()
    for index, payload in enumerate(payloads * 2):
        damaged = bytearray(payload)
        for which, at, value in changes:
            if which == index and at < len(damaged):
                damaged[at] = value
        if index == drop:
            depacketiser.gap()
            continue
        depacketiser.payload(bytes(damaged), 0, len(damaged), index // len(payloads), index % 7 == 6)
    assert depacketiser.keyframe is None or depacketiser.keyframe.startswith(b"\0\0\0\1")
