"""Views by HLS: a lease a viewer, told by a secret in the path, since players send no headers.

Every request looks at the lease. What is asked for after its end, from another address or under a name that
was never given out is refused, and in the register: once for each such attempt, not for each of its requests.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sharpeyes.access.tickets import Ticket
from sharpeyes.domain.access import Reason, Refused
from sharpeyes.domain.errors import ForbiddenError, LimitError, NotFoundError
from sharpeyes.gateway.channel import Channel
from sharpeyes.gateway.hls import PLAYLIST, Segmenter
from sharpeyes.gateway.leases import Lease, Leases

_FILE = re.compile(r"(?:init-(\d{1,9})\.mp4|segment-(\d{1,9})\.m4s|part-(\d{1,9})-(\d{1,6})\.m4s)")
_REMEMBERED = 10_000
_WAITING = 16
"""Requests of one view that may wait for their answer; players have two or three."""
_FORGET_S = 10.0
"""Refusals of names that were never given out go into the register so often for one address."""
_REASONS = frozenset(Reason)
_PLAYLIST_TYPE, _MEDIA_TYPE = "application/vnd.apple.mpegurl", "video/mp4"


@dataclass(frozen=True, slots=True)
class HlsFile:
    """What one request gets."""

    data: bytes
    media_type: str


@dataclass(slots=True, eq=False)
class _View:
    lease: Lease
    channel: Channel
    segmenter: Segmenter
    asked: float
    sent: int = 0
    waiting: int = 0
    """Requests that are being answered."""
    patience: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class _Over:
    """What is remembered of a view that has ended."""

    ticket: Ticket
    grant: str | None
    why: str


class HlsViews:
    """All of one gateway. ``forget`` is called with each lease that has ended."""

    def __init__(self, leases: Leases, *, patience_s: float, forget: Callable[[Lease], None]) -> None:
        """``patience_s``: a viewer that asked for nothing so long has left."""
        self._leases = leases
        self._patience_s = patience_s
        self._forget = forget
        self._views: dict[str, _View] = {}
        self._segmenters: dict[Channel, Segmenter] = {}
        self._over: OrderedDict[str, _Over] = OrderedDict()
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def open(self, lease: Lease, channel: Channel) -> str:
        """Begin a view; the name that opens it, which nobody can guess."""
        name = secrets.token_urlsafe(24)
        segmenter = self._segmenters.get(channel)
        if segmenter is None:
            segmenter = self._segmenters[channel] = Segmenter()
            channel.hub.add(segmenter)
        view = _View(lease, channel, segmenter, asyncio.get_running_loop().time())
        lease.cut = lambda: self._cut(name)
        lease.sent = lambda: view.sent
        lease.ended = lambda: self._forget(lease)
        self._views[name] = view
        await self._leases.begin(lease)
        self._watch(view)
        return name

    async def file(
        self, name: str, file: str, *, client: str, segment: int | None, part: int | None
    ) -> HlsFile:
        """A playlist or a piece of video. ForbiddenError (the view is over, or another client's),
        NotFoundError, InvalidInputError."""
        view = await self._find(name, client)
        view.asked = asyncio.get_running_loop().time()
        if view.waiting >= _WAITING:
            raise LimitError(f"{_WAITING} files at a time is the limit of one view", mend="Ask for fewer")
        view.waiting += 1
        try:
            if file == PLAYLIST:
                made = HlsFile((await view.segmenter.playlist(segment, part)).encode(), _PLAYLIST_TYPE)
            else:
                made = HlsFile(await self._media(view, file), _MEDIA_TYPE)
        finally:
            view.waiting -= 1
        view = await self._find(name, client)  # it may have ended while this waited
        view.asked = asyncio.get_running_loop().time()
        view.sent += len(made.data)
        return made

    async def leave(self, name: str, *, client: str) -> None:
        """The viewer goes. Errors as of :meth:`file`."""
        self._leases.end((await self._find(name, client)).lease, "left")

    # -- inside

    async def _media(self, view: _View, file: str) -> bytes:
        match = _FILE.fullmatch(file)
        if match is None:
            raise NotFoundError("There is no such file in a view")
        initialisation, whole, number, place = match.groups()
        if initialisation is not None:
            return view.segmenter.initialisation(int(initialisation))
        if whole is not None:
            return await view.segmenter.segment(int(whole))
        return await view.segmenter.part(int(number), int(place))

    async def _find(self, name: str, client: str) -> _View:
        view = self._views.get(name)
        if view is not None and view.lease.address == client:
            return view
        if view is not None:
            camera, grant = view.lease.ticket.camera, view.lease.grant
            await self._note(None, Reason.TICKET_CLIENT, client, name, camera, grant)
            raise ForbiddenError("This view was opened by another client (ticket_client)")
        if (over := self._over.get(name)) is not None:
            reason = Reason(over.why) if over.why in _REASONS else Reason.TICKET_USED
            await self._note(over.ticket, reason, client, name, over.ticket.camera, over.grant)
            raise ForbiddenError(
                f"The view has ended ({over.why})", mend="Ask for a ticket, and open another"
            )
        await self._note(None, Reason.TICKET_INVALID, client, "", "", None)
        raise NotFoundError("There is no such view")

    async def _note(
        self, ticket: Ticket | None, reason: Reason, client: str, name: str, camera: str, grant: str | None
    ) -> None:
        """The first refusal of its kind is in the register when this returns."""
        now = asyncio.get_running_loop().time()
        told = self._told.get((name, client))
        if told is not None and (name or now - told < _FORGET_S):
            return
        refused = Refused(reason=reason, message="A part of a view by HLS was asked for")
        await self._leases.note(ticket, refused, camera, grant, client, step="hls")
        self._told[name, client] = now
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _cut(self, name: str) -> None:
        """Nothing more under this name."""
        view = self._views.pop(name)
        if view.patience is not None:
            view.patience.cancel()
        if view.lease.started is not None:
            self._over[name] = _Over(view.lease.ticket, view.lease.grant, view.lease.over or "")
            if len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)
        if not any(other.segmenter is view.segmenter for other in self._views.values()):
            del self._segmenters[view.channel]
            view.segmenter.close()
            view.channel.hub.remove(view.segmenter)

    def _watch(self, view: _View) -> None:
        loop = asyncio.get_running_loop()
        rest = view.asked + self._patience_s - loop.time()
        if rest <= 0:
            self._leases.end(view.lease, "left")
        else:
            view.patience = loop.call_later(rest, self._watch, view)
