"""What the API needs of the gateway, in one value: set as ``api.state.views``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sharpeyes.gateway.fmp4 import Feed
from sharpeyes.gateway.gateway import Opened, ViewState


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDoors:
    """The gateway and who may call it from a page."""

    gateway: ViewGateway
    origins: tuple[str, ...] = ()
    """Web origins beyond the console's own (CORS)."""
