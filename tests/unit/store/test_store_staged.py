"""Staged imports under two processes at once: each row is taken by one of them, and one import is begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from sharpeyes.domain.time import Ms
from sharpeyes.store.database import Database
from sharpeyes.store.staged import (
    Staged,
    add_rows,
    add_staged,
    decide_staged,
    drop_rows,
    drop_staged,
    hold_staged,
    list_staged,
    next_rows,
    one_at_a_time,
)

NUMBER = 200


@pytest.fixture
def both(store_url: str) -> Iterator[tuple[Database, Database]]:
    with Database(store_url) as one, Database(store_url) as other:
        one.upgrade()
        yield one, other


def test_a_row_is_taken_by_one_of_them(both: tuple[Database, Database]) -> None:
    def stage(connection: Connection) -> None:
        add_staged(connection, Staged("i", Ms(1), "a test", decided=True))
        add_rows(connection, "i", 0, [str(n) for n in range(NUMBER)])

    def some(connection: Connection) -> list[str] | None:
        if not hold_staged(connection, "i"):
            return None
        if not (rows := next_rows(connection, "i", 3)):
            drop_staged(connection, "i")
            return None
        drop_rows(connection, "i", rows[-1][0])
        return [body for _, body in rows]

    def all_of_them(database: Database) -> Counter[str]:
        taken = Counter[str]()
        while (bodies := database.write(some)) is not None:
            taken.update(bodies)
        return taken

    both[0].write(stage)
    with ThreadPoolExecutor(2) as pool:
        taken = sum(pool.map(all_of_them, both), Counter[str]())
    assert taken == {str(n): 1 for n in range(NUMBER)}
    assert both[0].read(list_staged) == []


def test_one_of_them_begins(both: tuple[Database, Database]) -> None:
    def begin(database: Database) -> bool:
        def write(connection: Connection) -> bool:
            one_at_a_time(connection)
            if list_staged(connection):
                return False
            add_staged(connection, Staged("i", Ms(1), "a test", decided=False))
            return True

        return database.write(write)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(begin, both)) == [False, True]
    assert both[0].read(list_staged) == [Staged("i", Ms(1), "a test", decided=False)]


def test_what_is_gone_or_decided_is_known(both: tuple[Database, Database]) -> None:
    def write(connection: Connection) -> list[bool]:
        add_staged(connection, Staged("i", Ms(1), "a test", decided=False))
        before = hold_staged(connection, "i", decided=False)
        found = [before, decide_staged(connection, "i"), decide_staged(connection, "gone")]
        return [*found, hold_staged(connection, "i", decided=False), hold_staged(connection, "gone")]

    assert both[0].write(write) == [True, True, False, False, False]
