"""The shapes of the API. Instants are RFC 3339 in UTC; ratios are 0..1; durations are seconds.

Each shape is built from a domain value by its ``of``; examples go to the OpenAPI document.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sharpeyes.domain.camera import Camera, Stream
from sharpeyes.domain.clock import ClockState, DeviceClock
from sharpeyes.domain.health import Failure, Interval, ProbeResult
from sharpeyes.domain.organisation import Area, Department, TierPolicy, Zone
from sharpeyes.domain.reports import SPEAKS_FOR, CameraReport, ReportKind
from sharpeyes.domain.time import iso
from sharpeyes.health.board import Entry
from sharpeyes.health.severity import is_critical
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.store.events import Event
from sharpeyes.store.evidence import ProbeRecord
from sharpeyes.store.pictures import StoredReference
from sharpeyes.store.tokens import Token

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Ratio = Annotated[float, Field(ge=0, le=1)]
Id = Annotated[str, Field(min_length=1, max_length=64)]


def example(**values: Any) -> ConfigDict:
    """Of a shape, for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"example": values})


class Shape(BaseModel):
    """An answer. Frozen, and nothing goes out that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """A request's body: an unknown field is refused by name, so that a typing slip is not lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamShape(Shape):
    role: str
    url: Annotated[
        str | None, Field(description="Never with credentials; null for who does not mend cameras.")
    ]
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None

    @classmethod
    def of(cls, stream: Stream, *, addresses: bool) -> Self:
        return cls(
            role=stream.role,
            url=stream.url if addresses else None,
            codec=stream.codec,
            width=stream.width,
            height=stream.height,
            fps=stream.fps,
        )


class ErrorShape(Shape):
    phase: str
    kind: str
    message: Annotated[str, Field(description="For who mends cameras; for others the kind again.")]
    blame: Annotated[str, Field(description="'camera', or 'prober' for what lies on our own side.")]

    @classmethod
    def of(cls, failure: Failure, *, addresses: bool) -> Self:
        return cls(
            phase=failure.phase,
            kind=failure.kind,
            message=failure.message if addresses else failure.kind,
            blame=failure.blame,
        )


class ProbeShape(Shape):
    """One attempt on one stream."""

    at: Instant
    rung: Annotated[str, Field(description="How far up the liveness ladder the attempt got.")]
    ok: bool
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None
    bitrate_bps: int | None
    packets: int
    lost: int
    connect_ms: float | None
    first_packet_ms: float | None
    keyframe_ms: float | None
    total_ms: float
    error: ErrorShape | None
    transcript: Annotated[
        tuple[str, ...],
        Field(description="The dialogue; kept for failures, and empty for who does not mend cameras."),
    ]

    @classmethod
    def of(cls, result: ProbeResult, *, addresses: bool = True) -> Self:
        return cls(
            at=iso(result.at),
            rung=result.rung.label,
            ok=result.ok,
            codec=result.codec,
            width=result.width,
            height=result.height,
            fps=result.fps,
            bitrate_bps=result.bitrate_bps,
            packets=result.packets,
            lost=result.lost,
            connect_ms=result.timings.connect_ms,
            first_packet_ms=result.timings.first_packet_ms,
            keyframe_ms=result.timings.keyframe_ms,
            total_ms=result.timings.total_ms,
            error=ErrorShape.of(result.failure, addresses=addresses) if result.failure else None,
            transcript=tuple(result.transcript) if addresses else (),
        )


class StandingShape(Shape):
    """The state of a camera now: the open interval."""

    state: Annotated[str, Field(examples=["online"])]
    since: Instant
    cause: Annotated[str | None, Field(description="Why, for every state but online.")]
    observed: Annotated[Instant | None, Field(description="When it was last seen by a probe.")]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        standing = entry.standing
        return cls(
            state=standing.state,
            since=iso(standing.since),
            cause=standing.cause,
            observed=None if standing.observed is None else iso(standing.observed),
        )


