"""The console has words for what the service names by a code: in English and in Chinese.

Sentences are another matter: they change freely, and what has no translation is shown as it came. A code is a
promise, and one without words would be shown as ``masks_changed``.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import sharpeyes
from sharpeyes.access.register.verify import Part, Wrong
from sharpeyes.api.app import create_api
from sharpeyes.discovery.discover import Step as SearchStep
from sharpeyes.discovery.listing import NO_STREAMS, UNBELIEVED
from sharpeyes.domain.access import Purpose, Reason, Role
from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.discovery import FoundStatus, Outcome
from sharpeyes.domain.discovery import How as FoundHow
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.health import FailureKind, PictureFault, Rung, State
from sharpeyes.domain.reports import ReportKind
from sharpeyes.gateway.preflight import Hindrance, How
from sharpeyes.health.judge import GAP, NOT_OBSERVED, PACKET_LOSS, RESTART
from sharpeyes.net.onvif import Trouble
from sharpeyes.registry.imports import Step
from sharpeyes.selfwatch.schedule import Show

WORDS = Path(__file__).parents[3] / "console" / "src" / "i18n"
pytestmark = pytest.mark.skipif(not WORDS.is_dir(), reason="the console's sources are not here")

GATEWAY = Path(sharpeyes.__file__).parent / "gateway"
CODES: dict[str, set[str]] = {
    "viewEnd": set(Reason),
    "hindrance": set(Hindrance),
    "preflight": set(How) - {How.PASSTHROUGH},
    "cause": {*FailureKind, *PictureFault, "prober_canary", "prober_mass", "upstream", "no_stream"}
    | {NOT_OBSERVED, GAP, RESTART, PACKET_LOSS},
    "state": set(State),
    "rung": {rung.label for rung in Rung},
    "role": set(Role),
    "purpose": set(Purpose),
    "clock": set(ClockState),
    "report": set(ReportKind),
    "show": set(Show),
    "outage": {"canary", "mass"},
    "way": {"webrtc", "fmp4", "hls"},
    "wrong": set(Wrong),
    "register.part": set(Part),
    "imports.progress": set(Step),
    "found.status": set(FoundStatus),
    "found.kind": {*Trouble, UNBELIEVED, NO_STREAMS, "internal", "invalid", "unavailable"},
    "discovery.outcome": set(Outcome),
    "discovery.step": set(SearchStep),
    "discovery.how": set(FoundHow),
    "signOn": {"declined", "no_account", "unauthenticated", "unavailable", "other"},
}
SHOWN_NOWHERE = {"checkpoint", "register_damaged", "view_over", "no_account"}
"""Kinds of errors that the console's requests do not meet, or that it says by their reason."""


def keys(language: str) -> set[str]:
    """All keys of a language: of its file, and of those that it is put together from."""
    files = [WORDS / f"{language}.ts", *WORDS.glob(f"*.{language}.ts")]
    return {key for file in files for key in re.findall(r"^\s+'([\w.]+)':", file.read_text("utf-8"), re.M)}


