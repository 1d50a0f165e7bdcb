"""Which one fault explains that many cameras are down: something upstream, or we ourselves.

Pure: the graph and what was seen come in, who takes the blame comes out. Cameras below a blamed node still
count as offline; they only get no ticket of their own.

Blame goes to the highest node that the evidence reaches and no higher: a switch is blamed when most of its
branches fell together, not when one of its recorders did. What fell long before, is not observed, or is in
maintenance, bears no witness.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Node
from sharpeyes.domain.health import FailureKind
from sharpeyes.domain.time import Ms


@dataclass(frozen=True, slots=True, kw_only=True)
class CausePolicy:
    """When several faults are one. Times in ms, shares 0..1."""

    window_ms: int = 180_000
    """Falls at most this far apart are simultaneous: debounce and cadence spread them."""
    share: float = 0.8
    """Of the cameras that bear witness, so many must be down to blame a node ..."""
    keep: float = 0.5
    """... and more than so many to go on blaming it."""
    least: int = 2
    """Simultaneous falls without which nothing upstream is blamed."""
    blind_share: float = 0.5
    """Of a zone's cameras, so many at once are our own outage ..."""
    blind_least: int = 8
    """... if they are at least so many ..."""
    blind_branches: int = 4
    """... that hang from so many unrelated things."""
    blind_recent_ms: int = 600_000
    """A mass fall that began longer ago is not taken for ours any more."""
    learn_least: int = 3
    """Cameras that make an episode worth remembering."""
    learn_episodes: int = 3
    """Episodes that cameras must share to be taken for one branch."""
    learn_likeness: float = 0.8
    """Of the episodes of either, so many must be common."""

    def __post_init__(self) -> None:
        if not 0 < self.keep < self.share <= 1:
            raise InvalidInputError("keep and share must satisfy 0 < keep < share <= 1")


class Graph:
    """What hangs from what: a forest of nodes with cameras as leaves. Unchanging once built."""

    def __init__(self, nodes: Iterable[Node], edges: Mapping[str, str]) -> None:
        """``edges``: camera -> the node that it hangs from. A parent that does not exist ends the chain.

        Raises InvalidInputError for a node that hangs from itself, however indirectly.
        """
        self.nodes = {node.id: node for node in nodes}
        self.parent_of = {camera: node for camera, node in edges.items() if node in self.nodes}
        self._parents = {n.id: n.parent for n in self.nodes.values() if n.parent in self.nodes}
        self._check_cycles()
        self._branches: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for camera, node in self.parent_of.items():
            branch, above = camera, node
            for above in self._chain(node):
                self._branches[above][branch].append(camera)
                branch = above

    def _check_cycles(self) -> None:
        for start in self.nodes:
            seen = {start}
            above = self._parents.get(start)
            while above is not None:
                if above in seen:
                    raise InvalidInputError(
                        f"the node {start} hangs from itself", mend="Remove one of the parents in the circle"
                    )
                seen.add(above)
                above = self._parents.get(above)

    def _chain(self, node: str) -> Iterable[str]:
        at: str | None = node
        while at is not None:
            yield at
            at = self._parents.get(at)

    def branches(self, node: str) -> Mapping[str, Sequence[str]]:
        """What hangs directly from a node (nodes and cameras), each with all cameras below it."""
        return self._branches.get(node, {})

    def cameras(self, node: str) -> tuple[str, ...]:
        """Every camera below a node."""
        return tuple(camera for branch in self.branches(node).values() for camera in branch)

    def above(self, camera: str) -> tuple[str, ...]:
        """The nodes above a camera, nearest first."""
        node = self.parent_of.get(camera)
        return tuple(self._chain(node)) if node is not None else ()

    def ancestors(self, node: str) -> tuple[str, ...]:
        """The nodes above a node, nearest first."""
        return tuple(self._chain(node))[1:]

    def root(self, camera: str) -> str:
        """The topmost thing that a camera hangs from; itself, if from nothing."""
        chain = self.above(camera)
        return chain[-1] if chain else camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Blamed:
    """A node takes the blame for its children."""

    node: str
    since: Ms
    children: frozenset[str]
    """Cameras that are down because of it."""
    witnesses: int
    """Cameras below it that were seen at all, those down included."""


