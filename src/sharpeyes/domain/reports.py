"""What cameras report of their own scene: further evidence beside our own looks, never a verdict.

An allow-list: a report that is not one of these kinds is not taken down, whatever the camera sends. There
is no kind for persons, faces, plates, motion or lines that are crossed, and there shall be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.time import Ms


class ReportKind(StrEnum):
    """What a camera may say of its own picture."""

    SCENE_CHANGE = "scene_change"
    TAMPER = "tamper"
    BLURRY = "blurry"
    DARK = "dark"
    BRIGHT = "bright"
    SIGNAL_LOST = "signal_lost"


SPEAKS_FOR: Mapping[ReportKind, frozenset[PictureFault]] = {
    ReportKind.SCENE_CHANGE: frozenset({PictureFault.SCENE_SHIFT, PictureFault.OCCLUDED}),
    ReportKind.TAMPER: frozenset({PictureFault.OCCLUDED, PictureFault.SCENE_SHIFT, PictureFault.BLURRED}),
    ReportKind.BLURRY: frozenset({PictureFault.BLURRED}),
    ReportKind.DARK: frozenset({PictureFault.UNDER_EXPOSED, PictureFault.SIGNAL_LOST}),
    ReportKind.BRIGHT: frozenset({PictureFault.OVER_EXPOSED}),
    ReportKind.SIGNAL_LOST: frozenset({PictureFault.SIGNAL_LOST}),
}
"""The faults that a look may find and that such a report makes more likely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReport:
    """A camera said that something begins (``active``) or ends."""

    camera: str
    kind: ReportKind
    active: bool
    at: Ms
    """When we heard of it: the camera's own clock may be wrong."""
    topic: str
    """As the camera named it, for a technician."""


class EventsStatus(StrEnum):
    """How it stands between us and the events of a device."""

    SUBSCRIBED = "subscribed"
    NONE = "none"
    """It has no event service, or none that can be pulled from: left alone."""
    REFUSED = "refused"
    """It refuses our login or our subscription: asked again much later."""
    FAILING = "failing"
    """It does not answer, or not as it should: asked again with growing pauses."""
