"""Recipients of messages about faults, and who is responsible, changed in the console beside cameras.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection

from sharpeyes.api.auth import Admin, ManagingCaller
from sharpeyes.api.context import Configured, Rooms
from sharpeyes.api.routes.settings import AsRead, Key, Why, id_of, settle
from sharpeyes.api.settings_shapes import (
    Change,
    NewRecipient,
    RecipientChange,
    RecipientSetting,
    RoutingChange,
    RoutingSetting,
    Secrets,
    Tested,
)
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.faults.notify import kept
from sharpeyes.faults.notify.channels import DingTalk, WeCom, check_url
from sharpeyes.faults.notify.post import DeliveryError
from sharpeyes.registry import organise
from sharpeyes.registry import settings as store
from sharpeyes.registry.settings import Changed, Saying
from sharpeyes.store import outbox
from sharpeyes.store.organisation import list_zones
from sharpeyes.store.settings import Kind

router = APIRouter(prefix="/api/v1/settings", tags=["settings"], dependencies=[Admin])


# --- who is told ----------------------------------------------------------------------------------------


@router.get("/recipients")
async def recipients(rooms: Rooms) -> tuple[RecipientSetting, ...]:
    """Where messages about faults go, what is wanted there, and how they fare. No secret is given out."""
    return await rooms.database.aread(lambda connection: _recipients(connection, rooms.configured))


@router.post("/recipients", status_code=HTTPStatus.CREATED)
async def add_recipient(rooms: Rooms, caller: ManagingCaller, form: NewRecipient) -> RecipientSetting:
    """A mailbox, webhook or group robot that is told of faults from now on."""
    configured = rooms.configured
    key, values = id_of(form.id, Kind.RECIPIENT), form.values.plain()
    held = _given(values, {}, form.secrets)
    _complete(configured, key, values, held)

    def step(connection: Connection, saying: Saying) -> Changed:
        known = kept.recipient_entries(connection, configured.faults)
        sealed = kept.seal(configured.vault, key, held)
        return store.add(connection, known, Kind.RECIPIENT, key, values, saying, sealed=sealed)

    await settle(rooms, caller, form.reason, step)
    await configured.retell()
    return next(one for one in await recipients(rooms) if one.id == key)


@router.put("/recipients/{recipient}", status_code=HTTPStatus.NO_CONTENT)
async def set_recipient(rooms: Rooms, caller: ManagingCaller, recipient: Key, form: RecipientChange) -> None:
    """What is wanted there, whether it is told at all; of one that the console made also where it is. A
    password is not handed to another mail server: with another server, enter it anew."""
    configured, values = rooms.configured, form.values.plain()

    def step(connection: Connection, saying: Saying) -> Changed:
        entry = store.find(kept.recipient_entries(connection, configured.faults), Kind.RECIPIENT, recipient)
        if entry.said is None or not entry.said.made:
            there = entry.values["channel"]
            if values["channel"]["kind"] != "email":
                values["channel"]["host"] = there.get("host")
            if form.secrets or values["channel"] != there:
                raise InvalidInputError(
                    "channel: where this recipient is, and its secrets, are declared in cameras.yaml",
                    mend="Change them there, or switch this one off and make another here",
                )
            return store.change(connection, entry, values, saying, version=form.version)
        before = kept.secrets_of(configured.vault, entry)
        held = _given(
            values, before if _same_server(entry.values["channel"], values["channel"]) else {}, form.secrets
        )
        _complete(configured, recipient, values, held)
        return store.change(
            connection,
            entry,
            values,
            saying,
            version=form.version,
            sealed=kept.seal(configured.vault, recipient, held),
            secrets=held != before,
        )

    await settle(rooms, caller, form.reason, step)
    await configured.retell()


@router.post("/recipients/{recipient}/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_recipient(rooms: Rooms, caller: ManagingCaller, recipient: Key, form: Change) -> None:
    """Let cameras.yaml have the word again; secrets that the console was given are forgotten."""
    configured = rooms.configured

    def step(connection: Connection, saying: Saying) -> Changed:
        known = kept.recipient_entries(connection, configured.faults)
        entry = store.find(known, Kind.RECIPIENT, recipient)
        return store.revert(connection, entry, saying, version=form.version)

    await settle(rooms, caller, form.reason, step)
    await configured.retell()


@router.delete("/recipients/{recipient}", status_code=HTTPStatus.NO_CONTENT)
async def remove_recipient(
    rooms: Rooms, caller: ManagingCaller, recipient: Key, version: AsRead, reason: Why = ""
) -> None:
    """Tell nobody there any more, and forget its secrets."""
    configured = rooms.configured

    def step(connection: Connection, saying: Saying) -> Changed:
        known = kept.recipient_entries(connection, configured.faults)
        entry = store.find(known, Kind.RECIPIENT, recipient)
        waiting = _numbers(connection).get(recipient, {}).get("pending", 0)
        used = [f"{waiting} messages wait for it"] if waiting and entry.values["enabled"] else []
        return store.remove(connection, entry, saying, version=version, used_by=used)

    await settle(rooms, caller, reason, step)
    await configured.retell()


@router.post("/recipients/{recipient}/test")
async def test_recipient(rooms: Rooms, caller: ManagingCaller, recipient: Key) -> Tested:
    """Send a message that only tests, now, and say what became of it; also to one that is switched off."""
    began = perf_counter()
    try:
        await rooms.faults.courier.test(recipient)
    except DeliveryError as error:
        outcome = Tested(delivered=False, took_s=_since(began), message=error.message, mend=error.mend)
    else:
        outcome = Tested(delivered=True, took_s=_since(began), message="", mend="")
    result = "taken" if outcome.delivered else outcome.message
    done = Changed(kind=Kind.RECIPIENT, id=recipient, what="tested", fields={"result": ("", result)})
    saying = Saying(by=caller.name, at=rooms.clock())
    await rooms.database.awrite(lambda connection: store.note(connection, done, saying))
    return outcome


def _since(began: float) -> float:
    return round(perf_counter() - began, 3)


def _recipients(connection: Connection, configured: Configured) -> tuple[RecipientSetting, ...]:
    numbers = _numbers(connection)
    return tuple(
        RecipientSetting.of(
            entry, tuple(sorted(kept.secrets_of(configured.vault, entry))), numbers.get(key, {})
        )
        for key, entry in kept.recipient_entries(connection, configured.faults).items()
    )


def _numbers(connection: Connection) -> dict[str, dict[str, int]]:
    """Messages by recipient and state."""
    found: dict[str, dict[str, int]] = {}
    for one in outbox.count(connection):
        found.setdefault(one.recipient, {})[one.state.value] = one.number
    return found


def _given(values: Mapping[str, Any], before: Mapping[str, str], form: Secrets) -> dict[str, str]:
    """The secrets of a channel after a change. InvalidInputError for one that it does not have."""
    known = kept.SECRETS[values["channel"]["kind"]]
    if strange := sorted(form.keys() - set(known)):
        raise InvalidInputError(
            f"secrets: {values['channel']['kind']} has no {strange[0][:32]}",
            mend=f"It has {', '.join(known)}",
        )
    held = {name: value for name, value in before.items() if name in known}
    for name, secret in form.items():
        if secret is None:
            held.pop(name, None)
        else:
            held[name] = kept.check_secret(name, secret.get_secret_value())
    return held


def _complete(configured: Configured, key: str, values: dict[str, Any], held: Mapping[str, str]) -> None:
    """Have the values say where the channel is. InvalidInputError if no recipient comes of them."""
    channel = kept.channel_of(values["channel"], held)
    if isinstance(channel, WeCom | DingTalk) and channel.url.held is not None:
        check_url(channel.url.held.reveal())
    values["channel"] = kept.address_of(channel)
    kept.recipient_of(key, values, channel, configured.timezone)


def _same_server(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a password would go where it went before. URLs are secrets themselves."""
    if before["kind"] != "email" or after["kind"] != "email":
        return bool(before["kind"] == after["kind"])
    return all(before[name] == after[name] for name in ("host", "port", "security", "username"))


