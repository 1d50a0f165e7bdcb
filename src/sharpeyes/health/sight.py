"""What is known of a camera's picture: looks taken together, N of M, into faults that are confirmed.

A single look is evidence and no verdict: a truck, a headlight or a burst of packet loss passes. A fault is
*raised* when N of the last M looks that could judge it showed it, dated to the first of these, and *cleared*
when as many looks in a row as CLEAR did not. A look that could not judge a kind (no reference of the mode)
counts neither way. What the camera itself reports (:mod:`.events`) counts as one of the N, and never as all
of them: without a look that shows it, there is no fault.

Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sharpeyes.domain.health import Defect, PictureFault, Rung
from sharpeyes.domain.time import Ms
from sharpeyes.health import severity
from sharpeyes.health.diagnose import words

NEEDED = 2
"""N: looks that must show a fault before it is raised."""
OF = 3
"""M: of so many that could judge it."""
CLEAR = 2
"""Looks in a row without it that clear it."""
BLANK = 2
"""Keyframes in a row without a picture from which the stream counts as undecodable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault as one look shows it."""

    kind: PictureFault
    severity: int
    score: float
    explanation: str = ""
    explanation_zh: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look came to."""

    at: Ms
    decoded: bool = True
    """A picture came out of the keyframe."""
    mode: str | None = None
    findings: tuple[Finding, ...] = ()
    unassessed: frozenset[PictureFault] = frozenset()
    """Kinds that this look could say nothing about."""
    stood: tuple[bytes, ...] = ()
    """If its pictures stood still: by what these and earlier ones are known again."""


