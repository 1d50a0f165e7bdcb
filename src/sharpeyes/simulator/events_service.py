"""ONVIF events of a virtual device: pull points that report what its present faults do to the picture.

A device notices like a good camera does: what darkens, brightens, blurs, turns or covers the picture, and a
channel without video. It also chatters of motion and objects, as real ones do, to who does not filter.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import DevicePlan
from sharpeyes.wire import xml

POINT_PATH = "/onvif/pullpoint/"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
_LONGEST_S = 60.0
_LIFETIME_S = 60.0
_STEP_S = 0.05
_SCENE = "tns1:VideoSource/GlobalSceneChange/ImagingService"
_DARK = "tns1:VideoSource/ImageTooDark/ImagingService"
_BRIGHT = "tns1:VideoSource/ImageTooBright/ImagingService"
_BLURRY = "tns1:VideoSource/ImageTooBlurry/ImagingService"
_LOSS = "tns1:VideoSource/SignalLoss"
_TAMPER = "tns1:RuleEngine/TamperDetector/Tamper"
_TOPICS = {
    # topic: name of the source item, name of the state item
    _SCENE: ("Source", "State"),
    _DARK: ("Source", "State"),
    _BRIGHT: ("Source", "State"),
    _BLURRY: ("Source", "State"),
    _LOSS: ("VideoSource", "State"),
    _TAMPER: ("VideoSourceConfigurationToken", "IsTamper"),
}
_NOTICED = {
    FaultKind.BLACK: frozenset({_DARK, _TAMPER}),
    FaultKind.DARK: frozenset({_DARK}),
    FaultKind.BRIGHT: frozenset({_BRIGHT}),
    FaultKind.BLUR: frozenset({_BLURRY}),
    FaultKind.SHIFT: frozenset({_SCENE}),
    FaultKind.OCCLUDED: frozenset({_TAMPER, _SCENE}),
    FaultKind.NOT_FOUND: frozenset({_LOSS}),
}
_CHATTER = (
    ("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion"),
    ("tns1:RuleEngine/FieldDetector/ObjectsInside", "IsInside"),
    ("tns1:RuleEngine/LineDetector/Crossed", "ObjectId"),
)
_DURATION = re.compile(r"PT(?:(\d{1,4})M)?(?:(\d{1,6})(?:\.\d+)?S)?", re.ASCII)


class Scene(Protocol):
    """A channel as its events know it."""

    @property
    def current_fault(self) -> Fault | None: ...


class Source(Protocol):
    """The device."""

    plan: DevicePlan

    def clock(self) -> float: ...

    @property
    def scenes(self) -> Mapping[str, Scene]:
        """By video source token."""


class NoSuchPointError(Exception):
    """The pull point has ended or never was."""


class TooManyPointsError(Exception):
    """All pull points are taken."""


@dataclass(slots=True)
class _Point:
    ends: float
    topics: tuple[str, ...] | None
    """Prefixes that are wanted, None: everything."""
    told: dict[tuple[str, str], bool] = field(default_factory=dict)
    pulls: int = 0


class PullPoints:
    """The subscriptions of one device."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._points: dict[str, _Point] = {}

    def __len__(self) -> int:
        self._expire()
        return len(self._points)

    def create(self, operation: Element, base: str) -> str:
        """TooManyPointsError, ValueError for a filter that the device does not know."""
        self._expire()
        if len(self._points) >= self._source.plan.pull_points:
            raise TooManyPointsError
        # By its full name: what stands in another namespace is no filter, says the schema.
        wanted = xml.child(operation.find(f"{{{EVENTS}}}Filter"), "TopicExpression")
        expression = xml.text_of(wanted, 2_000)
        if expression and not self._source.plan.event_filters:
            raise ValueError("filter")
        topics = (
            tuple(each.strip().removesuffix("//.") for each in expression.split("|")) if expression else None
        )
        token = secrets.token_hex(8)
        lasts = _seconds(xml.child(operation, "InitialTerminationTime")) or _LIFETIME_S
        self._points[token] = _Point(_now() + lasts, topics)
        return (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<wsa5:Address>{base}{POINT_PATH}{token}</wsa5:Address></tev:SubscriptionReference>"
            f"{self._times(self._points[token], 'wsnt')}</tev:CreatePullPointSubscriptionResponse>"
        )

    async def pull(self, path: str, operation: Element) -> str:
        """Waits for something to say, as long as it is asked to. NoSuchPointError."""
        point = self._find(path)
        until = _now() + min(_seconds(xml.child(operation, "Timeout")) or 0.0, _LONGEST_S)
        limit = xml.text_of(xml.child(operation, "MessageLimit"), 6)
        most = int(limit) if limit.isascii() and limit.isdigit() else 10
        said = list(self._messages(point, max(1, most)))
        while not said and _now() < until:
            await asyncio.sleep(_STEP_S)  # nobody tells of faults: they are looked up
            said = list(self._messages(point, max(1, most)))
        point.pulls += 1
        return (
            f"<tev:PullMessagesResponse>{self._times(point, 'tev')}{''.join(said)}</tev:PullMessagesResponse>"
        )

    def renew(self, path: str, operation: Element) -> str:
        """NoSuchPointError."""
        point = self._find(path)
        point.ends = _now() + (_seconds(xml.child(operation, "TerminationTime")) or _LIFETIME_S)
        current, end = self._moments(point)
        return (
            f"<wsnt:RenewResponse><wsnt:TerminationTime>{end}</wsnt:TerminationTime><wsnt:CurrentTime>{current}"
            "</wsnt:CurrentTime></wsnt:RenewResponse>"
        )

    def end(self, path: str) -> str:
        """NoSuchPointError."""
        self._find(path)
        del self._points[path.removeprefix(POINT_PATH)]
        return "<wsnt:UnsubscribeResponse/>"

    def forget(self) -> None:
        """All subscriptions end unsaid, as when a device restarts."""
        self._points.clear()

    def _find(self, path: str) -> _Point:
        self._expire()
        point = self._points.get(path.removeprefix(POINT_PATH))
        if point is None:
            raise NoSuchPointError
        return point

    def _expire(self) -> None:
        now = _now()
        for token in [token for token, point in self._points.items() if point.ends <= now]:
            del self._points[token]

    def _moments(self, point: _Point) -> tuple[str, str]:
        """Now and the end, by the device's clock."""
        now = self._source.clock()
        return _instant(now), _instant(now + point.ends - _now())

    def _times(self, point: _Point, prefix: str) -> str:
        current, end = self._moments(point)
        return (
            f"<{prefix}:CurrentTime>{current}</{prefix}:CurrentTime>"
            f"<{prefix}:TerminationTime>{end}</{prefix}:TerminationTime>"
        )

    def _messages(self, point: _Point, limit: int) -> Iterator[str]:
        """What the subscriber has not heard yet."""
        for token, scene in self._source.scenes.items():
            fault = scene.current_fault
            noticed = _NOTICED.get(fault.kind, frozenset()) if fault is not None else frozenset()
            for topic, (source, state) in _TOPICS.items():
                if point.topics is not None and not topic.startswith(point.topics):
                    continue
                now, before = topic in noticed, point.told.get((token, topic))
                if now is before:
                    continue
                if limit == 0:
                    return
                limit -= 1
                point.told[token, topic] = now
                what = "Initialized" if before is None else "Changed"
                name = f"configuration_{token}" if topic == _TAMPER else token
                yield self._message(topic, what, source, name, state, str(now).lower())
            if point.topics is None and limit > len(_CHATTER) and point.pulls % 2 == 0:
                for topic, state in _CHATTER:
                    if point.told.get((token, topic)) is not bool(point.pulls % 4):
                        point.told[token, topic] = bool(point.pulls % 4)
                        limit -= 1
                        yield self._message(
                            topic, "Changed", "VideoSourceConfigurationToken", token, state, "true"
                        )

    def _message(self, topic: str, what: str, source: str, token: str, state: str, value: str) -> str:
        return (
            "<wsnt:NotificationMessage>"
            '<wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
            f"{topic}</wsnt:Topic>"
            f'<wsnt:Message><tt:Message UtcTime="{_instant(self._source.clock())}"'
            f' PropertyOperation="{what}">'
            f'<tt:Source><tt:SimpleItem Name="{source}" Value="{escape(token)}"/></tt:Source>'
            f'<tt:Data><tt:SimpleItem Name="{state}" Value="{value}"/></tt:Data>'
            "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _instant(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _seconds(element: Element | None) -> float | None:
    match = _DURATION.fullmatch(xml.text_of(element, 32))
    return float(match[1] or 0) * 60 + float(match[2] or 0) if match else None
