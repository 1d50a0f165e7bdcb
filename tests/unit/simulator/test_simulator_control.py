"""The control API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from virtual_client import ACCOUNT, device, playing

from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.simulator.control import ControlServer
from sharpeyes.simulator.simulator import Simulator


@asynccontextmanager
async def controlled(cache: Path) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    async with playing(cache, device(), device("nvr", channels=2)) as simulator:
        server = ControlServer(simulator)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                yield simulator, client
        finally:
            await server.stop()


async def test_lists_sets_and_clears(cache: Path) -> None:
    async with controlled(cache) as (simulator, client):
        rows = (await client.get("/cameras")).json()
        assert [each["id"] for each in rows] == ["cam", "nvr-1", "nvr-2"]
        assert rows[0]["streams"]["main"] == simulator.endpoints["cam"].url
        assert rows[0]["fault"] is None
        assert ACCOUNT.password.reveal() not in json.dumps(rows)
        wanted = {"kind": "hang", "phase": "setup"}
        assert (await client.put("/cameras/cam/fault", json=wanted)).status_code == 200
        assert (await client.get("/cameras/cam")).json()["fault"] == wanted
        assert (await client.put("/cameras/nvr/fault", json={"kind": "auth"})).status_code == 200
        assert (await client.get("/cameras/nvr-2")).json()["fault"] == {"kind": "auth"}
        assert (await client.delete("/cameras/cam/fault")).status_code == 204
        assert (await client.get("/cameras/cam")).json()["fault"] is None
        status = (await client.get("/status")).json()
        assert (status["cameras"], status["sessions"]) == (3, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "/cameras/cam/fault", b"{", 422, "no JSON"),
        ("PUT", "/cameras/cam/fault", b"[" * 5000, 422, "no JSON"),
        ("PUT", "/cameras/cam/fault", b'{"kind": "boom"}', 422, "boom"),
        ("PUT", "/cameras/nvr-1/fault", b'"off"', 422, "alone"),
        ("PUT", "/cameras/none/fault", b'"off"', 404, "none"),
        ("DELETE", "/cameras/none/fault", b"", 404, "none"),
        ("GET", "/cameras/none", b"", 404, "none"),
        ("GET", "/", b"", 404, "nothing here"),
        ("POST", "/cameras", b"", 405, "POST"),
    ],
)
async def test_mistakes_are_told(
    cache: Path, method: str, path: str, body: bytes, status: int, says: str
) -> None:
    async with controlled(cache) as (_, client):
        response = await client.request(method, path, content=body)
        assert response.status_code == status
        assert says in response.json()["error"]["message"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
async def test_web_pages_are_not_served(cache: Path, headers: dict[str, str]) -> None:
    async with controlled(cache) as (simulator, client):
        response = await client.put("/cameras/cam/fault", json="off", headers=headers)
        assert response.status_code == 403
        assert simulator.fault("cam") is None


async def test_loopback_only(cache: Path) -> None:
    async with playing(cache) as simulator:
        for host in ("0.0.0.0", "example.com", "192.0.2.1"):
            with pytest.raises(InvalidInputError, match=r"127\."):
                await ControlServer(simulator).start(host)
        first, second = ControlServer(simulator), ControlServer(simulator)
        await first.start()
        with pytest.raises(UnavailableError, match="Choose another port"):
            await second.start(port=int(first.url.rsplit(":", 1)[1]))
        await first.stop()
