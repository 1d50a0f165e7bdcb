"""The client's side of an RTSP dialogue (RFC 2326) as a state machine without I/O.

Feed what the connection brings, send what :meth:`Dialogue.outgoing` gives, act on the events::

    dialogue.start()                            DESCRIBE, with authentication and redirects on the same server
    -> Described(track)      dialogue.set_up(...)
    -> Ready(...)            dialogue.play()
    -> Playing()             dialogue.keep_alive() now and then
    -> Ended(failure)        whatever went wrong, whenever

OPTIONS is skipped: it tells nothing that DESCRIBE does not. One request is under way at a time, but for
keep-alives. RTP goes to the ``sink`` if there is one (see :class:`MessageReader`), else it comes as
``Interleaved`` events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, overload

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import Failure, FailureKind, Phase
from sharpeyes.wire.rtsp.digest import Authenticator, Outcome
from sharpeyes.wire.rtsp.message import (
    UNSAFE,
    FrameSink,
    Headers,
    Interleaved,
    Limits,
    MessageReader,
    Request,
    Response,
    RtspSyntaxError,
    encode_request,
)
from sharpeyes.wire.rtsp.url import StreamUrl, mask, parse_url, without_userinfo
from sharpeyes.wire.sdp import Description, SdpSyntaxError, parse_sdp, resolve_control
from sharpeyes.wire.video import Track, choose_track

USER_AGENT = "SharpEyes"
_NAMED = ("User-Agent", USER_AGENT)
_MAX_REDIRECTS = 3
_MAX_REQUESTS = 64  # from server to client, and stray answers, over one dialogue before PLAY
_MAX_TRANSCRIPT = 200
_MAX_LINE = 300
_DIGITS = re.compile(r"[0-9]{1,9}")
_PAIR = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")
_TIMEOUT = re.compile(r"timeout\s*=\s*([0-9]{1,6})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class State(Enum):
    """Where a dialogue stands."""

    NEW = "new"
    DESCRIBING = "describing"
    DESCRIBED = "described"
    SETTING_UP = "setting up"
    READY = "ready"
    STARTING = "starting"
    PLAYING = "playing"
    ENDED = "ended"


# What may be asked in which state, and the state until the answer comes.
_REQUESTS = {
    (State.NEW, "DESCRIBE"): State.DESCRIBING,
    (State.DESCRIBED, "SETUP"): State.SETTING_UP,
    (State.READY, "PLAY"): State.STARTING,
}
_PHASES = {
    State.NEW: Phase.DESCRIBE,
    State.DESCRIBING: Phase.DESCRIBE,
    State.DESCRIBED: Phase.SETUP,
    State.SETTING_UP: Phase.SETUP,
    State.READY: Phase.PLAY,
    State.STARTING: Phase.PLAY,
    State.PLAYING: Phase.MEDIA,
    State.ENDED: Phase.MEDIA,
}
_KINDS = {
    403: FailureKind.RTSP_STATUS,
    404: FailureKind.NOT_FOUND,
    453: FailureKind.BUSY,
    454: FailureKind.NOT_FOUND,
    503: FailureKind.BUSY,
}
_MEANINGS = {
    FailureKind.NOT_FOUND: "the camera does not know this stream",
    FailureKind.BUSY: "the camera has no session free for one more viewer",
    FailureKind.RTSP_STATUS: "the camera refuses",
}


@dataclass(frozen=True, slots=True)
class Described:
    """The stream exists and has video."""

    track: Track


@dataclass(frozen=True, slots=True)
class Ready:
    """A session stands; nothing flows yet, or should not."""

    transport: Transport
    channel: int
    """Interleaved channel of RTP (TCP)."""
    server_ports: tuple[int, int] | None
    """RTP and RTCP ports of the server (UDP), if it told them."""


@dataclass(frozen=True, slots=True)
class TransportRefused:
    """461: not this way. :meth:`Dialogue.set_up` may be called again with the other transport."""


@dataclass(frozen=True, slots=True)
class Playing:
    """The server says that it sends."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The stream is at another port of the same host: connect there with another dialogue."""

    url: StreamUrl


@dataclass(frozen=True, slots=True)
class Ended:
    """The dialogue is over, by this failure."""

    failure: Failure


