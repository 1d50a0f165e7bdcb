"""RTSP from strangers: only typed exceptions, no unbounded buffer, the same however it is split."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.wire.rtsp.dialogue import Described, Dialogue, Ended, Ready
from sharpeyes.wire.rtsp.digest import Authenticator, parse_challenges
from sharpeyes.wire.rtsp.message import Message, MessageReader, RtspSyntaxError
from sharpeyes.wire.rtsp.url import mask, parse_url

CORPUS = sorted((Path(__file__).parent / "corpus" / "rtsp").iterdir())
URL, _ = parse_url("rtsp://cam/live")
DESCRIPTION = b"Content-Length: 52\r\n\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=x:y\r\n"
WORDS = [
    *(b"RTSP/1.0 200 OK\r\n", b"RTSP/1.0 401 No\r\n", b"RTSP/1.0 302 Moved\r\n", b"RTSP/1.0 461 No\r\n"),
    *(
        b"CSeq: 1\r\n",
        b"CSeq: 2\n",
        b"\r\n",
        b"\n",
        b"\n\n",
        b" folded\r\n",
        b"Content-Length: 3\r\n",
        b"abc",
    ),
    *(
        b"Content-Length: 99999999\r\n",
        b"Session: a;timeout=1\r\n",
        b"Transport: RTP/AVP/TCP;interleaved=0-1\r\n",
    ),
    *(
        b'WWW-Authenticate: Digest realm="x", nonce="y"\r\n',
        b"Location: rtsp://cam/x\r\n",
        b"Content-Base: x\r\n",
    ),
    *(
        b"OPTIONS * RTSP/1.0\r\n",
        b"TEARDOWN * RTSP/1.0\r\n",
        b"$\x00\x00\x02ab",
        b"$\x01\xff\xff",
        b"RTSP/1.",
        b"R",
    ),
    *(DESCRIPTION, b"\xff\x00\x80"),
]
stream = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=12)), max_size=30).map(b"".join)


def read(pieces: list[bytes], reader: MessageReader | None = None) -> tuple[list[object], bool]:
    reader = reader or MessageReader()
    found: list[object] = []
    for piece in pieces:
        try:
            found += reader.feed(piece)
        except RtspSyntaxError:
            return found, True
        assert reader.pending <= 64 * 1024 + 16 * 1024 + 4 + len(piece)
    return found, False


@settings(deadline=None)
@given(stream, st.data())
def test_reading_does_not_depend_on_how_bytes_arrive(data: bytes, draw: st.DataObject) -> None:
    whole, broken = read([data])
    cut = draw.draw(st.integers(0, len(data)))
    for pieces in ([data[:cut], data[cut:]], [data[at : at + 1] for at in range(len(data))]):
        found, broken_too = read(pieces)
        if not broken:
            assert (found, broken_too) == (whole, False)


class LineByLine(MessageReader):
    """Without the short cut for heads that are written plainly."""

    __slots__ = ()

    def _plain_message(self, data: bytes, at: int, messages: list[Message]) -> int:
        return 0


LINES = [
    *("RTSP/1.0 200 OK", "RTSP/1.0 200", "RTSP/1.0 200 ", "RTSP/1.0  200 OK", "RTSP/1.0 401 Not  so\t"),
    *(
        "OPTIONS * RTSP/1.0",
        "OPTIONS  * RTSP/1.0",
        "GET_PARAMETER rtsp://a/\x80 RTSP/1.0",
        "options * RTSP/1.0",
    ),
    *(
        "CSeq: 1",
        "CSeq:1",
        "cseq:  2 ",
        "CSeq : 3",
        ": x",
        "x",
        "",
        " folded",
        "A: b: c",
        "A:",
        "A:\tb",
        "A: \x7f",
    ),
    *(
        "Content-Length: 3",
        "Content-Length: 03",
        "content-length:",
        "Content-Lenght: 2",
        "Content-Length: +3",
    ),
    *("Content-Length: 3x", "Content-Length: 00000000003", "Content-Length: 65537", "Content-Length: ٣"),
    *("CONTENT-LENGTH: 2", "Session: 7;timeout=60", "Ä: ö", "abc"),
]
message = st.builds(
    lambda lines, ends: b"".join(line.encode() + end for line, end in zip(lines, ends, strict=False)),
    st.lists(st.sampled_from(LINES), min_size=1, max_size=8),
    st.lists(st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r\n\r\n", b"\r", b" \r\n"]), min_size=8, max_size=8),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.one_of(message, stream), max_size=6).map(b"".join), st.integers(0, 300))
@example(b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 65 + b"\r\n", 0)
@example(b"RTSP/1.0 200 OK\r\nA: " + b"b" * 16400 + b"\r\n\r\n", 0)
@example(b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\ncontent-length: 1\r\n\r\nabc", 60)
def test_plain_messages_mean_what_they_mean_line_by_line(data: bytes, cut: int) -> None:
    for pieces in ([data], [data[:cut], data[cut:]]):
        assert read(pieces) == read(pieces, LineByLine())


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_corpus_is_read_alike_line_by_line(file: Path) -> None:
    assert read([file.read_bytes()]) == read([file.read_bytes()], LineByLine())


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_corpus(file: Path) -> None:
    data = file.read_bytes()
    whole = read([data])
    for cut in range(1, min(len(data), 4000)):
        assert read([data[:cut], data[cut:]]) == whole


@settings(deadline=None)
@given(st.lists(stream, max_size=8), st.sampled_from(list(Transport)), st.booleans())
@example([WORDS[0] + DESCRIPTION + b"TEARDOWN * RTSP/1.0\r\n\r\n"], Transport.TCP, False)
def test_a_dialogue_ends_in_values_whatever_is_said(
    answers: list[bytes], transport: Transport, withhold: bool
) -> None:
    dialogue = Dialogue(
        URL, Credentials("u", Secret("hush-hush")), cnonce="c", allow_basic=False, withhold=withhold
    )
    dialogue.start()
    sent = dialogue.outgoing()
    for answer in answers:
        for event in dialogue.feed(answer):
            if isinstance(event, Described):
                dialogue.set_up(transport, (5000, 5001))
            elif isinstance(event, Ready):
                dialogue.play()
            elif isinstance(event, Ended):
                assert dialogue.ended
        sent += dialogue.outgoing()
    dialogue.keep_alive()
    dialogue.tear_down()
    sent += dialogue.outgoing()
    assert sent.count(b"Authorization: ") <= 12
    assert b"hush-hush" not in sent
    assert "hush-hush" not in "".join(dialogue.transcript)
    assert all(len(line) <= 300 and line.isprintable() for line in dialogue.transcript)
    with suppress(RtspSyntaxError):
        MessageReader().feed(sent)  # what we say is RTSP, whatever we were told


@given(st.lists(st.text(max_size=80), max_size=10))
@example(['Digest realm="' + "\\" * 79])
def test_challenges(values: list[str]) -> None:
    assert len(parse_challenges(values)) <= 8
    auth = Authenticator(Credentials("u", Secret("p")), cnonce="c", allow_basic=True)
    for _ in range(4):
        auth.challenged(values, again=False)
        auth.authorize("PLAY", "rtsp://cam/")


@given(st.text(max_size=60), st.sampled_from(["", "rtsp://", "rtsp://u:secret-word@", "rtsps://["]))
def test_urls(text: str, start: str) -> None:
    mask(start + text)
    try:
        target, _ = parse_url(start + text)
    except InvalidInputError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert parse_url(target.text) == (target, None)
    assert "secret-word" not in refusal
