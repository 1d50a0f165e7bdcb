"""The city of the access tests: who is who, which cameras there are, and what time it is."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sharpeyes.access.policy import DEFAULTS, HOUR, Rules
from sharpeyes.access.policy import MINUTE as MINUTE  # for the tests
from sharpeyes.access.requests import Application
from sharpeyes.domain.access import Action, Grant, Purpose, Role, Subject, Target, Terms
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = Ms(1_790_000_000_000)  # Monday 2026-09-21T14:13:20Z, 22:13:20 in Shanghai
RULES = Rules(zone=SHANGHAI, tiers=DEFAULTS)


def at(text: str, zone: ZoneInfo | None = None) -> Ms:
    moment = datetime.fromisoformat(text)
    return Ms(round(moment.replace(tzinfo=zone or UTC).timestamp() * 1000))


def person(name: str, department: str, *roles: Role, enabled: bool = True) -> Subject:
    return Subject(id=name, name=name.title(), department=department, roles=frozenset(roles), enabled=enabled)


ASKER = person("wang", "traffic", Role.REQUESTER)
COLLEAGUE = person("li", "traffic", Role.REQUESTER)
APPROVER = person("zhao", "police", Role.APPROVER)
SECOND = person("qian", "police", Role.APPROVER)
SCHOOL_APPROVER = person("sun", "school", Role.APPROVER)
OPERATOR = person("zhou", "police", Role.OPERATOR)
AUDITOR = person("wu", "audit", Role.AUDITOR)
MAINTAINER = person("zheng", "service", Role.MAINTAINER)
ADMIN = person("feng", "it", Role.ADMIN)
EVERYBODY = (
    ASKER,
    COLLEAGUE,
    APPROVER,
    SECOND,
    SCHOOL_APPROVER,
    OPERATOR,
    AUDITOR,
    MAINTAINER,
    ADMIN,
)

CROSSING = Target(
    camera="crossing", owner="police", tier=Tier.PUBLIC_SECURITY, area="north-1", tags=("road",)
)
PARK = Target(camera="park", owner="police", tier=Tier.COMMUNITY, area="north-2")
GATE = Target(camera="gate", owner="school", tier=Tier.DEPARTMENTAL, area="south", tags=("road", "gate"))
CAMERAS = (CROSSING, PARK, GATE)
PARENTS = {"city": None, "north": "city", "north-1": "north", "north-2": "north", "south": "city"}

FORM = Application(
    users=(ASKER, COLLEAGUE),
    actions=frozenset({Action.LIVE}),
    purpose=Purpose.TRAFFIC,
    purpose_text="Jam at the crossing",
)

TERMS = Terms(
    department="traffic",
    users=frozenset({"wang", "li"}),
    actions=frozenset({Action.LIVE}),
    period=Span(NOW, Ms(NOW + 8 * HOUR)),
    purpose=Purpose.TRAFFIC,
    purpose_text="Jam at the crossing",
)
GRANT = Grant(
    id="g1",
    owner="police",
    cameras=frozenset({"crossing", "park"}),
    applicant="wang",
    terms=TERMS,
    issued=NOW,
    longest_ms=72 * HOUR,
    request="r1",
)


def rules(tier: Tier, **changes: object) -> Rules:
    """The defaults with one tier changed."""
    changed = replace(DEFAULTS[tier], **changes)  # type: ignore[arg-type]
    return Rules(zone=SHANGHAI, tiers={**DEFAULTS, tier: changed})
