"""Recipients and routes as file and console have them: see :mod:`sharpeyes.registry.settings` for whose word
holds.

Of a recipient that the file declares, the console may change what is wanted there, and switch it off; where
its messages go stays with the file, and so do its secrets. One that the console made has its secrets sealed
by the vault: they go in, and out only to the channel.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection

from sharpeyes.domain.access import Schedule
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import FaultKind, Scope, Severity
from sharpeyes.faults.faults import FaultSettings
from sharpeyes.faults.notify.channels import (
    LONGEST_SECRET,
    Channel,
    DingTalk,
    Email,
    SecretRef,
    Webhook,
    WeCom,
)
from sharpeyes.faults.notify.post import host_of
from sharpeyes.faults.notify.recipients import Language, Recipient
from sharpeyes.faults.policy import RouteRule
from sharpeyes.registry.settings import Fields, SettingsEntry, entries
from sharpeyes.store.settings import ROUTING, Kind, Said, list_said, settings_context
from sharpeyes.store.vault import Vault, VaultError

log = logging.getLogger(__name__)

RECIPIENT_FIELDS = (
    "name",
    "enabled",
    "channel",
    "language",
    "units",
    "least",
    "level",
    "quiet",
    "digests",
)
ROUTING_FIELDS = ("rules", "fallback_unit")
CONDITIONS = ("scopes", "kinds", "causes", "tiers", "departments", "areas", "zones", "tags")
KINDS: Mapping[str, type[Channel]] = {
    "email": Email,
    "webhook": Webhook,
    "wecom": WeCom,
    "dingtalk": DingTalk,
}
ADDRESSED: Mapping[str, tuple[str, ...]] = {
    "email": ("to", "sender", "host", "port", "security", "username"),
    "webhook": (),
    "wecom": (),
    "dingtalk": (),
}
"""What of a channel is no secret. A URL may hold a key: of one, only the host is told."""
SECRETS: Mapping[str, tuple[str, ...]] = {
    "email": ("password",),
    "webhook": ("url", "secret"),
    "wecom": ("url",),
    "dingtalk": ("url", "sign"),
}
OPTIONAL = frozenset({"password", "sign"})


def recipient_entries(connection: Connection, declared: FaultSettings) -> dict[str, SettingsEntry]:
    """Of every recipient, without secrets."""
    told = {one.id: fields_of(one) for one in declared.recipients}
    found = entries(Kind.RECIPIENT, RECIPIENT_FIELDS, told, list_said(connection, Kind.RECIPIENT))
    return {
        key: entry
        if entry.said is None or entry.said.made
        else replace(entry, values={**entry.values, "channel": told[key]["channel"]})
        for key, entry in found.items()
    }


def routing_entry(connection: Connection, declared: FaultSettings) -> SettingsEntry:
    """Who is responsible for which faults."""
    told = {
        "rules": [rule_fields(rule) for rule in declared.rules],
        "fallback_unit": declared.fallback_unit,
    }
    return entries(Kind.ROUTING, ROUTING_FIELDS, {ROUTING: told}, list_said(connection, Kind.ROUTING))[
        ROUTING
    ]


def in_force(
    connection: Connection, declared: FaultSettings, vault: Vault, timezone: tzinfo
) -> FaultSettings:
    """What file and console say together. What cannot be understood any more is said in the log, and left
    out: the others are told all the same."""
    known = {one.id: one for one in declared.recipients}
    recipients = []
    for key, entry in recipient_entries(connection, declared).items():
        try:
            made = entry.said is not None and entry.said.made
            channel = (
                channel_of(entry.values["channel"], _open(vault, entry.said))
                if made or key not in known
                else known[key].channel
            )
            recipients.append(recipient_of(key, entry.values, channel, timezone))
        except (InvalidInputError, KeyError, TypeError, ValueError) as error:
            log.error("the recipient %s of the settings is left out: %s", key, error)
    routing = routing_entry(connection, declared).values
    rules = declared.rules
    try:
        rules = tuple(rule_of(fields) for fields in routing["rules"])
    except (KeyError, TypeError, ValueError) as error:
        log.error("the routes of the settings are left out: %s", error)
    return replace(
        declared, recipients=tuple(recipients), rules=rules, fallback_unit=routing["fallback_unit"]
    )


# --- a recipient as JSON and back -------------------------------------------------------------------------


def fields_of(recipient: Recipient) -> dict[str, Any]:
    quiet = recipient.quiet
    return {
        "name": recipient.name or None,
        "enabled": recipient.enabled,
        "channel": address_of(recipient.channel),
        "language": recipient.language.value,
        "units": None if recipient.units is None else sorted(recipient.units),
        "least": recipient.least.value,
        "level": recipient.level,
        "quiet": None if quiet is None else {**asdict(quiet), "days": sorted(quiet.days)},
        "digests": list(recipient.digests),
    }


def address_of(channel: Channel) -> dict[str, Any]:
    """What of a channel may be shown."""
    kind = next(name for name, made in KINDS.items() if isinstance(channel, made))
    found: dict[str, Any] = {"kind": kind, **{name: getattr(channel, name) for name in ADDRESSED[kind]}}
    if isinstance(channel, Webhook):
        found["host"] = host_of(channel.url)
    elif isinstance(channel, WeCom | DingTalk):
        found["host"] = host_of(channel.url.held.reveal()) if channel.url.held is not None else None
    return found


def recipient_of(key: str, values: Fields, channel: Channel, timezone: tzinfo) -> Recipient:
    """InvalidInputError, KeyError, TypeError or ValueError if the values are none of a recipient."""
    quiet = values["quiet"]
    return Recipient(
        id=key,
        name=values["name"] or "",
        enabled=values["enabled"] is not False,
        channel=channel,
        timezone=timezone,
        language=Language(values["language"]),
        units=None if values["units"] is None else frozenset(values["units"]),
        least=Severity(values["least"]),
        level=values["level"],
        quiet=None if quiet is None else Schedule(**{**quiet, "days": frozenset(quiet["days"])}),
        digests=tuple(values["digests"]),
    )


def channel_of(values: Fields, secrets: Mapping[str, str]) -> Channel:
    """InvalidInputError if something is missing or contradicts itself; it names no secret."""
    kind = values["kind"]
    missing = [name for name in SECRETS[kind] if name not in OPTIONAL and name not in secrets]
    if missing:
        raise InvalidInputError(f"{missing[0]}: is missing", mend="Enter it; it is kept sealed")
    made: dict[str, Any] = {name: values[name] for name in ADDRESSED[kind]}
    made |= {n: SecretRef(held=Secret(secrets[n])) for n in SECRETS[kind] if n in secrets}
    if kind == "webhook":
        made["url"] = secrets["url"]
    return KINDS[kind](**made)


def check_secret(name: str, value: str) -> str:
    """InvalidInputError if no channel can use it; never quoted."""
    value = value.strip()
    if not value or len(value) > LONGEST_SECRET or not value.isprintable():
        raise InvalidInputError(f"{name}: is empty, too long, or no plain line", mend="Copy it whole")
    return value


def seal(vault: Vault, key: str, secrets: Mapping[str, str]) -> bytes | None:
    return vault.seal(json.dumps(dict(secrets)), settings_context(key)) if secrets else None


def _open(vault: Vault, said: Said | None) -> dict[str, str]:
    """By name; empty texts for those that do not open any more, so that they are asked for anew."""
    if said is None or said.sealed is None:
        return {}
    try:
        found: dict[str, str] = json.loads(vault.open(said.sealed, settings_context(said.id)))
    except VaultError:
        return dict.fromkeys(SECRETS.get(said.values.get("channel", {}).get("kind", ""), ()), "")
    return found


def secrets_of(vault: Vault, entry: SettingsEntry) -> dict[str, str]:
    """What a recipient of the console has been given."""
    return _open(vault, entry.said)


# --- routes as JSON and back ------------------------------------------------------------------------------


def rule_fields(rule: RouteRule) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": rule.unit}
    for name in CONDITIONS:
        value: Iterable[str] | None = getattr(rule, name)
        found[name] = None if value is None else sorted(str(one) for one in value)
    return found


def rule_of(fields: Fields) -> RouteRule:
    values: dict[str, Any] = {
        name: None if fields[name] is None else frozenset(fields[name]) for name in CONDITIONS
    }
    if values["scopes"] is not None:
        values["scopes"] = frozenset(map(Scope, values["scopes"]))
    if values["kinds"] is not None:
        values["kinds"] = frozenset(map(FaultKind, values["kinds"]))
    return RouteRule(unit=fields["unit"], **values)
