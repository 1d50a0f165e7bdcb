"""The console's types are of the API that there is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[3] / "console" / "openapi.py"


@pytest.fixture(scope="module")
def openapi() -> ModuleType:
    spec = importlib.util.spec_from_file_location("console_openapi", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_types_of_the_console_are_of_this_api(openapi: ModuleType) -> None:
    first = openapi.TYPES.read_text(encoding="utf-8").splitlines()[0]
    assert first == openapi.HEAD + openapi.digest(openapi.document()), (
        "the API has changed since console/src/api/schema.d.ts was made: run 'python console/openapi.py'"
    )


def test_a_digest_is_of_shapes_and_not_of_their_prose(openapi: ModuleType) -> None:
    def api(**shape: object) -> dict[str, object]:
        return {"info": {}, "paths": {}, "components": {"schemas": {"A": shape}}}

    one = openapi.digest(api(description="old", properties={"title": {"type": "string"}}))
    assert one == openapi.digest(api(description="new", properties={"title": {"type": "string"}}))
    assert one != openapi.digest(api(description="old", properties={"title": {"type": "integer"}}))
    assert one != openapi.digest(api(description="old", properties={}))
