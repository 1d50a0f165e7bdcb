"""What may happen to the registry, as values: decided by whoever compares, applied by the registry.

Reconciliation takes an :class:`Inventory` and returns changes; :func:`sharpeyes.registry.registry.apply`
writes a sequence of them in one transaction, and a line in the journal for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sharpeyes.domain.camera import Camera, Device, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that the registry knows now, without what is retired."""

    devices: tuple[Device, ...] = ()
    cameras: tuple[Camera, ...] = ()
    awaited: Mapping[str, str] = field(default_factory=dict)
    """Address of a host -> the one camera that was registered there and has no stream yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDevice:
    """A device seen for the first time, or again after it was retired."""

    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDevice:
    """A known device tells something new about itself: firmware, serial, a MAC that was missing."""

    device: Device
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveDevice:
    """A known device answers at another address. The URLs of its cameras follow by :class:`UpdateStreams`."""

    device: str
    address: str
    xaddr: str | None
    was: str | None
    """The address until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCamera:
    """A channel seen for the first time, or again after it was retired. Its device is added before it."""

    camera: Camera


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachCamera:
    """A known camera, declared by its URL perhaps, turns out to be this channel of this device."""

    camera: str
    device: str
    channel: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStreams:
    """The streams of a known camera are now these; at least one."""

    camera: str
    streams: tuple[Stream, ...]
    snapshot_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireCamera:
    """A camera is no longer there. Its history stays."""

    camera: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteConflict:
    """Two sources contradict each other: nothing is changed, somebody should look."""

    subject: str
    """Id of the device or camera."""
    message: str
    detail: Mapping[str, str | int | None] | None = None


Change: TypeAlias = (
    AddDevice
    | ChangeDevice
    | MoveDevice
    | AddCamera
    | AttachCamera
    | UpdateStreams
    | RetireCamera
    | NoteConflict
)
