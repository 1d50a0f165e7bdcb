"""``sharpeyes user``: accounts, by whoever may use the machine itself: the first administrator, a lost
password. What is done here stands in the register as done by the host."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sharpeyes.access.people import People
    from sharpeyes.domain.credentials import Secret
    from sharpeyes.store.database import Database
    from sharpeyes.store.people import Account

T = TypeVar("T")

user = typer.Typer(name="user", no_args_is_help=True, help="Accounts of people: the first one is made here.")

Username = Annotated[str, typer.Argument(help="The name to log in with.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the database and the key files live.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the password, `-` for stdin.  [default: ask for it]"),
]


@user.command()
def add(
    username: Username,
    role: Annotated[
        list[str],
        typer.Option(help="operator, requester, approver, auditor, maintainer or admin; can be repeated."),
    ],
    department: Annotated[str, typer.Option(help="Id of the department that the person works for.")],
    name: Annotated[str | None, typer.Option(help="The person's name.  [default: the user name]")] = None,
    password_file: PasswordFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make an account. The service may run meanwhile; it must have been started once."""
    from sharpeyes.domain.access import Role
    from sharpeyes.domain.errors import InvalidInputError

    roles = []
    for one in role:
        if one not in tuple(Role):
            raise InvalidInputError(f"--role: {one[:40]!r} is no role", mend=f"Known: {', '.join(Role)}")
        roles.append(Role(one))
    password = _password(password_file)
    made = _run(
        data_dir,
        lambda people: people.add(
            None,
            username=username,
            name=name or username,
            department=department,
            roles=roles,
            password=password,
        ),
    )
    typer.echo(f"{username} ({made.id}) of {department}: {', '.join(sorted(made.roles))}")


@user.command()
def password(username: Username, password_file: PasswordFile = None, data_dir: DataDir = None) -> None:
    """Set another password. Every session of the account ends."""
    given = _password(password_file)
    account = _account(username, data_dir)
    _run(data_dir, lambda people: people.set_password(None, account.subject.id, given))
    typer.echo(f"{account.username} has another password")


@user.command()
def disable(username: Username, data_dir: DataDir = None) -> None:
    """Disable an account: its sessions end, its pictures stop."""
    account = _account(username, data_dir)
    _run(data_dir, lambda people: people.set_enabled(None, account.subject.id, False))
    typer.echo(f"{account.username} is disabled")


@user.command()
def enable(username: Username, data_dir: DataDir = None) -> None:
    """Enable an account again."""
    account = _account(username, data_dir)
    _run(data_dir, lambda people: people.set_enabled(None, account.subject.id, True))
    typer.echo(f"{account.username} is enabled")


@user.command()
def confirm(username: Username, data_dir: DataDir = None) -> None:
    """Say that an account is that of another person than of the administrator who gave it its password."""
    account = _account(username, data_dir)
    _run(data_dir, lambda people: people.confirm(None, account.subject.id))
    typer.echo(f"{account.username} is confirmed")


@user.command(name="list")
def list_all(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """All accounts."""
    from sharpeyes.store.people import list_accounts

    with _database(data_dir) as database:
        found = database.read(list_accounts)
    rows = [
        {
            "id": account.subject.id,
            "username": account.username,
            "name": account.subject.name,
            "department": account.subject.department,
            "roles": sorted(account.subject.roles),
            "enabled": account.subject.enabled,
            "code": account.totp is not None,
        }
        for account in found
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for account in found:
        subject = account.subject
        state = "" if subject.enabled else "  (disabled)"
        typer.echo(f"{account.username}  {subject.department}  {', '.join(sorted(subject.roles))}{state}")


def _account(username: str, data_dir: Path | None) -> Account:
    from sharpeyes.domain.errors import NotFoundError
    from sharpeyes.store.people import find_account

    with _database(data_dir) as database:
        account = database.read(lambda connection: find_account(connection, username))
    if account is None:
        raise NotFoundError(f"there is no user {username!r}", mend="`sharpeyes user list` names them")
    return account


def _run(data_dir: Path | None, act: Callable[[People], Awaitable[T]]) -> T:
    """One act of the host, with its entry in the register. A running service signs and files the checkpoint;
    if none runs, this signs it, and the next start files it."""
    from sharpeyes.access.changes import Changes
    from sharpeyes.access.people import People
    from sharpeyes.access.register.writer import KEY_FILE, ORIGIN, Register, signer_at
    from sharpeyes.config.settings import Settings
    from sharpeyes.domain.time import Ms
    from sharpeyes.store.vault import Vault

    def clock() -> Ms:
        import time

        return Ms(time.time_ns() // 1_000_000)

    async def main() -> T:
        settings = Settings.read(data_dir=data_dir)
        with _database(data_dir) as database:
            signer, verifiers = signer_at(settings.data_dir / KEY_FILE, ORIGIN)
            async with Register(database, signer, clock, verifiers=verifiers) as register:
                return await act(People(database, register, Vault.at(settings.key_file), Changes(), clock))

    return asyncio.run(main())


def _database(data_dir: Path | None) -> Database:
    """The database of the settings, which a start of the service has made."""
    from sharpeyes.config.settings import Settings
    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.store.database import Database

    settings = Settings.read(data_dir=data_dir)
    if settings.database_url is None and not (settings.data_dir / "sharpeyes.db").exists():
        raise InvalidInputError(
            f"there is no database in {settings.data_dir}",
            mend="Start the service once, or name the folder with --data-dir",
        )
    return Database(settings.database)


def _password(file: Path | None) -> Secret:
    from sharpeyes.domain.credentials import Secret
    from sharpeyes.domain.errors import InvalidInputError

    if file is None:
        if not sys.stdin.isatty():
            raise InvalidInputError("--password-file is missing", mend="Give a file, or `-` for stdin")
        return Secret(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        text = sys.stdin.readline(4096) if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError(f"--password-file: {file} cannot be read as text") from None
    return Secret(text.split("\n", 1)[0].rstrip("\r"))