class CameraShape(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "gate-3-north",
                "code": "44030500001321000017",
                "name": "Gate 3, north",
                "tier": "public_security",
                "department": "psb",
                "area": "nanshan",
                "zone": "police",
                "origin": "config",
                "device": None,
                "maintenance": False,
                "tags": ["school"],
                "streams": [
                    {
                        "role": "main",
                        "url": "rtsp://10.20.0.17:554/Streaming/Channels/101",
                        "codec": "h264",
                        "width": 1920,
                        "height": 1080,
                        "fps": 25.0,
                    }
                ],
                "retired": None,
                "standing": {
                    "state": "online",
                    "since": "2026-10-01T00:12:31.200Z",
                    "cause": None,
                    "observed": "2026-10-01T08:00:00.000Z",
                },
            }
        }
    )

    id: str
    code: Annotated[str | None, Field(description="Unified 20-digit number (GB/T 28181).")]
    name: str
    tier: str
    department: str
    area: str
    zone: str
    origin: str
    device: str | None
    maintenance: bool
    tags: tuple[str, ...]
    streams: tuple[StreamShape, ...]
    retired: Instant | None
    standing: Annotated[StandingShape | None, Field(description="None once it is retired.")]

    @classmethod
    def of(cls, camera: Camera, entry: Entry | None, *, addresses: bool = True) -> Self:
        return cls(
            id=camera.id,
            code=camera.code,
            name=camera.name,
            tier=camera.tier,
            department=camera.department,
            area=camera.area,
            zone=camera.zone,
            origin=camera.origin,
            device=camera.device,
            maintenance=camera.maintenance,
            tags=camera.tags,
            streams=tuple(StreamShape.of(stream, addresses=addresses) for stream in camera.streams),
            retired=None if camera.retired_ms is None else iso(camera.retired_ms),
            standing=None if entry is None else StandingShape.of(entry),
        )


class ClockShape(Shape):
    """A device's clock against ours; all cameras of a recorder share it."""

    device: str
    state: ClockState
    since: Instant
    offset_s: Annotated[float | None, Field(description="Device minus ours; positive: it is ahead.")]
    uncertainty_s: Annotated[float | None, Field(description="The truth lies within so much of it.")]
    measured: Annotated[Instant | None, Field(description="The last reading.")]
    why: Annotated[str | None, Field(description="Why it is unknown; for who mends cameras.")]

    @classmethod
    def of(cls, clock: DeviceClock, *, addresses: bool) -> Self:
        reading = clock.reading
        return cls(
            device=clock.device,
            state=clock.state,
            since=iso(clock.since),
            offset_s=None if reading is None else reading.offset_ms / 1000,
            uncertainty_s=None if reading is None else reading.uncertainty_ms / 1000,
            measured=None if reading is None else iso(reading.at),
            why=clock.why if addresses else None,
        )


class ReportShape(Shape):
    """The camera itself said that something begins or ends."""

    at: Instant
    kind: ReportKind
    active: bool
    topic: Annotated[str, Field(description="As the camera names it.")]
    speaks_for: Annotated[
        tuple[str, ...], Field(description="Faults of the picture that it makes more likely.")
    ]

    @classmethod
    def of(cls, report: CameraReport) -> Self:
        return cls(
            at=iso(report.at),
            kind=report.kind,
            active=report.active,
            topic=report.topic,
            speaks_for=tuple(sorted(SPEAKS_FOR[report.kind])),
        )


class CertificateShape(Shape):
    """What `tls` in cameras.yaml asks of the certificate behind a stream."""

    policy: Annotated[
        Literal["undeclared", "any", "authority", "pinned"],
        Field(description="undeclared: checks believe any one, viewing the one the device was found with."),
    ]
    fingerprints: Annotated[tuple[str, ...], Field(description="Those that are pinned: SHA-256 in hex.")]

    @classmethod
    def of(cls, policy: TlsPolicy | None) -> Self:
        if policy is None:
            return cls(policy="undeclared", fingerprints=())
        if policy.authorities is not None:
            return cls(policy="authority", fingerprints=())
        return cls(policy="pinned" if policy.fingerprints else "any", fingerprints=policy.fingerprints)


class CameraDetail(CameraShape):
    last_probe: ProbeShape | None
    certificate: Annotated[
        CertificateShape | None,
        Field(description="Null where no stream is encrypted, and for who does not mend cameras."),
    ] = None
    clock: Annotated[
        ClockShape | None, Field(description="Of its device; null if that has none that can be asked.")
    ] = None
    reports: Annotated[
        tuple[ReportShape, ...],
        Field(description="What the camera itself says of its picture now: evidence, no verdict."),
    ] = ()


