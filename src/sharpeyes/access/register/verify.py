"""Reads the whole register back and says what does not hold, with the number of the entry.

What was done to it      How it shows
-----------------------  ---------------------------------------------------------------------------------
an entry changed         its bytes do not match its leaf hash, or its columns do not match its bytes
its hashes changed too   the chain does not lead from the entry before to it, or from it to the next
an entry deleted         a number is missing
an entry inserted        the chain breaks there (with new numbers after it: at the first of them)
everything re-chained    the root is not the one that a checkpoint was signed over
the tail cut off         a checkpoint, in the database or in the file outside it, covers more entries
a checkpoint forged      its signature does not hold
an entry emptied         no removal that the register announced and its key signed covers it

What nothing can show is a cut of entries that no checkpoint covers yet: at most a minute's, or 1,000.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection

from sharpeyes.access.register.chain import next_link
from sharpeyes.access.register.entry import Kind, decode
from sharpeyes.access.register.note import NoteError, Removal, Verifier, split
from sharpeyes.access.register.tree import Frontier, leaf_hash
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.store.access_schema import PRUNED
from sharpeyes.store.register import (
    GENESIS,
    EntryRow,
    PruningRow,
    reach_of_nodes,
    read_checkpoints,
    read_entries,
    read_entry,
    read_head,
    read_nodes,
    read_prunings,
)

MOST_FINDINGS = 100
"""Beyond these, more would not say more; the count of entries checked still is of all."""

MOST_TREE_FINDINGS = 5


SIGNATURES = 500
"""Checked before it is said how far the pass is."""


class Part(StrEnum):
    """What a pass is at."""

    CHECKPOINTS = "checkpoints"
    ENTRIES = "entries"


class Wrong(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    MISSING = "missing"
    CHAIN = "chain"
    TREE = "tree"
    REWRITTEN = "rewritten"
    CUT = "cut"
    CHECKPOINT = "checkpoint"
    EMPTIED = "emptied"
    """By somebody, not by retention."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold."""

    wrong: Wrong
    entry: int | None
    """The number of the (first) entry concerned, None where it is about a checkpoint alone."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was checked, and what was found."""

    entries: int
    checkpoints: int
    """Checkpoints whose signature holds, counted once a size."""
    covered: int
    """Entries up to the last checkpoint that fits: what is proven, not just consistent in itself."""
    root: bytes
    pruned: int
    """Entries whose words retention removed; their hashes are checked like all others."""
    pruned_upto: int
    """The last entry whose removal was announced; 0: none."""
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


@dataclass(slots=True)
class _Signed:
    """What somebody signed: the root over ``size`` entries, and where it is written."""

    root: bytes
    where: str


@dataclass(slots=True)
class _Check:
    """The state of one pass."""

    signed: dict[int, list[_Signed]]
    removal: Removal | None = None
    """The last one that was announced and signed."""
    announced: int = 0
    """The entry that says so."""
    pruned: int = 0
    emptied_from: int | None = None
    """Beginning of the run of entries that somebody emptied, and that the pass is in."""
    tree: Frontier = field(default_factory=Frontier)
    link: bytes | None = GENESIS
    """None: not known, since the entry before is missing."""
    seq: int = 0
    gap: bool = False
    covered: int = 0
    rewritten: bool = False
    tree_findings: int = 0
    findings: list[Finding] = field(default_factory=list)

    def find(self, wrong: Wrong, entry: int | None, message: str) -> None:
        if len(self.findings) < MOST_FINDINGS or wrong in (Wrong.CUT, Wrong.REWRITTEN):
            self.findings.append(Finding(wrong, entry, message))


def verify(
    connection: Connection,
    verifiers: Sequence[Verifier],
    checkpoint_file: str | None = None,
    told: Callable[[Part, int, int], None] = lambda _part, _done, _of: None,
) -> Verdict:
    """Check every entry, node and checkpoint on one snapshot. ``checkpoint_file``: the text of the file that
    is kept outside the database; without it a register that was replaced whole, key and all, passes.
    ``told`` hears how far it is, of how many, now and then; what it raises ends the pass."""
    check = _Check(defaultdict(list))
    _collect_checkpoints(check, connection, verifiers, checkpoint_file, told)
    _find_removal(check, connection, verifiers)
    size, _ = read_head(connection)
    told(Part.ENTRIES, 0, size)
    for rows in read_entries(connection):
        nodes: list[tuple[int, int, bytes]] = []
        for row in rows:
            nodes += _check_row(check, row)
            _check_signed(check)
        if not check.gap:
            _check_nodes(check, connection, nodes)
        told(Part.ENTRIES, min(check.tree.size, size), size)
    _check_end(check, connection)
    return Verdict(
        entries=check.tree.size,
        checkpoints=len(check.signed),
        covered=check.covered,
        root=check.tree.root(),
        pruned=check.pruned,
        pruned_upto=check.removal.upto if check.removal else 0,
        findings=tuple(check.findings),
    )


