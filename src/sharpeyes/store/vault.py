"""Secrets at rest: AES-256-GCM under a key file that only the service's user can read.

A sealed value is ``version (1) | key id (8) | nonce (12) | ciphertext and tag``. What it belongs to (its
*context*) is authenticated with it, so that a value moved to another row does not open. The key file holds
one key a line, the current one first. A rotation (:mod:`sharpeyes.store.rotation`) puts a new line on top and
seals everything anew; older lines are needed until then, and for backups from before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sharpeyes.domain.errors import InvalidInputError, SharpEyesError, UnavailableError

VERSION = b"\x01"
KEY_BYTES = 32
NONCE_BYTES = 12  # random: good for 2^32 values a key (NIST SP 800-38D, 8.3)
ID_BYTES = 8
LINE = "sharpeyes-key-1 "
MAX_FILE = 64 * 1024


class VaultError(SharpEyesError):
    """A sealed value does not open: another key, another row, or damage."""

    kind = "vault"


class Vault:
    """Seals and opens short secrets. Knows one current key and any number of older ones."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        ciphers = {_key_id(key): AESGCM(key) for key in keys}
        if not ciphers:
            raise InvalidInputError("a vault needs at least one key")
        self._ciphers = ciphers
        self._current = next(iter(ciphers))

    def __repr__(self) -> str:
        return f"Vault(current={self._current.hex()}, keys={len(self._ciphers)})"

    @property
    def key(self) -> str:
        """Id of the current key; it gives nothing of the key away."""
        return self._current.hex()

    @classmethod
    def at(cls, path: Path) -> Vault:
        """The vault of a key file, which is made if there is none; raises as :func:`keys_at` does."""
        return cls(keys_at(path))

    def seal(self, secret: str, context: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, secret.encode(), _associated(context))
        return VERSION + self._current + nonce + sealed

    def open(self, sealed: bytes, context: str) -> str:
        """The secret; VaultError says whether the key is missing or the value does not belong here."""
        head = len(VERSION) + ID_BYTES
        key, nonce = sealed[len(VERSION) : head], sealed[head : head + NONCE_BYTES]
        if not sealed.startswith(VERSION) or len(sealed) < head + NONCE_BYTES + 16:
            raise VaultError(f"the secret of {context} is damaged", mend="Enter it again")
        if key not in self._ciphers:
            raise VaultError(
                f"the secret of {context} was sealed with key {key.hex()}, which is not in the key file",
                mend="Restore the key file that belongs to this database, or enter the secret again",
            )
        try:
            return (
                self._ciphers[key].decrypt(nonce, sealed[head + NONCE_BYTES :], _associated(context)).decode()
            )
        except InvalidTag:
            raise VaultError(
                f"the secret of {context} is damaged or belongs to something else", mend="Enter it again"
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """False if the value should be sealed anew, with the current key."""
        return sealed.startswith(VERSION + self._current)


def keys_at(path: Path) -> list[bytes]:
    """The 32-byte keys of a key file, the current one first. The file is made (0600) if there is none.

    Raises InvalidInputError if others may read the file or if it holds no keys, UnavailableError if it
    cannot be read or made.
    """
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path)
            return _read(path)
    except OSError as error:
        raise UnavailableError(
            f"the key file {path} cannot be used: {error.strerror}",
            mend="Give the user that runs SharpEyes the right to read it and to write its folder",
        ) from None


def _associated(context: str) -> bytes:
    return b"sharpeyes secret\0" + context.encode()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"sharpeyes key id\0" + key).digest()[:ID_BYTES]


def _read(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o177:
            raise InvalidInputError(
                f"the key file {path} is open to others (mode {mode:04o})", mend=f"chmod 600 {path}"
            )
        text = file.read(MAX_FILE + 1)
    keys = []
    for number, line in enumerate(text.decode("ascii", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key = base64.b64decode(line.removeprefix(LINE), validate=True) if line.startswith(LINE) else b""
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidInputError(
                f"line {number} of the key file {path} is not a key",
                mend="Restore the file from its backup; without it, sealed secrets must be entered again",
            )
        keys.append(key)
    if not keys:
        raise InvalidInputError(
            f"the key file {path} holds no key",
            mend="Restore it from its backup, or remove it to get a new key",
        )
    return keys


def _make(path: Path) -> None:
    """Appears whole or not at all; if two processes start at once, both use the file of the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(LINE.encode() + base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike rename, never over a file that is there
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)
