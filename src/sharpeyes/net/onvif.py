"""ONVIF over HTTP: one SOAP call at a time, to a device that may be broken, hostile, or both.

The library (onvif-zeep-async) is used for what it is good at: its WSDL documents turn arguments into requests
and replies into objects, and its token signs with the device's clock (:mod:`sharpeyes.net.onvif_library`). It
is not used for talking. Its own transport follows redirects with the token still in the request, reads bodies
of any size, never verifies TLS, parses with ``huge_tree``, and opens a connection pool a service and device.

So requests are made here, over one bounded pool for all devices, and a reply reaches the library only after
it was read within limits, decoded, parsed and found to be an envelope without a fault. This way none of the
library's private methods (``_post_internal``, ``_adjust_time``) has to be overridden; the tests talk to an
independent camera through what is used. The library would also subscribe to events at every construction and
leave that behind; a subscription is made here only by who asks for one and ends it
(:mod:`sharpeyes.health.events`).
"""

from __future__ import annotations

import asyncio
import errno
import random
import re
import secrets
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from sharpeyes.domain.clock import ClockReading
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.time import Ms
from sharpeyes.net.onvif_library import Codec, EventsCodec, Service, codecs
from sharpeyes.net.tls import TlsPolicy, context_of, fingerprint_of
from sharpeyes.wire import soap, xml
from sharpeyes.wire.device_time import ZoneUnknownError, instants
from sharpeyes.wire.rtsp.digest import Authenticator, Outcome
from sharpeyes.wire.rtsp.digest import parse_challenges as digest_challenges
from sharpeyes.wire.service_url import HTTP, bracketed, device_service_url, pin_url


@dataclass(frozen=True, slots=True, kw_only=True)
class OnvifLimits:
    """What one device may cost. Seconds, bytes, counts."""

    connect_s: float = 3.0
    read_s: float = 6.0
    """Silence that ends a call."""
    call_s: float = 10.0
    """One call with its retries, however busily the device drips."""
    device_s: float = 20.0
    """All calls of one enrolment."""
    body_bytes: int = 1 << 20
    """After decompression."""
    retries: int = 2
    """For transport errors only."""
    profiles: xml.XmlLimits = xml.XmlLimits()  # noqa: RUF009 (frozen)
    """Of the one reply that may be long; reading it to the limit takes 0.15 s of CPU."""
    reply: xml.XmlLimits = xml.XmlLimits(elements=2_000)  # noqa: RUF009 (frozen)
    """Of every other."""


class Trouble(StrEnum):
    """Why a call failed. Words that :class:`sharpeyes.domain.health.FailureKind` has too mean the same."""

    NAME_UNKNOWN = "name_unknown"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    NO_RESOURCES = "no_resources"
    TLS = "tls"
    CERTIFICATE = "certificate"
    REDIRECT = "redirect"
    NOT_FOUND = "not_found"
    HTTP_STATUS = "http_status"
    NOT_ONVIF = "not_onvif"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    FAULT = "fault"
    CREDENTIALS_MISSING = "credentials_missing"
    AUTH_FAILED = "auth_failed"
    AUTH_UNSUPPORTED = "auth_unsupported"
    FORBIDDEN = "forbidden"
    """The account is right, but may not do this."""


_TRANSIENT = frozenset({Trouble.REFUSED, Trouble.UNREACHABLE, Trouble.CLOSED, Trouble.TIMEOUT})
FATAL = _TRANSIENT | {
    Trouble.NAME_UNKNOWN,
    Trouble.NO_RESOURCES,
    Trouble.TLS,
    Trouble.CERTIFICATE,
    Trouble.CREDENTIALS_MISSING,
    Trouble.AUTH_FAILED,
    Trouble.AUTH_UNSUPPORTED,
}
"""Troubles that the next call to the same device would meet as well."""


class OnvifError(SharpEyesError):
    """A call that failed; ``kind`` is a :class:`Trouble`. The message names the call and holds no secret."""

    def __init__(self, kind: Trouble, call: str, message: str, *, mend: str = "") -> None:
        super().__init__(f"{call}: {message}", mend=mend)
        self.kind = kind
        self.call = call


