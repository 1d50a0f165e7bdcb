"""The console's words, by key, out of their sources: what a button says in a language."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "src" / "i18n"
LANGUAGES = {"en": "en", "zh-CN": "zh"}
"""Of files, by locale."""
_ENTRY = re.compile(r"^\s+'([\w.-]+)':\s*'((?:[^'\\\n]|\\.)*)'", re.MULTILINE)


def words(locale: str) -> dict[str, str]:
    """All messages of ``en`` or ``zh-CN``, with their {places} as they are."""
    language = LANGUAGES[locale]
    files = sorted({FOLDER / f"{language}.ts", *FOLDER.glob(f"*.{language}.ts")})
    found = (entry for file in files for entry in _ENTRY.findall(file.read_text("utf-8")))
    return {key: re.sub(r"\\(.)", r"\1", text) for key, text in found}
