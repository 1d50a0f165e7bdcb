"""The client's side of a dialogue without a socket: what a gateway needs beyond what a probe shows."""

from __future__ import annotations

import pytest

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.health import FailureKind, Phase
from sharpeyes.wire.rtsp.dialogue import Described, Dialogue, Ended, Playing, Ready
from sharpeyes.wire.rtsp.message import Interleaved, MessageReader, Request
from sharpeyes.wire.rtsp.url import parse_url

SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:t0\r\n"
URL, _ = parse_url("rtsp://cam/live")
SCRIPT = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP,
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: abc;timeout=30\r\n"
    b"Transport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: abc\r\n\r\n",
]


def playing() -> Dialogue:
    dialogue = Dialogue(URL, cnonce="c")
    dialogue.start()
    assert isinstance(dialogue.feed(SCRIPT[0])[0], Described)
    dialogue.set_up(Transport.TCP)
    assert dialogue.feed(SCRIPT[1]) == [Ready(Transport.TCP, 4, None)]
    dialogue.play()
    assert dialogue.feed(SCRIPT[2]) == [Playing()]
    dialogue.outgoing()
    return dialogue


def sent(dialogue: Dialogue) -> list[Request]:
    found = MessageReader().feed(dialogue.outgoing())
    assert all(isinstance(message, Request) for message in found)
    return found  # type: ignore[return-value]


def test_frames_come_as_events_without_a_sink_and_go_to_the_sink_with_one() -> None:
    dialogue = playing()
    assert dialogue.feed(b"$\x04\x00\x02ab$\x05\x00\x01c") == [Interleaved(4, b"ab"), Interleaved(5, b"c")]
    seen: list[tuple[bytes, int]] = []

    def sink(data: bytes, at: int) -> int:
        seen.append((data, at))
        return len(data)

    dialogue.sink = sink
    assert dialogue.feed(b"$\x04\x00\x02ab") == []
    assert seen == [(b"$\x04\x00\x02ab", 0)]


def test_keep_alive_falls_back_to_options() -> None:
    dialogue = playing()
    assert dialogue.session_timeout_s == 30
    dialogue.keep_alive()
    (request,) = sent(dialogue)
    assert (request.method, request.headers.get("session")) == ("GET_PARAMETER", "abc")
    dialogue.feed(b"RTSP/1.0 405 Method Not Allowed\r\nCSeq: 4\r\n\r\n")
    dialogue.keep_alive()
    assert [request.method for request in sent(dialogue)] == ["OPTIONS"]
    assert dialogue.feed(b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n") == []


def test_a_session_that_is_gone_ends_the_dialogue() -> None:
    dialogue = playing()
    dialogue.keep_alive()
    (event,) = dialogue.feed(b"RTSP/1.0 454 Session Not Found\r\nCSeq: 4\r\n\r\n")
    assert isinstance(event, Ended)
    assert event.failure.kind is FailureKind.CLOSED


def test_keep_alives_that_are_never_answered_are_bounded() -> None:
    dialogue = playing()
    for _ in range(100):
        dialogue.keep_alive()
    assert len(sent(dialogue)) <= 8


def test_tear_down_gives_the_session_back_and_ends() -> None:
    dialogue = playing()
    dialogue.tear_down()
    (request,) = sent(dialogue)
    assert (request.method, request.headers.get("session")) == ("TEARDOWN", "abc")
    assert dialogue.feed(SCRIPT[2]) == []
    dialogue.tear_down()
    assert dialogue.outgoing() == b""


def test_out_of_turn_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError):
        playing().start()


def test_what_is_asked_for_after_the_end_is_not_sent() -> None:
    dialogue = Dialogue(URL, cnonce="c")
    dialogue.start()
    described, ended = dialogue.feed(SCRIPT[0] + b"TEARDOWN * RTSP/1.0\r\nCSeq: 9\r\n\r\n")
    assert isinstance(described, Described)
    assert isinstance(ended, Ended)
    dialogue.outgoing()
    dialogue.set_up(Transport.TCP)  # as the user does who takes one event after the other
    assert dialogue.outgoing() == b""
    assert dialogue.ended


def test_hostile_headers_cannot_begin_a_line_of_ours() -> None:
    dialogue = Dialogue(URL, cnonce="c")
    dialogue.start()
    body = SDP.replace(b"a=control:t0", b"a=control:t0\x01 HTTP\x0b")
    answer = SCRIPT[0].replace(b"%d" % len(SDP), b"%d" % len(body), 1).replace(SDP, body)
    dialogue.feed(answer)
    dialogue.set_up(Transport.TCP)
    dialogue.feed(SCRIPT[1].replace(b"abc", b"a\x00b\rX: y"))
    dialogue.play()
    requests = sent(dialogue)
    assert [request.method for request in requests] == ["DESCRIBE", "SETUP", "PLAY"]
    assert requests[1].uri == "rtsp://cam/live/t0%20HTTP"
    assert requests[2].headers.get("session") == "abX: y"


def test_failures_are_counted_to_the_phase() -> None:
    dialogue = Dialogue(URL, cnonce="c")
    dialogue.start()
    dialogue.feed(SCRIPT[0])
    dialogue.set_up(Transport.UDP, (5000, 5001))
    (event,) = dialogue.feed(b"RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: 2\r\n\r\n")
    assert isinstance(event, Ended)
    assert (event.failure.phase, event.failure.kind) == (Phase.SETUP, FailureKind.BUSY)


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001", (6000, 6001)),
        ("RTP/AVP;unicast;client_port=5000-5001;server_port=6000", (6000, 6001)),
        ("RTP/AVP/UDP;unicast;source=10.9.9.9;server_port=6000-6001;ssrc=1", (6000, 6001)),
        ("RTP/AVP;unicast;server_port=99999-100000", None),
        ("RTP/AVP;unicast", None),
        ("", None),
    ],
)
def test_server_ports(transport: str, expected: tuple[int, int] | None) -> None:
    dialogue = Dialogue(URL, cnonce="c")
    dialogue.start()
    dialogue.feed(SCRIPT[0])
    dialogue.set_up(Transport.UDP, (5000, 5001))
    (event,) = dialogue.feed(b"RTSP/1.0 200 OK\r\nSession: 1\r\nTransport: %b\r\n\r\n" % transport.encode())
    assert event == Ready(Transport.UDP, 0, expected)


def test_the_transcript_is_bounded_and_printable() -> None:
    dialogue = playing()
    for number in range(1000):
        dialogue.feed(b"OPTIONS \x1b[31mx%d RTSP/1.0\r\nCSeq: 1\r\n\r\n" % number)
        dialogue.outgoing()
    assert len(dialogue.transcript) <= 200
    assert all(line.isprintable() and len(line) <= 300 for line in dialogue.transcript)