def _collect_checkpoints(
    check: _Check,
    connection: Connection,
    verifiers: Sequence[Verifier],
    checkpoint_file: str | None,
    told: Callable[[Part, int, int], None],
) -> None:
    notes: list[tuple[str, str, int | None]] = [
        (f"checkpoint {row.size} in the database", row.note, row.size) for row in read_checkpoints(connection)
    ]
    if checkpoint_file is not None:
        notes += [
            (f"checkpoint no. {number} in the file", note, None)
            for number, note in enumerate(split(checkpoint_file), 1)
        ]
    for done, (where, note, size) in enumerate(notes):
        if done % SIGNATURES == 0:
            told(Part.CHECKPOINTS, done, len(notes))
        failure = "no key to check it with is known"
        for verifier in verifiers:
            try:
                checkpoint = verifier.open(note)
            except NoteError as error:
                failure = error.message
                continue
            if size is not None and size != checkpoint.size:
                check.find(Wrong.CHECKPOINT, None, f"{where} is stored under another size than it states")
            check.signed[checkpoint.size].append(_Signed(checkpoint.root, where))
            break
        else:
            check.find(Wrong.CHECKPOINT, None, f"{where}: {failure}")
    for size, all_signed in check.signed.items():
        if len({signed.root for signed in all_signed}) > 1:
            places = " and ".join(sorted({signed.where for signed in all_signed}))
            check.find(
                Wrong.CHECKPOINT, None, f"two different registers of {size} entries were signed: {places}"
            )


def _find_removal(check: _Check, connection: Connection, verifiers: Sequence[Verifier]) -> None:
    """The newest removal that holds. Those before it may have lost their words to it."""
    for row in read_prunings(connection):
        entry = read_entry(connection, row.seq)
        removal = _removal(row, entry, verifiers) if entry else None
        if removal is not None:
            check.removal, check.announced = removal, row.seq
            return
        check.find(
            Wrong.EMPTIED,
            row.seq,
            f"entry {row.seq} does not announce, or the register's key did not sign, the removal of the "
            f"entries up to {row.upto} that the database speaks of",
        )


def _removal(row: PruningRow, entry: EntryRow, verifiers: Sequence[Verifier]) -> Removal | None:
    try:
        said = decode(entry.body)
    except InvalidInputError:
        return None
    if said.kind is not Kind.RETENTION or leaf_hash(entry.body) != entry.leaf:
        return None
    for verifier in verifiers:
        try:
            removal = verifier.open_removal(str(said.details.get("statement")))
        except NoteError:
            continue
        if (removal.upto, removal.before) == (row.upto, row.before_ms):
            return removal
    return None


def _check_emptied(check: _Check, row: EntryRow) -> None:
    """An entry that says nothing any more: whether it may."""
    if check.removal and row.seq <= check.removal.upto:
        check.pruned += 1
        if (row.at_ms, row.kind, row.user_id, row.camera_id) != (0, PRUNED, None, None):
            check.find(Wrong.CHANGED, row.seq, f"entry {row.seq} was changed after its words were removed")
    elif check.emptied_from is None:
        check.emptied_from = row.seq


def _end_emptied(check: _Check, last: int) -> None:
    """Tell of the run of entries that were emptied up to ``last``, if there was one: once, however long."""
    if check.emptied_from is not None:
        check.find(
            Wrong.EMPTIED,
            check.emptied_from,
            f"entries {check.emptied_from} to {last} were emptied, and no removal that this register's key "
            "signed covers them",
        )
        check.emptied_from = None


