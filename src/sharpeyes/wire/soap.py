"""SOAP envelopes, 1.1 and 1.2, as far as they have to be understood before anything else may read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from sharpeyes.wire import xml

_SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
_SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a device gives as its reason for not answering."""

    codes: tuple[str, ...]
    """Local names, outermost first: ``("Sender", "NotAuthorized")``."""
    reason: str

    @property
    def text(self) -> str:
        """For a person, on one line."""
        return ": ".join(part for part in ("/".join(self.codes) or "Fault", self.reason) if part)

    @property
    def about_login(self) -> bool:
        """Whether it refuses the login. Most devices do not send the codes of the specification."""
        known = {"NotAuthorized", "FailedAuthentication", "InvalidSecurityToken"}
        return not known.isdisjoint(self.codes) or bool(_REFUSAL.search(self.reason))


_REFUSAL = re.compile(
    r"not\s*auth|unauthori[sz]ed|auth\w* fail|invalid (?:user|pass|login)|security token", re.IGNORECASE
)


def read(text: str, limits: xml.XmlLimits) -> str | Fault:
    """The envelope, now known to be well-formed, within limits and SOAP 1.2; or the fault in it.

    A device that answers a SOAP 1.2 request in 1.1 means the same by it, so its namespace is replaced.

    :raises XmlSyntaxError: not XML, beyond the limits, or no envelope with a body.
    """
    root = xml.parse(text, limits)
    body = xml.child(root, "Body")
    if xml.local(root) != "Envelope" or body is None:
        raise xml.XmlSyntaxError("no SOAP envelope", offset=0, path="envelope")
    fault = xml.child(body, "Fault")
    if fault is not None:
        return _fault(fault)
    return text.replace(_SOAP11, _SOAP12) if _SOAP11 in root.tag else text


def _fault(element: Element) -> Fault:
    """SOAP 1.2 (Code/Value, Subcode..., Reason/Text) and 1.1 (faultcode, faultstring)."""
    codes: list[str] = []
    code = xml.child(element, "Code")
    while code is not None and len(codes) < 4:
        codes.append(_word(xml.child(code, "Value")))
        code = xml.child(code, "Subcode")
    codes = codes or [_word(xml.child(element, "faultcode"))]
    reason = xml.child(element, "Reason", "Text")
    if reason is None:
        reason = xml.child(element, "faultstring")
    return Fault(tuple(filter(None, codes)), printable(xml.text_of(reason, 200)))


def _word(element: Element | None) -> str:
    return printable(xml.text_of(element, 100)).rpartition(":")[2]


def printable(text: str) -> str:
    """On one line: what a device says goes into logs and terminals."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
