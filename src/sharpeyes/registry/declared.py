"""What the operator declared, as plain values that the configuration is read into."""

from __future__ import annotations

from dataclasses import dataclass

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.organisation import Area, Department, TierPolicy, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The whole of it: what is missing here and was declared before is to be retired.

    ``credentials`` holds those whose password could be read; ``credential_names`` all that are declared, so
    that a variable that is not set today does not cost the stored password of yesterday.
    """

    tiers: tuple[TierPolicy, ...] = ()
    zones: tuple[Zone, ...] = ()
    departments: tuple[Department, ...] = ()
    areas: tuple[Area, ...] = ()
    """Parents before their children."""
    credentials: tuple[tuple[str, Credentials], ...] = ()
    credential_names: frozenset[str] = frozenset()
    cameras: tuple[Camera, ...] = ()