def _check_row(check: _Check, row: EntryRow) -> list[tuple[int, int, bytes]]:
    """Check one entry against itself and the one before it; returns the nodes that it completes."""
    due = check.seq + 1
    if row.seq != due:
        last = row.seq - 1
        what = f"entry {due} is" if last == due else f"entries {due} to {last} are"
        check.find(Wrong.MISSING, due, f"{what} missing: deleted")
        check.link, check.gap = None, True
    if not row.pruned:
        _end_emptied(check, check.seq)
    check.seq = row.seq
    if row.pruned:
        _check_emptied(check, row)
    elif leaf_hash(row.body) != row.leaf:
        check.find(
            Wrong.CHANGED, row.seq, f"entry {row.seq} was changed: its content does not match its hash"
        )
    elif different := _columns_that_differ(row):
        check.find(
            Wrong.CHANGED, row.seq, f"entry {row.seq} was changed: its {different} is not what was registered"
        )
    if check.link is not None and next_link(check.link, row.leaf) != row.link:
        check.find(
            Wrong.CHAIN,
            row.seq,
            f"entry {row.seq} does not follow the entry before it: "
            "it was put there, moved, or changed together with its hash",
        )
    check.link = row.link
    return check.tree.append(row.leaf)


def _columns_that_differ(row: EntryRow) -> str:
    try:
        entry = decode(row.body)
    except InvalidInputError:
        return "form"
    columns = (
        ("time", row.at_ms, entry.at),
        ("kind", row.kind, entry.kind),
        ("user", row.user_id, entry.user),
        ("camera", row.camera_id, entry.camera),
    )
    return next((name for name, column, said in columns if column != said), "")


def _check_signed(check: _Check) -> None:
    """Compare the root here with what was signed over this many entries."""
    removal = check.removal
    if removal and removal.upto == check.seq and not check.gap and removal.root != check.tree.root():
        check.find(
            Wrong.REWRITTEN,
            1,
            f"entries 1 to {check.seq} are not those whose removal was signed: their hashes were rewritten",
        )
    all_signed = check.signed.get(check.seq)
    if not all_signed or check.gap or check.rewritten:
        return
    root = check.tree.root()
    for signed in all_signed:
        if signed.root != root:
            check.rewritten = True  # and so are all later roots: once is enough
            check.find(
                Wrong.REWRITTEN,
                check.covered + 1,
                f"entries {check.covered + 1} to {check.seq} are not those that {signed.where} was signed "
                f"over: one or more of them were rewritten",
            )
            return
    check.covered = check.seq


def _check_nodes(check: _Check, connection: Connection, nodes: list[tuple[int, int, bytes]]) -> None:
    """Compare stored nodes with those computed. The lowest wrong one says closest where; those above it are
    wrong in consequence, and after an insertion all later ones are, so a few are enough."""
    by_level: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for level, position, node in nodes:
        by_level[level].append((position, node))
    wrong: set[int] = set()
    for level in sorted(by_level):
        computed = by_level[level]
        stored = read_nodes(connection, level, computed[0][0], computed[-1][0] + 1)
        wrong_here = {position for position, node in computed if stored.get(position) != node}
        for position in sorted(wrong_here):
            if not wrong & {2 * position, 2 * position + 1} and check.tree_findings < MOST_TREE_FINDINGS:
                check.tree_findings += 1
                first, last = (position << level) + 1, (position + 1) << level
                check.find(
                    Wrong.TREE,
                    first,
                    f"the tree does not fit entries {first} to {last}: one of them, or the tree, was changed",
                )
        wrong = wrong_here


def _check_end(check: _Check, connection: Connection) -> None:
    _end_emptied(check, check.seq)
    if check.pruned and check.announced > check.covered and not check.rewritten:
        check.find(
            Wrong.CHECKPOINT,
            check.announced,
            f"no checkpoint that holds covers entry {check.announced}, which announces the removal of others",
        )
    longest = max(check.signed, default=0)
    if longest > check.seq:
        where = check.signed[longest][0].where
        check.find(
            Wrong.CUT,
            check.seq + 1,
            f"the end is cut off: {where} was signed over {longest} entries, and the last one here is "
            f"{check.seq}: entries {check.seq + 1} to {longest} are gone",
        )
    elif (reach := reach_of_nodes(connection)) > check.seq:
        check.find(
            Wrong.CUT,
            check.seq + 1,
            f"the end is cut off: the tree speaks of {reach} entries, and the last one here is {check.seq}",
        )
