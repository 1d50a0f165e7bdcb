"""``--username U --password-file F``: an account on cameras, as every command takes it."""

from __future__ import annotations

import sys
from pathlib import Path

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError

MAX_PASSWORD = 4096


def account(username: str | None, password_file: str | None) -> Credentials | None:
    """The account, its password the first line of the file (``-`` for standard input); None without both.

    InvalidInputError if one of the two is missing, or the file is not to be read as a password.
    """
    if username is None and password_file is None:
        return None
    if username is None:
        raise InvalidInputError("--password-file is given without --username", mend="Name the account, too")
    if password_file is None:
        raise InvalidInputError(
            "--username is given without --password-file", mend="Put the password into a file, or - for stdin"
        )
    mend = "Give a readable file with the password on its first line"
    try:
        if Path(password_file) == Path("-"):
            line = sys.stdin.buffer.readline(MAX_PASSWORD + 1)
        else:
            with Path(password_file).open("rb") as file:
                line = file.readline(MAX_PASSWORD + 1)
        password = line.decode("utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"--password-file: {password_file} cannot be read: {error.strerror}", mend=mend
        ) from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"--password-file: {password_file} is not UTF-8 text", mend=mend) from None
    if len(line) > MAX_PASSWORD:
        raise InvalidInputError(
            f"--password-file: {password_file} holds more than {MAX_PASSWORD} bytes", mend=mend
        )
    return Credentials(username, Secret(password.rstrip("\r\n")))
