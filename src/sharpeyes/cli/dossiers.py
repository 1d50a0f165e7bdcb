"""``sharpeyes import`` and ``sharpeyes export``: dossier files into the registry and out of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sharpeyes.registry.import_map import ImportMap
    from sharpeyes.registry.imports import Plan

SHOWN = 50
"""Rows with something wrong that are written out."""


def import_dossiers(
    file: Annotated[Path, typer.Argument(help="CSV (UTF-8, GB18030) or XLSX.")],
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="YAML or JSON: how files of this source are read."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out rows that are rejected.")] = False,
    config: Annotated[Path | None, typer.Option(help="The city's configuration.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database lives.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Import dossiers (一机一档): all rows or none. Exit code 1 if rows are rejected.

    A running service sees the new cameras once it is told: use the console or the API then, or restart it.
    """
    import asyncio

    from sharpeyes.config import Settings
    from sharpeyes.net.own_clock import wall_clock
    from sharpeyes.registry import imports, staged
    from sharpeyes.registry.imports import Outcome
    from sharpeyes.registry.sheet import read_table
    from sharpeyes.store.database import Database

    how = _map(map_file)
    table = read_table(_read(file), encoding=how.encoding, sheet=how.sheet)
    settings = Settings.read(config=config, data_dir=data_dir)
    with Database(settings.database) as database:
        database.upgrade()
        plan = database.read(lambda c: imports.plan(table, how, imports.snapshot(c), now=wall_clock()))
        rejected = plan.counts[Outcome.REJECTED]
        apply = not dry_run and (partial or not rejected)
        if apply:
            plan = asyncio.run(
                staged.take(
                    database,
                    table,
                    how,
                    digest=plan.digest,
                    partial=partial,
                    source=file.name,
                    by="command line",
                    clock=wall_clock,
                )
            )
    if as_json:
        typer.echo(json.dumps(_document(plan, applied=apply), ensure_ascii=False))
    else:
        _tell(file, plan, applied=apply, partial=partial)
    if rejected:
        raise typer.Exit(1)


def export_dossiers(
    out: Annotated[Path, typer.Argument(help="File to write: .csv or .xlsx.")],
    encoding: Annotated[str, typer.Option(help="Of a CSV: utf-8 or gb18030.")] = "utf-8",
    placing: Annotated[
        bool, typer.Option("--placing", help="Also id, tier, department, area, zone, streams, tags.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="The city's configuration.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database lives.")] = None,
) -> None:
    """Write the dossiers of all cameras in service: the 27 columns, filing and sign."""
    import os

    from sharpeyes.config import Settings
    from sharpeyes.domain.errors import InvalidInputError, UnavailableError
    from sharpeyes.registry.dossiers import sheets
    from sharpeyes.registry.export import export
    from sharpeyes.registry.sheet import FORMATS
    from sharpeyes.store.database import Database

    form = out.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InvalidInputError(f"out: {out.name} is neither .csv nor .xlsx", mend="Choose one of them")
    if encoding not in ("utf-8", "gb18030"):
        raise InvalidInputError(f"--encoding: {encoding[:20]!r} is not known", mend="utf-8 or gb18030")
    settings = Settings.read(config=config, data_dir=data_dir)
    with Database(settings.database) as database:
        database.upgrade()
        found = database.read(sheets)
    try:
        # Telephones and addresses are in it: for its owner only.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(export(found, form, encoding=encoding, placing=placing))
    except OSError as error:
        raise UnavailableError(f"out: {out} cannot be written: {error.strerror}") from None
    sys.stderr.write(f"{len(found)} cameras written to {out}\n")


def _map(path: Path | None) -> ImportMap:
    import yaml

    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.registry.import_map import ImportMap

    if path is None:
        return ImportMap()
    try:
        document: Any = yaml.safe_load(_read(path, 1024 * 1024))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mend = str(error).split("\n")[0]
        raise InvalidInputError(f"--map: {path} is not YAML or JSON", mend=mend) from None
    return ImportMap.of(document)


def _read(path: Path, most: int | None = None) -> bytes:
    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.registry.sheet import MAX_BYTES

    try:
        with path.open("rb") as file:
            data = file.read((most or MAX_BYTES) + 1)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}", mend="Check the path") from None
    if len(data) > (most or MAX_BYTES):
        raise InvalidInputError(f"{path} is larger than {(most or MAX_BYTES) >> 20} MiB", mend="Split it")
    return data


def _document(plan: Plan, *, applied: bool) -> dict[str, Any]:
    return {
        "applied": applied,
        "digest": plan.digest,
        "counts": {outcome.value: number for outcome, number in plan.counts.items()},
        "columns": dict(plan.columns),
        "ignored": list(plan.ignored),
        "encoding": plan.encoding,
        "rows": [
            {
                "row": row.number,
                "outcome": row.outcome.value,
                "camera": row.camera,
                "name": row.name,
                "changes": {one.field: [one.before, one.after] for one in row.changes},
                "problems": [
                    {
                        "column": one.column or one.field,
                        "value": one.value,
                        "message": one.message,
                        "mend": one.mend,
                        "fatal": one.fatal,
                    }
                    for one in row.problems
                ],
            }
            for row in plan.rows
        ],
    }


def _tell(file: Path, plan: Plan, *, applied: bool, partial: bool) -> None:
    from sharpeyes.registry.imports import Outcome

    told = 0
    for row in plan.rows:
        for one in row.problems:
            if told < SHOWN and (one.fatal or row.outcome is Outcome.REJECTED):
                value = f" {one.value!r}" if one.value else ""
                where = f" {one.column or one.field}{value}" if one.column or one.field else ""
                sys.stderr.write(f"{file}:{row.number}:{where}: {one.message}. {one.mend}\n")
                told += 1
    warned = sum(any(not one.fatal for one in row.problems) for row in plan.rows)
    counts = ", ".join(f"{number} {outcome}" for outcome, number in plan.counts.items())
    typer.echo(f"{file}: {counts}; {warned} rows with warnings (--json shows them)")
    if plan.ignored:
        typer.echo(f"  columns passed over: {', '.join(plan.ignored)}")
    if not applied:
        refused = plan.counts[Outcome.REJECTED] and not partial
        mend = ": mend the rejected rows, or add --partial" if refused else ""
        typer.echo(f"  nothing was changed{mend}")
