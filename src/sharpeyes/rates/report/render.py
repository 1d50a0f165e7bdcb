"""A report as JSON, CSV, XLSX or PDF.

Texts come from people and devices, so none of them may become a formula: in CSV a text that a spreadsheet
would run gets an apostrophe before it (OWASP, CSV Injection), in XLSX every text is written as a text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.time import iso
from sharpeyes.rates.report.report import Kind, Report, Table, Value
from sharpeyes.rates.report.words import Lang, say, say_cause, say_field
from sharpeyes.rates.timeline import HOUR_MS

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook  # type: ignore[import-untyped]
    from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters that a spreadsheet may take for a formula, full-width ones included."""
CELL = 32_000
"""Characters in a cell; Excel takes 32,767."""


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
}


def render(report: Report, form: Format, lang: Lang) -> bytes:
    """The report's bytes. UnavailableError if what this format needs is not installed."""
    if form is Format.JSON:
        return as_json(report)
    if form is Format.CSV:
        return as_csv(report, lang)
    try:
        if form is Format.XLSX:
            return as_xlsx(report, lang)
        from sharpeyes.rates.report.pdf import as_pdf

        return as_pdf(report, lang)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{error.name} is not installed, which reports in {form} need",
            mend="Install SharpEyes with all that it depends on, or choose --format csv",
        ) from None


def as_json(report: Report) -> bytes:
    """For machines: durations in ms, instants in RFC 3339, no language."""

    def plain(kind: Kind, value: Value) -> Value:
        return iso(value) if kind is Kind.INSTANT and isinstance(value, int) else value

    tables = {
        table.name: [
            {name: plain(kind, value) for (name, kind), value in zip(table.columns, row, strict=True)}
            for row in table.rows
        ]
        for table in report.tables
    }
    meta = {
        (key.removesuffix("_ms")): iso(value) if key.endswith("_ms") else value
        for key, value in report.meta().items()
    }
    return json.dumps({**meta, "tables": tables}, ensure_ascii=False, indent=1).encode() + b"\n"


def as_csv(report: Report, lang: Lang) -> bytes:
    """One table under the other, each with its title; with a byte order mark, for Excel."""
    out = io.StringIO()
    writer = csv.writer(out)
    for name, text in heading(report, lang):
        writer.writerow([harmless(name), harmless(text)])
    for table in report.tables:
        writer.writerow([])
        writer.writerow([harmless(say(table.name, lang))])
        writer.writerow([harmless(title) for title in titles(table, lang)])
        show = shower(report, lang)
        for row in table.rows:
            cells = [
                show(name, kind, value)
                if isinstance(value, str) or kind is Kind.INSTANT
                else number(kind, value)
                for (name, kind), value in zip(table.columns, row, strict=True)
            ]
            writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(report: Report, lang: Lang) -> bytes:
    """A sheet a table; a bar, a pie and a line beside the figures they show."""
    from xlsxwriter import Workbook  # type: ignore[import-untyped]

    out = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with Workbook(out, options) as book:
        made = datetime.fromtimestamp(report.made / 1000, ZoneInfo("UTC"))
        book.set_properties({"title": say("title", lang), "created": made.replace(tzinfo=None)})
        bold = book.add_format({"bold": True, "bg_color": "#E8EEF4", "text_wrap": True, "valign": "top"})
        formats = {
            Kind.RATIO: book.add_format({"num_format": "0.00%"}),
            Kind.DURATION: book.add_format({"num_format": "0.00"}),
            Kind.INSTANT: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            Kind.COUNT: book.add_format({"num_format": "0"}),
        }
        front = book.add_worksheet(say("summary", lang))
        front.set_column(0, 0, 18)
        front.set_column(1, 1, 60)
        for row, (name, text) in enumerate(heading(report, lang)):
            front.write_string(row, 0, name, bold)
            front.write_string(row, 1, text)
        for table in report.tables:
            sheet = book.add_worksheet(say(table.name, lang)[:31])
            _fill(sheet, table, report, lang, bold, formats)
        _charts(book, front, report, lang)
    return out.getvalue()