@dataclass(frozen=True, slots=True)
class Trail:
    """The last looks as to one kind, oldest first: when, and whether it showed."""

    looks: tuple[tuple[Ms, bool], ...] = ()

    def after(self, at: Ms, shown: bool) -> Trail:
        return Trail((*self.looks, (at, shown))[-OF:])

    def raised(self, *, reported: bool = False) -> bool:
        """``reported``: the camera itself says what makes this fault more likely."""
        shown = sum(shown for _, shown in self.looks)
        return shown > 0 and shown + reported >= NEEDED

    @property
    def cleared(self) -> bool:
        latest = self.looks[-CLEAR:]
        return len(latest) == CLEAR and not any(shown for _, shown in latest)

    @property
    def first(self) -> Ms:
        """The first look that showed it."""
        return next(at for at, shown in self.looks if shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of one camera's picture after its last look."""

    at: Ms
    """The last look."""
    mode: str | None = None
    defects: tuple[Defect, ...] = ()
    """Confirmed faults, worst first."""
    trails: Mapping[PictureFault, Trail] = field(default_factory=dict)
    """Of the kinds that showed lately."""
    blanks: int = 0
    """Keyframes in a row that no picture came out of."""
    pictured: bool = False
    """A picture came out of some keyframe before."""
    changing: bool = True
    """False: nobody has looked whether another picture differs."""
    stood: tuple[bytes, ...] = ()
    """By what pictures that stood still are known again, while *frozen* shows; small."""

    @property
    def rung(self) -> Rung:
        """How far up the ladder the picture takes the camera, by what is confirmed."""
        if self.blanks >= BLANK or not self.pictured:
            return Rung.KEYFRAME
        kinds = {defect.kind for defect in self.defects}
        if kinds & {PictureFault.SIGNAL_LOST, PictureFault.FROZEN} or not self.changing:
            return Rung.DECODED
        return Rung.CHANGING if any(severity.is_critical(d) for d in self.defects) else Rung.USABLE

    @property
    def since(self) -> Ms | None:
        """Since when the picture has had what it has, None if nothing is wrong."""
        return min((defect.since for defect in self.defects), default=None)

    @property
    def unsettled(self) -> bool:
        """Something showed that is not confirmed, or has gone and is not cleared: look again soon."""
        if 0 < self.blanks < BLANK:
            return True
        confirmed = {defect.kind for defect in self.defects}
        return any(trail.looks[-1][1] != (kind in confirmed) for kind, trail in self.trails.items())

    def document(self) -> dict[str, Any]:
        """For the store; see :meth:`parse`."""
        return {
            "mode": self.mode,
            "blanks": self.blanks,
            "pictured": self.pictured,
            "defects": [
                {
                    "kind": d.kind.value,
                    "severity": d.severity,
                    "since_ms": d.since,
                    "score": round(d.score, 3),
                    "explanation": d.explanation,
                    "explanation_zh": d.explanation_zh,
                }
                for d in self.defects
            ],
            "trails": {kind.value: trail.looks for kind, trail in self.trails.items()},
            "stood": [each.hex() for each in self.stood],
        }

    @classmethod
    def parse(cls, at: Ms, document: Mapping[str, Any]) -> Sight:
        """Raises ValueError, KeyError or TypeError if another version wrote it otherwise."""
        return cls(
            at=at,
            mode=document["mode"],
            blanks=document["blanks"],
            pictured=document["pictured"],
            defects=tuple(
                Defect(
                    kind=PictureFault(d["kind"]),
                    severity=d["severity"],
                    since=Ms(d["since_ms"]),
                    score=d["score"],
                    explanation=d["explanation"],
                    explanation_zh=d.get("explanation_zh", ""),
                )
                for d in document["defects"]
            ),
            trails={
                PictureFault(kind): Trail(tuple((Ms(when), bool(shown)) for when, shown in looks))
                for kind, looks in document["trails"].items()
            },
            stood=tuple(map(bytes.fromhex, document.get("stood", ()))),
        )


def after(sight: Sight | None, seen: Seen, reported: Collection[PictureFault] = ()) -> Sight:
    """What is known after one more look; ``reported``: faults that the camera's own reports speak for."""
    before = sight or Sight(at=seen.at)
    findings = _findings(before, seen)
    trails = {}
    for kind in before.trails.keys() | findings.keys():
        trail = before.trails.get(kind, Trail())
        if kind in findings or kind not in _silent(seen):
            trail = trail.after(seen.at, kind in findings)
        if any(shown for _, shown in trail.looks) or any(d.kind is kind for d in before.defects):
            trails[kind] = trail
    defects = _defects(before, findings, trails, reported)
    still = {defect.kind for defect in defects}
    trails = {
        kind: trail
        for kind, trail in trails.items()
        if kind in still or any(shown for _, shown in trail.looks[-NEEDED:])
    }
    return Sight(
        at=seen.at,
        mode=seen.mode or before.mode,
        defects=defects,
        trails=trails,
        blanks=0 if seen.decoded else before.blanks + 1,
        pictured=before.pictured or seen.decoded,
        stood=(seen.stood or before.stood) if PictureFault.FROZEN in trails else (),
    )


def once(seen: Seen) -> Sight:
    """What a single look shows, taken as it is: for who looks once."""
    findings = _findings(Sight(at=seen.at, blanks=BLANK), seen)
    return Sight(
        at=seen.at,
        mode=seen.mode,
        defects=_worst_first([_defect(f, seen.at) for f in findings.values()]),
        blanks=0 if seen.decoded else BLANK,
        pictured=seen.decoded,
        changing=PictureFault.FROZEN not in seen.unassessed,
    )


def forget(sight: Sight, kinds: Iterable[PictureFault]) -> Sight:
    """The same without these kinds: what spoke for them has become void."""
    gone = set(kinds)
    return Sight(
        at=sight.at,
        mode=sight.mode,
        defects=tuple(d for d in sight.defects if d.kind not in gone),
        trails={kind: trail for kind, trail in sight.trails.items() if kind not in gone},
        blanks=sight.blanks,
        pictured=sight.pictured,
        stood=() if PictureFault.FROZEN in gone else sight.stood,
    )


def _findings(before: Sight, seen: Seen) -> dict[PictureFault, Finding]:
    findings = {finding.kind: finding for finding in seen.findings}
    if not seen.decoded and before.blanks + 1 >= BLANK:
        key = "diagnose.undecodable"
        findings[PictureFault.CORRUPT] = Finding(
            kind=PictureFault.CORRUPT,
            severity=3,
            score=1.0,
            explanation=words.say(key, {}, "en"),
            explanation_zh=words.say(key, {}, "zh"),
        )
    return findings


def _silent(seen: Seen) -> frozenset[PictureFault]:
    return seen.unassessed if seen.decoded else frozenset(PictureFault)


def _defects(
    before: Sight,
    findings: Mapping[PictureFault, Finding],
    trails: Mapping[PictureFault, Trail],
    reported: Collection[PictureFault],
) -> tuple[Defect, ...]:
    had = {defect.kind: defect for defect in before.defects}
    found: list[Defect] = []
    for kind, trail in trails.items():
        finding, known = findings.get(kind), had.get(kind)
        if finding is not None and (known is not None or trail.raised(reported=kind in reported)):
            found.append(_defect(finding, known.since if known else trail.first))
        elif known is not None and not trail.cleared:
            found.append(known)
    return _worst_first(found)


def _defect(finding: Finding, since: Ms) -> Defect:
    return Defect(
        kind=finding.kind,
        severity=finding.severity,
        since=since,
        score=finding.score,
        explanation=finding.explanation,
        explanation_zh=finding.explanation_zh,
    )


def _worst_first(defects: Sequence[Defect]) -> tuple[Defect, ...]:
    rest, ordered = list(defects), []
    while (one := severity.worst(rest)) is not None:
        ordered.append(one)
        rest.remove(one)
    return tuple(ordered)
