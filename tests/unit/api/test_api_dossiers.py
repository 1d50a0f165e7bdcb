"""The registry over HTTP: dossiers and their files, the light table, edits of many, the graph of causes."""

from __future__ import annotations

import gzip
import json
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_client import CITY, Client, client_of, until_probed
from api_people import PASSWORD, staff_of
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.faults import Node, NodeKind, NodeOrigin
from sharpeyes.domain.time import Ms
from sharpeyes.registry.imports import Step
from sharpeyes.registry.sheet import read_table, write_csv
from sharpeyes.store.causes import put_node

CODE = "44030500001321000077"
HEAD = [
    "设备编码",
    "名称",
    "行政区域",
    "点位类型",
    "经度",
    "纬度",
    "位置类型",
    "管理单位",
    "联系方式",
    "主码流",
]
ROW = [CODE, "新路口", "440305", "1", "113.9", "22.5", "路口", "Public Security", "13800000000", ""]
STREAM = "rtsp://127.0.0.1:1/new"


def file(*rows: list[str]) -> bytes:
    return write_csv([HEAD, *rows])


async def take(client: Client, data: bytes, how: dict[str, Any] | None = None) -> httpx.Response:
    up = await client.post("/api/v1/imports?name=a.csv", content=data)
    assert up.status_code == 201, up.text
    path = f"/api/v1/imports/{up.json()['id']}"
    preview = await client.post(f"{path}/preview", json=how or {})
    assert preview.status_code == 200, preview.text
    return await client.post(f"{path}/apply", json={"digest": preview.json()["digest"]})


