"""User names and passwords that cannot leak by being printed."""

from __future__ import annotations

from dataclasses import dataclass


class Secret:
    """A string that shows as ``***`` everywhere but where :meth:`reveal` is called."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account on a device."""

    username: str
    password: Secret
    allow_basic: bool = False
    """Whether the password may go over the wire readable: by Basic, or in the path of a URL that wants it."""
