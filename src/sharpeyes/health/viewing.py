"""What the fleet is told of the streams that somebody else pulls, for people who watch.

A pull that delivers is as good as a probe, and costs the camera nothing more. So whoever pulls a stream says
so, and the fleet asks the pull what it sees when the camera's turn has come. The sessions that pulls hold
count towards what a host can serve, so that looking does not push out watching.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.health import ProbeResult

log = logging.getLogger(__name__)

Seen: TypeAlias = Callable[[], ProbeResult | None]
"""What a pull sees at this moment; None if that is no moving picture, and the camera is to be probed."""


class Viewing(Protocol):
    """Who is to hear of pulls: :meth:`sharpeyes.health.fleet.Fleet.viewed`."""

    def __call__(
        self, camera: str, url: str, credentials: Credentials | None, seen: Seen, /
    ) -> Callable[[], None]:
        """A session on ``url`` is open, or about to be. What this gives is called once, when it has ended."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """A stream that somebody pulls."""

    url: str
    credentials: Credentials | None
    seen: Seen


class Pulls:
    """All pulls under way, by camera."""

    def __init__(self) -> None:
        self._of: dict[str, list[Pull]] = {}

    def begin(self, camera: str, pull: Pull) -> None:
        self._of.setdefault(camera, []).append(pull)

    def end(self, camera: str, pull: Pull) -> None:
        pulls = self._of[camera]
        pulls.remove(pull)
        if not pulls:
            del self._of[camera]

    def seen(self, camera: str, url: str, credentials: Credentials | None) -> ProbeResult | None:
        """What is seen of this very stream by whoever pulls it now."""
        for pull in self._of.get(camera, ()):
            if pull.url == url and pull.credentials == credentials:
                try:
                    result = pull.seen()
                except Exception:  # theirs must not stop the watch
                    log.exception("a pull of camera %s cannot say what it sees", camera)
                    continue
                if result is not None:
                    return result
        return None
