"""What ``cameras.yaml`` and the console say together about tiers, departments, areas and who is told.

The file is read at each start; the console may speak at any time. So that neither undoes the other:

1. What the file declares holds, as long as nobody changes it in the console.
2. A *field* that was changed in the console holds as it was changed, whatever the file says of it later; its
   other fields follow the file. Beside it stands what the file says, and one step leads back to the file.
3. What was *made* in the console is the console's: no start of the service takes it away. If the file
   declares the same id one day, the console's word goes on, and the clash is told (journal, console) until
   somebody goes back to the file or takes the id out of it.
4. What only the file declares can only be removed in the file. What the file no longer declares goes, unless
   cameras still belong to it: then it stays, and the console may change or remove it.

An entry is worked out from both each time (:func:`entries`, pure); the tables of departments, areas and tiers
hold what came of it. Changes are told to the journal with what was before, and refused if somebody else
changed the entry since the asker read it (:attr:`SettingsEntry.version`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import Connection

from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.events import Event, record
from sharpeyes.store.settings import Kind, Said, drop_said, put_said

Fields: TypeAlias = Mapping[str, Any]
"""An entry's fields as JSON has them."""

LONGEST_REASON = 500
SHOWN = 80
"""Characters of a value in a line of the journal."""


class Source(StrEnum):
    """Whose word an entry is."""

    FILE = "file"
    """``cameras.yaml`` declares it, and it holds as it stands there."""
    CHANGED = "changed"
    """The file declares it, and the console changed some of its fields."""
    CONSOLE = "console"
    """Made in the console."""
    CLASH = "clash"
    """Made in the console, and declared by the file as well: the console's word holds."""
    LEFT = "left"
    """The file declares it no longer; it is there because cameras still belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsEntry:
    """One tier, department, area, recipient: what holds, and whose word that is."""

    kind: Kind
    id: str
    values: Fields
    """What holds."""
    declared: Fields | None
    """What the file says; None if it does not declare it."""
    said: Said | None
    """What the console says; None if it says nothing."""

    @property
    def source(self) -> Source:
        if self.said is None:
            return Source.LEFT if self.declared is None else Source.FILE
        if self.said.made:
            return Source.CONSOLE if self.declared is None else Source.CLASH
        return Source.CHANGED

    @property
    def changed(self) -> tuple[str, ...]:
        """The fields that are other than the file says."""
        if self.declared is None:
            return ()
        return tuple(name for name, value in self.values.items() if self.declared.get(name) != value)

    @property
    def version(self) -> str:
        """Changes with everything that somebody who looks at the entry sees of it."""
        told = [self.said.version if self.said else 0, self.values, self.declared]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def entries(
    kind: Kind,
    names: Iterable[str],
    declared: Mapping[str, Fields],
    said: Mapping[str, Said],
    left: Mapping[str, Fields] | None = None,
) -> dict[str, SettingsEntry]:
    """Every entry of a kind, by id, the file's first. ``names``: of the fields; ``left``: what is in service
    whoever declared it. Pure."""
    wanted = tuple(names)
    found = {}
    for key, fields in declared.items():
        own = said.get(key)
        values = {name: fields.get(name) for name in wanted}
        if own is not None:
            values |= {name: value for name, value in own.values.items() if name in values}
        found[key] = SettingsEntry(kind=kind, id=key, values=values, declared=fields, said=own)
    for key, own in said.items():
        if own.made and key not in declared:
            values = {name: own.values.get(name) for name in wanted}
            found[key] = SettingsEntry(kind=kind, id=key, values=values, declared=None, said=own)
    for key, fields in (left or {}).items():
        if key not in found:
            values = {name: fields.get(name) for name in wanted}
            found[key] = SettingsEntry(kind=kind, id=key, values=values, declared=None, said=None)
    return found


# --- changing -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """Who says something, when and why."""

    by: str
    """For records: the id of a user, or of a token behind ``token:``."""
    at: Ms
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > LONGEST_REASON:
            raise InvalidInputError(f"reason: longer than {LONGEST_REASON} characters", mend="Be brief")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of a change."""

    kind: Kind
    id: str
    what: str
    """added, changed, reverted or removed."""
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Field -> before and after."""


def check_version(entry: SettingsEntry, version: str) -> None:
    """ConflictError if the entry is not as whoever asks has seen it."""
    if entry.version == version:
        return
    since = f" by {entry.said.by}" if entry.said is not None else ""
    raise ConflictError(
        f"{entry.kind} {entry.id}: was changed{since} since you read it",
        mend="Look at what it says now, and change that",
    )


def add(
    connection: Connection,
    known: Mapping[str, SettingsEntry],
    kind: Kind,
    key: str,
    values: Fields,
    saying: Saying,
    *,
    sealed: bytes | None = None,
) -> Changed:
    """An entry that is the console's own. ConflictError if there is one of this id."""
    if (there := known.get(key)) is not None and there.source is not Source.LEFT:
        raise ConflictError(
            f"id: there is a {kind} {key} already", mend="Choose another id, or change the one that there is"
        )
    said = Said(
        kind=kind,
        id=key,
        values=values,
        made=True,
        version=1,
        by=saying.by,
        at=saying.at,
        reason=saying.reason,
        sealed=sealed,
    )
    put_said(connection, said)
    changed = Changed(
        kind=kind, id=key, what="added", fields={n: (None, v) for n, v in values.items() if v is not None}
    )
    note(connection, changed, saying)
    return changed


