"""Log-in sessions: a random token that is kept as its hash, an idle limit and an absolute one. Pure."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sharpeyes.domain.access import Session
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.time import Ms

TOKEN_BYTES = 32
SKEW_MS = 5 * 60_000
"""How far the clock may be put back before sessions end: else one that began in the future never would."""
MOST_SESSIONS = 20
"""Of one user at a time: whoever took a password along is noticed by those thrown out, not one of many."""
TOUCH_MS = 60_000
"""``seen`` is kept to the minute, so that a busy session does not cost a write a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How long a session lasts without use, and at most."""

    idle_ms: int = 30 * 60_000
    longest_ms: int = 12 * 3_600_000


def live(session: Session, now: Ms, policy: SessionPolicy) -> bool:
    begun = session.created <= now + SKEW_MS
    return begun and session.ended is None and not past(session, now, policy)


def past(session: Session, now: Ms, policy: SessionPolicy) -> bool:
    """Whether its time is over, or was seen to be before."""
    return session.lapsed is not None or now >= min(session.expires, session.seen + policy.idle_ms)


def stale(session: Session, now: Ms) -> bool:
    """Whether its use should be noted again."""
    return now - session.seen >= TOUCH_MS


def begin(
    user: str, now: Ms, policy: SessionPolicy, *, address: str, client: str
) -> tuple[Session, Secret, bytes]:
    """A new session, its token (the only time anybody sees it), and the token's hash."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session = Session(
        id=secrets.token_hex(8),
        user=user,
        created=now,
        seen=now,
        expires=Ms(now + policy.longest_ms),
        address=address[:45],
        client=client[:200],
    )
    return session, Secret(token), token_hash(token)


def token_hash(token: str) -> bytes:
    """SHA-256, once: nobody guesses 256 bits, so there is nothing to slow down."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
