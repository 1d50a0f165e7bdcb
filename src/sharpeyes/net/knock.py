"""One unauthenticated question to one port: is there an ONVIF device behind it?

Plain sockets, since a sweep asks thousands of ports of which hardly any is open. No credential gets here.
"""

from __future__ import annotations

import asyncio
import errno
import re
from enum import StrEnum

from sharpeyes.net.tls import TlsPolicy, context_of
from sharpeyes.wire import soap, xml

_TLS_PORTS = frozenset({443, 8443})
_ANSWER = 64 << 10
_LIMITS = xml.XmlLimits(elements=500, depth=32)
_QUESTION = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    b'<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/>'
    b"</s:Body></s:Envelope>"
)


class Knock(StrEnum):
    """Who opened."""

    NOBODY = "nobody"
    OTHER = "other"
    """The port is open, but what answers is no ONVIF device service."""
    DEVICE = "device"


def knock_url(host: str, port: int) -> str:
    """The URL of the device service that :func:`knock` asks."""
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if port in _TLS_PORTS else 'http'}://{name}:{port}/onvif/device_service"


async def knock(host: str, port: int, *, connect_s: float = 1.2, answer_s: float = 3.0) -> Knock:
    """Connect and ask GetSystemDateAndTime. A 401 or a SOAP fault is the answer of a device, too.

    :raises OSError: only what is the fault of this machine (out of descriptors).
    """
    # Nothing secret is sent: whether the certificate is the right one is asked at enrolment.
    context = context_of(TlsPolicy()) if port in _TLS_PORTS else None
    try:
        async with asyncio.timeout(connect_s):
            reader, writer = await asyncio.open_connection(host, port, limit=_ANSWER, ssl=context)
    except TimeoutError:
        return Knock.NOBODY
    except OSError as error:
        if error.errno in _OURS:
            raise
        return Knock.NOBODY
    try:
        async with asyncio.timeout(answer_s):
            writer.write(_request(host, port))
            return _judge(await _read(reader))
    except (OSError, TimeoutError):
        return Knock.OTHER
    finally:
        writer.transport.abort()


_OURS = frozenset({errno.ENFILE, errno.EMFILE})


def _request(host: str, port: int) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return (
        f"POST /onvif/device_service HTTP/1.1\r\nHost: {name}:{port}\r\n"
        "Content-Type: application/soap+xml; charset=utf-8\r\n"
        f"Content-Length: {len(_QUESTION)}\r\nConnection: close\r\n\r\n"
    ).encode() + _QUESTION


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Until the end, the bound, or enough to judge by: many devices keep the connection open."""
    data = bytearray()
    while len(data) < _ANSWER and (chunk := await reader.read(_ANSWER - len(data))):
        data += chunk
        head, ended, body = data.partition(b"\r\n\r\n")
        if re.match(rb"HTTP/1\.[01] 401\b", data) or b"Envelope>" in body[-64:]:
            break
        length = re.search(rb"(?im)^content-length:\s*(\d{1,9})\s*$", head.replace(b"\r", b""))
        if ended and length and len(body) >= int(length[1]):
            break
    return bytes(data)


def _judge(answer: bytes) -> Knock:
    status = re.match(rb"HTTP/1\.[01] (\d{3})\b", answer)
    if status is None:
        return Knock.OTHER
    if status[1] == b"401":
        return Knock.DEVICE
    # What stands around the envelope does not matter here: chunk sizes, other headers.
    start, end = answer.find(b"<", answer.find(b"\r\n\r\n")), answer.rfind(b">")
    try:
        read = soap.read(xml.decode(answer[start : end + 1]), _LIMITS) if start >= 0 else ""
    except xml.XmlSyntaxError:
        return Knock.DEVICE if b"GetSystemDateAndTimeResponse" in answer else Knock.OTHER
    return Knock.DEVICE if isinstance(read, soap.Fault) or "SystemDateAndTime" in read else Knock.OTHER
