"""Runs of discovery: one at a time, by schedule or because somebody asked, and stopped by whoever may.

What waits for approval is put to the list of found devices as it is found, so that a service that ends in the
middle of a run loses none that anybody has seen; what is enrolled by itself goes in at the end, all together,
since only then it is known which addresses are one device.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from sharpeyes.discovery import decisions, intake
from sharpeyes.discovery.decisions import Decided
from sharpeyes.discovery.discover import Step, discover
from sharpeyes.discovery.found import FoundDevice
from sharpeyes.discovery.intake import Approval, Place
from sharpeyes.discovery.listing import Finding, Swept, miss, note, tally
from sharpeyes.discovery.scope import Allowed, Part, Plan, Wanted, plan, policy_of
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.discovery import Enrol, FoundStatus, Outcome
from sharpeyes.domain.errors import ConflictError, InvalidInputError, SharpEyesError
from sharpeyes.domain.time import Ms, iso
from sharpeyes.registry.declared import Network
from sharpeyes.registry.trust import Trust
from sharpeyes.store.credentials import list_credentials, open_credentials
from sharpeyes.store.database import Database
from sharpeyes.store.devices import list_devices
from sharpeyes.store.discovery import (
    Found,
    Run,
    RunError,
    cut_short,
    forget_found,
    found_of,
    get_found,
    list_runs,
    put_run,
)
from sharpeyes.store.events import Event, record
from sharpeyes.store.vault import Vault

log = logging.getLogger(__name__)

EVERY_S = 6 * 60 * 60.0
"""Pause between two searches: cameras come and move by the day, not by the minute."""
ERRORS = 200
"""Errors of one run that are kept to be shown."""
LISTED_S = 1.0
"""How often what was found goes to the list while a run goes on."""
ATTEMPTS, AGAIN_S = 60, 10.0
"""Attempts to write what was found while somebody else has the registry, and the pause between two."""
SCHEDULE = "schedule"
"""Who begins the runs that nobody asked for."""

T = TypeVar("T")


class Enrolment:
    """Searches the declared networks at the start and every few hours; :meth:`begin` searches now."""

    def __init__(
        self,
        database: Database,
        networks: Sequence[Network],
        vault: Vault,
        *,
        allowed: Allowed = (),
        changed: Callable[[], Awaitable[None]],
        clock: Callable[[], Ms],
        every_s: float = EVERY_S,
    ) -> None:
        self.last: Run | None = None
        """The latest run, also of the service before this one."""
        self.searched = asyncio.Event()
        """Set once the first search has ended."""
        self._database = database
        self._networks = networks
        self._vault = vault
        self._allowed = allowed
        self._changed = changed
        self._clock = clock
        self._every_s = every_s
        self._next: Plan | None = None
        self._wanted = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def networks(self) -> Sequence[Network]:
        """What is searched: the operator's word that what answers there may be asked."""
        return self._networks

    @property
    def allowed(self) -> Allowed:
        """Where else administrators may have searched."""
        return self._allowed

    @property
    def running(self) -> bool:
        return self._next is not None or (self.last is not None and self.last.outcome is None)

    async def start(self) -> None:
        """Search now and then, until :meth:`stop`; without networks only what somebody asks for."""

        def clean(connection: Connection) -> list[Run]:
            cut_short(connection)
            forget_found(connection, now=self._clock())
            return list_runs(connection, limit=1)

        self.last = next(iter(await self._database.awrite(clean)), None)
        if self._networks:
            self._order(plan(Wanted(), self._networks, self._allowed, {}, by=SCHEDULE))
        self._task = asyncio.create_task(self._run(), name="enrolment")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # -- runs ----------------------------------------------------------------------------------------------

    async def begin(self, wanted: Wanted, *, by: str) -> Run:
        """Search now.

        :raises ConflictError: while a search is under way (it says whose), or if there is nothing to search.
        :raises InvalidInputError: what is asked for is not there, not permitted or too much.
        """
        self._check_idle()

        def read(connection: Connection) -> tuple[dict[str, Found], dict[str, str]]:
            return get_found(connection, wanted.devices), list_credentials(connection)

        found, accounts = await self._database.aread(read)
        if wanted.credential is not None and wanted.credential not in accounts:
            raise InvalidInputError(
                f"credential: there is no account {wanted.credential[:64]}",
                mend="GET /api/v1/discovery/options lists them",
            )
        made = plan(wanted, self._networks, self._allowed, found, by=by)
        self._check_idle()  # somebody may have been quicker
        self._order(made)
        assert self.last is not None
        run = self.last
        await self._database.awrite(lambda connection: self._tell_begun(connection, run))
        return run

    async def halt(self, *, by: str) -> Run:
        """End the search under way; what was found until now is kept. ConflictError if there is none."""
        run, asking = self.last, self._asking
        if run is None or run.outcome is not None:
            raise ConflictError("no search is under way", mend="There is nothing to stop")
        if run.stopped_by is None:
            self._note(stopped_by=by)
            if asking is not None:
                asking.cancel()
            event = Event(
                at=self._clock(), kind="discovery_stopped", subject=run.id, message=f"stopped by {by}"
            )
            await self._database.awrite(lambda connection: record(connection, [event]))
        return self.last or run

    def _check_idle(self) -> None:
        run = self.last
        if self.running and run is not None:
            who = "by schedule" if run.by == SCHEDULE else f"by {run.by}"
            raise ConflictError(
                f"a search is under way, begun {who} at {iso(run.started)}",
                mend="Wait for its end, or stop it: DELETE /api/v1/discovery",
            )

    def _order(self, made: Plan) -> None:
        """The run is there from this moment on, for whoever asks."""
        self._next = made
        self.last = Run(
            id=f"run-{secrets.token_hex(6)}",
            started=self._clock(),
            by=made.by,
            scope=made.scope,
            to_ask=sum(part.questions for part in made.parts),
        )
        self._wanted.set()

    def _tell_begun(self, connection: Connection, run: Run) -> None:
        where = [*run.scope["networks"], *run.scope["addresses"]]
        message = f"search begun by {run.by}: {', '.join(where) or 'found devices again'}"
        event = Event(
            at=run.started, kind="discovery_begun", subject=run.id, message=message, detail=dict(run.scope)
        )
        record(connection, [event])

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s if self._networks else None):
                    await self._wanted.wait()
            if self._next is None:
                self._order(plan(Wanted(), self._networks, self._allowed, {}, by=SCHEDULE))
            made, self._next = self._next, None
            self._wanted.clear()
            assert made is not None
            await self._conduct(made)
            self.searched.set()

    async def _conduct(self, made: Plan) -> None:
        """One run from its first question to its last row."""
        assert self.last is not None
        work = _Work(made, self._networks)
        outcome = Outcome.DONE
        asking = self._asking = asyncio.create_task(self._ask(work), name="enrolment-ask")
        try:
            await self._save()
            if self.last.stopped_by is not None:  # before it had begun
                asking.cancel()
            while not asking.done():
                await asyncio.wait({asking}, timeout=LISTED_S)
                await self._list(work)
            if asking.cancelled():
                outcome = Outcome.STOPPED
            else:
                asking.result()
                self._note(stopped_by=None)  # too late
            await self._take(work, whole=outcome is Outcome.DONE)
        except asyncio.CancelledError:  # the service ends
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._list(work)
                self._end(Outcome.CUT_SHORT)
                await self._save()
            raise
        except Exception as error:  # the next search may fare better; the watch goes on meanwhile
            log.exception("the search for cameras failed")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            self._fail("search", "internal", type(error).__name__)
            outcome = Outcome.FAILED
        finally:
            self._asking = None
        self._end(outcome)
        try:
            await self._save()
        except Exception:  # the next start finds it cut short; the next search begins all the same
            log.exception("the end of a search cannot be written")
        run = self.last
        log.info(
            "searched %s: %s, %d devices found, %d enrolled, %d waiting, %d cameras new, %d errors",
            ", ".join(part.label for part in made.parts),
            run.outcome,
            run.found,
            run.enrolled,
            run.waiting,
            run.added,
            len(run.errors),
        )

    async def _ask(self, work: _Work) -> None:
        """Every part after the other; devices go to ``work`` as they tell what they are."""
        accounts, own = await self._database.aread(self._accounts)
        asked = 0
        for part in work.plan.parts:
            meter = _Meter(self._clock)

            def progress(
                step: Step, done: int, total: int, before: int = asked, meter: _Meter = meter
            ) -> None:
                self._progress(meter, before, step, done, total)

            def told(device: FoundDevice, part: Part = part) -> None:
                account = part.credential if part.anonymous else own.get(device.address, part.credential)
                work.add(device, part, account)
                self._note(found=len(work.findings), waiting=work.waiting)

            try:
                search = part.search(
                    accounts.get(part.credential or ""),
                    {address: accounts.get(name or "") for address, name in own.items()},
                )
                search = replace(search, trust=Trust(networks=self._networks))
                await discover(search, progress, heard=self._heard(work), found=told)
                work.swept += part.swept
            except SharpEyesError as error:
                self._fail(part.label, error.kind, str(error))
            asked += part.questions
            self._note(asked=asked)

    def _accounts(self, connection: Connection) -> tuple[Mapping[str, Credentials], dict[str, str | None]]:
        """All accounts by name, and the names of those that single devices have, by address. Whoever is
        ignored is asked with none."""
        own: dict[str, str | None] = {
            device.identity.address: device.credential
            for device in list_devices(connection)
            if device.identity.address is not None and device.credential is not None
        }
        for row in found_of(connection, set(FoundStatus) - {FoundStatus.ENROLLED}):
            if row.status is FoundStatus.IGNORED:
                own[row.address] = None
            elif row.decided is not None and row.credential is not None:  # somebody gave it that
                own[row.address] = row.credential
        return open_credentials(connection, self._vault), own

    def _heard(self, work: _Work) -> Callable[[str], None]:
        def heard(host: str) -> None:
            work.answered.add(host)
            self._note(answered=len(work.answered))

        return heard

    async def _list(self, work: _Work) -> None:
        """What waits for a decision goes to the list as it comes."""
        fresh, work.fresh = work.fresh, []
        waiting = [one for one in fresh if work.policies[one.device.address] is Enrol.APPROVE]
        if not waiting or self.last is None:
            return
        run, now = self.last.id, self._clock()
        await self._database.awrite(
            lambda connection: note(connection, waiting, run=run, now=now, networks=self._networks)
        )

    async def _take(self, work: _Work, *, whole: bool) -> None:
        assert self.last is not None
        run = self.last.id

        def change(connection: Connection) -> tuple[list[Found], int]:
            rows, summary = intake.take(
                connection, work.findings, work.policies, self._networks, run=run, now=self._clock()
            )
            if whole:
                miss(connection, work.swept, run=run)
            return rows, summary.added

        rows, added = await self._patiently(change)
        for one in work.findings:
            if (error := one.device.error) is not None:
                self._fail(one.device.address, error.kind, error.message)
        counts = tally(rows)
        self._note(added=added, enrolled=counts[FoundStatus.ENROLLED], waiting=counts[FoundStatus.NEW])
        await self._changed()

    async def _patiently(self, change: Callable[[Connection], T]) -> T:
        """Write to the registry, when an import that is being written there has ended."""
        for _ in range(ATTEMPTS):
            try:
                return await self._database.awrite(change)
            except ConflictError as error:
                log.info("what was found waits: %s", error)
            await asyncio.sleep(AGAIN_S)
        return await self._database.awrite(change)

    # -- decisions -----------------------------------------------------------------------------------------

    async def approve(self, ids: Sequence[str], place: Place, *, by: str, dry_run: bool) -> Approval:
        """Enrol found devices; with ``dry_run`` do it all, tell what came of it, and undo it."""

        def change(connection: Connection) -> Approval:
            done = intake.approve(connection, ids, place, by=by, now=self._clock())
            if dry_run:
                raise _RehearsedError(done)
            return done

        try:
            done = await self._database.awrite(change)
        except _RehearsedError as rehearsed:
            return rehearsed.done
        await self._changed()
        return done

    async def ignore(self, ids: Sequence[str], reason: str, *, by: str) -> Decided:
        now = self._clock()
        return await self._database.awrite(lambda c: decisions.ignore(c, ids, reason, by=by, now=now))

    async def restore(self, ids: Sequence[str], *, by: str) -> Decided:
        now = self._clock()
        return await self._database.awrite(lambda c: decisions.restore(c, ids, by=by, now=now))

    async def give(
        self, ids: Sequence[str], account: str | tuple[str, Secret, bool], *, by: str
    ) -> tuple[Decided, Run | None]:
        """Have devices be asked with an account: one that is stored, or user name, password and whether it
        may go readable, which are stored. They are asked at once, or in the next run if one is under way.
        """
        now = self._clock()

        def change(connection: Connection) -> Decided:
            name = account if isinstance(account, str) else None
            if not isinstance(account, str):
                username, password, basic = account
                name = decisions.put_account(
                    connection, self._vault, username, password, allow_basic=basic, now=now
                )
            assert name is not None
            return decisions.give(connection, ids, name, by=by, now=now)

        decided = await self._database.awrite(change)
        if not decided.done or self.running:
            return decided, None
        return decided, await self.begin(Wanted(devices=decided.done), by=by)

    # -- figures -------------------------------------------------------------------------------------------

    def _progress(self, meter: _Meter, before: int, step: Step, done: int, total: int) -> None:
        if step is Step.PROBE and self.last is not None and self.last.step == Step.SWEEP:
            return  # both go on at the same time, and only one of them has an end that is known
        rate = meter.rate(step, done)
        self._note(
            step=step.value,
            done=done,
            total=total,
            rate=rate,
            remaining_s=(total - done) / rate if rate and total else None,
            **({"asked": before + done} if step is Step.SWEEP else {}),
        )

    def _fail(self, where: str, kind: str, message: str) -> None:
        assert self.last is not None
        if len(self.last.errors) < ERRORS:
            self._note(errors=(*self.last.errors, RunError(where, kind, message[:500])))

    def _end(self, outcome: Outcome) -> None:
        self._note(
            ended=self._clock(), outcome=outcome, step=None, done=0, total=0, rate=None, remaining_s=None
        )

    async def _save(self) -> None:
        run = self.last
        assert run is not None
        await self._database.awrite(lambda connection: put_run(connection, run))

    def _note(self, **news: Any) -> None:
        assert self.last is not None
        self.last = replace(self.last, **news)


