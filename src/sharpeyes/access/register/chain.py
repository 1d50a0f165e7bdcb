"""The hash chain over the entries, and the tree that grows beside it.

``link(n) = SHA-256(0x02 || link(n-1) || leaf(n))``, where ``leaf(n)`` is the leaf hash of RFC 6962 over the
entry's bytes and ``link(0)`` is 32 zero bytes. The chain says at which row something was altered; the tree
gives short proofs and what is signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from sharpeyes.access.register.entry import Entry
from sharpeyes.access.register.tree import Frontier, leaf_hash
from sharpeyes.store.register import GENESIS, EntryRow


@dataclass(slots=True)
class Chain:
    """The growing end of a register."""

    tree: Frontier = field(default_factory=Frontier)
    link: bytes = GENESIS

    @property
    def size(self) -> int:
        return self.tree.size

    def copy(self) -> Chain:
        return Chain(self.tree.copy(), self.link)


def next_link(link: bytes, leaf: bytes) -> bytes:
    return sha256(b"\x02" + link + leaf).digest()


def rows_of(
    chain: Chain, entries: Iterable[tuple[Entry, bytes]]
) -> tuple[list[EntryRow], list[tuple[int, int, bytes]]]:
    """The rows and inner nodes that append these entries (with their bytes) to ``chain``, which grows."""
    rows, nodes = [], []
    for entry, body in entries:
        leaf = leaf_hash(body)
        chain.link = next_link(chain.link, leaf)
        nodes += chain.tree.append(leaf)
        rows.append(
            EntryRow(chain.size, entry.at, str(entry.kind), entry.user, entry.camera, leaf, chain.link, body)
        )
    return rows, nodes
