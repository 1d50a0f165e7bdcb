"""The guides speak of what there is: their links, pictures, labels, keys, commands and settings exist.

What stands in bold in a guide is a label of the console, in the language of the guide; ``a → b`` are several.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from sharpeyes.cli import app

ROOT = Path(__file__).parents[3]
CONSOLE = ROOT / "console"
FOLDER = ROOT / "docs" / "guide"
pytestmark = pytest.mark.skipif(
    not (FOLDER.is_dir() and CONSOLE.is_dir()), reason="the guides and the console's sources are not here"
)
NAMES = ("operator", "department", "administrator")
GUIDES = {f"{name}{end}": locale for name in NAMES for end, locale in ((".md", "en"), (".zh-CN.md", "zh-CN"))}
READMES = ("README.md", "README.zh-CN.md")
MOST_BYTES = 2_200_000
"""Of all pictures: what everybody fetches who fetches the source."""

sys.path.insert(0, str(CONSOLE))


def text_of(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def labels(locale: str) -> list[re.Pattern[str]]:
    """What may stand on the screen: messages, with anything in their {places}."""
    from words import words

    found = set(words(locale).values())
    return [re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(one)) + r"$") for one in found]


@pytest.mark.parametrize(("name", "locale"), GUIDES.items())
def test_what_is_bold_is_a_label_of_the_console(name: str, locale: str) -> None:
    known = labels(locale)
    quoted = {label for bold in re.findall(r"\*\*([^*]+)\*\*", text_of(name)) for label in bold.split(" → ")}
    assert len(quoted) > 20
    assert sorted(label for label in quoted if not any(one.match(label) for one in known)) == []


@pytest.mark.parametrize("name", [*(f"docs/guide/{name}" for name in GUIDES), *READMES])
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    file = ROOT / name
    targets = re.findall(r"\]\(([^)]+)\)", file.read_text("utf-8"))
    gone = [to for to in targets if "://" not in to and not (file.parent / to.partition("#")[0]).exists()]
    assert gone == []


@pytest.mark.parametrize(("name", "locale"), GUIDES.items())
def test_pictures_are_of_the_language_of_the_guide(name: str, locale: str) -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\((\S+)\)", text_of(name))
    assert len(pictures) >= 6
    assert all(told and path.startswith(f"pictures/{locale}/") for told, path in pictures)


def test_every_picture_is_shown_and_they_are_small_together() -> None:
    shown = {path for name in GUIDES for path in re.findall(r"\]\((pictures/\S+)\)", text_of(name))}
    files = {file.relative_to(FOLDER).as_posix(): file for file in (FOLDER / "pictures").rglob("*.webp")}
    assert sorted(files) == sorted(shown)
    assert sum(file.stat().st_size for file in files.values()) <= MOST_BYTES


def test_each_picture_that_is_taken_is_in_a_guide_of_each_language() -> None:
    source = (CONSOLE / "guide_pictures.py").read_text("utf-8")
    taken = set(re.findall(r'^    Picture\(\s*"(\w+)"', source, re.MULTILINE))
    assert len(taken) > 20
    for locale in ("en", "zh-CN"):
        shown = {
            Path(path).stem
            for name in GUIDES
            for path in re.findall(rf"\]\((pictures/{locale}/\S+)\)", text_of(name))
        }
        assert shown == taken


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same(name: str) -> None:
    """As many parts, pictures and rows, and the same keys, commands and settings."""

    def shape(text: str) -> list[object]:
        pictures = [Path(path).name for path in re.findall(r"!\[[^\]]*\]\((\S+)\)", text)]
        return [len(re.findall(r"^## ", text, re.M)), len(re.findall(r"^\|", text, re.M)), pictures]

    def code(text: str) -> set[str]:
        return set(re.findall(r"`([^`\n]+)`", text.replace("`空格`", "`Space`")))

    english, chinese = text_of(f"{name}.md"), text_of(f"{name}.zh-CN.md")
    assert shape(english) == shape(chinese)
    assert code(english) == code(chinese)


def test_the_readme_says_the_same_in_chinese() -> None:
    """Its parts, rows, commands, paths of the API, settings and files."""
    english, chinese = ((ROOT / name).read_text("utf-8") for name in READMES)
    for same in (r"^## ", r"^\|", r"^```"):
        assert len(re.findall(same, english, re.M)) == len(re.findall(same, chinese, re.M)), same
    for same in (
        r"`([^`\n ]*[/_][^`\n ]*)`",
        r"\]\(([^)]+)\)",
        r"^((?:\.venv/bin/)?(?:sharpeyes|make|cp) [^#\n]*?) *(?:#|$)",
    ):
        found, wanted = (set(re.findall(same, one, re.M)) for one in (chinese, english))
        for language in (".zh-CN.md", ".md"):
            found, wanted = ({one.replace(language, "") for one in many} for many in (found, wanted))
        assert found == wanted


@pytest.mark.parametrize("name", [*(f"docs/guide/{name}" for name in GUIDES), *READMES])
def test_commands_and_settings_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"\bsharpeyes ([a-z]+(?:-[a-z]+)*)(?= |`|$)", text)) <= known | {
        "command"  # '.venv with the sharpeyes command'
    }
    source = "\n".join(file.read_text("utf-8") for file in (ROOT / "src").rglob("*.py"))
    # The settings are fields of a model; their names there are in small letters.
    for variable in set(re.findall(r"SHARPEYES_([A-Z_]+[A-Z])", text)):
        assert f"SHARPEYES_{variable}" in source or re.search(rf"\b{variable.lower()}\b", source), variable


@pytest.mark.parametrize("name", ["operator.md", "operator.zh-CN.md"])
def test_keys_are_those_of_the_console(name: str) -> None:
    frame = (CONSOLE / "src" / "AppFrame.vue").read_text("utf-8")
    letters = set(re.findall(r"letter: '(\w)'", frame))
    row = next(line for line in text_of(name).splitlines() if line.startswith("| `g`"))
    assert set(re.findall(r"`(\w)`", row)) - {"g"} == letters


def test_screenshots_are_taken_of_every_page() -> None:
    routes = re.findall(r"path: '(/[^':*(]*)", (CONSOLE / "src" / "router.ts").read_text("utf-8"))
    source = (CONSOLE / "screenshots.py").read_text("utf-8")
    paths = {path.partition("?")[0] for path in re.findall(r'": "(/[^"]*)"', source)}
    assert {"/cameras/{camera}" if route == "/cameras/" else route for route in routes} - {"/"} <= paths | {
        "/"
    }
    tabs = CONSOLE / "src" / "pages" / "SettingsPage.vue"
    named = set(re.findall(r"name: '(\w+)'", tabs.read_text("utf-8"))) - {"service"}
    assert {f"/settings?tab={tab}" for tab in named} <= set(re.findall(r'": "(/settings[^"]*)"', source))
