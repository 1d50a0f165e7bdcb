"""Transparency figures for everybody: months that are over, in numbers too coarse to point at a person.

Three things keep single acts out of sight. A month is published once it is over, so that nobody can watch a
number change. A count from 1 to 4 is told as "fewer than 5", and a larger one is rounded down to a multiple
of 5, each on its own: nothing here adds up to an exact total from which a small one follows. And hours are
told only where there were enough views.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields

from sharpeyes.access.register.figures import Figures

COARSE = 5
MOST_MONTHS = 60
"""Kept in memory, so that a public page costs a dictionary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicRow:
    """Coarse counts of one department and purpose; None: from 1 to 4."""

    department: str
    purpose: str
    counts: dict[str, int | None]
    view_hours: int | None


def coarse(count: int) -> int | None:
    """0, None for 1 to 4, else rounded down to a multiple of 5."""
    return None if 0 < count < COARSE else count - count % COARSE


def publish(found: dict[tuple[str, str], Figures]) -> tuple[PublicRow, ...]:
    return tuple(
        PublicRow(
            department=department,
            purpose=purpose,
            counts={
                item.name: coarse(getattr(figures, item.name))
                for item in fields(Figures)
                if item.name != "view_seconds"
            },
            view_hours=figures.view_seconds // 3600 if figures.views >= COARSE else None,
        )
        for (department, purpose), figures in sorted(found.items())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicMonth:
    """What is published of one month."""

    rows: tuple[PublicRow, ...]
    against: dict[str, int | None]
    """Overrides that count against a department, as coarse."""


class PublicFigures:
    """Published months, each counted once, one at a time, whoever asks for them and how often."""

    def __init__(self) -> None:
        self._months: dict[str, PublicMonth] = {}
        self._counting = asyncio.Lock()

    async def of(self, month: str, count: Callable[[], Awaitable[PublicMonth]]) -> PublicMonth:
        async with self._counting:
            found = self._months.get(month)
            if found is None:
                found = await count()
                if len(self._months) >= MOST_MONTHS:
                    del self._months[next(iter(self._months))]
                self._months[month] = found
            return found
