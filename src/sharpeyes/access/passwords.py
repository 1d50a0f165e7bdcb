"""Passwords: argon2id (RFC 9106) with 19 MiB and two passes, the OWASP baseline; about 20 ms on one core.

These functions hold a core while they run: call them in a thread.
"""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError

SHORTEST = 10
LONGEST = 256
"""Characters. Longer ones are not hashed at all: a megabyte of password is an attack, not a habit."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

NOBODY = _hasher.hash("")
"""Checked when there is no such account, so that the answer takes as long as for one that exists."""


def check_strength(password: Secret, *, username: str) -> None:
    """Length, and not the user's name; InvalidInputError otherwise. No rules about kinds of characters:
    they make passwords predictable, not strong (NIST SP 800-63B, 3.1.1.2)."""
    text = password.reveal()
    if not SHORTEST <= len(text) <= LONGEST:
        raise InvalidInputError(f"password: {SHORTEST} to {LONGEST} characters")
    named = len(username) >= 4 and username.casefold() in text.casefold()
    if named or len(set(text)) < 4:
        raise InvalidInputError("password: too easy to guess", mend="Take a few unrelated words")


def hash_password(password: Secret) -> str:
    """In argon2's encoded form, which names its own parameters."""
    return _hasher.hash(password.reveal())


def matches(encoded: str | None, password: Secret) -> bool:
    """Whether this is the password. ``None``: no account, or none with a password; it costs the same."""
    text = password.reveal()
    if len(text) > LONGEST:
        return False
    try:
        return _hasher.verify(encoded or NOBODY, text) and encoded is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def outdated(encoded: str) -> bool:
    """Whether it was hashed under other parameters, and should be hashed anew at the next log-in."""
    return _hasher.check_needs_rehash(encoded)
