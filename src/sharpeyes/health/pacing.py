"""When a camera is looked at next, and how many at a time: pure bookkeeping, seconds of a steady clock.

Each camera has its own stable place in the cadence (from its id), so that neither a start nor a stall makes
all of them fall due together, and a slot that was missed is skipped, never made up for. A host is never met
by more than a few probes at once, however many channels it has.
"""

from __future__ import annotations

import ipaddress
import random
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

JITTER = 0.05
"""Share of the cadence by which a slot is moved at random, so that two probers do not march in step."""

PAUSE = 1.6
"""Cadences from the end of a look to the begin of the next: half of one, up to a whole one, and jitter."""

RECHECK = 1 / 3
"""Share of the cadence after which unconfirmed evidence is looked at again."""


def phase(camera: str) -> float:
    """The place of a camera in any cadence, 0..1: the same at every start and on every machine."""
    return zlib.crc32(camera.encode()) / 2**32


def first_slot(now: float, place: float, cadence: float, cameras: int, starts_per_s: float) -> float:
    """The first look at one of ``cameras`` that are new: as soon as can be without a burst."""
    return now + place * min(cadence, cameras / starts_per_s)


def next_slot(now: float, place: float, cadence: float) -> float:
    """The camera's next slot that is at least half a cadence away.

    Slots missed by a stall lie before that and are gone: after an hour's sleep every camera is looked at
    once, in its own place.
    """
    earliest = now + cadence * 0.5
    slot = earliest + (place - earliest / cadence) % 1.0 * cadence
    return slot + random.uniform(0.0, JITTER) * cadence


def recheck_slot(now: float, cadence: float) -> float:
    """A second look at a camera whose evidence speaks against its state."""
    return now + cadence * RECHECK * random.uniform(1.0 - JITTER, 1.0 + JITTER)


@dataclass(slots=True, eq=False)
class HostGate(Generic[T]):
    """How many probes meet one host at once, and how soon one after the other."""

    limit: int
    """Sessions that may be open at a time: the smallest budget among the host's devices."""
    spacing: float
    """Seconds between the starts of two probes."""
    active: int = 0
    ready_at: float = 0.0
    viewers: int = 0
    """Sessions that others hold here, for people who watch."""
    cameras: int = 0
    """Cameras that live here; with none left, the gate goes."""
    waiting: deque[T] = field(default_factory=deque)
    """Those whose turn has not come yet."""
    armed: bool = False
    """Somebody will come back to let the next one in."""

    @property
    def room(self) -> int:
        """Probes that may be here at once: what viewers leave, but one at least, or else nobody would know
        how the host's other cameras are."""
        return max(1, self.limit - self.viewers)

    def is_open(self, now: float) -> bool:
        return self.active < self.room and now >= self.ready_at

    def enter(self, now: float) -> None:
        """Take a place; the gate must be open."""
        self.active += 1
        self.ready_at = now + self.spacing

    def leave(self) -> None:
        self.active -= 1

    @property
    def rounds(self) -> int:
        """How many turns it takes until each camera had its own."""
        return -(-self.cameras // self.room)


@dataclass(slots=True, eq=False)
class Lane(Generic[T]):
    """How many probes are at work at once in one subnet or zone: the link to it may be thin, and the switch
    in front of it old. Those that only wait for their time-out send nothing and do not count."""

    limit: int
    key: tuple[str, str] = ("", "")
    """What it leads to."""
    active: int = 0
    cameras: int = 0
    """Cameras that it leads to; with none left, it goes."""
    waiting: deque[T] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        return self.active < self.limit


def subnet(host: str) -> str:
    """The network that a literal address lies in: 256 addresses of IPv4, a /64 of IPv6. A name is its own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    prefix = 24 if address.version == 4 else 64
    return str(ipaddress.ip_network(f"{host.partition('%')[0]}/{prefix}", strict=False))
