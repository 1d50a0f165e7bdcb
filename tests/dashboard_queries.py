"""What the dashboards of deploy/grafana ask of Prometheus, with Grafana's placeholders filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

DEPLOY = Path(__file__).parents[1] / "deploy"
MACROS = {"$__rate_interval": "15s", "$__range": "1m"}
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def queries() -> Iterator[tuple[str, str]]:
    """(where it stands, PromQL) of every panel, annotation and variable."""
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.stem}: {panel['title']}", _filled(target["expr"])
        for annotation in document["annotations"].get("list", ()):
            yield f"{path.stem}: annotation {annotation['name']}", _filled(annotation["expr"])
        for variable in document["templating"]["list"]:
            if variable["type"] == "query":
                found = _LABEL_VALUES.fullmatch(variable["query"])
                assert found, variable["query"]
                yield f"{path.stem}: variable {variable['name']}", f"count by ({found[2]}) ({found[1]})"


def _filled(expr: str) -> str:
    for macro, value in MACROS.items():
        expr = expr.replace(macro, value)
    return re.sub(r"\$\w+", ".*", expr)
