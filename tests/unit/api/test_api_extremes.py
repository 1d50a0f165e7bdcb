"""Every question that can be asked, with the ends of what can be said: an answer or a refusal, never a
failure. Generated from the description, so that a route that somebody adds is in it without being told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api_client import Client
from sharpeyes.api.console import console_routes

WORDS = ("\0", "x" * 3000, "../../etc/passwd", "%")
NUMBERS = ("0", "-1", str(1 << 63), str(10**30), "1e400")
INSTANTS = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-99999999999", "1e300")
ENDLESS = {"/api/v1/live"}


def extremes(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", []):
        yield from extremes(one, document)
    match schema:
        case {"format": "date-time"}:
            yield from INSTANTS
        case {"type": "integer" | "number"}:
            yield from NUMBERS
        case {"type": "array", "items": items}:
            yield from extremes(items, document)
        case {"type": "string"}:
            yield from (*schema.get("enum", ())[:1], *WORDS)


def questions(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Paths and queries: each parameter at each of its ends, and all instants at theirs at once."""
    for path, methods in document["paths"].items():
        if "get" not in methods or path in ENDLESS:
            continue
        parameters = methods["get"].get("parameters", [])
        ends = {
            one["name"]: tuple(extremes(one["schema"], document))
            for one in parameters
            if one["in"] == "query"
        }
        needed = {
            one["name"]: (ends[one["name"]] or ("1",))[0]
            for one in parameters
            if one["in"] == "query" and one.get("required")
        }
        for one in parameters:
            if one["in"] == "path":
                path = path.replace("{" + one["name"] + "}", "gate-1")
        for name, values in ends.items():
            for value in values:
                yield path, needed | {name: value}
        instants = [name for name, values in ends.items() if INSTANTS[0] in values]
        for first in INSTANTS:
            for second in INSTANTS:
                yield path, needed | dict(zip(instants, (first, second), strict=False))


async def test_no_question_is_too_extreme_to_be_answered(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    asked = set()
    for path, query in questions(document):
        if (key := (path, *sorted(query.items()))) in asked:
            continue
        asked.add(key)
        answer = await client.get(path, params=query)
        assert answer.status_code < 500 or answer.status_code == 503, f"{path} {query}: {answer.text}"
    assert len(asked) > 500


@pytest.mark.parametrize("path", ["/" + "x" * 300, "/assets/" + "x" * 300, "/%00", "/assets/%00.js"])
async def test_no_path_is_too_long_for_the_console(tmp_path: Path, path: str) -> None:
    (tmp_path / "assets").mkdir()
    page = FastAPI()
    page.include_router(console_routes(tmp_path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://sharpeyes") as browser:
        assert (await browser.get(path)).status_code in (200, 404)
