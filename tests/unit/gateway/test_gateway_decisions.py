"""Preflight, limits, streams and tiles, settings: what is decided without a network."""

from __future__ import annotations

import pytest

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import InvalidInputError, LimitError
from sharpeyes.domain.organisation import Tier
from sharpeyes.gateway.picture import StreamFacts
from sharpeyes.gateway.preflight import (
    Burned,
    How,
    NotViewable,
    Viewable,
    judge,
    preflight,
    video_offered,
)
from sharpeyes.gateway.seats import Seat, Seats
from sharpeyes.gateway.sender import gso_works
from sharpeyes.gateway.settings import IceSettings, Limits
from sharpeyes.gateway.source import stream_for

OFFER = """v=0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 102 103 106 116
a=rtpmap:96 VP8/90000
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f
a=rtpmap:116 H265/90000
m=video 9 UDP/TLS/RTP/SAVPF 120
a=rtpmap:120 AV1/90000
"""


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (StreamFacts(codec="h264", profile="640028"), 106),
        (StreamFacts(codec="h264", profile="4d0028"), 103),
        (StreamFacts(codec="h264", profile="42c01e"), 103),
        (StreamFacts(codec="h264"), 103),
        (StreamFacts(codec="h265"), 116),
        (StreamFacts(codec="h264", profile="640028", b_frames=True), 103),  # coded anew: Baseline
        (StreamFacts(codec="jpeg"), "codec"),
    ],
)
def test_what_this_browser_can_show(facts: StreamFacts, wanted: int | str) -> None:
    answer = preflight(facts, video_offered(OFFER))
    if isinstance(answer, Viewable):
        assert answer.offered.payload_type == wanted
    else:
        assert answer.reason == wanted


@pytest.mark.parametrize(
    ("facts", "decodes", "burned", "free", "how", "why"),
    [
        ("h264", {"h264"}, Burned(), True, How.PASSTHROUGH, ()),
        ("h265", {"h264", "h265"}, Burned(), True, How.PASSTHROUGH, ()),
        ("h265", {"h264"}, Burned(), True, How.TRANSCODE, ("codec",)),
        ("h265", {"h264"}, Burned(transcode=False), True, How.CANNOT, ("codec", "policy")),
        ("h265", {"h264"}, Burned(), False, How.CANNOT, ("codec", "capacity")),
        ("h264", {"h264"}, Burned(), False, How.PASSTHROUGH, ()),
        ("h264+b", {"h264"}, Burned(), True, How.TRANSCODE, ("b_frames",)),
        ("h264+b", {"h264"}, Burned(transcode=False), True, How.CANNOT, ("b_frames", "policy")),
        ("h264", {"h264"}, Burned(masks=True, transcode=False), True, How.TRANSCODE, ("mask",)),
        ("h264", {"h264"}, Burned(masks=True, watermark=True), True, How.TRANSCODE, ("mask", "watermark")),
        ("h264", {"h264"}, Burned(watermark=True), False, How.CANNOT, ("watermark", "capacity")),
        ("h265", {"h265"}, Burned(masks=True), True, How.CANNOT, ("mask", "codec")),
        ("h264", set(), Burned(), True, How.CANNOT, ("codec",)),
        ("jpeg", {"h264"}, Burned(), True, How.CANNOT, ("codec",)),
    ],
)
def test_what_is_said_beforehand(
    facts: str, decodes: set[str], burned: Burned, free: bool, how: How, why: tuple[str, ...]
) -> None:
    codec, _, reordered = facts.partition("+")
    verdict = judge(StreamFacts(codec=codec, b_frames=bool(reordered)), decodes, burned, free=free)
    assert (verdict.how, verdict.why) == (how, why)
    assert verdict.message or how is How.PASSTHROUGH or set(why) & {"mask", "watermark"}


def test_what_it_cannot_is_said_with_the_reason() -> None:
    without = video_offered(OFFER.replace("H265", "VP9").replace("packetization-mode=1", "x=1"))
    for codec in ("h264", "h265"):
        answer = preflight(StreamFacts(codec=codec), without)
        assert isinstance(answer, NotViewable)
        assert answer.message.startswith("The camera sends H.26")
    for junk in ("", "m=video", "m=video 9 x y z\na=rtpmap:1000 H264/90000", "m=audio 9 RTP/AVP 0\n"):
        answer = preflight(StreamFacts(codec="h264"), video_offered(junk))
        assert isinstance(answer, NotViewable)
        assert answer.reason == "no_video"


def test_limits_name_who_is_at_theirs_and_a_refusal_counts_nothing() -> None:
    seats = Seats(Limits(user=2, department=3, camera=4, gateway=5))
    taken = [Seat("u1", "d1", "c1"), Seat("u1", "d1", "c1"), Seat("u2", "d1", "c1")]
    for seat in taken:
        seats.take(seat)
    for seat, name in (
        (Seat("u1", "d2", "c2"), "one user"),
        (Seat("u3", "d1", "c2"), "one department"),
    ):
        with pytest.raises(LimitError, match=name):
            seats.take(seat)
    seats.take(Seat("u3", "d2", "c1"))
    with pytest.raises(LimitError, match="one camera"):
        seats.take(Seat("u4", "d2", "c1"))
    seats.take(Seat("u4", "d2", "c2"))
    with pytest.raises(LimitError, match="this gateway"):
        seats.take(Seat("u5", "d3", "c3"))
    assert len(seats) == 5
    seats.give_back(taken[0])
    seats.take(Seat("u1", "d3", "c3"))


def test_small_tiles_get_the_sub_stream() -> None:
    camera = Camera(
        id="c",
        name="c",
        tier=Tier.COMMUNITY,
        department="d",
        area="a",
        zone="z",
        streams=(
            Stream(role=StreamRole.MAIN, url="rtsp://h/main", width=1920),
            Stream(role=StreamRole.SUB, url="rtsp://h/sub", width=640),
        ),
    )
    assert [stream_for(camera, tile).role for tile in (None, 320, 800, 801)] == ["main", "sub", "sub", "main"]


def test_a_range_of_ports_is_a_range() -> None:
    IceSettings(ports=(50_000, 50_000))
    for ports in ((50_001, 50_000), (0, 5), (5, 70_000)):
        with pytest.raises(InvalidInputError, match="range"):
            IceSettings(ports=ports)


def test_the_self_test_runs_and_says_what_it_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sharpeyes.gateway.sender")
    gso_works.cache_clear()
    works = gso_works()
    (record,) = caplog.records
    assert ("segmentation offload" in record.message) is works
