"""The manifest of a report: what it is and the digest of its bytes, signed, so that any copy can be checked.

A manifest is a JSON object: ``report`` (what it is about), ``format``, ``lang``, ``sha256``, ``bytes``,
``key`` (the installation's public key, base64) and ``signature``, which is Ed25519 over the rest as JSON with
sorted keys and no blanks. Whoever knows the key from elsewhere needs nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sharpeyes.domain.errors import InvalidInputError, SharpEyesError
from sharpeyes.rates.report.render import Format
from sharpeyes.rates.report.report import Report
from sharpeyes.rates.report.words import Lang
from sharpeyes.store.vault import keys_at

KEY_FILE = "reports.key"
SUFFIX = ".manifest.json"
LARGEST = 64 * 1024


class NotGenuineError(SharpEyesError):
    """A copy is not what was signed, or was not signed by the key that it should be."""

    kind = "not_genuine"


class Signer:
    """Signs with the key of a file, which is made if there is none."""

    def __init__(self, file: Path) -> None:
        seed, *_ = keys_at(file)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def manifest(self, report: Report, form: Format, lang: Lang, data: bytes) -> dict[str, Any]:
        told = {
            "report": report.meta(),
            "format": form.value,
            "lang": lang.value,
            "sha256": sha256(data).hexdigest(),
            "bytes": len(data),
            "key": self.public,
        }
        return told | {"signature": base64.b64encode(self._key.sign(_signed(told))).decode()}


def parse(text: str) -> dict[str, Any]:
    """InvalidInputError if it is no manifest."""
    try:
        found = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        found = None
    names = ("sha256", "key", "signature")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise InvalidInputError(
            "the manifest is not one of a report", mend="It is the .manifest.json beside it"
        )
    return found


def check(data: bytes, manifest: Mapping[str, Any], *, key: str | None) -> None:
    """NotGenuineError unless these bytes are what was signed, by ``key`` if one is given."""
    if sha256(data).hexdigest() != manifest["sha256"]:
        raise NotGenuineError("the file is not the one that was signed: its digest differs")
    if key is not None and manifest["key"] != key:
        raise NotGenuineError("the manifest was signed with another key")
    told = {name: value for name, value in manifest.items() if name != "signature"}
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(manifest["key"], validate=True))
        public.verify(base64.b64decode(manifest["signature"], validate=True), _signed(told))
    except (InvalidSignature, binascii.Error, ValueError):
        raise NotGenuineError("the manifest was changed: its signature does not hold") from None


def _signed(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
