"""RTSP messages as cameras send them: one table for reading, splitting and printing."""

from __future__ import annotations

import pytest

from sharpeyes.wire.rtsp.message import (
    Headers,
    Interleaved,
    Limits,
    MessageReader,
    Request,
    Response,
    RtspSyntaxError,
)

OK = Response(200, "OK", Headers([("CSeq", "2")]))


def response(*headers: tuple[str, str], body: bytes = b"", status: int = 200, reason: str = "OK") -> Response:
    return Response(status, reason, Headers(headers), body)


# (who sends it, bytes, what they mean)
MUSEUM = [
    ("RFC 2326", b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n", [OK]),
    ("LF alone", b"RTSP/1.0 200 OK\nCSeq: 2\n\n", [OK]),
    ("LF and CRLF mixed", b"RTSP/1.0 200 OK\r\nCSeq: 2\n\r\n", [OK]),
    ("blank lines before", b"\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n", [OK]),
    ("no reason phrase", b"RTSP/1.0 200\r\nCSeq: 2\r\n\r\n", [response(("CSeq", "2"), reason="")]),
    ("RTSP/2.0 server", b"RTSP/2.0 200 OK\r\nCSeq: 2\r\n\r\n", [OK]),
    (
        "oddly cased Content-Length (yellowstone PR 17)",
        b"RTSP/1.0 200 OK\r\ncontent-length:3\r\n\r\nabc",
        [response(("content-length", "3"), body=b"abc")],
    ),
    (
        "misspelled Content-Length",
        b"RTSP/1.0 200 OK\r\nContent-Lenght: 3\r\n\r\nabc",
        [response(("Content-Lenght", "3"), body=b"abc")],
    ),
    (
        "Content-Length with a tail",
        b"RTSP/1.0 200 OK\r\nContent-Length: 3 \t\r\n\r\nabc",
        [response(("Content-Length", "3"), body=b"abc")],
    ),
    (
        "Content-Length too small: the rest of the body is no message",
        b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nv=0\r\nm=video 0 RTP/AVP 96\r\n"
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n",
        [response(("Content-Length", "5"), body=b"v=0\r\n"), OK],
    ),
    (
        "folded header",
        b'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest\r\n realm="x"\r\n\r\n',
        [response(("WWW-Authenticate", 'Digest realm="x"'), status=401, reason="Unauthorized")],
    ),
    ("a line without a colon", b"RTSP/1.0 200 OK\r\nnonsense\r\nCSeq: 2\r\n\r\n", [OK]),
    (
        "bytes that are no UTF-8",
        b"RTSP/1.0 200 OK\r\nServer: \xb0\xd7\r\n\r\n",
        [response(("Server", "\udcb0\udcd7"))],
    ),
    (
        "frames around and between",
        b"$\x00\x00\x02ab$\x01\x00\x00RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n$\x02\x00\x01c",
        [Interleaved(0, b"ab"), Interleaved(1, b""), OK, Interleaved(2, b"c")],
    ),
    (
        "stale bytes of an old session before the answer (retina #17, old live555)",
        b"\x80\x60\x12\x34junk\xff\xfeRTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n",
        [OK],
    ),
    (
        "a server that asks",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n",
        [Request("OPTIONS", "*", Headers([("CSeq", "7")]))],
    ),
]
IDS = [row[0] for row in MUSEUM]


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in MUSEUM], ids=IDS)
def test_reads(data: bytes, expected: list[object]) -> None:
    assert MessageReader().feed(data) == expected


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in MUSEUM], ids=IDS)
def test_reads_the_same_however_it_is_split(data: bytes, expected: list[object]) -> None:
    for cut in range(1, len(data)):
        reader = MessageReader()
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == expected, cut
    reader = MessageReader()
    assert [message for byte in data for message in reader.feed(bytes((byte,)))] == expected
    assert reader.pending == 0


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in MUSEUM], ids=IDS)
def test_what_is_printed_reads_as_the_same(data: bytes, expected: list[Response]) -> None:
    printed = b"".join(message.encode() for message in expected)
    again = MessageReader().feed(printed)
    assert [type(m) for m in again] == [type(m) for m in expected]
    assert [getattr(m, "body", b"") for m in again] == [getattr(m, "body", b"") for m in expected]


def test_headers_are_a_case_insensitive_multimap() -> None:
    headers = Headers([("WWW-Authenticate", "Basic"), ("www-authenticate", "Digest"), ("CSeq", "1")])
    assert headers.get("Www-Authenticate") == "Basic"
    assert headers.get_all("WWW-AUTHENTICATE") == ["Basic", "Digest"]
    assert "cseq" in headers
    assert headers.get("Session") is None
    headers.add("Session", "7")
    assert headers.get("session") == "7"


def test_a_repr_shows_no_values() -> None:
    request = Request("DESCRIBE", "rtsp://a/", Headers([("Authorization", "Basic c2VjcmV0")]))
    assert "c2VjcmV0" not in repr(request)


@pytest.mark.parametrize(
    "message",
    [
        Request("DESCRIBE", "rtsp://a/\r\nX: y"),
        Request("DESCRIBE", "rtsp://a/ b"),
        Request("DE SCRIBE", "rtsp://a/"),
        Response(200, "OK\nX: y"),
        Response(200, "OK", Headers([("X", "a\r\nY: b")])),
        Response(200, "OK", Headers([("X", "\ud800")])),
    ],
)
def test_nothing_is_written_that_would_begin_another_line(message: Request | Response) -> None:
    with pytest.raises(RtspSyntaxError):
        message.encode()


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 65, "response > headers"),
        (b"RTSP/1.0 200 OK\r\nA: " + b"b" * 20_000, "response > head"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 65537\r\n", "response > body"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 9999999999999\r\n", "response > header > content-length"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n", "response > header > content-length"),
        (b"HTTP/1.1 400 Bad Request\r\n" * 4000, "connection > message"),
    ],
    ids=["headers", "head", "body", "huge number", "negative", "not RTSP"],
)
def test_limits_hold_whole_and_byte_by_byte(data: bytes, path: str) -> None:
    data += b"\r\n"
    with pytest.raises(RtspSyntaxError) as caught:
        MessageReader().feed(data)
    assert caught.value.path == path
    assert str(caught.value.offset) in str(caught.value)
    reader = MessageReader()

    def drip() -> None:
        for at in range(0, len(data), 7):
            reader.feed(data[at : at + 7])
            assert reader.pending <= 82_000

    with pytest.raises(RtspSyntaxError):
        drip()


def test_the_error_points_into_the_connection() -> None:
    reader = MessageReader(Limits(body_bytes=10))
    first = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n"
    reader.feed(first)
    with pytest.raises(RtspSyntaxError) as caught:
        reader.feed(b"RTSP/1.0 200 OK\r\nContent-Length: 11\r\n\r\n")
    assert caught.value.offset == len(first)


def test_frames_go_to_a_sink_in_runs() -> None:
    seen: list[bytes] = []

    def sink(data: bytes, at: int) -> int:
        while len(data) - at >= 4 and data[at] == 0x24:
            end = at + 4 + (data[at + 2] << 8 | data[at + 3])
            if end > len(data):
                break
            seen.append(data[at + 4 : end])
            at = end
        return at

    data = b"$\x00\x00\x01a$\x00\x00\x01bRTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n$\x00\x00\x01c"
    for cut in range(1, len(data)):
        seen.clear()
        reader = MessageReader(sink=sink)
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == [OK]
        assert seen == [b"a", b"b", b"c"]
