"""Dossier files: read in every form that they come in, planned, applied once, and written back the same."""

import asyncio
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from openpyxl import Workbook

from sharpeyes.domain.access import Place
from sharpeyes.domain.camera import Camera, Origin, Stream, StreamRole
from sharpeyes.domain.dossier import COLUMNS, EMPTY, MANDATORY, Dossier, harmless, place_of, plain, read
from sharpeyes.domain.errors import ConflictError, InvalidInputError
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms
from sharpeyes.registry import imports, registry, staged
from sharpeyes.registry.completeness import completeness, known, totals
from sharpeyes.registry.declared import Declared
from sharpeyes.registry.dossiers import sheets
from sharpeyes.registry.export import export
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import Outcome, Plan, Step
from sharpeyes.registry.sheet import read_table, write_csv, write_xlsx
from sharpeyes.store.cameras import get_camera, list_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.dossiers import edited, get_dossiers
from sharpeyes.store.events import list_events
from sharpeyes.store.vault import Vault

CODE, OTHER = "33010800001321000017", "33010800001321000018"
FULL = {
    "设备编码": CODE, "名称": "江汉路口", "厂商": "海康", "行政区域": "33010801", "点位类型": "1",
    "型号": "DS-2CD", "俗称": "", "IPv4": "10.1.2.3", "IPv6": "", "MAC": "AA-BB-CC-00-11-22",
    "摄像机类型": "枪机", "功能类型": "车辆", "补光": "红外", "编码格式": "H.265", "安装地址": "江汉路1号",
    "经度": "120.2", "纬度": "30.25", "位置类型": "路口", "监视方位": "北", "联网属性": "已联网",
    "所属辖区公安机关": "西兴派出所", "安装时间": "2024年3月5日", "管理单位": "公安",
    "联系方式": "13800000000",
    "录像保存天数": "30天", "设备状态": "在用", "所属部门/行业": "公安",
}  # fmt: skip
DECLARED_CAMERA = Camera(
    id="hand",
    name="手写",
    tier=Tier.COMMUNITY,
    department="police",
    area="xixing",
    zone="video",
    code=OTHER,
    streams=(Stream(role=StreamRole.MAIN, url="rtsp://10.9.9.9/1"),),
)
CITY = Declared(
    zones=(Zone(id="video", name="视频专网", network="1"),),
    departments=(Department(id="police", name="公安", industry="00"), Department(id="edu", name="教育局")),
    areas=(
        Area(id="binjiang", name="滨江区", code="330108"),
        Area(id="xixing", name="西兴街道", parent="binjiang", code="33010801"),
        Area(id="court", name="社区", parent="xixing"),
    ),
    cameras=(DECLARED_CAMERA,),
)


