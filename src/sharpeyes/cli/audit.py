"""``sharpeyes audit``: check the register, take proofs and copies of it, publish its figures.

``verify`` and ``check`` change nothing and need no secret: give them the public key (``--key``, which
``audit key`` prints) and a copy of the checkpoint file that was kept elsewhere, and they need not trust the
machine that they look at.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sharpeyes.access.register.figures import Figures
    from sharpeyes.access.register.note import Verifier
    from sharpeyes.domain.time import Ms, Span
    from sharpeyes.store.database import Database

audit = typer.Typer(
    name="audit", no_args_is_help=True, help="Check the register of every access, take proofs and copies."
)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the database and the register's key live.")
]
Key = Annotated[
    str | None, typer.Option("--key", help="Public key of the register; default: from the key file.")
]
Origin = Annotated[str | None, typer.Option("--origin", help="The register's name, if the site gave it one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@audit.command()
def verify(
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint file, best a copy kept elsewhere; default: that in the data directory, and the "
            "copy that SHARPEYES_REGISTER_COPY names."
        ),
    ] = None,
    key: Key = None,
    data_dir: DataDir = None,
    origin: Origin = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry, the tree over them and every checkpoint. Exit 0: whole; 1: something is wrong."""
    from sharpeyes.access.register.verify import verify as check
    from sharpeyes.access.register.writer import CHECKPOINT_FILE
    from sharpeyes.config.settings import Settings

    folder = _folder(data_dir)
    verifiers = _verifiers(key, folder, origin)
    copy = Settings.read(data_dir=data_dir).register_copy
    files = [checkpoints] if checkpoints else [folder / CHECKPOINT_FILE, *([copy] if copy else [])]
    texts = [_text(file) for file in files if file in (checkpoints, copy) or file.exists()]
    text = "".join(texts).strip() and "".join(texts)  # one that was emptied compares nothing either
    with _database(data_dir) as database:
        verdict = database.read(lambda connection: check(connection, verifiers, text or None))
    if as_json:
        _print(
            {
                "ok": verdict.ok,
                "entries": verdict.entries,
                "covered": verdict.covered,
                "checkpoints": verdict.checkpoints,
                "checkpoint_file": bool(text),
                "root": verdict.root.hex(),
                "pruned": verdict.pruned,
                "pruned_upto": verdict.pruned_upto,
                "findings": [
                    {"wrong": item.wrong, "entry": item.entry, "message": item.message}
                    for item in verdict.findings
                ],
            }
        )
    else:
        for item in verdict.findings:
            typer.echo(item.message)
        if verdict.pruned_upto:
            typer.echo(
                f"{verdict.pruned} entries pruned by retention until entry {verdict.pruned_upto}, "
                "their hashes stand"
            )
        state = "whole" if verdict.ok else "NOT whole"
        typer.echo(
            f"The register is {state}: {verdict.entries} entries, {verdict.covered} of them covered by "
            f"{verdict.checkpoints} checkpoints that hold"
        )
        if not text:
            typer.echo(
                "No checkpoint file was compared: a database that was replaced whole would pass", err=True
            )
        elif checkpoints is None and copy is None:
            typer.echo(
                "Only the checkpoints beside the database were compared: a data directory that was put back "
                "whole would pass. Keep a copy elsewhere (SHARPEYES_REGISTER_COPY)",
                err=True,
            )
    raise typer.Exit(0 if verdict.ok else 1)


@audit.command()
def export(
    start: Annotated[str, typer.Option("--from", help="First instant, e.g. 2026-10-01T00:00+08:00.")],
    end: Annotated[str, typer.Option("--to", help="First instant no longer wanted.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON lines); `-` for standard output.")],
    data_dir: DataDir = None,
) -> None:
    """Copy a span of the register with a proof that nothing in it was changed or left out. The copy itself
    is registered first."""
    from sharpeyes.access import entries
    from sharpeyes.access.register.proof import export as lines_of
    from sharpeyes.access.register.writer import append_now
    from sharpeyes.domain.errors import NotFoundError
    from sharpeyes.store.register import find_span

    since, until = _instant(start, "--from"), _instant(end, "--to")
    with _database(data_dir) as database:
        first, last = database.read(lambda connection: find_span(connection, since, until))
        if not first:
            raise NotFoundError("the register has no entry in this span")
        append_now(database, [entries.exported(_now(), None, first=first, last=last)])
        reached = database.read(lambda connection: _write(out, lines_of(connection, first, last)))
    typer.echo(f"Entries {first} to {reached}; check with `sharpeyes audit check`", err=True)
    if reached < last:
        typer.echo(f"Entries {reached + 1} to {last} are not covered by a checkpoint yet", err=True)


