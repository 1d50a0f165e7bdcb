"""How many views run, by user, department, camera and altogether. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sharpeyes.domain.errors import LimitError
from sharpeyes.gateway.settings import Limits


@dataclass(frozen=True, slots=True)
class Seat:
    """What one view counts towards."""

    user: str
    department: str
    camera: str


class Seats:
    """Views that run now."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: Counter[tuple[str, str]] = Counter()

    def take(self, seat: Seat) -> None:
        """One more view. LimitError names the limit; nothing is counted then."""
        for what, name, limit, mend in self._counts(seat):
            if self._taken[what, name] >= limit:
                raise LimitError(
                    f"{limit} views at a time is the limit of {_WHOSE[what]}",
                    mend=mend,
                )
        for what, name, _, _ in self._counts(seat):
            self._taken[what, name] += 1

    def give_back(self, seat: Seat) -> None:
        for what, name, _, _ in self._counts(seat):
            self._taken[what, name] -= 1
            if self._taken[what, name] <= 0:
                del self._taken[what, name]

    def __len__(self) -> int:
        return self._taken["gateway", ""]

    def _counts(self, seat: Seat) -> tuple[tuple[str, str, int, str], ...]:
        limits = self._limits
        return (
            ("user", seat.user, limits.user, "Close another picture first"),
            ("department", seat.department, limits.department, "A colleague's picture must close first"),
            ("camera", seat.camera, limits.camera, "Try again when somebody has left"),
            ("gateway", "", limits.gateway, "Try again in a moment"),
        )


_WHOSE = {
    "user": "one user",
    "department": "one department",
    "camera": "one camera",
    "gateway": "this gateway",
}
