"""Faults by the clock, from a YAML file:

.. code-block:: yaml

    repeat_s: 600            # optional: begin again
    events:
      - at: 10               # seconds after the start
        for: 30              # optional: seconds until it is mended
        cameras: [camera-0001, "camera-00[2-4]*"]   # ids or patterns; a device's id hits all its channels
        fault: black         # or {kind: hang, phase: describe}, {kind: loss, percent: 5} ...

Every mistake is a ConfigError with file and line.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from sharpeyes.domain.errors import ConfigError, InvalidInputError
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.simulator import Simulator

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fault that begins ``at`` seconds after the start and lasts ``lasting`` seconds, None: for good."""

    at: float
    cameras: tuple[str, ...]
    fault: Fault
    lasting: float | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    events: tuple[Event, ...]
    repeat_s: float | None = None


def load(path: Path) -> Scenario:
    """Read and check a file. ConfigError says where the mistake is and how to mend it."""
    try:
        data = path.read_bytes()[: _MAX_BYTES + 1]
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), line=1) from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Scenario:
    """The scenario in a YAML document; ``file`` is for messages."""

    def refuse(node: yaml.Node | None, message: str, mend: str = "") -> ConfigError:
        line = node.start_mark.line + 1 if node is not None else 1
        return ConfigError(message, file=file, line=line, mend=mend)

    if len(data) > _MAX_BYTES:
        raise refuse(None, "larger than 1 MiB")
    loader = None
    try:
        loader = _Loader(data)
        root = loader.get_single_node()
        if root is None:
            raise refuse(None, "the file is empty", "Write events:")
        top = _fields(root, {"repeat_s", "events"}, "the scenario", refuse)
        if "events" not in top or not isinstance(top["events"], yaml.SequenceNode):
            raise refuse(
                top.get("events", root), "events is no list", "Write one event a line, each with a dash"
            )
        events = [_event(loader, node, refuse) for node in top["events"].value]
        repeat = _seconds(loader, top["repeat_s"], "repeat_s", refuse) if "repeat_s" in top else None
        last = max((event.at + (event.lasting or 0) for event in events), default=0)
        if repeat is not None and (repeat <= 0 or repeat < last):
            raise refuse(
                top["repeat_s"], f"repeat_s ends before the last event ({last:g} s)", "Give more seconds"
            )
        return Scenario(events=tuple(events), repeat_s=repeat)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise ConfigError(str(problem), file=file, line=mark.line + 1 if mark else 1) from error
    finally:
        if loader is not None:
            loader.dispose()


_Refuse = Callable[..., ConfigError]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its booleans: ``off`` is a fault."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name is PyYAML's
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _event(loader: yaml.SafeLoader, node: yaml.Node, refuse: _Refuse) -> Event:
    fields = _fields(node, {"at", "for", "cameras", "fault"}, "an event", refuse)
    for name in ("at", "cameras", "fault"):
        if name not in fields:
            raise refuse(node, f"an event without {name}", f"Add {name}")
    cameras = _plain(loader, fields["cameras"], refuse)
    cameras = [cameras] if isinstance(cameras, str) else cameras
    if not isinstance(cameras, list) or not cameras or not all(isinstance(each, str) for each in cameras):
        raise refuse(fields["cameras"], "cameras is no list of ids", "Write for example [camera-0001]")
    try:
        fault = Fault.parse(_plain(loader, fields["fault"], refuse))
    except InvalidInputError as error:
        raise refuse(fields["fault"], error.message, error.mend) from error
    lasting = _seconds(loader, fields["for"], "for", refuse) if "for" in fields else None
    if lasting == 0:
        raise refuse(fields["for"], "for is 0 seconds", "Give more, or leave it out")
    at = _seconds(loader, fields["at"], "at", refuse)
    return Event(at=at, lasting=lasting, cameras=tuple(cameras), fault=fault, line=node.start_mark.line + 1)


def _fields(node: yaml.Node, known: set[str], what: str, refuse: _Refuse) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise refuse(node, f"{what} is no mapping", f"Write {', '.join(sorted(known))} with a colon each")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in known:
            raise refuse(key, f"unknown field {name[:64]!r}", f"Known are {', '.join(sorted(known))}")
        if name in found:
            raise refuse(key, f"{name} is given twice", "Remove one")
        found[name] = value
    return found


def _seconds(loader: yaml.SafeLoader, node: yaml.Node, name: str, refuse: _Refuse) -> float:
    value = _plain(loader, node, refuse)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < math.inf):
        raise refuse(node, f"{name} is {value!r}", "Give seconds, 0 or more")
    return float(value)


def _plain(loader: yaml.SafeLoader, node: yaml.Node, refuse: _Refuse) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, TypeError) as error:
        raise refuse(node, "a value of no known kind") from error


def targets(scenario: Scenario, known: Collection[str], file: str) -> list[tuple[str, ...]]:
    """The ids that each event hits. ConfigError for a name or pattern that is nobody's."""
    found = []
    for event in scenario.events:
        hit: dict[str, None] = {}
        for pattern in event.cameras:
            ids = [pattern] if pattern in known else [each for each in known if fnmatchcase(each, pattern)]
            if not ids:
                raise ConfigError(
                    f"no camera is called {pattern!r}", file=file, line=event.line, mend="See --json"
                )
            hit.update(dict.fromkeys(ids))
        found.append(tuple(hit))
    return found


async def run(
    scenario: Scenario,
    simulator: Simulator,
    told: Callable[[str, Fault | None], None],
    *,
    file: str = "scenario",
) -> None:
    """Play it; ends after the last change, or never if it repeats. ``told(id, fault)`` hears of every change.

    An event ends only its own fault: whatever was set meanwhile, by another event or by hand, stays.
    """
    hits = targets(scenario, simulator.ids, file)
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        queue = [(event.at, number, True) for number, event in enumerate(scenario.events)]
        heapq.heapify(queue)
        while queue:
            at, number, begins = heapq.heappop(queue)
            await asyncio.sleep(max(0.0, start + at - loop.time()))
            event = scenario.events[number]
            for target in hits[number]:
                if begins:
                    await simulator.set_fault(target, event.fault)
                    told(target, event.fault)
                elif simulator.fault(target) is event.fault:
                    await simulator.clear_fault(target)
                    told(target, None)
            if begins and event.lasting is not None:
                heapq.heappush(queue, (at + event.lasting, number, False))
        if scenario.repeat_s is None:
            return
        start += scenario.repeat_s
        await asyncio.sleep(max(0.0, start - loop.time()))
