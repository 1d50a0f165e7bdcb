"""One error tree. Whoever catches a :class:`SharpEyesError` may show it to a user as it stands.

The kind is stable and machine-readable (API ``type``, logs, metrics); the message says what is wrong and
names the field; the mend says what to do about it. None of them ever holds a secret.
"""

from __future__ import annotations


class SharpEyesError(Exception):
    """Anything that this product refuses or fails at, with its reason and its mend."""

    kind = "internal"

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}. {self.mend}" if self.mend else self.message


class InvalidInputError(SharpEyesError):
    """What was given is not of the right form; the message names the field."""

    kind = "invalid"


class ConfigError(InvalidInputError):
    """A configuration file says something impossible.

    ``str()`` gives ``file:line: message. mend``, a form that editors and CI systems turn into a link.
    """

    kind = "config"

    def __init__(self, message: str, *, file: str, line: int, mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {super().__str__()}"


class NotFoundError(SharpEyesError):
    """The thing named does not exist, or not for this asker."""

    kind = "not_found"


class ConflictError(SharpEyesError):
    """The thing exists already, or is not in a state that allows this."""

    kind = "conflict"


class UnauthenticatedError(SharpEyesError):
    """Nobody said who they are, or the proof does not hold."""

    kind = "unauthenticated"


class ForbiddenError(SharpEyesError):
    """Known, but not allowed."""

    kind = "forbidden"


class UnavailableError(SharpEyesError):
    """Not now: overloaded, starting, stopping, or a limit is reached."""

    kind = "unavailable"


class LimitError(SharpEyesError):
    """One more than is allowed at a time; the message says of what."""

    kind = "limited"


class NotAcceptableError(SharpEyesError):
    """What there is cannot be given in a form that the asker takes."""

    kind = "not_acceptable"
