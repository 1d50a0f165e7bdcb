"""What ``configs/cameras.yaml`` says around cameras: outlines of areas, what they hang from, dossiers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sharpeyes.config.document import Listing, Node, Section, Wrong, identifier, listing, meant, text, word
from sharpeyes.domain.access import Place, forbids
from sharpeyes.domain.dossier import FIELDS, Dossier, place_of, read
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Node as CauseNode
from sharpeyes.domain.faults import NodeKind, NodeOrigin
from sharpeyes.registry.boundary import outline, ring
from sharpeyes.registry.declared import DeclaredNode

MAX_BOUNDARY_BYTES = 4 * 1024 * 1024
NO_CAMERAS: tuple[str, ...] = ()
LAWFUL = "A camera there cannot be registered (Order 799, article 8)"


# --- boundaries -----------------------------------------------------------------------------------------


def boundary(node: Node, folder: Path) -> Mapping[str, Any]:
    """A GeoJSON geometry: of a file, or of one ring written out as ``[[longitude, latitude], ...]``."""
    if isinstance(node, Listing):
        pairs = [pair.items for pair in node.items if isinstance(pair, Listing)]
        if len(pairs) != len(node.items):
            raise Wrong("a ring is a list of pairs", "Write [[120.1, 30.2], ...]")
        try:
            points = [[_degree(text(one)) for one in pair] for pair in pairs]
            return {"type": "Polygon", "coordinates": [ring(points)]}
        except InvalidInputError as error:
            raise Wrong(error.message, error.mend) from None
    return _of_file(folder / text(node))


def _of_file(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BOUNDARY_BYTES + 1)
    except OSError as error:
        raise Wrong(f"{path} cannot be read ({error.strerror})", "Check the path and its rights") from None
    if len(data) > MAX_BOUNDARY_BYTES:
        raise Wrong(f"{path} is larger than {MAX_BOUNDARY_BYTES >> 20} MiB", "Simplify its lines")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Wrong(f"{path} is not JSON", "Save it as GeoJSON in UTF-8") from None
    try:
        return outline(document)
    except InvalidInputError as error:
        raise Wrong(f"{path}: {error.message}", error.mend) from None


def _degree(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise Wrong(f"'{value[:20]}' is not a number of degrees", "Write for example 120.21") from None


# --- what cameras hang from -----------------------------------------------------------------------------


def read_nodes(
    section: Section | None, names: Mapping[str, set[str]], cameras: set[str]
) -> list[DeclaredNode]:
    """``names``: what the file declares (department); ``cameras``: ids of the cameras in it."""
    if section is None:
        return []
    sections = section.sections()
    known = {key for key, _ in sections}
    found = []
    parents: dict[str, str | None] = {}
    for key, one in sections:
        try:
            identifier(key)
        except Wrong as wrong:
            one.error(one.line, f"{one.path}: {wrong.message}", wrong.mend)
        kind = one.need("kind", word(NodeKind), f"Write one of {', '.join(NodeKind)}")
        parent = one.get("parent", lambda node: _one_of(text(node), known, "node"), None)
        department = one.get(
            "department", lambda node: _one_of(text(node), names["department"], "department"), None
        )
        hung = one.get("cameras", listing(text), NO_CAMERAS)
        for camera in hung:
            if camera not in cameras:
                one.document.warn(
                    one.line_of("cameras"),
                    f"{one.path}: camera '{camera}' is not declared in this file",
                    "Right if it was found or imported; else check its id",
                )
        name = one.get("name", text, key)
        one.close()
        parents[key] = parent
        if kind is not None:
            node = CauseNode(
                id=key,
                kind=NodeKind(kind),
                name=name,
                parent=parent,
                department=department,
                origin=NodeOrigin.CONFIG,
            )
            found.append(DeclaredNode(node=node, cameras=hung))
    for key, one in sections:
        above, seen = parents.get(key), {key}
        while above is not None and above not in seen:
            seen.add(above)
            above = parents.get(above)
        if above == key:
            one.error(one.line_of("parent"), f"{one.path}: it hangs from itself", "Remove one of the parents")
    return found


def _one_of(name: str, known: set[str], what: str) -> str:
    if name not in known:
        raise Wrong(f"there is no {what} '{name}'", meant(name, known))
    return name


# --- dossiers -------------------------------------------------------------------------------------------


def lawful_place(node: Node) -> Place:
    """A kind of place at which a camera may stand."""
    value = text(node)
    if value not in {place.value for place in Place}:
        raise Wrong(f"'{value}' is not a kind of place", meant(value, [place.value for place in Place]))
    if (refusal := forbids(Place(value))) is not None:
        raise Wrong(refusal.message, LAWFUL)
    return Place(value)


def read_dossier(section: Section | None) -> Dossier | None:
    """What the file says of a camera's dossier: the columns by their English names."""
    if section is None:
        return None
    values: dict[str, Any] = {}
    for name in FIELDS:

        def reader(node: Node, name: str = name) -> Any:
            try:
                return read(name, text(node))
            except InvalidInputError as error:
                raise Wrong(error.message, error.mend) from None

        value = section.get(name, reader, None)
        if name == "place_type" and (refusal := forbids(place_of(value))) is not None:
            section.error(section.line_of(name), f"{section.where(name)}: {refusal.message}", LAWFUL)
        if value is not None:
            values[name] = value
    section.close()
    return Dossier(**values)
