"""The console's files, and what a browser is told about them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api_client import Client
from sharpeyes.api import problems
from sharpeyes.api.console import console_routes

SCRIPT = b"export const answer = 42\n" * 100


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>console</title>")
    (folder / "mark.svg").write_text("<svg/>")
    (folder / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "secret.txt").write_text("nobody's business")
    return folder


@pytest.fixture
async def console(assets: Path) -> AsyncIterator[httpx.AsyncClient]:
    api = FastAPI()
    problems.install(api)
    api.include_router(console_routes(assets))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://sharpeyes") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/cameras", "/cameras/gate-3", "/rates?by=area"])
async def test_every_page_is_the_console_and_is_asked_for_again(
    console: httpx.AsyncClient, path: str
) -> None:
    answer = await console.get(path)
    assert "<title>console</title>" in answer.text
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/assets/index-abc.js", "/mark.svg"])
async def test_nothing_inline_and_no_other_host_is_allowed(console: httpx.AsyncClient, path: str) -> None:
    headers = (await console.get(path)).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not any("unsafe" in sources or "http" in sources for sources in policy.values())
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_hashed_files_are_kept_for_ever_and_sent_packed(console: httpx.AsyncClient) -> None:
    answer = await console.get("/assets/index-abc.js", headers={"Accept-Encoding": "gzip, br"})
    assert answer.content == SCRIPT
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(SCRIPT)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["vary"] == "Accept-Encoding"
    plain = await console.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == SCRIPT
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/index-old.js",
        "/missing.png",
        "/assets/..%2f..%2fsecret.txt",
        "/..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/api/v1/nothing",
    ],
)
async def test_what_is_not_there_is_not_a_page(console: httpx.AsyncClient, path: str) -> None:
    answer = await console.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_assets_it_says_how_to_build_them(assets: Path) -> None:
    (assets / "index.html").unlink()
    api = FastAPI()
    api.include_router(console_routes(assets))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://sharpeyes") as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert "pip install ." in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_service_answers_its_own_paths(client: Client) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "SharpEyes"
    assert (await client.get("/api/v1/nothing")).headers["content-type"] == "application/problem+json"
    assert (await client.get("/")).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("tiles", "images"),
    [
        (None, "'self' data: blob:"),
        ("/tiles/{z}/{x}/{y}.png", "'self' data: blob:"),
        ("https://tiles.example:8443/{z}/{x}/{y}.png", "'self' https://tiles.example:8443 data: blob:"),
    ],
)
async def test_images_come_from_the_host_of_the_tiles_that_is_configured(
    assets: Path, tiles: str | None, images: str
) -> None:
    api = FastAPI()
    api.include_router(console_routes(assets, tiles=tiles))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://sharpeyes") as client:
        told = (await client.get("/map")).headers["content-security-policy"]
    policy = dict(part.strip().partition(" ")[::2] for part in told.split(";"))
    assert policy["img-src"] == images
    assert policy["script-src"] == policy["connect-src"] == "'self'"
