"""Reports: what they say, that they can be opened, that a copy can be checked, and that no cell runs."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from api_client import Client, client_of
from api_people import staff_of
from sharpeyes.cli import app as command
from sharpeyes.domain.errors import LimitError, UnavailableError
from sharpeyes.domain.health import Interval, Rung, RungInterval, State
from sharpeyes.domain.time import Ms, iso
from sharpeyes.rates import timeline
from sharpeyes.rates.report import render
from sharpeyes.rates.report.render import Format, harmless
from sharpeyes.rates.report.report import Report
from sharpeyes.rates.report.words import Lang
from sharpeyes.store import pictures, reports, schema, telemetry

openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl: the XLSX is not read back here")

HOUR = 3_600_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
NASTY = '=HYPERLINK("http://evil.example","点我")'


def yesterday(client: Client) -> tuple[str, Ms]:
    on = datetime.fromtimestamp(client.service.clock() / 1000 - 86400, SHANGHAI).date()
    return on.isoformat(), timeline.day(on, SHANGHAI).start


def tell(client: Client, start: Ms) -> None:
    """Yesterday: gate-1 was offline for two hours and six more after that, gate-2 all day online."""
    spells = [
        ("gate-1", State.ONLINE, 0, 6, None),
        ("gate-1", State.OFFLINE, 6, 8, "timeout"),
        ("gate-1", State.ONLINE, 8, 18, None),
        ("gate-1", State.OFFLINE, 18, 24, "refused"),
        ("gate-2", State.ONLINE, 0, 24, None),
        ("school-1", State.MAINTENANCE, 0, 24, "declared"),
    ]

    def write(connection: object) -> None:
        connection.execute(update(schema.membership).values(started_ms=start))
        connection.execute(update(schema.camera).where(schema.camera.c.id == "gate-1").values(name=NASTY))
        telemetry.write_batch(
            connection,
            intervals=[
                Interval(
                    camera=camera,
                    state=state,
                    start=Ms(start + a * HOUR),
                    end=Ms(start + b * HOUR),
                    cause=why,
                )
                for camera, state, a, b, why in spells
            ],
        )
        pictures.write_rungs(
            connection,
            [
                RungInterval(
                    camera="gate-2",
                    rung=top,
                    asked=Rung.USABLE,
                    start=Ms(start + a * HOUR),
                    end=Ms(start + b * HOUR),
                )
                for top, a, b in ((Rung.USABLE, 0, 18), (Rung.CHANGING, 18, 24))
            ],
            (),
            (),
        )

    client.service.database.write(write)


async def test_a_day_says_what_happened(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        answer = await client.get("/api/v1/reports", params={"period": label})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        tiers = {row["key"]: row for row in found["tables"]["rates"]}
        police = tiers["public_security"]
        assert police["raw"] == 40 / 48
        assert (police["offline"], police["outages"], police["mtbf"]) == (8 * HOUR, 2, 20 * HOUR)
        assert police["mttr"] == 4 * HOUR  # 2 h and 6 h
        assert police["verdict"] == "missed"
        assert tiers["departmental"]["raw"] is None
        assert tiers["departmental"]["maintenance"] == 24 * HOUR
        causes = {row["cause"]: (row["outages"], row["offline"]) for row in found["tables"]["causes"]}
        assert causes == {"timeout": (1, 2 * HOUR), "refused": (1, 6 * HOUR)}
        assert [row["key"] for row in found["tables"]["worst"]] == ["gate-1"]
        # gate-1 is offline at the end, school-1 in maintenance: the north has nothing left
        assert [(row["key"], row["cameras"]) for row in found["tables"]["gaps"]] == [("north", 2)]
        assert len(found["tables"]["trend"]) == 24
        assert found["tables"]["trend"][7]["raw"] == 0.5
        fields = {row["field"]: row["share"] for row in found["tables"]["dossier"]}
        assert len(fields) == 27
        assert fields["name"] == 1.0
        assert fields["manufacturer"] == 0.0
        dossiers = {row["name"]: (row["cameras"], row["whole"]) for row in found["tables"]["dossiers"]}
        assert dossiers["all"] == (3, 0)
        # of gate-2 alone something is known: its picture was spoilt for a quarter of the day
        assert (police["intact"], police["intact_coverage"]) == (0.75, 0.5)
        rungs = {row["name"]: row for row in found["tables"]["rungs"]}["public_security"]
        assert (rungs["rung_changing"], rungs["rung_usable"]) == (1.0, 0.75)
        assert (rungs["picture_coverage"], rungs["clock_coverage"]) == (0.5, 0.0)
        assert found["tables"]["trend"][20]["intact"] == 0.0
        assert found["formula"] == "3"


async def test_a_course_comes_in_one_answer(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        _, start = yesterday(client)
        tell(client, start)
        span = {"from": iso(start), "to": iso(start + 24 * HOUR)}
        answer = (await client.get("/api/v1/rates", params=span | {"by": "tier", "step": "hour"})).json()
        assert (answer["step"], answer["timezone"]) == ("hour", "Asia/Shanghai")
        assert (answer["formula"], answer["criteria"]) == ("3", ["online", "picture"])
        police = [item for item in answer["items"] if item["key"] == "public_security"]
        assert [item["online_rate"] for item in police] == [
            1,
            1,
            1,
            1,
            1,
            1,
            *[0.5] * 2,
            *[1] * 10,
            *[0.5] * 6,
        ]
        assert police[7]["from"] == iso(start + 7 * HOUR)
        assert [item["intact"]["rate"] for item in police] == [1.0] * 18 + [0.0] * 6
        usable = {rung["rung"]: rung for rung in police[18]["rungs"]}["usable"]
        assert (usable["rate"], usable["coverage"], usable["judged_s"]) == (0.0, 0.5, 3600.0)
        days = (await client.get("/api/v1/rates", params=span | {"by": "all", "step": "day"})).json()["items"]
        whole = (await client.get("/api/v1/rates", params=span | {"by": "all"})).json()["items"]
        assert days == whole
        one = {"by": "camera", "step": "hour", "key": "gate-1"}
        course = (await client.get("/api/v1/rates", params=span | one)).json()["items"]
        assert [item["online_rate"] for item in course] == [1] * 6 + [0] * 2 + [1] * 10 + [0] * 6
        refused = await client.get("/api/v1/rates", params=span | {"by": "camera", "step": "hour"})
        assert (refused.status_code, "key" in refused.json()["detail"]) == (422, True)
        long = {"from": iso(start - 40 * 24 * HOUR), "to": iso(start), "by": "all", "step": "hour"}
        assert (await client.get("/api/v1/rates", params=long)).status_code == 422


async def test_cameras_come_worst_first_by_pages(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        _, start = yesterday(client)
        tell(client, start)
        asked = {"from": iso(start), "to": iso(start + 24 * HOUR), "by": "camera"}
        first = (await client.get("/api/v1/rates", params=asked | {"limit": "2"})).json()
        assert [item["key"] for item in first["items"]] == ["gate-1", "gate-2"]
        assert first["next"] == 2
        rest = (await client.get("/api/v1/rates", params=asked | {"limit": "2", "offset": "2"})).json()
        assert ([item["key"] for item in rest["items"]], rest["next"]) == (["school-1"], None)
        some = (await client.get("/api/v1/rates", params=asked | {"key": "gate-2"})).json()
        assert [item["key"] for item in some["items"]] == ["gate-2"]
        assert (first["total"], rest["total"], some["total"]) == (3, 3, None)


async def test_cameras_are_narrowed_by_the_service(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        _, start = yesterday(client)
        tell(client, start)
        asked = {"from": iso(start), "to": iso(start + 24 * HOUR), "by": "camera"}
        cameras = (await client.get("/api/v1/cameras")).json()["items"]
        for field in ("department", "tier", "area", "zone"):
            for value in {camera[field] for camera in cameras}:
                found = (await client.get("/api/v1/rates", params=asked | {field: value})).json()
                members = {camera["id"] for camera in cameras if camera[field] == value}
                assert {item["key"] for item in found["items"]} == members, (field, value)
                assert (found["total"], found["next"]) == (len(members), None)
        for also in ({"by": "tier"}, {"key": "gate-1"}, {"step": "hour", "key": "gate-1"}):
            refused = await client.get("/api/v1/rates", params=asked | {"department": "psb"} | also)
            assert refused.status_code == 422, also
            assert refused.json()["detail"] == "department: narrows the list of cameras"
        assert (await client.get("/api/v1/rates", params=asked | {"tier": "moon"})).status_code == 422


async def test_every_format_opens_and_no_cell_runs(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        for lang, word in (("zh", "在线率最低的摄像机"), ("en", "Cameras with the lowest rate")):
            asked = {"period": label, "lang": lang, "by": "camera"}
            text = (await client.get("/api/v1/reports", params=asked | {"format": "csv"})).content
            rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
            assert [word] in rows
            cells = [cell for row in rows for cell in row]
            assert "'" + NASTY in cells
            assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
            sheet = (await client.get("/api/v1/reports", params=asked | {"format": "xlsx"})).content
            book = openpyxl.load_workbook(io.BytesIO(sheet))
            assert word[:31] in book.sheetnames
            values = [cell for page in book for row in page.iter_rows() for cell in row]
            assert NASTY in {cell.value for cell in values if cell.data_type == "s"}
            assert not [cell for cell in values if cell.data_type == "f"]
            paper = await client.get("/api/v1/reports", params=asked | {"format": "pdf"})
            assert paper.content.startswith(b"%PDF-")
            assert paper.headers["content-type"] == "application/pdf"


async def test_the_chinese_on_paper_is_chinese(tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="needs pypdfium2: the PDF's text is not read back here")
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        paper = await client.get("/api/v1/reports", params={"period": label, "format": "pdf"})
    with pdfium.PdfDocument(paper.content) as document:
        pages = []
        for page in document:
            text = page.get_textpage()
            pages.append(text.get_text_bounded())
            text.close()  # in this order, or it says so
            page.close()
    told = "".join(pages)
    for words in (
        "摄像机在线率报告",
        "原始在线率",
        "离线原因",
        "公安",
        "83.33%",
        "未达标",
        "连接被拒绝",
        "点我",
    ):
        assert words in told


async def test_a_copy_can_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        answer = await client.get("/api/v1/reports", params={"period": label, "format": "csv"})
        digest = hashlib.sha256(answer.content).hexdigest()
        told = await client.get(f"/api/v1/reports/manifests/{digest}")
        assert told.json()["report"]["period"] == label
        assert (await client.get(f"/api/v1/reports/manifests/{'0' * 64}")).status_code == 404
    for name in ("SHARPEYES_DATA_DIR", "SHARPEYES_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    copy, places = tmp_path / "copy.csv", ["--data-dir", str(tmp_path / "data")]
    copy.write_bytes(answer.content)
    runner = CliRunner()

    def check(*more: str) -> int:
        return runner.invoke(command, ["report", "--check", str(copy), *places, *more]).exit_code

    assert check() == 0  # by its digest
    manifest = copy.with_name("copy.csv.manifest.json")
    manifest.write_text(told.text, encoding="utf-8")
    assert check() == 0
    assert check("--key", told.json()["key"]) == 0
    assert check("--key", "AAAA") == 1
    manifest.write_text(json.dumps(told.json() | {"lang": "en"}), encoding="utf-8")
    assert check() == 1  # what it says of itself was changed
    manifest.write_text(told.text, encoding="utf-8")
    copy.write_bytes(answer.content.replace(b"2", b"3", 1))
    assert check() == 1
    manifest.unlink()
    assert check() == 1


async def test_the_command_writes_what_it_then_finds_genuine(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
    out = tmp_path / "r.xlsx"
    places = ["--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "cameras.yaml")]
    runner = CliRunner()
    made = runner.invoke(command, ["report", "--month", label[:7], "--out", str(out), *places])
    assert made.exit_code == 0, made.output
    assert openpyxl.load_workbook(out).sheetnames[0] == "概要"
    assert runner.invoke(command, ["report", "--check", str(out), *places]).exit_code == 0
    for wrong in (["--month", "2026-13"], ["--month", label], [], ["--day", "2999-01-01"]):
        assert runner.invoke(command, ["report", *wrong, *places]).exit_code != 0


async def test_a_period_is_checked(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for wrong in ("2026-W60", "2026-02-30", "yesterday", "2999-01", "0000-01", "9999-12-31"):
            answer = await client.get("/api/v1/reports", params={"period": wrong})
            assert answer.status_code == 422, wrong
            assert answer.json()["mend"], wrong


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    assert harmless(text) == "'" + text
    assert harmless("一号门 -1") == "一号门 -1"


async def made(client: Client, key: str) -> dict[str, Any]:
    """A report of the list, once it is no more under way."""
    while True:
        found: dict[str, Any] = (await client.get(f"/api/v1/reports/made/{key}")).json()
        if found["stage"] in ("made", "failed"):
            return found
        await asyncio.sleep(0.02)


async def test_a_report_that_was_asked_for_is_made_and_kept(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        wanted = {"period": label, "by": "all", "formats": ["csv", "json", "csv"], "lang": "en"}
        asked = await client.post("/api/v1/reports/made", json=wanted)
        assert (asked.status_code, asked.json()["stage"]) == (202, "waiting")
        found = await made(client, key := asked.json()["id"])
        assert (found["stage"], found["problem"]) == ("made", None)
        assert (found["author"] or "").startswith("token:")
        assert [file["format"] for file in found["files"]] == found["formats"] == ["csv", "json"]
        page = (await client.get("/api/v1/reports/made")).json()
        assert (page["total"], page["items"]) == (1, [found])
        for file in found["files"]:
            path = f"/api/v1/reports/made/{key}/files/{file['format']}"
            given = await client.get(path)
            assert hashlib.sha256(given.content).hexdigest() == file["sha256"]
            assert f"sharpeyes-{label}-all-en.{file['format']}" in given.headers["content-disposition"]
            told = (await client.get(f"/api/v1/reports/manifests/{file['sha256']}")).json()
            proof = (await client.get(f"{path}/proof")).json()
            assert (proof["genuine"], proof["manifest"]) == (True, told)
        assert (await client.get(f"/api/v1/reports/made/{key}/files/pdf")).status_code == 404
        # what was changed on the disk is not given out, and said
        (kept,) = (tmp_path / "data" / "reports").glob("*.csv")
        kept.write_bytes(kept.read_bytes() + b"x")
        path = f"/api/v1/reports/made/{key}/files/csv"
        assert (await client.get(path)).status_code == 409
        proof = (await client.get(f"{path}/proof")).json()
        assert (proof["genuine"], "digest differs" in proof["reason"]) == (False, True)
        kept.unlink()
        assert (await client.get(path)).status_code == 404
        assert (await client.get(f"{path}/proof")).json()["genuine"] is False
        for wrong in ({"period": "2999-01"}, {"period": "soon"}, {"period": label, "formats": []}):
            assert (await client.post("/api/v1/reports/made", json=wrong)).status_code == 422, wrong


async def test_what_cannot_be_made_says_so_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = render.render

    def failing(report: Report, form: Format, lang: Lang) -> bytes:
        if form is Format.PDF:
            raise UnavailableError("fpdf is not installed")
        if form is Format.XLSX:
            raise RuntimeError("a defect")
        return real(report, form, lang)

    monkeypatch.setattr(render, "render", failing)
    async with client_of(tmp_path) as client:
        label, _ = yesterday(client)
        keys = []
        for form in ("pdf", "xlsx", "csv"):
            wanted = {"period": label, "formats": [form]}
            keys.append((await client.post("/api/v1/reports/made", json=wanted)).json()["id"])
        found = [await made(client, key) for key in keys]
        assert [one["stage"] for one in found] == ["failed", "failed", "made"]
        assert "fpdf" in str(found[0]["problem"])
        assert "log" in str(found[1]["problem"])
        assert "defect" not in str(found[1]["problem"])


async def test_nobody_fills_the_queue(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, _ = yesterday(client)
        now = client.service.clock()

        def ask(author: str) -> None:
            client.service.database.write(
                lambda c: reports.ask_for(
                    c,
                    label=label,
                    every="day",
                    by="tier",
                    lang="zh",
                    formats=["csv"],
                    author=author,
                    now=now,
                )
            )

        for _ in range(reports.MOST_WAITING):
            ask("u-0")
        with pytest.raises(LimitError, match="wait to be made"):
            ask("u-0")
        for number in range(reports.MOST_WAITING_ALL - reports.MOST_WAITING):
            ask(f"u-{number + 1}")
        with pytest.raises(LimitError):
            ask("u-last")
        waiting = client.service.database.read(reports.list_made)
        assert len(waiting) == reports.MOST_WAITING_ALL


async def test_schedules_of_the_settings_and_of_people(tmp_path: Path) -> None:
    async with client_of(tmp_path, reports=("month",), report_by=("tier",)) as client:
        told = (await client.get("/api/v1/reports/schedules")).json()
        (fixed,) = told["items"]
        assert (fixed["id"], fixed["every"], fixed["formats"]) == (None, "month", ["xlsx", "pdf"])
        assert told["mailboxes"] == []
        wanted = {"every": "week", "by": "department", "formats": ["pdf"], "lang": "en"}
        added = await client.post("/api/v1/reports/schedules", json=wanted)
        assert added.status_code == 201
        again = await client.post("/api/v1/reports/schedules", json=wanted)
        assert again.status_code == 409
        other = await client.post("/api/v1/reports/schedules", json=wanted | {"recipients": ["nobody"]})
        assert (other.status_code, "recipients" in other.json()["detail"]) == (422, True)
        listed = (await client.get("/api/v1/reports/schedules")).json()["items"]
        assert [one["id"] for one in listed] == [None, added.json()["id"]]
        assert listed[1]["author"].startswith("token:")
        path = f"/api/v1/reports/schedules/{added.json()['id']}"
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == 404


async def test_a_schedule_can_be_changed_and_stays_its_maker_s(tmp_path: Path) -> None:
    async with client_of(tmp_path, reports=()) as client, staff_of(client, ("zhou", "wang")) as staff:
        wanted = {"every": "week", "by": "tier", "formats": ["pdf"], "lang": "en"}
        path = "/api/v1/reports/schedules"
        one = (await staff["zhou"].post(path, json=wanted)).json()
        other = (await client.post(path, json=wanted | {"every": "month"})).json()
        changed = wanted | {"by": "camera", "department": "psb", "formats": ["csv", "csv"]}
        answer = await client.put(f"{path}/{one['id']}", json=changed)
        assert answer.status_code == 200, answer.text
        (first, second) = (await client.get(path)).json()["items"]
        assert (first["id"], first["author"], first["since"]) == (one["id"], staff.id("zhou"), one["since"])
        assert (first["by"], first["department"], first["formats"]) == ("camera", "psb", ["csv"])
        assert second == other
        for wrong, status in (
            (wanted | {"every": "month"}, 409),  # the other makes these
            (changed | {"department": None}, 422),
            (changed | {"department": "nowhere"}, 422),
            (changed | {"by": "tier"}, 422),
            (changed | {"recipients": ["nobody"]}, 422),
        ):
            assert (await client.put(f"{path}/{one['id']}", json=wrong)).status_code == status, wrong
        assert (await client.put(f"{path}/{one['id']}", json=changed)).status_code == 200  # as it is
        assert (await client.put(f"{path}/{'0' * 16}", json=wanted)).status_code == 404
        assert (await staff["wang"].put(f"{path}/{one['id']}", json=wanted)).status_code == 403
        lines = (await client.get("/api/v1/events", params={"kind": "report"})).json()["items"]
        assert [line["message"] for line in reversed(lines)][:3] == [
            "schedule added: week by tier (en)",
            "schedule added: month by tier (en)",
            "schedule changed: week by camera of psb (en)",
        ]
        said = {"dimension": ["camera"], "department": ["psb"], "lang": ["en"]}
        assert lines[-3]["act"] == {
            "change": "schedule_changed",
            "of": "week",
            "by": client.service.database.read(lambda c: reports.list_schedules(c))[1].author,
            "details": said,
        }


async def test_a_report_goes_by_the_hand_of_its_maker_or_an_administrator(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client, staff_of(client, ("li", "wang", "feng", "wu")) as staff:
        label, start = yesterday(client)
        tell(client, start)
        wanted = {"period": label, "formats": ["csv"]}
        keys = [(await staff["li"].post("/api/v1/reports/made", json=wanted)).json()["id"] for _ in "ab"]
        found = [await made(client, key) for key in keys]
        path = "/api/v1/reports/made"
        assert (await staff["wang"].delete(f"{path}/{keys[0]}")).status_code == 403
        assert len(list((tmp_path / "data" / "reports").glob("*.csv"))) == 2
        assert (await staff["li"].delete(f"{path}/{keys[0]}")).status_code == 204
        assert (await staff["feng"].delete(f"{path}/{keys[1]}")).status_code == 204
        for key in keys:
            assert (await client.get(f"{path}/{key}")).status_code == 404
            assert (await staff["feng"].delete(f"{path}/{key}")).status_code == 404
        assert list((tmp_path / "data" / "reports").iterdir()) == []
        digests = [one["files"][0]["sha256"] for one in found]
        for digest in digests:  # a copy is proven all the same
            assert (await client.get(f"/api/v1/reports/manifests/{digest}")).status_code == 200
        said = [one["details"] for one in await staff.register(kind="policy_changed")]
        removed = [one for one in said if one["what"] == "report"]
        assert sorted(digest for one in removed for digest in one["sha256"]) == sorted(digests)
        lines = (await client.get("/api/v1/events", params={"kind": "report"})).json()["items"]
        assert {(line["subject"], line["message"]) for line in lines} == {
            (key, f"report removed: {label} by tier (zh)") for key in keys
        }


async def test_a_schedule_s_report_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    async with client_of(tmp_path, reports=()) as client, staff_of(client, ("zhou", "feng")) as staff:
        label, start = yesterday(client)
        tell(client, start)
        database = client.service.database
        row = database.write(
            lambda c: reports.ask_for(
                c,
                label=label,
                every="day",
                by="tier",
                lang="zh",
                formats=["csv"],
                author=None,
                now=client.service.clock(),
            )
        )
        path = f"/api/v1/reports/made/{row.id}"
        assert (await staff["feng"].delete(path)).status_code == 409  # it is under way
        database.write(lambda c: reports.tell_stage(c, row.id, reports.ReportStage.MADE))
        assert (await staff["zhou"].delete(path)).status_code == 403
        assert (await staff["feng"].delete(path)).status_code == 204
        assert (await client.get(path)).json()["stage"] == "removed"
        assert (await staff["feng"].delete(path)).status_code == 404


async def test_a_report_on_one_department_knows_of_no_other(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        label, start = yesterday(client)
        tell(client, start)
        asked = {"period": label, "department": "psb"}
        whole = (await client.get("/api/v1/reports", params={"period": label, "by": "department"})).json()
        found = (await client.get("/api/v1/reports", params=asked | {"by": "department"})).json()
        assert (found["department"], whole["department"]) == ("psb", None)
        (row,) = found["tables"]["rates"]
        assert row == next(one for one in whole["tables"]["rates"] if one["key"] == "psb")
        assert (len(found["tables"]["trend"]), found["tables"]["trend"][7]["raw"]) == (24, 0.5)
        cameras = (await client.get("/api/v1/reports", params=asked | {"by": "camera"})).json()
        assert [row["key"] for row in cameras["tables"]["rates"]] == ["gate-1", "gate-2"]
        school = asked | {"by": "camera", "department": "edu"}
        tables = (await client.get("/api/v1/reports", params=school)).json()["tables"]
        assert [row["key"] for row in tables["rates"]] == ["school-1"]
        assert (tables["worst"], tables["causes"], "gaps" in tables) == ([], [], False)
        assert [row["cameras"] for row in tables["dossier"]][:1] == [1]
        for form in ("csv", "xlsx", "pdf"):
            answer = await client.get("/api/v1/reports", params=asked | {"by": "camera", "format": form})
            assert f'"sharpeyes-{label}-camera@psb.{form}"' in answer.headers["content-disposition"]
            if form == "csv":
                assert "部门" in answer.text.split("\r\n\r\n")[0]
        for wrong in ({"by": "tier"}, {"by": "department", "department": "nowhere"}):
            assert (await client.get("/api/v1/reports", params=asked | wrong)).status_code == 422, wrong
            body = {"formats": ["csv"]} | asked | wrong
            assert (await client.post("/api/v1/reports/made", json=body)).status_code == 422, wrong
        body = asked | {"by": "department", "formats": ["csv"]}
        kept = await made(client, (await client.post("/api/v1/reports/made", json=body)).json()["id"])
        assert (kept["stage"], kept["department"]) == ("made", "psb")
    out = tmp_path / "r.json"
    places = ["--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "cameras.yaml")]
    wanted = ["report", "--day", label, "--by", "camera", "--department", "psb", "--format", "json"]
    written = CliRunner().invoke(command, [*wanted, "--out", str(out), *places])
    assert written.exit_code == 0, written.output
    assert json.loads(out.read_text("utf-8"))["department"] == "psb"
