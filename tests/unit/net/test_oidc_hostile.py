"""What a token must be, and what a provider may make us do: against one that says whatever a test wants."""

from __future__ import annotations

import hmac
import json
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwk, jwt

from gateway_town import listening
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.net import oidc
from sharpeyes.net.oidc import MOST_BYTES, Challenge, Identity, Provider, ProviderError, ProviderSettings

Claims = dict[str, Any]
OURS = jwk.RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
THEIRS = jwk.RSAKey.generate_key(2048, {"kid": "k1"})
CHALLENGE = Challenge(state="s", nonce="the nonce", verifier="v" * 43)


class Liar:
    """A provider of which every answer can be another."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: Claims = {}
        self.sign: Callable[[Claims], str] = signed
        self.keys = [OURS]
        self.document: Claims = {}
        self.jwks: Callable[[], Response] | None = None
        self.asked: list[str] = []
        self.userinfo: Claims = {}

    def api(self) -> FastAPI:
        api = FastAPI()

        @api.get("/.well-known/openid-configuration")
        async def configuration() -> dict[str, Any]:
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
            } | self.document

        @api.get("/keys")
        async def keys() -> Response:
            self.asked.append("keys")
            if self.jwks is not None:
                return self.jwks()
            return JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})

        @api.post("/token")
        async def token() -> dict[str, Any]:
            return {"access_token": "a", "token_type": "Bearer", "id_token": self.sign(self.claims)}

        @api.get("/userinfo")
        async def userinfo() -> dict[str, Any]:
            return self.userinfo

        @api.get("/elsewhere")
        async def elsewhere() -> dict[str, Any]:
            self.asked.append("elsewhere")
            return {"keys": [key.as_dict(private=False) for key in self.keys]}

        return api


def signed(claims: Claims, key: jwk.RSAKey = OURS, alg: str = "RS256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": "k1", **header}, claims, key, algorithms=[alg])


def part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_shared_secret(secret: bytes) -> Callable[[Claims], str]:
    def sign(claims: Claims) -> str:
        said = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
        tag = hmac.digest(secret, said.encode(), "sha256")
        return f"{said}.{urlsafe_b64encode(tag).rstrip(b'=').decode()}"

    return sign


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    made = Liar()
    async with listening(made.api()) as made.url:
        now = int(time.time())
        made.claims = {
            "iss": made.url,
            "aud": "us",
            "sub": "42",
            "exp": now + 300,
            "iat": now,
            "nonce": CHALLENGE.nonce,
            "preferred_username": "wang",
        }
        yield made


def provider(liar: Liar, **more: Any) -> Provider:
    return Provider(
        ProviderSettings(
            issuer=liar.url, client_id="us", client_secret=None, redirect_uri="http://us/back", **more
        )
    )


async def test_what_is_signed_and_meant_for_us_is_believed(liar: Liar) -> None:
    assert await provider(liar).finish("code", CHALLENGE) == Identity(
        issuer=liar.url, subject="42", username="wang"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["us", "another"], "azp": "another"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 32_503_680_000},
        {"iat": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 42},
        {"nbf": 32_503_680_000},
    ],
    ids=str,
)
async def test_a_claim_that_is_not_for_now_and_us_proves_nothing(liar: Liar, changed: Claims) -> None:
    liar.claims = {name: value for name, value in (liar.claims | changed).items() if value is not None}
    with pytest.raises(ProviderError):
        await provider(liar).finish("code", CHALLENGE)


FORGED: dict[str, Callable[[Claims], str]] = {
    "no signature": lambda claims: f"{part({'alg': 'none'})}.{part(claims)}.",
    "no signature, spelt otherwise": lambda claims: f"{part({'alg': 'NonE', 'kid': 'k1'})}.{part(claims)}.",
    "the public key as a secret": by_shared_secret(OURS.as_pem(private=False)),
    "its modulus as a secret": by_shared_secret(str(OURS.as_dict(private=False)["n"]).encode()),
    "the client's id as a secret": by_shared_secret(b"us" * 16),
    "another key of the same name": lambda claims: signed(claims, THEIRS),
    "a key in its own head": lambda claims: signed(claims, THEIRS, jwk=THEIRS.as_dict(private=False)),
    "the signature cut off": lambda claims: signed(claims).rpartition(".")[0] + ".",
    "other claims": lambda claims: ".".join(
        [signed({}).split(".")[0], part(claims), signed({"x": 1}).split(".")[2]]
    ),
    "nothing": lambda _: "",
    "nonsense": lambda _: "a.b.c",
    "nested without end": lambda _: f"{part({'alg': 'RS256', 'kid': 'k1'})}.{'[' * 9000}.x",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_proves_nothing(liar: Liar, forge: Callable[[Claims], str]) -> None:
    liar.sign = forge
    with pytest.raises(ProviderError):
        await provider(liar).finish("code", CHALLENGE)


async def test_a_new_key_is_learnt_and_an_old_one_forgotten(liar: Liar) -> None:
    asked = provider(liar)
    await asked.finish("code", CHALLENGE)
    new = jwk.RSAKey.generate_key(2048, {"kid": "k2"})
    liar.keys = [new]
    liar.sign = lambda claims: signed(claims, new, kid="k2")
    assert (await asked.finish("code", CHALLENGE)).username == "wang"
    liar.sign = signed
    with pytest.raises(ProviderError):
        await asked.finish("code", CHALLENGE)


@pytest.mark.parametrize(
    ("claims", "said"),
    [({"email_verified": False}, {}), ({"email_verified": "false"}, {}), ({}, {"email_verified": False})],
)
async def test_an_address_that_is_not_verified_is_nobodys_name(
    liar: Liar, claims: Claims, said: Claims
) -> None:
    """Whoever may write any address into a profile would take the account of its owner."""
    if said:
        liar.userinfo = {"sub": "42", "email": "wang@city.example"} | said
    else:
        liar.claims |= {"email": "wang@city.example"} | claims
    with pytest.raises(ProviderError, match="verified"):
        await provider(liar, username_claim="email").finish("code", CHALLENGE)


async def test_an_address_that_is_verified_is_a_name(liar: Liar) -> None:
    liar.claims |= {"email": "wang@city.example", "email_verified": True}
    assert (await provider(liar, username_claim="email").finish("code", CHALLENGE)).username == (
        "wang@city.example"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        {"jwks_uri": ["https://elsewhere.example"]},
        {"userinfo_endpoint": "http://[fd00::1]/"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
async def test_a_document_sends_nobody_where_secrets_can_be_read(liar: Liar, document: Claims) -> None:
    liar.document = document
    with pytest.raises(UnavailableError):
        await provider(liar).begin()


def test_a_provider_elsewhere_does_not_send_us_to_this_machine() -> None:
    """Only one that is on this machine itself, for a trial, names addresses of it."""
    oidc.check_url("jwks_uri", "http://127.0.0.1:9000/keys", issuer="http://localhost:9000")
    for url in ("http://127.0.0.1:9000/keys", "http://localhost/", "http://[::1]/"):
        with pytest.raises(ValueError, match="jwks_uri"):
            oidc.check_url("jwks_uri", url, issuer="https://id.example")


def long_keys() -> Response:
    return JSONResponse({"keys": [], "more": "x" * MOST_BYTES})


def keys_elsewhere() -> Response:
    return RedirectResponse("/elsewhere")


@pytest.mark.parametrize(
    "jwks", [long_keys, keys_elsewhere, lambda: Response("[" * 100_000), lambda: Response("[]")]
)
async def test_keys_are_read_within_bounds_and_from_where_they_are_said_to_be(
    liar: Liar, jwks: Callable[[], Response]
) -> None:
    liar.jwks = jwks
    asked = provider(liar)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await asked.begin()
    assert liar.asked == ["keys"]  # once: it is left alone for a while


async def test_the_certificates_of_the_world_are_read_once(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can begin, as often as they like."""
    read, how_often = ssl.create_default_context, []
    monkeypatch.setattr(
        ssl, "create_default_context", lambda *a, **m: [how_often.append(1), read(*a, **m)][1]
    )
    oidc.certificates.cache_clear()
    asked = provider(liar)
    for _ in range(5):
        await asked.begin()
    assert len(how_often) == 1
