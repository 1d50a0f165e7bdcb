"""A report as PDF: bars, a pie, a line and the tables, with its font inside: it reads alike everywhere.

The font is Noto Sans CJK (SIL Open Font Licence), which a package brings as one variable file of 33 MB; only
the characters that the report has are taken from it, at one weight.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from sharpeyes.rates.report.render import heading, shower, titles
from sharpeyes.rates.report.report import Kind, Report, Table
from sharpeyes.rates.report.words import Lang, say

FAMILY = "report"
SIMPLIFIED_CHINESE = 2
"""The face's place in the collection."""
WEIGHT = 400
WIDE = 270.0
"""Printable width of a page on its side, in mm."""
ROWS = 500
"""Of one table; spreadsheets have them all."""
TEXT = 40
"""Characters of a text in a table."""
BLUE, GREY, ORANGE, GREEN = (46, 107, 168), (150, 160, 170), (214, 120, 40), (90, 150, 80)
SLICES = ((46, 107, 168), (214, 120, 40), (90, 150, 80), (170, 70, 90), (120, 100, 170), (150, 160, 170))

# Columns that fit on paper; the other formats have all of them.
PRINTED = {
    "rates": (
        "name",
        "cameras",
        "raw",
        "adjusted",
        "coverage",
        "target",
        "verdict",
        "adjusted_verdict",
        "intact",
        "intact_coverage",
        "online_now",
        "total_now",
        "offline",
        "excluded",
        "outages",
        "mtbf",
        "mttr",
    ),
}


def as_pdf(report: Report, lang: Lang) -> bytes:
    """The document. ModuleNotFoundError without fpdf2, fontTools or the font's package."""
    show = shower(report, lang)
    printed = [_printed(table) for table in report.tables]
    tables = [
        (
            table,
            titles(table, lang),
            [
                [
                    _short(show(name, kind, value))
                    for (name, kind), value in zip(table.columns, row, strict=True)
                ]
                for row in table.rows[:ROWS]
            ],
        )
        for table in printed
    ]
    head = list(heading(report, lang))
    texts = [text for pair in head for text in pair]
    texts += [say(table.name, lang) for table in printed] + [say("none", lang), _digits()]
    texts += [cell for _, names, rows in tables for line in (names, *rows) for cell in line]
    texts += [say(word, lang) for word in ("raw", "adjusted", "intact", "coverage", "target")]

    pdf = FPDF(orientation="landscape", format="A4")
    pdf.set_creation_date(datetime.fromtimestamp(report.made / 1000, UTC))
    pdf.set_title(f"{say('title', lang)} {report.period.label}")
    pdf.set_auto_page_break(True, margin=14)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "font.ttf"
        file.write_bytes(font_with(frozenset("".join(texts))))
        pdf.add_font(FAMILY, "", file)
        pdf.add_page()
        _front(pdf, head)
        _bars(pdf, report, lang, x=14, y=pdf.get_y() + 4, width=130, height=62)
        _pie(pdf, report, lang, x=160, y=pdf.get_y() + 4, height=62)
        _line(pdf, report, lang, x=14, y=pdf.get_y() + 76, width=WIDE - 4, height=70)
        for table, names, rows in tables:
            if table.name != "trend":
                _table(pdf, say(table.name, lang), table, names, rows, say("none", lang))
        return bytes(pdf.output())


@lru_cache(maxsize=8)
def font_with(characters: frozenset[str]) -> bytes:
    """A TrueType font with these characters only, drawn anew from the variable one at its regular weight."""
    import manimgx_fonts_cjk  # type: ignore[import-untyped]
    from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
    from fontTools.pens.cu2quPen import Cu2QuPen  # type: ignore[import-untyped]
    from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    (collection,) = Path(manimgx_fonts_cjk.__file__).parent.glob("*.ttc")
    with TTFont(collection, fontNumber=SIMPLIFIED_CHINESE, lazy=True) as source:
        drawn, names = source.getGlyphSet(location={"wght": WEIGHT}), source.getBestCmap()
        chosen = {ord(c): names[ord(c)] for c in sorted(characters | {" ", "?"}) if ord(c) in names}
        glyphs, widths = {}, {}
        for name in (".notdef", *dict.fromkeys(chosen.values())):
            pen = TTGlyphPen(None)
            drawn[name].draw(Cu2QuPen(pen, max_err=1.0, reverse_direction=True))
            glyphs[name], widths[name] = pen.glyph(), round(drawn[name].width)
        line = source["hhea"]
        made = FontBuilder(source["head"].unitsPerEm, isTTF=True)
        made.setupGlyphOrder(list(glyphs))
        made.setupCharacterMap(chosen)
        made.setupGlyf(glyphs)
        made.setupHorizontalMetrics(
            {name: (width, getattr(glyphs[name], "xMin", 0)) for name, width in widths.items()}
        )
        made.setupHorizontalHeader(ascent=line.ascent, descent=line.descent)
        made.setupNameTable({"familyName": "SharpEyes Report", "styleName": "Regular"})
        made.setupOS2(sTypoAscender=line.ascent, sTypoDescender=line.descent, usWinAscent=line.ascent)
        made.setupPost()
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()


