"""What the operator declared, as plain values that the configuration is read into."""

from __future__ import annotations

from dataclasses import dataclass

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.organisation import Area, Department, TierPolicy, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCredential:
    """An account; its password is None if it could not be read now, which keeps the one stored before."""

    id: str
    username: str
    password: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The whole of it: what is missing here and was declared before is to be retired."""

    tiers: tuple[TierPolicy, ...] = ()
    zones: tuple[Zone, ...] = ()
    departments: tuple[Department, ...] = ()
    areas: tuple[Area, ...] = ()
    """Parents before their children."""
    credentials: tuple[DeclaredCredential, ...] = ()
    cameras: tuple[Camera, ...] = ()
