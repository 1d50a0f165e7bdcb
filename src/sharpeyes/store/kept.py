"""What was read, kept for as long as it is so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, each with the :meth:`sharpeyes.store.database.Database.stamp` of what it was read from.

    At most ``most``; beyond, what was asked for longest ago goes. For one thread.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._values: OrderedDict[K, tuple[object, V]] = OrderedDict()

    def get(self, key: K, stamp: object) -> V | None:
        """None if there is none, or if what it was read from has changed."""
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] != stamp:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return found[1]

    def put(self, key: K, stamp: object, value: V) -> None:
        """``stamp``: as it was before this was read."""
        self._values[key] = stamp, value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        self._values.pop(key, None)
