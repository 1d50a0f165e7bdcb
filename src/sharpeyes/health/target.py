"""What the fleet is told to look at: a camera, how, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sharpeyes.domain.camera import SESSIONS, Camera
from sharpeyes.domain.time import Ms
from sharpeyes.health.probe import ProbeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A camera with all that is needed to look at it."""

    camera: Camera
    request: ProbeRequest
    """What to ask of it, with its credentials."""
    cadence_s: float = 30.0
    """Seconds between two probes."""
    quality_s: float = 300.0
    """Seconds between two looks at its picture."""
    sessions: int = SESSIONS
    """Sessions that may be open on its host at once; of several answers for one host the smallest holds."""
    credential: str | None = None
    """Name of the credential that it takes if not its own but its device's; one that is named and not there
    is our fault."""
    credential_changed: Ms | None = None
    """When its credentials were last changed: a refusal before that is void."""
    canary: bool = False
    """A camera of our own, looked at as any other and counted nowhere: see
    :mod:`sharpeyes.selfwatch.canaries`."""


def host_of(url: str) -> str:
    """The host behind a URL, its letters small: what sessions are counted at."""
    return (urlsplit(url).hostname or "").lower()


def endpoint_of(url: str) -> str:
    """Host and port behind a URL: what an account is refused at."""
    parts = urlsplit(url)
    default = 322 if parts.scheme == "rtsps" else 554
    return f"{(parts.hostname or '').lower()}:{parts.port or default}"
