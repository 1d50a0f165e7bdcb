"""Tickets: what a console carries from the API to a gateway to open one picture.

A ticket lives a minute at most, opens once, and names the user, camera, action, grant and client that it is
for. It is only a pointer: the gateway still asks ``decide`` before the first packet. The API signs (Ed25519),
gateways hold only the public key, so a gateway that is taken over cannot write tickets.

Form: ``st1.<base64url of JSON>.<base64url of signature>``, one algorithm, nothing to negotiate.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sharpeyes.domain.access import Action, Reason, Refused
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms

PREFIX = "st1"
LONGEST_MS = 60_000
SKEW_MS = 5_000
"""How far a gateway's clock may be behind that of the API."""
LONGEST_TEXT = 4096
MOST_SPENT = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The right to ask for one picture, once, now."""

    id: str
    user: str
    department: str
    camera: str
    action: Action
    grant: str | None
    """None: by the right of operators to their own department's cameras."""
    client: str
    """What the gateway sees of the client as well as the API does: its address, or its session's id."""
    issued: Ms
    expires: Ms
    session: str = ""
    """Id of the session in which it was asked for: the picture ends with that. Empty: of none."""


class TicketOffice:
    """Issues tickets."""

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        """``seed``: 32 bytes of a key file of its own."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        """What gateways need."""
        return self._key.public_key().public_bytes_raw()

    def issue(
        self,
        *,
        user: str,
        department: str,
        camera: str,
        action: Action,
        grant: str | None,
        client: str,
        now: Ms,
        session: str = "",
        life_ms: int = LONGEST_MS,
    ) -> tuple[Ticket, Secret]:
        """A ticket and its text. Issue none before ``decide`` allowed it."""
        if not 0 < life_ms <= LONGEST_MS:
            raise InvalidInputError(f"life: a ticket lives at most {LONGEST_MS // 1000} seconds")
        ticket = Ticket(
            id=secrets.token_urlsafe(12),
            user=user,
            department=department,
            camera=camera,
            action=action,
            grant=grant,
            client=client,
            issued=now,
            expires=Ms(now + life_ms),
            session=session,
        )
        payload = f"{PREFIX}.{_b64(json.dumps(asdict(ticket), separators=(',', ':')).encode())}"
        return ticket, Secret(f"{payload}.{_b64(self._key.sign(payload.encode()))}")


class TicketGate:
    """Redeems tickets, each once. One of them a gateway process; a camera is served by one gateway."""

    def __init__(self, public: bytes, opened: Ms) -> None:
        """``opened``: now. What was issued before is refused: an earlier process may have redeemed it."""
        self._public = Ed25519PublicKey.from_public_bytes(public)
        self._opened = opened
        self._spent: dict[str, Ms] = {}

    def redeem(self, text: str, client: str, now: Ms) -> Ticket | Refused:
        """The ticket, which is spent from now on, or why it opens nothing."""
        ticket = self._read(text)
        if ticket is None or ticket.issued > now + SKEW_MS or ticket.expires - ticket.issued > LONGEST_MS:
            return Refused(reason=Reason.TICKET_INVALID, message="This is not a ticket of this site")
        if now >= ticket.expires or ticket.issued < self._opened - SKEW_MS:
            return Refused(reason=Reason.TICKET_EXPIRED, message="The ticket has expired: ask for another")
        if ticket.client != client:
            return Refused(reason=Reason.TICKET_CLIENT, message="The ticket was issued to another client")
        if ticket.id in self._spent:
            return Refused(reason=Reason.TICKET_USED, message="The ticket was used already: ask for another")
        if len(self._spent) >= MOST_SPENT:
            self._spent = {spent: until for spent, until in self._spent.items() if now < until}
        self._spent[ticket.id] = ticket.expires
        return ticket

    def _read(self, text: str) -> Ticket | None:
        payload, _, signature = text.rpartition(".")
        prefix, _, body = payload.partition(".")
        if prefix != PREFIX or len(text) > LONGEST_TEXT:
            return None
        try:
            self._public.verify(_unb64(signature), payload.encode("ascii"))
            raw: dict[str, Any] = json.loads(_unb64(body))
            return Ticket(**{**raw, "action": Action(raw["action"])})
        except (InvalidSignature, ValueError, TypeError, KeyError, binascii.Error):
            return None


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    """Strict: one text for one value."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _b64(data) != text:
        raise ValueError("not canonical")
    return data
