"""Local times of devices, in the forms that ONVIF asks for and in those that makers write."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sharpeyes.wire.device_time import ZoneUnknownError, instants


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc,arg-type]


WINTER, SUMMER = utc(2026, 1, 10, 12), utc(2026, 7, 10, 12)


@pytest.mark.parametrize(
    ("local", "zone", "summer", "hours"),
    [
        (WINTER, "CST-8", None, {4}),
        (WINTER, "CST-8:00:00", None, {4}),
        (WINTER, "<+08>-8", None, {4}),
        (WINTER, "UTC0", None, {12}),
        (WINTER, "Z", None, {12}),
        (WINTER, "+08:00", None, {4}),
        (WINTER, "-0330", None, {15}),
        (WINTER, "Asia/Shanghai", None, {4}),
        (WINTER, "UTC+8", None, {4, 20}),
        (WINTER, "GMT-08:00", None, {4, 20}),
        (WINTER, "EST5EDT,M3.2.0,M11.1.0", None, {17}),
        (SUMMER, "EST5EDT,M3.2.0,M11.1.0", None, {16}),
        (SUMMER, "EST5EDT,M3.2.0/2,M11.1.0/2:00:00", False, {16}),
        (SUMMER, "AEST-10AEDT,M10.1.0,M4.1.0/3", None, {2}),
        (WINTER, "AEST-10AEDT,M10.1.0,M4.1.0/3", None, {1}),
        (SUMMER, "CET-1CEST,J60,J300", None, {10}),
        (WINTER, "CET-1CEST,59/2,299/3", None, {11}),
        (SUMMER, "CET-1CEST", True, {10}),
        (SUMMER, "CET-1CEST", False, {11}),
        (SUMMER, "CET-1CEST", None, {10, 11}),
        (SUMMER, "NZST-12NZDT-13,M9.5.0,M4.1.0/3", None, {0}),
    ],
)
def test_zones(local: datetime, zone: str, summer: bool | None, hours: set[int]) -> None:
    found = instants(local, zone, summer)
    whole = {(moment.hour, moment.date()) for moment in found}
    if zone == "-0330":
        assert found == (utc(2026, 1, 10, 15, 30),)
    else:
        assert {hour for hour, _ in whole} == hours


def test_the_last_sunday_is_the_last_one() -> None:
    zone = "CET-1CEST,M3.5.0,M10.5.0/3"
    assert instants(utc(2026, 3, 28, 12), zone, None) == (utc(2026, 3, 28, 11),)
    assert instants(utc(2026, 3, 29, 12), zone, None) == (utc(2026, 3, 29, 10),)
    both = instants(utc(2026, 10, 25, 2, 30), zone, None)  # clocks go through it twice
    assert set(both) == {utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30)}


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "   ",
        "Beijing Standard Time",
        "(GMT+08:00) Beijing, Chongqing",
        "../../etc/passwd",
        "Asia/Nowhere",
        "CST-99",
        "+99:00",
        "X" * 4_000,
        "EST5EDT,M13.2.0,M11.1.0",
        "EST5EDT,M3.9.0,M11.1.0",
        "EST5EDT,J0,J366",
        "\x1b[31mred",
        "８",
    ],
)
def test_garbage_is_named_as_such(zone: str) -> None:
    with pytest.raises(ZoneUnknownError) as caught:
        instants(WINTER, zone, None)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120
