"""URLs that devices name: brought to one form, freed of credentials, held to the host that was dialled."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sharpeyes.domain.errors import InvalidInputError

HTTP = frozenset({"http", "https"})
RTSP = frozenset({"rtsp", "rtsps"})


def device_service_url(text: str) -> str:
    """The URL of a device service from what a person or a device gave; the usual path if there is none.

    :raises InvalidInputError: no HTTP(S) URL with a host.
    """
    url = pin_url(text if "://" in text else f"http://{text}", None, HTTP)
    if url is None:
        raise InvalidInputError(
            "xaddr is not the URL of a device service",
            mend="Write it like http://192.0.2.7/onvif/device_service",
        )
    parts = urlsplit(url)
    return parts._replace(path="/onvif/device_service").geturl() if parts.path in ("", "/") else url


# In queries, and in paths like /user=admin_password=abc_channel=1_stream=0.sdp.
_SECRET_PAIR = re.compile(
    r"((?:user(?:name)?|usr|pass(?:word|wd)?|pwd|psw|auth|token)=)(?:(?!_[a-z]+=)[^&/;?#])*", re.IGNORECASE
)


def pin_url(url: str | None, host: str | None, schemes: frozenset[str]) -> str | None:
    """``url`` with its host replaced by ``host`` (kept if None) and without credentials in it.

    None for what is no URL of these schemes, or holds characters that no URL may hold. The values of
    ``user=``, ``password=`` and the like are emptied, wherever a maker put them.
    """
    if not url or len(url) > 2_000:
        return None
    text = url.strip().replace(" ", "%20")
    if not text.isascii() or not text.isprintable() or any(c in text for c in '<>"\\^`{|}'):
        return None
    try:
        parts = urlsplit(text)
        # Some devices write the port twice: 192.0.2.7:8106:8106.
        netloc = parts.netloc.rpartition("@")[2]
        if "[" not in netloc and netloc.count(":") > 1:
            parts = parts._replace(netloc=netloc.rpartition(":")[0])
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        return None
    netloc = bracketed(host if host is not None else parts.hostname)
    if port is not None:
        netloc += f":{port}"
    path = _SECRET_PAIR.sub(r"\1", parts.path) or "/"
    query = _SECRET_PAIR.sub(r"\1", parts.query)
    return parts._replace(netloc=netloc, path=path, query=query, fragment="").geturl()


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
