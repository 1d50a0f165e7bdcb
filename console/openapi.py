"""Write the types of the API that the console is made against: openapi.json, and of it src/api/schema.d.ts.

    python console/openapi.py

Needs npm, and the console's packages (``npm ci`` in console/). The first line of the types is the digest of
the API that they are of, by which a test without node tells types that are behind.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from sharpeyes.api.app import create_api

HERE = Path(__file__).parent
TYPES = HERE / "src" / "api" / "schema.d.ts"
HEAD = "// Types of the API with digest "
PROSE = ("title", "description", "summary")
"""Left out of the digest: words alone change no type, and differ between versions of Python."""


def document() -> dict[str, Any]:
    """The service's OpenAPI document."""
    return create_api(MagicMock(map_tiles=None)).openapi()  # nothing is called: only the routes are looked at


def digest(document: dict[str, Any]) -> str:
    """SHA-256 (hex) of what the types are made of."""
    plain = _plain({"paths": document["paths"], "components": document["components"]})
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not (k in PROSE and isinstance(v, str))}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("there is no npm on the PATH")
    api = document()
    (HERE / "openapi.json").write_text(json.dumps(api, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    subprocess.run([npm, "run", "--silent", "api"], cwd=HERE, check=True)  # noqa: S603  # our own command
    types = TYPES.read_text(encoding="utf-8")
    TYPES.write_text(f"{HEAD}{digest(api)}\n{types}", encoding="utf-8")
    sys.stdout.write(f"{TYPES}\n")


if __name__ == "__main__":
    main()
