"""What a peer sent is not of the right form: where, and in which part of the grammar."""

from __future__ import annotations

from sharpeyes.domain.errors import InvalidInputError


class WireSyntaxError(InvalidInputError):
    """Bytes that no reading makes sense of.

    ``offset`` counts the bytes that came before the fault in the stream, message or packet that was parsed,
    which is enough to find it in a packet capture; ``path`` names the rule, outermost first:
    ``response > header > content-length``.
    """

    kind = "malformed"

    def __init__(self, message: str, *, offset: int, path: str) -> None:
        super().__init__(f"{path}: {message} at byte {offset}")
        self.offset = offset
        self.path = path