def kinds() -> Iterator[str]:
    """Of every error of the product."""
    for module in pkgutil.walk_packages(sharpeyes.__path__, "sharpeyes."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    waiting = [SharpEyesError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith("sharpeyes."):
            yield error.kind


def ends() -> set[str]:
    """Why the gateway says that views end, besides the reasons of rights."""
    source = "\n".join(file.read_text("utf-8") for file in GATEWAY.glob("*.py"))
    found = set(re.findall(r'\.end\((?:[^()]|\([^()]*\))*?"(\w+)"\)|\.end, lease, "(\w+)"', source))
    found |= set(re.findall(r'return "(\w+_changed)"()', source)) | {("stopped", ""), ("rights_unknown", "")}
    return {first or second for first, second in found}


GROUPS = {
    "ClockState": "clock",
    "ExclusionScope": "rates.by",
    "ExclusionStage": "exclusion",
    "Every": "rates.step",
    "FaultKind": "fault",
    "Hindrance": "hindrance",
    "How": "preflight",
    "Kind": "register",
    "Move": "move",
    "NodeKind": "node",
    "NodeOrigin": "nodeOrigin",
    "Part": "register.part",
    "Purpose": "purpose",
    "Reason": "viewEnd",
    "ReportKind": "report",
    "ReportStage": "reports.stage",
    "Role": "role",
    "Scope": "routeScope",
    "Severity": "severity",
    "Show": "show",
    "Stage": "request",
    "State": "state",
    "Step": "imports.progress",
    "TicketStage": "stage",
    "Tier": "tier",
    "Topic": "topic",
    "Wrong": "wrong",
    "DeliveryState": "messages",
    "Enrol": "discovery.enrol",
    "FoundStatus": "found.status",
    "Source": "settings.source",
    "Outcome-Output": "outcome",
    "sharpeyes__registry__imports__Outcome": "outcome",
    "sharpeyes__store__contests__Outcome": "contest",
}
"""Enumerations of the API, and the group of words that the console says them with."""
UNSAID = {
    "Action": "a box to tick has a sentence of its own",
    "EventsStatus": "an address of the device, not of the page",
    "Format": "the ending of a file",
    "Lang": "a language is called by its own name",
    "Language": "a language is called by its own name",
    "Place": "a camera of such a place is refused with a sentence",
    "PullState": "the tile says it in a sentence",
}
SILENT = {"preflight.passthrough"}
"""Nothing is said where nothing is to be said."""
WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def enumerations() -> dict[str, list[str]]:
    """Of the API, by their names in its document."""
    schemas = create_api(MagicMock(map_tiles=None)).openapi()["components"]["schemas"]
    return {name: schema["enum"] for name, schema in schemas.items() if "enum" in schema}


def event_kinds() -> set[str]:
    """Of the journal's lines: what stands in the source as the kind of one, or is passed on as that."""
    found: set[str] = set()
    for file in Path(sharpeyes.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        lines = [call for call in calls if _name(call.func) == "Event"]
        said = [keyword.value for call in lines for keyword in call.keywords if keyword.arg == "kind"]
        if any(isinstance(value, ast.Name) for value in said):  # by a name: whatever is given it here
            helpers = {
                one.name: [argument.arg for argument in one.args.args].index("kind")
                for one in ast.walk(tree)
                if isinstance(one, ast.FunctionDef) and "kind" in [a.arg for a in one.args.args]
            }
            for call in calls:
                place = helpers.get(_name(call.func))
                if place is not None:
                    said += [
                        *call.args[place : place + 1],
                        *(k.value for k in call.keywords if k.arg == "kind"),
                    ]
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        said += _given(target, node.value)
        constants = (node for value in said for node in ast.walk(value) if isinstance(node, ast.Constant))
        found |= {one.value for one in constants if isinstance(one.value, str) and WORD.fullmatch(one.value)}
    return found


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def _given(target: ast.expr, value: ast.expr) -> list[ast.expr]:
    """What a name ``kind`` is assigned, by itself or among others."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return [given for one, given in pairs if isinstance(one, ast.Name) and one.id == "kind"]
    return [value] if isinstance(target, ast.Name) and target.id == "kind" else []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_enumeration_of_the_api_has_words(language: str) -> None:
    known, found = keys(language), enumerations()
    assert sorted(set(found) - set(GROUPS) - set(UNSAID)) == [], "which group says these?"
    wanted = {
        f"{GROUPS[name]}.{value}" for name, values in found.items() if name in GROUPS for value in values
    }
    assert sorted(wanted - known - SILENT) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_of_line_in_the_journal_has_words(language: str) -> None:
    found = event_kinds()
    assert {"dossier_changed", "camera_retired", "device_moved", "exclusion", "conflict"} <= found
    assert sorted({f"kind.{kind}" for kind in found} - keys(language)) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_code_has_words(language: str) -> None:
    known = keys(language)
    wanted = {f"{group}.{code}" for group, codes in CODES.items() for code in codes}
    wanted |= {f"viewEnd.{why}" for why in ends()}
    wanted |= {f"problem.{kind}" for kind in set(kinds()) - SHOWN_NOWHERE}
    assert sorted(wanted - known) == []


def test_the_ends_of_views_are_found_in_the_source() -> None:
    assert {
        "left",
        "masks_changed",
        "codec_changed",
        "never_connected",
        "failed",
        "gateway_stopped",
    } <= ends()


def test_both_languages_have_the_same_words() -> None:
    assert sorted(keys("en") ^ keys("zh")) == []


def test_every_reason_of_a_refusal_is_said_in_chinese() -> None:
    table = (WORDS / "service.zh.ts").read_text("utf-8").partition("SENTENCES")[0]
    assert sorted(set(Reason) - set(re.findall(r"^  (\w+): '", table, re.M))) == []
