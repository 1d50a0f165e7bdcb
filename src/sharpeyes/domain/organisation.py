"""Who owns cameras and where they stand: tiers, departments, areas, zones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """The three tiers of a city's video: the backbone, sector networks, everybody else's."""

    PUBLIC_SECURITY = "public_security"
    DEPARTMENTAL = "departmental"
    COMMUNITY = "community"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPolicy:
    """What is promised for a tier: the online rate it is held to, and how often its cameras are checked."""

    tier: Tier
    target: float = 0.95
    """Online rate to reach, 0..1."""
    liveness_s: float = 30.0
    """Seconds between two liveness probes of one camera."""
    quality_s: float = 300.0
    """Seconds between two looks at its picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Department:
    """A unit that owns cameras, asks for views, or both."""

    id: str
    name: str
    industry: str | None = None
    """Two-digit industry code of GB/T 28181 annex (``"00"`` road public order ... ``"11"`` education)."""
    name_en: str | None = None
    """For those who read English; None: the name."""
    contact: str | None = None
    """Whom to call: a name, an office, a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A node of the tree of administrative areas."""

    id: str
    name: str
    parent: str | None = None
    code: str | None = None
    """Region code of GB/T 2260 (2, 4, 6 or 8 digits); the centre code of the cameras numbered in it."""
    name_en: str | None = None
    """For those who read English; None: the name."""
    target: float | None = None
    """Online rate that it is held to, 0..1; None: none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A separate network. What the prober cannot see of a zone is unknown for the whole zone."""

    id: str
    name: str
    network: str = "7"
    """Network digit of the 20-digit code: 0/1 police video, 2 sector, 6 government extranet, 7 internet."""
