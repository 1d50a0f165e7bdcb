"""Spans of time as the API's callers give them."""

from __future__ import annotations

from datetime import datetime

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import DAY_MS, Ms, Span, from_datetime

LONGEST_MS = 400 * DAY_MS


def span_of(start: datetime | None, end: datetime | None, *, now: Ms) -> Span:
    """``[from, to)``, by default the last 24 hours; never past ``now``, since nobody has seen that yet.

    Raises InvalidInputError for an empty span, one that lies ahead, and one longer than 400 days.
    """
    until = now if end is None else Ms(min(from_datetime(end), now))
    since = Ms(until - DAY_MS) if start is None else from_datetime(start)
    if since >= until:
        raise InvalidInputError(
            "from: is not before 'to', or lies in the future", mend="Choose a span that has begun"
        )
    if until - since > LONGEST_MS:
        raise InvalidInputError("from: more than 400 days before 'to'", mend="Ask for a shorter span")
    return Span(since, until)
