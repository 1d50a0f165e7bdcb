"""Dossiers as a file that a spreadsheet opens and an import reads back."""

from __future__ import annotations

from collections.abc import Iterable

from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.dossier import COLUMNS, DUTIES, PLACING, shown
from sharpeyes.registry.dossiers import Sheet
from sharpeyes.registry.sheet import write_csv, write_xlsx

NAME = "一机一档"


def export(sheets: Iterable[Sheet], form: str, *, encoding: str = "utf-8", placing: bool = False) -> bytes:
    """CSV or XLSX with the 27 columns and the duties; ``placing``: also what SharpEyes itself needs."""
    columns = (*COLUMNS, *DUTIES, *(PLACING if placing else ()))
    rows = [[column.heading for column in columns]]
    for sheet in sheets:
        cells = _cells(sheet)
        rows.append([cells.get(column.field, "") for column in columns])
    if form == "xlsx":
        return write_xlsx(rows, name=NAME)
    return write_csv(rows, encoding=encoding)


def _cells(sheet: Sheet) -> dict[str, str]:
    camera = sheet.camera
    streams = {stream.role: stream.url for stream in camera.streams}
    cells = {field: shown(field, value) for field, value in sheet.values.items()}
    cells |= {duty.field: shown(duty.field, getattr(sheet.dossier, duty.field)) for duty in DUTIES}
    return cells | {
        "id": camera.id,
        "tier": camera.tier.value,
        "department": camera.department,
        "area": camera.area,
        "zone": camera.zone,
        "main": streams.get(StreamRole.MAIN, ""),
        "sub": streams.get(StreamRole.SUB, ""),
        "credential": camera.credential or "",
        "tags": " ".join(camera.tags),
    }
