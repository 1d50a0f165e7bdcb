"""``configs/cameras.yaml``: what a city declares, read into frozen values.

Reading goes through the whole file and tells every mistake with its line; it needs no network and no
database. Passwords are fetched from where the file says (an environment variable or a file beside it); one
that is not there is a warning, since the file may be checked on another machine than the one that runs it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sharpeyes.config.city import boundary, lawful_place, read_dossier, read_nodes
from sharpeyes.config.document import (
    ConfigErrors,
    Document,
    Listing,
    Node,
    Scalar,
    Section,
    Wrong,
    flag,
    identifier,
    listing,
    meant,
    number,
    text,
    variable_name,
    whole,
    word,
)
from sharpeyes.config.faults import read_faults
from sharpeyes.domain.access import Place
from sharpeyes.domain.camera import Camera, Origin, Stream, StreamRole, Transport
from sharpeyes.domain.clock import ClockPolicy
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.discovery import Enrol
from sharpeyes.domain.dossier import Dossier
from sharpeyes.domain.errors import ConfigError, InvalidInputError
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.faults.faults import FaultSettings
from sharpeyes.net.tls import TlsPolicy, read_authorities, read_fingerprint
from sharpeyes.registry import numbering
from sharpeyes.registry.declared import (
    CAMERA_NAME,
    Declared,
    DeclaredCredential,
    Method,
    Network,
    check_pattern,
)
from sharpeyes.registry.trust import Trust
from sharpeyes.wire.rtsp.url import mask, parse_url

T = TypeVar("T")

MAX_ADDRESSES = 65_536
"""Of one network: beyond that a sweep is no longer a look around but a scan."""

MAX_SECRET_BYTES = 4096
NONE: tuple[str, ...] = ()
PORTS: tuple[int, ...] = (80,)
METHODS: tuple[str, ...] = (Method.UNICAST, Method.SWEEP)
DEFAULT_ZONE = Zone(id="default", name="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The city or district as a whole."""

    name: str = "SharpEyes"
    timezone: str = "Asia/Shanghai"
    """IANA name: where a day and a month of the reports begin and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of the file. ``warnings`` are what looks odd but may be meant."""

    file: str
    site: Site
    declared: Declared
    networks: tuple[Network, ...]
    clocks: ClockPolicy = field(default_factory=ClockPolicy)
    faults: FaultSettings = field(default_factory=FaultSettings)
    warnings: tuple[ConfigError, ...] = ()

    @property
    def trust(self) -> Trust:
        """What is asked of the certificates of cameras and devices."""
        return Trust(cameras=self.declared.tls, networks=self.networks)

    @property
    def addresses(self) -> int:
        """How many addresses the networks have together, those of overlaps counted twice."""
        return sum(network.cidr.num_addresses for network in self.networks)


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check the file.

    Raises ConfigErrors with every mistake in it.
    """
    document, root = Document.read(path)
    return _Reader(document, path.parent, os.environ if environ is None else environ).config(
        Section(document, root, "")
    )


class _Reader:
    """One pass over a file. The names declared so far are what later parts may refer to."""

    def __init__(self, document: Document, folder: Path, environ: Mapping[str, str]) -> None:
        self.document = document
        self.folder = folder
        self.environ = environ
        self.names: dict[str, set[str]] = {
            "department": set(),
            "area": set(),
            "zone": set(),
            "credential": set(),
        }
        self.areas: list[Area] = []
        self.boundaries: dict[str, Mapping[str, Any]] = {}
        self.dossiers: dict[str, Dossier] = {}
        self.tls: dict[str, TlsPolicy] = {}
        self.area_lines: dict[str, int] = {}
        self.camera_lines: dict[tuple[str, str], int] = {}
        """Where an id, a URL or a code was first given to a camera."""

    def config(self, root: Section) -> Config:
        site = self.site(root.section("site"))
        tiers = self.tiers(root.section("tiers"))
        zones = self.declare(root, "zone", self.zone) or [DEFAULT_ZONE]
        self.names["zone"] = self.names["zone"] or {DEFAULT_ZONE.id}
        departments = self.declare(root, "department", self.department)
        if (areas := root.section("areas")) is not None:
            self.tree(areas, None, ())
        self.names["area"] = set(self.area_lines)
        credentials = self.declare(root, "credential", self.credential)
        cameras = self.cameras(root.items("cameras"))
        networks = self.networks(root.items("networks"))
        nodes = read_nodes(root.section("causes"), self.names, {camera.id for camera in cameras})
        clocks = self.clocks(root.section("clocks"))
        faults = read_faults(root.section("faults"), self.names, self.folder, ZoneInfo(site.timezone))
        root.close()
        if self.document.errors:
            raise ConfigErrors(self.document.errors)
        return Config(
            file=self.document.file,
            site=site,
            declared=Declared(
                tiers=tuple(tiers),
                zones=tuple(zones),
                departments=tuple(departments),
                areas=tuple(self.areas),
                credentials=tuple(credentials),
                cameras=tuple(cameras),
                dossiers=self.dossiers,
                boundaries=self.boundaries,
                nodes=tuple(nodes),
                tls=self.tls,
            ),
            networks=tuple(networks),
            clocks=clocks,
            faults=faults,
            warnings=tuple(sorted(self.document.warnings, key=lambda warning: warning.line)),
        )

    # --- site and organisation

    def site(self, section: Section | None) -> Site:
        if section is None:
            return Site()
        default = Site()
        site = Site(
            name=section.get("name", text, default.name),
            timezone=section.get("timezone", _timezone, default.timezone),
        )
        section.close()
        return site

    def tiers(self, section: Section | None) -> list[TierPolicy]:
        """A policy for each tier, the default for those that the file does not name."""
        policies = {tier: TierPolicy(tier=tier) for tier in Tier}
        if section is None:
            return list(policies.values())
        for tier in Tier:
            if (one := section.section(tier.value)) is None:
                continue
            default = policies[tier]
            policies[tier] = TierPolicy(
                tier=tier,
                target=one.get("target", _ratio, default.target),
                liveness_s=one.get("liveness_s", number(1, 86_400), default.liveness_s),
                quality_s=one.get("quality_s", number(1, 86_400), default.quality_s),
            )
            one.close()
        section.close()
        return list(policies.values())

    def clocks(self, section: Section | None) -> ClockPolicy:
        default = ClockPolicy()
        if section is None:
            return default
        warn_s = section.get("warn_s", number(1, 86_400), default.warn_ms / 1000)
        fail_s = section.get("fail_s", number(1, 86_400), default.fail_ms / 1000)
        every_s = section.get("every_s", number(60, 86_400), default.every_s)
        if fail_s < warn_s:
            section.error(
                section.line_of("fail_s"),
                f"clocks: fail_s ({fail_s:g}) is below warn_s ({warn_s:g})",
                "A clock is worth a warning before it is outside tolerance: give fail_s the larger value",
            )
        section.close()
        return ClockPolicy(warn_ms=round(1000 * warn_s), fail_ms=round(1000 * fail_s), every_s=every_s)

    def declare(self, root: Section, what: str, read: Callable[[str, Section], T | None]) -> list[T]:
        """A mapping from ids to sections, such as ``zones``. Its ids count as known even if it is wrong."""
        section = root.section(f"{what}s")
        found = []
        for key, one in section.sections() if section else []:
            self.names[what].add(key)
            if not self.is_id(one, key):
                continue
            value = read(key, one)
            one.close()
            if value is not None:
                found.append(value)
        return found

    def is_id(self, section: Section, key: str) -> bool:
        try:
            identifier(key)
        except Wrong as wrong:
            section.error(section.line, f"{section.path}: {wrong.message}", wrong.mend)
            return False
        return True

    def zone(self, key: str, section: Section) -> Zone:
        network = section.get("network", word(numbering.NETWORKS), "7")
        return Zone(id=key, name=section.get("name", text, key), network=network)

    def department(self, key: str, section: Section) -> Department:
        industry = section.get("industry", _digits(2), None)
        if industry is not None and industry not in numbering.INDUSTRIES:
            self.document.warn(
                section.line_of("industry"),
                f"{section.path}: industry code {industry} is not in the table of GB/T 28181",
                meant(industry, numbering.INDUSTRIES),
            )
        return Department(
            id=key,
            name=section.get("name", text, key),
            industry=industry,
            name_en=section.get("name_en", text, None),
            contact=section.get("contact", text, None),
        )

    def tree(self, section: Section, parent: str | None, above: tuple[str, ...]) -> None:
        for key, one in section.sections():
            if key in above:
                one.error(
                    one.line,
                    f"{one.path}: area '{key}' lies within itself",
                    "Give the inner one an id of its own",
                )
            elif key in self.area_lines:
                one.error(
                    one.line,
                    f"{one.path}: area '{key}' stands twice, first in line {self.area_lines[key]}",
                    "Give each area an id of its own",
                )
            self.area_lines.setdefault(key, one.line)
            self.is_id(one, key)
            code = one.get("code", _digits(2, 4, 6, 8), None)
            outline = one.get("boundary", lambda node: boundary(node, self.folder), None)
            if outline is not None:
                self.boundaries[key] = outline
            self.areas.append(
                Area(
                    id=key,
                    name=one.get("name", text, key),
                    parent=parent,
                    code=code,
                    name_en=one.get("name_en", text, None),
                    target=one.get("target", _ratio, None),
                )
            )
            if (children := one.section("children")) is not None:
                self.tree(children, key, (*above, key))
            one.close()

    # --- secrets

    def credential(self, key: str, section: Section) -> DeclaredCredential | None:
        username = section.need("username", text, "Write the user name of the account")
        section.refuse(
            "password",
            "a password does not belong into this file",
            "Put it into an environment variable (password_env) or a file (password_file)",
        )
        allow_basic = section.get("allow_basic", flag, False)
        variable = section.get("password_env", variable_name, None)
        file = section.get("password_file", text, None)
        if section.node("password_env") and section.node("password_file"):
            section.error(
                section.line, f"{section.path}: both password_env and password_file", "Keep one of them"
            )
            return None
        if section.node("password_env"):
            password = self.from_environment(section, variable) if variable else None
        elif section.node("password_file"):
            password = self.from_file(section, self.folder / file) if file else None
        else:
            if section.node("password") is None and username is not None:
                section.error(
                    section.line,
                    f"{section.path}: password_env or password_file is missing",
                    "Say where the password is to be found",
                )
            return None
        if not username:
            return None
        return DeclaredCredential(id=key, username=username, password=password, allow_basic=bool(allow_basic))

    def from_environment(self, section: Section, variable: str) -> Secret | None:
        value = self.environ.get(variable, "")
        if not value:
            self.document.warn(
                section.line_of("password_env"),
                f"{section.path}: the environment variable {variable} is not set",
                "Set it for the service; until then the password stored before is used, if there is one",
            )
        return Secret(value) if value else None

    def from_file(self, section: Section, path: Path) -> Secret | None:
        """Its first line. Never quoted, whatever is wrong with it."""
        problem = ""
        try:
            with path.open("rb") as file:
                value = file.read(MAX_SECRET_BYTES + 1).decode().rstrip("\r\n")
                if os.fstat(file.fileno()).st_mode & 0o007:
                    self.document.warn(
                        section.line_of("password_file"),
                        f"{section.path}: everybody on this machine may read {path}",
                        f"chmod 600 {path}",
                    )
            if not value or len(value) > MAX_SECRET_BYTES or "\n" in value:
                problem = "does not hold one line with a password"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            problem = "is not UTF-8 text"
        if problem:
            self.document.warn(
                section.line_of("password_file"),
                f"{section.path}: {path} {problem}",
                "Until it does, the password stored before is used, if there is one",
            )
            return None
        return Secret(value)

    # --- cameras and networks

    def cameras(self, sections: list[Section]) -> list[Camera]:
        cameras = []
        for section in sections:
            camera = self.camera(section)
            section.close()
            if camera is not None:
                cameras.append(camera)
        return cameras

    def once(self, section: Section, key: str, value: str | None, mark: str | None = None) -> None:
        """Refuse a value that an earlier camera has; ``mark`` is what two spellings of it have in common."""
        if value is None:
            return
        line = self.camera_lines.get((key, mark or value))
        if line is None:
            self.camera_lines[key, mark or value] = section.line_of(key)
        else:
            section.error(
                section.line_of(key),
                f"{section.path}: {key} '{mask(value)}' is that of another camera, in line {line}",
                "Remove one of the two, or give it its own",
            )

    def camera(self, section: Section) -> Camera | None:
        key = section.need("id", lambda node: identifier(text(node)), "Give it an id of its own")
        if key is not None:
            section.path = f"camera {key}"
        name = section.get("name", text, key)
        tier, department, area, zone, credential = self.place(section)
        main = section.need("main", _stream_url, "Write the rtsp:// URL of its main stream")
        sub = section.get("sub", _stream_url, None)
        snapshot = section.get("snapshot", _http_url, None)
        transport = section.get("transport", word(Transport), Transport.TCP.value)
        liveness = section.get("liveness_s", number(1, 86_400), None)
        quality = section.get("quality_s", number(1, 86_400), None)
        maintenance = section.get("maintenance", flag, False)
        tags = section.get("tags", listing(text), NONE)
        code = section.get("code", _code, None)
        section.get("place", lawful_place, Place.OPEN)
        tls = self.tls_policy(section)
        if key is not None and tls is not None:
            self.tls[key] = tls
        dossier = read_dossier(section.section("dossier"))
        if key is not None and dossier is not None:
            self.dossiers[key] = dossier
        self.once(section, "id", key)
        self.once(section, "main", main, f"{zone} {_endpoint(main)}" if main else None)
        self.once(section, "code", code)
        if code is not None:
            for doubt in numbering.doubts(numbering.parse(code)):
                self.document.warn(section.line_of("code"), f"{section.path}: {doubt}", "Check the code")
        if not (key and name and tier and department and area and zone and main):
            return None
        return Camera(
            id=key,
            name=name,
            tier=Tier(tier),
            department=department,
            area=area,
            zone=zone,
            streams=(
                Stream(role=StreamRole.MAIN, url=main),
                *((Stream(role=StreamRole.SUB, url=sub),) if sub else ()),
            ),
            origin=Origin.CONFIG,
            code=code,
            snapshot_url=snapshot,
            credential=credential,
            transport=Transport(transport),
            liveness_s=liveness,
            quality_s=quality,
            maintenance=maintenance,
            tags=tags,
        )

    def networks(self, sections: list[Section]) -> list[Network]:
        networks: list[Network] = []
        lines: list[int] = []
        for section in sections:
            network = self.network(section)
            section.close()
            if network is None:
                continue
            for other, line in zip(networks, lines, strict=True):
                if other.cidr == network.cidr and other.zone == network.zone:
                    section.error(
                        section.line_of("cidr"),
                        f"{section.path}: {network.cidr} stands in line {line} already",
                        "Remove one of the two",
                    )
                elif (
                    other.zone == network.zone
                    and other.cidr.version == network.cidr.version
                    and other.cidr.overlaps(network.cidr)
                ):
                    self.document.warn(
                        section.line_of("cidr"),
                        f"{section.path}: {network.cidr} overlaps {other.cidr} of line {line}",
                        "A camera in both gets the defaults of the first",
                    )
            networks.append(network)
            lines.append(section.line)
        return networks

    def network(self, section: Section) -> Network | None:
        cidr = section.need("cidr", _cidr, "Write for example 10.20.0.0/24")
        if cidr is not None:
            section.path = f"network {cidr}"
        tier, department, area, zone, credential = self.place(section)
        ports = section.get("ports", _some(listing(whole(1, 65_535))), PORTS)
        methods = section.get("methods", _some(listing(word(Method))), METHODS)
        interface = section.get("interface", text, None)
        pattern = section.get("camera_name", _pattern, CAMERA_NAME)
        events = section.get("events", flag, True)
        tls = self.tls_policy(section)
        policy = section.get("enrol", word(Enrol), Enrol.AUTOMATIC.value)
        if Method.MULTICAST in methods and interface is None and section.node("interface") is None:
            section.error(
                section.line_of("methods"),
                f"{section.path}: multicast needs an interface",
                "Add for example 'interface: eth1'",
            )
        if Method.MULTICAST not in methods and interface is not None:
            self.document.warn(
                section.line_of("interface"),
                f"{section.path}: the interface is not used",
                "Add multicast to the methods, or remove it",
            )
        if cidr is None or not (tier and department and area and zone):
            return None
        return Network(
            cidr=cidr,
            tier=Tier(tier),
            department=department,
            area=area,
            zone=zone,
            credential=credential,
            ports=tuple(dict.fromkeys(ports)),
            methods=frozenset(map(Method, methods)),
            interface=interface,
            camera_name=pattern,
            events=bool(events),
            tls=tls,
            enrol=Enrol(policy),
        )

    def place(self, section: Section) -> tuple[str | None, str | None, str | None, str | None, str | None]:
        """Tier, department, area, zone and credential: where a camera belongs and how it is entered."""
        tier = section.need("tier", word(Tier), f"Write one of {', '.join(Tier)}")
        department = section.need("department", self.known("department"), "Name the unit that it belongs to")
        area = section.need("area", self.known("area"), "Name the area that it stands in")
        zone: str | None
        if len(self.names["zone"]) == 1:
            zone = section.get("zone", self.known("zone"), next(iter(self.names["zone"])))
        else:
            zone = section.need("zone", self.known("zone"), "There are several zones: name one")
        return tier, department, area, zone, section.get("credential", self.known("credential"), None)

    def tls_policy(self, section: Section) -> TlsPolicy | None:
        """How the certificates of a camera or a network are trusted; None if nothing is said about it."""
        if isinstance(node := section.node("tls"), Scalar):
            return section.get("tls", _any_certificate, None)
        if node is None or (one := section.section("tls")) is None:
            return None
        authorities = one.get("ca_file", self.authorities, None)
        check_host = one.get("check_host", flag, True)
        fingerprints = one.get("fingerprints", _some(listing(_fingerprint)), NONE)
        if (one.node("ca_file") is None) is (one.node("fingerprints") is None):
            one.error(
                one.line,
                f"{one.path}: either ca_file or fingerprints",
                "Name the file of an authority or the certificates; or write 'tls: any' to accept every one",
            )
        elif one.node("check_host") is not None and one.node("ca_file") is None:
            one.error(
                one.line_of("check_host"),
                f"{one.where('check_host')}: goes with ca_file",
                "Remove it: certificates that are pinned are themselves what is checked",
            )
        one.close()
        return TlsPolicy(authorities=authorities, check_host=check_host, fingerprints=fingerprints)

    def authorities(self, node: Node) -> str:
        try:
            return read_authorities(self.folder / text(node))
        except InvalidInputError as error:
            raise Wrong(error.message, error.mend) from None

    def known(self, what: str) -> Callable[[Node], str]:
        def read(node: Node) -> str:
            name = text(node)
            if name not in self.names[what]:
                raise Wrong(f"there is no {what} '{name}'", meant(name, self.names[what]))
            return name

        return read


# --- readers of one value -------------------------------------------------------------------------------


def _ratio(node: Node) -> float:
    try:
        return number(0, 1)(node)
    except Wrong as wrong:
        raise Wrong(wrong.message, "Write a ratio from 0 to 1, for example 0.95 for 95 %") from None


def _timezone(node: Node) -> str:
    name = text(node)
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown; a folder; a path out of the database
        raise Wrong(f"'{name}' is not a time zone", "Use an IANA name, for example Asia/Shanghai") from None
    return name


def _digits(*lengths: int) -> Callable[[Node], str]:
    wanted = ", ".join(map(str, lengths[:-1])) + " or " * (len(lengths) > 1) + str(lengths[-1])

    def read(node: Node) -> str:
        value = text(node)
        if not (value.isascii() and value.isdigit()) or len(value) not in lengths:
            raise Wrong(f"'{value}' is not a code of {wanted} digits", f"Write {wanted} digits")
        return value

    return read


def _any_certificate(node: Node) -> TlsPolicy:
    if text(node) != "any":
        raise Wrong(
            f"'{text(node)}' says nothing about certificates",
            "Write any, {ca_file: FILE} or {fingerprints: [SHA-256]}",
        )
    return TlsPolicy()


def _fingerprint(node: Node) -> str:
    try:
        return read_fingerprint(text(node))
    except InvalidInputError as error:
        raise Wrong(error.message, error.mend) from None


def _code(node: Node) -> str:
    try:
        return str(numbering.parse(text(node)))
    except InvalidInputError as error:
        raise Wrong(error.message, error.mend) from None


def _stream_url(node: Node) -> str:
    value = _bare_url(node)
    try:
        return parse_url(value)[0].text
    except InvalidInputError as error:
        raise Wrong(error.message[0].lower() + error.message[1:], error.mend) from None


def _endpoint(url: str) -> str:
    """What a URL leads to, however it is spelt: networks apart (zones) may use the same addresses."""
    where, path = parse_url(url)[0], url.partition("://")[2].partition("/")[2]
    return f"{where.host.lower()} {where.port} {path}"


def _http_url(node: Node) -> str:
    value = _bare_url(node)
    bad = Wrong("this is not an HTTP URL", "Write it as http://host[:port]/path")
    try:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise bad
    except ValueError:
        raise bad from None
    return value


def _bare_url(node: Node) -> str:
    """The text of a URL that holds no account. Errors never quote it."""
    value = text(node)
    # Anywhere after the scheme, since a password may hold the slash that would seem to end the host.
    if "@" in value.partition("://")[2] or mask(value) != value:
        raise Wrong(
            "the URL holds a user name or a password",
            "Remove it and name a credential instead; an @ in a path is written %40",
        )
    return value


def _cidr(node: Node) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    value = text(node)
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        try:
            closest = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise Wrong(f"'{value}' is not a network", "Write for example 10.20.0.0/24") from None
        raise Wrong(f"'{value}' is an address within a network", f"Did you mean {closest}?") from None
    if network.num_addresses > MAX_ADDRESSES:
        raise Wrong(
            f"{value} has more than {MAX_ADDRESSES:,} addresses", "Declare the parts that hold cameras"
        )
    return network


def _some(reader: Callable[[Node], tuple[T, ...]]) -> Callable[[Node], tuple[T, ...]]:
    def read(node: Node) -> tuple[T, ...]:
        if isinstance(node, Listing) and not node.items:
            raise Wrong("the list is empty", "Name at least one, or remove the line")
        return reader(node)

    return read


def _pattern(node: Node) -> str:
    pattern = text(node)
    try:
        check_pattern(pattern)
    except InvalidInputError as error:
        raise Wrong(error.message, error.mend) from None
    return pattern
