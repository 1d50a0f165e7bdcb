"""Who is told, about which faults, and at which hours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

from sharpeyes.domain.access import Schedule
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Delivery, DeliveryState, Notice, Severity, Topic
from sharpeyes.domain.time import Ms, from_datetime
from sharpeyes.faults.notify.channels import Channel


class Language(StrEnum):
    """In what a recipient reads."""

    ZH = "zh-CN"
    EN = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One place where messages go, and what is wanted there."""

    id: str
    channel: Channel
    timezone: tzinfo
    """Of the site: for the hours below, and for the times in messages."""
    language: Language = Language.ZH
    units: frozenset[str] | None = None
    """Tickets of these units; None: of all."""
    least: Severity = Severity.MINOR
    """Faults at least as bad as this."""
    level: int = 0
    """Told only when a ticket has escalated so far."""
    quiet: Schedule | None = None
    """Hours at which only critical faults are told; the rest comes in one message afterwards."""
    digests: tuple[int, ...] = ()
    """Minutes of the day at which everything that is not critical is told in one message; empty: at once."""
    name: str = ""
    """For people; empty: the id."""
    enabled: bool = True
    """False: nothing new is told, and what waits is given up."""

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= 64:
            raise InvalidInputError("a recipient needs an id of at most 64 characters")
        if any(not 0 <= minute < 24 * 60 for minute in self.digests):
            raise InvalidInputError("digests are minutes of the day, 0 to 1439")


# --- when ----------------------------------------------------------------------------------------------


def when(recipient: Recipient, severity: Severity, now: Ms) -> tuple[Ms, bool]:
    """Not before which instant a message may go, and whether it was held back for a digest."""
    if severity is Severity.CRITICAL:
        return now, False
    at = now
    if recipient.digests:
        at = min(_next(minute, now, recipient.timezone) for minute in recipient.digests)
    if recipient.quiet is not None:
        at = _after_quiet(recipient.quiet, at, recipient.timezone)
    return at, at > now


def _next(minute: int, now: Ms, zone: tzinfo) -> Ms:
    today = datetime.fromtimestamp(now / 1000, zone).date()
    instants = (
        from_datetime(datetime.combine(today + timedelta(day), time(*divmod(minute, 60)), zone))
        for day in range(3)
    )
    return next(instant for instant in instants if instant > now)


def _after_quiet(quiet: Schedule, at: Ms, zone: tzinfo) -> Ms:
    """The end of the quiet hours that hold at ``at``, also if one night leads into the next; ``at`` itself
    if none do, or if they never end."""
    end = at
    for _ in range(9):
        later = _quiet_until(quiet, end, zone)
        if later is None:
            return end
        end = later
    return at


def _quiet_until(quiet: Schedule, at: Ms, zone: tzinfo) -> Ms | None:
    today = datetime.fromtimestamp(at / 1000, zone).date()
    for day in (today - timedelta(1), today):
        if day.weekday() not in quiet.days:
            continue
        midnight = datetime.combine(day, time(), zone)
        start = midnight.replace(hour=quiet.start // 60, minute=quiet.start % 60)
        days, minute = divmod(quiet.end, 24 * 60)
        days += quiet.end <= quiet.start
        last = datetime.combine(day + timedelta(days), time(*divmod(minute, 60)), zone)
        if from_datetime(start) <= at < (end := from_datetime(last)):
            return end
    return None


# --- who -----------------------------------------------------------------------------------------------


def plan(
    notice: Notice,
    recipients: Iterable[Recipient],
    told: Sequence[Delivery],
    now: Ms,
    keys: Iterable[str],
) -> list[Delivery]:
    """The deliveries that a notice makes.

    ``told``: what was put in about this cycle of the ticket already: who was not told that it is down hears
    nothing of its recovery. ``keys``: fresh ones, as many as are asked for.
    """
    heard = {d.recipient for d in told if d.state is not DeliveryState.DEAD}
    fresh = iter(keys)
    what = f"{notice.topic}-{notice.level}" if notice.topic is Topic.ESCALATED else notice.topic
    deliveries = []
    for recipient in recipients:
        if not recipient.enabled or not (
            recipient.id in heard if notice.topic is Topic.UP else wants(recipient, notice)
        ):
            continue
        due, held = when(recipient, notice.severity, now)
        deliveries.append(
            Delivery(
                key=next(fresh),
                once=f"{notice.ticket}:{notice.cycle}:{what}:{recipient.id}",
                recipient=recipient.id,
                notice=notice,
                created=now,
                due=due,
                digest=held,
            )
        )
    return deliveries


def wants(recipient: Recipient, notice: Notice) -> bool:
    """Whether a fault, or its escalation, is for this recipient."""
    return (
        (recipient.units is None or notice.unit in recipient.units)
        and notice.severity.rank <= recipient.least.rank
        and recipient.level <= notice.level
    )


def by_id(recipients: Iterable[Recipient]) -> Mapping[str, Recipient]:
    """Raises InvalidInputError if two have the same id."""
    found: dict[str, Recipient] = {}
    for recipient in recipients:
        if found.setdefault(recipient.id, recipient) is not recipient:
            raise InvalidInputError(f"there are two recipients {recipient.id}")
    return found
