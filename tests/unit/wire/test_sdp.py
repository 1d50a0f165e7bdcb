"""Session descriptions as cameras write them."""

from __future__ import annotations

import pytest

from sharpeyes.wire.sdp import Description, SdpSyntaxError, parse_sdp, resolve_control
from sharpeyes.wire.video import choose_track

DAHUA = b"""v=0\r
o=- 2251938210 2251938210 IN IP4 0.0.0.0\r
s=Media Server\r
c=IN IP4 0.0.0.0\r
t=0 0\r
a=control:*\r
a=packetization-supported:DH\r
a=range:npt=now-\r
m=video 0 RTP/AVP 96\r
a=control:trackID=0\r
a=framerate:25.000000\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1;profile-level-id=64002A;sprop-parameter-sets=Z2QAKqwsaoHgCJ8,aO4xshsA\r
a=recvonly\r
m=audio 0 RTP/AVP 97\r
a=control:trackID=1\r
a=rtpmap:97 MPEG4-GENERIC/48000\r
"""
HIKVISION = b"""v=0
o=- 1109162014219182 1109162014219192 IN IP4 x.y.z.w
s=Media Presentation
b=AS:5100
t=0 0
a=control:rtsp://10.0.0.7:554/Streaming/Channels/101/
m=video 0 RTP/AVP 96
a=x-dimensions:1920,1080
a=control:rtsp://10.0.0.7:554/Streaming/Channels/101/trackID=1
a=rtpmap:96 H265/90000
a=fmtp:96 sprop-sps=QgEBAWAAAAMAsAAAAwAAAwB7oAPAgBDlja5JG2a5cB/FiU4=; sprop-pps=RAHA8vA8kAA=
m=application 0 RTP/AVP 107
a=rtpmap:107 vnd.onvif.metadata/90000
"""
# (camera, description, (encoding, control, framerate, size) of the video)
MUSEUM = [
    ("Dahua, framerate with decimals", DAHUA, ("h264", "trackID=0", 25.0, None)),
    (
        "Hikvision, absolute controls, LF",
        HIKVISION,
        ("h265", "rtsp://10.0.0.7:554/Streaming/Channels/101/trackID=1", None, (1920, 1080)),
    ),
    (
        "Axis M-JPEG without rtpmap",
        b"v=0\r\nm=video 0 RTP/AVP 26\r\na=framesize:26 1280-720\r\n",
        ("jpeg", None, None, (1280, 720)),
    ),
    (
        "no v=, no o=, spaces",
        b" m = video 0 RTP/AVP  96 \r\n a = rtpmap:96  h264 / 90000\r\na=framerate: 12.5\r\n",
        ("h264", None, 12.5, None),
    ),
    (
        "fmtp before rtpmap",
        b"m=video 0 RTP/AVP 96\na=fmtp:96 packetization-mode=1\na=rtpmap:96 H264/90000\n",
        ("h264", None, None, None),
    ),
    (
        "session-level framerate",
        b"a=framerate:15\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        ("h264", None, 15.0, None),
    ),
    (
        "two formats, the second understood",
        b"m=video 0 RTP/AVP 98 96\na=rtpmap:98 VP8/90000\na=rtpmap:96 H265/90000\n",
        ("h265", None, None, None),
    ),
    (
        "no rtpmap, but parameter sets",
        b"m=video 0 RTP/AVP 96\na=fmtp:96 sprop-parameter-sets=Z2QA,aO4=\n",
        ("h264", None, None, None),
    ),
    (
        "rtpmap without a payload type in m=",
        b"m=video 0 RTP/AVP\na=rtpmap:96 H264/90000\n",
        ("h264", None, None, None),
    ),
    ("HEVC by its other name", b"m=video 0 RTP/AVP 96\na=rtpmap:96 HEVC/90000\n", ("h265", None, None, None)),
    (
        "audio first",
        b"m=audio 0 RTP/AVP 0\na=control:a\nm=video 0 RTP/AVP 96\na=control:v\na=rtpmap:96 H264/90000\n",
        ("h264", "v", None, None),
    ),
    (
        "two videos: the first",
        b"m=video 0 RTP/AVP 96\na=control:1\na=rtpmap:96 H264/90000\nm=video 0 RTP/AVP 97\na=control:2\n",
        ("h264", "1", None, None),
    ),
    (
        "absurd framerate",
        b"m=video 0 RTP/AVP 96\na=framerate:0\na=rtpmap:96 H264/90000\n",
        ("h264", None, None, None),
    ),
    ("clock rate 0", b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\n", ("h264", None, None, None)),
    (
        "codec that is not understood",
        b"m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n",
        (None, None, None, None),
    ),
    (
        "byte order mark and a zero at the end",
        b"\xef\xbb\xbfv=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\x00",
        ("h264", None, None, None),
    ),
]


def video(body: bytes) -> tuple[object, ...]:
    media = parse_sdp(body).video()
    assert media is not None
    return (choose_track(media).codec, media.control, media.framerate, media.size)


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in MUSEUM], ids=[row[0] for row in MUSEUM])
def test_reads(body: bytes, expected: tuple[object, ...]) -> None:
    assert video(body) == expected
    assert choose_track(parse_sdp(body).video()).format.clock_rate == 90000  # type: ignore[arg-type]


def test_without_video_there_is_none() -> None:
    assert parse_sdp(b"m=audio 0 RTP/AVP 0\n").video() is None
    assert isinstance(parse_sdp(b"m=\n"), Description)


@pytest.mark.parametrize("body", [b"", b"v=0\r\ns=x\r\n", b"a=x\n" * 600, b"m=video 0 RTP/AVP 96\n" * 40])
def test_what_is_no_description_or_too_large_is_refused(body: bytes) -> None:
    with pytest.raises(SdpSyntaxError):
        parse_sdp(body)


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("rtsp://c/live", None, "rtsp://c/live"),
        ("rtsp://c/live/", "*", "rtsp://c/live/"),
        ("rtsp://c/live", "trackID=0", "rtsp://c/live/trackID=0"),
        ("rtsp://c/live/", "trackID=0", "rtsp://c/live/trackID=0"),
        ("rtsp://c/live/", "/trackID=0", "rtsp://c/live/trackID=0"),
        ("rtsp://c/live", "rtsp://10.1.1.1/x/trackID=0", "rtsp://10.1.1.1/x/trackID=0"),
        ("rtsp://c/cam?channel=1&subtype=0", "trackID=0", "rtsp://c/cam?channel=1&subtype=0/trackID=0"),
        ("rtsp://c/cam", "?ctype=video", "rtsp://c/cam?ctype=video"),
    ],
)
def test_controls_are_resolved(base: str, control: str | None, expected: str) -> None:
    assert resolve_control(base, control) == expected
