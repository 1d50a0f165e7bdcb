"""Over what messages go: frozen settings, checked when made. Secrets are references, read when needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError

LONGEST_SECRET = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret is to be found: in the environment or in a file, never in the configuration; or the
    secret itself, as the vault of the settings gave it."""

    env: str | None = None
    file: Path | None = None
    held: Secret | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.env, self.file, self.held)) != 1:
            raise InvalidInputError("a secret needs exactly one of env, file and held")

    def read(self) -> Secret:
        """The secret of this moment: a file that was replaced counts without a restart.

        Raises InvalidInputError if it is missing, empty or too long; the message names only the place.
        """
        if self.held is not None:
            if not self.held.reveal():
                raise InvalidInputError(
                    "the secret in the settings does not open", mend="Enter it again in the settings"
                )
            return self.held
        if self.env is not None:
            value, place = os.environ.get(self.env, ""), f"the environment variable {self.env}"
        else:
            assert self.file is not None
            place = f"the file {self.file}"
            try:
                with self.file.open("rb") as opened:
                    raw = opened.read(LONGEST_SECRET + 1)
                value = raw.decode().strip() if len(raw) <= LONGEST_SECRET else ""
            except (OSError, UnicodeDecodeError):
                value = ""
        if not value or not value.isprintable():
            raise InvalidInputError(f"{place} holds no secret", mend="Put the secret there, on one line")
        return Secret(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A mailbox, reached over an SMTP server."""

    to: str
    sender: str
    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` is for a relay on the same machine or network: no password goes over it."""
    username: str | None = None
    password: SecretRef | None = None
    ca_file: Path | None = None
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for field, address in (("to", self.to), ("sender", self.sender)):
            try:
                sound = bool(Address(addr_spec=address).domain) and address.isascii() and " " not in address
            except (ValueError, IndexError, MessageError):
                sound = False
            if not sound:
                raise InvalidInputError(f"{field} is not an e-mail address")
        if (self.username is None) != (self.password is None):
            raise InvalidInputError("username and password belong together")
        if self.security == "none" and self.password is not None:
            raise InvalidInputError(
                "a password would go in clear", mend="Set security to starttls or tls, or leave it out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Anybody who takes JSON over HTTP, signed as in Standard Webhooks 1.0."""

    url: str
    secret: SecretRef
    """The HMAC key; ``whsec_`` and base64, or any string."""
    ca_file: Path | None = None
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        check_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeCom:
    """A group robot of WeCom. Its URL holds its key, and so is a secret."""

    url: SecretRef
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DingTalk:
    """A group robot of DingTalk. Its URL holds its token, and so is a secret."""

    url: SecretRef
    sign: SecretRef | None = None
    """The key of its security setting "sign", None if it is set to keywords or addresses instead."""
    timeout_s: float = 15.0


Channel = Email | Webhook | WeCom | DingTalk


def check_url(url: str) -> None:
    """Refuse what cannot be posted to; the message does not show the URL, which may hold a secret."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInputError("the URL is not an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("the URL holds a user or password", mend="Take it out")
