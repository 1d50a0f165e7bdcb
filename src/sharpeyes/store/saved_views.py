"""Filters of a list, kept under a name by one person."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from sharpeyes.domain.errors import ConflictError, NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.dossier_schema import saved_view

MOST = 50
"""Of one person."""


class SavedView(NamedTuple):
    """``query`` is the query string of the page, as it stands in the address."""

    id: str
    user: str
    page: str
    name: str
    query: str
    created: Ms


def add_view(connection: Connection, user: str, *, page: str, name: str, query: str, now: Ms) -> SavedView:
    """ConflictError if the person has one of this name on this page, or :data:`MOST` of them."""
    v = saved_view.c
    mine = v.user_id == user
    if connection.execute(select(v.id).where(mine, v.page == page, v.name == name)).first():
        raise ConflictError(
            f"name: you have a view {name!r} already", mend="Choose another name, or remove it"
        )
    if connection.execute(select(func.count()).where(mine)).scalar_one() >= MOST:
        raise ConflictError(f"you have {MOST} views", mend="Remove one that you do not use")
    item = SavedView(secrets.token_hex(8), user, page, name, query, now)
    connection.execute(
        insert(saved_view).values(id=item.id, user_id=user, page=page, name=name, query=query, created_ms=now)
    )
    return item


def list_views(connection: Connection, user: str) -> list[SavedView]:
    """A person's, by page and name."""
    v = saved_view.c
    query = select(saved_view).where(v.user_id == user).order_by(v.page, v.name)
    return [SavedView(*row) for row in connection.execute(query)]


def remove_view(connection: Connection, user: str, key: str) -> None:
    """NotFoundError if the person has none of this id."""
    v = saved_view.c
    if not connection.execute(delete(saved_view).where(v.id == key, v.user_id == user)).rowcount:
        raise NotFoundError("you have no such view")
