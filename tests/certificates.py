"""Certificates for tests, made on the spot: signed by themselves as cameras do, or by an authority."""

from __future__ import annotations

import datetime as dates
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Certificate:
    """``file`` holds the certificate (PEM) and its key; ``fingerprint`` is its SHA-256 in hex."""

    file: Path
    fingerprint: str
    key: ec.EllipticCurvePrivateKey
    made: x509.Certificate

    @property
    def context(self) -> ssl.SSLContext:
        """Of a server that has it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


def certificate(
    folder: Path,
    name: str = "camera",
    *,
    hosts: Sequence[str] = ("127.0.0.1", "::1", "localhost"),
    signed_by: Certificate | None = None,
) -> Certificate:
    """A new one for ``hosts``, in ``folder``/``name``.pem; of an authority if it is for none or its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dates.datetime.now(dates.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by.made.subject if signed_by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dates.timedelta(days=1))
        .not_valid_after(now + dates.timedelta(days=9))
    )
    if hosts:
        names = x509.SubjectAlternativeName([_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    if signed_by is None or not hosts:
        authority = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(authority, critical=True)
    made = builder.sign(signed_by.key if signed_by else key, hashes.SHA256())
    file = folder / f"{name}.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Certificate(file, made.fingerprint(hashes.SHA256()).hex(), key, made)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
