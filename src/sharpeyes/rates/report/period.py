"""The period that a report is about: a day, a week from Monday, or a month of the site's time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, tzinfo

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.timeline import Every


@dataclass(frozen=True, slots=True)
class Period:
    """``label`` is ISO 8601: ``2026-10-05``, ``2026-W41`` or ``2026-10``."""

    every: Every
    label: str
    span: Span

    @classmethod
    def parse(cls, label: str, zone: tzinfo) -> Period:
        """InvalidInputError if the label is none of the three."""
        try:
            if re.fullmatch(r"\d{4}-\d\d", label, re.ASCII):
                return cls(Every.MONTH, label, timeline.month(date.fromisoformat(f"{label}-01"), zone))
            if re.fullmatch(r"\d{4}-W\d\d", label, re.ASCII):
                monday = date.fromisocalendar(int(label[:4]), int(label[6:]), 1)
                return cls(Every.WEEK, label, timeline.week(monday, zone))
            if re.fullmatch(r"\d{4}-\d\d-\d\d", label, re.ASCII):
                return cls(Every.DAY, label, timeline.day(date.fromisoformat(label), zone))
        except (ValueError, OverflowError):
            pass
        raise InvalidInputError(
            f"period: {label[:40]!r} is no day, week or month",
            mend="Write 2026-10-05, 2026-W41 or 2026-10",
        )

    @classmethod
    def begun(cls, label: str, zone: tzinfo, now: Ms) -> Period:
        """The same; InvalidInputError, too, if nothing of it is over."""
        period = cls.parse(label, zone)
        if period.span.start >= now:
            raise InvalidInputError(f"period: {label} has not begun yet", mend="Choose a span that has begun")
        return period
