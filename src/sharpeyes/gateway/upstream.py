"""One RTSP pull of one stream, for as long as somebody watches, and a little longer.

It connects, hands whole pictures to its hub, keeps the session alive, and begins anew when the camera goes:
viewers stay, their numbers and times go on, and the picture comes back without a click. A camera that
refuses the account is not asked again for minutes, since repeated failures lock accounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sharpeyes.domain.camera import StreamRole, Transport
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.domain.health import Failure, FailureKind, Keyframe, Phase, ProbeResult, Rung, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.gateway.channel import Channel, PullState
from sharpeyes.gateway.picture import Assembler, StreamFacts
from sharpeyes.gateway.settings import GatewaySettings
from sharpeyes.health.viewing import Viewing
from sharpeyes.net.rtsp_client import NetworkError, RtspConnection, kind_of, resolve
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.wire.nal import START
from sharpeyes.wire.rtp import RtpReceiver
from sharpeyes.wire.rtsp.dialogue import (
    Described,
    Dialogue,
    Ended,
    Event,
    Moved,
    Ready,
    TransportRefused,
)
from sharpeyes.wire.rtsp.digest import Authenticator
from sharpeyes.wire.rtsp.url import StreamUrl, parse_url
from sharpeyes.wire.video import Track

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 15.0
_LOCKED_WAIT_S = 300.0
_CHECK_S = 1.0
_FRESH_S = 3.0
"""Media that came so long ago is no evidence that it comes now."""
_ACCOUNT = frozenset({FailureKind.AUTH_FAILED, FailureKind.AUTH_UNSUPPORTED, FailureKind.CREDENTIALS_MISSING})
PASSED_ON = ("h264", "h265")
"""Codecs that the gateway understands."""
_ENOUGH = 100
"""Pictures after which a stream without B-frames is believed to have none."""
_STEADY_S = 5.0
"""A pull that lasted so long is followed at once by the next one."""
_SPROPS = ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a stream comes from. Nothing of it is ever shown to a viewer."""

    camera: str
    role: StreamRole
    url: str
    credentials: Credentials | None = None
    allow_basic: bool = False
    tls: TlsPolicy = field(default_factory=TlsPolicy)


