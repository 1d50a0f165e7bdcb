"""Live views and still pictures, for whoever brings a ticket: WHEP, MSE over WebSocket, HLS, JPEG.

A ticket is a bearer token for one picture, so it goes into the ``Authorization`` header (or the first
message of a WebSocket), never into a URL, where logs and histories would keep it. Players of HLS send no
headers: they get a name that opens one running view, to one address, for as long as that view lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from sharpeyes.api.auth import Person
from sharpeyes.api.connections import vouch
from sharpeyes.api.context import Rooms
from sharpeyes.api.problems import problem
from sharpeyes.domain.camera import Camera, StreamRole
from sharpeyes.domain.errors import (
    InvalidInputError,
    LimitError,
    NotAcceptableError,
    SharpEyesError,
    UnauthenticatedError,
    UnavailableError,
)
from sharpeyes.gateway.channel import PullState
from sharpeyes.gateway.doors import ViewDoors
from sharpeyes.gateway.gateway import ViewOverError
from sharpeyes.gateway.hls import PLAYLIST
from sharpeyes.gateway.preflight import Burned, Hindrance, How
from sharpeyes.store.cameras import get_camera
from sharpeyes.store.rules import get_masks, get_target

_SDP = "application/sdp"
_FRAGMENT = "application/trickle-ice-sdpfrag"
_LARGEST_BODY = 64 * 1024
_TICKET_WITHIN_S = 5.0
_SEND_WITHIN_S = 10.0
_SECONDS_TO_WAIT = "5"
_POLICY_VIOLATION = 1008
MOST_BEFOREHAND = 200

bearer = HTTPBearer(auto_error=False, description="A ticket for this camera, at most a minute old.")
TicketHeader = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


class _ViewRoute(APIRoute):
    """Errors that only views have, and the headers that pages of other origins need."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                response = await handle(request)
                if request.method != "OPTIONS":
                    vouch(request)  # a ticket, or the name of a view that runs
            except LimitError as error:
                response = problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    error.kind,
                    error.message,
                    mend=error.mend,
                    headers={"Retry-After": _SECONDS_TO_WAIT},
                )
            except ViewOverError as error:
                response = problem(
                    HTTPStatus.NOT_FOUND,
                    error.kind,
                    error.message,
                    mend=error.mend,
                    more={"reason": error.why},
                )
            except NotAcceptableError as error:
                response = problem(HTTPStatus.NOT_ACCEPTABLE, error.kind, error.message, mend=error.mend)
            except SharpEyesError as error:
                # Answered here and not further out, so that a page of another origin can read why.
                response = await request.app.exception_handlers[SharpEyesError](request, error)
            _allow_origin(request, response)
            return response

        return handled


router = APIRouter(prefix="/api/v1/views", tags=["views"], route_class=_ViewRoute)


async def _doors(request: Request) -> ViewDoors:
    found: ViewDoors | None = request.app.state.views
    if found is None:
        raise UnavailableError(
            "nobody can watch: the register of views is not open", mend="The service's log says why"
        )
    return found


Doors = Annotated[ViewDoors, Depends(_doors)]


class ViewShape(BaseModel):
    """How a view's camera does."""

    state: PullState
    pictures: int


@router.post(
    "/{camera_id}/whep",
    status_code=HTTPStatus.CREATED,
    response_class=Response,
    responses={201: {"content": {_SDP: {}}, "description": "The answer; `Location` is the view."}},
    openapi_extra={"requestBody": {"required": True, "content": {_SDP: {"schema": {"type": "string"}}}}},
)
async def whep(
    request: Request, doors: Doors, presented: TicketHeader, camera_id: str, tile: int | None = None
) -> Response:
    """Open a live view by WHEP: an SDP offer in, the answer out.

    `tile` is the width of the picture on the page in pixels: small tiles get the sub-stream. 401 ticket, 403
    not allowed, 404 no such camera, 406 this browser cannot show this camera, 429 a limit, 503 the camera
    does not deliver.
    """
    opened = await doors.gateway.whep(
        camera_id,
        _ticket(presented),
        await _body(request, _SDP),
        client=_client(request),
        tile=tile,
    )
    return Response(
        opened.answer,
        status_code=HTTPStatus.CREATED,
        media_type=_SDP,
        headers={"Location": f"{router.prefix}/sessions/{opened.session}", "Cache-Control": "no-store"},
    )


