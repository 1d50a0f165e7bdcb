"""``--tls-ca FILE``, ``--tls-fingerprint HEX``: whom to believe that it is the camera."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpeyes.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from sharpeyes.net.tls import TlsPolicy

CaOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Accept only certificates that the authorities in this file signed, or those in it.",
    ),
]
AnyHostOption = Annotated[
    bool, typer.Option("--tls-any-host", help="With --tls-ca: they need not name the host.")
]
FingerprintOption = Annotated[
    str | None,
    typer.Option(
        metavar="HEX", help="Accept only this certificate: its SHA-256. Without either, any will do."
    ),
]


def trusted(urls: Sequence[str], ca: Path | None, any_host: bool, fingerprint: str | None) -> TlsPolicy:
    """What is asked of the certificates of the cameras at ``urls``.

    InvalidInputError if the file holds none, the fingerprint is none, both are given, or a URL has no TLS.
    """
    from sharpeyes.net.tls import TlsPolicy, read_authorities, read_fingerprint

    if any_host and ca is None:
        raise InvalidInputError("--tls-any-host goes with --tls-ca", mend="Name the file of the authority")
    if ca is None and fingerprint is None:
        return TlsPolicy()
    if ca is not None and fingerprint is not None:
        raise InvalidInputError("--tls-ca and --tls-fingerprint exclude each other", mend="Give one of them")
    option = "--tls-fingerprint" if ca is None else "--tls-ca"
    if not urls or not all(url.lower().startswith("rtsps://") for url in urls):
        raise InvalidInputError(
            f"{option} goes with rtsps:// URLs: what comes from others is not encrypted",
            mend="Give the rtsps:// URL",
        )
    try:
        return TlsPolicy(
            authorities=None if ca is None else read_authorities(ca),
            check_host=not any_host,
            fingerprints=() if fingerprint is None else (read_fingerprint(fingerprint),),
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"{option}: {error.message}", mend=error.mend) from None
