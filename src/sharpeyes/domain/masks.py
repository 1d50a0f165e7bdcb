"""Privacy masks: parts of a camera's picture that nobody who is given the picture may see."""

from __future__ import annotations

from dataclasses import dataclass

from sharpeyes.domain.errors import InvalidInputError

SCALE = 10_000
"""Coordinates count in so many parts of the picture's width and height: masks hold for every stream of a
camera, whatever its size, and two of them can be compared."""
MOST_POINTS = 64
MOST_MASKS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A polygon; what is inside is painted over, whatever way its outline turns or crosses itself."""

    name: str = ""
    points: tuple[tuple[int, int], ...]
    """``(x, y)`` from the upper left corner, 0 to :data:`SCALE`."""

    def __post_init__(self) -> None:
        if not 3 <= len(self.points) <= MOST_POINTS:
            raise InvalidInputError(f"masks: a polygon has 3 to {MOST_POINTS} points")
        if any(not 0 <= value <= SCALE for point in self.points for value in point):
            raise InvalidInputError(
                "masks: a point is outside the picture", mend="0 to 1, from the upper left"
            )
        if _flat(self.points):
            raise InvalidInputError("masks: a polygon covers nothing", mend="Give it points that are apart")


def _flat(points: tuple[tuple[int, int], ...]) -> bool:
    """All on one line."""
    (x0, y0), *others = points
    x1, y1 = next(((x, y) for x, y in others if (x, y) != (x0, y0)), (x0, y0))
    return all((x1 - x0) * (y - y0) == (x - x0) * (y1 - y0) for x, y in others)