class TestImport:
    async def test_upload_preview_apply(self, client: Client) -> None:
        refused = [*ROW[:6], "公共厕所", *ROW[7:]]
        up = (await client.post("/api/v1/imports?name=a.csv", content=file(ROW, refused))).json()
        assert (up["form"], up["rows"]) == ("csv", 2)
        assert up["columns"][2] == {"heading": "行政区域", "field": "region", "sample": ["440305", "440305"]}
        path = f"/api/v1/imports/{up['id']}"
        early = await client.post(f"{path}/apply", json={"digest": "0" * 64})
        assert (early.status_code, early.json()["detail"]) == (409, "this file was not previewed")
        preview = (await client.post(f"{path}/preview", json={})).json()
        assert preview["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "rejected": 1, "warnings": 1}
        rejected = next(row for row in preview["rows"] if row["outcome"] == "rejected")
        assert (rejected["row"], rejected["problems"][0]["column"]) == (3, "位置类型")
        assert "law" in rejected["problems"][0]["message"]
        whole = await client.post(f"{path}/apply", json={"digest": preview["digest"]})
        assert whole.status_code == 409
        done = await client.post(f"{path}/apply", json={"digest": preview["digest"], "partial": True})
        assert done.json()["counts"]["new"] == 1
        gone = await client.post(f"{path}/apply", json={"digest": preview["digest"]})
        assert gone.status_code == 404
        camera = (await client.get(f"/api/v1/cameras/cam-{CODE}")).json()
        assert (camera["origin"], camera["streams"]) == ("imported", [])
        assert (camera["standing"]["state"], camera["standing"]["cause"]) == ("unknown", "no_stream")

    async def test_how_far_it_is_is_told_to_whoever_began_it(self, client: Client) -> None:
        where = "/api/v1/imports/progress"
        idle = {"step": None, "done": 0, "of": None}
        assert (await client.get(where)).json() == idle
        async with staff_of(client, ("feng", "zhou")) as staff:
            uploads = staff.transport.app.state.context.uploads
            with uploads.working(staff.id("feng")) as told:
                told(Step.CHECKED, 300, 1200)
                working = {"step": "checked", "done": 300, "of": 1200}
                assert (await staff["feng"].get(where)).json() == working
                assert (await client.get(where)).json() == idle  # another's is not theirs
                assert (await staff["zhou"].get(where)).status_code == 403
                with uploads.working(staff.id("feng")) as later:
                    later(Step.READ, 100, None)
                    told(Step.CHECKED, 400, 1200)  # of what nobody waits for any more
                    assert (await staff["feng"].get(where)).json()["step"] == "read"
            assert (await staff["feng"].get(where)).json() == idle
        await take(client, file(ROW))
        assert (await client.get(where)).json() == idle

    async def test_one_is_written_at_a_time_and_others_learn_whose(self, client: Client) -> None:
        async with staff_of(client, ["feng"]) as staff:
            uploads = staff.transport.app.state.context.uploads
            with uploads.writing(uploads.add("ada", "b.csv", b"", Ms(0)), Ms(1_000)):
                refused = await take(staff["feng"], file(ROW))
            assert refused.status_code == 409
            said = "another import is under way since 1970-01-01T00:00:01.000Z: imported from b.csv by ada"
            assert refused.json()["detail"] == said
            assert (await take(staff["feng"], file(ROW))).status_code == 200

    async def test_a_stream_given_later_is_watched(self, client: Client) -> None:
        await take(client, file(ROW))
        assert (await take(client, file([*ROW[:-1], STREAM]))).json()["counts"]["changed"] == 1
        await until_probed(client)
        camera = (await client.get(f"/api/v1/cameras/cam-{CODE}")).json()
        assert camera["last_probe"]["error"]["kind"] == "refused"
        assert camera["standing"]["cause"] != "no_stream"

    async def test_pages_of_a_preview(self, client: Client) -> None:
        rows = [[CODE[:-2] + f"{n:02}", *ROW[1:]] for n in range(5)]
        up = (await client.post("/api/v1/imports", content=file(*rows))).json()
        path = f"/api/v1/imports/{up['id']}/preview"
        first = (await client.post(f"{path}?limit=3", json={})).json()
        assert ([row["row"] for row in first["rows"]], first["next"]) == ([2, 3, 4], 4)
        rest = (await client.post(f"{path}?limit=3&after=4", json={})).json()
        assert ([row["row"] for row in rest["rows"]], rest["next"]) == ([5, 6], None)

    @pytest.mark.parametrize(
        ("data", "status", "message"),
        [(b"", 422, "the body is empty"), (b"PK\x03\x04", 422, "not a whole XLSX"), (b"\xff", 422, "text")],
    )
    async def test_bad_files(self, client: Client, data: bytes, status: int, message: str) -> None:
        answer = await client.post("/api/v1/imports", content=data)
        assert (answer.status_code, message in answer.json()["detail"]) == (status, True)

    async def test_a_file_that_is_too_large_is_not_read_on(self, client: Client) -> None:
        answer = await client.post("/api/v1/imports", content=b"x" * (16 * 1024 * 1024 + 1))
        assert "larger than 16 MiB" in answer.json()["detail"]

    async def test_maps_of_sources(self, client: Client) -> None:
        how = {"codes": {"networked": {"0": "已联网", "1": "未联网"}}, "keys": ["ipv4"]}
        assert (await client.put("/api/v1/import-maps/市局", json=how)).status_code == 200
        (saved,) = (await client.get("/api/v1/import-maps")).json()
        assert (saved["name"], saved["map"]["keys"]) == ("市局", ["ipv4"])
        wrong = await client.put("/api/v1/import-maps/x", json={"keys": ["code"]})
        assert (wrong.status_code, "map.keys" in wrong.json()["detail"]) == (422, True)
        assert (await client.delete("/api/v1/import-maps/市局")).status_code == 204
        assert (await client.delete("/api/v1/import-maps/市局")).status_code == 404


class TestDossier:
    async def test_one_dossier_and_its_cells(self, client: Client) -> None:
        await take(client, file(ROW))
        path = f"/api/v1/cameras/cam-{CODE}/dossier"
        found = (await client.get(path)).json()
        cells = {cell["field"]: cell for cell in found["cells"]}
        assert len(cells) == 30
        assert (cells["longitude"]["value"], cells["longitude"]["stated"]) == ("113.9", True)
        assert "address" in found["completeness"]["missing"]
        assert found["completeness"]["duties"] == ["filing_number", "filing_date", "sign"]
        change = {"cells": {"address": "深南大道", "filing_date": "2026年3月1日", "alias": None}}
        changed = (await client.patch(path, json=change)).json()
        values = {cell["field"]: cell["value"] for cell in changed["cells"]}
        assert (values["address"], values["filing_date"]) == ("深南大道", "2026-03-01")
        for cells_, message in (
            ({"place_type": "更衣室"}, "law allows no camera"),
            ({"name": "x"}, "name: is not a cell"),
            ({"mac": "x"}, "mac: 'x' is not a MAC"),
            ({"status": "拆除"}, "dismantled"),
        ):
            refused = await client.patch(path, json={"cells": cells_})
            assert (refused.status_code, message in refused.json()["detail"]) == (422, True), refused.text

    async def test_telephones_are_for_who_mends_cameras(self, client: Client) -> None:
        await take(client, file(ROW))
        async with staff_of(client, ("zhou", "ma")) as staff:
            path = f"/api/v1/cameras/cam-{CODE}/dossier"
            for name, shown in (("zhou", ""), ("ma", "13800000000")):
                cells = {c["field"]: c for c in (await staff[name].get(path)).json()["cells"]}
                assert (cells["contact"]["value"], cells["contact"]["hidden"]) == (shown, shown == "")
            assert (await staff["zhou"].get("/api/v1/dossiers/export")).status_code == 403

    async def test_completeness_and_export(self, client: Client) -> None:
        await take(client, file(ROW))
        items = (await client.get("/api/v1/dossiers/completeness?by=area")).json()["items"]
        assert {item["key"]: item["cameras"] for item in items} == {"north": 3, "south": 1}
        for form in ("csv", "xlsx"):
            answer = await client.get(f"/api/v1/dossiers/export?format={form}&area=north")
            rows = read_table(answer.content).rows
            assert (len(rows), len(rows[0][1])) == (4, 30)
        columns = (await client.get("/api/v1/dossiers/columns")).json()
        assert [c["heading"] for c in columns[:2]] == ["设备编码", "名称"]
        assert columns[-1]["duty"]


class TestTableAndMap:
    async def test_the_table_is_packed_and_says_what_the_list_says(self, client: Client) -> None:
        await until_probed(client)
        answer = await client.get("/api/v1/cameras/table", headers={"Accept-Encoding": "gzip"})
        table = answer.json()
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        listed = (await client.get("/api/v1/cameras")).json()["items"]
        assert [row["id"] for row in rows] == [camera["id"] for camera in listed]
        for row, camera in zip(rows, listed, strict=True):
            assert row["state"] == camera["standing"]["state"]
            assert {k: row[k] for k in ("name", "code", "tier", "department", "area", "zone")} == {
                k: camera[k] for k in ("name", "code", "tier", "department", "area", "zone")
            }
        assert rows[2]["maintenance"] == 1

    async def test_packing_is_asked_for(self, client: Client) -> None:
        rows = [[CODE[:-2] + f"{n:02}", *ROW[1:]] for n in range(20)]
        await take(client, file(*rows))
        async with client.stream("GET", "/api/v1/cameras/table", headers={"Accept-Encoding": "gzip"}) as raw:
            packed = b"".join([chunk async for chunk in raw.aiter_raw()])
            assert raw.headers["content-encoding"] == "gzip"
        plain = await client.get("/api/v1/cameras/table", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert json.loads(gzip.decompress(packed)) == plain.json()

    async def test_near_a_point(self, client: Client) -> None:
        await take(client, file(ROW, [CODE[:-1] + "8", "远", *ROW[2:4], "113.91", *ROW[5:]]))
        near = (await client.get("/api/v1/cameras/near?latitude=22.5&longitude=113.8999&radius=2000")).json()
        assert [item["name"] for item in near["items"]] == ["新路口", "远"]
        assert near["items"][0]["metres"] == pytest.approx(10.3, abs=0.2)
        assert near["items"][1]["metres"] == pytest.approx(1037.5, abs=5)
        none = await client.get("/api/v1/cameras/near?latitude=22.5&longitude=113.8999&radius=5")
        assert none.json()["items"] == []
        wrong = await client.get("/api/v1/cameras/near?latitude=91&longitude=0")
        assert wrong.status_code == 422

    async def test_boundaries_and_blind_areas(self, tmp_path: Path) -> None:
        outline = {"type": "Polygon", "coordinates": [[[1, 2], [3, 2], [3, 4]]]}
        (tmp_path / "north.geojson").write_text(json.dumps({"type": "Feature", "geometry": outline}))
        city = CITY.replace('code: "440305"}', 'code: "440305", boundary: north.geojson}')
        (tmp_path / "cameras.yaml").write_text(textwrap.dedent(city), encoding="utf-8")
        async with client_of(tmp_path) as client:
            (feature,) = (await client.get("/api/v1/areas/boundaries")).json()["features"]
            assert (feature["id"], feature["properties"]) == ("north", {"name": "North", "parent": "city"})
            assert len(feature["geometry"]["coordinates"][0]) == 4, "closed"
            cover = (await client.get("/api/v1/areas/cover")).json()["items"]
            assert {item["area"]: item["cameras"] for item in cover} == {"city": 3, "north": 2, "south": 1}
            assert all(item["blind"] for item in cover)
            assert (await client.get("/api/v1/areas/cover?blind=false")).json()["items"] == []


class TestEdit:
    async def test_many_at_once(self, client: Client) -> None:
        await take(client, file(ROW))
        key = f"cam-{CODE}"
        body = {
            "cameras": [key, "gate-1", "nobody"],
            "set": {"department": "edu", "area": "south", "add_tags": ["学校"], "maintenance": True},
        }
        dry = (await client.post("/api/v1/cameras/edit", json=body)).json()
        assert (dry["dry_run"], dry["changed"], dry["refused_count"]) == (True, 1, 2)
        assert {one["camera"] for one in dry["refused"]} == {"gate-1", "nobody"}
        assert (await client.get(f"/api/v1/cameras/{key}")).json()["department"] == "psb"
        done = (await client.post("/api/v1/cameras/edit", json=body | {"dry_run": False})).json()
        assert done["fields"] == {"department": 1, "area": 1, "maintenance": 1, "tags": 1}
        camera = (await client.get(f"/api/v1/cameras/{key}")).json()
        assert (camera["department"], camera["tags"], camera["standing"]["state"]) == (
            "edu",
            ["学校"],
            "maintenance",
        )
        events = (await client.get(f"/api/v1/events?subject={key}&kind=camera_changed")).json()["items"]
        assert events[0]["message"].startswith("edited by token:")
        again = (await client.post("/api/v1/cameras/edit", json=body | {"dry_run": False})).json()
        assert (again["changed"], again["unchanged"]) == (0, 1)

    async def test_what_cannot_be_set(self, client: Client) -> None:
        for values, message in (
            ({}, "nothing to set"),
            ({"department": "nobody"}, "no department nobody"),
            ({"area": "moon"}, "no area moon"),
        ):
            answer = await client.post("/api/v1/cameras/edit", json={"cameras": ["gate-1"], "set": values})
            assert (answer.status_code, message in answer.json()["detail"]) == (422, True)

    async def test_activation_without_filing_is_warned_of_and_article_8_refused(self, client: Client) -> None:
        await take(client, file(ROW))
        key = f"cam-{CODE}"
        assert (await client.patch(f"/api/v1/cameras/{key}", json={"maintenance": True})).status_code == 200
        answer = await client.patch(f"/api/v1/cameras/{key}", json={"maintenance": False, "liveness_s": 9})
        assert "Order 799" in answer.json()["warnings"][0]
        async with staff_of(client, ("feng",)) as staff:
            put = await staff["feng"].put(f"/api/v1/cameras/{key}/place", json={"place": "bath"})
            assert put.status_code in (200, 204), put.text
        await client.patch(f"/api/v1/cameras/{key}", json={"maintenance": True})
        refused = await client.patch(f"/api/v1/cameras/{key}", json={"maintenance": False})
        assert (refused.status_code, "law" in refused.json()["detail"]) == (409, True)


class TestSavedViews:
    async def test_each_has_their_own(self, client: Client) -> None:
        async with staff_of(client, ("zhou", "ma")) as staff:
            view = {"page": "cameras", "name": "离线", "query": "state=offline&area=north"}
            made = await staff["zhou"].post("/api/v1/saved-views", json=view)
            assert made.status_code == 201
            assert (await staff["zhou"].post("/api/v1/saved-views", json=view)).status_code == 409
            assert [v["name"] for v in (await staff["zhou"].get("/api/v1/saved-views")).json()] == ["离线"]
            assert (await staff["ma"].get("/api/v1/saved-views")).json() == []
            path = f"/api/v1/saved-views/{made.json()['id']}"
            assert (await staff["ma"].delete(path)).status_code == 404
            assert (await staff["zhou"].delete(path)).status_code == 204
        bad = await client.post("/api/v1/saved-views", json=view)
        assert bad.status_code == 403, "a machine has no views"


class TestCauses:
    async def test_declared_changed_and_removed(self, client: Client) -> None:
        site = {"kind": "site", "name": "机房"}
        assert (await client.put("/api/v1/causes/site", json=site)).status_code == 200
        switch = {"kind": "switch", "name": "交换机", "parent": "site", "cameras": ["gate-1", "gate-2"]}
        made = (await client.put("/api/v1/causes/sw", json=switch)).json()
        assert (made["camera_ids"], made["origin"]) == (["gate-1", "gate-2"], "declared")
        above = (await client.get("/api/v1/causes/site")).json()
        assert (above["children"], above["cameras"], above["below"]) == (["sw"], 0, 2)
        for key, body, status in (
            ("site", site | {"parent": "sw"}, 422),
            ("sw", switch | {"parent": "nothing"}, 422),
            ("sw", switch | {"cameras": ["nobody"]}, 404),
            ("sw", switch | {"department": "nobody"}, 422),
            ("learned-1", switch, 409),
        ):
            assert (await client.put(f"/api/v1/causes/{key}", json=body)).status_code == status
        assert (await client.delete("/api/v1/causes/sw")).status_code == 204
        assert [one["id"] for one in (await client.get("/api/v1/causes")).json()["items"]] == ["site"]

    async def test_what_was_learned_is_accepted_or_rejected(self, client: Client) -> None:
        def learn(key: str, *cameras: str) -> None:
            node = Node(id=key, kind=NodeKind.LINK, name=key, origin=NodeOrigin.LEARNED)
            client.service.database.write(lambda c: put_node(c, node, cameras, now=Ms(1)))

        learn("learned-a", "gate-1", "gate-2")
        learn("learned-b", "school-1")
        accept = {"accept": True, "kind": "switch", "name": "路口交换机"}
        taken = (await client.post("/api/v1/causes/learned-a/acceptance", json=accept)).json()
        assert (taken["origin"], taken["camera_ids"]) == ("declared", ["gate-1", "gate-2"])
        assert (await client.post("/api/v1/causes/learned-a/acceptance", json=accept)).status_code == 409
        rejected = await client.post("/api/v1/causes/learned-b/acceptance", json={"accept": False})
        assert rejected.json() is None
        assert [one["id"] for one in (await client.get("/api/v1/causes")).json()["items"]] == ["learned-a"]


class TestShifts:
    async def test_duty_from_taking_over_to_signing(self, client: Client) -> None:
        async with staff_of(client, ("zhou", "wu", "wang", "feng")) as staff:
            people = client.service.access.people  # type: ignore[union-attr]
            zhou, shifts = staff["zhou"], "/api/v1/shifts"
            mate = await people.add(
                None,
                username="zheng",
                name="Zheng",
                department="psb",
                roles={Role.OPERATOR},
                password=Secret(PASSWORD),
            )
            zheng = await staff.browser()
            await zheng.log_in("zheng")
            assert (await staff["wang"].post(shifts, json={})).status_code == 403
            assert (await zhou.get(f"{shifts}/current")).status_code == 404
            shift = (await zhou.post(shifts, json={})).json()
            assert (await zheng.post(shifts, json={})).status_code == 409
            path = f"{shifts}/{shift['id']}"
            noted = await zhou.post(f"{path}/notes", json={"text": "一号门在修"})
            assert [note["text"] for note in noted.json()["notes"]] == ["一号门在修"]
            assert mate.id in (await zheng.post(f"{path}/join")).json()["operators"]
            ended = (await zhou.post(f"{path}/handover")).json()
            assert ended["summary"]["tickets"]["raised"] == 0
            assert (await zhou.post(f"{path}/sign-off", json={})).status_code == 403, "not the same person"
            signed = (await zheng.post(f"{path}/sign-off", json={"remark": "ok"})).json()
            assert (signed["signed_by"], signed["remark"]) == (mate.id, "ok")
            assert (await zhou.post(f"{path}/notes", json={"text": "x"})).status_code == 409
            now = (await zheng.get(f"{shifts}/current")).json()
            assert (now["start"], now["operators"]) == (ended["end"], [mate.id])
            page = (await staff["wu"].get(shifts)).json()
            assert [item["id"] for item in page["items"]] == [now["id"], shift["id"]]
            assert (await staff["wang"].get(path)).status_code == 403