class CameraPage(Shape):
    items: tuple[CameraShape, ...]
    total: Annotated[int, Field(description="Of all pages.")]
    next: Annotated[str | None, Field(description="'after' of the next page; null on the last.")]


class DefectShape(Shape):
    """A confirmed fault of the picture."""

    kind: str
    severity: Annotated[int, Field(ge=1, le=3)]
    since: Instant
    score: Ratio
    critical: Annotated[bool, Field(description="The picture is not usable because of it.")]
    explanation: Annotated[str, Field(description="What was measured, in words.")]
    explanation_zh: Annotated[str, Field(description="The same in Chinese; empty where not known.")]


class PictureShape(Shape):
    """What is known of a camera's picture."""

    at: Annotated[Instant, Field(description="The last look at it.")]
    mode: Annotated[str | None, Field(examples=["day"])]
    rung: Annotated[str | None, Field(description="How far up the ladder the camera comes.")]
    faults: tuple[DefectShape, ...]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        sight = entry.sight
        if sight is None:
            raise ValueError("nobody has looked at this picture")
        return cls(
            at=iso(sight.at),
            mode=sight.mode,
            rung=None if entry.rung is None else entry.rung.label,
            faults=tuple(
                DefectShape(
                    kind=defect.kind,
                    severity=defect.severity,
                    since=iso(defect.since),
                    score=defect.score,
                    critical=is_critical(defect),
                    explanation=defect.explanation,
                    explanation_zh=defect.explanation_zh,
                )
                for defect in sight.defects
            ),
        )


def found_of(record: ProbeRecord, *, addresses: bool) -> dict[str, Any]:
    """What a probe found; without ``addresses`` what names hosts is left out."""
    return dict(record.found) | ({} if addresses else {"transcript": [], "message": None})


class ProbeRecordShape(Shape):
    """One probe with its working."""

    at: Instant
    ok: Annotated[bool, Field(description="It got its picture, and nothing was found wrong with that.")]
    found: Annotated[
        dict[str, Any],
        Field(description="Rung, failure, codec, sizes, bytes, timings, 'transcript' and 'diagnosis'."),
    ]
    still: Annotated[str | None, Field(description="URL of the marked-up picture, while it is kept.")]
    expires: Instant

    @classmethod
    def of(cls, record: ProbeRecord, *, addresses: bool) -> Self:
        found = found_of(record, addresses=addresses)
        still = None if record.still is None else f"/api/v1/cameras/{record.camera}/stills/{record.still}"
        return cls(at=iso(record.at), ok=record.ok, found=found, still=still, expires=iso(record.expires))


class ReferenceShape(Shape):
    """A version of what is normal for a camera in one mode."""

    mode: str
    version: int
    learned: Instant
    pictures: Annotated[int, Field(description="How many it was learnt from.")]
    retired: Annotated[Instant | None, Field(description="Null while it holds.")]

    @classmethod
    def of(cls, reference: StoredReference) -> Self:
        return cls(
            mode=reference.mode,
            version=reference.version,
            learned=iso(reference.learned),
            pictures=reference.pictures,
            retired=None if reference.retired is None else iso(reference.retired),
        )


class ProbeRecordPage(Shape):
    items: tuple[ProbeRecordShape, ...]
    picture: PictureShape | None
    references: tuple[ReferenceShape, ...]


class AcceptView(Body):
    reason: Annotated[str, Field(max_length=500, examples=["turned towards the new gate"])] = ""


class AcceptedView(Shape):
    camera: str
    dropped: Annotated[tuple[str, ...], Field(description="Faults that no longer count.")]


class IntervalShape(Shape):
    camera: str
    state: str
    start: Instant
    end: Annotated[Instant | None, Field(description="Null while it lasts.")]
    cause: str | None

    @classmethod
    def of(cls, interval: Interval) -> Self:
        return cls(
            camera=interval.camera,
            state=interval.state,
            start=iso(interval.start),
            end=None if interval.end is None else iso(interval.end),
            cause=interval.cause,
        )


class IntervalPage(Shape):
    items: tuple[IntervalShape, ...]
    next: Annotated[Instant | None, Field(description="'after' of the next page; null on the last.")]


class StateCount(Shape):
    key: str
    cameras: int
    online: int
    degraded: int
    offline: int
    unknown: int
    maintenance: int


