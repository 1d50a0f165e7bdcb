"""What the API needs of the gateway, in one value: set as ``api.state.views``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from sharpeyes.domain.access import Subject
from sharpeyes.domain.camera import StreamRole
from sharpeyes.gateway.fmp4 import Feed
from sharpeyes.gateway.gateway import Opened, ViewState
from sharpeyes.gateway.hls_views import HlsFile
from sharpeyes.gateway.leases import RunningView
from sharpeyes.gateway.preflight import Burned, Verdict


class ViewGateway(Protocol):
    """The gateway as routes call it; :class:`sharpeyes.gateway.gateway.Gateway` is one."""

    async def whep(
        self, camera: str, ticket: str, offer: str, *, client: str, tile: int | None = None
    ) -> Opened: ...

    async def trickle(self, session: str, fragment: str, *, client: str) -> None: ...

    def leave(self, session: str, *, client: str) -> None: ...

    def state(self, session: str, *, client: str) -> ViewState: ...

    async def snapshot(self, camera: str, ticket: str, *, client: str) -> bytes: ...

    async def feed(self, camera: str, ticket: str, *, client: str, tile: int | None = None) -> Feed: ...

    async def hls(self, camera: str, ticket: str, *, client: str, tile: int | None = None) -> str: ...

    async def hls_file(
        self, name: str, file: str, *, client: str, segment: int | None = None, part: int | None = None
    ) -> HlsFile: ...

    async def hls_leave(self, name: str, *, client: str) -> None: ...

    def running(self) -> tuple[RunningView, ...]: ...

    def stop_view(self, view: str, by: Subject, reason: str) -> None: ...

    async def verdict(
        self,
        camera: str,
        decodes: Collection[str],
        burned: Burned,
        *,
        tile: int | None,
        guess: Callable[[StreamRole], str | None],
    ) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDoors:
    """The gateway and who may call it from a page."""

    gateway: ViewGateway
    origins: tuple[str, ...] = ()
    """Web origins beyond the console's own (CORS)."""
