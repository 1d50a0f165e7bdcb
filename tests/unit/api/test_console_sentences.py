"""What the service says to whoever reads Chinese: every refusal that the console may show is known there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sharpeyes

PACKAGE = Path(sharpeyes.__file__).parent
WORDS = Path(__file__).parents[3] / "console" / "src" / "i18n"
pytestmark = pytest.mark.skipif(not WORDS.is_dir(), reason="the console's sources are not here")

ELSEWHERE = (
    *("app.py", "cli/", "config/", "simulator/", "selfwatch/stage.py", "health/diagnose/", "wire/", "net/"),
    # before the service is up, and to those who check a register on its machine
    *("store/database.py", "store/vault.py", "rates/retention.py", "registry/import_map.py"),
    *("access/register/entry.py", "access/register/note.py", "access/register/retention.py"),
    # to scrapers and players
    *("api/routes/blackbox.py", "api/routes/service.py", "api/routes/views.py", "gateway/hls.py"),
    *("gateway/settings.py", "gateway/peer.py"),
    # how the service is configured
    *("faults/policy.py", "faults/causes.py", "store/rollups.py"),
)
"""Rooms whose refusals no page of the console shows: they are said on a terminal, in a log, to a machine."""
UNTOLD = {
    "the manifest is not one of a report": "of the command",
    "It is the .manifest.json beside it": "of the command",
    "\0 may not read the metrics": "to scrapers",
    "Add its network to SHARPEYES_METRICS_ALLOW, or send a token": "to scrapers",
    "fragment: longer than \0 characters": "to players",
    "a header holds a line break": "a defect of ours",
    "a secret needs exactly one of env, file and held": "of cameras.yaml",
}
ENTRY = re.compile(r"^\s*\[/(.*)/, '((?:[^'\\]|\\.)*)'\],$", re.MULTILINE)


def table() -> list[tuple[re.Pattern[str], str]]:
    """Patterns and what they become, in the order in which they are tried."""
    main = (WORDS / "service.zh.ts").read_text("utf-8")
    files = [main, *(file.read_text("utf-8") for file in sorted(WORDS.glob("*.service.zh.ts")))]
    return [
        (re.compile(found[1].replace("\\/", "/")), found[2]) for one in files for found in ENTRY.finditer(one)
    ]


def texts(node: ast.expr) -> list[str]:
    """What an expression may say, with ``\\0`` for what is not known before."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(part.value if isinstance(part, ast.Constant) else "\0" for part in values)]  # type: ignore[misc]
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body) + texts(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in texts(left) or ["\0"] for b in texts(right) or ["\0"]]
        case _:
            return []


def errors(trees: list[ast.Module]) -> set[str]:
    """The names of all classes of errors."""
    known = {"SharpEyesError"}
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while found := {
        one.name
        for one in classes
        if one.name not in known
        and any(isinstance(base, ast.Name) and base.id in known for base in one.bases)
    }:
        known |= found
    return known


def sentences() -> Iterator[tuple[str, str]]:
    """Messages and mends, each with where it is said."""
    files = {
        str(file.relative_to(PACKAGE)): ast.parse(file.read_text("utf-8")) for file in PACKAGE.rglob("*.py")
    }
    known = errors(list(files.values()))
    for name, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                said = [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("message", "mend"))]
                for text in (text for one in said for text in texts(one)):
                    yield f"{name}:{node.lineno}", text


def test_every_refusal_that_the_console_may_show_is_known_in_chinese() -> None:
    patterns = [pattern for pattern, _ in table()]
    assert len(patterns) > 500
    unknown = []
    for where, text in sentences():
        if where.startswith(ELSEWHERE) or text in UNTOLD or not re.search("[a-z]{2}", text):
            continue
        if not re.sub("^[a-z_]+: ", "", text).replace("\0", "").strip(" :"):
            continue  # put together of what is said elsewhere
        tried = (text.replace("\0", said) for said in ("x1", "3", "camera", "2026-10-01T00:00:00.000Z"))
        if not any(pattern.search(one) for one in tried for pattern in patterns):
            unknown.append(f"{where} {text!r}")
    assert unknown == []


def test_what_is_said_in_chinese_holds_no_place_that_its_pattern_does_not_fill() -> None:
    for pattern, chinese in table():
        places = {int(number) for number in re.findall(r"\$(\d)", chinese)}
        assert all(place <= pattern.groups for place in places), chinese
        assert re.search("[\u4e00-\u9fff]", chinese), chinese
