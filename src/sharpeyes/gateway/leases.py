"""The right behind every picture: asked for before the first packet, and again whenever it may have changed.

A view is admitted (ticket, ``decide``, a free seat), begins when its entry in the register is durable, and
ends by whatever comes first: the viewer leaves, its time is over, somebody takes the right away. Rights are
looked at again at the instant that the last answer named, when a change is told, and every second besides;
if they cannot be looked at for some seconds, every picture stops.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass

from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.changes import Changed, Changes
from sharpeyes.access.decide import decide
from sharpeyes.access.desk import Desk
from sharpeyes.access.register.entry import Detail, Entry
from sharpeyes.access.register.writer import Register
from sharpeyes.access.tickets import Ticket, TicketGate
from sharpeyes.domain.access import Action, Allowed, Decision, Grant, Reason, Refused, Subject, Target, Terms
from sharpeyes.domain.errors import (
    ForbiddenError,
    NotFoundError,
    SharpEyesError,
    UnauthenticatedError,
    UnavailableError,
)
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.time import Ms
from sharpeyes.gateway.overlay import Mark
from sharpeyes.gateway.seats import Seat, Seats
from sharpeyes.gateway.settings import GatewaySettings
from sharpeyes.store.database import Database
from sharpeyes.store.grants import get_grant
from sharpeyes.store.people import get_subject, open_sessions
from sharpeyes.store.rules import get_masks, get_target

log = logging.getLogger(__name__)

_TICKET = frozenset({Reason.TICKET_INVALID, Reason.TICKET_EXPIRED, Reason.TICKET_USED, Reason.TICKET_CLIENT})
STOPPED = "stopped"
"""Why a view ended that somebody else ended."""
_AHEAD_S = 1.0
"""So long before time alone may change an answer, the next one is asked for."""
_REMEMBERED_S = (0.5, 2.0, 8.0)
"""Waits before an end is tried again to be written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rooms of access that the gateway asks."""

    database: Database
    desk: Desk
    gate: TicketGate
    register: Register
    changes: Changes


@dataclass(slots=True, eq=False, kw_only=True)
class Lease:
    """One view, from admission to its end."""

    view: str
    """Its id in the register."""
    ticket: Ticket
    address: str
    path: str
    allowed: Allowed | None = None
    """By what right, once that is decided."""
    masks: tuple[Mask, ...] = ()
    """What must be painted over in its picture."""
    mark: Mark | None = None
    """What must be burned into its picture, where policy wants that."""
    cut: Callable[[], None] = lambda: None
    """Stops the packets, at once; called once."""
    ended: Callable[[], None] = lambda: None
    """Called after ``cut``."""
    sent: Callable[[], int] = lambda: 0
    """Bytes sent so far."""
    started: Entry | None = None
    over: str | None = None
    """Why it ended."""
    timer: asyncio.TimerHandle | None = None

    @property
    def grant(self) -> str | None:
        """The grant that it runs under."""
        return self.allowed.grant if self.allowed else self.ticket.grant

    @property
    def until(self) -> Ms | None:
        return self.allowed.until if self.allowed else None

    @property
    def seat(self) -> Seat:
        return Seat(self.ticket.user, self.ticket.department, self.ticket.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningView:
    """A view that runs now, for those who watch over the cameras."""

    view: str
    """Its id in the register."""
    user: str
    name: str
    unit: str
    """The viewer's department."""
    camera: str
    grant: str | None
    """None: by the right of an operator of the owner."""
    path: str
    """webrtc, fmp4, hls."""
    since: Ms
    until: Ms | None
    """When the right must be looked at again at the latest; None: it has no end of its own."""
    sent_bytes: int