# --- who is responsible -----------------------------------------------------------------------------------


@router.get("/routing")
async def routing(rooms: Rooms) -> RoutingSetting:
    """Which unit gets the tickets of which faults."""
    return RoutingSetting.of(
        await rooms.database.aread(lambda c: kept.routing_entry(c, rooms.configured.faults))
    )


@router.put("/routing", status_code=HTTPStatus.NO_CONTENT)
async def set_routing(rooms: Rooms, caller: ManagingCaller, form: RoutingChange) -> None:
    """Another table. It holds for tickets from now on; those that there are stay where they are."""
    values = form.values.plain()
    for unit in [form.values.fallback_unit, *(rule.unit for rule in form.values.rules)]:
        organise.check_id(unit)

    def step(connection: Connection, saying: Saying) -> Changed:
        known = {
            "departments": set(organise.department_entries(connection, rooms.configured.declared)),
            "areas": set(organise.area_entries(connection, rooms.configured.declared)),
            "zones": {zone.id for zone in list_zones(connection)},
        }
        for number, rule in enumerate(values["rules"], start=1):
            for name, there in known.items():
                if missing := sorted(set(rule[name] or ()) - there):
                    raise InvalidInputError(
                        f"rules.{number}.{name}: there is no {missing[0]}", mend="Choose one in service"
                    )
        entry = kept.routing_entry(connection, rooms.configured.faults)
        return store.change(connection, entry, values, saying, version=form.version)

    await settle(rooms, caller, form.reason, step)
    await rooms.configured.retell()


@router.post("/routing/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_routing(rooms: Rooms, caller: ManagingCaller, form: Change) -> None:
    """Let cameras.yaml have the word again."""

    def step(connection: Connection, saying: Saying) -> Changed:
        entry = kept.routing_entry(connection, rooms.configured.faults)
        return store.revert(connection, entry, saying, version=form.version)

    await settle(rooms, caller, form.reason, step)
    await rooms.configured.retell()
