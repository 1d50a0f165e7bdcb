"""Proofs for others: that an entry is in the register, that it only ever grew, and exports to be checked
offline by somebody who has nothing but the register's public key.

An export is JSON lines. The first line states the span, the checkpoint and the hashes of everything before
and after the span; each further line is an entry as it was hashed. Whoever hashes the entries and joins the
rest must come to the signed root: then no entry of the span was changed, added or left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from sharpeyes.access.register.entry import LARGEST_BODY
from sharpeyes.access.register.note import NoteError, Verifier, claimed
from sharpeyes.access.register.tree import (
    HASH_BYTES,
    Frontier,
    NodeAt,
    consistency_proof,
    cover,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.store.register import (
    EntryRow,
    last_checkpoint,
    pruned_upto,
    read_entries,
    read_entry,
    read_head,
    read_nodes_at,
)

FORMAT = "sharpeyes-register-1"
LONGEST_LINE = 4 * LARGEST_BODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Entry ``seq`` (from 1) is in the register that ``checkpoint`` was signed over."""

    seq: int
    body: bytes
    size: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    """The signed note."""

    def holds(self, verifier: Verifier) -> bool:
        """Whether it does, by this key; everything is computed anew."""
        try:
            checkpoint = verifier.open(self.checkpoint)
        except NoteError:
            return False
        return checkpoint.size == self.size and verify_inclusion(
            leaf_hash(self.body), self.seq - 1, self.size, self.hashes, checkpoint.root
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "seq": self.seq,
            "entry": self.body.decode(),
            "size": self.size,
            "hashes": [_b64(item) for item in self.hashes],
            "checkpoint": self.checkpoint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """The register of ``old`` entries is the beginning of the register of ``new``."""

    old: int
    new: int
    hashes: tuple[bytes, ...]

    def holds(self, old_root: bytes, new_root: bytes) -> bool:
        return verify_consistency(self.old, self.new, old_root, new_root, self.hashes)


def prove_inclusion(connection: Connection, seq: int) -> Inclusion:
    """Proof against the last checkpoint. NotFoundError if there is no such entry, or none covers it yet."""
    row = read_entry(connection, seq)
    if row is None:
        raise NotFoundError(f"the register has no entry {seq}")
    check_said(row)
    note, size = _last_note(connection)
    if seq > size:
        raise NotFoundError(
            f"entry {seq} is not covered by a checkpoint yet", mend="One is signed every minute: ask again"
        )
    hashes = _with_nodes(connection, lambda node: inclusion_proof(seq - 1, size, node))
    return Inclusion(seq=seq, body=row.body, size=size, hashes=tuple(hashes), checkpoint=note)


def prove_consistency(connection: Connection, old: int, new: int) -> Consistency:
    """Proof between two sizes; InvalidInputError unless 0 < old <= new <= the register's size."""
    if not 0 < old <= new <= read_head(connection).size:
        raise InvalidInputError(f"no register of {old} entries grew into one of {new} here")
    hashes = _with_nodes(connection, lambda node: consistency_proof(old, new, node))
    return Consistency(old=old, new=new, hashes=tuple(hashes))


def export(connection: Connection, first: int, last: int) -> Iterator[str]:
    """The lines of an export of the entries ``first`` to ``last``, as far as a checkpoint covers them."""
    note, size = _last_note(connection)
    last = min(last, size)
    if not 1 <= first <= last:
        raise NotFoundError(
            f"no entry from {first} on is covered by a checkpoint", mend="One is signed every minute"
        )
    if first <= (gone := pruned_upto(connection)):
        raise NotFoundError(
            f"what the entries up to {gone} said was removed by retention", mend="Begin after them"
        )
    yield _line(
        {
            "format": FORMAT,
            "first": first,
            "last": last,
            "size": size,
            "before": _hashes(connection, cover(0, first - 1)),
            "after": _hashes(connection, cover(last, size)),
            "checkpoint": note,
        }
    )
    for rows in read_entries(connection, first - 1, last):
        for row in rows:
            yield _line({"seq": row.seq, "entry": row.body.decode()})


def check_said(row: EntryRow) -> None:
    """NotFoundError if what the entry said is no longer kept."""
    if row.pruned:
        raise NotFoundError(
            f"what entry {row.seq} said was removed by retention; its hash stands",
            mend="An export that was taken before has it, and can be checked",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An export that holds: these entries, whole and unaltered, of a register of ``size`` entries."""

    first: int
    last: int
    size: int
    origin: str


def check_export(lines: Iterable[str], verifier: Verifier) -> Exported:
    """Check an export offline; InvalidInputError says what does not hold. The file is not trusted."""
    source = iter(lines)
    head = _object(next(source, ""), 1)
    if head.get("format") != FORMAT:
        raise InvalidInputError("line 1: this is not an export of a register")
    first, last, size = (_number(head, name) for name in ("first", "last", "size"))
    if not 1 <= first <= last <= size:
        raise InvalidInputError("line 1: the span does not lie in the register")
    checkpoint = verifier.open(str(head.get("checkpoint", "")))
    if checkpoint.size != size:
        raise InvalidInputError("line 1: the checkpoint is over another number of entries")
    tree = Frontier()
    _join(tree, head, "before", cover(0, first - 1))
    number = 1
    for number, line in enumerate(source, 2):
        seq = first + number - 2
        body = _object(line, number)
        if body.get("seq") != seq or seq > last:
            raise InvalidInputError(f"line {number}: entry {seq} should stand here")
        text = body.get("entry")
        if not isinstance(text, str):
            raise InvalidInputError(f"line {number}: has no entry")
        tree.append(leaf_hash(text.encode(errors="surrogatepass")))
    if tree.size != last:
        raise InvalidInputError(f"line {number + 1}: entry {tree.size + 1} is missing")
    _join(tree, head, "after", cover(last, size))
    if tree.root() != checkpoint.root:
        raise InvalidInputError("the entries are not those that the checkpoint was signed over: altered")
    return Exported(first=first, last=last, size=size, origin=checkpoint.origin)


def _join(tree: Frontier, head: dict[str, Any], name: str, places: list[tuple[int, int]]) -> None:
    hashes = head.get(name)
    if not isinstance(hashes, list) or len(hashes) != len(places):
        raise InvalidInputError(f"line 1: {name!r} should have {len(places)} hashes")
    for (level, _), encoded in zip(places, hashes, strict=True):
        try:
            node = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError, TypeError):
            node = b""
        if len(node) != HASH_BYTES:
            raise InvalidInputError(f"line 1: {name!r} holds something that is no hash")
        tree.append(node, level)


def _object(line: str, number: int) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise InvalidInputError(f"line {number}: is too long")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInputError(f"line {number}: is not a JSON object")
    return found


def _number(head: dict[str, Any], name: str) -> int:
    value = head.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise InvalidInputError(f"line 1: {name!r} is not a number")
    return value


def _last_note(connection: Connection) -> tuple[str, int]:
    row = last_checkpoint(connection)
    stated = claimed(row.note) if row else None
    if row is None or stated is None:
        raise NotFoundError("the register has no checkpoint yet", mend="One is signed every minute")
    return row.note, stated[0]


def _with_nodes(connection: Connection, make: Callable[[NodeAt], list[bytes]]) -> list[bytes]:
    """A proof, its nodes read at once: which ones it needs does not depend on what is in them."""
    wanted: list[tuple[int, int]] = []

    def note(level: int, at: int) -> bytes:
        wanted.append((level, at))
        return b""

    make(note)
    found = read_nodes_at(connection, wanted)
    return make(lambda level, at: found[level, at])


def _hashes(connection: Connection, places: list[tuple[int, int]]) -> list[str]:
    found = read_nodes_at(connection, places)
    return [_b64(found[place]) for place in places]


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
