"""What cameras.yaml says around cameras: outlines, the graph of causes, dossiers, unlawful places."""

import json
import textwrap
from pathlib import Path

import pytest

from sharpeyes.config import Config, ConfigErrors, load
from sharpeyes.domain.faults import NodeKind, NodeOrigin

BASE = """
departments: {psb: {name: Police}}
areas:
  north: {name: North%(area)s}
cameras:
  - {id: gate, tier: community, department: psb, area: north, main: "rtsp://10.0.0.1/"%(camera)s}
%(more)s
"""


def read(folder: Path, *, area: str = "", camera: str = "", more: str = "") -> Config:
    file = folder / "cameras.yaml"
    file.write_text(BASE % {"area": area, "camera": camera, "more": textwrap.dedent(more)}, encoding="utf-8")
    return load(file, environ={})


def mistakes(folder: Path, **parts: str) -> list[str]:
    with pytest.raises(ConfigErrors) as wrong:
        read(folder, **parts)
    return [f"{error.line}: {error.message}. {error.mend}" for error in wrong.value.errors]


def test_an_outline_written_out(tmp_path: Path) -> None:
    config = read(tmp_path, area=", boundary: [[120.1, 30.2], [120.2, 30.2], [120.2, 30.3]]")
    ring = config.declared.boundaries["north"]["coordinates"][0]
    assert (len(ring), ring[0], ring[-1]) == (4, [120.1, 30.2], [120.1, 30.2])


@pytest.mark.parametrize("wrap", ["geometry", "feature", "collection"])
def test_an_outline_of_a_file(tmp_path: Path, wrap: str) -> None:
    square = [[[0, 0], [1, 0], [1, 1], [0, 0]]]
    geometry = {"type": "MultiPolygon", "coordinates": [square, square]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"secret": 1}}
    document = {
        "geometry": geometry,
        "feature": feature,
        "collection": {"type": "FeatureCollection", "features": [feature]},
    }[wrap]
    (tmp_path / "n.geojson").write_text(json.dumps(document))
    found = read(tmp_path, area=", boundary: n.geojson").declared.boundaries["north"]
    assert (found["type"], len(found["coordinates"])) == ("MultiPolygon", 2)
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"type": "Point", "coordinates": [1, 2]}', "holds no Polygon"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}', "three points"),
        ('{"type": "Polygon", "coordinates": [[[30, 120], [1, 2], [3, 4]]]}', "no place on Earth"),
        ('{"type": "Polygon", "coordinates": [[[NaN, 2], [1, 2], [3, 4]]]}', "no place on Earth"),
        ('{"type": "Polygon", "coordinates": 7}', "not well formed"),
        ('{"type": "Polygon", "coordinates": [[["a", 2]]]}', "a longitude and a latitude"),
    ],
)
def test_outlines_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "n.geojson").write_text(text)
    (said,) = mistakes(tmp_path, area=", boundary: n.geojson")
    assert said.startswith("4: areas.north.boundary: ")
    assert message in said


def test_no_such_file(tmp_path: Path) -> None:
    assert "cannot be read" in mistakes(tmp_path, area=", boundary: none.geojson")[0]


def test_the_graph_of_causes(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        more="""
        causes:
          room: {kind: site, name: 机房, department: psb}
          sw-1: {kind: switch, parent: room, cameras: [gate, cam-1]}
        """,
    )
    room, switch = config.declared.nodes
    assert (room.node.name, room.node.department, room.node.origin) == ("机房", "psb", NodeOrigin.CONFIG)
    assert (switch.node.kind, switch.node.parent, switch.cameras) == (
        NodeKind.SWITCH,
        "room",
        ("gate", "cam-1"),
    )
    (warning,) = config.warnings
    assert "'cam-1' is not declared" in warning.message


@pytest.mark.parametrize(
    ("causes", "message"),
    [
        ("a: {kind: router}", "'router' is not one of nvr, switch, link, site"),
        ("a: {kind: switch, parent: b}", "there is no node 'b'"),
        ("a: {kind: switch, parent: a}", "hangs from itself"),
        ("a: {kind: switch, department: x}", "there is no department 'x'"),
        ("a: {kind: switch, camera: [gate]}", "unknown key 'camera'. Did you mean 'cameras'?"),
        ("机: {kind: switch}", "cannot be an id"),
    ],
)
def test_mistakes_in_the_graph(tmp_path: Path, causes: str, message: str) -> None:
    assert message in mistakes(tmp_path, more=f"causes:\n  {causes}\n")[0]


def test_a_dossier(tmp_path: Path) -> None:
    config = read(tmp_path, camera=", dossier: {longitude: 120.2, latitude: 30.1, networked: 已联网}")
    dossier = config.declared.dossiers["gate"]
    assert (dossier.longitude, dossier.latitude, dossier.networked) == (120.2, 30.1, "connected")


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        (", place: changing_room", "camera gate.place: The law allows no camera"),
        (", place: changing_rom", "Did you mean 'changing_room'?"),
        (", dossier: {place_type: 公共厕所}", "camera gate.dossier.place_type: The law allows no camera"),
        (", dossier: {longitude: 200}", "camera gate.dossier.longitude: '200' is not in degrees"),
        (", dossier: {colour: red}", "unknown key 'colour'"),
    ],
)
def test_mistakes_about_a_camera(tmp_path: Path, camera: str, message: str) -> None:
    assert message in mistakes(tmp_path, camera=camera)[0]
