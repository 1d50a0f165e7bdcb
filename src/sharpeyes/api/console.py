"""The console: a page of built assets, packaged with the service and served with nothing from elsewhere.

What the build hashed is immutable; index.html is asked for again each time. Every path that nothing else
answers is the console's own (its routes are paths), as long as a browser asks for a page.
"""

from __future__ import annotations

import mimetypes
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

from sharpeyes.api.packed import takes_gzip

ASSETS = Path(__file__).parents[1] / "console"
"""Where the build puts them: index.html and assets/."""

SECURITY = {
    # No inline script, no inline style, no other host: 'self' covers the WebSocket of the same origin too.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
IMMUTABLE = "public, max-age=31536000, immutable"
PACKED = ".gz"
"""Made at build time: nothing is compressed while somebody waits. Brotli would be asked for over TLS only."""

UNBUILT = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>SharpEyes</title></head>
<body>
<h1>SharpEyes runs, but its console is not built</h1>
<p>The API is at <code>/api/v1</code>, described by <a href="/openapi.json">/openapi.json</a>.</p>
<p>To build the console, install the package again with access to package registries
(<code>pip install .</code>), then reload this page.</p>
</body>
</html>
"""

SERVICE = ("api", "healthz", "readyz", "metrics", "probe", "sd", "openapi.json")
"""First parts of paths that are never pages."""


def policy(tiles: str | None) -> dict[str, str]:
    """The headers of every page: images also from the host of the map's tiles, if it has one."""
    url = urlsplit(tiles or "")
    if not url.netloc:
        return SECURITY
    name = "Content-Security-Policy"
    return SECURITY | {
        name: SECURITY[name].replace("img-src 'self'", f"img-src 'self' {url.scheme}://{url.netloc}")
    }


def console_routes(assets: Path = ASSETS, *, tiles: str | None = None) -> APIRouter:
    """The console's routes; to be included last, since they answer whatever is left."""
    security = policy(tiles)
    router = APIRouter(include_in_schema=False)

    @router.get("/assets/{name}")
    async def asset(request: Request, name: str) -> Response:
        return _file(request, assets / "assets", name, IMMUTABLE, security)

    @router.get("/{path:path}")
    async def page(request: Request, path: str) -> Response:
        first = path.partition("/")[0]
        if first in SERVICE:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if path and "/" not in path and _there(assets / path) and path != "index.html":
            return _file(request, assets, path, "no-cache", security)
        if "." in path.rpartition("/")[2]:  # a file that is not there, not a page
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if not (assets / "index.html").is_file():
            return HTMLResponse(UNBUILT, headers=security)
        return _file(request, assets, "index.html", "no-cache", security)

    return router


def _there(file: Path) -> bool:
    """A name that no file can have is that of none."""
    try:
        return file.is_file()
    except OSError:
        return False


def _file(request: Request, folder: Path, name: str, caching: str, security: dict[str, str]) -> Response:
    """One file of one folder, compressed if it is there compressed and the browser takes that."""
    file = folder / name
    if "/" in name or "\\" in name or name.startswith(".") or not _there(file):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = security | {"Cache-Control": caching, "Vary": "Accept-Encoding"}
    kind = mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    packed = file.with_name(name + PACKED)
    if takes_gzip(request) and packed.is_file():
        return FileResponse(packed, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return FileResponse(file, media_type=kind, headers=headers)
