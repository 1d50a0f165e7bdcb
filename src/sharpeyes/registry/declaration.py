"""What holds by now, written as sections of ``cameras.yaml``: so that what the console says can be moved into
the file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sharpeyes.registry.settings import SettingsEntry, Source

Entries = Mapping[str, SettingsEntry]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HEAD = """\
# Sections of cameras.yaml as they hold in SharpEyes by now: put them in place of those in the file, set the
# environment variables named here, and restart the service. What the console says and the file says too is
# the file's from then on; recipients of the console go back to the file in the settings.
"""
SECRETS = {
    "email": ("password",),
    "webhook": ("secret",),
    "wecom": ("url",),
    "dingtalk": ("url", "sign"),
}


def written(
    tiers: Entries,
    departments: Entries,
    areas: Entries,
    outlines: Entries,
    recipients: Entries,
    routing: SettingsEntry,
) -> str:
    """The YAML. Secrets are environment variables to be set; outlines of more than one ring stay where they
    are, with a line about it."""
    faults: dict[str, Any] = {"fallback_unit": routing.values["fallback_unit"]}
    if routing.values["rules"]:
        faults["routes"] = [_without_none(rule) for rule in routing.values["rules"]]
    own = [entry for entry in recipients.values() if entry.source in (Source.CONSOLE, Source.CLASH)]
    if own:
        faults["recipients"] = [_recipient(entry) for entry in own]
    document = {
        "tiers": {key: dict(entry.values) for key, entry in tiers.items()},
        "departments": {key: _without_none(entry.values) for key, entry in departments.items()},
        "areas": _below(None, areas, outlines, frozenset()),
        "faults": faults,
    }
    notes = [
        f"# boundary of {key}: has several rings; keep it as a GeoJSON file and name that here\n"
        for key, entry in outlines.items()
        if entry.values["geometry"] is not None and _ring(entry) is None
    ]
    if len(own) < len(recipients):
        notes.append("# recipients that the file declares stay as they stand there: keep these lines of it\n")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return HEAD + "".join(notes) + text


def _below(parent: str | None, areas: Entries, outlines: Entries, above: frozenset[str]) -> dict[str, Any]:
    found = {}
    for key, entry in areas.items():
        inner = entry.values["parent"]
        if (inner if inner in areas else None) != parent or key in above:
            continue
        one = _without_none({name: value for name, value in entry.values.items() if name != "parent"})
        if key in outlines and (ring := _ring(outlines[key])) is not None:
            one["boundary"] = ring
        if children := _below(key, areas, outlines, above | {key}):
            one["children"] = children
        found[key] = one
    return found


def _ring(outline: SettingsEntry) -> list[Any] | None:
    """The one ring of an outline, if there is but one."""
    geometry = outline.values["geometry"]
    if geometry is None or geometry["type"] != "Polygon" or len(geometry["coordinates"]) != 1:
        return None
    ring: list[Any] = geometry["coordinates"][0]
    return ring


def _recipient(entry: SettingsEntry) -> dict[str, Any]:
    values = entry.values
    channel = {name: value for name, value in values["channel"].items() if name not in ("kind", "host")}
    kind = values["channel"]["kind"]
    if kind == "email":
        channel["host"] = values["channel"]["host"]
    if kind == "webhook":
        channel["url"] = f"https://{values['channel']['host']}/"
    variable = "".join(c if c.isascii() and c.isalnum() else "_" for c in entry.id).upper()
    for name in SECRETS[kind]:
        if name not in ("password", "sign") or channel.get("username"):
            channel[f"{name}_env"] = f"NOTIFY_{variable}_{name.upper()}"
    quiet = values["quiet"]
    told = {
        "id": entry.id,
        kind: _without_none(channel),
        "language": values["language"],
        "units": values["units"],
        "least": values["least"],
        "level": values["level"] or None,
        "quiet": None
        if quiet is None
        else {
            "start": _clock(quiet["start"]),
            "end": _clock(quiet["end"]),
            "days": [WEEKDAYS[day] for day in quiet["days"]],
        },
        "digests": [_clock(minute) for minute in values["digests"]] or None,
    }
    return _without_none(told)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
