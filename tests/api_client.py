"""A whole service on a temporary database, called in-process over ASGI."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from fastapi import FastAPI
from sqlalchemy import URL

from sharpeyes.api.app import create_api
from sharpeyes.app import Service, context_of
from sharpeyes.config import Settings, load
from sharpeyes.domain.time import Ms
from sharpeyes.net.own_clock import wall_clock
from sharpeyes.store.database import Database

# Nothing listens on port 1 of the loopback: these cameras refuse at once.
CITY = """
    site: {name: Test, timezone: Asia/Shanghai}
    tiers:
      public_security: {target: 0.98, liveness_s: 10}
    zones: {police: {name: Police, network: 1}}
    departments:
      psb: {name: Public Security, industry: "00"}
      edu: {name: Education, industry: "11"}
      audit: {name: Audit Office}
    areas:
      city: {name: City, code: "4403", children: {north: {name: North, code: "440305"}, south: {name: South}}}
    cameras:
      - {id: gate-1, name: 一号门, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsp://127.0.0.1:1/a"}
      - {id: gate-2, name: Gate 2, tier: public_security, department: psb, area: south, zone: police,
         main: "rtsp://127.0.0.1:1/b"}
      - {id: school-1, name: School, tier: departmental, department: edu, area: north, zone: police,
         main: "rtsp://127.0.0.1:1/c", maintenance: true}
"""


@cache
def empty_database() -> bytes:
    """Of today's schema: laying it costs a fifth of a second, and each of a thousand tests wants one."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        with Database(URL.create("sqlite", database=str(file))) as database:
            database.upgrade()
        return file.read_bytes()


class Client(httpx.AsyncClient):
    """A client of the service under test, with the administrator's token."""

    service: Service
    api: FastAPI


@asynccontextmanager
async def client_of(
    folder: Path,
    *,
    peer: str = "127.0.0.1",
    clock: Callable[[], Ms] = wall_clock,
    prepare: Callable[[Service], None] = lambda _: None,
    **settings: object,
) -> AsyncIterator[Client]:
    file = folder / "cameras.yaml"
    if not file.exists():
        file.write_text(textwrap.dedent(CITY), encoding="utf-8")
    data = folder / "data"
    if not data.exists() and "database_url" not in settings:
        data.mkdir(0o700)
        (data / "sharpeyes.db").touch(0o600)
        (data / "sharpeyes.db").write_bytes(empty_database())
    service = Service(
        Settings.read({}, config=file, data_dir=data, **{"canaries": False, **settings}),
        load(file, environ={}),
        clock=clock,
    )
    prepare(service)
    async with service.running() as token:
        api = create_api(context_of(service))
        transport = httpx.ASGITransport(api, client=(peer, 4711))
        # Only the first start makes a token.
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        async with Client(transport=transport, base_url="http://sharpeyes", headers=headers) as client:
            client.service, client.api = service, api
            yield client


async def until_probed(client: Client) -> None:
    """Wait until every camera was looked at once."""
    while any(entry.probe is None for entry in client.service.board):
        await asyncio.sleep(0.02)


def kind(answer: httpx.Response) -> tuple[int, str]:
    """A refusal's status, and the last word of its type."""
    return answer.status_code, str(answer.json()["type"]).rpartition(":")[2]
