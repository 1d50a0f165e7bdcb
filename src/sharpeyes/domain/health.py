"""What a probe found and what state a camera is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from sharpeyes.domain.time import Ms


class Rung(IntEnum):
    """The liveness ladder: how far a probe climbed. Each rung includes those below it."""

    NONE = 0
    REACHABLE = 1
    """The transport connection stands."""
    RTSP = 2
    """The peer answers RTSP."""
    AUTHENTICATED = 3
    """The stream was described to us: credentials accepted, or none wanted."""
    MEDIA = 4
    """RTP flows."""
    KEYFRAME = 5
    """A whole keyframe arrived."""
    DECODED = 6
    """The keyframe decodes to a picture."""
    CHANGING = 7
    """Two pictures differ: not frozen."""
    USABLE = 8
    """No critical fault of the picture."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Phase(StrEnum):
    """The step of a probe in which something went wrong."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    DESCRIBE = "describe"
    SETUP = "setup"
    PLAY = "play"
    MEDIA = "media"
    KEYFRAME = "keyframe"
    DECODE = "decode"


class Blame(StrEnum):
    """On whose side a failure lies."""

    CAMERA = "camera"
    """The camera, its recorder or its network: what an online rate is about."""
    PROBER = "prober"
    """Our own machine or configuration: the camera's state is unknown, never offline."""


class FailureKind(StrEnum):
    """Why a probe stopped climbing."""

    # the camera's side
    NAME_UNKNOWN = "name_unknown"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    TLS = "tls"
    CERTIFICATE = "certificate"
    """Its certificate is not the one that it has to be: nothing was said to it."""
    AUTH_FAILED = "auth_failed"
    AUTH_UNSUPPORTED = "auth_unsupported"
    NOT_FOUND = "not_found"
    RTSP_STATUS = "rtsp_status"
    MALFORMED = "malformed"
    NO_VIDEO = "no_video"
    NO_MEDIA = "no_media"
    NO_KEYFRAME = "no_keyframe"
    UNDECODABLE = "undecodable"
    # the prober's side
    BUSY = "busy"
    """Its sessions are taken by others: it works, and we could not look."""
    CREDENTIALS_MISSING = "credentials_missing"
    NO_DESCRIPTORS = "no_descriptors"
    NO_ROUTE = "no_route"
    NO_RESOURCES = "no_resources"
    NO_RESOLVER = "no_resolver"
    OVERLOADED = "overloaded"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    @property
    def blame(self) -> Blame:
        return Blame.PROBER if self in PROBER_FAULTS else Blame.CAMERA


PROBER_FAULTS = frozenset(
    {
        FailureKind.BUSY,
        FailureKind.CREDENTIALS_MISSING,
        FailureKind.NO_DESCRIPTORS,
        FailureKind.NO_ROUTE,
        FailureKind.NO_RESOURCES,
        FailureKind.NO_RESOLVER,
        FailureKind.OVERLOADED,
        FailureKind.CANCELLED,
        FailureKind.INTERNAL,
    }
)


class PictureFault(StrEnum):
    """What can be wrong with a picture."""

    SIGNAL_LOST = "signal_lost"
    OVER_EXPOSED = "over_exposed"
    UNDER_EXPOSED = "under_exposed"
    FROZEN = "frozen"
    BLURRED = "blurred"
    COLOR_CAST = "color_cast"
    COLOR_LOSS = "color_loss"
    NOISE = "noise"
    STRIPES = "stripes"
    OCCLUDED = "occluded"
    SCENE_SHIFT = "scene_shift"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A fault of the picture that is confirmed: seen in N of M looks and not in as many since."""

    kind: PictureFault
    severity: int
    """1 a trained eye sees it, 2 anybody does, 3 it spoils the picture."""
    since: Ms
    """The first look that showed it."""
    score: float = 1.0
    """How sure the checks are, 0..1."""
    explanation: str = ""
    """What was measured, in words."""
    explanation_zh: str = ""
    """The same in Chinese."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Where and why a probe stopped; the message is for a technician and holds no secret."""

    phase: Phase
    kind: FailureKind
    message: str

    @property
    def blame(self) -> Blame:
        return self.kind.blame


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Milliseconds since the attempt began; None where the attempt did not get there."""

    connect_ms: float | None = None
    describe_ms: float | None = None
    play_ms: float | None = None
    first_packet_ms: float | None = None
    keyframe_ms: float | None = None
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframe:
    """One whole coded picture that decodes without any other."""

    codec: str
    data: bytes
    """Annex B byte stream with its parameter sets (H.264, H.265), or a JFIF file (JPEG)."""
    rtp_time: int
    following: tuple[bytes, ...] = field(default=(), repr=False)
    """The coded pictures behind it, none missing: each decodes with all before it. Of JPEG, one alone, some
    pictures later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One attempt on one stream, ended. ``failure`` is None exactly if the probe got what it asked for."""

    at: Ms
    """When the attempt began."""
    rung: Rung
    failure: Failure | None
    timings: Timings
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    """Measured from RTP time stamps if observed for long enough, else as declared."""
    bitrate_bps: int | None = None
    """Of the video stream over the observation, None if nothing was observed beyond the keyframe."""
    packets: int = 0
    lost: int = 0
    """RTP packets that the sequence numbers say were sent but that did not arrive."""
    received_bytes: int = 0
    """RTP payload that arrived."""
    keyframe: Keyframe | None = None
    transcript: Sequence[str] = ()
    """The dialogue, a line an event, credentials masked: the evidence behind the verdict."""

    @property
    def ok(self) -> bool:
        return self.failure is None


class State(StrEnum):
    """The state of a camera, as recorded in intervals."""

    ONLINE = "online"
    DEGRADED = "degraded"
    """It delivers, but with a fault that a viewer would notice."""
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    """We could not see: neither good nor bad, outside every ratio, shown as missing coverage."""
    MAINTENANCE = "maintenance"
    """Declared out of service by its owner: not obliged."""


CLOCK_SET_BACK = "clock_set_back"
"""Cause of an unknown state: our own clock was ahead, and what was observed by it is of a time to come."""
UPSTREAM = "upstream"
"""Cause of an offline state: the fault is above the camera, in its recorder, switch, link or site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A camera was in one state from ``start`` to ``end`` (ms, half-open); ``end`` is None while it lasts."""

    camera: str
    state: State
    start: Ms
    end: Ms | None
    cause: str | None = None
    """FailureKind or fault that led to the state, None for online."""
    seen_state: State | None = None
    """What the probes alone say, where we know better: we could not see, or the fault lies upstream."""
    seen_cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RungInterval:
    """A camera came as far as ``rung`` from ``start`` to ``end`` (ms, half-open; None while it lasts).

    A rung above ``rung`` was not reached, unless ``rung`` is ``asked``: above that, nobody tried. Time
    without an interval was not seen.
    """

    camera: str
    rung: Rung
    asked: Rung
    start: Ms
    end: Ms | None
    said: bool = True
    """False: seen while we say that we did not see. It counts if somebody says that it was real."""
