"""The Merkle tree of RFC 6962 (section 2.1) and its proofs (RFC 9162, sections 2.1.3 and 2.1.4).

Pure. The tree is never held whole: growing it needs only the roots of its complete subtrees (at most one a
level), and a proof asks for at most ``log2`` nodes through a function. A node is addressed by ``(level,
index)``: level 0 are the leaves, and node ``(l, i)`` covers the leaves ``[i * 2**l, (i + 1) * 2**l)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()

NodeAt = Callable[[int, int], bytes]
"""``(level, index)`` -> hash of that complete node."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The growing edge of a tree: its size and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    @classmethod
    def at(cls, size: int, node: NodeAt) -> Frontier:
        """The edge of a tree of ``size`` leaves that is stored elsewhere."""
        return cls(size, [node(level, index) for level, index in cover(0, size)])

    def copy(self) -> Frontier:
        return Frontier(self.size, self.peaks.copy())

    def append(self, node: bytes, level: int = 0) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash, or that of a complete subtree that fits here; ValueError if it does not.

        Returns the nodes that it completes in turn: (level, index, hash).
        """
        if self.size & ((1 << level) - 1):
            raise ValueError(f"a subtree of level {level} cannot begin at leaf {self.size}")
        made = []
        index = self.size >> level
        self.size += 1 << level
        while index & 1:
            node = node_hash(self.peaks.pop(), node)
            level, index = level + 1, index >> 1
            made.append((level, index, node))
        self.peaks.append(node)
        return made

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def cover(start: int, end: int) -> list[tuple[int, int]]:
    """Addresses of the fewest complete subtrees that cover the leaves ``[start, end)``, in order."""
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append((level, start >> level))
        start += 1 << level
    return found


def inclusion_proof(index: int, size: int, node: NodeAt) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root at ``size``."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return _path(index, 0, size, node)


def consistency_proof(old: int, new: int, node: NodeAt) -> list[bytes]:
    """The hashes that show the tree at ``old`` to be a beginning of the tree at ``new``."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    return _subproof(old, 0, new, True, node)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2. Every tree continues the empty one."""
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new or not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _path(index: int, start: int, end: int, node: NodeAt) -> list[bytes]:
    """PATH(index, D[start:end]) with ``index`` counted from the first leaf of the whole tree."""
    if end - start == 1:
        return []
    split = start + _split(end - start)
    if index < split:
        return [*_path(index, start, split, node), _range_root(split, end, node)]
    return [*_path(index, split, end, node), _range_root(start, split, node)]


def _subproof(old: int, start: int, end: int, whole: bool, node: NodeAt) -> list[bytes]:
    """SUBPROOF(old - start, D[start:end], whole)."""
    if old == end:
        return [] if whole else [_range_root(start, end, node)]
    split = start + _split(end - start)
    if old <= split:
        return [*_subproof(old, start, split, whole, node), _range_root(split, end, node)]
    return [*_subproof(old, split, end, False, node), _range_root(start, split, node)]


def _range_root(start: int, end: int, node: NodeAt) -> bytes:
    """Root over the leaves ``[start, end)``; ``start`` is a multiple of a power of two >= the length."""
    length = end - start
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return node(level, start >> level)
    split = start + _split(length)
    return node_hash(_range_root(start, split, node), _range_root(split, end, node))


def _split(length: int) -> int:
    """The largest power of two smaller than ``length`` (> 1)."""
    return 1 << ((length - 1).bit_length() - 1)
