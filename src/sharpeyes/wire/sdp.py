"""Session descriptions (SDP, RFC 8866) of streams, as far as pulling a stream needs them.

Only lines that matter are read, in any order that a camera sends them; a line that makes no sense is passed
over. A stream fails for what is missing in the end, not for an untidy description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sharpeyes.wire.errors import WireSyntaxError

_BLANK = " \t\r\0\ufeff"
_MAX_LINES = 512
_MAX_MEDIA = 32
_MAX_FORMATS = 32
_REMEMBERED_BYTES = 4096  # of a description that is not read anew every time
_STATIC = {26: ("JPEG", 90000), 32: ("MPV", 90000), 33: ("MP2T", 90000), 34: ("H263", 90000)}  # RFC 3551
_RTPMAP = re.compile(r"(\d{1,3})\s+([^\s/]+)\s*(?:/\s*(\d{1,9}))?")
_ABSOLUTE = re.compile(r"rtsps?://", re.IGNORECASE)
_PAYLOAD_TYPE = re.compile(r"[0-9]{1,3}")
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?")
_SIZE = re.compile(r"(\d{1,5})\s*[-,xX ]\s*(\d{1,5})$")


class SdpSyntaxError(WireSyntaxError):
    """Not a session description, or one that exceeds a limit."""


@dataclass(frozen=True, slots=True)
class Format:
    """One encoding that a track may use."""

    payload_type: int
    encoding: str
    """Upper case: ``H264``, ``H265``, ``JPEG``; empty if the description does not say."""
    clock_rate: int
    parameters: Mapping[str, str]
    """The ``fmtp`` line; names in lower case."""


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` section."""

    kind: str
    formats: tuple[Format, ...]
    control: str | None
    framerate: float | None
    size: tuple[int, int] | None
    """Declared width and height, which some cameras put into attributes."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a DESCRIBE brought."""

    control: str | None
    media: tuple[Media, ...]

    def video(self) -> Media | None:
        """The first video track; audio, application and metadata tracks are of no use here."""
        return next((media for media in self.media if media.kind == "video"), None)


@dataclass(slots=True)
class _Section:
    kind: str
    payload_types: list[int]
    maps: dict[int, tuple[str, int]] = field(default_factory=dict)
    parameters: dict[int, dict[str, str]] = field(default_factory=dict)
    control: str | None = None
    framerate: float | None = None
    size: tuple[int, int] | None = None


def parse_sdp(body: bytes) -> Description:
    """Read a description. SdpSyntaxError if it has no ``m=`` line at all or exceeds a limit.

    One that was read before is not read again: a camera's differ from day to day in their ``o=`` line alone.
    """
    origin = body.find(b"\no=")
    end = body.find(b"\n", origin + 3)
    if origin < 0 or end < 0 or len(body) > _REMEMBERED_BYTES:
        return _read(body)
    try:
        return _remembered(body[: origin + 3] + body[end:])
    except SdpSyntaxError:
        return _read(body)  # for the offsets in what it says


def _read(body: bytes) -> Description:
    session = _Section("", [])
    sections: list[_Section] = []
    lines = body.decode("utf-8", "replace").split("\n")
    if len(lines) > _MAX_LINES:
        raise SdpSyntaxError(f"more than {_MAX_LINES} lines", offset=len(body), path="sdp")
    for line in lines:
        kind, _, value = line.partition("=")
        kind = kind.strip(_BLANK)
        if kind == "a":
            _attribute(sections[-1] if sections else session, value.strip(_BLANK))
        elif kind == "m":
            if len(sections) >= _MAX_MEDIA:
                raise SdpSyntaxError(
                    f"more than {_MAX_MEDIA} tracks",
                    offset=body.find(b"m=" + value.encode()),
                    path="sdp > media",
                )
            sections.append(_media_line(value))
    if not sections:
        raise SdpSyntaxError("no track is described", offset=len(body), path="sdp > media")
    if session.framerate is not None:
        for section in sections:
            section.framerate = section.framerate or session.framerate
    return Description(session.control, tuple(_media(section) for section in sections))


_remembered = lru_cache(maxsize=4096)(_read)


def resolve_control(base: str, control: str | None) -> str:
    """The URI that a control attribute means (RFC 2326 C.1.1), by the rule that cameras were tested with.

    That is concatenation, also behind a query: ``.../realmonitor?channel=1`` and ``trackID=0`` give
    ``.../realmonitor?channel=1/trackID=0``.
    """
    if control is None or control in ("", "*"):
        return base
    if _ABSOLUTE.match(control):
        return control
    if control.startswith("?"):
        return base + control
    return base.rstrip("/") + "/" + control.lstrip("/")


def _media_line(value: str) -> _Section:
    words = value.split()
    numbers = [int(word) for word in words[3 : 3 + _MAX_FORMATS] if _PAYLOAD_TYPE.fullmatch(word)]
    return _Section(words[0].lower() if words else "", [number for number in numbers if number < 128])


def _attribute(section: _Section, line: str) -> None:
    name, _, value = line.partition(":")
    name, value = name.strip().lower(), value.strip()
    if name == "control":
        if section.control is None:
            section.control = value
    elif name == "rtpmap":
        if match := _RTPMAP.match(value):
            section.maps.setdefault(int(match[1]), (match[2].upper(), int(match[3] or 90000)))
    elif name == "fmtp":
        number, _, rest = value.partition(" ")
        if _PAYLOAD_TYPE.fullmatch(number):
            section.parameters.setdefault(int(number), {}).update(_parameters(rest))
    elif name in ("framerate", "x-framerate"):
        if (match := _NUMBER.search(value)) and 0 < float(match[0]) <= 1000:
            section.framerate = float(match[0])
    elif name in ("framesize", "x-dimensions") and (match := _SIZE.search(value)):
        # a=framesize:96 1920-1080 (RFC 6064), a=x-dimensions:1920,1080 (QuickTime)
        section.size = (int(match[1]), int(match[2]))


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip().strip('"')
    return found


def _media(section: _Section) -> Media:
    formats = []
    for number in section.payload_types:
        encoding, clock_rate = section.maps.get(number, _STATIC.get(number, ("", 90000)))
        formats.append(Format(number, encoding, clock_rate or 90000, section.parameters.get(number, {})))
    if not formats:
        # m=video 0 RTP/AVP without a number, while an rtpmap names one
        for number, (encoding, clock_rate) in section.maps.items():
            formats.append(Format(number, encoding, clock_rate or 90000, section.parameters.get(number, {})))
    return Media(section.kind, tuple(formats), section.control, section.framerate, section.size)
