"""Session descriptions from strangers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpeyes.wire.sdp import Description, SdpSyntaxError, _read, parse_sdp, resolve_control
from sharpeyes.wire.video import choose_track

CORPUS = sorted((Path(__file__).parent / "corpus" / "sdp").iterdir())
WORDS = [
    *("v=0", "m=video 0 RTP/AVP 96", "m=video", "m=audio 0 RTP/AVP 0", "m=video 0 RTP/AVP 26 96 999 -1 x"),
    *(
        "a=rtpmap:96 H264/90000",
        "a=rtpmap:96 H265/",
        "a=rtpmap:x",
        "a=rtpmap:96 JPEG/٣",
        "a=control:*",
        "a=control",
    ),
    *("a=fmtp:96 sprop-parameter-sets=Z2QAKqwsaoHgCJ8,aO4=", "a=fmtp:96 sprop-sps=====;sprop-max-don-diff=²"),
    *(
        "a=framerate:25.0",
        "a=framerate:1e99",
        "a=framerate:٢٥",
        "a=framesize:26 1-1",
        "a=x-dimensions:9,9",
        "",
        "=",
        "a=",
    ),
]
body = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=20)), max_size=20).map("\r\n".join)


def take(data: bytes) -> None:
    try:
        found = parse_sdp(data)
    except SdpSyntaxError:
        return
    for media in found.media:
        track = choose_track(media)
        resolve_control("rtsp://c/x", media.control)
        receiver = track.receiver()
        assert track.format.clock_rate > 0
        assert track.fps(receiver) is None or 0 < (track.fps(receiver) or 0) <= 1000


@settings(deadline=None)
@given(st.one_of(body.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=300)))
def test_any_text(data: bytes) -> None:
    take(data)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_corpus_cut_and_damaged(file: Path) -> None:
    data = file.read_bytes()
    for at in range(len(data)):
        take(data[:at])
        take(data[:at] + b"\xff" + data[at + 1 :])
        take(data[:at] + data[at + 1 :])


ORIGINS = ["o=- 1 1 IN IP4 10.0.0.1", "o=", "o", " o=x", "o=\x00ä"]


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*WORDS, *ORIGINS]), st.text(max_size=20)), max_size=20))
def test_what_is_remembered_is_what_would_be_read(lines: list[str]) -> None:
    body = "\n".join(["v=0", *lines]).encode("utf-8", "replace")
    read = _outcome(_read, body)
    assert _outcome(parse_sdp, body) == read
    assert _outcome(parse_sdp, body.replace(b"10.0.0.1", b"10.0.0.22")) == _outcome(
        _read, body.replace(b"10.0.0.1", b"10.0.0.22")
    )


def _outcome(parse: Callable[[bytes], Description], body: bytes) -> Description | str:
    try:
        return parse(body)
    except SdpSyntaxError as error:
        return str(error)
