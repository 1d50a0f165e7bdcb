"""One attempt on one stream, from the name of the host to a whole keyframe, as one value.

The probe climbs the liveness ladder: reachable, RTSP, authenticated, media, keyframe. It says how far it
came, in which phase it stopped, why, and on whose side the fault lies. What RTSP says is decided in
``wire.rtsp``; here is the order of the climb, its time limits and the verdict. Decoding the keyframe (the
rungs above) is for whoever takes the result: it needs a thread, the climb does not.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sharpeyes.domain.camera import Transport
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.health import Failure, FailureKind, Keyframe, Phase, ProbeResult, Rung, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.net.rtsp_client import NetworkError, RtspConnection, UdpPair, kind_of, resolve
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.wire.rtp import RtpReceiver
from sharpeyes.wire.rtsp.dialogue import (
    Described,
    Dialogue,
    Ended,
    Event,
    Moved,
    Playing,
    Ready,
    Said,
    Transcript,
    TransportRefused,
)
from sharpeyes.wire.rtsp.url import StreamUrl, parse_url, with_login
from sharpeyes.wire.video import Track

log = logging.getLogger(__name__)

_PHASE_SHARE = 0.5
"""Part of the whole time that one phase may take: who hangs in one is told apart from who is slow in all."""
_FLOW_SHARE = 0.2
"""Part of the whole time in which more video must come for a keyframe to be waited for longer."""
_LAG_SHARE = 0.2
"""If our own loop stood still for this part of the time, a time-out says nothing about the camera."""
_LAG_TICK_S = 0.25
_LAG_NOISE_S = 0.02
_GATHER_S = 0.2
"""How long the pictures behind a keyframe gather in the socket: five of them at 25 a second."""
_MOST_BYTES = 128 << 20
"""Media without a whole keyframe in it: half a minute of 34 Mbit/s. Who sends more has none to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What to look at, and how."""

    url: str = field(repr=False)
    """``rtsp://`` or ``rtsps://``; credentials in it are used if ``credentials`` is None, and never shown."""
    credentials: Credentials | None = None
    transport: Transport = Transport.TCP
    timeout_s: float = 10.0
    """From the beginning to the keyframe; each phase may take half of it."""
    patience: float = 3.0
    """So many times as long while video comes without a keyframe: encoders that save bits send one in fifteen
    seconds and more."""
    observe_s: float = 0.0
    """How long to go on behind the keyframe, to measure frame rate, bit rate and loss."""
    follow: int = 0
    """Bring as many of the pictures behind the keyframe too, if they come at once; of JPEG, the last."""
    allow_basic: bool = False
    """Whether the password may be sent as it is, should the camera ask for that."""
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    withhold_credentials: bool = False
    """Do not answer a 401: the account was refused before, and one more attempt may lock it."""
    fall_back: bool = True
    """Take the other transport if the camera refuses the one asked for."""

    @property
    def longest_s(self) -> float:
        """What a probe takes at most, while our own loop keeps time."""
        return self.timeout_s * self.patience + self.observe_s


def _draw() -> Iterator[str]:
    """Random numbers of 64 bits, many at a time: asking the system lets go of the interpreter, and decode
    threads may keep it for a while."""
    while True:
        drawn = secrets.token_hex(8 * 256)
        yield from (drawn[at : at + 16] for at in range(0, len(drawn), 16))


_cnonces = _draw()


async def probe(request: ProbeRequest) -> ProbeResult:
    """Make the attempt. Every ending is a value; only cancellation raises.

    Network: one TCP connection to the URL's host (more only for several addresses of its name, or a redirect
    to another of its ports), with UDP one pair of ports. Memory: one keyframe of 8 MiB at most, and briefly
    its parts.
    """
    attempt = _Attempt(request)
    try:
        await attempt.run()
    except NetworkError as error:
        attempt.stop(error.kind, error.message)
    except Exception as error:  # a fault of ours must not be held against a camera
        log.exception("a probe failed by a fault of its own")
        attempt.stop(FailureKind.INTERNAL, f"the prober itself failed: {type(error).__name__}")
    finally:
        attempt.close()
    return attempt.result()


