"""The part of ``configs/cameras.yaml`` that says who mends what, and who is told."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Literal, TypeVar, cast

from sharpeyes.config.document import (
    Node,
    Section,
    Wrong,
    identifier,
    listing,
    meant,
    number,
    text,
    variable_name,
    whole,
    word,
)
from sharpeyes.domain.access import MINUTES_A_DAY, Schedule
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import FaultKind, Scope, Severity
from sharpeyes.domain.organisation import Tier
from sharpeyes.faults.faults import FaultSettings
from sharpeyes.faults.notify.channels import Channel, DingTalk, Email, SecretRef, Webhook, WeCom
from sharpeyes.faults.notify.post import Guard
from sharpeyes.faults.notify.recipients import Language, Recipient
from sharpeyes.faults.policy import RouteRule

T = TypeVar("T")

WEEKDAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SECURITIES = ("starttls", "tls", "none")
NO_MINUTES: tuple[int, ...] = ()
CHANNELS = ("email", "webhook", "wecom", "dingtalk")


def read_faults(
    section: Section | None, names: Mapping[str, set[str]], folder: Path, zone: tzinfo
) -> FaultSettings:
    """``names``: what the file declares (department, area, zone); ``folder``: that secret files are relative
    to; ``zone``: of the site."""
    if section is None:
        return FaultSettings()
    default = FaultSettings()
    reader = _Reader(names, folder, zone)
    settings = FaultSettings(
        fallback_unit=section.get("fallback_unit", _id, default.fallback_unit),
        rules=tuple(rule for one in section.items("routes") if (rule := reader.rule(one))),
        recipients=tuple(found for one in section.items("recipients") if (found := reader.recipient(one))),
        guard=Guard(allow=section.get("allow", listing(_network), ())),
    )
    section.close()
    return settings


class _Reader:
    def __init__(self, names: Mapping[str, set[str]], folder: Path, zone: tzinfo) -> None:
        self.names = names
        self.folder = folder
        self.zone = zone
        self.lines: dict[str, int] = {}
        """Where each recipient stands."""

    def rule(self, section: Section) -> RouteRule | None:
        unit = section.need("unit", _id, "Name who gets the ticket")
        if unit is not None and unit not in self.names["department"]:
            section.document.warn(
                section.line_of("unit"),
                f"{section.path}: the unit {unit} is no department of this file",
                "Declare it under departments if its people shall log in and work on tickets",
            )
        rule = RouteRule(
            unit=unit or "",
            scopes=_set(section, "scopes", lambda node: Scope(word(Scope)(node))),
            kinds=_set(section, "kinds", lambda node: FaultKind(word(FaultKind)(node))),
            causes=_set(section, "causes", text),
            tiers=_set(section, "tiers", word(Tier)),
            departments=_set(section, "departments", self.known("department")),
            areas=_set(section, "areas", self.known("area")),
            zones=_set(section, "zones", self.known("zone")),
            tags=_set(section, "tags", text),
        )
        section.close()
        return rule if unit else None

    def recipient(self, section: Section) -> Recipient | None:
        key = section.need("id", _id, "Give it an id of its own")
        if key is not None:
            section.path = f"recipient {key}"
            if (line := self.lines.setdefault(key, section.line)) != section.line:
                section.error(
                    section.line_of("id"), f"{section.path}: stands in line {line} already", "Rename one"
                )
        channel = self.channel(section)
        language = section.get("language", word(Language), Language.ZH.value)
        units = _set(section, "units", _id)
        least = section.get("least", word(Severity), Severity.MINOR.value)
        level = section.get("level", whole(0, 9), 0)
        quiet = self.hours(section.section("quiet"))
        digests = section.get("digests", listing(_clock), NO_MINUTES)
        section.close()
        if key is None or channel is None:
            return None
        return Recipient(
            id=key,
            channel=channel,
            timezone=self.zone,
            language=Language(language),
            units=units,
            least=Severity(least),
            level=level,
            quiet=quiet,
            digests=tuple(minute % MINUTES_A_DAY for minute in digests),
        )

    def channel(self, section: Section) -> Channel | None:
        made: list[Channel | None] = []
        for name in CHANNELS:
            if (one := section.section(name)) is None:
                continue
            try:
                made.append(getattr(self, name)(one))
            except InvalidInputError as error:
                one.error(one.line, f"{one.path}: {error.message}", error.mend or "See the example")
                made.append(None)
            one.close()
        if len(made) != 1:
            section.error(
                section.line, f"{section.path}: needs one channel", f"Write one of {', '.join(CHANNELS)}"
            )
            return None
        return made[0]

    def email(self, section: Section) -> Email | None:
        to = section.need("to", text, "Write an e-mail address")
        sender = section.need("sender", text, "Write the address that mails come from")
        host = section.need("host", text, "Name the mail server")
        security = section.get("security", word(SECURITIES), "starttls")
        port = section.get("port", whole(1, 65_535), 465 if security == "tls" else 587)
        username = section.get("username", text, None)
        password = self.secret(section, "password", needed=False)
        ca_file = section.get("ca_file", self.path, None)
        timeout_s = section.get("timeout_s", number(1, 60), 30.0)
        if to is None or sender is None or host is None:
            return None
        return Email(
            to=to,
            sender=sender,
            host=host,
            port=port,
            security=cast(Literal["starttls", "tls", "none"], security),
            username=username,
            password=password,
            ca_file=ca_file,
            timeout_s=timeout_s,
        )

    def webhook(self, section: Section) -> Webhook | None:
        url = section.need("url", text, "Write where to post to")
        secret = self.secret(section, "secret", needed=True)
        ca_file = section.get("ca_file", self.path, None)
        return Webhook(url=url, secret=secret, ca_file=ca_file) if url and secret else None

    def wecom(self, section: Section) -> WeCom | None:
        url = self.secret(section, "url", needed=True)
        return WeCom(url=url) if url else None

    def dingtalk(self, section: Section) -> DingTalk | None:
        url = self.secret(section, "url", needed=True)
        sign = self.secret(section, "sign", needed=False)
        return DingTalk(url=url, sign=sign) if url else None

    def secret(self, section: Section, name: str, *, needed: bool) -> SecretRef | None:
        """``<name>_env`` or ``<name>_file``: where the secret is, never the secret."""
        section.refuse(name, "a secret does not belong into this file", f"Write {name}_env or {name}_file")
        env = section.get(f"{name}_env", variable_name, None)
        file = section.get(f"{name}_file", self.path, None)
        if env is not None and file is not None:
            section.error(
                section.line_of(f"{name}_file"), f"{section.path}: {name} from two places", "Keep one of them"
            )
            return None
        if env is None and file is None:
            given = any(section.node(f"{name}_{kind}") is not None for kind in ("env", "file"))
            if needed and not given and section.node(name) is None:
                section.error(
                    section.line, f"{section.path}: {name} is missing", f"Write {name}_env or {name}_file"
                )
            return None
        return SecretRef(env=env, file=file)

    def hours(self, section: Section | None) -> Schedule | None:
        if section is None:
            return None
        start = section.need("start", _clock, 'Write for example "22:00"')
        end = section.need("end", _clock, 'Write for example "07:00"')
        days = section.get("days", listing(word(WEEKDAYS)), WEEKDAYS)
        section.close()
        if start is None or end is None:
            return None
        try:
            return Schedule(
                start=start % MINUTES_A_DAY,
                end=end or MINUTES_A_DAY,
                days=frozenset(WEEKDAYS.index(day) for day in days),
            )
        except ValueError as error:
            section.error(section.line, f"{section.path}: {error}", "Choose other hours")
            return None

    def path(self, node: Node) -> Path:
        return self.folder / Path(text(node)).expanduser()

    def known(self, what: str) -> Callable[[Node], str]:
        def read(node: Node) -> str:
            name = text(node)
            if name not in self.names[what]:
                raise Wrong(f"there is no {what} '{name}'", meant(name, self.names[what]))
            return name

        return read


def _set(section: Section, key: str, reader: Callable[[Node], T]) -> frozenset[T] | None:
    found = section.get(key, listing(reader), None)
    return None if found is None else frozenset(found)


def _id(node: Node) -> str:
    return identifier(text(node))


def _clock(node: Node) -> int:
    """Minute of the day; 24:00 is 1440."""
    value = text(node)
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)|24:00", value)
    if found is None:
        raise Wrong(f"'{value}' is no time of day", 'Write for example "07:30", in quotes')
    return MINUTES_A_DAY if found[1] is None else int(found[1]) * 60 + int(found[2])


def _network(node: Node) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    value = text(node)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise Wrong(f"'{value}' is not a network", "Write for example 10.20.0.0/24") from None
