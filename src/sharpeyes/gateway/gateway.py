"""The gateway as its callers see it: open a view, trickle, leave, take a still picture."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass

from sharpeyes.domain.access import Action, Subject
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import (
    InvalidInputError,
    NotAcceptableError,
    NotFoundError,
    SharpEyesError,
    UnavailableError,
)
from sharpeyes.domain.health import FailureKind
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.time import Ms
from sharpeyes.gateway.channel import Channel, PullState
from sharpeyes.gateway.fmp4 import Feed, Muxer, mime_of
from sharpeyes.gateway.hls_views import HlsFile, HlsViews
from sharpeyes.gateway.leases import Access, Lease, Leases, RunningView
from sharpeyes.gateway.peer import MAX_OFFER, Peer
from sharpeyes.gateway.picture import StreamFacts
from sharpeyes.gateway.preflight import (
    Burned,
    How,
    NotViewable,
    Verdict,
    Viewable,
    judge,
    preflight,
    video_offered,
)
from sharpeyes.gateway.recode import Places, Recoding
from sharpeyes.gateway.sender import gso_works
from sharpeyes.gateway.settings import GatewaySettings
from sharpeyes.gateway.snapshot import Photographer
from sharpeyes.gateway.source import Sources
from sharpeyes.gateway.upstream import Source, Upstream, unavailable
from sharpeyes.health.viewing import Viewing

log = logging.getLogger(__name__)

_MAX_FRAGMENT = 16 * 1024
_MID = re.compile(r"a=mid:(\S{1,32})")
_UFRAG = re.compile(r"^a=ice-ufrag:(\S{1,256})", re.MULTILINE)


_REMEMBERED = 20_000
"""Streams of which is remembered what they are."""
_OVER = 2000
"""Views of which is remembered why they ended, for viewers who ask."""
_Made = tuple[str, StreamRole, tuple[Mask, ...], str | None]
"""What is coded anew once for all: camera, role, masks, and the view if it is for one alone."""


@dataclass(slots=True, eq=False)
class _Session:
    """One WebRTC view."""

    lease: Lease
    channel: Channel
    peer: Peer
    ufrag: str | None
    patience: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A view that begins as soon as the viewer connects."""

    session: str
    """Names the view to its viewer; whoever knows it can end it. Not the id in the register."""
    view: str
    answer: str


@dataclass(frozen=True, slots=True)
class ViewState:
    """What a viewer is told while it waits for its picture to come back."""

    state: PullState
    pictures: int
    """Pictures that the camera delivered since it is pulled."""


class ViewOverError(NotFoundError):
    """The view has ended; ``why`` is the word that the register has for it."""

    kind = "view_over"

    def __init__(self, why: str) -> None:
        super().__init__(f"The view has ended ({why})", mend="Ask for a ticket, and open another")
        self.why = why


