"""The register's proofs, as the API gives them, checked by what RFC 6962 and C2SP signed-note say and by none
of the product's code for it: an auditor who writes a checker of their own comes to the same."""

from __future__ import annotations

import base64
import contextlib
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api_client import Client, client_of
from api_people import Staff, staff_of
from sharpeyes.access import entries
from sharpeyes.access.register.note import Signer
from sharpeyes.api.app import create_api
from sharpeyes.app import context_of

# --- RFC 6962, section 2.1 ------------------------------------------------------------------------------


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """Merkle Tree Hash of these leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(mth(leaves[:k]), mth(leaves[k:]))


def root_by_path(m: int, n: int, at: bytes, path: list[bytes]) -> bytes:
    """2.1.1: PATH(m, D[n]) read backwards, from the leaf hash to the root; ``m`` counts from 0."""
    if n == 1:
        assert path == []
        return at
    k = split(n)
    if m < k:
        return node(root_by_path(m, k, at, path[:-1]), path[-1])
    return node(path[-1], root_by_path(m - k, n - k, at, path[:-1]))


def proves(m: int, n: int, at: bytes, path: list[bytes], root: bytes) -> bool:
    """Whether the path shows this leaf at place ``m``; one for another place may be too short or too long."""
    try:
        return 0 <= m < n and root_by_path(m, n, at, path) == root
    except (AssertionError, IndexError):
        return False


def roots_by_proof(m: int, n: int, old: bytes, proof: list[bytes], whole: bool = True) -> tuple[bytes, bytes]:
    """2.1.2: SUBPROOF(m, D[n], b) read backwards: the roots of the old and of the new tree."""
    if m == n:
        if whole:
            assert proof == []
            return old, old
        (only,) = proof
        return only, only
    k = split(n)
    if m <= k:
        left, grown = roots_by_proof(m, k, old, proof[:-1], whole)
        return left, node(grown, proof[-1])
    left, grown = roots_by_proof(m - k, n - k, old, proof[:-1], False)
    return node(proof[-1], left), node(proof[-1], grown)


# --- C2SP signed-note and tlog-checkpoint ---------------------------------------------------------------


def opened(note: str, vkey: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that this key signed."""
    name, number, key = vkey.split("+", 2)
    raw = base64.b64decode(key)
    assert raw[:1] == b"\x01"
    assert sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == number
    text, _, signatures = note.partition("\n\n")
    dash, origin, signature = signatures.strip().split(" ")
    signed = base64.b64decode(signature)
    assert (dash, origin, signed[:4].hex()) == ("\u2014", name, number)
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signed[4:], (text + "\n").encode())
    said, size, root = text.split("\n")
    assert said == name
    return int(size), base64.b64decode(root)


# --- through the API ------------------------------------------------------------------------------------


async def grow(client: Client, count: int) -> None:
    register = client.service.access.register  # type: ignore[union-attr]
    for number in range(count):
        await register.append(entries.policy_changed(client.service.clock(), None, "test", number=number))


async def checkpoint(staff: Staff) -> tuple[int, bytes, str]:
    shape = (await staff["wu"].get("/api/v1/register/checkpoint")).json()
    return *opened(shape["note"], shape["keys"][0]), shape["keys"][0]


async def leaves_by_proof(staff: Staff, size: int, root: bytes, key: str) -> list[bytes]:
    """The leaf hash of every entry, each proven against the root that was signed."""
    found = []
    for seq in range(1, size + 1):
        said = (await staff["wu"].get(f"/api/v1/register/entries/{seq}/proof")).json()
        assert (said["seq"], said["size"]) == (seq, size)
        assert opened(said["checkpoint"], key) == (size, root)
        path = [base64.b64decode(item) for item in said["hashes"]]
        found.append(leaf(said["entry"].encode()))
        assert root_by_path(seq - 1, size, found[-1], path) == root, seq
        assert root_by_path(seq - 1, size, leaf(said["entry"].encode() + b" "), path) != root
        assert not [other for other in (seq - 2, seq) if proves(other, size, found[-1], path, root)], seq
    return found


async def consistent(staff: Staff, old: int, new: int, old_root: bytes, new_root: bytes) -> None:
    answer = await staff["wu"].get("/api/v1/register/consistency", params={"old": old, "new": new})
    hashes = [base64.b64decode(item) for item in answer.json()["hashes"]]
    assert roots_by_proof(old, new, old_root, hashes) == (old_root, new_root), (old, new)
    if old != new:
        false = sha256(old_root).digest()
        assert roots_by_proof(old, new, false, hashes) != (false, new_root), (old, new)


async def test_every_proof_holds_by_the_words_of_the_rfc(tmp_path: Path) -> None:
    """At three sizes of the tree, a full one among them; consistency between all of the sizes on the way."""
    signed: list[tuple[int, bytes]] = []
    leaves: list[bytes] = []
    async with client_of(tmp_path) as client, staff_of(client, ["wu"]):
        await grow(client, 1)
    for more in (5, 32, 21):  # the register is signed when the service stops
        async with client_of(tmp_path) as client:
            staff = await again(client)
            try:
                size, root, key = await checkpoint(staff)
                grown = await leaves_by_proof(staff, size, root, key)
                assert grown[: len(leaves)] == leaves
                leaves = grown
                for old, old_root in signed:
                    await consistent(staff, old, size, old_root, root)
                signed.append((size, root))
                target = 1 << (size + more).bit_length() - 1  # the next run finds a full tree, or near it
                await grow(client, max(more, target - size - 1))
                for new in range(1, size + 1, 3):
                    for old in range(1, new + 1):
                        await consistent(staff, old, new, mth(leaves[:old]), mth(leaves[:new]))
            finally:
                await staff.stack.aclose()
    assert len({size for size, _ in signed}) == 3


async def again(client: Client) -> Staff:
    """The auditor of the town, logged in once more."""
    transport = httpx.ASGITransport(create_api(context_of(client.service)), client=("192.0.2.1", 4711))
    staff = Staff(client, transport, contextlib.AsyncExitStack())
    staff.browsers["wu"] = browser = await staff.browser()
    assert (await browser.log_in("wu")).status_code == 201
    return staff


def test_a_note_that_another_key_signed_is_not_opened() -> None:
    """The checker itself is no rubber stamp."""
    first, second = Signer("city/register", bytes(32)), Signer("city/register", bytes(31) + b"\x01")
    note = first.sign(3, leaf(b"x"))
    assert opened(note, first.verifier.vkey) == (3, leaf(b"x"))
    with pytest.raises((AssertionError, InvalidSignature)):
        opened(note, second.verifier.vkey)
    with pytest.raises(InvalidSignature):
        opened(note.replace("\n3\n", "\n4\n"), first.verifier.vkey)
