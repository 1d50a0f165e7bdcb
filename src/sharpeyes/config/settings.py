"""How the service runs on this machine: from ``SHARPEYES_*`` variables and the command line, which wins.

What the city is, is said in ``configs/cameras.yaml``; nothing is said in both places.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from sharpeyes.config.document import meant
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError

PREFIX = "SHARPEYES_"
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the variable ``SHARPEYES_<FIELD>``; printing it shows no secret."""

    config: Path = Path("configs/cameras.yaml")
    """What to watch."""
    data_dir: Path = Path("data")
    """Where the database and the key file live."""
    database_url: Secret | None = None
    """SQLAlchemy URL of a database elsewhere, password included; None for SQLite in ``data_dir``."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on; 0 for any."""
    metrics_allow: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that may read ``/metrics`` without a token, besides this machine."""
    camera_metrics: bool = False
    """Whether ``/metrics/cameras`` is served: up to three series a camera."""
    reports: tuple[str, ...] = ("day", "week", "month")
    """Periods whose reports are written by themselves, to ``data_dir``/reports; ``none`` for none."""
    report_by: tuple[str, ...] = ("tier",)
    """What they are broken down by: tier, department, area, zone, all; a report each."""
    report_languages: tuple[str, ...] = ("zh",)
    """In which they are written: zh, en; a file each."""
    report_mail: tuple[str, ...] = ()
    """Recipients of ``cameras.yaml`` or the settings, by their ids, who get them by e-mail; only those whose
    channel is e-mail can."""
    view_addresses: tuple[str, ...] = ()
    """Addresses of this machine that live pictures are sent from; empty: all but the loopback one."""
    view_announce: str | None = None
    """Address that viewers are told instead: the outer one of a NAT that forwards ``view_ports``."""
    view_ports: tuple[int, int] | None = None
    """First and last UDP port for live pictures, for firewalls: ``50000-50999``; None: any."""
    view_stun: str | None = None
    """``stun:host:port``."""
    view_turn: str | None = None
    """``turn:host:port?transport=udp``, with ``view_turn_username`` and ``view_turn_password``."""
    view_turn_username: str = ""
    """Account at the TURN server."""
    view_turn_password: Secret | None = None
    """Its password."""
    view_transcodes: int | None = None
    """Pictures coded anew at a time (masks, watermarks, H.265), each by a process of up to a third of a core;
    None: two a core."""
    view_origins: tuple[str, ...] = ()
    """Web origins beyond the console's own that may show live pictures (CORS)."""
    public_url: str | None = None
    """Where browsers find this service: ``https://sharpeyes.example``. Single sign-on needs it."""
    oidc_issuer: str | None = None
    """OpenID Connect provider for single sign-on, by the issuer's address; with ``oidc_client_id``."""
    oidc_client_id: str = ""
    """This service's id at the provider."""
    oidc_client_secret: Secret | None = None
    """None for a public client, which PKCE alone protects."""
    oidc_username_claim: str = "preferred_username"
    """Which claim is the user name of accounts here."""
    oidc_label: str = "Single sign-on"
    """What its button says."""
    map_tiles: str | None = None
    """Tiles under the console's map, ``https://tiles.example/{z}/{x}/{y}.png``, or a path of this origin;
    None: areas and cameras alone. The one other host that the console's pages may load from."""
    map_credit: str = ""
    """Whom the tiles are from, as their licence wants it said on the map."""
    register_keep_days: int = 1096
    """Days that the register keeps what its entries say, and that copies of reports no longer on the list can
    be checked; the law wants six months, 184 days, at the least."""
    register_copy: Path | None = None
    """A second file for the register's checkpoints, where whoever rules this machine cannot change it: on a
    disk of another one, or append-only. Against it a start, and ``sharpeyes audit verify``, notice a data
    directory that was put back whole."""
    transparency_public: bool = False
    """Whether anybody may read the figures of past months, coarse, without logging in."""
    log_level: str = "info"
    """debug, info, warning or error."""
    max_in_flight: int = 512
    """Probes under way at the same time."""
    max_connections: int = 2000
    """Connections of browsers, machines and viewers at the same time, at most a quarter of the open files
    that the process may have."""
    max_connections_each: int = 256
    """Of these, from one address (a /64 of IPv6); a quarter of them may be without a log-in. Proxies that
    FORWARDED_ALLOW_IPS names are not bounded so."""
    discovery_allowed: tuple[IPv4Network | IPv6Network, ...] = PRIVATE
    """Networks whose addresses administrators may have searched besides those declared in cameras.yaml; the
    private ones (RFC 1918, RFC 4193) unless said, ``none`` for none. Link-local addresses never."""
    canaries: bool = True
    """Whether each zone has a camera of our own that shows faults to a timetable, to test the monitor."""
    canary_addresses: Mapping[str, str] = field(default_factory=dict)
    """Addresses of this machine that canaries listen on: ``police-video=10.1.0.5 sector=10.2.0.5``; those of
    other zones are on loopback."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Settings from the environment, with those ``given`` that are not None put over them.

        InvalidInputError for a variable that is unknown or wrong; it tells of all of them.
        """
        variables = os.environ if environ is None else environ
        known = {PREFIX + f.name.upper(): f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        problems = []
        for variable, value in sorted(variables.items()):
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                problems.append(f"{variable} is not a setting. {meant(variable, known)}")
                continue
            if not value.strip():
                continue  # an empty variable is how a shell or systemd says "not set"
            try:
                values[known[variable]] = READERS[known[variable]](value.strip())
            except ValueError as error:
                problems.append(f"{variable}: {error}")
        for name, value in given.items():
            if value is None:
                continue
            try:
                values[name] = READERS[name](value) if isinstance(value, str) else value
            except ValueError as error:
                problems.append(f"--{name.replace('_', '-')}: {error}")
        if values.get("oidc_issuer"):
            problems += [
                f"{PREFIX}{name.upper()}: single sign-on needs it; see {PREFIX}OIDC_ISSUER"
                for name in ("oidc_client_id", "public_url")
                if not values.get(name)
            ]
        if problems:
            raise InvalidInputError("\n".join(problems))
        return cls(**values)

    @property
    def database(self) -> URL:
        """The database in use. Printed, it shows no password."""
        if self.database_url is not None:
            return make_url(self.database_url.reveal())
        return URL.create("sqlite", database=str(self.data_dir / "sharpeyes.db"))

    @property
    def key_file(self) -> Path:
        return self.data_dir / "secrets.key"


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _database(text: str) -> Secret:
    try:
        make_url(text)
    except ArgumentError:
        raise ValueError(
            "not a database URL; write for example postgresql://user:password@host/sharpeyes"
        ) from None
    return Secret(text)


def _host(text: str) -> str:
    if any(c.isspace() or c == "/" for c in text):
        raise ValueError("not an address or a host name; write for example 127.0.0.1 or ::")
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"{text[:40]!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    found = []
    for part in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(
                f"{part[:60]!r} is not a network; write for example 10.0.0.0/8 192.0.2.7/32"
            ) from None
    return tuple(found)


def _allowed(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return () if text.lower() == "none" else _networks(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _periods(text: str) -> tuple[str, ...]:
    return () if text.lower() == "none" else _known(text, ("day", "week", "month"))


def _scopes(text: str) -> tuple[str, ...]:
    return _known(text, ("tier", "department", "area", "zone", "all"))


def _languages(text: str) -> tuple[str, ...]:
    return _known(text, ("zh", "en"))


def _known(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    for word in (found := _words(text)):
        if word not in known:
            raise ValueError(f"{word[:40]!r} is not one of {', '.join(known)}")
    return tuple(dict.fromkeys(found))


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(_address(word) for word in _words(text))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not an IP address") from None


def _site(text: str) -> str:
    parts = urlsplit(text)
    plain = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.username or parts.query or not (parts.scheme == "https" or plain):
        raise ValueError("not an https address; write for example https://sharpeyes.example")
    return text  # to the letter: an issuer's name may end with a slash


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        ports = int(first), int(last)
    except ValueError:
        ports = (0, 0)
    if not dash or not 1024 <= ports[0] <= ports[1] <= 65_535:
        raise ValueError(f"{text[:40]!r} is no range of ports; write for example 50000-50999")
    return ports


def _by_zone(text: str) -> Mapping[str, str]:
    found = {}
    for word in _words(text):
        zone, equals, address = word.partition("=")
        if not equals or not zone or zone in found:
            raise ValueError(f"{word[:60]!r} is no zone with an address; write for example police=10.1.0.5")
        if ipaddress.ip_address(_address(address)).version != 4:
            raise ValueError(f"{address[:60]!r} is no IPv4 address")
        found[zone] = address
    return found


def _tiles(text: str) -> str:
    url = urlsplit(text)
    site = url.scheme in ("http", "https") and re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", url.netloc)
    own = not url.scheme and not url.netloc and text.startswith("/")
    if not (site or own) or any(f"{{{part}}}" not in text for part in "zxy"):
        raise ValueError(
            f"{text[:80]!r} is no address of tiles; write for example https://tiles.example/{{z}}/{{x}}/{{y}}.png"
        )
    return text


def _flag(text: str) -> bool:
    if text.lower() not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return text.lower() in ("1", "true", "yes", "on")


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"{text[:40]!r} is not one of {', '.join(LOG_LEVELS)}")
    return text.lower()


READERS: Mapping[str, Callable[[str], Any]] = {
    "config": _path,
    "data_dir": _path,
    "database_url": _database,
    "host": _host,
    "port": _whole(0, 65_535),
    "metrics_allow": _networks,
    "camera_metrics": _flag,
    "reports": _periods,
    "report_by": _scopes,
    "report_languages": _languages,
    "report_mail": _words,
    "view_addresses": _addresses,
    "view_announce": _address,
    "view_ports": _ports,
    "view_stun": str,
    "view_turn": str,
    "view_turn_username": str,
    "view_turn_password": Secret,
    "view_transcodes": _whole(0, 1000),
    "view_origins": _words,
    "public_url": _site,
    "oidc_issuer": _site,
    "oidc_client_id": str,
    "oidc_client_secret": Secret,
    "oidc_username_claim": str,
    "oidc_label": str,
    "map_tiles": _tiles,
    "map_credit": str,
    "register_keep_days": _whole(184, 36_500),
    "register_copy": _path,
    "transparency_public": _flag,
    "log_level": _log_level,
    "max_in_flight": _whole(1, 20_000),
    "max_connections": _whole(64, 100_000),
    "max_connections_each": _whole(8, 100_000),
    "discovery_allowed": _allowed,
    "canaries": _flag,
    "canary_addresses": _by_zone,
}
"""How each setting is read from text; a ValueError says what is wrong and what to write."""