Event = Described | Ready | TransportRefused | Playing | Moved | Ended | Interleaved


Said: TypeAlias = str | Response | tuple[str, str, str | None]
"""A line of a transcript, unwritten: as it came; an answer; method, URI and authentication of a request."""


class Transcript(Sequence[str]):
    """Lines without secrets, each at most 300 characters; written out when somebody reads them.

    Of most probes nobody ever does, and writing them would be a tenth of their cost.
    """

    __slots__ = ("_lines", "_said")

    def __init__(self, said: Sequence[Said] = ()) -> None:
        self._said = said
        self._lines: tuple[str, ...] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        if self._lines is None:
            self._lines, self._said = tuple(_line(each) for each in self._said), ()
        return self._lines

    def __len__(self) -> int:
        return len(self.lines) if self._lines is not None else len(self._said)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.lines[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transcript | tuple) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.lines)


@dataclass(slots=True)
class _Pending:
    method: str
    uri: str
    headers: tuple[tuple[str, str], ...]
    refreshed: bool = False


class Dialogue:
    """One session on one stream. Nothing here raises on what a server sends: it ends in :class:`Ended`.
    What is asked for after the end is not sent.

    ``credentials`` are kept back if ``withhold``: a 401 then ends the dialogue, and the account cannot be
    locked by one more attempt. ``cnonce`` is this side's randomness for digests. ``redirects`` counts those
    followed before, by an earlier dialogue on behalf of the same attempt; ``auth`` is the :attr:`challenged`
    of one.
    """

    def __init__(
        self,
        url: StreamUrl,
        credentials: Credentials | None = None,
        *,
        cnonce: str,
        allow_basic: bool = False,
        withhold: bool = False,
        redirects: int = 0,
        auth: Authenticator | None = None,
        sink: FrameSink | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.url = url
        self.state = State.NEW
        self.said: list[Said] = []
        """What :attr:`transcript` is written from. It may hold secrets: for :class:`Transcript` alone."""
        self.answered = False
        """The peer has spoken RTSP."""
        self.redirects = redirects
        self.session_timeout_s = 60.0
        self._credentials = credentials
        self._withhold = withhold
        if auth is None and credentials is not None and not withhold:
            auth = Authenticator(credentials, cnonce=cnonce, allow_basic=allow_basic)
        self._auth = auth
        self._allow_basic = allow_basic
        self._reader = MessageReader(limits, sink=sink)
        self._out: list[bytes] = []
        self._number = 0
        self._pending: _Pending | None = None
        self._alive: dict[int, str] = {}  # keep-alives under way: CSeq -> method
        self._alive_method = "GET_PARAMETER"
        self._session: str | None = None
        self._base = url.text
        self._description: Description | None = None
        self._track: Track | None = None
        self._transport = Transport.TCP
        self._foreign = 0

    # -- what the user asks for

    def start(self) -> None:
        """Ask for the description."""
        self._ask("DESCRIBE", self.url.text, (("Accept", "application/sdp"),))

    def set_up(self, transport: Transport, client_ports: tuple[int, int] = (0, 0)) -> None:
        """Ask for a session on the described track; over UDP to these ports of ours."""
        assert self._track is not None
        uri = _request_uri(self._base, self._track.media.control)
        self._transport = transport
        if transport is Transport.TCP:
            value = "RTP/AVP/TCP;unicast;interleaved=0-1"
        else:
            value = f"RTP/AVP;unicast;client_port={client_ports[0]}-{client_ports[1]}"
        self._ask("SETUP", uri, (("Transport", value),))

    def play(self) -> None:
        """Ask for the media, from now on."""
        assert self._description is not None
        # The aggregate URI; a description without one (RFC 2326 C.3) is played by its own base.
        uri = _request_uri(self._base, self._description.control)
        self._ask("PLAY", uri, (("Range", "npt=0.000-"),))

    def keep_alive(self) -> None:
        """Tell the server that somebody is still there; due every half :attr:`session_timeout_s`."""
        if self.state is State.PLAYING and len(self._alive) < 8:
            self._send(self._alive_method, self._base, ())
            self._alive[self._number] = self._alive_method

    def tear_down(self) -> None:
        """Give the session back. No answer is waited for: the dialogue is over."""
        if self._session is not None and self.state is not State.ENDED:
            self._send("TEARDOWN", self._base, ())
        self.state = State.ENDED

    @property
    def has_outgoing(self) -> bool:
        return bool(self._out)

    def outgoing(self) -> bytes:
        """What is to be sent now; taken by this call."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # -- what the server says

    def feed(self, data: bytes) -> list[Event]:
        """Take what came from the connection."""
        if self.ended:
            return []
        try:
            messages = self._reader.feed(data)
        except RtspSyntaxError as error:
            return [self._fail(FailureKind.MALFORMED, f"this is no RTSP: {error}")]
        if not messages:
            return []
        events: list[Event] = []
        for message in messages:
            if self.ended:
                break
            if isinstance(message, Interleaved):
                events.append(message)
                continue
            self.answered = True
            event = self._response(message) if isinstance(message, Response) else self._request(message)
            if event is not None:
                events.append(event)
        return events

    def fail(self, kind: FailureKind, message: str, phase: Phase | None = None) -> Ended:
        """End the dialogue for a reason that only the caller knows: closed, timed out."""
        return self._fail(kind, message, phase)

    def note(self, line: str) -> None:
        """Add a line of evidence."""
        self._note(line[: 2 * _MAX_LINE])

    @property
    def ended(self) -> bool:
        return self.state is State.ENDED

    @property
    def challenged(self) -> Authenticator | None:
        """What answers the camera, from a 401 until it has said something to the answer. A camera that closes
        instead may close after every 401, and listen to the answer on a new connection."""
        pending = self._pending
        return self._auth if pending and pending.refreshed and self.state is State.DESCRIBING else None

    @property
    def transcript(self) -> Transcript:
        """A line an event, without secrets, each at most 300 characters."""
        return Transcript(list(self.said))

    @property
    def sink(self) -> FrameSink | None:
        """Where interleaved frames go, in runs; None to get them as events."""
        return self._reader.sink

    @sink.setter
    def sink(self, sink: FrameSink | None) -> None:
        self._reader.sink = sink

    @property
    def phase(self) -> Phase:
        """The phase that a failure would be counted to at present."""
        return _PHASES[self.state]

    # -- inside

    def _note(self, said: Said) -> None:
        if len(self.said) < _MAX_TRANSCRIPT:
            self.said.append(said)

    def _ask(self, method: str, uri: str, headers: tuple[tuple[str, str], ...]) -> None:
        if self.ended:  # by what came behind the answer in the same reading: the user has yet to see it
            return
        following = _REQUESTS.get((self.state, method))
        if following is None:
            raise RuntimeError(f"{method} is not asked for while {self.state.value}")
        self.state = following
        self._send(method, uri, headers)
        self._pending = _Pending(method, uri, headers)

    def _send(self, method: str, uri: str, headers: tuple[tuple[str, str], ...]) -> None:
        self._number += 1
        items = [("CSeq", self._number), _NAMED, *headers]
        if self._session is not None:
            items.append(("Session", self._session))
        auth = self._auth
        if auth is not None and (answer := auth.authorize(method, uri)) is not None:
            items.append(("Authorization", answer))
        self._out.append(encode_request(method, uri, items))
        self._note((method, uri, auth.label if auth is not None else None))

    def _fail(self, kind: FailureKind, message: str, phase: Phase | None = None) -> Ended:
        failure = Failure(phase or self.phase, kind, _shown(message))
        self.note(f"! {failure.phase}: {kind}: {message}")
        self.state = State.ENDED
        return Ended(failure)

    def _response(self, response: Response) -> Event | None:
        if self._alive:
            number = _number(response.headers.get("CSeq"))
            if number is not None and number in self._alive:
                return self._alive_answer(self._alive.pop(number), response)
        pending = self._pending
        if pending is None or response.status < 200:
            return self._stray()
        # Only one request is under way, so a missing or wrong CSeq, as some cameras send, is no matter.
        self._note(response)
        if response.status == 401:
            return self._unauthorized(pending, response)
        if self._auth is not None:
            self._auth.accepted()
        if 300 <= response.status < 400:
            return self._redirect(pending, response)
        if response.status == 461 and pending.method == "SETUP":
            self._pending, self.state = None, State.DESCRIBED
            return TransportRefused()
        if not 200 <= response.status < 300:
            kind = _KINDS.get(response.status, FailureKind.RTSP_STATUS)
            return self._fail(
                kind, f"{_MEANINGS[kind]}: {response.status} {response.reason} to {pending.method}"
            )
        self._pending = None
        return _ANSWERS[pending.method](self, response)

    def _stray(self) -> Ended | None:
        self._foreign += 1
        if self._foreign > _MAX_REQUESTS and self.state is not State.PLAYING:
            return self._fail(FailureKind.MALFORMED, "the camera talks without answering what it was asked")
        return None

    def _unauthorized(self, pending: _Pending, response: Response) -> Ended | None:
        offers = response.headers.get_all("WWW-Authenticate")
        if self._credentials is None:
            return self._fail(
                FailureKind.CREDENTIALS_MISSING, "the camera asks for an account and none is configured"
            )
        if self._auth is None:
            return self._fail(
                FailureKind.AUTH_FAILED,
                "the attempt was withheld: this account was refused before, one more try could lock it",
            )
        outcome = self._auth.challenged(offers, again=pending.refreshed)
        if outcome is Outcome.RETRY:
            pending.refreshed = True
            self._send(pending.method, pending.uri, pending.headers)
            return None
        offered = ", ".join(self._auth.offered) or "nothing"
        if outcome is Outcome.UNSUPPORTED:
            hint = "; Basic is not allowed here" if "Basic" in self._auth.offered else ""
            return self._fail(
                FailureKind.AUTH_UNSUPPORTED, f"no way of authentication in common: it offers {offered}{hint}"
            )
        return self._fail(FailureKind.AUTH_FAILED, f"the camera refused the account (it offers {offered})")

    def _redirect(self, pending: _Pending, response: Response) -> Event | None:
        location = response.headers.get("Location", "") or ""
        status = f"{response.status} to {pending.method}"
        self.redirects += 1
        if pending.method != "DESCRIBE" or self.redirects > _MAX_REDIRECTS:
            return self._fail(FailureKind.RTSP_STATUS, f"the camera redirects without an end: {status}")
        if "://" not in location:
            location = resolve_control(f"{self.url.text.split('://')[0]}://{_authority(self.url)}", location)
        try:
            target, _ = parse_url(location)
        except InvalidInputError as error:
            return self._fail(FailureKind.MALFORMED, f"the camera redirects to no URL: {error.message}")
        if target.host.lower() != self.url.host.lower() or target.secure < self.url.secure:
            return self._fail(
                FailureKind.RTSP_STATUS,
                f"the camera redirects to {target.masked}: another host, or without TLS; not followed",
            )
        if (target.port, target.secure) != (self.url.port, self.url.secure):
            self.state = State.ENDED
            self.note(f"* moved to {target.text}")
            return Moved(target)
        self.url, self._base = target, target.text
        self.state = State.NEW
        self.start()
        return None

    def _described(self, response: Response) -> Event:
        headers = response.headers
        base = headers.get("Content-Base") or headers.get("Content-Location") or ""
        if "://" in base:
            self._base = _request_uri(base, None)
        try:
            self._description = parse_sdp(response.body)
        except SdpSyntaxError as error:
            return self._fail(FailureKind.MALFORMED, f"the description cannot be read: {error}")
        media = self._description.video()
        if media is None:
            kinds = ", ".join(sorted({_CONTROL.sub("?", m.kind[:20]) for m in self._description.media}))
            return self._fail(FailureKind.NO_VIDEO, f"the stream has no video track, only {kinds}")
        self._track = choose_track(media)
        self.state = State.DESCRIBED
        return Described(self._track)

    def _set_up(self, response: Response) -> Event:
        session, _, parameters = (response.headers.get("Session") or "").partition(";")
        self._session = (session if session.isprintable() else UNSAFE.sub("", session)).strip() or None
        if match := _TIMEOUT.search(parameters):
            self.session_timeout_s = float(max(2, int(match[1])))
        fields = _transport_fields(response.headers.get("Transport") or "")
        self.state = State.READY
        if self._transport is Transport.TCP and "interleaved" not in fields and "server_port" in fields:
            self.state = State.DESCRIBED
            return TransportRefused()
        if self._transport is Transport.TCP or ("interleaved" in fields and "server_port" not in fields):
            return Ready(Transport.TCP, _pair(fields.get("interleaved"), 255, (0, 1))[0], None)
        ports = _pair(fields.get("server_port"), 65535, (0, 0))
        return Ready(Transport.UDP, 0, ports if ports[0] else None)

    def _started(self, response: Response) -> Event:  # noqa: ARG002 (the shape of all answers)
        self.state = State.PLAYING
        return Playing()

    def _alive_answer(self, method: str, response: Response) -> Ended | None:
        if response.status == 454:
            return self._fail(FailureKind.CLOSED, "the camera has ended the session")
        if response.status == 401 and self._auth is not None:
            self._auth.challenged(response.headers.get_all("WWW-Authenticate"), again=False)
        elif response.status >= 400 and method == "GET_PARAMETER":
            self._alive_method = "OPTIONS"  # which every server has to know (RFC 2326 11)
        return None

    def _request(self, request: Request) -> Event | None:
        """A server may ask its client, too (RFC 2326 10); old recorders end sessions that do not answer."""
        known = request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "TEARDOWN")
        number = _number(request.headers.get("CSeq"))
        headers = [("CSeq", str(number))] if number is not None else []
        answer = (
            Response(200, "OK", Headers(headers))
            if known
            else Response(501, "Not Implemented", Headers(headers))
        )
        self._out.append(answer.encode())
        self.note(f"< {request.method} {request.uri}, answered {answer.status}")
        if request.method == "TEARDOWN":
            return self._fail(FailureKind.CLOSED, "the camera has ended the session")
        return self._stray()


_ANSWERS: dict[str, Callable[[Dialogue, Response], Event]] = {
    "DESCRIBE": Dialogue._described,
    "SETUP": Dialogue._set_up,
    "PLAY": Dialogue._started,
}


def _shown(text: str) -> str:
    """One short line without secrets and control characters."""
    if len(text) > _MAX_LINE:
        text = text[: 2 * _MAX_LINE]
    if "@" in text or "=" in text:
        text = mask(text)
    return text[:_MAX_LINE] if text.isprintable() else _CONTROL.sub("?", text)[:_MAX_LINE]


def _number(text: str | None) -> int | None:
    match = _DIGITS.match(text or "")
    return int(match[0]) if match else None


def _request_uri(base: str, control: str | None) -> str:
    """What the description means, in a form that can stand in a request line whatever it was."""
    uri = resolve_control(base, control)
    if "@" in uri:
        uri = without_userinfo(uri)
    if uri.isascii() and uri.isprintable() and " " not in uri:
        return uri
    return UNSAFE.sub("", uri).replace(" ", "%20").replace("\t", "%09")


def _authority(url: StreamUrl) -> str:
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"


def _line(said: Said) -> str:
    if isinstance(said, str):
        return _shown(said)
    if isinstance(said, Response):
        return _shown(f"< {said.status} {said.reason}" + _remarks(said))
    method, uri, label = said
    return f"> {method} {_shown(uri)}" + (f", {label}" if label else "")


def _remarks(response: Response) -> str:
    first = response.headers.first
    server = first.get("server") or first.get("user-agent")
    transport = first.get("transport")
    return (
        (f", {len(response.body)} bytes" if response.body else "")
        + (f", {transport}" if transport else "")
        + (f" ({server})" if server else "")
    )


def _transport_fields(text: str) -> dict[str, str]:
    """``source`` is not looked at: media are taken from the server that was asked, from no other host."""
    fields = {}
    for part in text.split(",")[0].split(";")[:32]:
        name, _, value = part.partition("=")
        fields[name.strip().lower()] = value.strip()
    return fields


def _pair(text: str | None, highest: int, default: tuple[int, int]) -> tuple[int, int]:
    match = _PAIR.match(text or "")
    if match is None:
        return default
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if first <= highest and second <= highest + 1 else default
