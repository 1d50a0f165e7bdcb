"""Faults on command: what can be wrong with a virtual camera, as checked values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sharpeyes.domain.errors import InvalidInputError


class Picture(StrEnum):
    """What is wrong with the picture; each but ``normal`` is also a :class:`FaultKind`."""

    NORMAL = "normal"
    BLACK = "black"
    DARK = "dark"
    BRIGHT = "bright"
    BLUR = "blur"
    SHIFT = "shift"
    """The camera was turned: another part of the same street."""
    FREEZE = "freeze"
    """The same picture for ever, its clock and its noise included; the stream goes on."""
    NOISE = "noise"
    STRIPES = "stripes"
    GREY = "grey"
    CAST = "cast"
    OCCLUDED = "occluded"


class FaultKind(StrEnum):
    """What can be wrong with a camera, from the socket to the picture."""

    OFF = "off"
    """No listener at all, running connections are reset, no answer to discovery."""
    REFUSE = "refuse"
    """The RTSP port refuses connections; ONVIF still answers."""
    HANG = "hang"
    """Goes silent at a phase, connections stay open."""
    AUTH = "auth"
    """Every login fails: the password on the device is another one."""
    BUSY = "busy"
    """453 Not Enough Bandwidth to every SETUP, as recorders say at their session limit."""
    NOT_FOUND = "not_found"
    """404 to DESCRIBE and SETUP: the channel has no video."""
    NO_RTP = "no_rtp"
    """PLAY succeeds, keep-alives are answered, and no packet ever comes."""
    NO_KEYFRAME = "no_keyframe"
    """Only pictures that need another one."""
    LOSS = "loss"
    """``percent`` of the RTP packets are missing."""
    SLOW = "slow"
    """At most ``bytes_per_s`` leave the camera after PLAY."""
    CORRUPT = "corrupt"
    """Bytes of the coded pictures are overwritten."""
    CLOCK = "clock"
    """The device's clock is off by ``seconds``."""
    RESET = "reset"
    """The connection is reset in the middle of the first picture."""
    GARBAGE = "garbage"
    """Bytes of no protocol: in place of the answer to DESCRIBE, or of the media."""
    BLACK = "black"
    DARK = "dark"
    BRIGHT = "bright"
    BLUR = "blur"
    SHIFT = "shift"
    FREEZE = "freeze"
    NOISE = "noise"
    STRIPES = "stripes"
    GREY = "grey"
    CAST = "cast"
    OCCLUDED = "occluded"


class FaultPhase(StrEnum):
    """Where a camera goes silent or speaks garbage."""

    CONNECT = "connect"
    ONVIF = "onvif"
    DESCRIBE = "describe"
    SETUP = "setup"
    PLAY = "play"
    MEDIA = "media"
    """After the first pictures."""


WHOLE_DEVICE = frozenset({FaultKind.OFF, FaultKind.REFUSE, FaultKind.CLOCK})
"""Kinds that a recorder's channel cannot have alone; so too hang at connect and onvif."""

_PICTURES = {picture.value: picture for picture in Picture}
_PHASES = {
    FaultKind.HANG: frozenset(FaultPhase),
    FaultKind.GARBAGE: frozenset({FaultPhase.DESCRIBE, FaultPhase.MEDIA}),
}
_NUMBERS: dict[FaultKind, tuple[str, float, float, float]] = {
    # kind: field, default, least, most
    FaultKind.LOSS: ("percent", 5.0, 0.1, 100.0),
    FaultKind.SLOW: ("bytes_per_s", 4_000.0, 1.0, 100_000_000.0),
    FaultKind.CLOCK: ("seconds", 7_200.0, -1e9, 1e9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault with its measure. A measure that the kind does not have is refused, a missing one defaulted.

    ``InvalidInputError`` names the field and what it may be.
    """

    kind: FaultKind
    phase: FaultPhase | None = None
    percent: float | None = None
    bytes_per_s: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        phases = _PHASES.get(self.kind)
        if phases is None and self.phase is not None:
            raise InvalidInputError(f"fault {self.kind} has no phase", mend="Leave phase out")
        if phases is not None:
            if self.phase is None:
                object.__setattr__(self, "phase", FaultPhase.DESCRIBE)
            elif self.phase not in phases:
                known = ", ".join(sorted(phases))
                raise InvalidInputError(
                    f"fault {self.kind} cannot have phase {self.phase}", mend=f"Use one of {known}"
                )
        own = _NUMBERS.get(self.kind)
        for name in ("percent", "bytes_per_s", "seconds"):
            value = getattr(self, name)
            if own is None or own[0] != name:
                if value is not None:
                    raise InvalidInputError(f"fault {self.kind} has no {name}", mend=f"Leave {name} out")
                continue
            if value is None:
                object.__setattr__(self, name, own[1])
            elif not (math.isfinite(value) and own[2] <= value <= own[3]):
                raise InvalidInputError(
                    f"{name} of fault {self.kind} is {value:g}", mend=f"Give {own[2]:g} to {own[3]:g}"
                )

    @property
    def picture(self) -> Picture:
        """The picture that the camera shows under this fault."""
        return _PICTURES.get(self.kind.value, Picture.NORMAL)

    @property
    def whole_device(self) -> bool:
        """Whether it cannot hit a single channel of a recorder."""
        return self.kind in WHOLE_DEVICE or self.phase in (FaultPhase.CONNECT, FaultPhase.ONVIF)

    @classmethod
    def parse(cls, given: object) -> Fault:
        """From JSON or YAML: a kind (``"black"``) or a mapping (``{"kind": "loss", "percent": 5}``)."""
        if isinstance(given, str):
            given = {"kind": given}
        if not isinstance(given, Mapping):
            raise InvalidInputError(
                "fault is no mapping", mend='Write for example {"kind": "hang", "phase": "setup"}'
            )
        unknown = sorted(str(key) for key in given if key not in cls.__slots__)
        if unknown:
            raise InvalidInputError(
                f"fault has an unknown field {unknown[0]!r}", mend=f"Known are {', '.join(cls.__slots__)}"
            )
        phase = given.get("phase")
        numbers = {
            name: given[name] for name in ("percent", "bytes_per_s", "seconds") if given.get(name) is not None
        }
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidInputError(f"{name} of the fault is {value!r}", mend="Give a number")
        return cls(
            kind=_member(FaultKind, "kind", given.get("kind")),
            phase=None if phase is None else _member(FaultPhase, "phase", phase),
            **numbers,
        )

    def document(self) -> dict[str, str | float]:
        """What :meth:`parse` reads."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.value if isinstance(value, StrEnum) else value
            for name, value in found.items()
            if value is not None
        }

    def __str__(self) -> str:
        """For people: ``hang, phase describe``, ``loss, percent 5``."""
        kind, *rest = self.document().items()
        return ", ".join([str(kind[1]), *(f"{name} {value}" for name, value in rest)])


E = TypeVar("E", bound=StrEnum)


def _member(kinds: type[E], field: str, value: object) -> E:
    try:
        return kinds(str(value))
    except ValueError:
        known = ", ".join(sorted(kinds))
        raise InvalidInputError(f"{field} of the fault is {value!r}", mend=f"Use one of {known}") from None