def blame(
    graph: Graph,
    down: Mapping[str, Ms],
    unseen: Collection[str],
    active: Mapping[str, Ms],
    policy: CausePolicy,
) -> dict[str, Blamed]:
    """The nodes that explain what is down.

    ``down``: camera -> since when; ``unseen``: cameras that bear no witness; ``active``: nodes blamed until
    now -> since when. No two of the answer are above one another.
    """
    touched = {node for camera in down for node in graph.above(camera)}
    found: dict[str, Blamed] = {}

    def visit(node: str) -> None:
        verdict = _judge(graph, node, down, unseen, active.get(node), policy)
        if verdict is not None:
            found[node] = verdict
            return
        for branch in graph.branches(node):
            if branch in touched:
                visit(branch)

    for root in sorted(node for node in touched if not graph.ancestors(node)):
        visit(root)
    return found


def _judge(
    graph: Graph,
    node: str,
    down: Mapping[str, Ms],
    unseen: Collection[str],
    active: Ms | None,
    policy: CausePolicy,
) -> Blamed | None:
    fallen = sorted(down[camera] for camera in graph.cameras(node) if camera in down)
    if active is None:
        start, together = densest(fallen, policy.window_ms)
        if together < policy.least:
            return None
        first, needed = start, policy.share
    else:
        start, first, needed = active, Ms(active - policy.window_ms), policy.keep
    children: set[str] = set()
    witnesses = branches = fallen_branches = 0
    for cameras in graph.branches(node).values():
        seen = [c for c in cameras if c not in unseen and not (c in down and down[c] < first)]
        hit = [c for c in seen if c in down]
        children.update(hit)
        witnesses += len(seen)
        branches += bool(seen)
        fallen_branches += bool(seen) and len(hit) > len(seen) * policy.keep
    if not children:
        return None
    if active is not None:
        enough = len(children) > witnesses * needed
    else:
        enough = (
            len(children) >= witnesses * needed
            and fallen_branches >= 2  # with one branch, the fault may as well lie in that branch
            and fallen_branches >= branches * needed
        )
    if not enough:
        return None
    return Blamed(node=node, since=start, children=frozenset(children), witnesses=witnesses)


def densest(instants: Sequence[Ms], window_ms: int) -> tuple[Ms, int]:
    """Start and count of the window that holds most of the sorted ``instants``; the earliest of equals."""
    best, start = 0, Ms(0)
    for index, instant in enumerate(instants):
        count = bisect_right(instants, instant + window_ms) - index
        if count > best:
            best, start = count, instant
    return start, best


