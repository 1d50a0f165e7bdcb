"""What is written into the register, and its one canonical form.

An entry is hashed as the bytes of its canonical JSON: version 1, keys sorted, no spaces, UTF-8, no floats.
For the values that entries hold this is RFC 8785 (JCS), so that anybody can rebuild the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms

VERSION = 1
LARGEST_BODY = 64 * 1024
LARGEST_INT = (1 << 53) - 1
DEEPEST = 4

Detail = str | int | bool | None | Sequence["Detail"] | Mapping[str, "Detail"]


class Kind(StrEnum):
    """What happened."""

    LOGIN = "login"
    """Somebody logged in, failed to, or a session ended: ``details.outcome``."""
    REQUEST = "request"
    """A request was submitted, withdrawn or expired: ``details.step``."""
    DECISION = "decision"
    """An approver's yes or no, or the review of an override: ``details.verdict``."""
    VIEW_STARTED = "view_started"
    VIEW_ENDED = "view_ended"
    SNAPSHOT = "snapshot"
    EXPORT = "export"
    OVERRIDE = "override"
    REFUSAL = "refusal"
    """Somebody was refused: ``details.reason`` is a word of ``domain.access.Reason``."""
    POLICY_CHANGED = "policy_changed"
    RIGHT_CHANGED = "right_changed"
    """A grant was issued, extended, narrowed or revoked, or a user's roles changed: ``details.change``."""
    RETENTION = "retention"
    """What the oldest entries said is removed, up to ``details.upto``; signed in ``details.statement``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. The fields are those that auditors look for; the rest is in ``details``."""

    kind: Kind
    at: Ms
    user: str | None = None
    name: str | None = None
    """The user's name at that time (Order 799, article 16: unit and name of the caller)."""
    unit: str | None = None
    """The user's department."""
    camera: str | None = None
    grant: str | None = None
    request: str | None = None
    purpose: str | None = None
    address: str | None = None
    """Where the user came from."""
    details: Mapping[str, Detail] = field(default_factory=dict)


_NAMED = ("user", "name", "unit", "camera", "grant", "request", "purpose", "address")


def encode(entry: Entry) -> bytes:
    """The canonical bytes. InvalidInputError if the details hold what has no canonical form."""
    body: dict[str, Detail] = {"v": VERSION, "kind": str(entry.kind), "at": entry.at}
    for name in _NAMED:
        if (value := getattr(entry, name)) is not None:
            body[name] = str(value)
    if entry.details:
        _check(entry.details, 0)
        body["details"] = dict(entry.details)
    try:
        data = _encoder.encode(body).encode()
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidInputError(f"the entry cannot be written down: {type(error).__name__}") from None
    if len(data) > LARGEST_BODY:
        raise InvalidInputError(f"the entry is longer than {LARGEST_BODY} bytes")
    return data


def decode(body: bytes) -> Entry:
    """The entry back from its canonical bytes. InvalidInputError if these are not canonical, so that one
    entry has one form only."""
    try:
        raw: dict[str, Any] = json.loads(body)
        if raw.pop("v") != VERSION:
            raise InvalidInputError("the entry is of a version that is not known here")
        entry = Entry(
            kind=Kind(raw.pop("kind")),
            at=raw.pop("at"),
            details=raw.pop("details", {}),
            **{name: raw.pop(name, None) for name in _NAMED},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInputError("the entry is not of the form of entries") from None
    if raw or encode(entry) != body:
        raise InvalidInputError("the entry is not in its canonical form")
    return entry


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _check(value: object, depth: int) -> None:
    """Only what every JSON library reads back the same: no floats, no numbers beyond 2**53, ASCII keys."""
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > LARGEST_INT:
            raise InvalidInputError("details: a number is beyond 2**53")
    elif depth >= DEEPEST:
        raise InvalidInputError(f"details: nested deeper than {DEEPEST}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise InvalidInputError("details: a key is not plain ASCII")
            _check(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner, depth + 1)
    else:
        raise InvalidInputError(f"details: a {type(value).__name__} has no canonical form")
