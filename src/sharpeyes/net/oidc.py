"""An OpenID Connect provider, asked to say who somebody is (code flow with PKCE).

OpenID Connect Core 1.0, sections 3.1 and 5.3; Discovery 1.0, section 4; RFC 7636. The library builds and
verifies; what is fetched is bounded here, and fetched only from addresses that the issuer's document names.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import SharpEyesError, UnavailableError

TIMEOUT_S = 10.0
"""Of a step."""
ANSWER_S = 20.0
"""Of all that is asked for one log-in, however slowly it drips."""
REST_S = 5.0
"""A provider that cannot be asked is left alone for so long: nobody makes us knock again and again."""
LONGEST = 255
"""Characters of a subject (Core 1.0, section 2) and of a user name. A longer one is refused, not cut: cut,
it would be another's."""
MOST_BYTES = 256 * 1024
"""Of any answer of the provider."""
KNOWN_S = 3600.0
"""How long its document and its keys are believed."""
LEEWAY_S = 60
"""How far its clock may be from ours."""
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Of ID tokens: signatures by a key that only the provider has. Never ``none``, never a shared secret."""
ENCODINGS = frozenset({b"content-encoding", b"transfer-encoding"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ProviderError(SharpEyesError):
    """The provider answered, and the answer proves nobody's identity."""

    kind = "unauthenticated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Where the provider is, and what this service is to it."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    """None: a public client, which PKCE alone protects."""
    redirect_uri: str
    """The callback as the provider has it registered."""
    username_claim: str = "preferred_username"
    scopes: str = "openid profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What must come back with the answer; kept by the browser, sealed."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is, by the word of a provider. ``subject`` never changes and is never given to another
    (Core 1.0, section 2); ``username`` may change."""

    issuer: str
    subject: str
    username: str


class Provider:
    """One OpenID Connect provider."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._document: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._failed_at = float("-inf")

    async def begin(self) -> tuple[str, Challenge]:
        """The address to send the browser to, and what must come back with it.

        UnavailableError if the provider cannot be asked.
        """
        challenge = Challenge(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
        )
        async with self._client() as client:
            async with _in_time():
                document = await self._read(client)
            url, _ = client.create_authorization_url(
                document["authorization_endpoint"],
                state=challenge.state,
                code_verifier=challenge.verifier,
                nonce=challenge.nonce,
            )
        return str(url), challenge

    async def finish(self, code: str, challenge: Challenge) -> Identity:
        """Who the code stands for. ProviderError if it stands for nobody, UnavailableError if the provider
        cannot be asked."""
        try:
            async with _in_time(), self._client() as client:
                return await self._finish(client, code, challenge)
        except OAuthError as error:
            raise ProviderError(f"the sign-on service refused the code: {str(error.error)[:100]!r}") from None
        except httpx2.HTTPError as error:
            raise UnavailableError(
                f"the sign-on service does not answer: {type(error).__name__}", mend="Try again later"
            ) from None
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProviderError(
                f"the sign-on service's answer proves nothing: {type(error).__name__}",
                mend="Check SHARPEYES_OIDC_ISSUER, the client's id, and the clocks of both machines",
            ) from None

    async def _finish(self, client: AsyncOAuth2Client, code: str, challenge: Challenge) -> Identity:
        document = await self._read(client)
        token = await client.fetch_token(
            document["token_endpoint"],
            code=code,
            code_verifier=challenge.verifier,
            grant_type="authorization_code",
        )
        claims = await self._verified(client, token["id_token"], token["access_token"], challenge)
        said: Mapping[str, Any] = claims
        if said.get(self._settings.username_claim) is None and "userinfo_endpoint" in document:
            said = _document(await client.get(document["userinfo_endpoint"]))
            if said.get("sub") != claims["sub"]:  # Core 1.0, section 5.3.2: it may be about another
                raise ValueError("userinfo")
        username = said.get(self._settings.username_claim)
        # Section 5.7: an address that somebody may have typed in is nobody's name.
        if self._settings.username_claim == "email" and said.get("email_verified", True) is not True:
            raise ProviderError("the sign-on service has not verified this person's address")
        if not isinstance(username, str) or not username:
            raise ProviderError(
                f"the sign-on service does not say the claim {self._settings.username_claim!r}",
                mend="Have the provider send it, or name another in SHARPEYES_OIDC_USERNAME_CLAIM",
            )
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST or len(username) > LONGEST:
            raise ValueError("sub")
        return Identity(issuer=self._settings.issuer, subject=subject, username=username)

    async def _verified(
        self, client: AsyncOAuth2Client, id_token: str, access_token: str, challenge: Challenge
    ) -> CodeIDToken:
        for fresh in (False, True):  # a key that is not known yet may be a new one
            if fresh:
                self._read_at = float("-inf")
            await self._read(client)
            assert self._keys is not None
            try:
                decoded = jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)
                break
            except (JoseError, ValueError):
                if fresh:
                    raise
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": self._settings.issuer},
                "aud": {"essential": True, "value": self._settings.client_id},
            },
            params={
                "nonce": challenge.nonce,
                "client_id": self._settings.client_id,
                "access_token": access_token,
            },
        )
        claims.validate(leeway=LEEWAY_S)
        return claims

    async def _read(self, client: AsyncOAuth2Client) -> Mapping[str, Any]:
        """The issuer's document, and its keys with it."""
        if time.monotonic() - self._read_at < KNOWN_S:
            return self._document
        issuer = self._settings.issuer
        if time.monotonic() - self._failed_at < REST_S:
            raise UnavailableError(
                f"the sign-on service at {issuer} did not answer just now", mend="Try again"
            )
        try:
            url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            document = _document(await client.request("GET", url, withhold_token=True))
            if document.get("issuer") != issuer:  # Discovery 1.0, section 4.3
                raise ValueError(f"it calls itself {str(document.get('issuer'))[:200]!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                check_url(name, document.get(name), issuer=issuer)
            if "userinfo_endpoint" in document:
                check_url("userinfo_endpoint", document["userinfo_endpoint"], issuer=issuer)
            self._keys = KeySet.import_key_set(
                _document(await client.request("GET", document["jwks_uri"], withhold_token=True))  # type: ignore[arg-type]
            )
        except (httpx2.HTTPError, JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._failed_at = time.monotonic()
            raise UnavailableError(
                f"the sign-on service at {issuer} cannot be used: {error or type(error).__name__}",
                mend="Check SHARPEYES_OIDC_ISSUER and that this machine reaches it; passwords go on working",
            ) from None
        self._document, self._read_at = document, time.monotonic()
        return document

    def _client(self) -> AsyncOAuth2Client:
        secret = self._settings.client_secret
        return AsyncOAuth2Client(
            self._settings.client_id,
            secret.reveal() if secret else None,
            scope=self._settings.scopes,
            redirect_uri=self._settings.redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            transport=_Bounded(),
        )


@cache
def certificates() -> ssl.SSLContext:
    """Whom to believe. Read once: it takes 20 ms in which nothing else runs, and anybody can begin."""
    return httpx2.create_ssl_context()


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError:
        raise UnavailableError("the sign-on service is too slow", mend="Try again later") from None


class _Bounded(httpx2.AsyncBaseTransport):
    """Reads no more than :data:`MOST_BYTES` of an answer, as it comes: compression is not asked for."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        answer = await self._inner.handle_async_request(request)
        body = bytearray()
        try:
            async for part in answer.stream:  # type: ignore[union-attr]
                body += part
                if len(body) > MOST_BYTES:
                    raise httpx2.DecodingError("the answer is too long", request=request)
        finally:
            await answer.aclose()
        headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in ENCODINGS]
        return httpx2.Response(answer.status_code, headers=headers, content=bytes(body), request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _document(answer: httpx2.Response) -> dict[str, Any]:
    answer.raise_for_status()
    if answer.is_redirect:
        raise ValueError("it redirects")
    found = json.loads(answer.content)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def check_url(name: str, url: object, *, issuer: str) -> None:
    """ValueError unless secrets and proofs may go to this address: readable on the way only if the way is
    this machine. A provider that is elsewhere has nothing to send us to on this machine."""
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    here = parts.hostname in LOOPBACK
    fine = parts.scheme == "https" or (parts.scheme == "http" and here)
    if not parts.hostname or not fine or (here and urlsplit(issuer).hostname not in LOOPBACK):
        raise ValueError(f"its {name} is not an https address")
