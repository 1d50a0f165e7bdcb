"""What cameras hang from: recorders, switches, links; declared, told by devices, learnt from falls together.

All functions take a connection within a transaction (see :class:`sharpeyes.store.database.Database`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.domain.faults import Node, NodeKind, NodeOrigin
from sharpeyes.domain.time import Ms
from sharpeyes.store.faults import in_service
from sharpeyes.store.faults_schema import cause_edge, cause_episode, cause_node
from sharpeyes.store.schema import camera, chunks, device

DEVICE = "device:"
"""Prefix of the node that a device with several cameras is."""


def causes_stamp(connection: Connection) -> tuple[object, ...]:
    """Changes whenever :func:`load_causes` would answer something else."""
    return tuple(
        value
        for table in (camera, cause_node, cause_edge)
        for value in connection.execute(select(func.count(), func.max(table.c.changed_ms))).one()
    )


def load_causes(connection: Connection) -> tuple[list[Node], dict[str, str]]:
    """All nodes, and for each camera in service the node that it hangs from.

    A device with two cameras or more is a node of its own. A declared edge goes before the device, the device
    before what was learned.
    """
    declared = connection.execute(select(cause_node).where(cause_node.c.retired_ms.is_(None)))
    nodes = {row.id: _node(row) for row in declared}
    in_service = camera.c.retired_ms.is_(None)
    many = (
        select(camera.c.device)
        .where(in_service, camera.c.device.is_not(None))
        .group_by(camera.c.device)
        .having(func.count() > 1)
        .scalar_subquery()
    )
    recorders = select(device.c.id, device.c.manufacturer, device.c.model)
    for row in connection.execute(recorders.where(device.c.id.in_(many))):
        number = DEVICE + row.id
        if number not in nodes:
            # Not by its address: whoever reads a ticket reads the name.
            words = [word for word in (row.manufacturer, row.model, row.id) if word]
            nodes[number] = Node(id=number, kind=NodeKind.NVR, name=" ".join(words), origin=NodeOrigin.DEVICE)
    edges: dict[str, tuple[int, str]] = {}
    ranks = {NodeOrigin.DECLARED.value: 0, NodeOrigin.LEARNED.value: 2}
    pairs = (
        select(cause_edge.c.camera_id, cause_edge.c.node, cause_edge.c.origin)
        .join(camera, camera.c.id == cause_edge.c.camera_id)
        .where(in_service)
    )
    offers = [(row.camera_id, ranks[row.origin], row.node) for row in connection.execute(pairs)]
    hung = select(camera.c.id, camera.c.device).where(in_service, camera.c.device.is_not(None))
    offers += [(row.id, 1, DEVICE + row.device) for row in connection.execute(hung)]
    for camera_id, rank, node in offers:
        if node in nodes and rank < edges.get(camera_id, (9, ""))[0]:
            edges[camera_id] = (rank, node)
    return list(nodes.values()), {camera_id: node for camera_id, (_, node) in edges.items()}


def put_node(connection: Connection, node: Node, cameras: Collection[str] | None = None, *, now: Ms) -> None:
    """Declare or change a node; ``cameras``, if given, are exactly those that hang directly from it.

    A node of a device (``device:<id>``) may be put too, to give it a parent, a name or an owner. Raises
    InvalidInputError if the node would hang from itself, NotFoundError if a camera is not in the registry.
    """
    parents: dict[str, str | None] = {
        row.id: row.parent for row in connection.execute(select(cause_node.c.id, cause_node.c.parent))
    }
    above, seen = node.parent, {node.id}
    while above is not None:
        if above in seen:
            raise InvalidInputError(f"parent: {node.id} would hang from itself")
        seen.add(above)
        above = parents.get(above)
    if cameras and (strangers := set(cameras) - in_service(connection, cameras)):
        raise NotFoundError(f"there is no camera {min(strangers)}")
    row = {
        "id": node.id,
        "kind": node.kind.value,
        "name": node.name,
        "parent": node.parent,
        "department": node.department,
        "origin": node.origin.value,
        "changed_ms": now,
        "retired_ms": None,
    }
    found = connection.execute(update(cause_node).where(cause_node.c.id == node.id).values(row))
    if not found.rowcount:
        connection.execute(insert(cause_node).values(row))
    if cameras is not None:
        origin = NodeOrigin.LEARNED if node.origin is NodeOrigin.LEARNED else NodeOrigin.DECLARED
        edge = cause_edge.c
        connection.execute(cause_edge.delete().where(edge.node == node.id, edge.origin == origin.value))
        for some in chunks(sorted(cameras)):
            connection.execute(
                cause_edge.delete().where(edge.camera_id.in_(some), edge.origin == origin.value)
            )
            connection.execute(
                insert(cause_edge),
                [{"camera_id": c, "origin": origin.value, "node": node.id, "changed_ms": now} for c in some],
            )


def retire_node(connection: Connection, node_id: str, *, now: Ms) -> None:
    """Take a node out of the graph; one that was learned is not learned again.

    Raises NotFoundError if there is none.
    """
    found = connection.execute(
        update(cause_node)
        .where(cause_node.c.id == node_id, cause_node.c.retired_ms.is_(None))
        .values(retired_ms=now, changed_ms=now)
    )
    if not found.rowcount:
        raise NotFoundError(f"there is no node {node_id}")


def accept_node(connection: Connection, node: Node, *, now: Ms) -> None:
    """What was learned is declared from now on, with the cameras that it was learned from.

    Raises NotFoundError if nothing of this id was learned.
    """
    edge = cause_edge.c
    learned = (edge.node == node.id, edge.origin == NodeOrigin.LEARNED.value)
    cameras = set(connection.scalars(select(edge.camera_id).where(*learned)))
    if not cameras:
        raise NotFoundError(f"nothing was learned of a node {node.id}")
    connection.execute(cause_edge.delete().where(*learned))
    put_node(connection, node, in_service(connection, cameras), now=now)


def sync_nodes(
    connection: Connection, declared: Sequence[tuple[Node, Collection[str]]], *, now: Ms
) -> list[tuple[str, str]]:
    """Make the nodes of the configuration these; a second time changes nothing.

    Answers what could not be done, as pairs (node, why): a camera that is not in the registry, a parent by
    which a node would hang from itself.
    """
    stored = {
        row.id: _node(row)
        for row in connection.execute(select(cause_node).where(cause_node.c.retired_ms.is_(None)))
    }
    hung: dict[str, set[str]] = {}
    edge = cause_edge.c
    for row in connection.execute(
        select(edge.node, edge.camera_id).where(edge.origin == NodeOrigin.DECLARED.value)
    ):
        hung.setdefault(row.node, set()).add(row.camera_id)
    wrong: list[tuple[str, str]] = []
    changed: list[tuple[Node, set[str]]] = []
    for node, cameras in declared:
        known = in_service(connection, cameras)
        wrong += [(node.id, f"there is no camera {key}") for key in sorted(set(cameras) - known)]
        if stored.get(node.id) != node or hung.get(node.id, set()) != known:
            changed.append((node, known))
    for node, known in changed:  # first without parents, so that two can change places
        put_node(connection, replace(node, parent=None), known, now=now)
    for node, _ in changed:
        try:
            put_node(connection, node, now=now)
        except InvalidInputError as error:
            wrong.append((node.id, error.message))
    names = {node.id for node, _ in declared}
    for key, node in stored.items():
        if node.origin is NodeOrigin.CONFIG and key not in names:
            retire_node(connection, key, now=now)
    return wrong


def known_nodes(connection: Connection) -> set[str]:
    """Ids of all nodes that are or were stored."""
    return set(connection.scalars(select(cause_node.c.id)))


EPISODES = 200
"""So many of a zone are remembered."""


def add_episode(connection: Connection, zone: str, at: Ms, cameras: Collection[str]) -> bool:
    """Remember that these fell together, and forget the oldest; False if it is known already."""
    episode = cause_episode.c
    known = select(episode.at_ms).where(episode.zone == zone, episode.at_ms == at)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(insert(cause_episode).values(zone=zone, at_ms=at, cameras=sorted(cameras)))
    oldest = connection.scalar(
        select(episode.at_ms)
        .where(episode.zone == zone)
        .order_by(episode.at_ms.desc())
        .offset(EPISODES - 1)
        .limit(1)
    )
    if oldest is not None:
        connection.execute(cause_episode.delete().where(episode.zone == zone, episode.at_ms < oldest))
    return True


def list_episodes(connection: Connection, zone: str) -> list[tuple[Ms, frozenset[str]]]:
    """The episodes of a zone, newest first."""
    query = (
        select(cause_episode.c.at_ms, cause_episode.c.cameras)
        .where(cause_episode.c.zone == zone)
        .order_by(cause_episode.c.at_ms.desc())
    )
    return [(row.at_ms, frozenset(row.cameras)) for row in connection.execute(query)]


def _node(row: Any) -> Node:
    return Node(
        id=row.id,
        kind=NodeKind(row.kind),
        name=row.name,
        parent=row.parent,
        department=row.department,
        origin=NodeOrigin(row.origin),
    )
