"""Checkpoints: signed statements of how long the register was and what its root was.

Format: C2SP signed-note with an Ed25519 signature (type 0x01), holding a C2SP tlog-checkpoint of three
lines. Any tool that reads such notes can check them; nothing in them is our own invention.

    city.example/register
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — city.example/register Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/...
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sharpeyes.access.register.tree import HASH_BYTES
from sharpeyes.domain.errors import InvalidInputError

ED25519 = b"\x01"
SIGNATURE_BYTES = 64
DASH = "\u2014 "
LARGEST_SIZE = 1 << 53
REMOVAL = "/retention"
"""Behind the register's name in what is signed of a removal."""


class NoteError(InvalidInputError):
    """A checkpoint or a key is not of the right form, or its signature does not hold."""

    kind = "checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The register named ``origin`` had ``size`` entries and this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Removal:
    """What the entries up to ``upto`` said is removed; ``root`` is over them. Signed like a checkpoint, under
    another first line, so that neither passes for the other."""

    origin: str
    upto: int
    root: bytes
    before: int
    """Each of them is older than this instant, in ms."""

    def text(self) -> str:
        return f"{self.origin}{REMOVAL}\n{self.upto}\n{_b64(self.root)}\nbefore {self.before}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half of a register's key. Its text form (``vkey``) is what others keep and compare."""

    origin: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """From ``<origin>+<key id in hex>+<base64>``; NoteError if it is not that."""
        origin, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _unb64(encoded, "the key")
        if material[:1] != ED25519 or len(material) != 33:
            raise NoteError("the key is not an Ed25519 key")
        found = cls(checked_origin(origin), material[1:])
        if key_id != found.key_id.hex():
            raise NoteError("the key does not belong to the name before it: its id differs")
        return found

    @property
    def key_id(self) -> bytes:
        return sha256(self.origin.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.origin}+{self.key_id.hex()}+{_b64(ED25519 + self.public)}"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note that this key signed; NoteError otherwise."""
        checkpoint = _parse(self._signed(note))
        if checkpoint.origin != self.origin:
            raise NoteError(f"the checkpoint is of another register: {checkpoint.origin!r}")
        return checkpoint

    def open_removal(self, note: str) -> Removal:
        """The removal that this key signed; NoteError otherwise."""
        text = self._signed(note)
        stated = _parse(text)
        before = text.split("\n")[3].removeprefix("before ")
        if not (before.isascii() and before.isdigit() and len(before) < 17):
            raise NoteError("the removal does not say before when")
        removal = Removal(self.origin, stated.size, stated.root, int(before))
        if removal.text() != text:
            raise NoteError("this is no removal of this register")
        return removal

    def _signed(self, note: str) -> str:
        """The text above the signatures, which this key signed. Other signatures are passed over, as
        signed-note asks, so that witnesses can add theirs."""
        text, blank, signatures = note.partition("\n\n")
        if not blank:
            raise NoteError("the checkpoint has no signature")
        text += "\n"
        for line in signatures.splitlines():
            name, _, encoded = line.removeprefix(DASH).partition(" ")
            if not line.startswith(DASH) or not encoded:
                raise NoteError("the checkpoint has a line that is no signature")
            if name != self.origin:
                continue
            signature = _unb64(encoded, "the signature")
            if signature[:4] != self.key_id:
                continue
            if len(signature) != 4 + SIGNATURE_BYTES:
                raise NoteError("the signature is not of the length of an Ed25519 signature")
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature[4:], text.encode())
            except (InvalidSignature, ValueError):
                raise NoteError("the signature does not hold: forged or damaged") from None
            return text
        raise NoteError("the checkpoint is not signed by this register's key")


class Signer:
    """The private half of a register's key; it is never printed."""

    __slots__ = ("_key", "verifier")

    def __init__(self, origin: str, seed: bytes) -> None:
        """``seed``: the 32 bytes of the key file."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(checked_origin(origin), self._key.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        return self._note(Checkpoint(self.verifier.origin, size, root).text())

    def sign_removal(self, upto: int, root: bytes, before: int) -> str:
        return self._note(Removal(self.verifier.origin, upto, root, before).text())

    def _note(self, text: str) -> str:
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n{DASH}{self.verifier.origin} {_b64(signature)}\n"


def checked_origin(origin: str) -> str:
    """A name that can be an origin and a key name: not empty, printable, no space and no plus sign."""
    if not origin or not origin.isprintable() or "+" in origin or any(c.isspace() for c in origin):
        raise NoteError(f"{origin!r} is no name of a register", mend="Write for example city.example/log")
    return origin


def claimed(note: str) -> tuple[int, bytes] | None:
    """Size and root that a note states, signed or not; None if it states none."""
    try:
        checkpoint = _parse(note.partition("\n\n")[0] + "\n")
    except NoteError:
        return None
    return checkpoint.size, checkpoint.root


def split(notes: str) -> Iterator[str]:
    """The notes of a file, in order. A note is text, a blank line, and lines that begin with a dash; blank
    lines between notes are optional. What is no note comes out as it stands, for its reader to refuse."""
    text: list[str] = []
    signatures: list[str] = []
    for line in notes.split("\n"):
        if signatures and not line.startswith(DASH):
            yield "\n".join((*text, "", *signatures, ""))
            text, signatures = [], []
        if line.startswith(DASH) and text:
            signatures.append(line)
        elif line:
            text.append(line)
    if text or signatures:
        yield "\n".join((*text, "", *signatures, "")) if signatures else "\n".join((*text, ""))


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise NoteError("a checkpoint has three lines: origin, size and root")
    origin, size, root = lines[:3]
    if not (size.isascii() and size.isdigit()) or str(int(size[:20])) != size or int(size) > LARGEST_SIZE:
        raise NoteError("the size is not a plain number")
    decoded = _unb64(root, "the root")
    if len(decoded) != HASH_BYTES:
        raise NoteError("the root is not a SHA-256 hash")
    return Checkpoint(origin, int(size), decoded)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