class BlindReason(StrEnum):
    """Why we think that the fault is ours."""

    CANARY = "canary"
    """A camera of our own, known to be well, is not seen well."""
    MASS = "mass"
    """Many unrelated cameras fell at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOutage:
    """We do not see this zone: what its cameras seem to be since then is to be recorded as unknown."""

    zone: str
    since: Ms
    reason: BlindReason
    fallen: int
    seen: int
    """Cameras of the zone that were up before, those fallen included."""
    branches: int
    """Unrelated things that the fallen hang from."""

    def explain(self) -> str:
        if self.reason is BlindReason.CANARY:
            return "a canary of this zone is not seen as it is"
        return f"{self.fallen} of {self.seen} cameras on {self.branches} unrelated branches fell at once"


@dataclass(frozen=True, slots=True)
class Above:
    """Why a camera is offline: a node above it is, or was until then, at fault."""

    node: str
    until: Ms | None = None


PERHAPS_OURS = frozenset(
    kind.value
    for kind in (
        FailureKind.NAME_UNKNOWN,
        FailureKind.REFUSED,
        FailureKind.UNREACHABLE,
        FailureKind.TIMEOUT,
        FailureKind.CLOSED,
        FailureKind.NO_MEDIA,
        FailureKind.NO_KEYFRAME,
    )
)
"""Causes that lie in a network of ours, perhaps. Who answers nonsense or shows black is reached."""


def own_outage(
    zone: str,
    *,
    down: Mapping[str, Ms],
    up: int,
    graph: Graph,
    canary_failing: Ms | None,
    now: Ms,
    policy: CausePolicy,
) -> OwnOutage | None:
    """Whether it is we who cannot see ``zone``.

    ``down``: the zone's cameras that went offline -> since when; ``up``: how many are not; neither holds
    cameras in maintenance or unknown. ``canary_failing``: since when a canary of the zone fails, None if none
    does. A passing canary proves our process, not our network, and so acquits nobody.
    """
    recent = sorted(since for since in down.values() if since >= now - policy.blind_recent_ms)
    start, fallen = densest(recent, policy.window_ms)
    within = [c for c, since in down.items() if start <= since <= start + policy.window_ms] if fallen else []
    branches = len({graph.root(camera) for camera in within})
    seen = fallen + up
    if canary_failing is not None:
        since = min(canary_failing, start) if fallen >= policy.least else canary_failing
        reason = BlindReason.CANARY
    elif (
        fallen >= policy.blind_least
        and fallen >= seen * policy.blind_share
        and branches >= policy.blind_branches
    ):
        since, reason = start, BlindReason.MASS
    else:
        return None
    return OwnOutage(zone=zone, since=Ms(since), reason=reason, fallen=fallen, seen=seen, branches=branches)


def sees_again(*, down: int, up: int, canary_failing: Ms | None, policy: CausePolicy) -> bool:
    """Whether an own outage of a zone is over: at least half of what is down or unknown or up is seen up."""
    return canary_failing is None and up > 0 and up >= (up + down) * (1 - policy.keep)


# --- learning ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Episode:
    """Cameras of one zone that fell together."""

    zone: str
    at: Ms
    cameras: frozenset[str] = field(default=frozenset())


def episodes(
    zone_of: Mapping[str, str], down: Mapping[str, Ms], now: Ms, policy: CausePolicy
) -> list[Episode]:
    """Finished episodes among the cameras that are down: groups that fell within one window, seen when
    nobody can join any more. The same fall gives the same episode (zone and instant) at every call."""
    by_zone: dict[str, list[tuple[Ms, str]]] = defaultdict(list)
    for camera, since in down.items():
        by_zone[zone_of[camera]].append((since, camera))
    found = []
    for zone, falls in by_zone.items():
        falls.sort()
        while falls:
            start = falls[0][0]
            end = bisect_right(falls, start + policy.window_ms, key=lambda fall: fall[0])
            group, falls = falls[:end], falls[end:]
            if len(group) >= policy.learn_least and start + policy.window_ms < now:
                found.append(Episode(zone, start, frozenset(camera for _, camera in group)))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Cameras that fall together so often that something common must sit above them."""

    id: str
    zone: str
    cameras: frozenset[str]
    episodes: int


def learn(history: Iterable[Episode], policy: CausePolicy) -> list[Learned]:
    """The branches that past episodes suggest; each camera is in one at most."""
    took_part: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, episode in enumerate(history):
        for camera in episode.cameras:
            took_part[episode.zone, camera].add(number)
    groups: list[tuple[str, set[int], list[str]]] = []
    for (zone, camera), parts in sorted(took_part.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(parts) < policy.learn_episodes:
            break
        for group_zone, common, members in groups:
            if group_zone == zone and len(parts & common) >= len(parts | common) * policy.learn_likeness:
                members.append(camera)
                break
        else:
            groups.append((zone, parts, [camera]))
    return [
        Learned(
            id="learned-" + sha256("\0".join(sorted(members)).encode()).hexdigest()[:12],
            zone=zone,
            cameras=frozenset(members),
            episodes=len(common),
        )
        for zone, common, members in groups
        if len(members) >= policy.learn_least
    ]


def suppressed(blamed: Iterable[Blamed]) -> Counter[str]:
    """Node -> cameras that have no ticket of their own because of it."""
    return Counter({each.node: len(each.children) for each in blamed})