class Gateway:
    """All views of one process. Use as ``async with Gateway(...) as gateway``."""

    def __init__(
        self,
        access: Access,
        sources: Sources,
        settings: GatewaySettings,
        clock: Callable[[], Ms],
        *,
        viewing: Viewing | None = None,
    ) -> None:
        self.settings = settings
        self._sources = sources
        self._viewing = viewing
        self._leases = Leases(access, settings, clock)
        self._upstreams: dict[tuple[str, StreamRole], Upstream] = {}
        self._locked: dict[tuple[str, StreamRole], tuple[float, Credentials | None]] = {}
        self._facts: OrderedDict[tuple[str, StreamRole], StreamFacts] = OrderedDict()
        self._places = Places(settings.transcodes)
        self._recodings: dict[_Made, Recoding] = {}
        self._shown: dict[Lease, Channel] = {}
        self._sessions: dict[str, _Session] = {}
        self._over: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._hls = HlsViews(self._leases, patience_s=settings.silence_s, forget=self._forget)
        self._photographer = Photographer()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    async def __aenter__(self) -> Gateway:
        if self.settings.gso:
            gso_works()
        await self._leases.start()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        await self._leases.stop()
        for recoding in tuple(self._recodings.values()):
            self._drop_recoding(recoding)
        for upstream in tuple(self._upstreams.values()):
            self._drop(upstream)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._places.close()

    @property
    def views(self) -> int:
        """Views that run or are about to."""
        return len(self._leases)

    @property
    def pulls(self) -> int:
        """Cameras pulled now."""
        return len(self._upstreams)

    @property
    def transcodes(self) -> int:
        """Processes that code a stream anew."""
        return self._places.taken

    def running(self) -> tuple[RunningView, ...]:
        """The views that run now, oldest first."""
        return self._leases.running()

    def stop_view(self, view: str, by: Subject, reason: str) -> None:
        """End somebody's view at once. NotFoundError."""
        self._leases.stop_view(view, by, reason)

    async def verdict(
        self,
        camera: str,
        decodes: Collection[str],
        burned: Burned,
        *,
        tile: int | None,
        guess: Callable[[StreamRole], str | None],
    ) -> Verdict:
        """Beforehand: can a browser that decodes these codecs show this camera, and how? By what the camera
        was last seen to send, else by the codec that somebody else saw in that stream. NotFoundError."""
        source = await self._sources(camera, tile)
        key = (source.camera, source.role)
        facts = self._facts.get(key)
        if facts is None and (seen := guess(source.role)) is not None:
            facts = StreamFacts(codec=seen)
        if facts is None:
            return Verdict(How.UNKNOWN, burned.hindrances)
        running = not burned.watermark and any(made[:2] == key for made in self._recodings)
        free = running or self._places.free or any(made.idle for made in self._recodings.values())
        return judge(facts, decodes, burned, free=free)

    # -- WebRTC (WHEP, RFC 9725 turned around)

    async def whep(
        self, camera: str, ticket: str, offer: str, *, client: str, tile: int | None = None
    ) -> Opened:
        """Open a live view. See :meth:`Leases.admit` for the errors of rights and limits; further:
        InvalidInputError (the offer), NotAcceptableError (this browser cannot show this camera),
        UnavailableError (the camera does not deliver)."""
        async with self._admitted(ticket, camera, Action.LIVE, client, "webrtc") as lease:
            if len(offer) > MAX_OFFER:
                raise InvalidInputError(f"offer: longer than {MAX_OFFER} characters")
            source = await self._sources(camera, tile)
            with self._pull(source) as upstream:
                facts = await upstream.ready(self.settings.start_s)
                chosen = preflight(facts, video_offered(offer), _burned(lease))
                if isinstance(chosen, NotViewable):
                    raise NotAcceptableError(chosen.message)
                with self._channel(upstream, lease, recoded=chosen.recoded) as channel:
                    if chosen.recoded:
                        await channel.ready(self.settings.start_s)
                    return await self._connect(lease, channel, chosen, offer)

    async def trickle(self, session: str, fragment: str, *, client: str) -> None:
        """Candidates that the viewer found later (RFC 8840); that these were all changes nothing (see peer).
        InvalidInputError, NotFoundError."""
        found = self._find(session, client)
        if len(fragment) > _MAX_FRAGMENT:
            raise InvalidInputError(f"fragment: longer than {_MAX_FRAGMENT} characters")
        ufrag = _UFRAG.search(fragment)
        if ufrag and found.ufrag and ufrag[1] != found.ufrag:
            raise InvalidInputError("fragment: ICE cannot be restarted here", mend="Open a new view")
        mid: str | None = None
        for line in fragment.splitlines():
            if match := _MID.match(line):
                mid = match[1]
            elif line.startswith("a=candidate:"):
                await found.peer.candidate(line[2:], mid)

    def leave(self, session: str, *, client: str) -> None:
        """The viewer goes. NotFoundError."""
        self._leases.end(self._find(session, client).lease, "left")

    def state(self, session: str, *, client: str) -> ViewState:
        """How the camera of a view does. NotFoundError; ViewOverError once the view has ended."""
        address, why = self._over.get(session, ("", ""))
        if why and address == client:
            raise ViewOverError(why)
        channel = self._find(session, client).channel
        return ViewState(channel.told(), channel.hub.pictures)

    async def _connect(self, lease: Lease, channel: Channel, chosen: Viewable, offer: str) -> Opened:
        key = secrets.token_urlsafe(18)
        peer = Peer(
            self.settings.ice,
            gso=self.settings.gso,
            connected=lambda: self._connected(key),
            lost=lambda: self._leases.end(lease, "left"),
        )
        lease.cut = peer.cut
        lease.sent = lambda: peer.viewer.octets if peer.viewer else 0
        lease.ended = lambda: self._ended(key, lease, peer)
        try:
            answer = await peer.answer(offer, chosen.offered, channel.hub)
            self._show(lease, channel)
            await self._leases.begin(lease)
        except BaseException:
            self._forget(lease)
            await peer.close()
            raise
        ufrag = _UFRAG.search(offer)
        session = self._sessions[key] = _Session(lease, channel, peer, ufrag[1] if ufrag else None)
        if peer.viewer is None:
            session.patience = asyncio.get_running_loop().call_later(
                self.settings.connect_s, self._leases.end, lease, "never_connected"
            )
        return Opened(key, lease.view, answer)

    def _connected(self, key: str) -> None:
        session = self._sessions.get(key)
        if session is not None and session.patience is not None:
            session.patience.cancel()
            session.patience = None

    def _ended(self, key: str, lease: Lease, peer: Peer) -> None:
        self._forget(lease)
        session = self._sessions.pop(key, None)
        if session is not None and session.patience is not None:
            session.patience.cancel()
        self._over[key] = (lease.address, lease.over or "")
        if len(self._over) > _OVER:
            self._over.popitem(last=False)
        self._spawn(peer.close())

    def _show(self, lease: Lease, channel: Channel) -> None:
        """From now on the stream goes on for this viewer, who may take a while to connect."""
        self._shown[lease] = channel
        channel.hold()

    def _forget(self, lease: Lease) -> None:
        """Its view is over; what was made for it alone is not made any more."""
        channel = self._shown.pop(lease, None)
        if channel is None:
            return
        channel.release()
        if lease.mark and isinstance(channel, Recoding):
            self._drop_recoding(channel)

    def _find(self, session: str, client: str) -> _Session:
        found = self._sessions.get(session)
        if found is None or found.lease.address != client:
            raise NotFoundError("There is no such view, or it has ended")
        return found

    # -- fragmented MP4

    async def feed(self, camera: str, ticket: str, *, client: str, tile: int | None = None) -> Feed:
        """Open a live view for a WebSocket. Errors as of :meth:`whep`."""
        async with (
            self._admitted(ticket, camera, Action.LIVE, client, "fmp4") as lease,
            self._h264(lease, camera, tile) as (channel, facts),
        ):
            muxer = Muxer()
            made = Feed(
                mime_of(facts),
                muxer,
                left=lambda: self._leases.end(lease, "left"),
                over=lambda: lease.over,
            )

            def cut() -> None:
                made.cut()
                channel.hub.remove(muxer)

            lease.cut = cut
            lease.sent = lambda: made.sent
            lease.ended = lambda: self._forget(lease)
            self._show(lease, channel)
            await self._leases.begin(lease)
            channel.hub.add(muxer)
            return made

    @contextlib.asynccontextmanager
    async def _h264(
        self, lease: Lease, camera: str, tile: int | None
    ) -> AsyncIterator[tuple[Channel, StreamFacts]]:
        """The stream in the form that every browser with media sources has, coded anew if need be."""
        with self._pull(await self._sources(camera, tile)) as upstream:
            facts = await upstream.ready(self.settings.start_s)
            verdict = judge(facts, ("h264",), _burned(lease))
            if verdict.how is How.CANNOT:
                raise NotAcceptableError(verdict.message)
            with self._channel(upstream, lease, recoded=verdict.how is How.TRANSCODE) as channel:
                yield channel, await channel.ready(self.settings.start_s)

    # -- HLS

    async def hls(self, camera: str, ticket: str, *, client: str, tile: int | None = None) -> str:
        """Open a live view for players of HLS; the name to ask for its files by. Errors as of
        :meth:`whep`."""
        async with (
            self._admitted(ticket, camera, Action.LIVE, client, "hls") as lease,
            self._h264(lease, camera, tile) as (channel, _),
        ):
            self._show(lease, channel)
            try:
                return await self._hls.open(lease, channel)
            except BaseException:
                self._forget(lease)
                raise

    async def hls_file(
        self, name: str, file: str, *, client: str, segment: int | None = None, part: int | None = None
    ) -> HlsFile:
        """A file of such a view. See :meth:`HlsViews.file`."""
        return await self._hls.file(name, file, client=client, segment=segment, part=part)

    async def hls_leave(self, name: str, *, client: str) -> None:
        """Its viewer goes."""
        await self._hls.leave(name, client=client)

    # -- still pictures

    async def snapshot(self, camera: str, ticket: str, *, client: str) -> bytes:
        """A JPEG of the camera's latest key picture, registered before it is given. Errors as of
        :meth:`whep`."""
        async with self._admitted(ticket, camera, Action.SNAPSHOT, client, "snapshot") as lease:
            source = await self._sources(camera, None)
            with self._pull(source) as upstream:
                facts = await upstream.ready(self.settings.start_s, picture=True)
                gop = upstream.hub.gop
                if not gop:
                    raise UnavailableError("no picture at present", mend="Ask again in a moment")
                picture = await self._photographer.jpeg(
                    facts.codec, gop[0].units, masks=lease.masks, mark=lease.mark
                )
            await self._leases.snapshot(lease, len(picture))
            self._leases.drop(lease)
            return picture

    # -- inside

    @contextlib.asynccontextmanager
    async def _admitted(
        self, ticket: str, camera: str, action: Action, client: str, path: str
    ) -> AsyncIterator[Lease]:
        """A lease that does not outlive an error."""
        if not self._open:
            raise UnavailableError("the gateway is starting or stopping")
        lease = await self._leases.admit(ticket, camera, action, client=client, path=path)
        try:
            yield lease
        except BaseException as error:
            if lease.started is not None:
                self._leases.end(lease, "failed")
            else:
                self._leases.drop(lease)
            if isinstance(error, SharpEyesError):
                log.info("gateway: no view of %s: %s", camera, error.kind)
            raise

    @contextlib.contextmanager
    def _pull(self, source: Source) -> Iterator[Upstream]:
        """The pull of this source, new or running; it does not end while the block lasts."""
        key = (source.camera, source.role)
        upstream = self._upstreams.get(key)
        if upstream is None:
            locked_until, account = self._locked.get(key, (0.0, None))
            if asyncio.get_running_loop().time() < locked_until and account == source.credentials:
                raise unavailable(FailureKind.AUTH_FAILED)
            if len(self._upstreams) >= self.settings.pulls:
                raise UnavailableError(
                    f"this gateway pulls {self.settings.pulls} cameras already", mend="Try again in a moment"
                )
            upstream = self._upstreams[key] = Upstream(
                source,
                self.settings,
                left=self._drop,
                codec_changed=self._codec_changed,
                viewing=self._viewing,
                reordered=key in self._facts and self._facts[key].b_frames,
            )
        with upstream.claimed():
            yield upstream
            self._remember(key, upstream)

    def _remember(self, key: tuple[str, StreamRole], upstream: Upstream) -> None:
        """What the camera sends, for those who ask beforehand, and for the next pull."""
        if upstream.facts is not None:
            self._facts[key] = upstream.lasting(upstream.facts)
            self._facts.move_to_end(key)
            if len(self._facts) > _REMEMBERED:
                self._facts.popitem(last=False)

    @contextlib.contextmanager
    def _channel(self, upstream: Upstream, lease: Lease, *, recoded: bool) -> Iterator[Channel]:
        """What this viewer joins: the camera's stream, or what is made of it for everybody with the same
        masks, or for this one. It does not end while the block lasts."""
        if not recoded:
            if (
                lease.masks or lease.mark is not None
            ):  # whatever went wrong before: never this stream as it is
                raise UnavailableError("this camera's picture must be coded anew, which was not arranged")
            yield upstream
            return
        source = upstream.source
        key: _Made = (source.camera, source.role, lease.masks, lease.view if lease.mark else None)
        recoding = self._recodings.get(key)
        if recoding is not None and recoding.codec != upstream.hub.codec:
            self._drop_recoding(recoding)
            recoding = None
        if recoding is None:
            resting = next((found for found in self._recodings.values() if found.idle), None)
            if resting is not None and not self._places.free:
                self._drop_recoding(resting)
            recoding = self._recodings[key] = Recoding(
                upstream,
                self._places,
                masks=lease.masks,
                mark=lease.mark,
                grace_s=self.settings.grace_s,
                left=self._drop_recoding,
            )
        try:
            with recoding.claimed():
                yield recoding
        except BaseException:
            if lease.mark:
                self._drop_recoding(recoding)
            raise

    def _drop_recoding(self, recoding: Recoding) -> None:
        """Nobody watches this one any more."""
        for key in [key for key, found in self._recodings.items() if found is recoding]:
            del self._recodings[key]
            recoding.stop()
            self._spawn(recoding.close())

    def _drop(self, upstream: Upstream) -> None:
        """Nobody watches this one any more."""
        key = (upstream.source.camera, upstream.source.role)
        self._upstreams.pop(key, None)
        self._remember(key, upstream)
        self._locked.pop(key, None)
        if upstream.locked_until > asyncio.get_running_loop().time():
            self._locked[key] = (upstream.locked_until, upstream.source.credentials)
        self._spawn(upstream.close())

    def _codec_changed(self, upstream: Upstream) -> None:
        """What viewers agreed on is not what comes now: they must ask anew."""
        for lease, channel in tuple(self._shown.items()):
            if channel is upstream or (
                isinstance(channel, Recoding)
                and channel.upstream is upstream
                and channel.codec != upstream.hub.codec
            ):
                self._leases.end(lease, "codec_changed")

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _burned(lease: Lease) -> Burned:
    assert lease.allowed is not None
    return Burned(
        masks=bool(lease.masks), watermark=lease.mark is not None, transcode=lease.allowed.transcode
    )