def change(
    connection: Connection,
    entry: SettingsEntry,
    values: Fields,
    saying: Saying,
    *,
    version: str,
    sealed: bytes | None = None,
    secrets: bool = False,
) -> Changed:
    """Have the entry say these values from now on. Of what the file declares, only the fields are kept that
    differ; if none does, the file has the word again. ``secrets``: ``sealed`` is another than before."""
    check_version(entry, version)
    own = entry.said
    made = entry.declared is None or (own is not None and own.made)
    kept = {
        name: value
        for name, value in values.items()
        if made or entry.declared is None or entry.declared.get(name) != value
    }
    fields = {
        name: (entry.values.get(name), value)
        for name, value in values.items()
        if entry.values.get(name) != value
    }
    if not fields and not secrets:
        return Changed(kind=entry.kind, id=entry.id, what="changed")
    if kept or made:
        said = Said(
            kind=entry.kind,
            id=entry.id,
            values=kept,
            made=made,
            version=1 + (own.version if own else 0),
            by=saying.by,
            at=saying.at,
            reason=saying.reason,
            sealed=sealed if secrets or own is None else own.sealed,
        )
        put_said(connection, said)
    else:
        drop_said(connection, entry.kind, entry.id)
    if secrets:
        fields["secret"] = ("***", "***")
    changed = Changed(kind=entry.kind, id=entry.id, what="changed", fields=fields)
    note(connection, changed, saying)
    return changed


def revert(connection: Connection, entry: SettingsEntry, saying: Saying, *, version: str) -> Changed:
    """Have the file's word again. ConflictError if the file does not declare it."""
    check_version(entry, version)
    if entry.declared is None:
        raise ConflictError(
            f"{entry.kind} {entry.id} is not declared in cameras.yaml", mend="Change or remove it here"
        )
    drop_said(connection, entry.kind, entry.id)
    fields = {
        name: (value, entry.declared.get(name))
        for name, value in entry.values.items()
        if entry.declared.get(name) != value
    }
    changed = Changed(kind=entry.kind, id=entry.id, what="reverted", fields=fields)
    note(connection, changed, saying)
    return changed


def remove(
    connection: Connection, entry: SettingsEntry, saying: Saying, *, version: str, used_by: Iterable[str]
) -> Changed:
    """Take an entry of the console out of service. ConflictError if the file declares it or something uses
    it; ``used_by`` says what, in words."""
    check_version(entry, version)
    if entry.declared is not None:
        raise ConflictError(
            f"{entry.kind} {entry.id} is declared in cameras.yaml",
            mend="Remove it there; the next start of the service takes it out",
        )
    if users := list(used_by):
        raise ConflictError(
            f"{entry.kind} {entry.id} is in use: {', '.join(users)}", mend="Move these elsewhere first"
        )
    drop_said(connection, entry.kind, entry.id)
    changed = Changed(
        kind=entry.kind,
        id=entry.id,
        what="removed",
        fields={name: (value, None) for name, value in entry.values.items() if value is not None},
    )
    note(connection, changed, saying)
    return changed


def find(known: Mapping[str, SettingsEntry], kind: Kind, key: str) -> SettingsEntry:
    """NotFoundError if there is none."""
    if (found := known.get(key)) is None:
        raise NotFoundError(f"there is no {kind} {key}", mend="Look at the list; it may have been removed")
    return found


def note(connection: Connection, changed: Changed, saying: Saying) -> None:
    """A line of the journal: who, what, from and to, and why."""
    told = {name: [shown(before), shown(after)] for name, (before, after) in changed.fields.items()}
    course = "; ".join(
        f"{name}: {after}" if changed.what == "added" else f"{name}: {before} → {after}"
        for name, (before, after) in told.items()
        if changed.what != "removed"
    )
    why = f" ({saying.reason})" if saying.reason else ""
    message = f"{changed.what} by {saying.by}{why}" + (f": {course}" if course else "")
    detail = {"by": saying.by, "reason": saying.reason, "changed": told}
    kind = f"{changed.kind}_{changed.what}"
    record(connection, [Event(at=saying.at, kind=kind, subject=changed.id, message=message, detail=detail)])


def shown(value: Any) -> str:
    """A value for a record, cut to length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
