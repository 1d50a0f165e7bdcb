"""What happens in the demo's town: faults of virtual cameras to a timetable, and what a city has in its books
when a visitor comes: people, dossiers, a request, a mask. All of it goes the ways that a real one's goes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sharpeyes.cli.demo_names import Language
from sharpeyes.cli.demo_town import ACCOUNTS, Town, dossier_rows
from sharpeyes.domain.access import Action, Purpose, Selection
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.credentials import Secret
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase

if TYPE_CHECKING:
    from sharpeyes.access.access import Access
    from sharpeyes.app import Service
    from sharpeyes.simulator.simulator import Simulator

CYCLE_S = 600.0
"""The story begins anew so often."""
REQUESTS = (
    ("school", Purpose.EVENT, "Sports day: a crossing and a clinic on the way", ("traffic", "health")),
    ("clinic", Purpose.EMERGENCY, "Ambulances leave by this crossing", ("police",)),
    ("police", Purpose.PUBLIC_ORDER, "Lantern festival", ("education", "streets", "estates")),
)
"""Who asks for what, and why, for a camera each of these owners: somebody waits for every approver."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""None that is taken for another when it is copied by hand."""


@dataclass(frozen=True, slots=True)
class Act:
    """At ``at_s`` seconds of the story, all these devices get the fault, or are well again (None)."""

    at_s: float
    said: str
    devices: tuple[str, ...]
    fault: Fault | None


def opening(town: Town) -> Iterator[Act]:
    """What goes wrong as soon as the cameras are known, and stays so but for the acts of the story."""
    yield Act(0, f"{town.language.say('Harbour')} goes dark", town.dark, Fault(kind=FaultKind.OFF))
    for device, fault in town.standing.items():
        yield Act(0, f"{_name(town, device)}: {fault}", (device,), fault)


def story(town: Town) -> Iterator[Act]:
    """One cycle, in the order of time."""
    frozen, covered, turned = (*town.actors, *("",) * 3)[:3]
    # One that answers nothing at first: what is down and comes back is to be seen, too.
    off = [one for one, fault in town.standing.items() if fault.kind is FaultKind.OFF][:1]
    behind = f"the switch at {town.language.say('Riverside')}, {len(town.switch)} cameras behind it"
    acts = [
        (20, "picture freezes", frozen, Fault(kind=FaultKind.FREEZE)),
        (240, "something hangs before the lens", covered, Fault(kind=FaultKind.OCCLUDED)),
        (255, "somebody turns the camera", turned, Fault(kind=FaultKind.SHIFT)),
        (330, "picture moves again", frozen, None),
        (450, "the lens is free again", covered, None),
        (460, "turned back", turned, None),
    ]
    found = [Act(at, f"{_name(town, who)}: {said}", (who,), fault) for at, said, who, fault in acts if who]
    dead = Fault(kind=FaultKind.HANG, phase=FaultPhase.CONNECT)
    found += [Act(120, f"Power fails: {behind}", town.switch, dead)]
    found += [Act(270, f"Power is back: {behind}", town.switch, None)]
    for one in off:
        found.append(Act(300, f"{_name(town, one)}: repaired", (one,), None))
        found.append(Act(520, f"{_name(town, one)}: off again", (one,), town.standing[one]))
    yield from sorted(found, key=lambda act: act.at_s)


async def play(simulator: Simulator, town: Town, say: Callable[[str], None], pace: float = 1.0) -> None:
    """The opening, then the story again and again, until cancelled, so many times as fast as it is told.
    ``say`` is told of each act."""
    for act in opening(town):
        await _set(simulator, act)
    say(f"Faults strike {len(town.standing)} devices; {town.language.say('Harbour')} goes dark")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while True:
        for act in story(town):
            await asyncio.sleep(begin + act.at_s / pace - loop.time())
            await _set(simulator, act)
            say(act.said)
        begin += CYCLE_S / pace
        await asyncio.sleep(begin - loop.time())


async def _set(simulator: Simulator, act: Act) -> None:
    for device in act.devices:
        if act.fault is None:
            await simulator.clear_fault(device)
        else:
            await simulator.set_fault(device, act.fault)


def _name(town: Town, device: str) -> str:
    return next((one.channels[0].name for one in town.fleet.devices if one.id == device), device)


# --- the books ------------------------------------------------------------------------------------------


def draw_passwords() -> dict[str, Secret]:
    """By user name; others at every start. 60 bits each."""

    def draw() -> Secret:
        return Secret("-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3)))

    return {account.username: draw() for account in ACCOUNTS}


async def employ(access: Access, passwords: Mapping[str, Secret], language: Language) -> dict[str, str]:
    """Make the accounts, as ``sharpeyes user add`` does. Gives their ids by user name."""
    ids = {}
    for account in ACCOUNTS:
        made = await access.people.add(
            None,
            username=account.username,
            name=language.say(account.name),
            department=account.department,
            roles=(account.role,),
            password=passwords[account.username],
        )
        ids[account.username] = made.id
    return ids


async def import_dossiers(service: Service, town: Town, file: Path) -> str:
    """Write the town's dossier file and import it, as ``sharpeyes import`` does: rows without a number are
    told by address and name. Gives what came of it, in words."""
    from sharpeyes.registry import staged
    from sharpeyes.registry.import_map import ImportMap
    from sharpeyes.registry.sheet import read_table, write_csv

    file.write_bytes(write_csv(dossier_rows(town)))  # noqa: ASYNC240 - some kilobytes, once
    table = read_table(file.read_bytes())  # noqa: ASYNC240
    plan = await staged.take(
        service.database,
        table,
        ImportMap(keys=("ipv4", "name")),
        digest=None,
        partial=False,
        source=file.name,
        by="the demo",
        clock=service.clock,
    )
    await service.reload()
    return ", ".join(f"{number} {outcome}" for outcome, number in plan.counts.items() if number)


async def fill_in(
    access: Access, cameras: Sequence[Camera], ids: Mapping[str, str], language: Language
) -> None:
    """Requests that wait for their approvers, and a mask on a camera of a clinic; in the register as the acts
    of the accounts, and as what they are."""
    from sharpeyes.access.desk import Form
    from sharpeyes.domain.masks import Mask

    say = language.say
    for username, purpose, text, owners in REQUESTS:
        wanted = [camera for owner in owners for camera in _of(cameras, owner)[:1]]
        if not wanted:
            continue
        form = Form(
            selection=Selection(cameras=frozenset(camera.id for camera in wanted)),
            users=frozenset({ids[username]}),
            actions=frozenset({Action.LIVE, Action.SNAPSHOT}),
            purpose=purpose,
            purpose_text=f"{say(text)} ({say('asked by the demo')})",
        )
        await access.desk.submit(ids[username], form)
    for camera in _of(cameras, "health")[:1]:
        mask = Mask(
            name=f"{say('Windows')} ({say('set by the demo')})",
            points=((5_500, 1_200), (8_200, 1_200), (8_200, 3_800), (5_500, 3_800)),
        )
        await access.desk.set_masks(ids["admin"], camera.id, [mask])


def _of(cameras: Iterable[Camera], department: str) -> list[Camera]:
    """A department's cameras that have a stream."""
    return [camera for camera in cameras if camera.department == department and camera.streams]
