"""WS-Discovery 1.0 (April 2005) with WS-Addressing 2004/08, as ONVIF devices speak it: bytes to values.

Probes are written strictly; answers are read leniently within limits: names without regard to namespaces
(devices mix the 2005/04 and the 2009/01 ones), a lone ``ProbeMatch`` without its wrapper, missing fields,
scopes with unescaped spaces, repeated, percent-encoded in UTF-8 or GB2312, or broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from sharpeyes.wire import xml
from sharpeyes.wire.errors import WireSyntaxError
from sharpeyes.wire.service_url import HTTP, pin_url

PORT = 3702
GROUP_V4 = "239.255.255.250"
GROUP_V6 = "ff02::c"

DATAGRAM_LIMIT = 65_507
"""The largest UDP payload over IPv4."""
_LIMITS = xml.XmlLimits(elements=2_000, depth=24, attributes=32)
_MATCHES, _SCOPES, _XADDRS, _TYPES, _TOKEN = 64, 128, 16, 32, 1_024


class DiscoverySyntaxError(WireSyntaxError):
    """A datagram that is no WS-Discovery message of the kinds that announce a device."""


class ProbeType(Enum):
    """What to ask for. Some devices answer to one of them only."""

    TRANSMITTER = 'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"', "dn:NetworkVideoTransmitter"
    DEVICE = 'xmlns:tds="http://www.onvif.org/ver10/device/wsdl"', "tds:Device"


def probe(message_id: str, kind: ProbeType) -> bytes:
    """One Probe. ``message_id`` is a URI (``urn:uuid:...``), which answers repeat as RelatesTo."""
    namespace, name = kind.value
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
        f' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" {namespace}>'
        "<s:Header>"
        '<a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>'
        f"<a:MessageID>{escape(message_id)}</a:MessageID>"
        "<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address>"
        "</a:ReplyTo>"
        '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>'
        "</s:Header>"
        f"<s:Body><d:Probe><d:Types>{name}</d:Types></d:Probe></s:Body>"
        "</s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One device in an answer. Nothing of it is to be trusted: anyone can send a datagram."""

    endpoint: str | None
    """Endpoint reference, often ``urn:uuid:...``; changes when a device is rebuilt."""
    types: tuple[str, ...] = ()
    """Local names: ``NetworkVideoTransmitter``, ``Device``."""
    scopes: tuple[str, ...] = ()
    """As sent, still percent-encoded; see :func:`scope_values`."""
    xaddrs: tuple[str, ...] = ()
    """HTTP(S) URLs of the device service, without user information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An answer (ProbeMatches, ResolveMatches) or an announcement (Hello)."""

    kind: str
    message_id: str | None
    relates_to: str | None
    matches: tuple[Match, ...]


_KINDS = {
    "ProbeMatches": "ProbeMatch",
    "ResolveMatches": "ResolveMatch",
    "ProbeMatch": None,
    "ResolveMatch": None,
    "Hello": None,
}


def parse(data: bytes) -> Message:
    """One datagram.

    :raises DiscoverySyntaxError: not XML, beyond the limits, or no answer and no announcement.
    """
    if len(data) > DATAGRAM_LIMIT:
        raise DiscoverySyntaxError("longer than a datagram", offset=DATAGRAM_LIMIT, path="datagram")
    try:
        root = xml.parse(xml.decode(data), _LIMITS)
    except xml.XmlSyntaxError as error:
        raise DiscoverySyntaxError(error.message, offset=error.offset, path="datagram") from error
    body = xml.child(root, "Body")
    content = next((each for each in body if xml.local(each) in _KINDS), None) if body is not None else None
    if content is None:
        raise DiscoverySyntaxError("no match and no hello in it", offset=0, path="datagram > body")
    wrapped = _KINDS[xml.local(content)]
    elements = [content] if wrapped is None else list(xml.children(content, wrapped))[:_MATCHES]
    header = xml.child(root, "Header")
    return Message(
        kind=xml.local(content),
        message_id=xml.text_of(xml.child(header, "MessageID"), _TOKEN) or None,
        relates_to=xml.text_of(xml.child(header, "RelatesTo"), _TOKEN) or None,
        matches=tuple(_match(element) for element in elements),
    )


def _match(element: Element) -> Match:
    types = xml.text_of(xml.child(element, "Types"), 8_192).split()[:_TYPES]
    return Match(
        endpoint=xml.text_of(xml.child(element, "EndpointReference", "Address"), 512) or None,
        types=tuple(dict.fromkeys(name.rpartition(":")[2] for name in types)),
        scopes=_scopes(xml.text_of(xml.child(element, "Scopes"), 32_768)),
        xaddrs=_xaddrs(xml.text_of(xml.child(element, "XAddrs"), 16_384)),
    )


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _scopes(text: str) -> tuple[str, ...]:
    """Scopes are URIs parted by white space; a token without a scheme is the rest of a name with a space."""
    scopes: list[str] = []
    for token in text.split():
        if _SCHEME.match(token) or not scopes:
            scopes.append(token[:_TOKEN])
        elif len(scopes[-1]) + len(token) < _TOKEN:
            scopes[-1] = f"{scopes[-1]} {token}"
    return tuple(dict.fromkeys(scopes))[:_SCOPES]


def _xaddrs(text: str) -> tuple[str, ...]:
    found = (pin_url(token, None, HTTP) for token in re.split(r"[\s,;]+", text)[: 4 * _XADDRS])
    return tuple(dict.fromkeys(url for url in found if url))[:_XADDRS]


def scope_values(scopes: tuple[str, ...], category: str) -> tuple[str, ...]:
    """What ``onvif://www.onvif.org/<category>/<value>`` says, decoded: ``name``, ``location``, ``MAC``.

    Case of the category does not count. Values keep their inner slashes (``country/china``).
    """
    values = []
    for scope in scopes:
        scheme, _, rest = scope.partition("://")
        _, _, path = rest.partition("/")
        name, _, value = path.partition("/")
        if scheme.lower() == "onvif" and name.lower() == category.lower() and value.strip("/"):
            values.append(_percent_decoded(value.strip("/")))
    return tuple(dict.fromkeys(values))


def _percent_decoded(value: str) -> str:
    raw = unquote_to_bytes(value)
    for codec in ("utf-8", "gb18030"):
        try:
            text = raw.decode(codec)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = raw.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()
