"""The console has words for what the service names by a code: in English and in Chinese.

Sentences are another matter: they change freely, and what has no translation is shown as it came. A code is a
promise, and one without words would be shown as ``masks_changed``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sharpeyes
from sharpeyes.access.register.verify import Part, Wrong
from sharpeyes.domain.access import Purpose, Reason, Role
from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.health import FailureKind, PictureFault, Rung, State
from sharpeyes.domain.reports import ReportKind
from sharpeyes.gateway.preflight import Hindrance, How
from sharpeyes.health.judge import GAP, NOT_OBSERVED, PACKET_LOSS, RESTART
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