@audit.command()
def check(
    file: Annotated[Path, typer.Argument(help="An export.")],
    key: Key = None,
    data_dir: DataDir = None,
    origin: Origin = None,
    as_json: AsJson = False,
) -> None:
    """Check an export; no database is needed. Exit 0: it is whole and unaltered; 1: it is not."""
    from sharpeyes.access.register.proof import check_export
    from sharpeyes.domain.errors import InvalidInputError

    verifiers = _verifiers(key, _folder(data_dir), origin)
    failure = None
    for verifier in verifiers:
        try:
            with _opened(file) as lines:
                checked = check_export(lines, verifier)
        except InvalidInputError as error:
            failure = failure or error
            continue
        found = {"ok": True, "first": checked.first, "last": checked.last, "size": checked.size}
        if as_json:
            _print({**found, "origin": checked.origin, "error": None})
        else:
            typer.echo(f"Entries {checked.first} to {checked.last} of {checked.origin}: whole and unaltered")
        return
    assert failure is not None
    if as_json:
        _print({"ok": False, "error": failure.message})
    else:
        typer.echo(failure.message)
    raise typer.Exit(1)


@audit.command()
def prove(
    number: Annotated[int, typer.Argument(min=1, help="Number of the entry.")], data_dir: DataDir = None
) -> None:
    """Print one entry with the proof that the register holds it, as JSON."""
    from sharpeyes.access.register.proof import prove_inclusion

    with _database(data_dir) as database:
        proof = database.read(lambda connection: prove_inclusion(connection, number))
    _print(proof.as_json())


@audit.command()
def prune(
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Remove them, or only say what would go.")
    ] = False,
    keep_days: Annotated[
        int | None, typer.Option(min=184, help="Days that are kept.  [default: as the service keeps them]")
    ] = None,
    data_dir: DataDir = None,
    origin: Origin = None,
    as_json: AsJson = False,
) -> None:
    """Remove what entries older than three years say, as the service does once a day. Their hashes stay, so
    that everything else can still be proven. It may be interrupted, and the service may run meanwhile."""
    import asyncio

    from sharpeyes.access.register import retention
    from sharpeyes.access.register.writer import KEY_FILE, ORIGIN, signer_at
    from sharpeyes.config.settings import Settings
    from sharpeyes.domain.errors import InvalidInputError

    folder = _folder(data_dir)
    days = keep_days or Settings.read(data_dir=data_dir).register_keep_days
    now = _now()
    with _database(data_dir) as database:
        found = database.read(lambda connection: retention.due(connection, now, days))
        if apply and found.count:
            if not (folder / KEY_FILE).exists():
                raise InvalidInputError(
                    f"there is no key of a register in {folder}", mend="A removal is signed: run it there"
                )
            signer = signer_at(folder / KEY_FILE, origin or ORIGIN)[0]
            asyncio.run(retention.prune(database, signer, now, days))
    if as_json:
        _print({"applied": apply, "entries": found.count, "upto": found.upto})
        return
    typer.echo(f"{found.count} entries {'were' if apply else 'would be'} pruned, until entry {found.upto}")


@audit.command()
def key(data_dir: DataDir = None, origin: Origin = None) -> None:
    """Print the public key of the register: publish it, and keep a copy where this machine cannot write."""
    for verifier in _verifiers(None, _folder(data_dir), origin):
        typer.echo(verifier.vkey)


