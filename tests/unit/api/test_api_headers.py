"""No answer can be kept by a cache, guessed to be another thing, framed, or read by another site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from api_client import Client, client_of
from api_people import staff_of
from sharpeyes.api.app import create_api
from sharpeyes.api.headers import PRIVATE
from sharpeyes.app import context_of


def lacking(headers: Mapping[str, str]) -> set[str]:
    """What an answer does not have, whatever the words."""
    return {name for name in PRIVATE if name not in headers}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/cameras", 200),
        ("/api/v1/cameras/table", 200),
        ("/api/v1/cameras/nowhere", 404),
        ("/api/v1/cameras?limit=0", 422),
        ("/api/v1/nothing", 404),
        ("/api/v1/dossiers/export?format=csv", 200),
        ("/healthz", 200),
        ("/openapi.json", 200),
        ("/assets/nothing.js", 404),
        ("/", 200),
    ],
)
async def test_every_answer_is_private(client: Client, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert lacking(answer.headers) == set()
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path.startswith("/api"):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == PRIVATE["Content-Security-Policy"]


async def test_refusals_and_failures_are_private_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.ASGITransport(create_api(context_of(client.service)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sharpeyes") as stranger:
        assert lacking((await stranger.get("/api/v1/cameras")).headers) == set()
        big = await stranger.post("/api/v1/session", headers={"Content-Length": str(1 << 40)}, content=b"")
        assert big.status_code == 413
        assert lacking(big.headers) == set()
        monkeypatch.setattr(client.service.board, "tally", None)
        failed = await stranger.get("/api/v1/status", headers=client.headers)
        assert failed.status_code == 500
        assert lacking(failed.headers) == set()


async def test_what_the_console_has_for_itself_stays(client: Client) -> None:
    page = await client.get("/")
    assert "script-src 'self'" in page.headers["content-security-policy"] or "not built" in page.text
    assert page.headers.get_list("content-security-policy") == [page.headers["content-security-policy"]]


async def test_public_figures_may_be_kept(tmp_path: Path) -> None:
    async with client_of(tmp_path, transparency_public=True) as client, staff_of(client, ()):
        answer = await client.get("/api/v1/transparency?month=2024-01", headers={"Authorization": ""})
        assert answer.headers["cache-control"] == "public, max-age=3600"
