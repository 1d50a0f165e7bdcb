"""RTSP messages and interleaved frames (RFC 2326 sections 4-8 and 10.12), read from a stream of bytes.

Reading is lenient where cameras are careless (line ends, header case, folding, stray bytes between messages)
and strict where leniency would cost memory: every size and count has a limit. Writing is strict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sharpeyes.wire.errors import WireSyntaxError

_ENCODING = "utf-8"
_ERRORS = "surrogateescape"  # any byte survives a round trip, so a digest is computed on what was sent

_STATUS_LINE = re.compile(rb"RTSP/\d\.\d[ \t]+(\d{3})(?:[ \t]+([^\r\n]*?))?[ \t]*\r?$")
_REQUEST_LINE = re.compile(rb"([A-Z_]{3,32})[ \t]+(\S+)[ \t]+RTSP/\d\.\d[ \t]*\r?$")
_LENGTH = re.compile(r"\+?([0-9]{1,9})(?![0-9])")
_HEAD_END = re.compile(rb"\n\r?\n")
_PLAIN_HEAD = re.compile(
    rb"(?:RTSP/\d\.\d (\d{3}) ([!-~][ -~]*+)|([A-Z_]{3,32}) ([!-~]++) RTSP/\d\.\d)\r\n"
    rb"((?:[!-9;-~]++:[ -~]*+\r\n)*+)\r\n"
)
"""A head as nearly everybody writes it; what it matches means the same when it is read line by line."""
_PLAIN_FIELD = re.compile(r"([^:]++): *+([^\r]*+)\r\n")
_BEGINNING = re.compile(
    rb"(?:[A-Z_]{1,32}|RTSP/[\d.]*)(?:[ \t]|\Z)"
)  # of a start line, as far as it is there
_CANDIDATE = re.compile(rb"[A-Z_$\r\n \t\0]")  # bytes that may begin something
_MAX_LIKELY_CHANNEL = 15
UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that no message may hold outside its body."""


class RtspSyntaxError(WireSyntaxError):
    """The peer does not speak RTSP, or exceeds a limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may make us hold."""

    head_bytes: int = 16 * 1024
    """Start line and headers of one message."""
    headers: int = 64
    """Header lines of one message."""
    body_bytes: int = 64 * 1024
    junk_bytes: int = 64 * 1024
    """Bytes between messages, over the whole connection, that belong to none."""


