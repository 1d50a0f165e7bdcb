"""Dashboards are what their code builds, and ask only for what the service tells; so do the rules."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import textwrap
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api_client import CITY, Client, client_of, until_probed
from dashboard_queries import DEPLOY, queries
from sharpeyes.domain.faults import Severity, TicketStage
from sharpeyes.domain.time import Ms
from sharpeyes.selfwatch.schedule import Show
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store.faults import TicketCount

RULES = DEPLOY / "prometheus/rules/sharpeyes.yaml"
METRICS = DEPLOY.parent / "docs" / "metrics.md"
API = DEPLOY.parent / "src/sharpeyes/api"
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
"""Made by Prometheus itself, with the labels that are asked for."""
ADDED = {"job", "instance", "camera_id"}
"""Labels that Prometheus adds when it scrapes."""


def parser() -> ModuleType:
    return pytest.importorskip(
        "promql_parser", reason="SKIPPED: promql-parser is not installed; make .venv anew"
    )


@pytest.fixture(scope="module")
def build() -> ModuleType:
    pytest.importorskip(
        "grafana_foundation_sdk", reason="SKIPPED: grafana-foundation-sdk is not installed; make .venv anew"
    )
    spec = importlib.util.spec_from_file_location("dashboards", DEPLOY / "grafana/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def told(tmp_path: Path) -> dict[str, set[str]]:
    """Every series that the service has: its name and the labels on it."""
    place = Addressing(network="127.0.23.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    async with (
        Simulator(uniform(1, credentials=None, scenes=1), addressing=place) as simulator,
        _watching(tmp_path, simulator.endpoints["camera-0001"].url) as client,
    ):
        await until_probed(client)
        while "sharpeyes_tickets_counted_timestamp" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.05)  # the first count would undo what is told below
        counts = TicketCount(severity=Severity.MAJOR, stage=TicketStage.ROUTED, open=2, overdue=1)
        client.service.metrics.tell_tickets([counts], Ms(1))
        client.service.metrics.tell_detected(Show.BLACK, 40.0)
        while "sharpeyes_canary_failing{" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.05)
        paths = ("/metrics", "/metrics/cameras", "/probe?target=gate-1", "/probe?target=gate-2")
        pages = [(await client.get(path)).text for path in paths]
    found: dict[str, set[str]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _watching(folder: Path, url: str) -> AbstractAsyncContextManager[Client]:
    """The usual service, with one camera that delivers: at ``url``."""
    text = textwrap.dedent(CITY).replace("rtsp://127.0.0.1:1/a", url)
    (folder / "cameras.yaml").write_text(text, encoding="utf-8")
    return client_of(folder, camera_metrics="true", canaries="true")


def test_they_are_what_the_code_builds(build: ModuleType) -> None:
    assert {path.stem for path in (DEPLOY / "grafana").glob("*.json")} == set(build.DASHBOARDS)
    for name in build.DASHBOARDS:
        kept = (DEPLOY / f"grafana/{name}.json").read_text(encoding="utf-8")
        assert kept == build.render(name), f"{name}.json is old: run python deploy/grafana/build.py"


def test_panels_do_not_lie_on_each_other(build: ModuleType) -> None:
    for name in build.DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        panels = json.loads(build.render(name))["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert max(x for x, _ in cells) < 24
            assert not cells & taken, f"{name}: {panel['title']}"
            taken |= cells


def rules() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule.get("record") or rule["alert"], rule["expr"]


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector of a parsed query."""
    promql = parser()
    if isinstance(node, promql.VectorSelector):
        yield node
        return
    for part in ("expr", "lhs", "rhs", "args", "param", "vector_selector", "vs"):
        below = getattr(node, part, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None and type(one).__module__ == type(node).__module__:
                yield from selectors(one)


def documented() -> dict[str, set[str]]:
    """The series of the table, those of parts that may be switched off included, with their labels."""
    rows = re.findall(r"(?m)^\| `((?:sharpeyes|probe)_\w+)` \| (.*?) \|", METRICS.read_text(encoding="utf-8"))
    found = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    histograms = {name: labels for name, labels in found.items() if name.endswith("_seconds")}
    parts = {f"{name}_{part}": labels for name, labels in histograms.items() for part in ("sum", "count")}
    return found | parts


async def test_queries_ask_only_for_what_is_told(told: dict[str, set[str]]) -> None:
    promql = parser()
    recorded = {name for name, _ in rules() if ":" in name}
    known = documented() | told | OF_PROMETHEUS | {name: {"tier", "zone", "result"} for name in recorded}
    asked = 0
    for place, expr in [*queries(), *rules()]:
        for selector in selectors(promql.parse(expr)):
            asked += 1
            labels = {matcher.name for matcher in selector.matchers.matchers}
            assert selector.name in known, f"{place}: nobody tells {selector.name}"
            missing = labels - known[selector.name] - ADDED - {"__name__"}
            assert not missing, f"{place}: {selector.name} has no label {missing}"
    assert asked > 80
    asked_for = {s.name for _, expr in [*queries(), *rules()] for s in selectors(promql.parse(expr))}
    assert recorded <= asked_for, "recorded, and asked for by nobody"


async def test_every_metric_is_in_the_table(told: dict[str, set[str]]) -> None:
    text = METRICS.read_text(encoding="utf-8")
    table = dict(re.findall(r"(?m)^\| `((?:sharpeyes|probe)_\w+)` \| (.*?) \|", text))
    own = {re.sub(r"_(bucket|sum|count|created)$", "", n): labels for n, labels in told.items()}
    own = {name: labels for name, labels in own.items() if name.startswith(("sharpeyes_", "probe_"))}
    assert not set(own) - set(table)
    for name, labels in own.items():
        assert set(re.findall(r"`(\w+)`", table[name])) == labels - {"le"}, name
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(API.rglob("*.py")))
    for name in set(table) - set(own):  # some parts of a service may be switched off
        assert name.removeprefix("sharpeyes_").removesuffix("_total") in code, f"nobody tells {name}"
