"""What comes from outside into access: notes, keys, exports, entries, tickets, tokens. Typed errors only."""

import contextlib
import json

from hypothesis import example, given
from hypothesis import strategies as st

from sharpeyes.access import totp
from sharpeyes.access.register.entry import decode, encode
from sharpeyes.access.register.note import Checkpoint, NoteError, Signer, Verifier, claimed, split
from sharpeyes.access.register.proof import FORMAT, check_export
from sharpeyes.access.register.tree import Frontier, leaf_hash, verify_consistency, verify_inclusion
from sharpeyes.access.throttle import network_of
from sharpeyes.access.tickets import TicketGate, TicketOffice
from sharpeyes.domain.access import Action, Reason, Refused
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms

SIGNER = Signer("city.example/register", bytes(32))
TREE = Frontier()
for number in range(5):
    TREE.append(leaf_hash(b"%d" % number))
NOTE = SIGNER.sign(5, TREE.root())
OFFICE = TicketOffice(bytes(32))
TICKET = OFFICE.issue(
    user="u", department="d", camera="c", action=Action.LIVE, grant=None, client="x", now=Ms(1000)
)[1].reveal()

text = st.text(st.characters(codec="utf-8")) | st.text(
    st.sampled_from("— \n+=AB01\u2014city.example/register")
)
document = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def bent(whole: str) -> st.SearchStrategy[str]:
    """A text with one piece of it replaced, doubled or taken away."""
    places = st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)), text)
    return places.map(lambda at: whole[: min(at[:2])] + at[2] + whole[max(at[:2]) :])


@given(text | bent(NOTE))
@example("")
@example("\n\n")
@example("x\n\n— ")
def test_notes(note: str) -> None:
    with contextlib.suppress(NoteError):
        assert SIGNER.verifier.open(note) == Checkpoint("city.example/register", 5, TREE.root())
    claimed(note)
    assert sum(map(len, split(note))) <= len(note) + 2 * note.count("\n") + 2


@given(text | bent(SIGNER.verifier.vkey))
def test_keys(vkey: str) -> None:
    with contextlib.suppress(NoteError):
        assert Verifier.parse(vkey) == SIGNER.verifier


@given(st.binary() | document.map(lambda value: json.dumps(value).encode()))
def test_entries(body: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        assert encode(decode(body)) == body


head = st.fixed_dictionaries(
    {},
    optional={
        "format": st.just(FORMAT),
        "first": st.integers(-1, 6) | document,
        "last": st.integers(-1, 6) | document,
        "size": st.just(5) | st.integers() | document,
        "before": st.lists(st.just("A" * 43 + "=") | document, max_size=3) | document,
        "after": st.lists(st.just("A" * 43 + "=") | document, max_size=3) | document,
        "checkpoint": st.just(NOTE) | document,
    },
)
line = st.fixed_dictionaries(
    {}, optional={"seq": st.integers(0, 6) | document, "entry": st.just("1") | document}
)


@given(st.lists(head | line | document, max_size=5).map(lambda rows: [json.dumps(row) for row in rows]))
def test_exports(lines: list[str]) -> None:
    try:
        check_export(lines, SIGNER.verifier)
    except InvalidInputError:
        return
    raise AssertionError("an export made up out of nothing was believed")


@given(st.integers(-3, 9), st.integers(-3, 9), st.lists(st.binary(max_size=40), max_size=6), st.binary())
def test_proofs_made_up_out_of_nothing(first: int, second: int, proof: list[bytes], junk: bytes) -> None:
    assert not verify_inclusion(leaf_hash(junk), first, second, proof, TREE.root())
    assert not verify_consistency(first, second, leaf_hash(junk), TREE.root(), proof)


@given(text | bent(TICKET))
def test_tickets(ticket: str) -> None:
    answer = TicketGate(OFFICE.public, Ms(1000)).redeem(ticket, "x", Ms(1001))
    if ticket != TICKET:
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.TICKET_INVALID


@given(text, text)
def test_codes_and_addresses(code: str, address: str) -> None:
    assert totp.accept(Secret("GEZDGNBVGY3TQOJQ"), code, Ms(10**12), 10**12) is None
    assert len(network_of(address)) <= 64
