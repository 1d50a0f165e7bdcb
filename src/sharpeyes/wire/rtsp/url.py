"""RTSP URLs, as people and cameras write them. Credentials are taken out at once and never shown again."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, unquote

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError

_PORTS = {"rtsp": 554, "rtsps": 322}
_MAX_LENGTH = 4096
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
# Some cameras take the account in the path: /user=admin&password=...&channel=1&stream=0.sdp
_SECRET_IN_PATH = re.compile(
    r"((?:pass(?:word|wd)?|pwd|psw|secret|token|auth|key)=)(?:(?!_[a-z]+=)[^&/;?#])*", re.IGNORECASE
)
_EMPTY_USER = re.compile(r"((?:user(?:name)?|usr)=)(?=[&_/;?#]|$)", re.IGNORECASE)
_EMPTY_PASSWORD = re.compile(r"((?:pass(?:word|wd)?|pwd|psw)=)(?=[&_/;?#]|$)", re.IGNORECASE)
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


@dataclass(frozen=True, slots=True)
class StreamUrl:
    """Where a stream is. ``text`` is what goes into requests: the URL without its credentials."""

    text: str
    secure: bool
    host: str
    """Name or literal address, IPv6 without brackets."""
    port: int

    @property
    def masked(self) -> str:
        """For people, logs and evidence."""
        return mask(self.text)


def parse_url(url: str) -> tuple[StreamUrl, Credentials | None]:
    """The URL, and the credentials that stood in it.

    InvalidInputError never quotes the URL: what makes it wrong may be a character of a password.
    """
    return _parsed(url) if "@" in url else _remembered(url)


def _parsed(url: str) -> tuple[StreamUrl, Credentials | None]:
    if len(url) > _MAX_LENGTH:
        raise InvalidInputError(f"The stream URL has more than {_MAX_LENGTH} characters")
    scheme, separator, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise InvalidInputError(
            "The stream URL is not an RTSP URL", mend="Write it as rtsp://host[:port]/path or rtsps://..."
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("#")[0]
    userinfo, at, address = authority.rpartition("@")
    credentials = None
    if at:
        username, _, password = userinfo.partition(":")
        credentials = Credentials(unquote(username), Secret(unquote(password)))
    host, port = _address(address, _PORTS[scheme])
    if _UNSAFE.search(path):
        raise InvalidInputError(
            "The path of the stream URL holds a character that no URL may hold",
            mend="Percent-encode it, for example a space as %20",
        )
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port == _PORTS[scheme] and not address.endswith(f":{port}") else f":{port}"
    return StreamUrl(f"{scheme}://{shown}{suffix}{path or '/'}", scheme == "rtsps", host, port), credentials


_remembered = lru_cache(maxsize=8192)(_parsed)
"""Every camera's URL is read at every probe. Those that hold an account are not kept."""


def with_login(url: StreamUrl, credentials: Credentials) -> StreamUrl:
    """The URL with the account filled in where its path or query leaves it empty (``user=&password=``).

    For makers whose stream URLs carry the login; it goes over the wire readable, like Basic.
    """
    text = _EMPTY_USER.sub(lambda found: found[1] + quote(credentials.username, safe=""), url.text)
    text = _EMPTY_PASSWORD.sub(lambda found: found[1] + quote(credentials.password.reveal(), safe=""), text)
    return replace(url, text=text)


def mask(text: str) -> str:
    """The text of a URL with every secret in it replaced by ``***``."""
    return _SECRET_IN_PATH.sub(r"\1***", without_userinfo(text))


def without_userinfo(url: str) -> str:
    """The URL without ``user:password@``: some cameras put the account into the URLs that they hand out."""
    return _USERINFO.sub(r"\1", url)


def _address(address: str, default_port: int) -> tuple[str, int]:
    bad = InvalidInputError(
        "The stream URL has no valid host and port",
        mend="A password that holds / ? # or @ must be percent-encoded, an IPv6 address stands in [brackets]",
    )
    if address.startswith("["):
        host, bracket, tail = address[1:].partition("]")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise bad from None
        if not bracket or (tail and not tail.startswith(":")):
            raise bad
        port = tail[1:]
    else:
        host, _, port = address.partition(":")
        if not _HOST_NAME.fullmatch(host):
            raise bad
    if not port:
        return host, default_port
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise bad
    return host, int(port)