class Headers:
    """Case-insensitive, ordered, a name may occur several times. Values are stripped."""

    __slots__ = ("_first", "_items")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = list(items)
        self._first: dict[str, str] = {}
        for name, value in self._items:
            self._first.setdefault(name.lower(), value)

    @classmethod
    def plain(cls, items: list[tuple[str, str]]) -> Headers:
        """The same, for names and values that need no stripping; the list is taken over."""
        headers = cls.__new__(cls)
        headers._items = items
        headers._first = {name.lower(): value for name, value in reversed(items)}
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of that name."""
        return self._first.get(name.lower(), default)

    @property
    def first(self) -> Mapping[str, str]:
        """The first value of every name, by names in lower case."""
        return self._first

    def get_all(self, name: str) -> list[str]:
        """All values of that name, in order of arrival."""
        wanted = name.lower()
        return [value for key, value in self._items if key.lower() == wanted]

    def add(self, name: str, value: str) -> None:
        self._items.append((name, value))
        self._first.setdefault(name.lower(), value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and other._items == self._items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values may be credentials, and a repr ends up in logs.
        return f"Headers({[name for name, _ in self._items]})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, in either direction."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def encode(self) -> bytes:
        """The message as sent. RtspSyntaxError if a part holds what would begin another line."""
        return encode_request(self.method, self.uri, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request, in either direction."""

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def encode(self) -> bytes:
        """The message as sent. RtspSyntaxError if a part holds what would begin another line."""
        return _encode(f"RTSP/1.0 {self.status} {self.reason}", self.headers, self.body, "response")


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A binary frame between messages: RTP or RTCP on a numbered channel."""

    channel: int
    payload: bytes

    def encode(self) -> bytes:
        return b"$%c%c%c" % (self.channel, len(self.payload) >> 8, len(self.payload) & 255) + self.payload


Message = Request | Response | Interleaved

FrameSink = Callable[[bytes, int], int]
"""``sink(data, start)`` eats whole interleaved frames from ``start`` on and gives the offset of the first
byte that it left: no frame, or the beginning of one. See :meth:`MessageReader.feed`."""


def encode_request(method: str, uri: str, headers: Iterable[tuple[str, object]], body: bytes = b"") -> bytes:
    """What :meth:`Request.encode` gives, without the objects."""
    if not method or not method.isascii() or " " in method or " " in uri:
        raise RtspSyntaxError("a space in method or URI", offset=0, path="request > start-line")
    return _encode(f"{method} {uri} RTSP/1.0", headers, body, "request")


def _encode(start: str, headers: Iterable[tuple[str, object]], body: bytes, path: str) -> bytes:
    lines = [start]
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not any(name.lower() == "content-length" for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    if not " ".join(lines).isprintable() and UNSAFE.search("\t".join(lines)):
        number = next(number for number, line in enumerate(lines) if UNSAFE.search(line))
        raise RtspSyntaxError("a control character", offset=0, path=f"{path} > line {number}")
    lines.append("\r\n")
    try:
        return "\r\n".join(lines).encode(_ENCODING, _ERRORS) + body
    except UnicodeEncodeError as error:
        raise RtspSyntaxError("a lone surrogate", offset=error.start, path=path) from None


class MessageReader:
    """Feed bytes, take messages. Never holds more than one message or frame plus what was fed last.

    With a ``sink``, interleaved frames go there in runs and are not in what :meth:`feed` returns: a keyframe
    is dozens of frames, and an object for each would cost more than all else that a probe does.

    ``offset`` of an error counts bytes since the connection began.
    """

    __slots__ = ("_chunks", "_have", "_junk", "_limits", "_lost", "_need", "_offset", "_scanned", "sink")

    def __init__(self, limits: Limits | None = None, *, sink: FrameSink | None = None) -> None:
        self._limits = limits or Limits()
        self.sink = sink
        self._chunks: list[bytes] = []  # bytes that wait for the rest of their message
        self._have = 0
        self._need = 0  # nothing can be done before there are so many bytes
        self._scanned = 0  # the head's end is not before here
        self._junk = 0
        self._lost = False  # framing was lost: what comes next must look the part
        self._offset = 0  # in the connection, of the first byte that waits

    @property
    def pending(self) -> int:
        """Bytes held back until their message is complete."""
        return self._have

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes; gives the messages that they complete. RtspSyntaxError ends the connection."""
        if self._have:
            self._chunks.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
        messages: list[Message] = []
        at, end = 0, len(data)
        self._need = 0
        while at < end:
            first = data[at]
            if first == 0x24:  # $
                if self._lost and end - at < 2:
                    self._need = 2
                    break
                if self._lost and data[at + 1] > _MAX_LIKELY_CHANNEL:
                    at += self._skip(data, at)
                    continue
                if self.sink is not None:
                    begun, at = at, self.sink(data, at)
                    self._lost = self._lost and at == begun
                    if at >= end or data[at] != 0x24:
                        continue
                if end - at < 4:
                    self._need = 4
                    break
                size = 4 + (data[at + 2] << 8 | data[at + 3])
                if end - at < size:
                    self._need = size
                    break
                if self.sink is None:
                    messages.append(Interleaved(data[at + 1], data[at + 4 : at + size]))
                self._lost = False
                at += size
            elif first in b"\r\n \t\0":
                at += 1
            else:
                taken = self._message(data, at, messages)
                if not taken:
                    break
                at += taken
        self._have = end - at
        self._offset += at
        if self._have:
            self._chunks.append(data[at:] if at else data)
        return messages

    def _message(self, data: bytes, at: int, messages: list[Message]) -> int:
        """Length of the message or junk at ``at``; 0 if it is not complete, with ``_need`` set."""
        taken = self._plain_message(data, at, messages)
        if taken:
            return taken
        limits = self._limits
        line_end = data.find(b"\n", at, at + limits.head_bytes)
        if line_end < 0:
            if len(data) - at >= limits.head_bytes or not _BEGINNING.match(data, at):
                return self._skip(data, at)
            self._need = len(data) - at + 1
            return 0
        line = data[at:line_end]
        status = _STATUS_LINE.match(line)
        request = None if status is not None else _REQUEST_LINE.match(line)
        if status is None and request is None:
            return self._skip(data, at)
        kind = "response" if status else "request"
        head_end = _HEAD_END.search(data, max(line_end, at + self._scanned - 3), at + limits.head_bytes + 3)
        if head_end is None:
            if len(data) - at >= limits.head_bytes:
                raise RtspSyntaxError(
                    f"more than {limits.head_bytes} bytes", offset=self._offset + at, path=f"{kind} > head"
                )
            self._scanned = len(data) - at
            self._need = len(data) - at + 1
            return 0
        headers = self._headers(data, line_end + 1, head_end.start() + 1, kind)
        length = self._body_length(headers, at, kind)
        total = head_end.end() + length - at
        if len(data) - at < total:
            self._scanned = head_end.start() - at
            self._need = total
            return 0
        self._scanned = 0
        self._lost = False
        body = data[head_end.end() : at + total]
        if status is not None:
            messages.append(Response(int(status[1]), _text(status[2] or b""), headers, body))
        elif request is not None:
            messages.append(Request(_text(request[1]), _text(request[2]), headers, body))
        return total

    def _plain_message(self, data: bytes, at: int, messages: list[Message]) -> int:
        """Length of the message at ``at`` if it is whole and written plainly, else 0: then it is read line
        by line. Both readings agree; this one takes a fifth of the time."""
        limits = self._limits
        match = _PLAIN_HEAD.match(data, at, at + limits.head_bytes)
        if match is None:
            return 0
        status, reason, method, uri, fields = match.groups()
        if b" \r" in fields or (reason is not None and reason.endswith(b" ")):
            return 0
        items = _PLAIN_FIELD.findall(fields.decode())
        headers = Headers.plain(items)
        first = headers.first
        end = match.end()
        if "content-length" in first or "content-lenght" in first:
            length = first.get("content-length") or first.get("content-lenght", "")
            # what is not a plain number of an allowed size is for the other reading to refuse
            if not (length.isdecimal() and len(length) < 8) or int(length) > limits.body_bytes:
                return 0
            body = data[end : end + int(length)]
            if len(body) < int(length):
                return 0
        else:
            body = b""
        if len(items) > limits.headers:
            return 0
        self._scanned = 0
        self._lost = False
        if status is not None:
            messages.append(Response(int(status), reason.decode(), headers, body))
        else:
            messages.append(Request(method.decode(), uri.decode(), headers, body))
        return end + len(body) - at

    def _headers(self, data: bytes, start: int, end: int, kind: str) -> Headers:
        items: list[tuple[str, str]] = []
        for line in _text(data[start:end]).split("\n"):
            if line[:1] in (" ", "\t") and items:  # folded (RFC 2326 4.2)
                name, value = items[-1]
                items[-1] = (name, f"{value} {line.strip()}")
                continue
            name, colon, value = line.partition(":")
            if not colon:
                continue  # a line that is no header is worth no session
            if len(items) >= self._limits.headers:
                raise RtspSyntaxError(
                    f"more than {self._limits.headers} headers",
                    offset=self._offset + start,
                    path=f"{kind} > headers",
                )
            items.append((name.strip(), value.strip()))
        return Headers(items)

    def _body_length(self, headers: Headers, at: int, kind: str) -> int:
        value = headers.get("content-length") or headers.get("content-lenght")  # as some firmware has it
        if value is None:
            return 0
        digits = _LENGTH.match(value)
        if digits is None:
            raise RtspSyntaxError(
                "not a number", offset=self._offset + at, path=f"{kind} > header > content-length"
            )
        if int(digits[1]) > self._limits.body_bytes:
            raise RtspSyntaxError(
                f"more than {self._limits.body_bytes} bytes", offset=self._offset + at, path=f"{kind} > body"
            )
        return int(digits[1])

    def _skip(self, data: bytes, at: int) -> int:
        """Length of what belongs to no message: a body longer than declared, or lost framing.

        The byte at ``at`` begins nothing; the next that might is looked at in its turn. So what is found does
        not depend on how the bytes arrived.
        """
        candidate = _CANDIDATE.search(data, at + 1)
        stop = candidate.start() if candidate is not None else len(data)
        self._lost = True
        self._junk += stop - at
        self._scanned = 0
        if self._junk > self._limits.junk_bytes:
            raise RtspSyntaxError(
                f"more than {self._limits.junk_bytes} bytes that are no RTSP",
                offset=self._offset + at,
                path="connection > message",
            )
        return stop - at


def _text(raw: bytes) -> str:
    return raw.decode(_ENCODING, _ERRORS)
