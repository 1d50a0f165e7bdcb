"""``sharpeyes keys``: the key that passwords of cameras and second factors are kept under."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(name="keys", no_args_is_help=True, help="The key that stored secrets are sealed with.")


@keys.command()
def rotate(
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Remove older keys: backups from before cannot be opened any more."),
    ] = False,
    config: Annotated[Path | None, typer.Option(help="The city's configuration.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database and the keys live.")] = None,
) -> None:
    """Make a new key and seal every stored secret with it. The service must be stopped.

    It may be interrupted at any moment: the file keeps the older keys until nothing needs them, and a
    second call ends what the first one began.
    """
    from sharpeyes.app import sole_user
    from sharpeyes.config import Settings
    from sharpeyes.store.database import Database
    from sharpeyes.store.rotation import rotate as rotate_keys

    settings = Settings.read(config=config, data_dir=data_dir)
    with sole_user(settings.data_dir), Database(settings.database) as database:
        database.upgrade()
        done = rotate_keys(database, settings.key_file, drop_old=drop_old)
    typer.echo(f"{done.resealed} secrets sealed with the new key {done.key}")
    if done.lost:
        typer.echo(f"{len(done.lost)} open with no key and stay as they are: {', '.join(done.lost[:20])}")
    if done.older:
        typer.echo(f"{done.older} older keys stay in {settings.key_file}; --drop-old removes them")
