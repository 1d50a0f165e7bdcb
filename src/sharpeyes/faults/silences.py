"""Who may announce planned work: administrators on anything, others on what is their department's alone."""

from __future__ import annotations

from sqlalchemy import Connection

from sharpeyes.domain.access import Role, Subject
from sharpeyes.domain.errors import ForbiddenError
from sharpeyes.domain.faults import Scope, Silence
from sharpeyes.faults.causes import Graph
from sharpeyes.store import causes
from sharpeyes.store import faults as store


def check(connection: Connection, silence: Silence, by: Subject) -> None:
    """ForbiddenError if the silence would quiet alerts of others than the department of ``by``: a node or a
    zone is a department's if everything in it is."""
    if by.has(Role.ADMIN):
        return
    if silence.scope is None or silence.subject is None:
        raise ForbiddenError(
            "only administrators silence everything",
            mend="Name a camera, a node or a zone of your department",
        )
    if owners(connection, silence.scope, silence.subject) != {by.department}:
        raise ForbiddenError(
            f"{silence.scope} {silence.subject[:64]} is not of {by.department} alone",
            mend="Name what is of your department, or ask an administrator",
        )


def owners(connection: Connection, scope: Scope, subject: str) -> set[str]:
    """The departments whose alerts keep quiet with a camera, a node or a zone; none if nobody knows it."""
    match scope:
        case Scope.CAMERA:
            return store.departments_of(connection, cameras=[subject])
        case Scope.ZONE:
            return store.departments_of(connection, zone=subject)
        case Scope.NODE:
            graph = Graph(*causes.load_causes(connection))
            found = store.departments_of(connection, cameras=graph.cameras(subject))
            # Nodes below have alerts of their own.
            below = [n for n in graph.nodes.values() if subject in (n.id, *graph.ancestors(n.id))]
            return found | {node.department for node in below if node.department is not None}
