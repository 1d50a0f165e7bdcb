"""ONVIF events by pull point: requests as text, replies as values, and which of them are ours to know.

Sans I/O, and by hand: the WSDL of events brings in WS-Notification, WS-ResourceFramework and a ``xs:any``
wherever it matters. What a message says stands in its ``SimpleItem`` elements, read generically.

Only the topics in :data:`TOPICS` are read: what a camera says of its own picture. Persons, faces, plates,
motion, crossed lines and all else is passed over unread, and not asked for where a device knows filters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import uuid4
from xml.etree.ElementTree import Element, tostring  # of trees that wire.xml has built
from xml.sax.saxutils import escape

from sharpeyes.domain.reports import ReportKind
from sharpeyes.wire import xml
from sharpeyes.wire.soap import printable

EVENTS = "http://www.onvif.org/ver10/events/wsdl"
"""Namespace of the event service, as GetServices names it."""
MESSAGES = 32
"""Of one pull."""
_ITEMS = 16
_TEXT = 128
_PARAMETERS = 8
_PARAMETER_BYTES = 2_048
_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_ANONYMOUS = f"{_ADDRESSING}/anonymous"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"
_MANAGER = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager"
_ACTIONS = {
    "CreatePullPointSubscription": f"{EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
    "PullMessages": f"{EVENTS}/PullPointSubscription/PullMessagesRequest",
    "Renew": f"{_MANAGER}/RenewRequest",
    "Unsubscribe": f"{_MANAGER}/UnsubscribeRequest",
}
_FILTER = (
    # In the namespace of the event service, unlike what is in it: by the schema no other is read.
    "<tev:Filter><wsnt:TopicExpression"
    ' Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"'
    ' xmlns:tns1="http://www.onvif.org/ver10/topics">'
    "tns1:VideoSource//.|tns1:RuleEngine/TamperDetector//.</wsnt:TopicExpression></tev:Filter>"
)

TOPICS: Mapping[str, ReportKind] = MappingProxyType(
    {
        "globalscenechange": ReportKind.SCENE_CHANGE,
        "scenechange": ReportKind.SCENE_CHANGE,
        "imagetooblurry": ReportKind.BLURRY,
        "imagetoodark": ReportKind.DARK,
        "imagetoobright": ReportKind.BRIGHT,
        "signalloss": ReportKind.SIGNAL_LOST,
        "videoloss": ReportKind.SIGNAL_LOST,
        "videolost": ReportKind.SIGNAL_LOST,
        "tamper": ReportKind.TAMPER,
        "tamperdetector": ReportKind.TAMPER,
        "tamperdetection": ReportKind.TAMPER,
        "tampering": ReportKind.TAMPER,
        "cameratamper": ReportKind.TAMPER,
        "cameratampering": ReportKind.TAMPER,
    }
)
"""Second word of a topic, in lower case and without its prefix: makers put these words under prefixes of
their own (``tns1:VideoSource/tnsaxis:Tampering``)."""
_ROOTS = frozenset({"videosource", "ruleengine", "videoanalytics"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """A pull point that a device made for us."""

    address: str | None
    """As the device names it, not to be trusted yet; None: where it was asked for."""
    parameters: tuple[str, ...] = field(repr=False, default=())
    """Reference parameters, to be given back as headers (WS-Addressing, section 2.1): XML elements."""
    lifetime_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message of an allowed topic."""

    kind: ReportKind
    active: bool
    topic: str
    source: str | None
    """Token of the video source it is about, None if it names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one pull brought."""

    notifications: tuple[Notification, ...]
    messages: int
    """All of them, those passed over included."""
    lifetime_s: float | None
    """How long the pull point lasts from now on, by the device's own clock; None if it does not say."""


# --- requests -------------------------------------------------------------------------------------------


def action(operation: str) -> str:
    """The action URI of an operation."""
    return _ACTIONS[operation]


def request(
    operation: str,
    *,
    to: str,
    parameters: tuple[str, ...] = (),
    filtered: bool = True,
    lifetime_s: int = 180,
    wait_s: int = 1,
) -> str:
    """The envelope of a call, unsigned."""
    match operation:
        case "CreatePullPointSubscription":
            body = (
                f"<tev:CreatePullPointSubscription>{_FILTER if filtered else ''}"
                f"<tev:InitialTerminationTime>PT{lifetime_s}S</tev:InitialTerminationTime>"
                "</tev:CreatePullPointSubscription>"
            )
        case "PullMessages":
            body = (
                f"<tev:PullMessages><tev:Timeout>PT{wait_s}S</tev:Timeout>"
                f"<tev:MessageLimit>{MESSAGES}</tev:MessageLimit></tev:PullMessages>"
            )
        case "Renew":
            body = f"<wsnt:Renew><wsnt:TerminationTime>PT{lifetime_s}S</wsnt:TerminationTime></wsnt:Renew>"
        case _:
            body = "<wsnt:Unsubscribe/>"
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        f' xmlns:a="{_ADDRESSING}" xmlns:tev="{EVENTS}" xmlns:wsnt="{_NOTIFICATION}"><s:Header>'
        f"<a:Action>{_ACTIONS[operation]}</a:Action><a:MessageID>urn:uuid:{uuid4()}</a:MessageID>"
        f"<a:ReplyTo><a:Address>{_ANONYMOUS}</a:Address></a:ReplyTo><a:To>{escape(to)}</a:To>"
        f"{''.join(parameters)}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )


# --- replies --------------------------------------------------------------------------------------------


def reply(operation: str, envelope: str, limits: xml.XmlLimits) -> Subscription | Pulled | float | None:
    """What a reply says: a :class:`Subscription`, a :class:`Pulled`, the lifetime in seconds of a renewed
    one (None if it does not say), nothing for the rest.

    :raises XmlSyntaxError: not well-formed, or not the answer to this operation.
    """
    body = xml.child(xml.parse(envelope, limits), "Body")
    answer = xml.child(body, f"{operation}Response")
    if answer is None:
        raise xml.XmlSyntaxError(f"no {operation}Response", offset=0, path="envelope > body")
    match operation:
        case "CreatePullPointSubscription":
            return _subscription(answer)
        case "PullMessages":
            return _pulled(answer)
        case "Renew":
            return _lifetime(answer)
        case _:
            return None


def _subscription(answer: Element) -> Subscription:
    reference = xml.child(answer, "SubscriptionReference")
    address = xml.text_of(xml.child(reference, "Address"), 2_000)
    parameters: list[str] = []
    holder = xml.child(reference, "ReferenceParameters")
    for element in () if holder is None else holder[:_PARAMETERS]:
        element.tail = None
        element.set(f"{{{_ADDRESSING}}}IsReferenceParameter", "true")
        text = tostring(element, encoding="unicode")
        if len(text) > _PARAMETER_BYTES:
            raise xml.XmlSyntaxError("a reference parameter is too long", offset=0, path="subscription")
        parameters.append(text)
    known = address and address != _ANONYMOUS
    return Subscription(address if known else None, tuple(parameters), _lifetime(answer))


def _pulled(answer: Element) -> Pulled:
    messages = list(xml.children(answer, "NotificationMessage"))
    read = (_notification(message) for message in messages[: 4 * MESSAGES])
    return Pulled(
        notifications=tuple(one for one in read if one is not None),
        messages=len(messages),
        lifetime_s=_lifetime(answer),
    )


def kind_of(topic: str) -> ReportKind | None:
    """What a topic is about, None for all that is not ours to know."""
    words = [word.rpartition(":")[2].lower() for word in topic.split("/")]
    return TOPICS.get(words[1]) if len(words) > 1 and words[0] in _ROOTS else None


def _notification(message: Element) -> Notification | None:
    topic = printable(xml.text_of(xml.child(message, "Topic"), _TEXT))
    kind = kind_of(topic)
    if kind is None:
        return None
    inner = xml.child(message, "Message", "Message")
    if inner is None:
        return None
    gone = inner.get("PropertyOperation", "") == "Deleted"
    said = [_truth(value) for value in _items(xml.child(inner, "Data")).values()]
    told = next((truth for truth in said if truth is not None), True)
    sources = _items(xml.child(inner, "Source"))
    source = next((value for name, value in sources.items() if "source" in name.lower()), None)
    return Notification(kind=kind, active=told and not gone, topic=topic, source=source)


def _items(holder: Element | None) -> dict[str, str]:
    """The simple items, at most so many, each cut."""
    if holder is None:
        return {}
    items = list(xml.children(holder, "SimpleItem"))[:_ITEMS]
    return {
        printable(item.get("Name", "")[:_TEXT]): printable(item.get("Value", "")[:_TEXT]) for item in items
    }


def _truth(value: str) -> bool | None:
    return {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}.get(value.lower())


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def _lifetime(answer: Element) -> float | None:
    """From the device's present to the end, both by its own clock, so that it may be as wrong as it likes."""
    now, end = (_instant(xml.child(answer, name)) for name in ("CurrentTime", "TerminationTime"))
    if now is None or end is None or (now.tzinfo is None) is not (end.tzinfo is None):
        return None
    return max(0.0, min((end - now).total_seconds(), 86_400.0))


def _instant(element: Element | None) -> datetime | None:
    match = _INSTANT.fullmatch(xml.text_of(element, 64))
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1] + (match[2] or "").replace("Z", "+00:00"))
    except ValueError:
        return None