class _RehearsedError(Exception):
    """Ends a transaction that was only to be tried."""

    def __init__(self, done: Approval) -> None:
        super().__init__("rehearsed")
        self.done = done


@dataclass(slots=True, eq=False)
class _Work:
    """What a run has found so far."""

    plan: Plan
    networks: Sequence[Network]
    findings: list[Finding] = field(default_factory=list)
    fresh: list[Finding] = field(default_factory=list)
    """Those that were not put to the list yet."""
    policies: dict[str, Enrol] = field(default_factory=dict)
    """What becomes of each, by address."""
    answered: set[str] = field(default_factory=set)
    swept: list[Swept] = field(default_factory=list)
    """What was asked to the end: who was known there and does not answer is not there."""
    waiting: int = 0

    def add(self, device: FoundDevice, part: Part, account: str | None) -> None:
        finding = Finding(device=device, credential=account, like=part.network)
        self.findings.append(finding)
        self.fresh.append(finding)
        policy = policy_of(device.address, self.networks, part.enrol)
        if self.policies.setdefault(device.address, policy) is not policy:
            self.policies[device.address] = Enrol.APPROVE  # two parts of one run: the careful one holds
        self.waiting += policy is Enrol.APPROVE and device.streams > 0


class _Meter:
    """How fast a step goes, by its last seconds."""

    _SPAN_MS = 10_000

    def __init__(self, clock: Callable[[], Ms]) -> None:
        self._clock = clock
        self._step: Step | None = None
        self._marks: deque[tuple[Ms, int]] = deque()

    def rate(self, step: Step, done: int) -> float | None:
        """Per second; None until there is something to tell."""
        now = self._clock()
        if step is not self._step:
            self._step = step
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] >= 250:
            self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[0][0] > self._SPAN_MS:
            self._marks.popleft()
        began, first = self._marks[0]
        return 1000 * (done - first) / (now - began) if now - began >= 500 and done > first else None
