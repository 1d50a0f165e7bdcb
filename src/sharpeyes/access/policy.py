"""What a tier's cameras demand of those who want to watch them, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import tzinfo

from sharpeyes.domain.access import Role, Target
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPolicy:
    """The rules of one tier. Lengths of time are in ms."""

    tier: Tier
    approvers: int = 1
    """Different people who must approve, none of them the applicant or a user named."""
    default_life_ms: int = 8 * HOUR
    """Length of a grant when the request names no end."""
    longest_life_ms: int = 7 * DAY
    """From the start of the period to its end, extensions included."""
    decide_within_ms: int = 3 * DAY
    """An undecided request expires after this time, or at the end of its period if that comes first."""
    most_cameras: int = 50
    """A request that names more is refused; so is an override, at ``override_cameras``."""
    most_users: int = 20
    operators_watch_own: bool = True
    """Operators see their own department's cameras without a grant."""
    burned_watermark: bool = False
    """Burn who, unit, time and grant into each viewer's picture. Costs a transcode per viewer (about a
    quarter of a core at 1080p), so it is asked for, not assumed; the console always draws its own."""
    transcode: bool = True
    """A stream that a viewer's browser cannot show (H.265, B-frames) may be coded anew for it, at about a
    third of a core at 1080p."""
    override: bool = True
    """Emergency override is possible at all."""
    override_life_ms: int = 30 * MINUTE
    override_cameras: int = 8
    review_within_ms: int = 24 * HOUR
    """An override that nobody else reviewed by then counts against the department that used it."""

    @property
    def version(self) -> str:
        """Other whenever a rule is: so that two administrators do not overwrite each other."""
        told = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def __post_init__(self) -> None:
        for name in (
            "approvers",
            "default_life_ms",
            "longest_life_ms",
            "decide_within_ms",
            "most_cameras",
            "most_users",
            "override_life_ms",
            "override_cameras",
            "review_within_ms",
        ):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{self.tier}: {name} must be at least 1")
        if self.default_life_ms > self.longest_life_ms:
            raise InvalidInputError(
                f"{self.tier}: default_life_ms is longer than longest_life_ms",
                mend="Shorten the default or allow a longer life",
            )


DEFAULTS: Mapping[Tier, ViewPolicy] = {
    Tier.PUBLIC_SECURITY: ViewPolicy(
        tier=Tier.PUBLIC_SECURITY,
        approvers=2,
        default_life_ms=4 * HOUR,
        longest_life_ms=3 * DAY,
        most_cameras=20,
    ),
    Tier.DEPARTMENTAL: ViewPolicy(tier=Tier.DEPARTMENTAL),
    Tier.COMMUNITY: ViewPolicy(tier=Tier.COMMUNITY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything that is set for the whole site, as it stands now."""

    zone: tzinfo
    """Time zone of the site's wall clocks, which daily schedules are written in."""
    tiers: Mapping[Tier, ViewPolicy]

    def of(self, target: Target) -> ViewPolicy:
        return self.tiers[target.tier]

    def strictest(self, targets: Iterable[Target]) -> ViewPolicy:
        """One policy that is as strict as each of these cameras' tiers wants. ``targets`` is not empty."""
        policies = {target.tier: self.of(target) for target in targets}.values()
        first = next(iter(policies))
        longest = min(policy.longest_life_ms for policy in policies)
        return ViewPolicy(
            tier=first.tier,
            approvers=max(policy.approvers for policy in policies),
            default_life_ms=min(longest, *(policy.default_life_ms for policy in policies)),
            longest_life_ms=longest,
            decide_within_ms=min(policy.decide_within_ms for policy in policies),
            most_cameras=min(policy.most_cameras for policy in policies),
            most_users=min(policy.most_users for policy in policies),
            operators_watch_own=all(policy.operators_watch_own for policy in policies),
            burned_watermark=any(policy.burned_watermark for policy in policies),
            transcode=all(policy.transcode for policy in policies),
            override=all(policy.override for policy in policies),
            override_life_ms=min(policy.override_life_ms for policy in policies),
            override_cameras=min(policy.override_cameras for policy in policies),
            review_within_ms=min(policy.review_within_ms for policy in policies),
        )


OVERRIDE_ROLES = frozenset({Role.OPERATOR})
"""Who may open cameras in an emergency: the people who sit in a monitoring room."""