class Leases:
    """All views of one gateway."""

    def __init__(self, access: Access, settings: GatewaySettings, clock: Callable[[], Ms]) -> None:
        self._access = access
        self._settings = settings
        self._clock = clock
        self._seats = Seats(settings.limits)
        self._leases: dict[Lease, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._deaf: Callable[[], None] = lambda: None
        self._seen = 0.0
        self._blind = False

    def __len__(self) -> int:
        return len(self._leases)

    async def start(self) -> None:
        self._seen = asyncio.get_running_loop().time()
        self._deaf = self._access.changes.listen(self._changed)
        self._watch = asyncio.create_task(self._poll(), name="gateway-rights")

    async def stop(self) -> None:
        """End every view, and write that down."""
        self._deaf()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for lease in tuple(self._leases):
            self.end(lease, "gateway_stopped")
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- a view begins

    async def admit(self, text: str, camera: str, action: Action, *, client: str, path: str) -> Lease:
        """Whoever brings this ticket may ask for this camera now; nothing is shown yet.

        UnauthenticatedError (no ticket that holds), ForbiddenError, NotFoundError, LimitError,
        UnavailableError. Every refusal of a right is in the register before it is given.
        """
        now = self._clock()
        ticket = self._access.gate.redeem(text, client, now)
        if isinstance(ticket, Refused):
            await self.refuse(None, ticket, camera, None, client, step="ticket")
        assert isinstance(ticket, Ticket)
        if ticket.camera != camera:
            other = Refused(reason=Reason.OTHER_CAMERA, message="The ticket is for another camera")
            await self.refuse(ticket, other, camera, ticket.grant, client, step=action)
        if ticket.action != action:
            unlike = Refused(reason=Reason.ACTION, message=f"The ticket is not for this: {action}")
            await self.refuse(ticket, unlike, camera, ticket.grant, client, step=action)
        seat = Seat(ticket.user, ticket.department, ticket.camera)
        self._seats.take(seat)
        lease = Lease(
            view=secrets.token_hex(8),
            ticket=ticket,
            address=client,
            path=path,
        )
        self._leases[lease] = None
        try:
            lease.allowed = await self._check(lease)
        except BaseException:
            self.drop(lease)
            raise
        return lease

    async def begin(self, lease: Lease) -> None:
        """Write the beginning down; on return it is durable and the picture may run. The errors are those of
        :meth:`admit`."""
        assert lease.allowed is not None
        try:
            now = self._clock()
            subject, terms = await self._access.database.aquick(lambda c: _who(c, lease))
            lease.started = entries.view_started(
                now,
                subject,
                lease.allowed,
                view=lease.view,
                camera=lease.ticket.camera,
                terms=terms,
                address=lease.address,
                path=lease.path,
            )
            try:
                await self._access.register.append(lease.started)
            except BaseException:
                lease.started = None  # it may be there or not; there was no picture
                raise
            # What changed since the answer was either told meanwhile, or is seen now.
            decision = await self._look_once(lease)
        except BaseException:
            self.end(lease, "refused")
            raise
        if isinstance(decision, Refused):
            self.end(lease, decision.reason)
            raise _refusal(decision)
        if lease.over is not None:
            raise ForbiddenError(f"the view ended before it began: {lease.over}")
        lease.allowed = decision
        self._arm(lease)

    def drop(self, lease: Lease) -> None:
        """It never began."""
        if lease.over is None:
            lease.over = "dropped"
            self._leases.pop(lease, None)
            self._seats.give_back(lease.seat)

    async def snapshot(self, lease: Lease, size: int) -> None:
        """Write down that one still picture of ``size`` bytes is given; durable on return."""
        subject, terms = await self._access.database.aquick(lambda c: _who(c, lease))
        decision = await self._look_once(lease)
        if isinstance(decision, Refused):
            raise _refusal(decision)
        await self._access.register.append(
            entries.snapshot(
                self._clock(),
                subject,
                decision,
                camera=lease.ticket.camera,
                terms=terms,
                address=lease.address,
                size=size,
            )
        )

    def running(self) -> tuple[RunningView, ...]:
        """The views that have begun and not ended, in the order in which they began."""
        return tuple(
            RunningView(
                view=lease.view,
                user=lease.ticket.user,
                name=lease.started.name or "",
                unit=lease.started.unit or "",
                camera=lease.ticket.camera,
                grant=lease.grant,
                path=lease.path,
                since=lease.started.at,
                until=lease.until,
                sent_bytes=lease.sent(),
            )
            for lease in self._leases
            if lease.started is not None and lease.over is None
        )

    # -- a view ends

    def stop_view(self, view: str, by: Subject, reason: str) -> None:
        """Somebody else ends it: the register has who, and why. NotFoundError."""
        for lease in self._leases:
            if lease.view == view and lease.started is not None:
                return self.end(lease, STOPPED, by=by.id, by_name=by.name, reason=reason)
        raise NotFoundError("There is no such view, or it has ended")

    def end(self, lease: Lease, why: str, **more: Detail) -> None:
        """The picture stops before this returns; the account of it is written afterwards."""
        if lease.over is not None:
            return
        lease.over = str(why)
        lease.cut()
        self._leases.pop(lease, None)
        self._seats.give_back(lease.seat)
        if lease.timer is not None:
            lease.timer.cancel()
        if lease.started is not None:
            ended = entries.view_ended(
                lease.started, self._clock(), sent_bytes=lease.sent(), why=lease.over, **more
            )
            self._spawn(self._write(ended))
        lease.ended()

    async def _write(self, entry: Entry) -> None:
        for pause in (*_REMEMBERED_S, None):
            try:
                await self._access.register.append(entry)
            except SharpEyesError as error:
                if pause is None:
                    log.error(
                        "gateway: the end of view %s is not in the register: %s", entry.details["view"], error
                    )
                    return
                await asyncio.sleep(pause)
            else:
                return

    # -- rights are looked at again

    def _changed(self, changed: Changed) -> None:
        affected = [
            lease
            for lease in self._leases
            if changed.policy
            or lease.ticket.user in changed.users
            or lease.grant in changed.grants
            or lease.ticket.camera in changed.cameras
        ]
        if affected:
            self._spawn(self._again(affected))

    async def _again(self, leases: Collection[Lease]) -> None:
        """Ask anew for these. What cannot be asked is left to the poll, which is strict."""
        try:
            await self._look(leases)
        except Exception:
            log.exception("gateway: rights could not be looked at after a change")

    async def _look(self, leases: Collection[Lease]) -> None:
        running = [lease for lease in leases if lease.started is not None and lease.over is None]
        if not running:
            return
        now = self._clock()
        answers = await self._access.database.aquick(
            lambda c: _decide_all(c, running, now, self._access.desk)
        )
        for lease, (decision, masks) in zip(running, answers, strict=True):
            if lease.over is not None:
                continue
            if isinstance(decision, Refused):
                self.end(lease, decision.reason)
            elif (why := _unlike(lease, decision, masks)) is not None:
                self.end(lease, why)
            elif decision.until != lease.until:
                lease.allowed = decision
                self._arm(lease)

    async def _look_once(self, lease: Lease) -> Decision:
        """The right as it stands now. UnavailableError, too, if what must be drawn into the picture is not
        any more what it was made with."""
        now = self._clock()
        try:
            ((decision, masks),) = await self._access.database.aquick(
                lambda c: _decide_all(c, [lease], now, self._access.desk)
            )
        except SharpEyesError:
            raise
        except Exception as error:
            raise UnavailableError("rights cannot be looked at at present") from error
        if isinstance(decision, Allowed) and (why := _unlike(lease, decision, masks)) is not None:
            raise UnavailableError(f"the rules of this picture changed just now ({why})", mend="Ask again")
        return decision

    def _arm(self, lease: Lease) -> None:
        """Ask again at the instant that the answer names."""
        if lease.timer is not None:
            lease.timer.cancel()
            lease.timer = None
        until = lease.until
        if until is not None and lease.over is None:
            wait_s = max(0.0, (until - self._clock()) / 1000)
            loop = asyncio.get_running_loop()
            lease.timer = loop.call_later(min(max(0.0, wait_s - _AHEAD_S), 86_400.0), self._due, lease)

    def _due(self, lease: Lease) -> None:
        lease.timer = None
        if lease.until is not None and lease.until - self._clock() > 2 * _AHEAD_S * 1000:
            self._arm(lease)  # it was further away than a timer reaches
        else:
            self._spawn(self._foresee(lease))

    async def _foresee(self, lease: Lease) -> None:
        """What the answer will be at the instant that it named. A no is kept ready, so that the picture stops
        then, and not when a busy database has said so. Who cannot ask must not show."""
        until = lease.until
        if until is None or lease.over is not None:
            return
        at, why = Ms(max(until, self._clock())), "rights_unknown"
        try:
            ((decision, _),) = await self._access.database.aquick(
                lambda c: _decide_all(c, [lease], at, self._access.desk)
            )
        except Exception:
            log.exception("gateway: rights could not be looked at before their end")
        else:
            if lease.over is not None or lease.until != until:
                return  # another answer came meanwhile, with a timer of its own
            if isinstance(decision, Allowed):
                lease.allowed = decision
                self._arm(lease)
                return
            why = decision.reason
        if lease.over is None and lease.until == until and lease.timer is None:
            self._end_at(lease, until, why)

    def _end_at(self, lease: Lease, until: Ms, why: str) -> None:
        wait_s = (until - self._clock()) / 1000
        if wait_s <= 0:
            self.end(lease, why)
        else:
            loop = asyncio.get_running_loop()
            lease.timer = loop.call_later(min(wait_s, 1.0), self._end_at, lease, until, why)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.poll_s)
            try:
                async with asyncio.timeout(self._settings.stale_s):
                    await self._look(tuple(self._leases))
            except Exception as error:  # noqa: BLE001  (whatever it is: who cannot look must not show)
                if not self._blind:
                    self._blind = True
                    log.error("gateway: rights cannot be looked at: %s", str(error) or type(error).__name__)
            else:
                self._seen = loop.time()
                if self._blind:
                    self._blind = False
                    log.warning("gateway: rights can be looked at again")
            if loop.time() - self._seen > self._settings.stale_s:
                for lease in tuple(self._leases):
                    self.end(lease, "rights_unknown")

    # -- inside

    async def _check(self, lease: Lease) -> Allowed:
        ticket = lease.ticket
        try:
            decision = await self._access.desk.check(
                ticket.user, ticket.camera, ticket.action, ticket.grant, address=lease.address
            )
        except SharpEyesError:
            raise
        except Exception as error:
            raise UnavailableError("rights cannot be looked at at present") from error
        if isinstance(decision, Refused):
            raise _refusal(decision)
        if ticket.grant is None and decision.grant is not None:
            # The ticket named the operator's own right; another one is another ticket.
            none = Refused(reason=Reason.NO_GRANT, message="The ticket names no grant: ask for another")
            await self.refuse(ticket, none, ticket.camera, None, lease.address, step=ticket.action)
        lease.masks, lease.mark = await self._drawn(ticket, decision)
        return decision

    async def _drawn(self, ticket: Ticket, allowed: Allowed) -> tuple[tuple[Mask, ...], Mark | None]:
        """What must be in the picture. Whoever cannot read it must not show the picture."""

        def read(connection: Connection) -> tuple[tuple[Mask, ...], Mark | None]:
            masks = get_masks(connection, ticket.camera)
            if not allowed.watermark:
                return masks, None
            subject = get_subject(connection, ticket.user)
            zone = self._access.desk.rules(connection).zone
            return masks, Mark(name=subject.name, unit=subject.department, grant=allowed.grant, zone=zone)

        try:
            return await self._access.database.aquick(read)
        except Exception as error:
            raise UnavailableError("the camera's privacy masks cannot be read at present") from error

    async def refuse(
        self,
        ticket: Ticket | None,
        refused: Refused,
        camera: str,
        grant: str | None,
        address: str,
        *,
        step: str,
    ) -> None:
        """Register a refusal, then raise it."""
        await self.note(ticket, refused, camera, grant, address, step=step)
        raise _refusal(refused)

    async def note(
        self,
        ticket: Ticket | None,
        refused: Refused,
        camera: str,
        grant: str | None,
        address: str,
        *,
        step: str,
    ) -> None:
        """Register a refusal; durable on return. ``ticket``: of whoever is known to have asked."""
        subject = None
        if ticket is not None:
            try:
                subject = await self._access.database.aquick(lambda c: get_subject(c, ticket.user))
            except NotFoundError:
                subject = None
        await self._access.register.append(
            entries.refused(
                self._clock(), subject, refused, step=step, camera=camera[:64], grant=grant, address=address
            )
        )

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refusal(refused: Refused) -> SharpEyesError:
    """The same reason as an error for the API."""
    text = f"{refused.message} ({refused.reason})"
    if refused.reason in _TICKET:
        return UnauthenticatedError(text, mend="Ask for a ticket, and use it once within a minute")
    if refused.reason is Reason.CAMERA_UNKNOWN:
        return NotFoundError(text)
    return ForbiddenError(text)


