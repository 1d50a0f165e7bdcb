"""Can this browser show this camera? Said beforehand, with the reason if not. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sharpeyes.gateway.picture import StreamFacts

_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3}) ([A-Za-z0-9.-]+)/(\d+)")
_FMTP = re.compile(r"a=fmtp:(\d{1,3}) (.+)")
_MAX_LINES = 2000
_BASELINE, _MAIN, _HIGH = "42", "4d", "64"


@dataclass(frozen=True, slots=True)
class Offered:
    """A video format that the browser offers to receive."""

    payload_type: int
    encoding: str
    """Upper case: ``H264``, ``VP8``, ..."""
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Viewable:
    """It can, in this format."""

    offered: Offered


@dataclass(frozen=True, slots=True)
class NotViewable:
    """It cannot, and why: ``codec``, ``b_frames``, ``no_video``."""

    reason: str
    message: str


def video_offered(sdp: str) -> tuple[Offered, ...]:
    """The formats of the offer's first video section, in its order; empty if it has none."""
    order: list[int] = []
    names: dict[int, str] = {}
    parameters: dict[int, dict[str, str]] = {}
    inside = False
    for line in sdp.splitlines()[:_MAX_LINES]:
        if line.startswith("m="):
            if inside:
                break
            words = line[2:].split()
            inside = bool(words) and words[0] == "video"
            if inside:
                order = [int(word) for word in words[3:67] if word.isdecimal() and len(word) < 4]
        elif inside and (match := _RTPMAP.match(line)):
            names[int(match[1])] = match[2].upper()
        elif inside and (match := _FMTP.match(line)):
            parts = (part.partition("=") for part in match[2].split(";"))
            parameters[int(match[1])] = {name.strip().lower(): value.strip() for name, _, value in parts}
    return tuple(Offered(kind, names[kind], parameters.get(kind, {})) for kind in order if kind in names)


def preflight(stream: StreamFacts, offered: tuple[Offered, ...]) -> Viewable | NotViewable:
    """What the camera sends against what the browser takes."""
    if not offered:
        return NotViewable("no_video", "The offer has no video section to send in")
    if stream.codec == "h264":
        if stream.b_frames:
            return NotViewable(
                "b_frames",
                "The camera sends B-frames, which browsers do not reorder in WebRTC: switch them off in the "
                "camera (H.264 profile Baseline, or 'B frames: 0')",
            )
        fitting = [
            item
            for item in offered
            if item.encoding == "H264" and item.parameters.get("packetization-mode") == "1"
        ]
        if fitting:
            return Viewable(min(fitting, key=lambda item: _distance(stream.profile, item)))
        return NotViewable("codec", "The camera sends H.264, which this browser did not offer to receive")
    if stream.codec == "h265":
        for item in offered:
            if item.encoding in ("H265", "HEVC"):
                return Viewable(item)
        return NotViewable(
            "codec",
            "The camera sends H.265, which this browser cannot receive: use one that can, or set the stream "
            "to H.264 in the camera",
        )
    return NotViewable("codec", f"The camera sends {stream.codec}, which no browser receives in WebRTC")


def _distance(profile: str, item: Offered) -> int:
    """How far an offered profile is from the stream's. Browsers decode all of these in practice, whichever
    of them was agreed on; the nearest is the most honest."""
    ours, theirs = profile[:2].lower(), item.parameters.get("profile-level-id", "42e01f")[:2].lower()
    order = {_BASELINE: 0, _MAIN: 1, _HIGH: 2}
    if ours == theirs:
        return 0
    return 1 + abs(order.get(ours, 1) - order.get(theirs, 9))
