"""The time a device tells in GetSystemDateAndTime, as an instant of UTC.

Most tell UTC. Some tell local time alone, with a zone in the form of POSIX (``CST-8``, ``EST5EDT,M3.2.0,
M11.1.0``), which ONVIF asks for, or in one of the forms that makers write instead: ``+08:00``,
``Asia/Shanghai``, ``UTC+8``. In the last one a plus means east to some makers and, by POSIX, west to others;
both readings are given then, and it is the one nearer to our time that was meant: they are hours apart.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_HOUR = 3600
_NAME = r"(?:<[A-Za-z0-9+\-]{1,20}>|[A-Za-z]{3,20})"
_OFFSET = r"[+-]?\d{1,2}(?::\d{2}){0,2}"
_RULE = r"(?:M\d{1,2}\.\d\.\d|J?\d{1,3})(?:/[+-]?\d{1,3}(?::\d{2}){0,2})?"
_POSIX = re.compile(
    rf"(?P<name>{_NAME})(?P<std>{_OFFSET})"
    rf"(?:(?P<summer>{_NAME})(?P<dst>{_OFFSET})?(?:,(?P<start>{_RULE}),(?P<end>{_RULE}))?)?",
    re.ASCII,
)
_ISO = re.compile(r"(?P<name>UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?", re.ASCII)
_IANA = re.compile(r"[A-Za-z]{2,20}(?:/[A-Za-z][A-Za-z0-9_+\-]{1,30}){1,2}", re.ASCII)


class ZoneUnknownError(ValueError):
    """The zone that a device names is none that can be understood; the message says which."""


def instants(local: datetime, zone: str, summer: bool | None) -> tuple[datetime, ...]:
    """What a local time may be in UTC, by the zone and the daylight saving flag that came with it.

    More than one where the zone's text is ambiguous, or the hour is one that clocks go through twice.

    :raises ZoneUnknownError: no zone, or none that can be understood.
    """
    local = local.replace(tzinfo=UTC)  # of no zone yet; UTC serves to reckon with
    offsets = _offsets(local, zone.strip(), summer)
    return tuple(dict.fromkeys(local - timedelta(seconds=seconds) for seconds in offsets))


def _offsets(local: datetime, zone: str, summer: bool | None) -> list[int]:
    """Seconds east of UTC."""
    if not zone:
        raise ZoneUnknownError("it tells its local time and no zone")
    if zone.upper() in ("Z", "UTC", "GMT"):
        return [0]
    if (iso := _ISO.fullmatch(zone)) is not None:
        east = int(iso["hours"]) * _HOUR + int(iso["minutes"] or 0) * 60
        if east > 15 * _HOUR:
            raise _unknown(zone)
        east = east if iso["sign"] == "+" else -east
        return [east, -east] if iso["name"] else [east]
    if (posix := _POSIX.fullmatch(zone)) is not None:
        return _posix(posix, local, summer, zone)
    if _IANA.fullmatch(zone) is not None:
        try:
            found = ZoneInfo(zone)
        except (KeyError, OSError, ValueError):
            raise _unknown(zone) from None
        return [_seconds(local.replace(tzinfo=found, fold=fold)) for fold in (0, 1)]
    raise _unknown(zone)


def _posix(match: re.Match[str], local: datetime, summer: bool | None, zone: str) -> list[int]:
    standard = -_duration(match["std"])
    if abs(standard) > 15 * _HOUR:
        raise _unknown(zone)
    if match["summer"] is None:
        return [standard]
    saving = -_duration(match["dst"]) if match["dst"] else standard + _HOUR
    if match["start"] is None:
        if summer is None:
            return [standard, saving]
        return [saving if summer else standard]
    try:
        start, end = (_change(match[name], local.year) for name in ("start", "end"))
    except (ValueError, OverflowError):
        raise _unknown(zone) from None
    near = timedelta(hours=1)  # in the hour of a change both are right
    found = []
    for moment in (local, local - near, local + near):
        inside = start <= moment < end if start < end else not end <= moment < start
        found.append(saving if inside else standard)
    return list(dict.fromkeys(found))


def _change(rule: str, year: int) -> datetime:
    """When clocks change by a rule, in the wall time before the change."""
    day, _, at = rule.partition("/")
    if day.startswith("M"):
        month, week, weekday = (int(part) for part in day[1:].split("."))
        if not (1 <= month <= 12 and 1 <= week <= 5 and weekday <= 6):
            raise ValueError(rule)
        first = datetime(year, month, 1, tzinfo=UTC)
        moment = first + timedelta(days=(weekday - (first.weekday() + 1)) % 7 + 7 * (week - 1))
        if moment.month != month:
            moment -= timedelta(days=7)
    elif day.startswith("J"):  # from 1, without the 29th of February
        number = int(day[1:])
        if not 1 <= number <= 365:
            raise ValueError(rule)
        day_of_year = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=number - 1)
        moment = day_of_year.replace(year=year)
    else:
        moment = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(day))
    return moment + timedelta(seconds=_duration(at) if at else 2 * _HOUR)


def _duration(text: str) -> int:
    """``-8``, ``+5:30``: seconds."""
    hours, *rest = text.lstrip("+-").split(":")
    seconds = int(hours) * _HOUR + sum(int(part) * unit for part, unit in zip(rest, (60, 1), strict=False))
    return -seconds if text.startswith("-") else seconds


def _seconds(moment: datetime) -> int:
    offset = moment.utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _unknown(zone: str) -> ZoneUnknownError:
    shown = "".join(c if c.isprintable() else "?" for c in zone[:40])
    return ZoneUnknownError(f"it tells its local time, and {shown!r} is no time zone")