class StateCounts(Shape):
    at: Instant
    by: str
    items: tuple[StateCount, ...]


class TierShape(Shape):
    tier: str
    target: Ratio
    liveness_s: float
    quality_s: float

    @classmethod
    def of(cls, policy: TierPolicy) -> Self:
        return cls(
            tier=policy.tier,
            target=policy.target,
            liveness_s=policy.liveness_s,
            quality_s=policy.quality_s,
        )


class DepartmentShape(Shape):
    id: str
    name: str
    name_en: str | None
    industry: str | None
    contact: Annotated[str | None, Field(description="Whom to call.")]

    @classmethod
    def of(cls, department: Department) -> Self:
        return cls(
            id=department.id,
            name=department.name,
            name_en=department.name_en,
            industry=department.industry,
            contact=department.contact,
        )


class AreaShape(Shape):
    id: str
    name: str
    name_en: str | None
    parent: str | None
    code: str | None

    @classmethod
    def of(cls, area: Area) -> Self:
        return cls(id=area.id, name=area.name, name_en=area.name_en, parent=area.parent, code=area.code)


class ZoneShape(Shape):
    id: str
    name: str
    network: str

    @classmethod
    def of(cls, zone: Zone) -> Self:
        return cls(id=zone.id, name=zone.name, network=zone.network)


ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9A-Fa-f:.]{2,45}\](?::\d+)?")


def without_addresses(text: str) -> str:
    """A sentence for who may not see where cameras are in the network."""
    return ADDRESS.sub("…", text)


class Act(Shape):
    """What somebody did to an account, or had done with reports."""

    change: str
    of: Annotated[str | None, Field(description="What its subject is called; null: nothing but its id.")]
    by: Annotated[str, Field(description="Id of a person, of a token behind 'token:', or 'host'.")]
    details: Annotated[dict[str, tuple[str, ...]], Field(description="What is said of it, by name.")]

    @classmethod
    def of_event(cls, event: Event) -> Self | None:
        """Of the kinds of lines that are told so."""
        if event.kind not in ("account", "report") or event.detail is None:
            return None
        given = {
            name: tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
            for name, value in event.detail.items()
            if value is not None
        }
        change, by, of = (given.pop(name, ()) for name in ("change", "by", "of"))
        if not (change and by):
            return None
        return cls(change=change[0], of=of[0] if of else None, by=by[0], details=given)


class EventShape(Shape):
    """A line of the registry's journal."""

    id: int
    at: Instant
    kind: str
    subject: str
    message: str
    act: Annotated[Act | None, Field(description="The message of accounts and reports in its parts.")]

    @classmethod
    def of(cls, event: Event, *, addresses: bool) -> Self:
        return cls(
            id=event.id or 0,
            at=iso(event.at),
            kind=event.kind,
            subject=event.subject if addresses else without_addresses(event.subject),
            message=event.message if addresses else without_addresses(event.message),
            act=Act.of_event(event),
        )


class EventPage(Shape):
    items: tuple[EventShape, ...]
    next: Annotated[int | None, Field(description="'before' of the next page; null on the last.")]


class TokenShape(Shape):
    id: str
    name: str
    scopes: tuple[str, ...]
    owner: Annotated[
        str | None,
        Field(
            description="The user whose it is: for acts that take two people, they are one. None: unknown."
        ),
    ]
    created: Instant
    expires: Instant | None
    last_used: Instant | None
    revoked: Instant | None

    @classmethod
    def of(cls, token: Token) -> Self:
        def instant(ms: int | None) -> str | None:
            return None if ms is None else iso(ms)

        return cls(
            id=token.id,
            name=token.name,
            scopes=tuple(sorted(token.scopes)),
            owner=token.owner,
            created=iso(token.created_ms),
            expires=instant(token.expires_ms),
            last_used=instant(token.last_used_ms),
            revoked=instant(token.revoked_ms),
        )


class NewToken(Body):
    model_config = ConfigDict(json_schema_extra={"example": {"name": "grafana", "scopes": ["read"]}})

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scopes: Annotated[tuple[str, ...], Field(min_length=1)] = ("read",)
    expires: AwareDatetime | None = None


class CreatedToken(TokenShape):
    token: Annotated[str, Field(description="Shown this once.")]