@audit.command()
def figures(
    month: Annotated[str, typer.Argument(help="Month, e.g. 2026-10.")],
    zone: Annotated[str, typer.Option(help="Time zone that the month is reckoned in.")] = "UTC",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Transparency figures of a month: requests, grants, views, overrides, refusals; no persons."""
    from sharpeyes.access.register.entry import decode
    from sharpeyes.access.register.figures import count
    from sharpeyes.store.register import find_span, read_entries

    span = _month(month, zone)
    with _database(data_dir) as database:

        def read(connection: Connection) -> dict[tuple[str, str], Figures]:
            first, last = find_span(connection, span.start, span.end)
            chunks = read_entries(connection, first - 1, last) if first else ()
            return count((decode(row.body) for rows in chunks for row in rows), span)

        found = database.read(read)
    table = [
        {"department": department, "purpose": purpose, **item.as_json()}
        for (department, purpose), item in sorted(found.items())
    ]
    if as_json:
        _print({"month": month, "zone": zone, "figures": table})
        return
    for row in table:
        counts = ", ".join(
            f"{name} {value}" for name, value in row.items() if isinstance(value, int) and value
        )
        typer.echo(f"{row['department'] or '-'}, {row['purpose'] or '-'}: {counts or 'nothing'}")


def _folder(data_dir: Path | None) -> Path:
    from sharpeyes.config.settings import Settings

    return Settings.read(data_dir=data_dir).data_dir


@contextmanager
def _database(data_dir: Path | None) -> Iterator[Database]:
    """The database of the settings, which must be there already and have the register's tables."""
    from sqlalchemy.exc import DBAPIError

    from sharpeyes.config.settings import Settings
    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.store.database import Database

    settings = Settings.read(data_dir=data_dir)
    if settings.database_url is None and not (settings.data_dir / "sharpeyes.db").exists():
        raise InvalidInputError(
            f"there is no database in {settings.data_dir}", mend="Name its folder with --data-dir"
        )
    with Database(settings.database) as database:
        try:
            yield database
        except DBAPIError as error:
            raise InvalidInputError(
                f"the register cannot be read: {error.orig}", mend="Check that this is SharpEyes' database"
            ) from None


def _verifiers(key: str | None, folder: Path, origin: str | None) -> tuple[Verifier, ...]:
    from sharpeyes.access.register.note import Verifier
    from sharpeyes.access.register.writer import KEY_FILE, ORIGIN, signer_at
    from sharpeyes.domain.errors import InvalidInputError

    if key is not None:
        return (Verifier.parse(key),)
    if not (folder / KEY_FILE).exists():
        raise InvalidInputError(
            f"there is no key of a register in {folder}", mend="Give its public key with --key"
        )
    return signer_at(folder / KEY_FILE, origin or ORIGIN)[1]


def _write(out: Path, lines: Iterator[str]) -> int:
    """Write an export line by line; returns the number of its last entry."""
    from sharpeyes.domain.errors import InvalidInputError

    head = next(lines)
    try:
        with nullcontext(sys.stdout) if str(out) == "-" else out.open("w", encoding="utf-8") as file:
            file.write(head)
            file.writelines(lines)
    except OSError as error:
        raise InvalidInputError(f"{out} cannot be written: {error.strerror}") from None
    last: int = json.loads(head)["last"]
    return last


def _text(path: Path) -> str:
    with _opened(path) as file:
        return "".join(file)


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[str]]:
    from sharpeyes.domain.errors import InvalidInputError

    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            yield iter(lambda: file.readline(1 << 20), "")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None


def _instant(text: str, name: str) -> Ms:
    from datetime import datetime

    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.domain.time import from_datetime

    try:
        return from_datetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"{name}: {text!r} is no time with its zone", mend="Write for example 2026-10-01T00:00+08:00"
        ) from None


def _month(text: str, zone: str) -> Span:
    from datetime import datetime
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.domain.time import Span, from_datetime

    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
        after = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return Span(from_datetime(start), from_datetime(after))
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        raise InvalidInputError(
            f"{text!r} in {zone!r} is no month", mend="Write for example 2026-10 --zone Asia/Shanghai"
        ) from None


def _now() -> Ms:
    import time

    from sharpeyes.domain.time import Ms

    return Ms(time.time_ns() // 1_000_000)


def _print(document: object) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
