"""Dossier files as rows of text: CSV (UTF-8, UTF-16, GB18030) and XLSX in; CSV and XLSX out.

A file comes from outside: its size, its rows and columns are bounded, and a workbook is refused by what its
parts say they unpack to, before anything is unpacked.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sharpeyes.domain.dossier import harmless, plain
from sharpeyes.domain.errors import InvalidInputError

MAX_BYTES = 16 * 1024 * 1024
MAX_UNPACKED = 128 * 1024 * 1024
"""Of all parts of a workbook together."""
MAX_PARTS = 200
MAX_ROWS = 50_000
MAX_COLUMNS = 128
SOME = 100
"""Rows, after which it is said how far the work is."""
ENCODINGS = ("utf-8", "utf-16", "gb18030")
FORMATS = ("csv", "xlsx")

Row = tuple[int, tuple[str, ...]]
"""The row's number, as a spreadsheet shows it, and its cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """Everything of one sheet; empty rows are left out."""

    rows: tuple[Row, ...]
    form: str
    encoding: str | None
    """None for a workbook."""


def read_table(
    data: bytes,
    *,
    encoding: str | None = None,
    sheet: str | None = None,
    told: Callable[[int], None] = lambda _rows: None,
) -> Table:
    """The cells of a file; ``told`` hears now and then how many rows were read.

    InvalidInputError, with the mend, for what is not CSV or XLSX, too large, or in another encoding.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInputError(f"the file is larger than {MAX_BYTES >> 20} MiB", mend="Split it")
    if data.startswith(b"PK\x03\x04"):
        return Table(tuple(_bounded(_xlsx(data, sheet), told)), "xlsx", None)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidInputError("the file is an old workbook (.xls)", mend="Save it as .xlsx or CSV")
    text, found = _decode(data, encoding)
    return Table(tuple(_bounded(_csv(text), told)), "csv", found)


def _bounded(rows: Iterable[Row], told: Callable[[int], None]) -> Iterator[Row]:
    for count, (number, cells) in enumerate(rows):
        if count % SOME == 0:
            told(count)
        if count >= MAX_ROWS:
            raise InvalidInputError(f"the file has more than {MAX_ROWS:,} rows", mend="Split it")
        if len(cells) > MAX_COLUMNS:
            raise InvalidInputError(
                f"row {number} has more than {MAX_COLUMNS} columns", mend="Remove what does not belong there"
            )
        yield number, cells


def _decode(data: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding is not None and encoding.lower() not in ENCODINGS:
        raise InvalidInputError(
            f"encoding: {encoding[:20]!r} is not known", mend=f"One of {', '.join(ENCODINGS)}"
        )
    wanted = [encoding.lower()] if encoding else ["utf-8", "gb18030"]
    if encoding is None and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        wanted = ["utf-16"]
    problem = ""
    for name in wanted:
        try:
            text = data.decode("utf-8-sig" if name == "utf-8" else name)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problem = problem or f"line {line}"
            continue
        if "\0" in text:
            raise InvalidInputError("the file is not text", mend="Give a CSV or XLSX file")
        return text, name
    raise InvalidInputError(
        f"the file is not {' or '.join(wanted)} text ({problem})", mend="Save it as CSV in UTF-8, or as XLSX"
    )


def _csv(text: str) -> Iterator[Row]:
    head = text[:4096]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, _trimmed([plain(cell) for cell in cells])
    except csv.Error as error:
        raise InvalidInputError(
            f"line {reader.line_num} is not CSV: {error}", mend="Check its quotes"
        ) from None


def _xlsx(data: bytes, sheet: str | None) -> Iterator[Row]:
    from openpyxl import load_workbook  # type: ignore[import-untyped]  # only who reads workbooks pays for it

    damaged = InvalidInputError("the file is not a whole XLSX workbook", mend="Save it again, or as CSV")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            # What is unpacked ends where the part says that it does: these sizes bound it.
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
                raise InvalidInputError(
                    f"the workbook unpacks to more than {MAX_UNPACKED >> 20} MiB",
                    mend="Keep only the sheet with the dossiers, or save it as CSV",
                )
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            names = book.sheetnames
            if sheet is not None and sheet not in names:
                raise InvalidInputError(
                    f"sheet: there is no sheet {sheet[:40]!r}", mend=f"One of {', '.join(names[:20])}"
                )
            page: Any = book[sheet] if sheet is not None else book.worksheets[0]
            page.reset_dimensions()  # what the file says of its size is not believed
            for number, cells in enumerate(
                page.iter_rows(max_row=MAX_ROWS + 1000, max_col=MAX_COLUMNS, values_only=True), 1
            ):
                if any(cell is not None for cell in cells):
                    yield number, _trimmed([plain(cell) for cell in cells])
        finally:
            book.close()
    except InvalidInputError:
        raise
    except Exception:  # noqa: BLE001 - openpyxl, zipfile, zlib and expat fail each in its own way
        raise damaged from None


def _trimmed(cells: list[str]) -> tuple[str, ...]:
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


# --- out ------------------------------------------------------------------------------------------------


def write_csv(rows: Iterable[Sequence[str]], *, encoding: str = "utf-8") -> bytes:
    """With a byte order mark in UTF-8, for spreadsheets. No cell is taken for a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([harmless(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig" if encoding == "utf-8" else encoding)


def write_xlsx(rows: Iterable[Sequence[str]], *, name: str) -> bytes:
    """One sheet in which every cell is text: a number of 20 digits keeps them, and nothing is a formula."""
    import xlsxwriter  # type: ignore[import-untyped]

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_urls": False})
    page = book.add_worksheet(name)
    bold, text = book.add_format({"bold": True, "num_format": "@"}), book.add_format({"num_format": "@"})
    page.set_column(0, MAX_COLUMNS, 16, text)
    page.freeze_panes(1, 0)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell:
                page.write_string(number, column, cell, text if number else bold)
    book.close()
    return out.getvalue()
