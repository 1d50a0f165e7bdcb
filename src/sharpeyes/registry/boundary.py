"""Outlines of areas: GeoJSON of whoever sends it, made into a Polygon or MultiPolygon within bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sharpeyes.domain.errors import InvalidInputError

MOST_POINTS = 50_000
DEEPEST = 4
"""Collections within collections."""


def outline(document: Any) -> Mapping[str, Any]:
    """Every polygon of a geometry, a feature or a collection, as one GeoJSON geometry (RFC 7946): rings
    closed, degrees with six decimals. InvalidInputError says what is wrong and what to do."""
    found = []
    points = 0
    for rings in _polygons(document, 0):
        points += sum(map(len, rings))
        if points > MOST_POINTS:
            raise InvalidInputError(f"it has more than {MOST_POINTS:,} points", mend="Simplify its lines")
        found.append(rings)
    if not found:
        raise InvalidInputError("it holds no Polygon or MultiPolygon", mend="Give the outline of the area")
    if len(found) == 1:
        return {"type": "Polygon", "coordinates": found[0]}
    return {"type": "MultiPolygon", "coordinates": found}


def ring(points: Sequence[Sequence[float]]) -> list[list[float]]:
    """One closed ring of ``[longitude, latitude]``."""
    checked = [_point(point) for point in points]
    closed = checked if checked and checked[0] == checked[-1] else [*checked, *checked[:1]]
    if len(closed) < 4:
        raise InvalidInputError("an outline has three points at least", mend="Write [[120.1, 30.2], ...]")
    return closed


def size(geometry: Mapping[str, Any]) -> int:
    """How many points an outline has."""
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return sum(len(one) for rings in parts for one in rings)


def _polygons(document: Any, depth: int) -> Iterator[list[list[list[float]]]]:
    if not isinstance(document, dict) or depth > DEEPEST:
        return
    match document.get("type"):
        case "FeatureCollection":
            for item in _list(document.get("features")):
                yield from _polygons(item, depth + 1)
        case "Feature":
            yield from _polygons(document.get("geometry"), depth + 1)
        case "GeometryCollection":
            for item in _list(document.get("geometries")):
                yield from _polygons(item, depth + 1)
        case "Polygon":
            yield _polygon(document.get("coordinates"))
        case "MultiPolygon":
            for one in _list(document.get("coordinates")):
                yield _polygon(one)


def _polygon(value: Any) -> list[list[list[float]]]:
    rings = [ring(_list(one)) for one in _list(value)]
    if not rings:
        raise InvalidInputError("a polygon without a ring", mend="Check its coordinates")
    return rings


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInputError("the GeoJSON is not well formed", mend="Check its coordinates")
    return value


def _point(value: Any) -> list[float]:
    point = _list(value)
    if len(point) < 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in point[:2]):
        raise InvalidInputError("a point is a longitude and a latitude", mend="Write [120.1, 30.2]")
    longitude, latitude = point[:2]
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise InvalidInputError(
            f"[{longitude!s:.12}, {latitude!s:.12}] is no place on Earth", mend="Longitude first, in degrees"
        )
    return [round(float(longitude), 6), round(float(latitude), 6)]
