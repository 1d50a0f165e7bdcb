"""Unified 20-digit numbers of GB/T 28181, annex D.

::

    2022   centre (8) | industry (2) | type (3) | network (1) | serial (6)
    2016   centre (8) | industry (2) | type (3) | serial (7)

The digits do not tell which rule they follow, and every number of one is a number of the other: what differs
is only what the fourteenth digit means. We compose by the 2022 rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from sharpeyes.domain.errors import ConflictError, InvalidInputError

LENGTH = 20
IP_CAMERA = "132"

INDUSTRIES = {
    "00": "public order: road",
    "01": "public order: community",
    "02": "public order: internal",
    "03": "public order: other",
    "04": "traffic: road",
    "05": "traffic: checkpoint",
    "06": "traffic: internal",
    "07": "traffic: other",
    "08": "city management",
    "09": "health and environment",
    "10": "customs",
    "11": "education",
    "12": "civil aviation",
    "13": "rail",
    "14": "shipping",
    "40": "farming and forestry",
    "41": "mining",
    "42": "manufacturing",
    "43": "utilities",
    "44": "building",
    "45": "trade",
}

TYPES = {
    "111": "DVR",
    "118": "NVR",
    "131": "camera",
    "132": "IP camera",
    "200": "signalling centre",
    "209": "access gateway",
    "215": "business group",
    "216": "virtual organisation",
}
"""Those in common use; 500 to 599 are platforms."""

NETWORKS = {
    "0": "police video network",
    "1": "police video network",
    "2": "sector network",
    "3": "political-legal network",
    "4": "police mobile network",
    "5": "police information network",
    "6": "government extranet",
    "7": "internet",
    "8": "leased line",
}


class Rule(StrEnum):
    """The edition of the standard that a number follows."""

    Y2016 = "2016"
    Y2022 = "2022"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A number taken apart. ``network`` is None exactly if it follows the rule of 2016."""

    centre: str
    industry: str
    type: str
    network: str | None
    serial: str

    def __str__(self) -> str:
        return self.centre + self.industry + self.type + (self.network or "") + self.serial

    @property
    def rule(self) -> Rule:
        return Rule.Y2016 if self.network is None else Rule.Y2022

    @property
    def prefix(self) -> str:
        """All but the serial."""
        return str(self)[: LENGTH - len(self.serial)]


def parse(text: str, rule: Rule = Rule.Y2022) -> Code:
    """Take a number apart; InvalidInputError if it is not 20 digits."""
    if not (text.isascii() and text.isdigit()):
        raise InvalidInputError("a camera's code has digits only", mend="Write all 20 digits, in quotes")
    if len(text) != LENGTH:
        raise InvalidInputError(f"a camera's code has 20 digits, not {len(text)}", mend="Write all 20 digits")
    return Code(
        centre=text[:8],
        industry=text[8:10],
        type=text[10:13],
        network=text[13] if rule is Rule.Y2022 else None,
        serial=text[14:] if rule is Rule.Y2022 else text[13:],
    )


def compose(
    *,
    region: str,
    industry: str,
    type_code: str = IP_CAMERA,
    network: str | None,
    serial: int,
) -> Code:
    """Put a number together: by the rule of 2022, or of 2016 if there is no network digit.

    ``region`` is a GB/T 2260 code of 2, 4, 6 or 8 digits, padded with zeros to the 8 of a centre.
    """
    width = 7 if network is None else 6
    for name, value, lengths in (
        ("region", region, (2, 4, 6, 8)),
        ("industry", industry, (2,)),
        ("type code", type_code, (3,)),
        ("network", network or "0", (1,)),
    ):
        if len(value) not in lengths or not (value.isascii() and value.isdigit()):
            raise InvalidInputError(
                f"{name}: {value!r} is not {' or '.join(map(str, lengths))} digits",
                mend="See GB/T 28181 annex D",
            )
    if not 0 <= serial < 10**width:
        raise InvalidInputError(f"serial: {serial} does not fit {width} digits", mend="Use another prefix")
    return Code(
        centre=region.ljust(8, "0"),
        industry=industry,
        type=type_code,
        network=network,
        serial=f"{serial:0{width}d}",
    )


def doubts(code: Code) -> tuple[str, ...]:
    """What looks unusual about a number. It is to be shown, not refused: regions extend the tables."""
    found = []
    if code.industry not in INDUSTRIES:
        found.append(f"industry code {code.industry} is not in the table of GB/T 28181")
    if code.type not in TYPES and not code.type.startswith("5"):
        found.append(f"type code {code.type} is not in the table of GB/T 28181")
    elif not code.type.startswith("13"):
        found.append(f"type code {code.type} is not a camera's ({IP_CAMERA} is an IP camera's)")
    if code.network is not None and code.network not in NETWORKS:
        found.append(f"network digit {code.network} is not in the table of GB/T 28181-2022")
    return tuple(found)


def free_codes(first: Code, used: Iterable[str]) -> Iterator[Code]:
    """Numbers of one prefix that are free, in order, without end until there are none: ConflictError then.

    They go on after the highest that is used, since a gap may be a number that was given away elsewhere; the
    gaps are filled once the top is reached. ``first`` gives the prefix and the lowest serial to use.
    """
    prefix, width = first.prefix, len(first.serial)
    taken = {int(text[-width:]) for text in used if len(text) == LENGTH and text.startswith(prefix)}
    lowest, top = int(first.serial), 10**width
    start = max((n + 1 for n in taken if n >= lowest), default=lowest)
    for serial in chain(range(start, top), range(lowest, start)):
        if serial not in taken:
            yield parse(f"{prefix}{serial:0{width}d}", first.rule)
    raise ConflictError(f"all numbers that begin with {prefix} are given", mend="Use another network or type")
