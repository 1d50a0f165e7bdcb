"""What cameras hang from: recorders, switches, links and sites, declared by people or learned from falls."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.api.auth import ManagingCaller, Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Shape
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.faults import Node, NodeKind, NodeOrigin
from sharpeyes.domain.time import Ms
from sharpeyes.faults.causes import Graph
from sharpeyes.store import causes as store
from sharpeyes.store.events import Event, record
from sharpeyes.store.faults import suppressed
from sharpeyes.store.organisation import list_departments

router = APIRouter(prefix="/api/v1/causes", tags=["causes"])

NodeId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
MOST_CAMERAS = 20_000


class CauseShape(Shape):
    id: str
    kind: NodeKind
    name: str
    parent: Annotated[str | None, Field(description="The node that it hangs from in turn.")]
    department: Annotated[str | None, Field(description="The unit that keeps it running.")]
    origin: Annotated[
        NodeOrigin,
        Field(description="'learned' waits to be accepted or rejected; 'config' is changed in cameras.yaml."),
    ]
    cameras: Annotated[int, Field(description="That hang from it directly.")]
    below: Annotated[int, Field(description="All cameras below it.")]
    suppressed: Annotated[int, Field(description="Cameras that are down because of it now.")]


class CauseDetail(CauseShape):
    camera_ids: Annotated[tuple[str, ...], Field(description="That hang from it directly.")]
    children: Annotated[tuple[str, ...], Field(description="Nodes that hang from it directly.")]


class Causes(Shape):
    items: tuple[CauseShape, ...]


class CauseChange(Body):
    kind: NodeKind
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    parent: Annotated[str | None, Field(max_length=64)] = None
    department: Annotated[str | None, Field(max_length=64)] = None
    cameras: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...] | None,
        Field(max_length=MOST_CAMERAS, description="Exactly those that hang from it directly; null: as now."),
    ] = None


class Acceptance(Body):
    accept: bool
    kind: NodeKind = NodeKind.SWITCH
    name: Annotated[str | None, Field(min_length=1, max_length=200, pattern=r"\S")] = None
    parent: Annotated[str | None, Field(max_length=64)] = None
    department: Annotated[str | None, Field(max_length=64)] = None


class _Forest:
    """The graph as it stands, with what is down because of each node."""

    def __init__(self, connection: Connection) -> None:
        nodes, self.edges = store.load_causes(connection)
        self.graph = Graph(nodes, self.edges)
        self.suppressed = suppressed(connection)
        self.direct: dict[str, list[str]] = {}
        for camera, node in self.edges.items():
            self.direct.setdefault(node, []).append(camera)

    def node(self, key: str) -> Node:
        if key not in self.graph.nodes:
            raise NotFoundError(f"there is no node {key}")
        return self.graph.nodes[key]

    def shape(self, node: Node) -> CauseShape:
        return CauseShape(
            id=node.id,
            kind=node.kind,
            name=node.name,
            parent=node.parent,
            department=node.department,
            origin=node.origin,
            cameras=len(self.direct.get(node.id, ())),
            below=len(self.graph.cameras(node.id)),
            suppressed=self.suppressed.get(node.id, 0),
        )

    def detail(self, key: str) -> CauseDetail:
        return CauseDetail(
            **dict(self.shape(self.node(key))),
            camera_ids=tuple(sorted(self.direct.get(key, ()))),
            children=tuple(sorted(n.id for n in self.graph.nodes.values() if n.parent == key)),
        )


@router.get("", dependencies=[Reader])
async def listed(rooms: Rooms, origin: NodeOrigin | None = None) -> Causes:
    """All nodes: declared ones, recorders with several cameras, and what was learned from common falls."""

    def read(connection: Connection) -> tuple[CauseShape, ...]:
        forest = _Forest(connection)
        found = sorted(forest.graph.nodes.values(), key=lambda node: node.id)
        return tuple(forest.shape(node) for node in found if origin is None or node.origin is origin)

    return Causes(items=await rooms.database.aread(read))


@router.get("/{key}", dependencies=[Reader])
async def one(rooms: Rooms, key: NodeId) -> CauseDetail:
    """One node, with what hangs from it."""
    return await rooms.database.aread(lambda connection: _Forest(connection).detail(key))


@router.put("/{key}")
async def declare(rooms: Rooms, caller: ManagingCaller, key: NodeId, wanted: CauseChange) -> CauseDetail:
    """Declare a node, or change one: its parent, its owner, its cameras. A recorder of the registry
    (`device:<id>`) may be given a name and a parent too."""
    if key.startswith("learned-"):
        raise ConflictError(f"{key} was learned", mend=f"POST /api/v1/causes/{key}/acceptance")
    node = Node(
        id=key,
        kind=wanted.kind,
        name=wanted.name.strip(),
        parent=wanted.parent,
        department=wanted.department,
        origin=NodeOrigin.DEVICE if key.startswith(store.DEVICE) else NodeOrigin.DECLARED,
    )
    write = partial(_put, node=node, cameras=wanted.cameras, by=caller.name, now=rooms.clock())
    return await rooms.database.awrite(write)


@router.delete("/{key}", status_code=204)
async def remove(rooms: Rooms, caller: ManagingCaller, key: NodeId) -> None:
    """Take a declared node out; what hangs from it hangs from nothing then."""
    now = rooms.clock()

    def write(connection: Connection) -> None:
        _check_ours(connection, key)
        store.retire_node(connection, key, now=now)
        _note(connection, key, "removed", caller.name, now)

    await rooms.database.awrite(write)


@router.post("/{key}/acceptance")
async def accept(rooms: Rooms, caller: ManagingCaller, key: NodeId, wanted: Acceptance) -> CauseDetail | None:
    """Accept what was learned: it is declared from now on. Or reject it: it is not learned again (null)."""
    now = rooms.clock()

    def write(connection: Connection) -> CauseDetail | None:
        node = _Forest(connection).node(key)
        if node.origin is not NodeOrigin.LEARNED:
            raise ConflictError(f"{key} was not learned", mend="It is declared already")
        if not wanted.accept:
            store.retire_node(connection, key, now=now)
            _note(connection, key, "rejected", caller.name, now)
            return None
        accepted = Node(
            id=key,
            kind=wanted.kind,
            name=(wanted.name or node.name).strip(),
            parent=wanted.parent,
            department=wanted.department,
        )
        _check(connection, accepted)
        store.accept_node(connection, accepted, now=now)
        _note(connection, key, "accepted", caller.name, now)
        return _Forest(connection).detail(key)

    return await rooms.database.awrite(write)


def _put(
    connection: Connection, *, node: Node, cameras: tuple[str, ...] | None, by: str, now: Ms
) -> CauseDetail:
    _check_ours(connection, node.id)
    _check(connection, node)
    store.put_node(connection, node, cameras, now=now)
    _note(connection, node.id, "declared", by, now)
    return _Forest(connection).detail(node.id)


def _check_ours(connection: Connection, key: str) -> None:
    nodes, _ = store.load_causes(connection)
    if any(node.id == key and node.origin is NodeOrigin.CONFIG for node in nodes):
        raise ConflictError(
            f"{key} is declared in cameras.yaml, which would undo this at the next start",
            mend="Change it there, and restart",
        )


def _check(connection: Connection, node: Node) -> None:
    nodes, _ = store.load_causes(connection)
    if node.parent is not None and node.parent not in {one.id for one in nodes}:
        raise InvalidInputError(f"parent: there is no node {node.parent}", mend="Declare it first")
    if node.department is not None and node.department not in {d.id for d in list_departments(connection)}:
        raise InvalidInputError(f"department: there is no department {node.department}")


def _note(connection: Connection, key: str, what: str, by: str, now: Ms) -> None:
    record(connection, [Event(at=now, kind="cause_node", subject=key, message=f"{what} by {by}")])
