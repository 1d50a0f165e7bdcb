"""What is asked of a camera's pictures, and the turns in which it is asked.

An :class:`Examiner` knows pictures; a *turn* is a run of its questions that belong together, from the bytes
of a keyframe to a small answer. Turns are what decoders (:mod:`.decoders`) take on, in a process of their own
at best, so a picture leaves a turn only if a later one needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sharpeyes.domain.health import Keyframe, PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health.sight import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A keyframe, decoded and screened."""

    picture: Any | None
    """None: no picture came out of it."""
    mode: str | None = None
    plain: bool = False
    """It is plainly the camera's normal picture: nothing more needs to be asked."""
    normal: Any = None
    """What the next screening compares with; small."""
    moves: bool = False
    """Something moves in the pictures behind it: the stream does not stand still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The full checks' word."""

    mode: str | None
    findings: tuple[Finding, ...]
    unassessed: frozenset[PictureFault]
    document: Mapping[str, Any]
    """The diagnosis in full, as JSON."""
    still: bytes | None = None
    """A marked-up JPEG, if there is something to show."""
    normal: Any = None
    stood: tuple[bytes, ...] = ()
    """By what pictures of the camera that stood still are known again, if these stand still, too; small."""


class Examiner(Protocol):
    """The checks of pictures. All of it blocks."""

    def open(self, keyframe: Keyframe, at: Ms, normal: Any) -> Opened: ...

    def check(
        self,
        before: Any | None,
        picture: Any,
        references: Mapping[str, Any],
        *,
        moves: bool,
        stood: Sequence[bytes] = (),
    ) -> Checked:
        """``moves``: something moves in the pictures behind one of these. ``stood``: of pictures of the
        camera that stood still before."""
        ...

    def trace(self, picture: Any) -> Any:
        """What is kept of a picture to tell later whether another one shows the very same; small."""
        ...

    def moved(self, trace: Any, picture: Any) -> bool:
        """Whether this picture plainly is another one than that of the trace."""
        ...

    def learn(self, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
        """A reference from normal pictures, None if they do not do."""
        ...

    def load(self, data: bytes) -> Any:
        """A reference from what :meth:`learn` made. ValueError if it is of another version."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a keyframe in a turn."""

    decoded: bool
    """False: no picture came out of it."""
    picture: Any | None = None
    """If a later turn needs it."""
    trace: Any = None
    """The same, small."""
    mode: str | None = None
    plain: bool = False
    moves: bool = False
    """Something moves in the pictures behind it, or since the trace."""
    normal: Any = None
    checked: Checked | None = None
    decode_s: float = 0.0
    """Seconds of CPU for decoding and screening."""


def glance(examiner: Examiner, keyframe: Keyframe, at: Ms, normal: Any, enough_in: str | None) -> Answer:
    """Is it plainly the normal picture of a camera that is known? If not, a second one is wanted beside it.

    ``enough_in``: the mode in which that is enough, None if it is in none.
    """
    began = time.thread_time()
    opened = examiner.open(keyframe, at, normal)
    plain = opened.plain and opened.mode == enough_in
    return Answer(
        decoded=opened.picture is not None,
        picture=None if plain else opened.picture,
        mode=opened.mode,
        plain=plain,
        normal=opened.normal,
        decode_s=time.thread_time() - began,
    )


def meet(examiner: Examiner, keyframe: Keyframe, at: Ms, references: Mapping[str, Any]) -> Answer:
    """A first picture by itself: what the checks say of it, and whether it lives."""
    began = time.thread_time()
    opened = examiner.open(keyframe, at, None)
    decoded = time.thread_time()
    picture = opened.picture
    if picture is None:
        return Answer(decoded=False, decode_s=decoded - began)
    checked = examiner.check(None, picture, references, moves=opened.moves)
    return Answer(
        decoded=True,
        picture=picture if checked.findings else None,
        trace=None if checked.findings or opened.moves else examiner.trace(picture),
        moves=opened.moves,
        checked=checked,
        decode_s=decoded - began,
    )


def compare(
    examiner: Examiner,
    before: Any,
    keyframe: Keyframe,
    at: Ms,
    references: Mapping[str, Any],
    stood: Sequence[bytes],
) -> Answer:
    """The full checks of two pictures."""
    began = time.thread_time()
    opened = examiner.open(keyframe, at, None)
    decoded = time.thread_time()
    picture = opened.picture
    if picture is None:
        return Answer(decoded=False, decode_s=decoded - began)
    checked = examiner.check(before, picture, references, moves=opened.moves, stood=stood)
    return Answer(decoded=True, checked=checked, decode_s=decoded - began)


def see_again(examiner: Examiner, keyframe: Keyframe, at: Ms, trace: Any) -> Answer:
    """Does it still show what it did? Then a third picture is wanted beside it."""
    began = time.thread_time()
    picture = examiner.open(keyframe, at, None).picture
    moves = picture is not None and examiner.moved(trace, picture)
    return Answer(
        decoded=picture is not None,
        picture=None if moves else picture,
        moves=moves,
        decode_s=time.thread_time() - began,
    )


def learn(examiner: Examiner, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
    return examiner.learn(keyframes, mode, at)


def load(examiner: Examiner, data: bytes) -> Any:
    return examiner.load(data)


Turn = Literal["glance", "meet", "compare", "see_again", "learn", "load"]
TURNS: Mapping[Turn, Callable[..., Any]] = {
    "glance": glance,
    "meet": meet,
    "compare": compare,
    "see_again": see_again,
    "learn": learn,
    "load": load,
}
"""By name, for a turn is asked for in another process."""
