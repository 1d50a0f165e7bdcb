"""The API as one ASGI application."""

from __future__ import annotations

from fastapi import FastAPI

from sharpeyes import __version__
from sharpeyes.api import problems
from sharpeyes.api.bodies import LimitedBodies
from sharpeyes.api.console import console_routes
from sharpeyes.api.context import Context
from sharpeyes.api.headers import PrivateAnswers
from sharpeyes.api.routes import (
    blackbox,
    cameras,
    cameras_map,
    causes,
    contests,
    devices,
    discovery,
    dossiers,
    exclusions,
    faults,
    grants,
    imports,
    live,
    organisation,
    pictures,
    rates,
    register,
    register_check,
    reports,
    running_views,
    saved_views,
    self_test,
    service,
    session,
    settings,
    settings_told,
    shifts,
    sign_on,
    states,
    tokens,
    users,
    view_requests,
    view_rules,
    view_tickets,
    views,
)

DESCRIPTION = """\
Machines send a token: `Authorization: Bearer <token>`. People log in at `/api/v1/session`, and send its
`csrf` as `X-CSRF-Token` with whatever changes something. Only health and logging in need neither.
Instants are RFC 3339 in UTC, ratios are 0..1. Errors are problem documents (RFC 9457) with a mend.
*Unknown* is not *offline*: what the monitor could not see is outside every rate and shown as coverage.
"""


def ready(api: FastAPI) -> FastAPI:
    """The same, with its routes put together: the framework does that as requests pass them, and the first
    one to come by them all would hold everything else up for a fifth of a second."""
    scope = {"type": "http", "method": "GET", "path": "/-", "root_path": "", "headers": [], "app": api}
    for route in api.router.routes:
        route.matches(scope)
    return api


def create_api(context: Context) -> FastAPI:
    """The application for one running service."""
    api = FastAPI(
        title="SharpEyes",
        version=__version__,
        summary="Cameras, their states, and the online rate",
        description=DESCRIPTION,
        # The usual pages for these load their scripts from other hosts, which this product never does.
        docs_url=None,
        redoc_url=None,
    )
    api.state.context = context
    api.state.views = context.views
    problems.install(api)
    api.add_middleware(LimitedBodies)
    api.add_middleware(PrivateAnswers)
    for room in (cameras_map, dossiers, imports, saved_views, causes, shifts):  # before /cameras/{id}
        api.include_router(room.router)
    for room in (service, blackbox, cameras, pictures, states, live, rates, organisation, discovery, tokens):
        api.include_router(room.router)
    for room in (
        session,
        sign_on,
        users,
        view_requests,
        grants,
        view_rules,
        view_tickets,
        views,
        running_views,
        register,
        register_check,
        faults,
    ):
        api.include_router(room.router)
    for room in (exclusions, contests, reports, self_test, devices, settings, settings_told):
        api.include_router(room.router)
    api.include_router(console_routes(tiles=context.map_tiles))  # last: it answers what nothing above does
    return api