def _who(connection: Connection, lease: Lease) -> tuple[Subject, Terms | None]:
    subject = get_subject(connection, lease.ticket.user)
    grant = get_grant(connection, lease.grant) if lease.grant else None
    return subject, grant.terms if grant else None


def _unlike(lease: Lease, allowed: Allowed, masks: tuple[Mask, ...]) -> str | None:
    """Why the picture, as it is made, must not go on: other masks than it was begun with, or no watermark
    where policy wants one now."""
    if masks != lease.masks:
        return "masks_changed"
    return Reason.POLICY if allowed.watermark and lease.mark is None else None


def _decide_all(
    connection: Connection, leases: Collection[Lease], now: Ms, desk: Desk
) -> list[tuple[Decision, tuple[Mask, ...]]]:
    """One transaction for all, each person, camera and grant read once. A session that is over takes its
    pictures along, whatever right they had: it may have been another's."""
    rules = desk.rules(connection)
    sessions = {lease.ticket.session for lease in leases} - {""}
    over = sessions - open_sessions(connection, sessions, now)
    subjects: dict[str, Subject] = {}
    targets: dict[str, Target] = {}
    grants: dict[str, Grant] = {}
    masks: dict[str, tuple[Mask, ...]] = {}
    decisions: list[tuple[Decision, tuple[Mask, ...]]] = []
    for lease in leases:
        ticket, name = lease.ticket, lease.grant
        if ticket.session in over:
            ended = Refused(reason=Reason.LOGGED_OUT, message="The session that asked for this has ended")
            decisions.append((ended, ()))
            continue
        try:
            if ticket.user not in subjects:
                subjects[ticket.user] = get_subject(connection, ticket.user)
            if ticket.camera not in targets:
                targets[ticket.camera] = get_target(connection, ticket.camera)
                masks[ticket.camera] = get_masks(connection, ticket.camera)
            if name is not None and name not in grants:
                grants[name] = get_grant(connection, name)
        except NotFoundError as error:
            decisions.append((Refused(reason=Reason.NO_GRANT, message=error.message), ()))
            continue
        grant = grants[name] if name is not None else None
        decision = decide(subjects[ticket.user], targets[ticket.camera], ticket.action, grant, now, rules)
        decisions.append((decision, masks[ticket.camera]))
    return decisions
