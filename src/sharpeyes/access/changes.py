"""Who must look again: what changed about rights, told to gateways in the moment it is durable.

What another process changes is seen when a gateway looks again, as it does every second for every picture.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Ask ``decide`` again for every picture that runs for one of these."""

    users: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()
    cameras: frozenset[str] = frozenset()
    overrides: frozenset[str] = frozenset()
    """Overrides that were just opened, by their grants: auditors are to be told."""
    policy: bool = False
    """Rules changed: ask again for all."""

    def __bool__(self) -> bool:
        return bool(self.users or self.grants or self.cameras or self.overrides or self.policy)


Listener = Callable[[Changed], None]


class Changes:
    """Listeners in this process. Each is called in the event loop, at once, and must not wait."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` from now on, until the function that this returns is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, changed: Changed) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(changed)
            except Exception:  # one that fails must not keep the news from the others
                log.exception("a listener for changed rights failed")
