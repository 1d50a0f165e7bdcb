"""The shapes of what the console may change beside cameras.yaml. Instants are RFC 3339 in UTC, lengths of
time are seconds, hours of the day are on the site's wall clock, ratios are 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr

from sharpeyes.api.access_shapes import ScheduleShape
from sharpeyes.api.schemas import Body, Id, Instant, Shape, example
from sharpeyes.domain.access import MINUTES_A_DAY, Schedule
from sharpeyes.domain.faults import FaultKind, Scope, Severity
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import iso
from sharpeyes.faults.notify.kept import CONDITIONS
from sharpeyes.faults.notify.recipients import Language
from sharpeyes.registry.settings import LONGEST_REASON, SettingsEntry, Source

Ids = Annotated[tuple[Id, ...], Field(max_length=1000)]
Line = Annotated[str, Field(max_length=200)]
Version = Annotated[
    str,
    Field(
        max_length=64,
        description="Of the entry as it was read: a change of somebody else since then is not overwritten.",
    ),
]
Reason = Annotated[str, Field(max_length=LONGEST_REASON, description="Why; for the journal.")]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


def _line(value: str | None) -> str | None:
    """What somebody typed: without spaces around it, and nothing for nothing."""
    return (value or "").strip() or None


class Change(Body):
    """What every change says."""

    version: Version
    reason: Reason = ""


class Setting(Shape):
    """One entry: what holds, and whose word that is."""

    id: str
    source: Annotated[
        Source,
        Field(
            description="file: as cameras.yaml declares it; changed: some fields are other than the file "
            "says; console: made in the console; clash: made in the console, and declared by the file as "
            "well (the console's word holds); left: no longer declared, there because cameras belong to it."
        ),
    ]
    changed: Annotated[tuple[str, ...], Field(description="Fields that are other than the file says.")]
    version: Version
    by: Annotated[str | None, Field(description="Who changed it in the console last.")]
    at: Instant | None
    reason: str | None


def _common(entry: SettingsEntry) -> dict[str, Any]:
    said = entry.said
    return {
        "id": entry.id,
        "source": entry.source,
        "changed": entry.changed,
        "version": entry.version,
        "by": said.by if said else None,
        "at": iso(said.at) if said else None,
        "reason": said.reason if said else None,
    }


# --- tiers ----------------------------------------------------------------------------------------------


class TierValues(Body):
    model_config = example(target=0.98, liveness_s=30, quality_s=300)

    target: Annotated[float, Field(description="Online rate to reach.")]
    liveness_s: Annotated[float, Field(description="Between two liveness probes of a camera.")]
    quality_s: Annotated[float, Field(description="Between two looks at its picture.")]


class TierChange(Change):
    values: TierValues


class TargetSince(Shape):
    """A target, and from when on it held."""

    since: Annotated[Instant | None, Field(description="null: as long as anything is known.")]
    target: float | None


class TierSetting(Setting):
    id: Tier
    values: TierValues
    declared: TierValues | None
    targets: Annotated[
        tuple[TargetSince, ...],
        Field(description="Oldest first: periods of the past are held to the target of their time."),
    ]

    @classmethod
    def of(cls, entry: SettingsEntry, course: Sequence[tuple[int, float | None]]) -> Self:
        return cls(
            **_common(entry),
            values=TierValues(**entry.values),
            declared=None if entry.declared is None else TierValues(**entry.declared),
            targets=_course(course),
        )


def _course(course: Sequence[tuple[int, float | None]]) -> tuple[TargetSince, ...]:
    return tuple(TargetSince(since=iso(since) if since else None, target=target) for since, target in course)


# --- departments and areas --------------------------------------------------------------------------------


class DepartmentValues(Body):
    model_config = example(
        name="交警支队", name_en="Traffic Police", industry="04", contact="值班室 0571-1234"
    )

    name: Line
    name_en: Line | None = None
    industry: Annotated[str | None, Field(max_length=2, description="Two digits of GB/T 28181.")] = None
    contact: Annotated[Line | None, Field(description="Whom to call.")] = None

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name.strip(),
            "name_en": _line(self.name_en),
            "industry": _line(self.industry),
            "contact": _line(self.contact),
        }


class NewDepartment(Body):
    id: Annotated[str | None, Field(max_length=64, description="None: one is made up.")] = None
    reason: Reason = ""
    values: DepartmentValues


class DepartmentChange(Change):
    values: DepartmentValues


class DepartmentSetting(Setting):
    values: DepartmentValues
    declared: DepartmentValues | None

    @classmethod
    def of(cls, entry: SettingsEntry) -> Self:
        return cls(
            **_common(entry),
            values=DepartmentValues(**entry.values),
            declared=None if entry.declared is None else DepartmentValues(**entry.declared),
        )


class AreaValues(Body):
    model_config = example(name="西兴街道", name_en=None, parent="binjiang", code="33010801", target=None)

    name: Line
    name_en: Line | None = None
    parent: Id | None = None
    code: Annotated[str | None, Field(max_length=8, description="Of GB/T 2260: 2, 4, 6 or 8 digits.")] = None
    target: Annotated[float | None, Field(description="Online rate to reach; null: 0.95.")] = None

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name.strip(),
            "name_en": _line(self.name_en),
            "parent": self.parent,
            "code": _line(self.code),
            "target": self.target,
        }


class NewArea(Body):
    id: Annotated[str | None, Field(max_length=64, description="None: one is made up.")] = None
    reason: Reason = ""
    values: AreaValues


class AreaChange(Change):
    values: AreaValues


class BoundaryChange(Change):
    version: Annotated[Version, Field(description="Of the boundary, not of its area.")]
    geojson: Annotated[
        dict[str, Any] | None,
        Field(description="A geometry, feature or collection with polygons; null: no outline."),
    ]


class BoundaryState(Shape):
    source: Source
    points: Annotated[int, Field(description="0: there is no outline.")]
    version: Version


class AreaSetting(Setting):
    values: AreaValues
    declared: AreaValues | None
    boundary: BoundaryState
    targets: tuple[TargetSince, ...]

    @classmethod
    def of(
        cls, entry: SettingsEntry, boundary: BoundaryState, course: Sequence[tuple[int, float | None]]
    ) -> Self:
        return cls(
            **_common(entry),
            values=AreaValues(**entry.values),
            declared=None if entry.declared is None else AreaValues(**entry.declared),
            boundary=boundary,
            targets=_course(course),
        )


# --- who is told ----------------------------------------------------------------------------------------


class EmailAddress(Body):
    kind: Literal["email"]
    to: Line
    sender: Line
    host: Line
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Line | None = None


class PostAddress(Body):
    """A webhook or a group robot: its URL may hold a key, and is a secret as a whole."""

    kind: Literal["webhook", "wecom", "dingtalk"]
    host: Annotated[
        str | None, Field(max_length=300, description="Of the URL; told, and not taken from anybody.")
    ] = None


Address = Annotated[EmailAddress | PostAddress, Field(discriminator="kind")]


class RecipientValues(Body):
    model_config = example(
        name="值班室",
        enabled=True,
        channel={"kind": "webhook", "host": "alarm.example"},
        language="zh-CN",
        units=["psb"],
        least="major",
        level=0,
        quiet={"start": "22:00", "end": "07:00", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
        digests=["08:00"],
    )

    name: Annotated[str | None, Field(max_length=100)] = None
    enabled: bool = True
    channel: Address
    language: Language = Language.ZH
    units: Annotated[Ids | None, Field(description="Tickets of these units; null: of all.")] = None
    least: Annotated[Severity, Field(description="Faults at least as bad as this.")] = Severity.MINOR
    level: Annotated[int, Field(ge=0, le=9, description="Only tickets that have escalated so far.")] = 0
    quiet: Annotated[
        ScheduleShape | None, Field(description="Hours at which only critical faults are told.")
    ] = None
    digests: Annotated[
        tuple[Clock, ...],
        Field(max_length=24, description="When all that is not critical is told at once; empty: at once."),
    ] = ()

    def plain(self) -> dict[str, Any]:
        """As it is kept: see :func:`sharpeyes.faults.notify.kept.fields_of`."""
        quiet = None if self.quiet is None else self.quiet.schedule()
        channel = self.channel.model_dump()
        if isinstance(self.channel, EmailAddress):
            channel["username"] = _line(self.channel.username)
        return {
            "name": _line(self.name),
            "enabled": self.enabled,
            "channel": channel,
            "language": self.language.value,
            "units": None if self.units is None else sorted(set(self.units)),
            "least": self.least.value,
            "level": self.level,
            "quiet": None
            if quiet is None
            else {"start": quiet.start, "end": quiet.end, "days": sorted(quiet.days)},
            "digests": [int(one[:2]) * 60 + int(one[3:]) for one in self.digests],
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        quiet = values["quiet"]
        schedule = None if quiet is None else Schedule(**{**quiet, "days": frozenset(quiet["days"])})
        return cls(
            **{
                **values,
                "quiet": None if schedule is None else ScheduleShape.of(schedule),
                "digests": tuple(
                    f"{minute % MINUTES_A_DAY // 60:02}:{minute % 60:02}" for minute in values["digests"]
                ),
            }
        )


Secrets = Annotated[
    dict[str, SecretStr | None],
    Field(
        max_length=4,
        description="password of an e-mail server; url and secret of a webhook; url of a robot, sign of "
        "DingTalk: those to set, null to remove one. Those that are left out stay as they are. They are "
        "never given out.",
        default_factory=dict,
    ),
]


class NewRecipient(Body):
    id: Annotated[str | None, Field(max_length=64, description="None: one is made up.")] = None
    reason: Reason = ""
    values: RecipientValues
    secrets: Secrets


class RecipientChange(Change):
    values: RecipientValues
    secrets: Secrets


class RecipientSetting(Setting):
    values: RecipientValues
    declared: RecipientValues | None
    secrets: Annotated[tuple[str, ...], Field(description="Names of those that were given in the console.")]
    pending: int
    sent: int
    dead: int

    @classmethod
    def of(cls, entry: SettingsEntry, secrets: tuple[str, ...], numbers: dict[str, int]) -> Self:
        return cls(
            **_common(entry),
            values=RecipientValues.of(dict(entry.values)),
            declared=None if entry.declared is None else RecipientValues.of(dict(entry.declared)),
            secrets=secrets,
            pending=numbers.get("pending", 0),
            sent=numbers.get("sent", 0),
            dead=numbers.get("dead", 0),
        )


class Tested(Shape):
    """What became of a message that only tests."""

    model_config = example(
        delivered=False,
        took_s=0.2,
        message="alarm.example answered 401",
        mend="",
    )

    delivered: bool
    took_s: float
    message: str
    mend: str


# --- who is responsible -----------------------------------------------------------------------------------


class RouteValues(Body):
    """A line of the routing table: all that is not null must match; the first line that does counts."""

    unit: Id
    scopes: Annotated[tuple[Scope, ...] | None, Field(max_length=10)] = None
    kinds: Annotated[tuple[FaultKind, ...] | None, Field(max_length=10)] = None
    causes: Ids | None = None
    tiers: Annotated[tuple[Tier, ...] | None, Field(max_length=10)] = None
    departments: Ids | None = None
    areas: Ids | None = None
    zones: Ids | None = None
    tags: Ids | None = None

    def plain(self) -> dict[str, Any]:
        found: dict[str, Any] = {"unit": self.unit}
        for name in CONDITIONS:
            value = getattr(self, name)
            found[name] = sorted({str(one) for one in value}) if value else None
        return found


class RoutingValues(Body):
    model_config = example(
        rules=[{"unit": "telecom", "scopes": ["node"], "areas": ["nanshan"]}], fallback_unit="operations"
    )

    rules: Annotated[tuple[RouteValues, ...], Field(max_length=200)]
    fallback_unit: Annotated[Id, Field(description="Who gets what belongs to nobody.")]

    def plain(self) -> dict[str, Any]:
        return {"rules": [rule.plain() for rule in self.rules], "fallback_unit": self.fallback_unit}


class RoutingChange(Change):
    values: RoutingValues


class RoutingSetting(Setting):
    values: RoutingValues
    declared: RoutingValues | None

    @classmethod
    def of(cls, entry: SettingsEntry) -> Self:
        return cls(
            **_common(entry),
            values=RoutingValues(**entry.values),
            declared=None if entry.declared is None else RoutingValues(**entry.declared),
        )