@router.patch("/sessions/{session}", status_code=HTTPStatus.NO_CONTENT)
async def trickle(request: Request, doors: Doors, session: str) -> None:
    """More ICE candidates (RFC 8840)."""
    await doors.gateway.trickle(session, await _body(request, _FRAGMENT), client=_client(request))


@router.delete("/sessions/{session}")
async def leave(request: Request, doors: Doors, session: str) -> None:
    """End the view."""
    doors.gateway.leave(session, client=_client(request))


@router.get("/sessions/{session}")
async def state(request: Request, doors: Doors, session: str) -> ViewShape:
    """Whether the camera delivers; 404 once the view has ended: `view_over`, with why as `reason`, where that
    is remembered."""
    now = doors.gateway.state(session, client=_client(request))
    return ViewShape(state=now.state, pictures=now.pictures)


@router.get(
    "/{camera_id}/snapshot",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def snapshot(request: Request, doors: Doors, presented: TicketHeader, camera_id: str) -> Response:
    """The camera's latest key picture as JPEG; needs a ticket for a snapshot."""
    picture = await doors.gateway.snapshot(camera_id, _ticket(presented), client=_client(request))
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


class OpenedHls(BaseModel):
    """A view by HLS: where its playlist is. Whoever knows that, at this client's address, sees it."""

    playlist: str


@router.post("/{camera_id}/hls", status_code=HTTPStatus.CREATED)
async def hls(
    request: Request,
    response: Response,
    doors: Doors,
    presented: TicketHeader,
    camera_id: str,
    tile: int | None = None,
) -> OpenedHls:
    """Open a live view by low-latency HLS. It ends with its right, by DELETE of its `Location`, or when
    nothing was asked for some seconds. Statuses as of WHEP."""
    name = await doors.gateway.hls(camera_id, _ticket(presented), client=_client(request), tile=tile)
    response.headers["Location"] = f"{router.prefix}/hls/{name}"
    response.headers["Cache-Control"] = "no-store"
    return OpenedHls(playlist=f"{router.prefix}/hls/{name}/{PLAYLIST}")


@router.get(
    "/hls/{name}/{file}",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apple.mpegurl": {}, "video/mp4": {}}}},
)
async def hls_file(
    request: Request,
    doors: Doors,
    name: Annotated[str, Path(max_length=64)],
    file: Annotated[str, Path(max_length=64)],
    segment: Annotated[int | None, Query(alias="_HLS_msn")] = None,
    part: Annotated[int | None, Query(alias="_HLS_part")] = None,
) -> Response:
    """A file of a view by HLS: the playlist, an initialisation, a segment, a part. 403 once the view has
    ended, and for other clients."""
    got = await doors.gateway.hls_file(name, file, client=_client(request), segment=segment, part=part)
    return Response(got.data, media_type=got.media_type, headers={"Cache-Control": "no-store"})


@router.delete("/hls/{name}")
async def hls_leave(request: Request, doors: Doors, name: Annotated[str, Path(max_length=64)]) -> None:
    """End a view by HLS."""
    await doors.gateway.hls_leave(name, client=_client(request))


class AskedBeforehand(BaseModel):
    """Cameras that somebody would like to watch, and what the browser can show."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"cameras": ["gate-1"], "decodes": ["h264"]}}
    )

    cameras: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MOST_BEFOREHAND)
    ]
    decodes: Annotated[
        frozenset[Literal["h264", "h265"]], Field(description="Codecs that this browser decodes.")
    ]
    tile: Annotated[int | None, Field(ge=1, le=16_384, description="Width on the page, in pixels.")] = None


class Beforehand(BaseModel):
    """How one camera would be shown."""

    camera: str
    verdict: How
    why: Annotated[tuple[Hindrance, ...], Field(description="Why not as it is; empty for passthrough.")]
    message: str


class BeforehandPage(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [{"camera": "gate-1", "verdict": "transcode", "why": ["mask"], "message": ""}]
            }
        }
    )

    items: tuple[Beforehand, ...]


@router.post("/preflight")
async def beforehand(rooms: Rooms, doors: Doors, caller: Person, asked: AskedBeforehand) -> BeforehandPage:  # noqa: ARG001
    """What this browser would see of these cameras, said before anybody asks for them: as they are, coded
    anew, not at all, or not known yet; and why. Nothing is shown, no right is looked at."""

    def read(connection: Connection) -> list[tuple[Camera, Burned]]:
        rules = rooms.access.desk.rules(connection)
        found = []
        for name in asked.cameras:
            policy = rules.of(get_target(connection, name))
            drawn = Burned(
                masks=bool(get_masks(connection, name)),
                watermark=policy.burned_watermark,
                transcode=policy.transcode,
            )
            found.append((get_camera(connection, name), drawn))
        return found

    def guess(camera: Camera, role: StreamRole) -> str | None:
        entry = rooms.board.get(camera.id)
        probed = entry.probe.codec if entry is not None and entry.probe is not None else None
        declared = camera.stream(role).codec
        alone = len(camera.streams) == 1 or role is StreamRole.SUB  # what probes look at
        return _spelt(declared) or (_spelt(probed) if alone else None)

    items = []
    for camera, drawn in await rooms.database.aread(read):
        verdict = await doors.gateway.verdict(
            camera.id, asked.decodes, drawn, tile=asked.tile, guess=partial(guess, camera)
        )
        items.append(
            Beforehand(camera=camera.id, verdict=verdict.how, why=verdict.why, message=verdict.message)
        )
    return BeforehandPage(items=tuple(items))


def _spelt(codec: str | None) -> str | None:
    """One name for a codec that has several."""
    name = (codec or "").lower().replace(".", "")
    return {"hevc": "h265", "avc": "h264"}.get(name, name) or None


@router.options("/{path:path}", status_code=HTTPStatus.NO_CONTENT, include_in_schema=False)
async def preflight(path: str) -> None:
    """CORS, for the configured origins alone; the headers are set by the route class."""


@router.websocket("/{camera_id}/mse")
async def mse(socket: WebSocket, camera_id: str, tile: int | None = None) -> None:
    """Live view as fragmented MP4: the ticket as the first text message, then a text message with the MIME
    type, then binary segments for a SourceBuffer; if the view ends, a text message says why (`ended`). A
    refusal is a text message and a close with 1008."""
    doors: ViewDoors | None = socket.app.state.views
    origin = socket.headers.get("origin")
    own = origin is None or _same_site(origin, socket.headers.get("host", ""))
    if doors is None or (not own and origin not in doors.origins):
        await socket.close(_POLICY_VIOLATION)
        return
    await socket.accept()
    client = socket.client.host if socket.client else ""
    try:
        async with asyncio.timeout(_TICKET_WITHIN_S):
            ticket = await socket.receive_text()
        feed = await doors.gateway.feed(camera_id, ticket, client=client, tile=tile)
        vouch(socket)
    except (TimeoutError, WebSocketDisconnect, KeyError):
        with contextlib.suppress(RuntimeError):
            await socket.close(_POLICY_VIOLATION)
        return
    except SharpEyesError as error:
        await socket.send_json({"error": error.kind, "detail": error.message, "mend": error.mend})
        await socket.close(_POLICY_VIOLATION)
        return
    listening = asyncio.create_task(_until_closed(socket))
    sending = asyncio.create_task(_send(socket, feed.mime, feed.segments()))
    try:
        await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        if feed.over is not None:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_json({"ended": feed.over})
    finally:
        feed.close()
        for task in (listening, sending):
            task.cancel()
        await asyncio.gather(listening, sending, return_exceptions=True)
        with contextlib.suppress(RuntimeError):
            await socket.close()


async def _until_closed(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, KeyError):
        while True:
            await socket.receive_bytes()


async def _send(socket: WebSocket, mime: str, segments: Any) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        await socket.send_json({"mime": mime})
        async for segment in segments:
            async with asyncio.timeout(_SEND_WITHIN_S):
                await socket.send_bytes(segment)


def _ticket(presented: HTTPAuthorizationCredentials | None) -> str:
    if presented is None:
        raise UnauthenticatedError(
            "this needs a ticket", mend="Send 'Authorization: Bearer <ticket>', at most a minute old"
        )
    return presented.credentials


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _body(request: Request, wanted: str) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise InvalidInputError(f"Content-Type: {kind[:60] or 'nothing'}", mend=f"Send {wanted}")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _LARGEST_BODY:
            raise InvalidInputError(f"body: more than {_LARGEST_BODY} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidInputError("body: not UTF-8") from None


def _same_site(origin: str, host: str) -> bool:
    return origin.partition("://")[2] == host


def _allow_origin(request: Request, response: Response) -> None:
    doors: ViewDoors | None = request.app.state.views
    origin = request.headers.get("origin")
    if doors is None or not doors.origins:
        return
    response.headers.append("Vary", "Origin")
    if origin not in doors.origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "Location, Retry-After"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "POST, PATCH, DELETE, GET, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"
