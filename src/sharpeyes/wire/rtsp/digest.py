"""Answers to authentication challenges: Digest (RFC 7616, and RFC 2617 without qop) and Basic (RFC 7617).

Cameras lock an account after a few wrong answers, often for half an hour and for every user of it. So an
:class:`Authenticator` answers once a scheme. It answers again only if the camera says that nothing but the
nonce was wrong: ``stale=true``, or a new nonce after it had already accepted this password.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import Enum

from sharpeyes.domain.credentials import Credentials
from sharpeyes.wire.rtsp.message import UNSAFE

# Strongest first: the order of preference where a camera offers several.
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_RANK = {name: rank for rank, name in enumerate(_HASHES)}
_QOPS = frozenset(("auth", "auth-int"))
_MAX_CHALLENGES = 8
_MAX_LENGTH = 4096

_ITEM = re.compile(
    r"""[\s,]*(?:
        ([^\s,="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)(?:"|$)|'([^']*)'|([^\s,]*))   # parameter
        |([A-Za-z][^\s,="']*)                                                 # scheme
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme that the server would accept. Parameter names in lower case, values as sent, unquoted."""

    scheme: str
    parameters: dict[str, str]

    @property
    def label(self) -> str:
        """For people: ``Digest SHA-256 qop=auth``."""
        if self.scheme != "digest":
            return self.scheme.capitalize()
        qop = self.parameters.get("qop")
        if qop and "auth" in _words(qop):
            qop = "auth"
        return f"Digest {self.parameters.get('algorithm', 'MD5')}" + (f" qop={qop}" if qop else "")


class Outcome(Enum):
    """What to do about a 401."""

    RETRY = "retry"
    """Send the request again: there is an answer that has not been tried."""
    REJECTED = "rejected"
    """The answer was tried and refused."""
    UNSUPPORTED = "unsupported"
    """No scheme offered is one that may be used."""


def parse_challenges(values: list[str]) -> list[Challenge]:
    """The challenges in all ``WWW-Authenticate`` values, one a header or joined by commas. Never raises.

    Quoted pairs stay as they are: the digest is over the text between the quotes (RFC 2617 3.2.1 "unq").
    """
    challenges: list[Challenge] = []
    for value in values[:_MAX_CHALLENGES]:
        for name, quoted, single, bare, scheme in _ITEM.findall(UNSAFE.sub("", value[:_MAX_LENGTH])):
            if scheme:
                if len(challenges) == _MAX_CHALLENGES:
                    return challenges
                challenges.append(Challenge(scheme.lower(), {}))
            elif challenges:
                challenges[-1].parameters.setdefault(name.lower(), quoted or single or bare)
    return challenges


class Authenticator:
    """One account against one server, over one dialogue.

    ``cnonce`` is the client's share of the randomness; it comes from outside, so that answers can be tested.
    """

    __slots__ = (
        "_allow_basic",
        "_challenge",
        "_cnonce",
        "_count",
        "_credentials",
        "_ha1",
        "_hash",
        "_head",
        "_nonce",
        "_offers",
        "_proven",
        "_qop",
        "_tail",
        "_tried",
        "label",
    )

    def __init__(self, credentials: Credentials, *, cnonce: str, allow_basic: bool = False) -> None:
        self._credentials = credentials
        self._cnonce = cnonce
        self._allow_basic = allow_basic
        self._challenge: Challenge | None = None
        self._hash = hashlib.md5
        self._nonce = self._ha1 = self._head = self._tail = ""
        self._qop = ""
        self._count = 0
        self._tried: set[str] = set()
        self._proven = False
        self._offers: list[Challenge] = []
        self.label: str | None = None
        """What answers are made with at present, for the evidence."""

    @property
    def offered(self) -> list[str]:
        """Labels of what the server offered last, for the evidence."""
        return [challenge.label for challenge in self._offers]

    def challenged(self, values: list[str], *, again: bool) -> Outcome:
        """A 401 came with these ``WWW-Authenticate`` values.

        ``again``: this very request was sent afresh already because of a stale nonce; once is enough.
        """
        self._offers = parse_challenges(values)
        usable = sorted((c for c in self._offers if self._usable(c)), key=_preference)
        if not usable:
            return Outcome.UNSUPPORTED
        for challenge in usable:
            if challenge.scheme not in self._tried:
                self._take(challenge)
                return Outcome.RETRY
        current = self._challenge
        best = usable[0]
        if current is not None and current.scheme == best.scheme == "digest" and not again:
            fresh = best.parameters["nonce"] != current.parameters["nonce"]
            if fresh and (self._proven or best.parameters.get("stale", "").lower() == "true"):
                self._take(best)
                return Outcome.RETRY
        return Outcome.REJECTED

    def accepted(self) -> None:
        """A request with our answer was not refused: the password is right."""
        self._proven = self._challenge is not None

    def authorize(self, method: str, uri: str) -> str | None:
        """Value of the ``Authorization`` header for this request; None before the first challenge."""
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            account = f"{self._credentials.username}:{self._credentials.password.reveal()}"
            return "Basic " + base64.b64encode(account.encode("utf-8", "surrogateescape")).decode()
        ha2 = f"{method}:{uri}"
        if self._qop == "auth-int":
            ha2 += f":{self._digest('')}"  # of the body: no request of ours has one
        ha2 = self._digest(ha2)
        if self._qop:
            self._count += 1
            count = f"{self._count:08x}"
            response = self._digest(f"{self._ha1}:{self._nonce}:{count}:{self._cnonce}:{self._qop}:{ha2}")
            proof = f'response="{response}", qop={self._qop}, nc={count}, cnonce="{self._cnonce}"'
        else:
            proof = f'response="{self._digest(f"{self._ha1}:{self._nonce}:{ha2}")}"'
        return f'{self._head}, uri="{uri}", {proof}{self._tail}'

    def _usable(self, challenge: Challenge) -> bool:
        if challenge.scheme == "basic":
            return self._allow_basic
        if challenge.scheme != "digest" or "nonce" not in challenge.parameters:
            return False
        qop = challenge.parameters.get("qop")
        return _hash_name(challenge) in _HASHES and (not qop or bool(_QOPS.intersection(_words(qop))))

    def _take(self, challenge: Challenge) -> None:
        """Answer this challenge from now on. What all its answers share is made here."""
        self._challenge = challenge
        self.label = challenge.label
        self._tried.add(challenge.scheme)
        if challenge.scheme != "digest":
            return
        given = challenge.parameters
        realm, self._nonce, algorithm = given.get("realm", ""), given["nonce"], given.get("algorithm")
        self._hash = _HASHES[_hash_name(challenge)]
        qop = given.get("qop")
        self._qop = "" if not qop else "auth" if "auth" in _words(qop) else "auth-int"
        self._count = 0
        username = self._credentials.username
        self._ha1 = self._digest(f"{username}:{realm}:{self._credentials.password.reveal()}")
        self._head = f'Digest username="{_quote(username)}", realm="{realm}", nonce="{self._nonce}"'
        self._tail = "" if algorithm is None else f", algorithm={algorithm}"
        if "opaque" in given:
            self._tail += f', opaque="{given["opaque"]}"'
        if algorithm is not None and algorithm.upper().endswith("-SESS"):
            self._ha1 = self._digest(f"{self._ha1}:{self._nonce}:{self._cnonce}")
            if not self._qop:
                self._tail += f', cnonce="{self._cnonce}"'

    def _digest(self, text: str) -> str:
        return self._hash(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _preference(challenge: Challenge) -> int:
    return _RANK[_hash_name(challenge)] if challenge.scheme == "digest" else len(_RANK)


def _hash_name(challenge: Challenge) -> str:
    name = challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return {"SHA256": "SHA-256", "": "MD5"}.get(name, name)


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]


def _quote(text: str) -> str:
    return UNSAFE.sub("", text).replace("\\", "\\\\").replace('"', '\\"')
