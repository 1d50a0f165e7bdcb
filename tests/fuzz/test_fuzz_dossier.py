"""Dossier files of any bytes: a table or a refusal that says what to do, never anything else."""

import contextlib
import io
import zipfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpeyes.domain.dossier import BY_FIELD, harmless, plain, read
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Area
from sharpeyes.domain.time import Ms
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import City, Outcome, plan
from sharpeyes.registry.sheet import read_table, write_csv, write_xlsx

CITY = City(
    areas=(Area(id="a", name="区", code="3301"),),
    departments={"p": "公安"},
    zones={"z": "网"},
)
CELL = st.text(max_size=30)
HEADINGS = [column.heading for column in BY_FIELD.values()]


def workbook(sheet: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(write_xlsx([["名称"]], name="x"))) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, sheet if name.endswith("sheet1.xml") else data)
    return out.getvalue()


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        read_table(data)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(st.binary(max_size=400))
def test_any_sheet_within_a_workbook(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        read_table(workbook(data))


def test_entities_do_not_grow() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 10}">' for n in range(12))
    cells = '<row><c t="str"><v>&e11;</v></c></row>'
    bomb = f"<!DOCTYPE w [{entities}]><worksheet><sheetData>{cells}</sheetData></worksheet>"
    with contextlib.suppress(InvalidInputError):
        table = read_table(workbook(bomb.encode()))
        assert sum(len(cell) for _, cells in table.rows for cell in cells) < 1_000_000


@given(st.sampled_from(sorted(BY_FIELD)), st.text(min_size=1, max_size=40))
def test_a_value_is_read_or_refused_and_reads_itself_back(field: str, text: str) -> None:
    try:
        value = read(field, text)
    except InvalidInputError:
        return
    assert read(field, str(value)) == value


@given(st.text(max_size=40).map(str.strip))
def test_no_cell_is_a_formula(text: str) -> None:
    cell = harmless(text)
    assert cell[:1] not in ("=", "@", "\t", "\r")
    if not (text.startswith('="') and text.endswith('"')):  # how digits are kept; unwrapped
        assert plain(cell) == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(HEADINGS), min_size=2, max_size=6, unique=True),
    st.lists(st.lists(CELL, max_size=6), max_size=4),
)
def test_any_rows_are_planned_and_the_same_again(headings: list[str], rows: list[list[str]]) -> None:
    try:
        table = read_table(write_csv([headings, *rows]), encoding="utf-8")
    except InvalidInputError:
        return
    how = ImportMap.of({"keys": ["name"], "defaults": {"tier": "community", "department": "p", "area": "a"}})
    try:
        first = plan(table, how, CITY, now=Ms(1))
    except InvalidInputError:
        return
    assert first.digest == plan(table, how, CITY, now=Ms(2)).digest
    for row in first.rows:
        assert (row.outcome is Outcome.REJECTED) == any(problem.fatal for problem in row.problems)
