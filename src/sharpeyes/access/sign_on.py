"""Single sign-on: somebody else's word for who is there, and the account here that goes with it."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from sharpeyes.access.people import LoggedIn, People
from sharpeyes.access.throttle import Throttle, WaitError
from sharpeyes.domain.errors import SharpEyesError, UnauthenticatedError
from sharpeyes.domain.time import Ms
from sharpeyes.net.oidc import Challenge, Provider
from sharpeyes.store.vault import Vault

PENDING_MS = 10 * 60_000
"""How long somebody may take at the provider."""
_CONTEXT = "sign-on under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOn:
    """Log-ins by one provider. What is under way is kept by the browser, sealed: a restart ends none of
    them, and nobody can fill our memory with them."""

    provider: Provider
    label: str
    """What the button says."""
    people: People
    vault: Vault
    clock: Callable[[], Ms]
    throttle: Throttle = field(default_factory=Throttle)
    """Of answers that prove nothing, by address: each of them costs the provider a question."""

    async def begin(self, after: str) -> tuple[str, str]:
        """The provider's address to go to, and what the browser must bring back.

        ``after``: path to show then. UnavailableError if the provider cannot be asked.
        """
        url, challenge = await self.provider.begin()
        pending = {"challenge": asdict(challenge), "after": local(after), "at": self.clock()}
        sealed = self.vault.seal(json.dumps(pending), _CONTEXT)
        return url, base64.urlsafe_b64encode(sealed).decode()

    async def finish(
        self, pending: str, *, state: str, code: str, address: str, client: str
    ) -> tuple[LoggedIn, str]:
        """The session, and the path to show.

        Raises UnauthenticatedError, NoAccountError, ProviderError, UnavailableError or WaitError.
        """
        if wait := self.throttle.begin_at(address, self.clock()):
            raise WaitError(wait)
        try:
            opened = json.loads(self.vault.open(base64.urlsafe_b64decode(pending), _CONTEXT))
        except (SharpEyesError, binascii.Error, ValueError):
            opened = None
        if opened is None or not 0 <= self.clock() - opened["at"] <= PENDING_MS:
            raise UnauthenticatedError(
                "this log-in was not begun here, or too long ago", mend="Begin it again"
            )
        challenge = Challenge(**opened["challenge"])
        if not hmac.compare_digest(challenge.state.encode(), state.encode(errors="replace")):
            raise UnauthenticatedError("this answer belongs to another log-in", mend="Begin it again")
        identity = await self.provider.finish(code, challenge)
        logged_in = await self.people.log_in_as(identity, address=address, client=client)
        self.throttle.succeeded_at(address)
        return logged_in, opened["after"]


def local(path: str) -> str:
    """The path, if it leads to a page of this site; else the first page."""
    fine = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and len(path) <= 500
    )
    return path if fine else "/"