class _LoopLag:
    """How long the event loop stood still, as a timer tells. Runs only while probes are under way."""

    _current: _LoopLag | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _LoopLag:
        """The one of this loop, the loop that is used now."""
        if cls._current is None or cls._current._loop is not loop:
            cls._current = cls(loop)
        return cls._current

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._late_s = 0.0
        self._due = 0.0
        self._probes = 0
        self._armed = False

    def enter(self) -> float:
        """A probe begins; gives the lateness so far, to compare with."""
        self._probes += 1
        if not self._armed:
            self._arm()
        return self._late_s

    def leave(self) -> None:
        self._probes -= 1

    def total(self) -> float:
        """Seconds of lateness, the present one included."""
        return self._late_s + (max(0.0, self._loop.time() - self._due) if self._armed else 0.0)

    def _arm(self) -> None:
        self._armed = True
        self._due = self._loop.time() + _LAG_TICK_S
        self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        late = self._loop.time() - self._due
        if late > _LAG_NOISE_S:
            self._late_s += late
        if self._probes:
            self._arm()
        else:
            self._armed = False


class _Attempt:
    """The state of one probe."""

    def __init__(self, request: ProbeRequest) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._at = Ms(time.time_ns() // 1_000_000)
        self._began = time.perf_counter()
        self._end = self._limit = self._loop.time() + request.timeout_s
        self._very_end = self._loop.time() + request.timeout_s * request.patience
        self._packets_then = 0
        self._timer: asyncio.TimerHandle | None = None
        self._graced = False
        self._lag = _LoopLag.of(self._loop)
        self._lag_before = self._lag.enter()
        self._phase: Phase | None = Phase.RESOLVE  # None once the dialogue knows it better
        self._dialogue: Dialogue | None = None
        self._connection: RtspConnection | None = None
        self._udp: UdpPair | None = None
        self._waiter: asyncio.Future[StreamUrl | None] | None = None
        self._transport = request.transport
        self._was_refused = False
        """The transport, on this connection."""
        self._again = False
        """This connection answers a challenge of the one before."""
        self._track: Track | None = None
        self._receiver: RtpReceiver | None = None
        self._observed_until: float | None = None
        self._alive: asyncio.TimerHandle | None = None
        self._said: list[Said] = []
        self._rung = Rung.NONE
        self._failure: Failure | None = None
        self._keyframe: Keyframe | None = None
        self._gathers = self._paused = False
        self._done = False
        self._connect_ms: float | None = None
        self._describe_ms: float | None = None
        self._play_ms: float | None = None
        self._first_packet_ms: float | None = None
        self._keyframe_ms: float | None = None

    # -- the climb

    async def run(self) -> None:
        try:
            url, from_url = parse_url(self._request.url)
        except InvalidInputError as error:
            self.stop(FailureKind.INTERNAL, str(error))
            return
        credentials = self._request.credentials or from_url
        allow_basic = self._request.allow_basic or (credentials is not None and credentials.allow_basic)
        if credentials is not None and allow_basic and not self._request.withhold_credentials:
            url = with_login(url, credentials)
        redirects = 0
        auth = None
        following: StreamUrl | None = url
        while following is not None:
            dialogue = self._dialogue = Dialogue(
                following,
                credentials,
                cnonce=next(_cnonces),
                allow_basic=allow_basic,
                withhold=self._request.withhold_credentials,
                redirects=redirects,
                auth=auth,
            )
            self._again = auth is not None
            await self._connect(following, dialogue)
            if self._done:
                return
            assert self._connection is not None
            self._phase = None
            self._waiter = self._loop.create_future()
            dialogue.start()
            self._connection.flush()
            self._next_phase()
            following = await self._waiter
            redirects, auth = dialogue.redirects, dialogue.challenged
            if following is not None:
                self._leave_connection()

    async def _connect(self, url: StreamUrl, dialogue: Dialogue) -> None:
        self._phase = Phase.RESOLVE
        limit = min(self._end, self._loop.time() + _PHASE_SHARE * self._request.timeout_s)
        try:
            async with asyncio.timeout_at(limit):
                addresses = await resolve(url.host)
                self._phase = Phase.CONNECT
                for address in addresses:
                    connection = RtspConnection(
                        dialogue, on_event=self._on_event, on_data=self._on_data, on_closed=self._on_closed
                    )
                    try:
                        await connection.connect(address, url.port)
                    except NetworkError as error:
                        if address is addresses[-1]:
                            raise
                        dialogue.note(f"! {error.message}")
                        continue
                    break
                self._connection = connection
                self._connect_ms = self._elapsed()
                self._rung = max(self._rung, Rung.REACHABLE)
                dialogue.note(f"* connected to {address} port {url.port}")
                if url.secure:
                    self._phase = Phase.TLS
                    fingerprint = await connection.secure(url.host, self._request.tls)
                    dialogue.note(f"* TLS, certificate SHA-256 {fingerprint}")
        except TimeoutError:
            what = {Phase.RESOLVE: f"the name {url.host} is not resolved", Phase.CONNECT: "no connection"}
            self._timed_out(what.get(self._phase, "no TLS"))

    def _on_event(self, event: Event) -> None:
        dialogue = self._dialogue
        assert dialogue is not None
        if self._done:
            return
        if isinstance(event, Described):
            self._describe_ms = self._elapsed()
            self._rung = Rung.AUTHENTICATED
            self._track = event.track
            self._set_up()
        elif isinstance(event, Ready):
            self._ready(event)
        elif isinstance(event, Playing):
            self._play_ms = self._elapsed()
            dialogue.note("* waiting for media")
            if dialogue.session_timeout_s / 2 < self._request.longest_s:
                self._alive = self._loop.call_later(dialogue.session_timeout_s / 2, self._stay)
        elif isinstance(event, TransportRefused):
            self._other_transport()
        elif isinstance(event, Moved):
            assert self._connection is not None
            self._connection.close()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(event.url)
            return
        elif isinstance(event, Ended):
            self._on_data()  # the keyframe may have come in the same reading
            self._ended(event.failure)
            return
        self._next_phase()

    def _set_up(self) -> None:
        assert self._dialogue is not None
        assert self._connection is not None
        if self._transport is Transport.TCP:
            self._dialogue.set_up(Transport.TCP)
            return
        try:
            self._udp = UdpPair(*self._connection.addresses, on_rtp=self._on_datagram, on_rtcp=self._on_rtcp)
        except NetworkError as error:
            self.stop(error.kind, error.message)
            return
        self._dialogue.set_up(Transport.UDP, self._udp.ports)

    def _ready(self, ready: Ready) -> None:
        assert self._dialogue is not None
        assert self._track is not None
        self._was_refused = False
        receiver = self._receiver = self._track.receiver(
            channel=ready.channel, reorder=ready.transport is Transport.UDP
        )
        if receiver.depacketiser is not None:
            receiver.depacketiser.follow(self._request.follow)
        if ready.transport is Transport.TCP:
            self._dialogue.sink = receiver.frames
        elif self._udp is not None and ready.server_ports is not None:
            self._udp.send(ready.server_ports, receiver.punch(), receiver.report())
        self._dialogue.play()

    def _other_transport(self) -> None:
        refused = self._transport
        if not self._request.fall_back or refused is not self._request.transport:
            self.stop(FailureKind.RTSP_STATUS, f"the camera refuses RTP over {refused.upper()}")
            return
        self._transport = Transport.UDP if refused is Transport.TCP else Transport.TCP
        self._was_refused = True
        self._set_up()

    # -- media

    def _on_datagram(self, data: bytes) -> None:
        if self._receiver is not None and not self._done:
            self._receiver.datagram(data)
            self._on_data()

    def _on_rtcp(self, data: bytes) -> None:
        if self._receiver is not None and not self._done:
            self._receiver.control(data)
            self._on_data()

    def _on_data(self) -> None:
        receiver = self._receiver
        if receiver is None or self._done:
            return
        if self._first_packet_ms is None:
            if not receiver.packets:
                return
            self._first_packet_ms = self._elapsed()
            self._rung = Rung.MEDIA
            self._limit = self._end
        depacketiser = receiver.depacketiser
        if depacketiser is None:
            assert self._track is not None
            self.stop(
                FailureKind.NO_VIDEO,
                f"RTP flows, but its codec, {self._track.name}, is not H.264, H.265 or JPEG",
                Phase.KEYFRAME,
            )
        elif depacketiser.keyframe is not None and self._keyframe is None:
            self._keyframe_complete(depacketiser.codec, depacketiser.keyframe, depacketiser.keyframe_time)
        elif receiver.ended and self._keyframe is None:
            self._closed("the camera ended the stream (RTCP BYE)")
        elif receiver.bytes > _MOST_BYTES and self._keyframe is None:
            self.stop(
                FailureKind.NO_KEYFRAME,
                f"{receiver.bytes >> 20} MiB, and no whole keyframe: {self._received()}",
                Phase.KEYFRAME,
            )

    def _keyframe_complete(self, codec: str, data: bytes, rtp_time: int) -> None:
        assert self._dialogue is not None
        assert self._receiver is not None
        self._keyframe_ms = self._elapsed()
        self._rung = Rung.KEYFRAME
        self._keyframe = Keyframe(codec=codec, data=data, rtp_time=rtp_time)
        self._dialogue.note(
            f"* {codec} keyframe of {len(data)} bytes after {self._receiver.packets} packets, "
            f"{self._receiver.lost} lost"
        )
        now = self._loop.time()
        if self._request.observe_s <= 0:
            if self._request.follow and self._connection is not None:
                # one reading for all of them: each costs as much as a keyframe's
                self._connection.pause()
                self._gathers = self._paused = True
                self._arm(now + _GATHER_S)
            else:
                self._finish()
            return
        self._observed_until = now + self._request.observe_s
        self._arm(self._observed_until)

    # -- endings

    def stop(self, kind: FailureKind, message: str, phase: Phase | None = None) -> None:
        """The attempt ends here, by this. What was reached before stays."""
        if self._done:
            return
        if self._dialogue is not None:
            failure = self._dialogue.fail(kind, message, phase or self._phase).failure
        else:
            failure = Failure(phase or self._phase or Phase.RESOLVE, kind, message)
        self._ended(failure)

    def _ended(self, failure: Failure) -> None:
        if self._keyframe is None:
            self._failure = failure
        self._finish()

    def _finish(self) -> None:
        self._done = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _on_closed(self, error: BaseException | None) -> None:
        kind = kind_of(error)
        if self._dialogue and self._waiter and not self._waiter.done():
            again = None
            if self._was_refused:
                self._was_refused, again = False, "for the other transport"
            elif self._dialogue.challenged and not self._again:
                again = "with the answer to its 401"
            if again is not None:
                self._dialogue.note(f"* closed; again, {again}, on a new connection")
                self._waiter.set_result(self._dialogue.url)
                return
        if kind is FailureKind.INTERNAL:
            self.stop(kind, f"the prober itself failed: {type(error).__name__}")
        else:
            self._closed("the camera closed the connection", kind)

    def _closed(self, message: str, kind: FailureKind = FailureKind.CLOSED) -> None:
        receiver = self._receiver
        if receiver is not None and receiver.packets:
            self.stop(kind, f"{message} before a whole keyframe: {self._received()}", Phase.KEYFRAME)
        else:
            self.stop(kind, message)

    def _timed_out(self, message: str) -> None:
        """Time is over: the camera's fault, unless our own loop was late."""
        stood_still = self._lag.total() - self._lag_before
        receiver = self._receiver
        kind, phase = FailureKind.TIMEOUT, None
        if receiver is not None and receiver.packets:
            kind, phase = FailureKind.NO_KEYFRAME, Phase.KEYFRAME
            message = f"no whole keyframe: {self._received()}"
        elif self._play_ms is not None:
            kind, phase = FailureKind.NO_MEDIA, Phase.MEDIA
            message = "the camera says that it plays, but no RTP came"
            if self._transport is Transport.UDP:
                message += " over UDP; a firewall or NAT may stand in between"
        if stood_still >= _LAG_SHARE * self._request.timeout_s:
            kind = FailureKind.OVERLOADED
            message = f"{message}, while this prober itself stood still for {stood_still:.1f} s"
        seconds = self._elapsed() / 1000
        self.stop(kind, f"{message}, after {seconds:.1f} s", phase)

    def _received(self) -> str:
        assert self._receiver is not None
        depacketiser = self._receiver.depacketiser
        problem = depacketiser.problem if depacketiser is not None else None
        return f"{self._receiver.packets} packets, {self._receiver.lost} lost" + (
            f"; {problem}" if problem else ""
        )

    # -- time

    def _elapsed(self) -> float:
        return (time.perf_counter() - self._began) * 1000

    def _next_phase(self) -> None:
        """Another phase began: its time begins."""
        self._limit = min(self._end, self._loop.time() + _PHASE_SHARE * self._request.timeout_s)
        if self._timer is None:
            self._arm(self._limit)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._limit = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._done:
            return
        now = self._loop.time()
        if now < self._limit:  # set further since the timer was: one timer does for all phases
            self._arm(self._limit)
        elif self._gathers:
            self._gather(now)
        elif self._observed_until is not None:
            self._finish()
        elif now - self._limit > _LAG_NOISE_S and not self._graced:
            # We were late ourselves. What came in the meantime waits in the socket: read it first.
            self._graced = True
            self._arm(now + _LAG_NOISE_S)
        elif now < self._very_end and self._video_comes():
            self._arm(min(now + _FLOW_SHARE * self._request.timeout_s, self._very_end))
        else:
            assert self._dialogue is not None
            self._timed_out(f"no answer to {self._dialogue.phase.upper()}")

    def _video_comes(self) -> bool:
        """Whether more of it has come since this was asked last."""
        receiver = self._receiver
        if receiver is None or receiver.packets == self._packets_then:
            return False
        self._packets_then = receiver.packets
        return True

    def _gather(self, now: float) -> None:
        """What came behind the keyframe waits in the socket: take it, and end."""
        if self._paused and self._connection is not None:
            self._paused = False
            self._connection.resume()
            self._arm(now + _LAG_NOISE_S)
        else:
            self._finish()

    def _stay(self) -> None:
        """The camera is told that somebody is still there, whether for its keyframe or for its stream."""
        assert self._dialogue is not None
        assert self._connection is not None
        self._dialogue.keep_alive()
        self._connection.flush()
        self._alive = self._loop.call_later(self._dialogue.session_timeout_s / 2, self._stay)

    # -- the result

    def close(self) -> None:
        """Leave no timer, socket or session behind."""
        self._lag.leave()
        if self._timer is not None:
            self._timer.cancel()
        self._leave_connection()

    def _leave_connection(self) -> None:
        if self._alive is not None:
            self._alive.cancel()
            self._alive = None
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        dialogue = self._dialogue
        if dialogue is not None:
            if dialogue.answered:
                self._rung = max(self._rung, Rung.RTSP)
            dialogue.tear_down()
            if self._connection is not None:
                self._connection.close()
            self._said += dialogue.said
        self._connection = self._dialogue = None

    def result(self) -> ProbeResult:
        receiver, track = self._receiver, self._track
        depacketiser = receiver.depacketiser if receiver is not None else None
        geometry = depacketiser.geometry if depacketiser is not None else None
        keyframe, transcript = self._keyframe, Transcript(self._said)
        if keyframe is not None and depacketiser is not None and depacketiser.following:
            keyframe = replace(keyframe, following=tuple(depacketiser.following))
        width, height = (geometry.width, geometry.height) if geometry else (None, None)
        if track is not None and geometry is None and track.media.size is not None:
            width, height = track.media.size
        return ProbeResult(
            at=self._at,
            rung=self._rung,
            failure=self._failure,
            timings=Timings(
                connect_ms=self._connect_ms,
                describe_ms=self._describe_ms,
                play_ms=self._play_ms,
                first_packet_ms=self._first_packet_ms,
                keyframe_ms=self._keyframe_ms,
                total_ms=self._elapsed(),
            ),
            codec=track.name if track is not None else None,
            width=width,
            height=height,
            fps=track.fps(receiver) if track is not None and receiver is not None else None,
            bitrate_bps=self._bitrate(),
            packets=receiver.packets if receiver is not None else 0,
            lost=receiver.lost if receiver is not None else 0,
            received_bytes=receiver.bytes if receiver is not None else 0,
            keyframe=keyframe,
            transcript=transcript if self._failure is None else transcript.lines,  # failures are kept
        )

    def _bitrate(self) -> int | None:
        if self._observed_until is None or self._receiver is None or self._track is None:
            return None
        return self._receiver.bitrate(self._track.format.clock_rate)
