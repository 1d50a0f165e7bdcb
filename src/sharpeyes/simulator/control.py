"""The control API: faults on command over HTTP and JSON.

===========================  ===============================================================
GET /cameras                 all cameras: where they are and what is wrong with them
GET /cameras/{id}            one of them
PUT /cameras/{id}/fault      ``{"kind": "hang", "phase": "describe"}``; see fault.py
DELETE /cameras/{id}/fault   all is well again
GET /status                  counts
===========================  ===============================================================

``{id}`` of a fault may be a recorder's device id. Errors are ``{"error": {"kind", "message", "mend"}}``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable
from urllib.parse import unquote

from sharpeyes.domain.errors import InvalidInputError, NotFoundError, SharpEyesError
from sharpeyes.simulator.device import listener
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.http_server import HttpConnection, HttpRequest, HttpResponse
from sharpeyes.simulator.simulator import Simulator

_MAX_CONNECTIONS = 64


class ControlServer:
    """Serves the control API of one simulator. On loopback only: it knows no login."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._server: asyncio.Server | None = None
        self._connections: set[HttpConnection] = set()
        self._host = ""
        self.url = ""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. InvalidInputError unless loopback, UnavailableError if the port is taken."""
        try:
            loopback = ipaddress.IPv4Address(host).is_loopback
        except ValueError:
            raise InvalidInputError(
                f"control address {host!r} is no IPv4 address", mend="Use 127.0.0.1"
            ) from None
        if not loopback:
            raise InvalidInputError(
                f"control address {host} can be reached by others, and the control API knows no login",
                mend="Use an address in 127.0.0.0/8",
            )
        opened = listener(host, port, 16)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self._handle, loop, self._join, self._connections.discard), sock=opened
        )
        self._host = host
        self.url = f"http://{host}:{opened.getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def _join(self, connection: HttpConnection) -> bool:
        now = asyncio.get_running_loop().time()
        for other in tuple(self._connections):
            if other.expired(now):
                other.abort()
        self._connections.add(connection)
        return len(self._connections) <= _MAX_CONNECTIONS

    def _handle(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        return self._answer(request)

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        host = request.headers.get("host", "").partition(":")[0]
        if host not in (self._host, "localhost") or "origin" in request.headers:
            # A web page in a browser on this machine (DNS rebinding, cross-site requests).
            return _error(403, "forbidden", "not for web pages")
        try:
            return await self._route(request)
        except NotFoundError as error:
            return _error(404, error.kind, error.message, error.mend)
        except InvalidInputError as error:
            return _error(422, error.kind, error.message, error.mend)
        except SharpEyesError as error:
            return _error(503, error.kind, error.message, error.mend)

    async def _route(self, request: HttpRequest) -> HttpResponse:
        match [unquote(part) for part in request.path.strip("/").split("/")], request.method:
            case ["cameras"], "GET":
                return _json([self._document(each) for each in self._simulator.endpoints])
            case ["cameras", camera], "GET":
                return _json(self._document(camera))
            case ["cameras", camera, "fault"], "PUT":
                try:
                    given = json.loads(request.body)
                except (ValueError, RecursionError):
                    raise InvalidInputError("the body is no JSON", mend='Send {"kind": "black"}') from None
                fault = Fault.parse(given)
                await self._simulator.set_fault(camera, fault)
                return _json(fault.document())
            case ["cameras", camera, "fault"], "DELETE":
                await self._simulator.clear_fault(camera)
                return HttpResponse(204)
            case ["status"], "GET":
                simulator = self._simulator
                return _json(
                    {
                        "cameras": len(simulator.endpoints),
                        "connections": simulator.connections,
                        "sessions": simulator.sessions,
                        "playing": simulator.playing,
                        "discovery_port": simulator.discovery_port,
                        "multicast": simulator.multicast,
                    }
                )
            case ((["cameras"] | ["cameras", _] | ["cameras", _, "fault"] | ["status"]), _):
                return _error(405, "invalid", f"{request.method} is not possible here")
            case _:
                return _error(404, "not_found", "there is nothing here", "See /cameras and /status")

    def _document(self, camera: str) -> dict[str, object]:
        endpoint = self._simulator.endpoints.get(camera)
        if endpoint is None:
            raise NotFoundError(f"there is no camera {camera!r}")
        fault = self._simulator.fault(camera)
        return endpoint.document() | {"fault": fault.document() if fault is not None else None}


def _json(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(value, ensure_ascii=False).encode())


def _error(status: int, kind: str, message: str, mend: str = "") -> HttpResponse:
    return _json({"error": {"kind": kind, "message": message, "mend": mend}}, status)
