"""Saved views: filters of a list that a person keeps under a name."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Self

from fastapi import APIRouter, Path
from pydantic import Field

from sharpeyes.api.auth import Person
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.domain.time import iso
from sharpeyes.store.saved_views import SavedView, add_view, list_views, remove_view

router = APIRouter(prefix="/api/v1/saved-views", tags=["saved views"])


class NewSavedView(Body):
    page: Annotated[str, Field(min_length=1, max_length=32, pattern="^[a-z-]+$", examples=["cameras"])]
    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
    query: Annotated[
        str, Field(max_length=2000, pattern=r"^[^#\s]*$", examples=["state=offline&area=xixing"])
    ]


class SavedViewShape(Shape):
    id: str
    page: str
    name: str
    query: str
    created: Instant

    @classmethod
    def of(cls, item: SavedView) -> Self:
        return cls(id=item.id, page=item.page, name=item.name, query=item.query, created=iso(item.created))


@router.get("")
async def listed(rooms: Rooms, caller: Person) -> tuple[SavedViewShape, ...]:
    """One's own, by page and name."""
    found = await rooms.database.aread(partial(list_views, user=caller.person.id))
    return tuple(SavedViewShape.of(item) for item in found)


@router.post("", status_code=201)
async def add(rooms: Rooms, caller: Person, wanted: NewSavedView) -> SavedViewShape:
    """Keep a view; at most 50."""
    write = partial(
        add_view,
        user=caller.person.id,
        page=wanted.page,
        name=wanted.name.strip(),
        query=wanted.query,
        now=rooms.clock(),
    )
    return SavedViewShape.of(await rooms.database.awrite(write))


@router.delete("/{key}", status_code=204)
async def remove(rooms: Rooms, caller: Person, key: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]) -> None:
    """Remove a view of one's own."""
    await rooms.database.awrite(partial(remove_view, user=caller.person.id, key=key))
