"""Codes of an authenticator app: TOTP (RFC 6238) with SHA-1, 30 seconds and 6 digits, as all apps have it."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from urllib.parse import quote

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import Ms

STEP_MS = 30_000
DIGITS = 6
SKEW = 1
"""Steps before and after the present one that are accepted too: clocks differ."""


def new_secret() -> Secret:
    """160 random bits in base32, the length that RFC 4226 recommends."""
    return Secret(base64.b32encode(secrets.token_bytes(20)).decode())


def well_formed(secret: Secret) -> bool:
    """Whether it looks like one of :func:`new_secret`'s: one that came back from a client may be anything."""
    return re.fullmatch(r"[A-Z2-7]{32}", secret.reveal()) is not None


def code_at(secret: Secret, step: int, digits: int = DIGITS) -> str:
    """The code of one time step (RFC 4226, section 5.3)."""
    digest = hmac.digest(base64.b32decode(secret.reveal()), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def accept(secret: Secret, code: str, now: Ms, last_step: int) -> int | None:
    """The step that the code belongs to, to be kept as the new ``last_step``; None if it is wrong, or not
    later than the last one used: a code that somebody looked over a shoulder opens nothing."""
    code = code.strip().replace(" ", "")
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    present = now // STEP_MS
    found = None
    for step in range(present - SKEW, present + SKEW + 1):
        if hmac.compare_digest(code_at(secret, step), code) and step > last_step:
            found = step
    return found


def uri(secret: Secret, username: str, issuer: str = "SharpEyes") -> Secret:
    """What an app reads from a QR code. A secret like the one in it."""
    return Secret(
        f"otpauth://totp/{quote(issuer)}:{quote(username)}"
        f"?secret={secret.reveal()}&issuer={quote(issuer)}&digits={DIGITS}&period={STEP_MS // 1000}"
    )
