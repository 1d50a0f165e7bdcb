"""Who must look again: what changed about rights, told to gateways in the moment it is durable.

Within this process by :class:`Changes`; for another process, and as the fallback of both, out of the
register itself, which has every change in order: :func:`changed_by`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sharpeyes.access.register.entry import Entry, Kind

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


TELLING = (Kind.LOGIN, Kind.RIGHT_CHANGED, Kind.POLICY_CHANGED, Kind.OVERRIDE)
"""Kinds of entries that :func:`changed_by` looks at."""


def changed_by(entries: Iterable[Entry]) -> Changed:
    """What these entries changed, taken together."""
    users, grants, cameras, overrides = set[str](), set[str](), set[str](), set[str]()
    policy = False
    for entry in entries:
        details = entry.details
        if entry.kind is Kind.RIGHT_CHANGED and entry.grant:
            grants.add(entry.grant)
            if details.get("change") == "issued" and isinstance(named := details.get("users"), list):
                users.update(str(name) for name in named)
        elif entry.kind is Kind.RIGHT_CHANGED or (
            entry.kind is Kind.LOGIN and details.get("outcome") == "ended"
        ):
            users.add(str(details.get("of")))
        elif entry.kind is Kind.OVERRIDE and entry.grant:
            grants.add(entry.grant)
            overrides.add(entry.grant)
            users.add(str(entry.user))
        elif entry.kind is Kind.POLICY_CHANGED:
            if camera := details.get("camera"):
                cameras.add(str(camera))
            else:
                policy = True
    return Changed(
        users=frozenset(users),
        grants=frozenset(grants),
        cameras=frozenset(cameras),
        overrides=frozenset(overrides),
        policy=policy,
    )


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