_PER_HOST = 2
"""Connections."""
_BEFORE_LOGIN = frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities"})
"""Access class PRE_AUTH: an answer to these proves nothing about the account."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    date: str
    challenges: list[str]
    charset: str | None
    began: float
    ended: float


class OnvifClient:
    """The pool that all devices share. Use as an asynchronous context manager; then :meth:`dial`."""

    def __init__(self, limits: OnvifLimits = OnvifLimits()) -> None:
        self.limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._once: aiohttp.ClientSession | None = None
        """The same, a connection a call."""
        self._codecs: MappingProxyType[Service, Codec | EventsCodec] | None = None

    async def __aenter__(self) -> OnvifClient:
        self._codecs = await asyncio.to_thread(codecs)
        self._session = self._pool(
            aiohttp.TCPConnector(limit=0, limit_per_host=_PER_HOST, keepalive_timeout=4.0)
        )
        self._once = self._pool(aiohttp.TCPConnector(limit=0, limit_per_host=_PER_HOST, force_close=True))
        return self

    def _pool(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        limits = self.limits
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.read_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # done here, bounded
            trust_env=False,
            skip_auto_headers=("Accept-Encoding",),
            max_line_size=8190,
            max_field_size=8190,
            read_bufsize=1 << 16,
        )

    async def __aexit__(self, *exception: object) -> None:
        pools, self._session, self._once = (self._session, self._once), None, None
        for pool in pools:
            if pool is not None:
                await pool.close()

    def dial(
        self,
        xaddr: str,
        credentials: Credentials | None = None,
        *,
        tls: TlsPolicy | None = None,
        fingerprint: str | None = None,
    ) -> OnvifDevice:
        """A device at the URL of its device service. Nothing is sent yet; its deadline starts now.

        :param tls: what is asked of its certificate. None: it is pinned on first use, since cameras sign
            their own.
        :param fingerprint: SHA-256 of the certificate (hex) that an earlier enrolment pinned so.
        :raises InvalidInputError: no HTTP(S) URL.
        """
        return OnvifDevice(self, xaddr, credentials, tls, fingerprint)

    def codec(self, service: Service) -> Codec | EventsCodec:
        if self._codecs is None:
            raise RuntimeError("used outside of its context")
        return self._codecs[service]

    @asynccontextmanager
    async def post(
        self,
        url: str,
        body: bytes,
        headers: dict[str, str],
        tls: ssl.SSLContext | bool,
        *,
        keep: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """``keep``: the connection may serve another call, before or after this one."""
        pool = self._session if keep else self._once
        if pool is None:
            raise RuntimeError("used outside of its context")
        async with pool.post(url, data=body, headers=headers, ssl=tls, allow_redirects=False) as response:
            yield response


class OnvifDevice:
    """A dialogue with one device. Every URL it names is pinned to the host that was dialled."""

    def __init__(
        self,
        client: OnvifClient,
        xaddr: str,
        credentials: Credentials | None,
        tls: TlsPolicy | None,
        fingerprint: str | None,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._tls_policy = tls
        self.xaddr = device_service_url(xaddr)
        parts = urlsplit(self.xaddr)
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self.address = f"{bracketed(self._host)}:{self._port}"
        self.fingerprint = fingerprint
        """SHA-256 of the certificate that was pinned on first use (hex), if that is how it is judged."""
        self.clock_offset_s: float | None = None
        """The device's clock minus ours, in seconds; None until it told a time."""
        self._date_offset_s: float | None = None
        self._exchanged = (0.0, 0.0)
        """When the last request went out and its reply was whole, seconds since the epoch."""
        self._deadline = asyncio.get_running_loop().time() + client.limits.device_s
        self._digest: dict[str, Authenticator] = {}
        self._use_digest = False
        self._tried_date = False
        self._proved = False
        self._hangs_up = False
        """It ends connections that it said it would keep: each call gets one of its own."""

    @property
    def host(self) -> str:
        """Address or name that was dialled, IPv6 without brackets."""
        return self._host

    def pinned(self, url: str | None, schemes: frozenset[str]) -> str | None:
        """A URL that the device named, on the dialled host and without credentials; None if it is of no use.

        Behind NAT devices name their inner address; a hostile one names somebody else's. The port stays,
        since distinct services may have distinct ports.
        """
        return pin_url(url, self._host, schemes)

    def service_url(self, url: str | None) -> str | None:
        """Like :meth:`pinned`, for the URL of a service. One that would leave TLS is put back on the
        dialled port: credentials that were promised TLS stay under TLS."""
        try:
            pinned = self.pinned(urljoin(self.xaddr, url.strip()) if url else None, HTTP)
        except ValueError:  # as of "http://["
            return None
        if pinned is None or self._scheme == "http" or pinned.startswith("https:"):
            return pinned
        parts = urlsplit(pinned)
        return parts._replace(scheme=self._scheme, netloc=self.address).geturl()

    async def call(
        self,
        service: Service,
        operation: str,
        *,
        url: str | None = None,
        signed: bool = True,
        **arguments: Any,
    ) -> Any:
        """One operation; the library's object of its reply.

        Signed with WS-Security as long as the device accepts that, with HTTP Digest once it asks for it.
        Never with Basic or a password in clear.

        :param url: URL of the service, already pinned; the device service by default.
        :raises OnvifError: for every ending that is no result, within the limits.
        """
        loop = asyncio.get_running_loop()
        until = min(loop.time() + self._client.limits.call_s, self._deadline)
        try:
            async with asyncio.timeout_at(until):
                return await self._call(service, operation, url or self.xaddr, signed, arguments)
        except TimeoutError:
            what = "the device's time is up" if until == self._deadline else "not answered in time"
            raise OnvifError(Trouble.TIMEOUT, operation, what) from None

    def again(self) -> None:
        """Another dialogue with the same device: its time begins anew, what was learnt of it is kept."""
        self._deadline = asyncio.get_running_loop().time() + self._client.limits.device_s

    async def measure_clock(self) -> ClockReading:
        """The device's clock minus ours by GetSystemDateAndTime, which nobody has to log in for.

        :raises OnvifError: no answer, or (``MALFORMED``) none that tells a time; the message says why.
        """
        reading = await self._measured()
        if reading.uncertainty_ms > _SLOW_MS:  # it had to be connected to first, or was busy
            reading = min(reading, await self._measured(), key=lambda each: each.uncertainty_ms)
        return reading

    async def _measured(self) -> ClockReading:
        operation = "GetSystemDateAndTime"
        answer = await self.call(Service.DEVICE, operation, signed=False)
        asked, answered = self._exchanged
        try:
            told = _told(answer)
        except ZoneUnknownError as error:
            raise OnvifError(Trouble.MALFORMED, operation, str(error)) from None
        if not told:
            raise OnvifError(Trouble.MALFORMED, operation, "it tells no date and time")
        middle = (asked + answered) / 2
        offsets = [round(1000 * (moment.timestamp() + 0.5 - middle)) for moment in told]
        return ClockReading(
            at=Ms(round(1000 * middle)),
            offset_ms=min(offsets, key=abs),
            uncertainty_ms=round(500 * max(answered - asked, 0.0)) + 500,
        )

    async def read_clock(self) -> None:
        """Learn the clock offset: from GetSystemDateAndTime, else from an HTTP ``Date`` header.

        :raises OnvifError: nobody there, or nobody that speaks ONVIF.
        """
        before = time.time()
        try:
            answer = await self.call(Service.DEVICE, "GetSystemDateAndTime", signed=False)
        except OnvifError as error:
            # Refusing this call, or garbling it, is a vice of devices that are otherwise alive.
            if error.kind not in _CLOCK_REFUSED:
                raise
        else:
            told = _instant(dig(answer, "UTCDateTime"))
            if told is not None:
                self.clock_offset_s = _offset(told, before, time.time())
        if self.clock_offset_s is None:
            self.clock_offset_s = self._date_offset_s

    # -- one call ------------------------------------------------------------------------------------------

    async def _call(
        self, service: Service, operation: str, url: str, signed: bool, arguments: dict[str, Any]
    ) -> Any:
        codec = self._client.codec(service)
        again = False
        while True:
            reply = await self._exchange(codec, operation, url, signed, arguments)
            limits = self._client.limits
            read = _read(operation, reply, limits.profiles if operation == "GetProfiles" else limits.reply)
            fault = read if isinstance(read, soap.Fault) else None
            if reply.status != 401 and (fault is None or not fault.about_login):
                break
            said = fault.text if fault is not None else f"HTTP {reply.status}"
            again = self._next_answer(operation, url, reply.challenges, said, signed, again)
        if isinstance(read, soap.Fault):
            raise OnvifError(Trouble.FAULT, operation, f"the device says {read.text}")
        if signed and self._credentials is not None:
            self._proved |= operation not in _BEFORE_LOGIN
            if (authenticator := self._digest.get(_origin(url))) is not None:
                authenticator.accepted()
        try:
            return codec.reply(operation, read)
        except Exception as error:
            # A stranger's text drives the library here: it raises anything.
            raise OnvifError(
                Trouble.MALFORMED, operation, f"the reply does not fit ({type(error).__name__})"
            ) from error

    def _next_answer(
        self, operation: str, url: str, challenges: list[str], said: str, signed: bool, again: bool
    ) -> bool:
        """After a refusal: prepare the next way to log in, each of them once, or raise.

        :returns: whether this is the renewal of a login that had been accepted (its nonce was stale).
        """
        if not signed or self._credentials is None:
            kind = Trouble.CREDENTIALS_MISSING if signed else Trouble.FORBIDDEN
            mend = "Give a user name and a password" if signed else ""
            raise OnvifError(kind, operation, f"the device wants a login ({said})", mend=mend)
        offered = digest_challenges(challenges)
        if any(challenge.scheme == "digest" for challenge in offered):
            origin = _origin(url)
            if origin not in self._digest:
                self._digest[origin] = Authenticator(self._credentials, cnonce=secrets.token_hex(8))
            outcome = self._digest[origin].challenged(challenges, again=again)
            if outcome is Outcome.RETRY:
                resent = self._use_digest
                self._use_digest = True
                return resent
            if outcome is Outcome.UNSUPPORTED:
                labels = ", ".join(self._digest[origin].offered)
                raise OnvifError(Trouble.AUTH_UNSUPPORTED, operation, f"no known way to log in ({labels})")
        elif not self._use_digest and not self._proved and not self._tried_date:
            # A clock that reads local time as UTC: WS-Security goes by another clock than the one told.
            self._tried_date = True
            told, header = self.clock_offset_s or 0.0, self._date_offset_s
            if header is not None and abs(header - told) > _CLOCKS_AGREE_S:
                self.clock_offset_s = header
                return again
        if self._proved:
            raise OnvifError(Trouble.FORBIDDEN, operation, f"this account may not ({said})")
        raise OnvifError(
            Trouble.AUTH_FAILED, operation, f"the device refuses the login ({said})", mend="Check the account"
        )

    async def _exchange(
        self,
        codec: Codec | EventsCodec,
        operation: str,
        url: str,
        signed: bool,
        arguments: dict[str, Any],
    ) -> _Reply:
        """The request, sent until the transport brings an answer."""
        if urlsplit(url).hostname != self._host:
            raise AssertionError("a URL escaped pinning")
        attempt, limit = 0, self._client.limits.retries
        while True:
            headers = {
                "Content-Type": f'application/soap+xml; charset=utf-8; action="{codec.action(operation)}"'
            }
            login = None
            if signed and self._credentials is not None:
                if not self._use_digest:
                    login = self._credentials, timedelta(seconds=self.clock_offset_s or 0.0)
                elif (authenticator := self._digest.get(_origin(url))) is not None:
                    headers["Authorization"] = authenticator.authorize("POST", _target(url)) or ""
            try:
                request = codec.request(operation, arguments, login)
            except Exception as error:
                # What the device gave to be sent back to it is in there, too.
                message = f"what it wants to be told cannot be written ({type(error).__name__})"
                raise OnvifError(Trouble.MALFORMED, operation, message) from error
            try:
                reply = await self._post(operation, url, request, headers)
            except OnvifError as error:
                if error.kind is Trouble.CLOSED and not self._hangs_up:
                    self._hangs_up = True  # for good, so that this is tried once
                    continue
                if error.kind not in _TRANSIENT or attempt == limit:
                    raise
                attempt += 1
                await asyncio.sleep(random.uniform(0.05, 0.3) * attempt)
            else:
                self._note_date(reply)
                self._exchanged = reply.began, reply.ended
                return reply

    async def _post(self, operation: str, url: str, body: bytes, headers: dict[str, str]) -> _Reply:
        began = time.time()
        try:
            tls = await self._tls(operation, url) if url.startswith("https:") else True
            async with self._client.post(url, body, headers, tls, keep=not self._hangs_up) as response:
                if 300 <= response.status < 400:
                    raise OnvifError(
                        Trouble.REDIRECT,
                        operation,
                        f"answers with a redirect (HTTP {response.status}), which is not followed",
                        mend="Give the URL that it points to, if you trust it",
                    )
                content = await self._body(operation, response)
                return _Reply(
                    response.status,
                    content,
                    response.headers.get("Date", ""),
                    response.headers.getall("WWW-Authenticate", []),
                    response.charset,
                    began,
                    time.time(),
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _transport_error(operation, error) from None

    async def _body(self, operation: str, response: aiohttp.ClientResponse) -> bytes:
        limit = self._client.limits.body_bytes
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise OnvifError(Trouble.MALFORMED, operation, "an unknown Content-Encoding")
        inflate = zlib.decompressobj(47) if encoding not in ("", "identity") else None
        content = bytearray()
        while chunk := await response.content.readany():
            try:
                content += inflate.decompress(chunk, limit + 1 - len(content)) if inflate else chunk
            except zlib.error as error:
                raise OnvifError(Trouble.MALFORMED, operation, "the body is not what it says") from error
            if len(content) > limit or (inflate is not None and inflate.unconsumed_tail):
                raise OnvifError(Trouble.TOO_LARGE, operation, f"a reply of more than {limit} bytes")
        return bytes(content)

    async def _tls(self, operation: str, url: str) -> ssl.SSLContext:
        if self._tls_policy is not None:
            return context_of(self._tls_policy)
        if self.fingerprint is None:
            port = urlsplit(url).port or 443  # a service may be under TLS where the device is not
            self.fingerprint = await _first_fingerprint(
                self._host, port, self._client.limits.connect_s, operation
            )
        return context_of(TlsPolicy(fingerprints=(self.fingerprint,)))

    def _note_date(self, reply: _Reply) -> None:
        if self._date_offset_s is not None or not reply.date:
            return
        try:
            told = parsedate_to_datetime(reply.date)
        except (ValueError, TypeError, IndexError):
            return
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told
        self._date_offset_s = _offset(told, reply.began, reply.ended)


_CLOCKS_AGREE_S = 30.0
_SLOW_MS = 1_000
"""Uncertainty of a clock's reading from which a second one is worth its call."""
_CLOCK_REFUSED = frozenset({Trouble.FORBIDDEN, Trouble.FAULT, Trouble.MALFORMED})


def _read(operation: str, reply: _Reply, limits: xml.XmlLimits) -> str | soap.Fault:
    """The envelope as the library may have it, or the fault in it."""
    text = xml.decode(reply.body, reply.charset)
    try:
        read = soap.read(text, limits)
    except xml.XmlSyntaxError as error:
        if reply.status == 401:
            return soap.Fault((), "HTTP 401")
        raise _no_envelope(operation, reply.status, text, error.message) from error
    if isinstance(read, str) and reply.status not in (200, 202):
        return soap.Fault((), f"HTTP {reply.status}")
    return read


def _no_envelope(operation: str, status: int, text: str, why: str) -> OnvifError:
    if status in (404, 405, 410):
        return OnvifError(Trouble.NOT_FOUND, operation, f"no such service (HTTP {status})")
    if status not in (200, 202):
        return OnvifError(Trouble.HTTP_STATUS, operation, f"HTTP {status}")
    if re.search(r"<(?:!doctype\s+)?html", text[:1024], re.IGNORECASE):
        return OnvifError(Trouble.NOT_ONVIF, operation, "answers with a web page: no ONVIF device service")
    if "<" not in text[:1024]:
        return OnvifError(Trouble.NOT_ONVIF, operation, "answers with something that is not XML")
    return OnvifError(Trouble.MALFORMED, operation, why)


def _transport_error(operation: str, error: Exception) -> OnvifError:
    number = error.errno if isinstance(error, OSError) else None
    kind, message = Trouble.CLOSED, "the connection broke"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        kind, message = Trouble.NAME_UNKNOWN, "the host name has no address"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        kind, message = Trouble.CERTIFICATE, str(error.certificate_error)
    elif isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        kind, message = Trouble.TLS, f"TLS fails ({type(error).__name__})"
    elif isinstance(error, TimeoutError):
        kind, message = Trouble.TIMEOUT, "not answered in time"
    elif number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
        kind, message = Trouble.NO_RESOURCES, "this machine is out of sockets"
    elif number == errno.ECONNREFUSED:
        kind, message = Trouble.REFUSED, "the port is closed"
    elif isinstance(error, aiohttp.ClientConnectorError):
        kind, message = Trouble.UNREACHABLE, "no way to the device"
    elif isinstance(error, (aiohttp.ClientResponseError, ValueError)):
        kind, message = Trouble.NOT_ONVIF, "what it sends is not HTTP"
    return OnvifError(kind, operation, message)


async def _first_fingerprint(host: str, port: int, timeout_s: float, operation: str) -> str:
    """The certificate a device shows to whoever asks. Nothing but the handshake is sent."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context_of(TlsPolicy()))
    except (OSError, TimeoutError) as error:
        raise _transport_error(operation, error) from None
    try:
        return fingerprint_of(writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()


def _offset(told: datetime, asked: float, answered: float) -> float:
    """Seconds that a clock is ahead of ours. It told whole seconds: half of one is the best guess of the
    rest, and the middle of the exchange that of the moment."""
    return round(told.timestamp() + 0.5 - (asked + answered) / 2, 1)


def _told(answer: Any) -> tuple[datetime, ...]:
    """What a GetSystemDateAndTime reply may mean in UTC; nothing if it tells no time at all.

    :raises ZoneUnknownError: local time only, and no zone that can be understood.
    """
    if (instant := _instant(dig(answer, "UTCDateTime"))) is not None:
        return (instant,)
    local = _instant(dig(answer, "LocalDateTime"))
    if local is None:
        return ()
    summer = dig(answer, "DaylightSavings")
    try:
        zone = str(dig(answer, "TimeZone", "TZ") or "")
        return instants(local, zone, summer if isinstance(summer, bool) else None)
    except OverflowError:
        return ()


def _instant(told: Any) -> datetime | None:
    """A date and time as ONVIF spells them, if it is one at all."""
    numbers = [dig(told, "Date", name) for name in ("Year", "Month", "Day")]
    numbers += [dig(told, "Time", name) for name in ("Hour", "Minute", "Second")]
    try:
        year, month, day, hour, minute, second = (int(number) for number in numbers)
        start = datetime(year, month, day, tzinfo=UTC)
        # Added, since some devices count minutes and seconds up to 60 and beyond.
        return start + timedelta(hours=hour, minutes=minute, seconds=second) if year >= 2000 else start
    except (TypeError, ValueError, OverflowError):
        return None


def dig(value: Any, *names: str) -> Any:
    """Follow attribute names through the library's objects; None where one is missing."""
    for name in names:
        if value is None:
            return None
        value = getattr(value, name, None)
    return value


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _target(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
