"""Looks at pictures: which keyframes are decoded, how many at once, what is asked of them, what is learnt.

A look costs a hundred times what a liveness probe costs, so it rides on one: when a camera's picture is due,
the keyframe that its probe brings goes to a decoder (:mod:`.decoders`). The order of a look:

1. decode and *screen*: is the picture plainly the camera's normal one?
2. if not, or when it is time for it: the camera is met again some seconds later, and the *full checks* see
   both pictures beside the camera's references;
3. what was found joins the camera's :class:`~sharpeyes.health.sight.Sight`, where N of M decide.

**Back-pressure.** A place is taken before the camera is connected to and given back when its picture is done
with, so there are never more keyframes and pictures in memory than places. Without one, the probe goes its
way as a liveness probe, the look is *deferred* and comes first when a place is free. A camera that makes us
wait for its next keyframe keeps its place for a moment only, and takes another when the keyframe comes: half
of all places are for these.

**Learning.** Pictures in which nothing was found are kept, encoded, for some days at most, until there are
enough of a mode to learn what is normal; then only the reference is left. A first reference is made from few
pictures soon, a better one from more of them at different hours.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sharpeyes.domain.errors import SharpEyesError
from sharpeyes.domain.health import Keyframe, PictureFault, ProbeResult
from sharpeyes.domain.time import Ms
from sharpeyes.health import sight as sights
from sharpeyes.health.decoders import Decoders
from sharpeyes.health.evidence import HOUR_MS, Evidence
from sharpeyes.health.examiner import Answer, Checked, Turn
from sharpeyes.health.severity import is_critical
from sharpeyes.health.sight import Seen, Sight
from sharpeyes.store import events, pictures
from sharpeyes.store.database import Database
from sharpeyes.store.pictures import StoredReference

log = logging.getLogger(__name__)

T = TypeVar("T")

PAIR_S = 2.0
"""Seconds between the two pictures of a full check."""
REPEATS = (0.25, 0.5, 1.0, 2.0, 2.0)
"""A second keyframe that is the first, byte for byte, is asked for again so often, and each time after this
share of a pair's seconds: many servers begin a session with the last keyframe that they have, and the next
may be ten seconds away."""
FOLLOW = 5
"""Pictures behind a keyframe that may show that the stream does not stand still."""
FULL_EVERY = 12
"""Looks that may be satisfied with screening in a row: an hour at the usual cadence."""
SUSPECT = 1 / 15
"""Share of the cadence after which a finding that is not confirmed or cleared is looked at again."""
FAULTY = 1 / 5
"""Share of the cadence at which a picture with a fault is looked at, to see its end soon."""
SOONEST_S = 10.0
LEARN_FIRST = 3
"""Pictures from which the first reference of a mode is learnt."""
LEARN_BEST = 8
"""Pictures from which the lasting one is learnt."""
LEARN_SOON_S = 60.0
"""While a mode is not known, its pictures are taken at least so far apart."""
LEARN_SPACED_MS = HOUR_MS
"""Afterwards so far, for they shall be of different hours."""
SAMPLES_MS = 3 * 24 * HOUR_MS
"""How long a picture may wait to be learnt from."""
VIEW_FAULTS = frozenset(PictureFault) - {PictureFault.SIGNAL_LOST, PictureFault.FROZEN, PictureFault.CORRUPT}
"""Faults that depend on what is normal for the camera: void when its view is accepted anew."""
ACCEPTED_MS = HOUR_MS
"""For so long after a view was accepted, what is found in it by itself is taken for its normal, unless the
picture is of no use: a lens that is a little soft, a sensor that is a little noisy."""
REFERENCES = 32
"""Cameras whose references are kept in memory: a reference unpacked is half a megabyte."""


# --- places -------------------------------------------------------------------------------------------


class Places(Generic[T]):
    """Looks under way at once, and who waits for a place. Times are seconds of any clock that only grows."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._first: OrderedDict[T, float] = OrderedDict()
        self._last: OrderedDict[T, float] = OrderedDict()
        """Since when each waits, the longest first."""
        self._called: dict[T, float] = {}
        """The same of those who shall try for a place: if somebody else takes it, they are the next again."""

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._first) + len(self._last)

    def waited_s(self, now: float) -> float:
        """How long the one has waited that has waited longest, 0 if nobody does."""
        since = (next(iter(queue.values())) for queue in (self._first, self._last) if queue)
        return max((now - at for at in since), default=0.0)

    def take(self, who: T, now: float, *, last: bool = False) -> bool:
        """A place to begin with, or the end of the queue; who comes ``last`` lets all others go ahead."""
        if not last:
            return self._take(who, now, self.limit // 2, self._first)
        return self._take(who, now, 0 if self._first else self.limit // 2, self._last)

    def retake(self, who: T, now: float) -> bool:
        """The same for one who gave its place on before its keyframe came."""
        return self._take(who, now, self.limit, self._first)

    def _take(self, who: T, now: float, limit: int, queue: OrderedDict[T, float]) -> bool:
        if self.taken < limit:
            self.taken += 1
            self.leave(who)
            return True
        if (since := self._called.pop(who, None)) is None:
            queue.setdefault(who, now)
        else:
            queue[who] = since
            queue.move_to_end(who, last=False)
        return False

    def give(self) -> T | None:
        """A place is free again; who has waited longest and shall try for it, if anybody."""
        self.taken -= 1
        queue = self._first or self._last
        if not queue or self.taken >= self.limit // 2:
            return None
        who, self._called[who] = queue.popitem(last=False)
        return who

    def leave(self, who: T) -> None:
        """Wait no more."""
        for each in (self._first, self._last, self._called):
            each.pop(who, None)


@dataclass(slots=True, kw_only=True)
class QualityStats:
    """Figures for metrics, which only grow."""

    looks: int = 0
    plain: int = 0
    """Looks that screening was enough for."""
    full: int = 0
    undecodable: int = 0
    deferred: int = 0
    """Looks put off since all places were taken."""
    failed: int = 0
    """Looks that failed for a reason of our own."""
    learnt: int = 0
    decode_s: float = 0.0
    """CPU of decoding and screening."""
    check_s: float = 0.0
    """CPU of full checks and learning."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of a camera's pictures between two looks, besides its sight."""

    normal: Any = None
    before: Any = None
    """The first picture of a pair under way."""
    trace: Any = None
    """Of a picture in which nothing was found, but which may stand still."""
    seen: Seen | None = None
    """What was seen in it."""
    coded: int = 0
    """Hash of its keyframe."""
    repeats: int = 0
    plain_run: int = 0
    known: dict[str, tuple[int, int]] | None = None
    """Modes with a reference: version, and from how many pictures. None: not read yet."""
    sampled: dict[str, Ms] = field(default_factory=dict)
    unusable: frozenset[str] = frozenset()
    """Modes whose reference cannot be read, as was said once."""
    accepted: Ms | None = None
    """When its view was accepted, 0 if never. None: not read yet."""


@dataclass(slots=True)
class _Apart:
    """What the store and the evidence hold of other cameras."""

    samples: dict[str, list[Keyframe]] = field(default_factory=dict)
    references: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """How a look ended."""

    sight: Sight | None
    """What is known now; None if a second picture is needed first, or the look failed on our side."""
    again: bool = False
    """Meet the camera again; its place is kept."""
    later: bool = False
    """The same, but its place goes to others meanwhile: nothing large waits for the second picture."""
    wait_s: float = 0.0
    """Until then, if again or later."""
    soon_s: float | None = None
    """When to look next, None for the cadence."""


class Quality:
    """All looks. :meth:`start`, :meth:`stop`.

    ``database`` and ``evidence`` None: nothing is learnt and nothing kept (a sweep without a store).
    ``pair_s``: seconds between the two pictures of a full check.
    ``patient``: for a sweep. A probe waits for a place rather than going without a look, and one look is a
    verdict. If the first picture shows something, a second one must show it, too. If not, and nothing moves
    in the pictures right behind it, the second one is only to differ from it: a picture that stands still is
    checked in full beside a third.
    ``quick``: the same, but where nothing was found no second one is asked for, nor those right behind the
    first: *frozen* stays open.
    ``reported``: faults of a camera's picture that its own reports speak for.
    """

    def __init__(
        self,
        decoders: Decoders,
        *,
        clock: Callable[[], Ms],
        database: Database | None = None,
        evidence: Evidence | None = None,
        places: int = 96,
        patient: bool = False,
        quick: bool = False,
        pair_s: float = PAIR_S,
        reported: Callable[[str], frozenset[PictureFault]] = lambda _camera: frozenset(),
    ) -> None:
        if not 16 <= places <= 128:
            raise ValueError(f"{places} keyframes in flight: choose 16 to 128")
        self.stats = QualityStats()
        self.places: Places[Any] = Places(places)
        self.patient = patient
        self.quick = quick
        self.pair_s = pair_s
        self.evidence = evidence
        self.reported = reported
        self.decoders = decoders
        self._clock = clock
        self._database = database
        self._failing = False
        self._memories: dict[str, _Memory] = {}
        self._references: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._apart: dict[str, _Apart] = {}

    def set_apart(self, camera: str) -> None:
        """A camera that is in no registry: looked at as any other, what is learnt of it stays in memory, and
        no evidence of it is kept."""
        self._apart[camera] = _Apart()

    async def start(self) -> None:
        await self.decoders.start()

    async def stop(self) -> None:
        """No more looks; those under way end first, if they do so soon."""
        await self.decoders.stop()

    # --- one look ------------------------------------------------------------------------------------

    async def look(self, camera: str, result: ProbeResult, before: Sight | None, cadence_s: float) -> Look:
        """Look at the picture that a probe brought. The caller holds a place."""
        try:
            look = await self._examine(camera, result, before, cadence_s)
        except (SQLAlchemyError, SharpEyesError, OSError) as error:
            self._say_failed(camera, error)
        except Exception as error:  # noqa: BLE001 (a fault of ours: not the camera's, nor the watch's end)
            self._say_failed(camera, error, trace=True)
        else:
            if self._failing:
                self._failing = False
                log.info("pictures can be looked at again")
            return look
        return Look(None)

    async def _examine(
        self, camera: str, result: ProbeResult, before: Sight | None, cadence_s: float
    ) -> Look:
        memory = self._memories.setdefault(camera, _Memory())
        keyframe = result.keyframe
        assert keyframe is not None
        at, stats = result.at, self.stats
        if memory.trace is not None:
            return await self._see_again(camera, memory, before, result, cadence_s)
        first, memory.before = memory.before, None
        if first is None:
            stats.looks += 1
            memory.coded, memory.repeats = hash(keyframe.data), 0
        elif self._is_repeated(memory, hash(keyframe.data)):
            memory.before = first
            return Look(None, again=True, wait_s=self._wait_s(memory))
        if first is None and not self.patient:
            enough_in = self._enough_in(camera, memory, before)
            answer = await self._ask("glance", keyframe, at, memory.normal, enough_in)
            if answer.plain:
                stats.plain += 1
                memory.plain_run += 1
                memory.normal = answer.normal
                seen = Seen(at=at, mode=answer.mode)
                await self._learn(camera, memory, keyframe, seen, before)
                return self._done(camera, before, seen, cadence_s, self._learning(memory, seen))
            if answer.decoded:
                memory.before = answer.picture
                return Look(None, again=True, wait_s=self.pair_s)
        else:
            references = await self._references_of(camera, memory)
            if first is None:
                answer = await self._ask("meet", keyframe, at, references)
            else:
                stood = () if before is None else before.stood
                answer = await self._ask("compare", first, keyframe, at, references, stood)
        checked = answer.checked
        if checked is None:
            stats.undecodable += 1
            seen = Seen(at=at, decoded=False)
            await self._keep(camera, result, seen, None)
            return self._done(camera, before, seen, cadence_s)
        stats.full += 1
        memory.plain_run = 0
        if first is None and checked.findings:
            memory.before = answer.picture
            return Look(None, again=True, wait_s=self.pair_s)
        if not checked.findings:
            memory.normal = checked.normal
        seen = Seen(
            at=at,
            mode=checked.mode,
            findings=checked.findings,
            unassessed=checked.unassessed,
            stood=checked.stood,
        )
        if seen.findings and await self._is_accepted(camera, memory, seen):
            seen = _as_accepted(seen)
        if first is None:
            return self._look_later(camera, memory, answer, seen, before, cadence_s)
        await self._keep(camera, result, seen, checked)
        await self._learn(camera, memory, keyframe, seen, before)
        return self._done(camera, before, seen, cadence_s, self._learning(memory, seen))

    def _look_later(
        self,
        camera: str,
        memory: _Memory,
        answer: Answer,
        seen: Seen,
        before: Sight | None,
        cadence_s: float,
    ) -> Look:
        """Nothing was found. Is it the same picture for ever?"""
        if answer.moves or self.quick:
            return self._done(camera, before, seen, cadence_s)
        memory.trace, memory.seen = answer.trace, seen
        return Look(None, later=True, wait_s=self.pair_s)

    async def _see_again(
        self, camera: str, memory: _Memory, before: Sight | None, result: ProbeResult, cadence_s: float
    ) -> Look:
        """A picture some seconds behind one in which nothing was found."""
        keyframe = result.keyframe
        assert keyframe is not None
        assert memory.seen is not None
        coded = hash(keyframe.data)
        if self._is_repeated(memory, coded):
            return Look(None, later=True, wait_s=self._wait_s(memory))
        answer = await self._ask("see_again", keyframe, result.at, memory.trace)
        seen, memory.trace, memory.seen = memory.seen, None, None
        if not answer.decoded or answer.moves:
            seen = replace(seen, unassessed=seen.unassessed - {PictureFault.FROZEN})
            return self._done(camera, before, seen, cadence_s)
        memory.before, memory.coded, memory.repeats = answer.picture, coded, 0
        return Look(None, again=True, wait_s=self.pair_s)

    def _is_repeated(self, memory: _Memory, coded: int) -> bool:
        """Whether it is the first keyframe once more, and a later one may still come."""
        if coded != memory.coded or memory.repeats == len(REPEATS):
            return False
        memory.repeats += 1
        return True

    def _wait_s(self, memory: _Memory) -> float:
        return self.pair_s * REPEATS[memory.repeats - 1]

    def follow(self, camera: str) -> int:
        """How many pictures behind the next keyframe of the camera are of use."""
        memory = self._memories.get(camera)
        if memory is not None and memory.before is not None:
            return FOLLOW  # two keyframes that are alike do not make it a picture that stands still
        first = memory is None or memory.trace is None
        return FOLLOW if self.patient and first and not self.quick else 0

    def _say_failed(self, camera: str, error: Exception, *, trace: bool = False) -> None:
        """Once, until a look succeeds again: what fails for one camera may fail for all."""
        self.stats.failed += 1
        if not self._failing:
            log.error(
                "the picture of %s could not be looked at: %s",
                camera,
                error,
                exc_info=error if trace else None,
            )
        self._failing = True

    def drop(self, camera: str) -> None:
        """The second picture of a pair does not come."""
        memory = self._memories.get(camera)
        if memory is not None:
            memory.before = None

    def forget(self, camera: str) -> None:
        """The camera is watched no more."""
        self._memories.pop(camera, None)
        self._references.pop(camera, None)
        if camera in self._apart:
            self._apart[camera] = _Apart()  # it stays apart: a look may be under way

    async def accept_view(self, camera: str, connection_write: Callable[[Connection], None]) -> None:
        """What it shows from now on is its normal view; ``connection_write`` joins the transaction, and
        writes the event that says so (:data:`~sharpeyes.store.events.VIEW_ACCEPTED`)."""
        assert self._database is not None
        now = self._clock()

        def write(connection: Connection) -> None:
            pictures.retire_references(connection, camera, now=now)
            connection_write(connection)

        await self._database.awrite(write)
        if self.evidence is not None:
            await self.evidence.discard_samples(camera)
        self.forget(camera)

    def _enough_in(self, camera: str, memory: _Memory, before: Sight | None) -> str | None:
        """The mode in which a plain picture needs no full checks, None if they are due whatever it shows."""
        if self.reported(camera) or before is None or before.defects or before.unsettled:
            return None
        return before.mode if memory.plain_run < FULL_EVERY else None

    def _done(
        self,
        camera: str,
        before: Sight | None,
        seen: Seen,
        cadence_s: float,
        learning: float | None = None,
    ) -> Look:
        if self.patient:
            return Look(sights.once(seen))
        sight, soon = sights.after(before, seen, self.reported(camera)), learning
        if sight.unsettled:
            soon = min(max(SOONEST_S, cadence_s * SUSPECT), cadence_s)
        elif sight.defects:
            soon = min(max(SOONEST_S, cadence_s * FAULTY), cadence_s)
        return Look(sight, soon_s=None if soon is None else min(soon, cadence_s))

    async def _ask(self, turn: Turn, *arguments: Any) -> Answer:
        """A turn at a keyframe, its time taken down."""
        answer: Answer
        answer, spent = await self.decoders.turn(turn, *arguments)
        self.stats.decode_s += answer.decode_s
        self.stats.check_s += spent - answer.decode_s
        return answer

    async def _learnt(self, turn: Turn, *arguments: Any) -> Any:
        """A turn at what is normal, its time taken down."""
        found, spent = await self.decoders.turn(turn, *arguments)
        self.stats.check_s += spent
        return found

    # --- evidence ------------------------------------------------------------------------------------

    async def _keep(self, camera: str, result: ProbeResult, seen: Seen, checked: Checked | None) -> None:
        """A still and the working of a look that says something; one that says nothing new leaves none."""
        evidence = self.evidence
        if evidence is None or camera in self._apart:
            return
        bad = bool(seen.findings) or not seen.decoded
        still = None
        if checked is not None and checked.still is not None:
            keep_ms = evidence.retention.failure_ms if bad else evidence.retention.success_ms
            still = await evidence.keep(camera, "still", checked.still, keep_ms=keep_ms, mode=seen.mode)
        diagnosis = checked.document if checked is not None else {"decoded": seen.decoded}
        evidence.record(camera, result, bad=bad, found={"diagnosis": diagnosis}, still=still)

    # --- what is normal ------------------------------------------------------------------------------

    async def _references_of(self, camera: str, memory: _Memory) -> Mapping[str, Any]:
        if (apart := self._apart.get(camera)) is not None:
            return apart.references
        cached = self._references.get(camera)
        if cached is not None:
            self._references.move_to_end(camera)
            return cached
        if self._database is None:
            memory.known = {}
            return {}
        stored = await self._database.aread(lambda c: pictures.load_references(c, camera))
        found = {}
        for mode, reference in stored.items():
            try:
                found[mode] = await self._learnt("load", reference.data or b"")
            except ValueError as error:  # of another version: learnt anew
                if mode not in memory.unusable:
                    memory.unusable |= {mode}
                    log.warning("the reference of %s by %s is not used: %s", camera, mode, error)
        memory.known = {mode: (stored[mode].version, stored[mode].pictures) for mode in found}
        self._references[camera] = found
        while len(self._references) > REFERENCES:
            self._references.popitem(last=False)
        return found

    async def _is_accepted(self, camera: str, memory: _Memory, seen: Seen) -> bool:
        """Whether an operator just said that this view, of which nothing is learnt yet, is the normal one."""
        if self._database is None or camera in self._apart or seen.mode in (memory.known or {}):
            return False
        if memory.accepted is None:
            found = await self._database.aread(
                lambda c: events.list_events(c, subject=camera, kind=events.VIEW_ACCEPTED, limit=1)
            )
            memory.accepted = found[0].at if found else Ms(0)
        return 0 <= seen.at - memory.accepted < ACCEPTED_MS

    def _learning(self, memory: _Memory, seen: Seen) -> float | None:
        """While a mode is not known, pictures of it are wanted sooner than the cadence."""
        if self.evidence is None or seen.mode is None or seen.findings or seen.mode in (memory.known or {}):
            return None
        return LEARN_SOON_S

    async def _learn(
        self, camera: str, memory: _Memory, keyframe: Keyframe, seen: Seen, before: Sight | None
    ) -> None:
        """Keep this normal picture if it is wanted, and learn when there are enough."""
        mode, evidence, database = seen.mode, self.evidence, self._database
        if evidence is None or database is None or mode is None or seen.findings:
            return
        if before is not None and any(defect.kind in VIEW_FAULTS for defect in before.defects):
            return  # without its reference, a view that is covered or turned away would pass for normal
        _, learnt_from = (memory.known or {}).get(mode, (0, 0))
        if learnt_from >= LEARN_BEST:
            return
        spaced = LEARN_SPACED_MS if learnt_from else round(LEARN_SOON_S * 900)
        # below 0: our clock was set back
        if mode in memory.sampled and 0 <= seen.at - memory.sampled[mode] < spaced:
            return
        memory.sampled[mode] = seen.at
        if (apart := self._apart.get(camera)) is not None:
            await self._learn_apart(apart, memory, keyframe, seen)
            return
        data = f"{keyframe.codec}\n".encode() + keyframe.data
        await evidence.keep(camera, "sample", data, keep_ms=SAMPLES_MS, mode=mode)
        samples = await evidence.samples(camera, mode)
        wanted = LEARN_BEST if learnt_from else LEARN_FIRST
        if len(samples) < wanted:
            return
        keyframes = [_keyframe(content) for _, content in samples[-LEARN_BEST:]]
        reference = await self._learnt("learn", keyframes, mode, seen.at)
        if wanted == LEARN_BEST or reference is None:
            await evidence.discard([exhibit.id for exhibit, _ in samples])
        if reference is None:
            return
        self.stats.learnt += 1
        stored = StoredReference(
            camera=camera, mode=mode, version=0, learned=seen.at, pictures=len(keyframes), data=reference
        )
        version = await database.awrite(lambda c: pictures.put_reference(c, stored))
        log.info("camera %s: its normal by %s is learnt, version %d", camera, mode, version)
        self._references.pop(camera, None)
        memory.known = (memory.known or {}) | {mode: (version, len(keyframes))}
        memory.unusable -= {mode}

    async def _learn_apart(self, apart: _Apart, memory: _Memory, keyframe: Keyframe, seen: Seen) -> None:
        """The same in memory; a camera set apart shows the same view always, so the first reference lasts."""
        mode = seen.mode or ""
        samples = apart.samples.setdefault(mode, [])
        samples.append(keyframe)
        if len(samples) < LEARN_FIRST:
            return
        data = await self._learnt("learn", samples, mode, seen.at)
        samples.clear()
        if data is None:
            return
        apart.references[mode] = await self._learnt("load", data)
        memory.known = (memory.known or {}) | {mode: (1, LEARN_BEST)}
        self.stats.learnt += 1


def _as_accepted(seen: Seen) -> Seen:
    """The same, but what is found of the view itself counts neither way, unless the picture is of no use."""
    normal = {found.kind for found in seen.findings if found.kind in VIEW_FAULTS and not is_critical(found)}
    return replace(
        seen,
        findings=tuple(finding for finding in seen.findings if finding.kind not in normal),
        unassessed=seen.unassessed | normal,
    )


def _keyframe(content: bytes) -> Keyframe:
    codec, _, data = content.partition(b"\n")
    return Keyframe(codec=codec.decode(), data=data, rtp_time=0)
