"""What is asked of a camera's certificate, by whoever connects to one: probes, viewing, ONVIF.

It is judged within the handshake, so that nothing at all, least of all an account, is said to a stranger.
What was met is told by its fingerprint: whoever knows it to be right can pin it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sharpeyes.domain.errors import InvalidInputError

MAX_BYTES = 1 << 20
"""Of a file with authorities."""
SYSTEM = ""
"""In the place of a file's text: the authorities that this machine trusts."""
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """Whom to believe that it is the camera.

    With neither of the two, any certificate will do, since cameras sign their own: what is said is encrypted,
    but whoever stands in between can read it.
    """

    authorities: str | None = field(default=None, repr=False)
    """Certificates (PEM), one of which has to have signed it, or to be it; :data:`SYSTEM`: this machine's."""
    check_host: bool = True
    """With ``authorities``: whether it has to name the host that was connected to."""
    fingerprints: tuple[str, ...] = ()
    """SHA-256 in hex, small letters: it has to be one of these, whoever signed it, and however old it is."""

    @property
    def wanted(self) -> str:
        """In words, behind "expected"."""
        if len(self.fingerprints) == 1:
            return f"SHA-256 {self.fingerprints[0]}"
        if self.fingerprints:
            return f"one of the {len(self.fingerprints)} that are pinned"
        return "one that this machine trusts" if self.authorities == SYSTEM else "one of the given authority"


class CertificateRefusedError(ssl.SSLCertVerificationError):
    """Somebody else's certificate, or one that nobody vouches for. The message says what was met."""

    def __init__(self, why: str, met: str | None, policy: TlsPolicy) -> None:
        self.message = (
            f"the certificate is refused: {why}; met SHA-256 {met or 'unknown'}, expected {policy.wanted}"
        )
        super().__init__(1, self.message)


def read_authorities(path: Path) -> str:
    """The certificates in a PEM file; whatever else is in it, a key for example, is left there.

    :raises InvalidInputError: it cannot be read, or holds none.
    """
    mend = "Name a file with the certificate of the authority, or of the camera itself (PEM)"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read ({error.strerror})", mend=mend) from None
    if len(data) > MAX_BYTES:
        raise InvalidInputError(f"{path} is larger than {MAX_BYTES >> 20} MiB", mend=mend)
    text = "\n".join(found.decode("ascii") for found in _CERTIFICATE.findall(data))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise InvalidInputError(f"{path} holds no certificate (PEM)", mend=mend) from None
    return text


def read_fingerprint(text: str) -> str:
    """A SHA-256 as people write it, with or without colons.

    :raises InvalidInputError: it is none.
    """
    found = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        raise InvalidInputError(
            f"'{text[:100]}' is not the SHA-256 of a certificate",
            mend="Write its 64 hexadecimal digits; 'sharpeyes probe --verbose' shows them",
        )
    return found


def fingerprint_of(connection: ssl.SSLObject) -> str:
    """SHA-256 of the certificate of a connection that stands."""
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


@lru_cache(maxsize=512)
def context_of(policy: TlsPolicy) -> ssl.SSLContext:
    """What a connection is made with. Its handshake ends in :class:`CertificateRefusedError` if need be."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.policy = policy
    context.sslobject_class = _Judged
    if policy.authorities is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.check_hostname = policy.check_host
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever is named is trusted, whatever is above
    if policy.authorities == SYSTEM:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=policy.authorities)
    return context


class _Context(ssl.SSLContext):
    policy: TlsPolicy


class _Judged(ssl.SSLObject):
    def do_handshake(self) -> None:
        context = self.context
        assert isinstance(context, _Context)
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise CertificateRefusedError(
                error.verify_message.rstrip("."), _shown(self), context.policy
            ) from error
        pinned = context.policy.fingerprints
        if pinned and (met := fingerprint_of(self)) not in pinned:
            raise CertificateRefusedError("it is another one", met, context.policy)


def _shown(connection: ssl.SSLObject) -> str | None:
    """SHA-256 of a certificate that was refused; None where this Python does not tell."""
    inner: Any = getattr(connection, "_sslobj", None)  # by a public name from Python 3.13 on
    try:
        pem = inner.get_unverified_chain()[0].public_bytes()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
