"""How bad a fault is, how long it must last, by when it is to be mended, and who has to: all of it data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import FaultKind, Scope, Severity, Silence
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.faults.causes import CausePolicy

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What a severity is held to, in ms."""

    raise_after: int
    """A fault that lasts less makes no ticket."""
    acknowledge: int
    """From the raising of the ticket until somebody has taken it on."""
    resolve: int
    """From the raising of the ticket until a probe sees it mended."""

    def __post_init__(self) -> None:
        if self.raise_after < 0 or not 0 < self.acknowledge <= self.resolve:
            raise InvalidInputError("times must satisfy raise_after >= 0 and 0 < acknowledge <= resolve")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityRule:
    """A line of the severity table; None matches everything. The first line that matches counts."""

    severity: Severity
    scope: Scope | None = None
    kind: FaultKind | None = None
    tier: Tier | None = None
    causes: frozenset[str] | None = None


SEVERITIES = (
    SeverityRule(severity=Severity.CRITICAL, scope=Scope.ZONE),
    SeverityRule(severity=Severity.MINOR, kind=FaultKind.FLAPPING),
    SeverityRule(severity=Severity.MINOR, kind=FaultKind.CLOCK),
    SeverityRule(severity=Severity.CRITICAL, scope=Scope.NODE),
    SeverityRule(severity=Severity.MINOR, kind=FaultKind.DEGRADED),
    SeverityRule(severity=Severity.MINOR, tier=Tier.COMMUNITY),
    SeverityRule(severity=Severity.MAJOR),
)

TIMES: Mapping[Severity, Times] = {
    Severity.CRITICAL: Times(raise_after=2 * MINUTE, acknowledge=15 * MINUTE, resolve=4 * HOUR),
    Severity.MAJOR: Times(raise_after=5 * MINUTE, acknowledge=HOUR, resolve=DAY),
    Severity.MINOR: Times(raise_after=15 * MINUTE, acknowledge=8 * HOUR, resolve=3 * DAY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPolicy:
    """The whole of it. Times in ms."""

    severities: Sequence[SeverityRule] = SEVERITIES
    times: Mapping[Severity, Times] = field(default_factory=lambda: TIMES)
    causes: CausePolicy = field(default_factory=CausePolicy)
    settle_ms: int = 2 * MINUTE
    """What was well for so long, and was seen to be so by a probe then, is mended."""
    grace_ms: int = 5 * MINUTE
    """After "handled", a probe that sees the contrary is not held against the unit for so long."""
    reopen_ms: int = DAY
    """A fault that is back so soon after its ticket was closed reopens it."""
    escalate_again_ms: int = 4 * HOUR
    """Overdue tickets go a level up each time that so much has passed ..."""
    levels: int = 4
    """... up to this level."""
    sample_ms: int = 5 * MINUTE
    """Flap detection looks so often: 21 states are then 100 minutes."""

    def __post_init__(self) -> None:
        if missing := [s.value for s in Severity if s not in self.times]:
            raise InvalidInputError(f"times are missing for the severities {', '.join(missing)}")
        if self.levels < 2:
            raise InvalidInputError("levels must be 2 at least: not acknowledged, overdue")


def severity(policy: FaultPolicy, place: Place, kind: FaultKind) -> Severity:
    """By the first line of the table that matches; major if none does."""
    for rule in policy.severities:
        if (
            rule.scope in (None, place.scope)
            and rule.kind in (None, kind)
            and rule.tier in (None, place.tier)
            and (rule.causes is None or place.cause in rule.causes)
        ):
            return rule.severity
    return Severity.MAJOR


# --- who has to mend it ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and what, as far as routing and severity care."""

    scope: Scope
    subject: str
    name: str
    tier: str | None = None
    department: str | None = None
    """The owner."""
    areas: tuple[str, ...] = ()
    """The area and those above it, innermost first."""
    zone: str | None = None
    tags: frozenset[str] = frozenset()
    cause: str | None = None

    @property
    def area(self) -> str | None:
        return self.areas[0] if self.areas else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """A line of the routing table; None matches everything. The first line that matches counts."""

    unit: str
    """Who gets the ticket: a department, or a maintainer under contract."""
    scopes: frozenset[Scope] | None = None
    kinds: frozenset[FaultKind] | None = None
    causes: frozenset[str] | None = None
    tiers: frozenset[str] | None = None
    departments: frozenset[str] | None = None
    areas: frozenset[str] | None = None
    """Areas with all areas below them."""
    zones: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    """Any of them."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who has to mend it, and why."""

    unit: str
    why: str


def route(place: Place, kind: FaultKind, rules: Sequence[RouteRule], fallback: str) -> Route:
    """The unit responsible: by the first rule that matches, else the owner, else ``fallback``."""
    for number, rule in enumerate(rules, start=1):
        if (
            (rule.scopes is None or place.scope in rule.scopes)
            and (rule.kinds is None or kind in rule.kinds)
            and (rule.causes is None or place.cause in rule.causes)
            and (rule.tiers is None or place.tier in rule.tiers)
            and (rule.departments is None or place.department in rule.departments)
            and (rule.areas is None or not rule.areas.isdisjoint(place.areas))
            and (rule.zones is None or place.zone in rule.zones)
            and (rule.tags is None or not rule.tags.isdisjoint(place.tags))
        ):
            return Route(rule.unit, f"rule {number}")
    if place.department is not None and kind is not FaultKind.BLIND:
        return Route(place.department, "owner")
    return Route(fallback, "nobody else is named")


def lasted(since: Ms, now: Ms, *marks: Ms | None) -> int:
    """For how long a fault may be held against its object, ms: since it began, and since the last of the
    ``marks`` (the end of a silence, of an upstream fault) from which it counts."""
    return now - max([since, *(mark for mark in marks if mark is not None)])


def covers(silence: Silence, place: Place, above: Sequence[str]) -> bool:
    """Whether a silence is about this place; ``above``: the nodes that it hangs from, or is."""
    match silence.scope:
        case None:
            return True
        case Scope.CAMERA:
            return place.scope is Scope.CAMERA and silence.subject == place.subject
        case Scope.NODE:
            return silence.subject in above
        case Scope.ZONE:
            return silence.subject == place.zone
