"""One HTTP POST to an address that somebody configured, on the assumption that it may be anything.

The name is resolved here, every address is checked, and the connection goes to the address that was checked:
a name that changes its mind in between leads nowhere. No redirect is followed, no cookie kept; the answer is
read up to a limit and a deadline.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sharpeyes.domain.errors import InvalidInputError, SharpEyesError
from sharpeyes.faults.notify.channels import check_url

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LARGEST_HEAD = 16 * 1024
LARGEST_BODY = 64 * 1024


class DeliveryError(SharpEyesError):
    """A message could not be delivered this time; if ``permanent``, trying again is pointless."""

    kind = "delivery"

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after_s: float | None = None, mend: str = ""
    ) -> None:
        super().__init__(message, mend=mend)
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        """The receiver asked for so long a pause."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Where messages may go: to the public internet over TLS, and to what is allowed by name of network."""

    allow: tuple[Network, ...] = ()
    """Networks of our own: private addresses, and plain HTTP, are for these alone."""

    def permits(self, address: Address, *, tls: bool) -> bool:
        address = _innermost(address)
        if any(address in network for network in self.allow):
            return True
        return tls and address.is_global and not address.is_multicast


NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to (mapped, 6to4, NAT64), else the address itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the headers of interest, and the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    guard: Guard,
    timeout_s: float,
    ca_file: Path | None = None,
) -> Answer:
    """POST ``body`` and read the answer, all within ``timeout_s``.

    Raises DeliveryError; its message names the host, never the path or query, which may hold a secret.
    """
    try:
        check_url(url)
    except InvalidInputError as error:
        raise DeliveryError(error.message, permanent=True, mend=error.mend) from None
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host
    authority = name if parts.port is None else f"{name}:{port}"
    head = {"Host": authority, "Content-Length": str(len(body)), "Connection": "close", **headers}
    if any(not value.isprintable() for pair in head.items() for value in pair):
        raise DeliveryError("a header holds a line break", permanent=True)
    request = f"POST {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            addresses = [a for a in await _resolve(host, port) if guard.permits(a, tls=tls)]
            if not addresses:
                raise DeliveryError(
                    f"{host} is at no address that messages may go to",
                    permanent=True,
                    mend="Use https and a public address, or add its network to the allowed ones",
                )
            context = _context(ca_file) if tls else None
            reader, writer = await _connect(addresses, port, context, host)
            try:
                writer.write(request.encode("ascii") + body)
                await writer.drain()
                return await _answer(reader)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise DeliveryError(f"{host} did not answer within {timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(
            f"the certificate of {host} is not trusted: {error.verify_message}",
            mend="Set ca_file to the certificate of its authority",
        ) from None
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise DeliveryError(f"no valid answer from {host}: {reason}") from None


def check_status(answer: Answer, host: str) -> None:
    """Raises DeliveryError unless the status is 2xx."""
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise DeliveryError(
            f"{host} redirects elsewhere ({status}), which is not followed",
            permanent=True,
            mend="Configure the address that it redirects to",
        )
    wait = answer.headers.get("retry-after", "")
    raise DeliveryError(
        f"{host} answered {status}",
        permanent=status in (400, 410, 413, 414, 415, 422),  # it is this message that is not wanted
        retry_after_s=float(wait) if wait.isdecimal() and len(wait) < 9 else None,
    )


def host_of(url: str) -> str:
    """What of a URL may be shown."""
    try:
        return urlsplit(url).hostname or "the receiver"
    except ValueError:
        return "the receiver"


async def _resolve(host: str, port: int) -> Sequence[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise DeliveryError(f"the name {host} cannot be resolved") from None
    # A zone (fe80::1%eth0) is dropped: link-local addresses are never permitted without being allowed.
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


async def _connect(
    addresses: Sequence[Address], port: int, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address that takes the connection."""
    for address in addresses[:-1]:
        try:
            return await _open(address, port, context, host)
        except OSError:
            continue
    return await _open(addresses[-1], port, context, host)


async def _open(
    address: Address, port: int, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = host if context is not None else None
    return await asyncio.open_connection(
        str(address), port, ssl=context, server_hostname=name, limit=LARGEST_HEAD
    )


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """RFC 9112, as much of it as an answer to a POST with ``Connection: close`` needs."""
    for _ in range(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        version, _space, rest = first.partition(" ")
        status = int(rest[:3])
        if not version.startswith("HTTP/1.") or not 100 <= status <= 599:
            raise ValueError("not HTTP")
        if status >= 200:
            break
    else:
        raise ValueError("nothing but interim answers")
    headers = {}
    for line in lines:
        field, _colon, value = line.partition(":")
        headers[field.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunked(reader)
    elif (length := headers.get("content-length", "")).isdecimal():
        body = await reader.readexactly(min(int(length), LARGEST_BODY))
    else:
        body = await reader.read(LARGEST_BODY)
    return Answer(status, headers, body)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while len(body) < LARGEST_BODY:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size <= 0:
            break
        body += await reader.readexactly(min(size, LARGEST_BODY - len(body)))
        if len(body) < LARGEST_BODY:
            await reader.readexactly(2)
    return body
