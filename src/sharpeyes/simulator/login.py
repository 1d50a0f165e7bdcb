"""The server's side of logins: Digest (RFC 2069, 2617, 7616), Basic (RFC 7617), WS-Security UsernameToken."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime
from xml.etree.ElementTree import Element

from sharpeyes.domain.credentials import Credentials
from sharpeyes.simulator.fleet import Scheme
from sharpeyes.wire import xml

_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_QUOTED_PAIR = re.compile(r"\\(.)")
SKEW_S = 300.0
"""What a token's time may differ from the device's clock."""


class Guard:
    """Asks for and checks the login of one device."""

    __slots__ = ("_credentials", "_ha1", "_hash", "_qop", "realm", "scheme")

    def __init__(self, credentials: Credentials | None, scheme: Scheme, *, qop: bool, realm: str) -> None:
        self.scheme = Scheme.NONE if credentials is None else scheme
        self.realm = realm
        self._credentials = credentials
        self._qop = qop
        self._ha1: str | None = None
        self._hash: Callable[[bytes], hashlib._Hash] = (
            hashlib.sha256 if self.scheme is Scheme.SHA256 else hashlib.md5
        )

    @property
    def open(self) -> bool:
        """Nobody is asked."""
        return self.scheme is Scheme.NONE

    def challenge(self, nonce: str) -> str:
        """Value of ``WWW-Authenticate``."""
        if self.scheme is Scheme.BASIC:
            return f'Basic realm="{self.realm}"'
        parts = [f'Digest realm="{self.realm}"', f'nonce="{nonce}"']
        if self.scheme is Scheme.SHA256:
            parts.append("algorithm=SHA-256")
        if self._qop:
            parts.append('qop="auth"')
        return ", ".join(parts)

    def admits(self, method: str, nonce: str, authorization: str | None) -> bool:
        """Whether this ``Authorization`` answers our challenge for ``method``."""
        if self._credentials is None:
            return True
        if authorization is None or len(authorization) > 4096:
            return False
        secret = self._credentials.password.reveal()
        if self.scheme is Scheme.BASIC:
            account = f"{self._credentials.username}:{secret}".encode()
            expected = f"Basic {base64.b64encode(account).decode()}"
            return _same(expected, authorization)
        if authorization[:7].lower() != "digest ":
            return False
        named = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(authorization)}.get
        if not (
            _same(_QUOTED_PAIR.sub(r"\1", named("username", "")), self._credentials.username)
            and named("realm") == self.realm
            and named("nonce") == nonce
        ):
            return False
        if self._ha1 is None:
            self._ha1 = self._digest(f"{self._credentials.username}:{self.realm}:{secret}")
        ha2 = self._digest(f"{method}:{named('uri', '')}")
        if self._qop:
            # A client may fall back to RFC 2069, which has no qop (RFC 2617 3.2.2).
            middle = f"{nonce}:{named('nc')}:{named('cnonce')}:auth" if named("qop") else nonce
        else:
            middle = nonce
        return _same(self._digest(f"{self._ha1}:{middle}:{ha2}"), named("response", "").lower())

    def _digest(self, text: str) -> str:
        return self._hash(text.encode("utf-8", "surrogateescape")).hexdigest()


def token_admits(header: Element | None, credentials: Credentials, now_s: float) -> bool:
    """Whether a SOAP header holds a UsernameToken of this account, not older or newer than the skew.

    ``now_s`` is the device's own clock, seconds since the epoch.
    """
    token = xml.child(header, "Security", "UsernameToken")
    password = xml.child(token, "Password")
    if password is None or password.get("Type", _DIGEST) != _DIGEST:
        return False
    created = xml.text_of(xml.child(token, "Created"), 64)
    try:
        nonce = base64.b64decode(xml.text_of(xml.child(token, "Nonce"), 256), validate=True)
        moment = datetime.fromisoformat(created)
    except (ValueError, binascii.Error):
        return False
    if moment.tzinfo is None or abs(moment.timestamp() - now_s) > SKEW_S:
        return False
    secret = credentials.password.reveal()
    proof = hashlib.sha1(nonce + created.encode() + secret.encode(), usedforsecurity=False).digest()
    return _same(xml.text_of(xml.child(token, "Username"), 256), credentials.username) and _same(
        base64.b64encode(proof).decode(), xml.text_of(password, 256)
    )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(
        one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape")
    )