class Upstream(Channel):
    """The pull of one source. ``left`` is called when nobody has watched for the grace period."""

    def __init__(
        self,
        source: Source,
        settings: GatewaySettings,
        *,
        left: Callable[[Upstream], None],
        codec_changed: Callable[[Upstream], None],
        viewing: Viewing | None = None,
        reordered: bool = False,
    ) -> None:
        """``codec_changed``: what viewers agreed on is not what comes now."""
        super().__init__(settings.grace_s, lambda: left(self))
        self.source = source
        self.state = PullState.STARTING
        self.failure: Failure | None = None
        self.reordered = reordered
        """It sends B-frames, or did when it was last pulled."""
        self._reordered = False
        self.attempts = 0
        self.locked_until = 0.0
        """Loop time until which the camera's account is not tried again: it was refused."""
        self._settings = settings
        self._codec_changed = codec_changed
        self._viewing = viewing
        self._task = asyncio.create_task(self._run(), name=f"pull {source.camera}")

    # -- for those who watch

    def told(self) -> PullState:
        return self.state

    async def ready(self, within_s: float, *, picture: bool = False) -> StreamFacts:
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if self.facts and self.facts.codec not in PASSED_ON:
                        return self.facts
                    if self.state is PullState.LOST and self.failure is not None:
                        raise unavailable(self.failure.kind)
                    if self.facts and not (picture and not self.hub.key_picture.is_set()):
                        return self.facts
                    await self._news.wait()
        except TimeoutError:
            raise unavailable(FailureKind.TIMEOUT) from None

    async def close(self) -> None:
        self._forget_grace()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- the pull

    async def _run(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            self.attempts += 1
            began = self._loop.time()
            pull = _Pull(self, self._settings)
            with self._said(pull):
                try:
                    failure = await pull.run()
                finally:
                    pull.close()
            if self.state is PullState.PLAYING or self.attempts == 1:
                log.warning("gateway: camera %s is lost: %s", self.source.camera, failure.kind)
            self.state, self.failure = PullState.LOST, failure
            self.hub.restarted()
            self._tell()
            if pull.played and self._loop.time() - began > _STEADY_S:
                wait = _FIRST_WAIT_S
            pause = wait * random.uniform(0.8, 1.2)
            if failure.kind in _ACCOUNT:
                pause = _LOCKED_WAIT_S
                self.locked_until = self._loop.time() + pause
            await asyncio.sleep(pause)
            wait = min(_LONGEST_WAIT_S, wait * 2)

    def lasting(self, facts: StreamFacts) -> StreamFacts:
        """``facts`` as the next pull should assume them: B-frames not seen any more are forgotten."""
        known = self._reordered if self.hub.pictures > _ENOUGH else facts.b_frames
        return replace(facts, b_frames=known)

    def described(self, codec: str) -> None:
        if self.hub.codec != codec:
            self.hub.codec = codec
            if self.facts is not None:
                self.reordered = self._reordered = False
                self._codec_changed(self)
        self.facts = None

    def known(self, facts: StreamFacts) -> None:
        """``facts`` of the connection that runs. B-frames are seen only once they come, and stay known."""
        fresh = facts.b_frames and not self.reordered
        self._reordered |= facts.b_frames
        self.reordered |= facts.b_frames
        self.facts = replace(facts, b_frames=self.reordered)
        self._tell()
        if fresh:
            self._codec_changed(self)

    def picture(self, units: list[bytes], key: bool, rtp_time: int) -> None:
        if key and self.state is not PullState.PLAYING:
            if self.state is PullState.LOST:
                log.warning("gateway: camera %s is back", self.source.camera)
            self.state, self.failure = PullState.PLAYING, None
        self.hub.picture(units, key, rtp_time)
        if key:
            self._tell()

    @contextlib.contextmanager
    def _said(self, pull: _Pull) -> Iterator[None]:
        """Whoever looks at cameras knows of this pull: it is a probe that costs nothing."""
        if self._viewing is None:
            yield
            return
        source = self.source
        ended = self._viewing(source.camera, source.url, source.credentials, pull.seen)
        try:
            yield
        finally:
            ended()


class _Pull:
    """One connection to the camera, from its beginning to its end."""

    def __init__(self, upstream: Upstream, settings: GatewaySettings) -> None:
        self._upstream = upstream
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._began = time.perf_counter()
        self._dialogue: Dialogue | None = None
        self._connection: RtspConnection | None = None
        self._over: asyncio.Future[StreamUrl | Failure] = self._loop.create_future()
        self._track: Track | None = None
        self._assembler: Assembler | None = None
        self._receiver: RtpReceiver | None = None
        self._delivered = float("-inf")
        self._again = False
        """This connection answers a challenge of the one before."""
        self.played = False

    async def run(self) -> Failure:
        """Until it ends, by whatever."""
        source = self._upstream.source
        try:
            url, from_url = parse_url(source.url)
        except InvalidInputError:
            return Failure(Phase.RESOLVE, FailureKind.INTERNAL, "the stream URL is not valid")
        credentials = source.credentials or from_url
        auth = None
        while True:
            try:
                async with asyncio.timeout(self._settings.start_s):
                    await self._connect(url, credentials, auth)
            except TimeoutError:
                return Failure(Phase.CONNECT, FailureKind.TIMEOUT, "no connection in time")
            except NetworkError as error:
                return Failure(Phase.CONNECT, error.kind, error.message)
            ended = await self._watch()
            if isinstance(ended, Failure):
                return ended
            auth = self._dialogue.challenged if self._dialogue is not None else None
            self.close()
            self._over = self._loop.create_future()
            url = ended

    async def _connect(
        self, url: StreamUrl, credentials: Credentials | None, auth: Authenticator | None
    ) -> None:
        source, before = self._upstream.source, self._dialogue
        self._again = auth is not None
        dialogue = self._dialogue = Dialogue(
            url,
            credentials,
            cnonce=secrets.token_hex(8),
            allow_basic=source.allow_basic,
            redirects=before.redirects if before is not None else 0,
            auth=auth,
        )
        addresses = await resolve(url.host)
        for address in addresses:
            connection = RtspConnection(
                dialogue, on_event=self._on_event, on_data=self._on_data, on_closed=self._on_closed
            )
            try:
                await connection.connect(address, url.port)
            except NetworkError:
                if address is addresses[-1]:
                    raise
                continue
            break
        self._connection = connection
        if url.secure:
            await connection.secure(url.host, source.tls)
        dialogue.start()
        connection.flush()

    async def _watch(self) -> StreamUrl | Failure:
        """Keep-alives, and the eye on a camera that says nothing any more."""
        assert self._dialogue is not None
        assert self._connection is not None
        now = self._loop.time()
        seen, seen_at, next_alive = -1, now, now
        while not self._over.done():
            await asyncio.wait((self._over,), timeout=_CHECK_S)
            now = self._loop.time()
            receiver = self._receiver
            packets = receiver.packets if receiver is not None else 0
            if packets != seen:
                seen = packets
                self._delivered = seen_at = now
            elif now - seen_at > (self._settings.stall_s if packets else self._settings.start_s):
                return Failure(Phase.MEDIA, FailureKind.NO_MEDIA, "the camera sends nothing any more")
            if receiver is not None and receiver.ended:
                return Failure(Phase.MEDIA, FailureKind.CLOSED, "the camera ended the stream")
            if now >= next_alive:
                self._dialogue.keep_alive()
                self._connection.flush()
                next_alive = now + min(30.0, self._dialogue.session_timeout_s / 2)
        return self._over.result()

    def close(self) -> None:
        """Leave no session and no socket behind."""
        if self._dialogue is not None:
            self._dialogue.tear_down()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end(self, ending: StreamUrl | Failure) -> None:
        if not self._over.done():
            self._over.set_result(ending)

    # -- what the camera says

    def _on_event(self, event: Event) -> None:
        dialogue = self._dialogue
        if dialogue is None or self._over.done():
            return
        if isinstance(event, Described):
            self._described(event.track)
        elif isinstance(event, Ready):
            assert self._track is not None
            form = self._track.format
            others = (
                f.payload_type for f in self._track.media.formats if f.payload_type != form.payload_type
            )
            self._receiver = RtpReceiver(self._assembler, (form.payload_type, *others), channel=event.channel)
            dialogue.sink = self._receiver.frames
            dialogue.play()
        elif isinstance(event, TransportRefused):
            self._end(Failure(Phase.SETUP, FailureKind.RTSP_STATUS, "the camera refuses RTP over TCP"))
        elif isinstance(event, Moved):
            self._end(event.url)
        elif isinstance(event, Ended):
            self._end(event.failure)

    def _described(self, track: Track) -> None:
        assert self._dialogue is not None
        self._track = track
        if track.codec not in PASSED_ON:
            self._upstream.known(StreamFacts(codec=track.name))
            self._end(Failure(Phase.DESCRIBE, FailureKind.NO_VIDEO, f"{track.name} cannot be passed on"))
            return
        parameters = track.format.parameters
        self._assembler = Assembler(
            track.codec,
            self._picture,
            numbered=parameters.get("sprop-max-don-diff", "0").strip("0 ") != "",
        )
        self._upstream.described(track.codec)
        self._assembler.parameter_sets(parameters.get(name, "") for name in _SPROPS)
        if facts := self._assembler.facts:
            self._upstream.known(facts)
        self._dialogue.set_up(Transport.TCP)

    def _picture(self, units: list[bytes], key: bool, rtp_time: int) -> None:
        assert self._assembler is not None
        if key or self._assembler.b_frames:
            facts = self._assembler.facts
            if facts is not None and facts != self._upstream.facts:
                self._upstream.known(facts)
        self._upstream.picture(units, key, rtp_time)
        if key and not self.played:
            self.played = True

    def _on_data(self) -> None:
        return

    def _on_closed(self, error: BaseException | None) -> None:
        if self._dialogue is not None and self._dialogue.challenged and not self._again:
            self._end(self._dialogue.url)  # once more, with the answer to its 401
            return
        self._end(Failure(Phase.MEDIA, kind_of(error), "the connection to the camera ended"))

    def seen(self) -> ProbeResult | None:
        """What the camera delivers just now, as a probe would have found it; None if that is no picture."""
        receiver, track, assembler = self._receiver, self._track, self._assembler
        gop = self._upstream.hub.gop
        if receiver is None or track is None or assembler is None or not gop or not self.played:
            return None
        if self._loop.time() - self._delivered > _FRESH_S:
            return None
        geometry = assembler.geometry
        keyframe = START + START.join(gop[0].units)
        return ProbeResult(
            at=Ms(time.time_ns() // 1_000_000),
            rung=Rung.KEYFRAME,
            failure=None,
            timings=Timings(total_ms=(time.perf_counter() - self._began) * 1000),
            codec=assembler.codec,
            width=geometry.width if geometry else None,
            height=geometry.height if geometry else None,
            fps=track.fps(receiver),
            packets=receiver.packets,
            lost=receiver.lost,
            received_bytes=receiver.bytes,
            keyframe=Keyframe(codec=assembler.codec, data=keyframe, rtp_time=gop[0].time),
            transcript=("= seen by the gateway while somebody watched",),
        )


_SAID = {
    FailureKind.CERTIFICATE: "the camera shows a certificate that is not trusted",
    FailureKind.AUTH_FAILED: "the camera does not accept its account",
    FailureKind.BUSY: "the camera serves as many viewers as it can",
    FailureKind.NO_VIDEO: "the camera sends no video that can be passed on",
    FailureKind.TIMEOUT: "the camera did not answer in time",
    FailureKind.NO_MEDIA: "the camera sends no picture",
    FailureKind.REFUSED: "the camera refuses connections",
    FailureKind.UNREACHABLE: "the camera cannot be reached",
    FailureKind.CLOSED: "the camera ended the connection",
}


def unavailable(kind: FailureKind) -> UnavailableError:
    """For a viewer: the kind alone, since addresses and URLs of cameras are nobody's business."""
    return UnavailableError(
        f"no picture at present: {_SAID.get(kind, 'the camera does not deliver')} ({kind})",
        mend="It is tried again by itself; ask again in a moment",
    )
