"""``sharpeyes retain``: move old intervals to the archive, as the service does once a day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def retain(
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Move them, or only say what would go.")
    ] = False,
    keep_days: Annotated[int, typer.Option(min=31, help="Days that stay in the database.")] = 400,
    folder: Annotated[
        Path | None, typer.Option(help="The archive.  [default: archive in the data directory]")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The city's configuration.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database lives.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Move intervals older than 400 days to Parquet files; figures of days stay. It may be interrupted."""
    from zoneinfo import ZoneInfo

    from sharpeyes.config import Settings, load
    from sharpeyes.net.own_clock import wall_clock
    from sharpeyes.rates import retention
    from sharpeyes.store.database import Database

    settings = Settings.read(config=config, data_dir=data_dir)
    zone, now = ZoneInfo(load(settings.config).site.timezone), wall_clock()
    target = folder or settings.data_dir / retention.FOLDER
    with Database(settings.database) as database:
        database.upgrade()
        if apply:
            moved = retention.retain(database, target, zone, now, keep_days=keep_days)
        else:
            moved = database.read(lambda c: retention.due(c, zone, now, keep_days))
    rows = sum(item.rows for item in moved)
    if as_json:
        files = [{"file": str(target / item.file), "rows": item.rows} for item in moved]
        typer.echo(json.dumps({"applied": apply, "rows": rows, "files": files}))
        return
    for item in moved:
        typer.echo(f"{target / item.file}  {item.rows} intervals")
    typer.echo(f"{rows} intervals {'went' if apply else 'would go'} to {target}")