def _digits() -> str:
    return "0123456789.%-/: |"


def _printed(table: Table) -> Table:
    wanted = PRINTED.get(table.name)
    if wanted is None:
        return table
    numbers = [n for n, (name, _) in enumerate(table.columns) if name in wanted]
    return Table(
        table.name,
        tuple(table.columns[n] for n in numbers),
        tuple(tuple(row[n] for n in numbers) for row in table.rows),
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT else line[: TEXT - 1] + "…"


def _front(pdf: FPDF, head: Sequence[tuple[str, str]]) -> None:
    (title, period), *rest, (_, note) = head
    pdf.set_font(FAMILY, size=17)
    pdf.cell(text=f"{title}  {period}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font(FAMILY, size=8)
    pdf.set_text_color(90, 90, 90)
    pdf.multi_cell(
        WIDE, 4.5, "    ".join(f"{name}: {text}" for name, text in rest), new_x=XPos.LMARGIN, new_y=YPos.NEXT
    )
    pdf.multi_cell(WIDE, 4.5, note, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_text_color(0, 0, 0)


def _label(pdf: FPDF, x: float, y: float, text: str, *, size: float = 7, width: float = 0) -> None:
    pdf.set_font(FAMILY, size=size)
    while width and len(text) > 1 and pdf.get_string_width(text) > width:
        text = text[:-1]
    here = pdf.get_y()
    pdf.text(x, y, text)
    pdf.set_y(here)


def _bars(pdf: FPDF, report: Report, lang: Lang, *, x: float, y: float, width: float, height: float) -> None:
    """The raw rate of each key, with its target as a line."""
    table, show = report.table("rates"), shower(report, lang)
    _label(pdf, x, y, f"{say('rates', lang)} ({say('raw', lang)} / {say('target', lang)})", size=10)
    rows = list(zip(table.column("name"), table.column("raw"), table.column("target"), strict=True))[:12]
    kind = dict(table.columns)["name"]
    step = min(9.0, (height - 4) / max(len(rows), 1))
    for n, (name, raw, target) in enumerate(rows):
        top = y + 4 + n * step
        _label(pdf, x, top + step * 0.6, show("name", kind, name), width=32)
        pdf.set_fill_color(235, 238, 241)
        pdf.rect(x + 34, top, width - 50, step * 0.7, style="F")
        if isinstance(raw, float):
            pdf.set_fill_color(*BLUE)
            pdf.rect(x + 34, top, (width - 50) * raw, step * 0.7, style="F")
        if isinstance(target, float):
            pdf.set_draw_color(*ORANGE)
            at = x + 34 + (width - 50) * target
            pdf.line(at, top - 0.5, at, top + step * 0.7 + 0.5)
        _label(pdf, x + width - 14, top + step * 0.6, show("raw", Kind.RATIO, raw))


def _pie(pdf: FPDF, report: Report, lang: Lang, *, x: float, y: float, height: float) -> None:
    """Offline time by cause; what is sixth and later goes together."""
    table, show = report.table("causes"), shower(report, lang)
    _label(pdf, x, y, say("causes", lang), size=10)
    parts = [
        (show("cause", Kind.WORD, cause), float(share))
        for cause, share in zip(table.column("cause"), table.column("share"), strict=True)
        if isinstance(share, float) and share > 0
    ]
    if not parts:
        _label(pdf, x, y + 8, say("none", lang), size=8)
        return
    if len(parts) > len(SLICES):
        kept = parts[: len(SLICES) - 1]
        parts = [*kept, ("…", 1 - sum(share for _, share in kept))]
    radius = (height - 14) / 2
    middle, centre, angle = x + radius, y + 6 + radius, -math.pi / 2
    for n, (name, share) in enumerate(parts):
        pdf.set_fill_color(*SLICES[n])
        turn = 2 * math.pi * share
        steps = max(2, round(turn / 0.05))
        edge = [
            (
                middle + radius * math.cos(angle + turn * k / steps),
                centre + radius * math.sin(angle + turn * k / steps),
            )
            for k in range(steps + 1)
        ]
        pdf.polygon([(middle, centre), *edge], style="F")
        angle += turn
        pdf.rect(x + 2 * radius + 8, y + 8 + n * 6, 3, 3, style="F")
        _label(pdf, x + 2 * radius + 13, y + 10.6 + n * 6, f"{name}  {share:.1%}", width=45)


def _line(pdf: FPDF, report: Report, lang: Lang, *, x: float, y: float, width: float, height: float) -> None:
    """Rate and coverage over the period; the axis begins at a whole tenth below the least of them."""
    table, show = report.table("trend"), shower(report, lang)
    _label(pdf, x, y, f"{say('trend', lang)}:", size=10)
    series = [("raw", BLUE), ("intact", GREEN), ("coverage", GREY)]
    values = [v for name, _ in series for v in table.column(name) if isinstance(v, float)]
    if not values:
        _label(pdf, x, y + 8, say("none", lang), size=8)
        return
    low = min(math.floor(min(values) * 10) / 10, 0.9)
    left, top, wide, high = x + 12, y + 5, width - 16, height - 10
    pdf.set_draw_color(220, 224, 228)
    for tick in range(5):
        level = low + (1 - low) * tick / 4
        at = top + high * (1 - tick / 4)
        pdf.line(left, at, left + wide, at)
        _label(pdf, x, at + 1, f"{level:.1%}")
    starts = table.column("start")
    step = wide / max(len(starts) - 1, 1)
    for number, (name, color) in enumerate(series):
        pdf.set_draw_color(*color)
        pdf.set_fill_color(*color)
        pdf.set_line_width(0.5)
        before: tuple[float, float] | None = None
        for n, value in enumerate(table.column(name)):
            if not isinstance(value, float):
                before = None
                continue
            point = (left + n * step, top + high * (1 - (value - low) / (1 - low)))
            if before is not None:
                pdf.line(*before, *point)
            pdf.rect(point[0] - 0.5, point[1] - 0.5, 1, 1, style="F")
            before = point
        pdf.set_line_width(0.2)
        pdf.rect(x + 40 + number * 40, y - 2.4, 3, 3, style="F")
        _label(pdf, x + 45 + number * 40, y, say(name, lang))
    every = max(1, len(starts) // 8)
    for n in range(0, len(starts), every):
        text = show("start", Kind.INSTANT, starts[n])
        _label(
            pdf,
            left + n * step - 4,
            top + high + 4,
            text[5:10] if len(starts) > 24 or step > 30 else text[5:16],
        )


def _table(
    pdf: FPDF, title: str, table: Table, names: Sequence[str], rows: Sequence[Sequence[str]], none: str
) -> None:
    if pdf.get_y() > 165 or table.name == "rates":
        pdf.add_page()
    pdf.ln(4)
    pdf.set_font(FAMILY, size=12)
    pdf.cell(text=title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font(FAMILY, size=7)
    if not rows:
        pdf.cell(text=none, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        return
    widths = [
        max(pdf.get_string_width(text) for text in (name, *(row[n] for row in rows[:50])))
        for n, name in enumerate(names)
    ]
    widths = [max(6.0, min(width, 60.0)) + 3 for width in widths]
    aligned: Any = tuple(
        "LEFT" if kind in (Kind.TEXT, Kind.WORD, Kind.INSTANT) else "RIGHT" for _, kind in table.columns
    )
    pdf.set_fill_color(255, 255, 255)
    pdf.set_draw_color(*GREY)
    head = FontFace(emphasis="", fill_color=(232, 238, 244))
    with pdf.table(
        width=min(WIDE, sum(widths)),
        col_widths=tuple(widths),
        text_align=aligned,
        align="LEFT",
        line_height=4,
        headings_style=head,
        borders_layout="HORIZONTAL_LINES",
    ) as drawn:
        for line in (names, *rows):
            drawn.row(line)
