"""Every error of the API is an ``application/problem+json`` (RFC 9457) that says what to do about it.

One table from the kind of an error to its HTTP status; no route builds an error response itself.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from sharpeyes.api.headers import PRIVATE
from sharpeyes.domain.access import RefusedError
from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.time import iso
from sharpeyes.store.database import FULL

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS_OF_KIND: dict[str, HTTPStatus] = {
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "config": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "limited": HTTPStatus.TOO_MANY_REQUESTS,
    "throttled": HTTPStatus.TOO_MANY_REQUESTS,
    "not_acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "register_damaged": HTTPStatus.SERVICE_UNAVAILABLE,
    "checkpoint": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_genuine": HTTPStatus.CONFLICT,
}
KIND_OF_STATUS = {status: kind for kind, status in reversed(STATUS_OF_KIND.items())}


def status_of(error: SharpEyesError) -> HTTPStatus:
    """By the error's kind; one that the table does not name has the status of the nearest kind above it."""
    kinds = [error.kind, *(getattr(above, "kind", "") for above in type(error).__mro__)]
    return next(
        (STATUS_OF_KIND[kind] for kind in kinds if kind in STATUS_OF_KIND), HTTPStatus.INTERNAL_SERVER_ERROR
    )


def problem(
    status: HTTPStatus,
    kind: str,
    detail: str,
    *,
    mend: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    more: dict[str, str] | None = None,
) -> JSONResponse:
    """A problem document: ``type`` (urn:sharpeyes:error:<kind>), ``title``, ``status``, ``detail``.

    Where there are any, also ``mend`` (what to do) and ``errors`` (an entry a field: ``field``, ``message``),
    and ``more`` members of the kind's own.
    """
    body: dict[str, Any] = {
        "type": f"urn:sharpeyes:error:{kind}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if mend:
        body["mend"] = mend
    if errors:
        body["errors"] = errors
    body |= more or {}
    # Here as well: what nobody foresaw is answered outside of everything that wraps the routes.
    return JSONResponse(
        body, status_code=status.value, media_type=MEDIA_TYPE, headers={**PRIVATE, **(headers or {})}
    )


def install(api: FastAPI) -> None:
    """Have ``api`` answer every error as a problem document."""

    @api.exception_handler(SharpEyesError)
    async def _known(_: Request, error: SharpEyesError) -> JSONResponse:
        status = status_of(error)
        headers = {}
        if status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="sharpeyes"'
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            headers["Retry-After"] = str(getattr(error, "retry_after_s", 5))
        more = {}
        if isinstance(error, RefusedError):
            more["reason"] = error.refused.reason.value
            if error.refused.until is not None:
                more["until"] = iso(error.refused.until)
        return problem(status, error.kind, error.message, mend=error.mend, headers=headers, more=more)

    @api.exception_handler(RequestValidationError)
    async def _malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = [
            # The value itself is not echoed: it may be a secret in the wrong place.
            {"field": ".".join(str(part) for part in entry["loc"]), "message": entry["msg"]}
            for entry in error.errors()
        ]
        detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in fields)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, errors=fields)

    @api.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        kind = KIND_OF_STATUS.get(status, "http")
        return problem(status, kind, str(error.detail), headers=dict(error.headers or {}))

    @api.exception_handler(OperationalError)
    async def _unstored(request: Request, error: OperationalError) -> JSONResponse:
        """Its disk is full, its file may not be written, its server is gone: nothing has been changed."""
        log.error("the database refused %s %s: %s", request.method, request.url.path, error.orig)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "The database does not answer or takes nothing at present; nothing was changed",
            mend=FULL,
            headers={"Retry-After": "5"},
        )

    @api.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal",
            "An unexpected error; the service's log has the details",
        )