def _fill(
    sheet: Worksheet, table: Table, report: Report, lang: Lang, bold: Any, formats: dict[Kind, Any]
) -> None:
    zone, show = ZoneInfo(report.timezone), shower(report, lang)
    for column, title in enumerate(titles(table, lang)):
        sheet.write_string(0, column, title, bold)
        kind = table.columns[column][1]
        sheet.set_column(column, column, 20 if kind in (Kind.TEXT, Kind.INSTANT) else 13)
    sheet.freeze_panes(1, 0)
    for at, row in enumerate(table.rows, 1):
        for column, ((name, kind), value) in enumerate(zip(table.columns, row, strict=True)):
            if value is None:
                sheet.write_blank(at, column, None)
            elif isinstance(value, str):
                sheet.write_string(at, column, show(name, kind, value)[:CELL])
            elif kind is Kind.INSTANT:
                sheet.write_datetime(at, column, local(int(value), zone).replace(tzinfo=None), formats[kind])
            else:
                sheet.write_number(at, column, number(kind, value) or 0, formats[kind])
    if not table.rows:
        sheet.write_string(1, 0, say("none", lang))


def _charts(book: Workbook, front: Worksheet, report: Report, lang: Lang) -> None:
    for place, kind, name, label, values in (
        ("D1", "column", "rates", "name", ("raw", "adjusted")),
        ("D18", "line", "trend", "start", ("raw", "intact", "coverage")),
        ("D35", "pie", "causes", "cause", ("offline",)),
    ):
        table = report.table(name)
        if not table.rows:
            continue
        columns = [column for column, _ in table.columns]
        last = min(len(table.rows), 40)
        sheet = say(name, lang)[:31]
        chart: Any = book.add_chart({"type": kind})
        for value in values:
            chart.add_series(
                {
                    "name": say(value, lang),
                    "categories": [sheet, 1, columns.index(label), last, columns.index(label)],
                    "values": [sheet, 1, columns.index(value), last, columns.index(value)],
                }
            )
        chart.set_title({"name": say(name, lang)})
        if kind == "line":
            chart.set_x_axis({"num_format": "mm-dd" if last > 1 else "hh:mm"})
        if kind != "pie":
            chart.set_y_axis({"max": 1, "num_format": "0%"})
        front.insert_chart(place, chart, {"x_scale": 1.3})


_SAID = {"cause": say_cause, "field": say_field}
"""How words of these columns are said."""

# --- what a cell says -----------------------------------------------------------------------------------


def harmless(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet might run it."""
    return "'" + text if text.lstrip(" ").startswith(RISKY) or text.startswith(RISKY) else text


def number(kind: Kind, value: Value) -> float | int | None:
    """A figure as spreadsheets shall have it: durations in hours."""
    if value is None or isinstance(value, str):
        return None
    return value / HOUR_MS if kind is Kind.DURATION else value


def titles(table: Table, lang: Lang) -> list[str]:
    return [
        f"{say(name, lang)} ({say('hours', lang)})" if kind is Kind.DURATION else say(name, lang)
        for name, kind in table.columns
    ]


def shower(report: Report, lang: Lang) -> Callable[[str, Kind, Value], str]:
    """What a value reads like: its column's name, its kind, the value."""
    zone = ZoneInfo(report.timezone)

    def show(name: str, kind: Kind, value: Value) -> str:
        if value is None:
            return "–"
        if isinstance(value, str):
            if kind is not Kind.WORD:
                return value
            return _SAID.get(name, say)(value, lang)
        if kind is Kind.RATIO:
            return f"{value:.2%}"
        if kind is Kind.DURATION:
            return f"{value / HOUR_MS:,.2f}"
        if kind is Kind.INSTANT:
            return f"{local(int(value), zone):%Y-%m-%d %H:%M:%S}"
        return f"{value:,}"

    return show


def heading(report: Report, lang: Lang) -> Iterable[tuple[str, str]]:
    """What stands before the tables."""
    show = shower(report, lang)
    of = () if report.department is None else ((say("department", lang), report.unit or report.department),)
    return (
        (say("title", lang), f"{say(report.period.every, lang)} {report.period.label}"),
        (say("site", lang), report.site),
        *of,
        (say("by", lang), say(report.by, lang)),
        (say("from", lang), show("from", Kind.INSTANT, report.known.start)),
        (say("to", lang), show("to", Kind.INSTANT, report.known.end)),
        (say("timezone", lang), report.timezone),
        (say("made", lang), show("made", Kind.INSTANT, report.made)),
        (say("formula", lang), report.formula),
        (say("coverage_gate", lang), show("coverage", Kind.RATIO, report.coverage)),
        ("", say("note", lang)),
    )


def local(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, zone)
