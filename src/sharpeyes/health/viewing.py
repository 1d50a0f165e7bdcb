"""What the fleet is told of the streams that somebody else pulls, for people who watch.

A pull that delivers is as good as a probe, and costs the camera nothing more. So whoever pulls a stream says
so, and the fleet asks the pull what it sees when the camera's turn has come. The sessions that pulls hold
count towards what a host can serve, so that looking does not push out watching.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.health import ProbeResult

Seen: TypeAlias = Callable[[], ProbeResult | None]
"""What a pull sees at this moment; None if that is no moving picture, and the camera is to be probed."""


class Viewing(Protocol):
    """Who is to hear of pulls: :meth:`sharpeyes.health.fleet.Fleet.viewed`."""

    def __call__(
        self, camera: str, url: str, credentials: Credentials | None, seen: Seen, /
    ) -> Callable[[], None]:
        """A session on ``url`` is open, or about to be. What this gives is called once, when it has ended."""
        ...