class World:
    """A registry on disk."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/a.db")
        self.database.upgrade()
        self.now = 1_000
        vault = Vault.at(folder / "key")
        self.database.write(lambda c: registry.apply_config(c, CITY, vault, now=Ms(self.now)))

    def plan(self, data: bytes, **how: object) -> Plan:
        table = read_table(data)
        return self.database.read(
            lambda c: imports.plan(table, ImportMap.of(how), imports.snapshot(c), now=Ms(self.now))
        )

    def apply(self, data: bytes, digest: str | None = None, partial: bool = False, **how: object) -> Plan:
        self.now += 1_000
        table = read_table(data)
        return asyncio.run(
            staged.take(
                self.database,
                table,
                ImportMap.of(how),
                digest=digest,
                partial=partial,
                source="a.csv",
                by="ada",
                clock=lambda: Ms(self.now),
            )
        )

    def camera(self, key: str) -> Camera:
        return self.database.read(lambda c: get_camera(c, key))

    def dossier(self, key: str) -> Dossier:
        return self.database.read(lambda c: get_dossiers(c, [key])).get(key, EMPTY)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


def sheet(*rows: dict[str, str], encoding: str = "utf-8") -> bytes:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    return write_csv([heads, *([row.get(head, "") for head in heads] for row in rows)], encoding=encoding)


def row(**changes: str) -> dict[str, str]:
    return FULL | changes


def problems(plan: Plan, *, fatal: bool = True) -> list[tuple[str, str]]:
    return [(p.field, p.message) for r in plan.rows for p in r.problems if p.fatal is fatal]


class TestValues:
    @pytest.mark.parametrize(
        ("field", "text", "value"),
        [
            ("mac", "AA-BB-CC-00-11-22", "aa:bb:cc:00:11:22"),
            ("installed", "2024/3/5", "2024-03-05"),
            ("installed", "20240305", "2024-03-05"),
            ("installed", "2024年3月5日", "2024-03-05"),
            ("longitude", "120.123456789", 120.1234568),
            ("retention_days", "90天", 90),
            ("point_type", "一类视频监控点", "1"),
            ("status", "维修", "2"),
            ("networked", "未联网", "disconnected"),
            ("ipv6", "2001:DB8::0:1", "2001:db8::1"),
        ],
    )
    def test_read(self, field: str, text: str, value: object) -> None:
        assert read(field, text) == value

    @pytest.mark.parametrize(
        ("field", "text", "message"),
        [
            ("code", "4.40305E+19", "lost its digits"),
            ("code", "330108", "20 digits"),
            ("networked", "1", "已联网 in some systems"),
            ("latitude", "91", "not in degrees"),
            ("longitude", "nan", "not in degrees"),
            ("installed", "2024-02-30", "not a date"),
            ("ipv4", "10.0.0.300", "not an address"),
            ("ipv4", "::1", "IPv6 address"),
            ("mac", "AA-BB", "not a MAC"),
            ("status", "7", "not a known code"),
            ("name", "a\u202eb", "visible characters"),
        ],
    )
    def test_refused(self, field: str, text: str, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message) as error:
            read(field, text)
        assert error.value.mend

    def test_a_code_map_says_which_is_which(self) -> None:
        assert read("networked", "0", {"0": "已联网", "1": "未联网"}) == "connected"
        assert read("networked", "1", {"0": "已联网", "1": "未联网"}) == "disconnected"

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("更衣室", Place.CHANGING_ROOM), ("女更衣室内", Place.CHANGING_ROOM),
            ("公共卫生间", Place.TOILET),
            ("宾馆客房", Place.HOTEL_ROOM), ("hotel_room", Place.HOTEL_ROOM), ("学生宿舍", Place.DORMITORY),
            ("更衣室门口", Place.OPEN), ("宿舍区", Place.OPEN), ("路口", Place.OPEN), ("", Place.OPEN),
        ],
    )  # fmt: skip
    def test_places_of_article_8(self, text: str, place: Place) -> None:
        assert place_of(text) is place

    @pytest.mark.parametrize("text", ["=1+1", "@x", "+86 571", "-x", "'=a", "''=", "'5", "-1.5", "12", "北"])
    def test_no_cell_is_a_formula_and_all_read_back(self, text: str) -> None:
        cell = harmless(text)
        assert plain(cell) == text
        assert cell[0] not in "=@+-" or cell == "-1.5"


class TestFiles:
    @pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
    def test_csv_in_both_encodings(self, world: World, encoding: str) -> None:
        plan = world.plan(sheet(row(), encoding=encoding))
        assert (plan.encoding, plan.counts[Outcome.NEW]) == (encoding, 1)

    def test_a_title_above_the_headings_and_marks_in_them(self, world: World) -> None:
        rows = [["一机一档登记表"], ["*设备编码（必填）", "名称 *", "部门", "区域", "视频层级"]]
        rows.append([CODE, "门", "police", "xixing", "community"])
        assert world.plan(write_csv(rows)).counts[Outcome.NEW] == 1

    def test_a_workbook(self, world: World) -> None:
        book = Workbook()
        assert book.active is not None
        book.active.append(list(FULL))
        book.active.append(list(FULL.values()))
        book.active.append([44030500001321000017.0, "数字"])  # as a spreadsheet stores it: digits are lost
        data = io.BytesIO()
        book.save(data)
        plan = world.plan(data.getvalue())
        assert plan.form == "xlsx"
        assert [r.outcome for r in plan.rows] == [Outcome.NEW, Outcome.REJECTED]
        assert "lost its digits" in plan.rows[1].problems[0].message

    def test_a_bomb_is_refused_before_it_is_unpacked(self) -> None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", b"0" * (130 * 1024 * 1024))
        assert len(data.getvalue()) < 1024 * 1024
        with pytest.raises(InvalidInputError, match="unpacks to more"):
            read_table(data.getvalue())

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"PK\x03\x04 nothing", "not a whole XLSX"),
            (b"\xd0\xcf\x11\xe0" + b"0" * 100, "old workbook"),
            (b"\x80\x80\x80\xff\xff", "is not utf-8 or gb18030 text"),
            (b"a\0b,c\n", "not text"),
            (b"a,b\n" + b"x," * 200, "more than 128 columns"),
            ((b"x\n" * 50_001), "more than 50,000 rows"),
        ],
    )
    def test_what_is_no_dossier_file(self, data: bytes, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            read_table(data)

    def test_headings_that_are_not_known_or_double(self, world: World) -> None:
        with pytest.raises(InvalidInputError, match="no row of headings"):
            world.plan(b"a,b\n1,2\n")
        with pytest.raises(InvalidInputError, match="both mean name"):
            world.plan("名称,设备名称,设备编码\nx,y,z\n".encode())
        plan = world.plan("名称,设备名称,设备编码\nx,y,z\n".encode(), columns={"设备名称": ""})
        assert plan.ignored == ("设备名称",)


class TestImport:
    def test_new_then_unchanged(self, world: World) -> None:
        data = sheet(row())
        first = world.plan(data)
        assert world.apply(data, first.digest).counts[Outcome.NEW] == 1
        camera = world.camera(f"cam-{CODE}")
        assert camera.origin is Origin.IMPORTED
        assert (camera.tier, camera.department, camera.area) == (Tier.PUBLIC_SECURITY, "police", "xixing")
        assert not camera.watched, "nobody said where its stream is"
        dossier = world.dossier(camera.id)
        assert (dossier.mac, dossier.installed, dossier.retention_days) == (
            "aa:bb:cc:00:11:22",
            "2024-03-05",
            30,
        )
        again = world.apply(data)
        assert again.counts == {**dict.fromkeys(Outcome, 0), Outcome.UNCHANGED: 1}
        assert not again.cameras

    def test_the_preview_is_what_is_applied(self, world: World) -> None:
        data = sheet(row())
        preview = world.plan(data)
        world.apply(data)
        with pytest.raises(ConflictError, match="changed since"):
            world.apply(data, preview.digest)

    def test_a_change_names_its_fields_and_empty_cells_keep(self, world: World) -> None:
        world.apply(sheet(row()))
        changed = row(名称="新名", 经度="", 安装地址="江汉路2号")
        plan = world.apply(sheet(changed))
        assert [(d.field, d.before, d.after) for d in plan.rows[0].changes] == [
            ("name", "江汉路口", "新名"),
            ("address", "江汉路1号", "江汉路2号"),
        ]
        assert world.dossier(f"cam-{CODE}").longitude == 120.2
        kinds = [e.kind for e in world.database.read(lambda c: list_events(c, subject=f"cam-{CODE}"))]
        assert {"camera_added", "camera_changed", "dossier_changed"} <= set(kinds)

    def test_telephones_are_not_in_the_journal(self, world: World) -> None:
        world.apply(sheet(row()))
        events = world.database.read(lambda c: list_events(c, subject=f"cam-{CODE}"))
        assert "13800000000" not in repr(events)

    def test_a_place_of_article_8_is_rejected_with_its_reason(self, world: World) -> None:
        plan = world.plan(sheet(row(位置类型="女更衣室")))
        assert plan.counts[Outcome.REJECTED] == 1
        assert problems(plan) == [
            ("place_type", "The law allows no camera in a place of this kind: changing_room")
        ]

    def test_nothing_is_imported_while_a_row_is_rejected(self, world: World) -> None:
        data = sheet(row(), row(设备编码=CODE[:-1] + "9", 联网属性="1"))
        with pytest.raises(ConflictError, match="1 rows are rejected"):
            world.apply(data)
        assert [c.id for c in world.database.read(list_cameras)] == ["hand"]
        assert world.apply(data, partial=True).counts[Outcome.NEW] == 1

    def test_the_same_camera_twice(self, world: World) -> None:
        plan = world.plan(sheet(row(), row()))
        assert problems(plan) == [("code", "row 2 is the same camera")]

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"管理单位": "没有", "所属部门/行业": ""}, "department", "whose camera"),
            ({"行政区域": "110101"}, "region", "no area has the code"),
            ({"点位类型": ""}, "point_type", "tier"),
            ({"名称": ""}, "name", "needs a name"),
            ({"设备编码": ""}, "code", "neither|no unified number"),
            ({"设备编码": "4711"}, "code", "has 20 digits"),  # and not that it is missing, too
            ({"主码流": "rtsp://user:pw@10.0.0.1/"}, "main", "holds a user name"),
            ({"部门": "交警"}, "department", "no department"),
        ],
    )
    def test_what_a_new_camera_needs(
        self, world: World, change: dict[str, str], field: str, message: str
    ) -> None:
        plan = world.plan(sheet(row(**change)))
        ((where, said),) = problems(plan)
        assert where == field
        assert re.search(message, said)
        assert "pw" not in repr(plan)

    def test_a_camera_of_the_file_gets_a_dossier_and_keeps_its_word(self, world: World) -> None:
        plan = world.apply(sheet(row(设备编码=OTHER, 设备状态="拆除")))
        assert plan.counts[Outcome.CHANGED] == 1
        assert world.camera("hand") == replace(DECLARED_CAMERA)
        assert world.dossier("hand").address == "江汉路1号"
        assert {name for name, _ in problems(plan, fatal=False)} >= {"name", "status"}

    def test_dismantled_is_retired_and_comes_back(self, world: World) -> None:
        world.apply(sheet(row()))
        world.apply(sheet(row(设备状态="3")))
        assert world.camera(f"cam-{CODE}").retired_ms is not None
        assert world.apply(sheet(row(设备状态="3"))).counts[Outcome.UNCHANGED] == 1
        world.apply(sheet(row(设备状态="2")))
        camera = world.camera(f"cam-{CODE}")
        assert (camera.retired_ms, camera.maintenance) == (None, True)
        world.apply(sheet(row(设备状态="1")))
        assert not world.camera(f"cam-{CODE}").maintenance

    def test_dismantled_and_unknown_is_left_out(self, world: World) -> None:
        assert world.apply(sheet(row(设备状态="3"))).counts[Outcome.UNCHANGED] == 1

    def test_keys_name_a_camera_without_a_number(self, world: World) -> None:
        data = sheet(row(设备编码=""))
        world.apply(data, keys=["ipv4"])
        camera = next(c for c in world.database.read(list_cameras) if c.id != "hand")
        assert camera.code is not None, "the registry numbers it"
        assert world.apply(data, keys=["ipv4"]).counts[Outcome.UNCHANGED] == 1
        plan = world.apply(sheet(row(设备编码=CODE)), keys=["ipv4"])
        assert world.camera(camera.id).code == CODE
        assert ("code", f"replaces the number {camera.code} given before") in problems(plan, fatal=False)

    def test_an_address_finds_a_camera_by_its_stream(self, world: World) -> None:
        plan = world.plan(sheet(row(设备编码="", IPv4="10.9.9.9")), keys=["ipv4"])
        assert plan.rows[0].camera == "hand"

    def test_two_stated_numbers_are_two_cameras_whatever_they_share(self, world: World) -> None:
        world.apply(sheet(row()), keys=["ipv4"])
        plan = world.apply(sheet(row(设备编码=CODE[:-1] + "9")), keys=["ipv4"])
        assert plan.counts[Outcome.NEW] == 1
        assert world.camera(f"cam-{CODE}").code == CODE

    def test_several_of_one_key(self, world: World) -> None:
        world.apply(sheet(row(), row(设备编码=CODE[:-1] + "9")))
        plan = world.plan(sheet(row(设备编码="")), keys=["ipv4"])
        assert problems(plan) == [("ipv4", "2 cameras have ipv4 10.1.2.3")]

    def test_a_district_does_not_undo_the_street(self, world: World) -> None:
        world.apply(sheet(row(区域="court")))
        plan = world.apply(sheet(row(行政区域="330108")))
        assert world.camera(f"cam-{CODE}").area == "court"
        assert [d.field for d in plan.rows[0].changes] == ["region"]

    def test_what_the_file_stated_is_not_a_network_s_to_change(self, world: World) -> None:
        world.apply(sheet(row()))
        assert "department" in world.database.read(lambda c: edited(c, [f"cam-{CODE}"]))[f"cam-{CODE}"]

    @pytest.mark.parametrize("form", ["csv", "xlsx"])
    def test_what_is_exported_is_imported_as_nothing_new(self, world: World, form: str) -> None:
        world.apply(sheet(row(名称="=cmd|'x'!A1", 安装地址="+1")))
        data = world.database.read(lambda c: export(sheets(c), form, placing=True))
        assert world.apply(data).counts[Outcome.UNCHANGED] == 2


class TestMaps:
    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ([], "a mapping is wanted"),
            ({"colums": {}}, "unknown member 'colums'"),
            ({"columns": {"x": "nam"}}, "'nam' is not known"),
            ({"codes": {"x": {}}}, "'x' is not known"),
            ({"codes": {"status": "x"}}, "mapping"),
            ({"keys": ["code"]}, "'code' is not known"),
            ({"defaults": {"name": "x"}}, "'name' is not known"),
        ],
    )
    def test_mistakes(self, document: object, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            ImportMap.of(document)

    def test_a_map_reads_back(self) -> None:
        how = ImportMap.of({"columns": {"备 注": ""}, "codes": {"status": {"9": "1"}}, "keys": ["mac"]})
        assert ImportMap.of(how.document()) == how


def test_completeness_counts_what_any_source_knows() -> None:
    camera = replace(DECLARED_CAMERA)
    bare = completeness(known(camera), EMPTY)
    assert set(MANDATORY) - set(bare.missing) == {"code", "name"}
    full = Dossier(
        manufacturer="a", region="330108", point_type="1", address="b", longitude=1.0, latitude=0.0,
        place_type="c", networked="connected", police_unit="d", installed="2024-01-01", keeper="e",
        contact="f", retention_days=0, status="1", filing_number="g", filing_date="2024-01-01", sign="h",
    )  # fmt: skip
    whole = completeness(known(camera, full), full)
    assert (whole.whole, whole.duties, whole.mandatory) == (True, (), len(MANDATORY))
    total = totals([("x", bare), ("x", whole)])["x"]
    assert (total.cameras, total.whole, total.filed) == (2, 1, 1)
    assert total.mandatory == (2 + len(MANDATORY)) / (2 * len(MANDATORY))
    assert len(COLUMNS) == 27


def test_a_workbook_holds_text_only(tmp_path: Path) -> None:
    data = write_xlsx([["名称", "设备编码"], ["=1+1", CODE]], name="x")
    assert read_table(data).rows == ((1, ("名称", "设备编码")), (2, ("=1+1", CODE)))


def test_how_far_it_is_is_told(world: World) -> None:
    """Rows read and checked, then what is written: never backwards, and to the end."""
    number = 1100
    data = sheet(*(row(设备编码=f"44030500001321{n:06}", 名称=f"Camera {n}") for n in range(number)))
    read: list[int] = []
    table = read_table(data, told=read.append)
    assert read == list(range(0, number + 1, 100))  # the headings are a row too
    heard: list[tuple[Step, int, int | None]] = []
    plan = asyncio.run(
        staged.take(
            world.database,
            table,
            ImportMap.of({}),
            digest=None,
            partial=False,
            source="a.csv",
            by="ada",
            clock=lambda: Ms(5_000),
            told=lambda step, done, of: heard.append((step, done, of)),
        )
    )
    assert plan.counts[Outcome.NEW] == number
    assert [one for one in heard if one[0] is Step.CHECKED] == [
        (Step.CHECKED, n, number) for n in range(0, number, 100)
    ]
    written = [(done, of) for step, done, of in heard if step is Step.WRITTEN]
    assert written == [(done, number) for done in range(0, number + 1, staged.AT_ONCE)]
    assert heard == sorted(heard, key=lambda one: list(Step).index(one[0]))
