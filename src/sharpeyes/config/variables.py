"""docs/settings.md, drawn from the settings themselves: ``python -m sharpeyes.config.variables``."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sharpeyes.config.settings import PREFIX, Settings

_HEAD = f"""\
# Settings

Drawn from the code by `python -m sharpeyes.config.variables > docs/settings.md`; a test keeps it so.

How the service runs on its machine is said by variables; an unknown one is refused, an empty one is as unset.
`--config`, `--data-dir`, `--host`, `--port` and `--log-level` of `sharpeyes serve` win over theirs. What the
city is stands in `cameras.yaml`. Besides, `FORWARDED_ALLOW_IPS` names the proxies whose word about a client's
address is believed (default `127.0.0.1,::1`).

| variable `{PREFIX}…` | default | means |
| --- | --- | --- |
"""


def draw() -> str:
    """The whole page."""
    told, default = _told(), Settings()
    rows = [
        f"| `{field.name.upper()}` | {_shown(getattr(default, field.name))} | {told[field.name]} |"
        for field in fields(Settings)
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _told() -> dict[str, str]:
    """What stands below each field."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for item, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[item.target.id] = _marked(" ".join(text.split()))
    return found


def _marked(text: str) -> str:
    """For who reads no code: variables for fields, and nothing set for None."""
    names = {field.name for field in fields(Settings)}
    marked = re.sub("``(.*?)``", lambda m: f"`{PREFIX + m[1].upper() if m[1] in names else m[1]}`", text)
    return re.sub(r"\bNone\b", "unset", marked)


def _shown(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, Mapping | tuple) and not value):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    sys.stdout.write(draw())
