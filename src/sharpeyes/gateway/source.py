"""Which stream of a camera serves which tile, and how to get at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.gateway.upstream import Source
from sharpeyes.health.target import host_of
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.registry.trust import Trust
from sharpeyes.store.cameras import get_camera
from sharpeyes.store.credentials import open_credential
from sharpeyes.store.database import Database
from sharpeyes.store.devices import get_device
from sharpeyes.store.vault import Vault

_SMALL_TILE = 704
"""Width in pixels up to which a sub-stream of unknown size will do."""
_STRETCH = 1.25
"""How much a picture may be enlarged before the larger stream is taken."""

Sources = Callable[[str, int | None], Awaitable[Source]]
"""``(camera, width of the tile in pixels or None)``; NotFoundError."""


def stream_for(camera: Camera, tile: int | None) -> Stream:
    """The sub-stream where it is large enough for the tile, else the main stream."""
    main, sub = camera.stream(StreamRole.MAIN), camera.stream(StreamRole.SUB)
    if tile is None:
        return main
    enough = sub.width * _STRETCH if sub.width else _SMALL_TILE
    return sub if tile <= enough else main


def registered(database: Database, vault: Vault, trust: Trust) -> Sources:
    """Sources as the registry has them, with the camera's or its device's account.

    A certificate that probes refuse is refused here as well. Where nothing is declared, it has to be the one
    that the device was found with, if that was over TLS.
    """

    def read(connection: Connection, camera_id: str, tile: int | None) -> Source:
        camera = get_camera(connection, camera_id)
        device = get_device(connection, camera.device) if camera.device else None
        if not camera.watched:
            raise NotFoundError(f"{camera.name} has no stream yet", mend="Declare its URL, or have it found")
        stream = stream_for(camera, tile)
        pinned = (device.fingerprint,) if device and device.fingerprint else ()
        name = camera.credential or (device.credential if device else None)
        return Source(
            camera=camera.id,
            role=stream.role,
            url=stream.url,
            credentials=open_credential(connection, vault, name) if name else None,
            tls=trust.of(host_of(stream.url), camera) or TlsPolicy(fingerprints=pinned),
        )

    async def find(camera_id: str, tile: int | None) -> Source:
        return await database.aquick(lambda connection: read(connection, camera_id, tile))

    return find
