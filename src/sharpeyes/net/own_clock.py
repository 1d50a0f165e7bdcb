"""This machine's clock, and what the kernel knows of it (Linux ``adjtimex``, which only reads here)."""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass

from sharpeyes.domain.time import Ms

_TIME_ERROR = 5
_UNSYNCHRONISED = 0x0040


def wall_clock() -> Ms:
    """Now, in UTC. The only clock that records are made by."""
    return Ms(time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class OwnClock:
    """Whether this machine's clock is kept in step."""

    synchronised: bool | None
    """None: nobody can say."""
    error_ms: int | None = None
    """The kernel's own bound."""


class _Timex(ctypes.Structure):
    """``struct timex`` of linux/timex.h as far as it is read; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_long * 32),
    )


def own_clock() -> OwnClock:
    """Whether something (NTP, PTP) keeps this machine's clock in step, as far as the kernel was told."""
    if not sys.platform.startswith("linux"):
        return OwnClock(None)
    state = _Timex()
    try:
        said = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return OwnClock(None)
    if said < 0:
        return OwnClock(None)
    if said == _TIME_ERROR or state.status & _UNSYNCHRONISED:
        return OwnClock(synchronised=False)
    return OwnClock(synchronised=True, error_ms=state.maxerror // 1000)
