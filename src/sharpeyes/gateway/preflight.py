"""Can this browser show this camera? Said beforehand, with the reason if not. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

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


class Hindrance(StrEnum):
    """Why a camera's stream does not go to a viewer as it is."""

    CODEC = "codec"
    """The browser does not decode it."""
    B_FRAMES = "b_frames"
    """Browsers do not put pictures back into their order in live views."""
    MASK = "mask"
    """The camera has privacy masks, which are burned in on the server."""
    WATERMARK = "watermark"
    """Policy wants the viewer's name burned in."""
    POLICY = "policy"
    """Policy does not let the stream be coded anew."""
    CAPACITY = "capacity"
    """As many streams as this gateway may are being coded anew."""


class How(StrEnum):
    """How a viewer gets a camera's stream."""

    PASSTHROUGH = "passthrough"
    TRANSCODE = "transcode"
    CANNOT = "cannot"
    UNKNOWN = "unknown"
    """Nobody has seen yet what the camera sends."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How, why not as it is, and what to tell the viewer; the text is empty where nothing is in the way."""

    how: How
    why: tuple[Hindrance, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Viewable:
    """It can, in this format: the stream as it is, or coded anew."""

    offered: Offered
    recoded: bool = False


@dataclass(frozen=True, slots=True)
class NotViewable:
    """It cannot, and why: a :class:`Hindrance`, or ``no_video``."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Burned:
    """What is drawn into the picture, and whether it may be coded anew for the browser's sake."""

    masks: bool = False
    watermark: bool = False
    transcode: bool = True

    @property
    def hindrances(self) -> tuple[Hindrance, ...]:
        """Why the stream cannot go out as it is, whatever the browser can do."""
        return (Hindrance.MASK,) * self.masks + (Hindrance.WATERMARK,) * self.watermark


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


def judge(
    stream: StreamFacts, decodes: Collection[str], burned: Burned | None = None, *, free: bool = True
) -> Verdict:
    """What the camera sends against what the browser takes: ``decodes`` has ``h264``, ``h265`` or both.
    ``free``: there is room to code one more stream anew."""
    burned = burned or Burned()
    name = _NAMES.get(stream.codec, stream.codec)
    if stream.codec not in _NAMES:
        return Verdict(
            How.CANNOT,
            (Hindrance.CODEC,),
            f"The camera sends {name}, which no browser receives in live views",
        )
    why = list(burned.hindrances)
    said = []
    if stream.codec not in decodes:
        why.append(Hindrance.CODEC)
        said.append(
            "The camera sends H.264, which this browser did not offer to receive"
            if stream.codec == "h264"
            else "The camera sends H.265, which this browser cannot receive: use one that can, or set the "
            "stream to H.264 in the camera"
        )
    if stream.b_frames:
        why.append(Hindrance.B_FRAMES)
        said.append(
            "The camera sends B-frames, which browsers do not reorder in WebRTC: switch them off in the "
            "camera (H.264 profile Baseline, or 'B frames: 0')"
        )
    if not why:
        return Verdict(How.PASSTHROUGH)
    message = "; ".join(said)
    if "h264" not in decodes:
        lacks = "What is coded anew is H.264, which this browser cannot receive"
        return Verdict(
            How.CANNOT, (*why, *(() if Hindrance.CODEC in why else (Hindrance.CODEC,))), message or lacks
        )
    if not burned.hindrances and not burned.transcode:
        return Verdict(
            How.CANNOT, (*why, Hindrance.POLICY), f"{message}. Policy does not let it be coded anew (policy)"
        )
    if not free:
        busy = "It must be coded anew, and as many streams as may be are being coded at present (capacity)"
        return Verdict(How.CANNOT, (*why, Hindrance.CAPACITY), busy)
    return Verdict(How.TRANSCODE, tuple(why), message)


def preflight(
    stream: StreamFacts, offered: tuple[Offered, ...], burned: Burned | None = None
) -> Viewable | NotViewable:
    """The same question with a browser's offer at hand, and the format to answer it with."""
    if not offered:
        return NotViewable("no_video", "The offer has no video section to send in")
    formats = [item for item in offered if _codec_of(item) is not None]
    verdict = judge(stream, {_codec_of(item) or "" for item in formats}, burned)
    if verdict.how is How.CANNOT:
        return NotViewable(verdict.why[0], verdict.message)
    recoded = verdict.how is How.TRANSCODE
    sent = RECODED if recoded else stream
    fitting = [item for item in formats if _codec_of(item) == sent.codec]
    return Viewable(min(fitting, key=lambda item: _distance(sent.profile, item)), recoded)


RECODED = StreamFacts(codec="h264", profile="42c01f")
"""What a stream is that was coded anew."""
_NAMES = {"h264": "H.264", "h265": "H.265"}


def _codec_of(item: Offered) -> str | None:
    if item.encoding == "H264" and item.parameters.get("packetization-mode") == "1":
        return "h264"
    return "h265" if item.encoding in ("H265", "HEVC") else None


def _distance(profile: str, item: Offered) -> int:
    """How far an offered profile is from the stream's. Browsers decode all of these in practice, whichever
    of them was agreed on; the nearest is the most honest."""
    ours, theirs = profile[:2].lower(), item.parameters.get("profile-level-id", "42e01f")[:2].lower()
    order = {_BASELINE: 0, _MAIN: 1, _HIGH: 2}
    if ours == theirs:
        return 0
    return 1 + abs(order.get(ours, 1) - order.get(theirs, 9))
