"""The Merkle tree against RFC 6962's own example, known answers, a naive tree, and random trees."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.access.register.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    cover,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)


def root_of(leaves: list[bytes]) -> bytes:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [  # the known answers of Certificate Transparency's reference implementation for these inputs
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


class Tree:
    """A tree with its nodes in memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.nodes = {(0, at): leaf for at, leaf in enumerate(leaves)}
        edge = Frontier()
        for leaf in leaves:
            for level, at, node in edge.append(leaf):
                self.nodes[level, at] = node

    def node(self, level: int, at: int) -> bytes:
        return self.nodes[level, at]


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % at) for at in range(count)]


def test_known_answers() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    hashes = [leaf_hash(item) for item in INPUTS]
    for count, root in enumerate(ROOTS, 1):
        assert root_of(hashes[:count]).hex() == root


def test_the_example_of_rfc_6962() -> None:
    """Section 2.1.3: the proofs in a tree of seven leaves."""
    a, b, c, d, e, f, j = leaves = leaves_of(7)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741  (the names of the RFC)
    tree = Tree(leaves)
    assert inclusion_proof(0, 7, tree.node) == [b, h, l]
    assert inclusion_proof(3, 7, tree.node) == [c, g, l]
    assert inclusion_proof(4, 7, tree.node) == [f, j, k]
    assert inclusion_proof(6, 7, tree.node) == [i, k]
    assert consistency_proof(3, 7, tree.node) == [c, d, g, l]
    assert consistency_proof(4, 7, tree.node) == [l]
    assert consistency_proof(6, 7, tree.node) == [i, j, k]


@given(st.integers(0, 200))
def test_roots_are_those_of_the_definition(count: int) -> None:
    assert root_of(leaves_of(count)) == mth(leaves_of(count))


@given(st.data())
def test_every_leaf_is_provable_and_no_other(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root = root_of(leaves)
    proof = inclusion_proof(index, size, Tree(leaves).node)
    assert len(proof) <= (size - 1).bit_length()
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    other = data.draw(st.integers(-1, size + 1).filter(lambda at: at != index))
    assert not verify_inclusion(leaves[index], other, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
        at = data.draw(st.integers(0, len(proof) - 1))
        bent = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert not verify_inclusion(leaves[index], index, size, bent, root)


@given(st.data())
def test_a_tree_that_grew_is_told_from_one_that_was_rewritten(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 130))
    old = data.draw(st.integers(1, new))
    leaves = leaves_of(new)
    old_root, new_root = root_of(leaves[:old]), root_of(leaves)
    proof = consistency_proof(old, new, Tree(leaves).node)
    assert verify_consistency(old, new, old_root, new_root, proof)
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*leaves[:changed], leaf_hash(b"other"), *leaves[changed + 1 :]]
    false_root = root_of(rewritten)
    false_proof = consistency_proof(old, new, Tree(rewritten).node)
    assert not verify_consistency(old, new, old_root, false_root, false_proof)
    assert not verify_consistency(old, new, old_root, false_root, proof)
    if old != new:
        assert not verify_consistency(old, new, old_root, new_root, proof[:-1])
        assert not verify_consistency(old, new, old_root, new_root, [*proof, new_root])
        assert not verify_consistency(new, old, new_root, old_root, proof)


def test_every_tree_continues_the_empty_one() -> None:
    assert verify_consistency(0, 3, EMPTY_ROOT, root_of(leaves_of(3)), [])
    assert not verify_consistency(0, 3, bytes(32), root_of(leaves_of(3)), [])


@given(st.data())
def test_a_span_is_covered_once_by_complete_subtrees(data: st.DataObject) -> None:
    """What an export rests on: before + entries + after come to the same root."""
    size = data.draw(st.integers(1, 200))
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    leaves = leaves_of(size)
    tree = Tree(leaves)
    joined = Frontier()
    for level, at in cover(0, start):
        joined.append(tree.node(level, at), level)
    for leaf in leaves[start:end]:
        joined.append(leaf)
    for level, at in cover(end, size):
        joined.append(tree.node(level, at), level)
    assert (joined.size, joined.root()) == (size, root_of(leaves))
    assert len(cover(start, end)) <= 2 * max(1, (end - start).bit_length())


def test_a_subtree_that_does_not_fit_is_refused() -> None:
    tree = Frontier()
    tree.append(leaf_hash(b""))
    with pytest.raises(ValueError, match="level 1 cannot begin at leaf 1"):
        tree.append(bytes(32), 1)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_proof_for_a_leaf_outside(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(index, size, Tree(leaves_of(3)).node)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (3, 2)])
def test_no_consistency_proof_backwards(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(old, new, Tree(leaves_of(3)).node)
