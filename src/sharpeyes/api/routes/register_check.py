"""The register read back as a whole, on request, with how far that is: a long one takes minutes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated, Self

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from sharpeyes.access.register.verify import Part, Wrong
from sharpeyes.access.register.writer import Checked
from sharpeyes.api.auth import Auditor
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.schemas import Instant, Shape
from sharpeyes.domain.errors import ConflictError
from sharpeyes.domain.time import Ms, iso

router = APIRouter(prefix="/api/v1", tags=["register"])

TICK_S = 0.25
"""How often it is said how far it is."""
REST_S = 0.002
"""The reader's pause after each piece: pictures and probes of this process come first."""


class RegisterFinding(Shape):
    wrong: Wrong
    entry: Annotated[int | None, Field(description="Number of the (first) entry that it is about.")]
    message: str


class RegisterVerdict(Shape):
    """What was checked, and what does not hold."""

    ok: bool
    entries: int
    covered: Annotated[
        int, Field(description="Entries that a checkpoint proves; later ones get theirs within a minute.")
    ]
    checkpoints: Annotated[int, Field(description="Whose signature holds.")]
    checkpoint_size: Annotated[int | None, Field(description="Entries under the newest checkpoint.")]
    checkpoint_at: Annotated[Instant | None, Field(description="When that was signed.")]
    checkpoint_file: Annotated[
        bool, Field(description="Whether the file of checkpoints outside the database was compared too.")
    ]
    root: Annotated[str, Field(description="Over all entries, in hex.")]
    pruned: Annotated[int, Field(description="Entries whose words retention removed; their hashes stand.")]
    pruned_upto: int
    findings: tuple[RegisterFinding, ...]
    begun: Instant
    ended: Instant

    @classmethod
    def of(cls, checked: Checked, begun: Ms, ended: Ms) -> Self:
        verdict, last = checked.verdict, checked.last
        return cls(
            ok=verdict.ok,
            entries=verdict.entries,
            covered=verdict.covered,
            checkpoints=verdict.checkpoints,
            checkpoint_size=last.size if last else None,
            checkpoint_at=iso(Ms(last.at_ms)) if last else None,
            checkpoint_file=checked.filed,
            root=verdict.root.hex(),
            pruned=verdict.pruned,
            pruned_upto=verdict.pruned_upto,
            findings=tuple(
                RegisterFinding(wrong=one.wrong, entry=one.entry, message=one.message)
                for one in verdict.findings
            ),
            begun=iso(begun),
            ended=iso(ended),
        )


class RegisterProgress(Shape):
    """One line: how far it is; the last one has the verdict."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"example": {"part": "entries", "done": 4096, "of": 20_480, "verdict": None}},
    )

    part: Part
    done: int
    of: int
    verdict: RegisterVerdict | None = None


class StoppedError(Exception):
    """Nobody listens any more."""


@router.post(
    "/register/verification",
    response_class=StreamingResponse,
    responses={200: {"model": RegisterProgress, "description": "JSON lines; the last one has a verdict."}},
)
async def verify(rooms: Rooms, caller: Auditor) -> StreamingResponse:  # noqa: ARG001
    """Check every entry, the tree over them and every signed checkpoint, as `sharpeyes audit verify` does,
    and say meanwhile how far it is, a JSON object a line. 409 while somebody else has it checked. For
    auditors.

    It asks the machine that is looked at: to trust it less, keep the checkpoint and the public key elsewhere.
    """
    if rooms.verifying.locked():
        raise ConflictError(
            "the register is being checked for somebody already", mend="Try again in a minute"
        )
    return StreamingResponse(
        _lines(rooms),
        media_type="application/jsonl",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(rooms: Context) -> AsyncIterator[str]:
    gone, latest = threading.Event(), RegisterProgress(part=Part.CHECKPOINTS, done=0, of=0)

    def told(part: Part, done: int, of: int) -> None:
        """In the reader's thread."""
        nonlocal latest
        if gone.is_set() or rooms.stopping.is_set():
            raise StoppedError
        latest = RegisterProgress(part=part, done=done, of=of)
        time.sleep(REST_S)

    async with rooms.verifying:
        begun = rooms.clock()
        reading = asyncio.create_task(rooms.access.register.verify(told))
        try:
            while not reading.done():
                yield latest.model_dump_json() + "\n"
                await asyncio.wait([reading], timeout=TICK_S)
            if isinstance(reading.exception(), StoppedError):
                return
            verdict = RegisterVerdict.of(reading.result(), begun, rooms.clock())
            yield latest.model_copy(update={"verdict": verdict}).model_dump_json() + "\n"
        finally:
            gone.set()
            reading.cancel()
