"""A YAML file as nodes that know their line, read so that all mistakes can be told at once.

Only the plain part of YAML is taken: mappings, lists and scalars of one document. Aliases (which can make a
kilobyte into a gigabyte), tags and merge keys are refused, and so is a key that stands twice, of which YAML
libraries silently keep the last. Scalars stay text, as they were written, until a reader asks for a number:
``code: 33010800`` keeps its digits and a department called ``no`` its name.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml

from sharpeyes.domain.errors import ConfigError, InvalidInputError

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of what nobody sees, among them the marks that turn text around."""
NULL = frozenset({"", "~", "null", "Null", "NULL"})

T = TypeVar("T")


class ConfigErrors(InvalidInputError):  # noqa: N818 - a group, as ExceptionGroup is
    """Everything that is wrong with a file, in the order of its lines; ``str()`` gives a line an error."""

    kind = "config"

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: error.line))
        super().__init__("\n".join(map(str, self.errors)))


class Wrong(Exception):  # noqa: N818 - not an error of ours but a message on its way to one
    """Raised by a reader of a node: what is wrong with it, said without its place."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Scalar:
    text: str
    plain: bool
    """Written without quotes."""
    line: int

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in NULL


@dataclass(frozen=True, slots=True)
class Listing:
    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    line: int
    items: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Line of each key."""


Node: TypeAlias = Scalar | Listing | Mapping


class Document:
    """One file under reading: its errors and warnings, and its root."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigError] = []

    @classmethod
    def read(cls, path: Path) -> tuple[Document, Mapping]:
        """The file and its root; ConfigErrors if it is not UTF-8, not YAML or not a mapping."""
        document = cls(str(path))
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise document.fatal(
                1, f"the file cannot be read ({error.strerror})", "Check the path and its rights"
            ) from None
        return document, document.parse(data)

    def parse(self, data: bytes) -> Mapping:
        if len(data) > MAX_BYTES:
            raise self.fatal(
                1, f"the file is larger than {MAX_BYTES >> 20} MiB", "Split it, or declare networks"
            )
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self.fatal(
                line, "the file is not UTF-8 text", f"Save it as UTF-8{_guess_encoding(data)}"
            ) from None
        try:
            root = self._compose(text)
        except yaml.YAMLError as error:
            raise self._syntax_error(text, error) from None
        if root is None or (isinstance(root, Scalar) and root.is_null):
            raise self.fatal(1, "the file is empty", "Start from configs/cameras.yaml, the example")
        if not isinstance(root, Mapping):
            raise self.fatal(
                root.line, "the file is not a mapping", "Start from configs/cameras.yaml, the example"
            )
        return root

    def error(self, line: int, message: str, mend: str) -> None:
        self.errors.append(ConfigError(message, file=self.file, line=line, mend=mend))

    def warn(self, line: int, message: str, mend: str) -> None:
        self.warnings.append(ConfigError(message, file=self.file, line=line, mend=mend))

    def fatal(self, line: int, message: str, mend: str) -> ConfigErrors:
        self.error(line, message, mend)
        return ConfigErrors(self.errors)

    def _compose(self, text: str) -> Node | None:
        """Nodes from events, without recursion: a file of a million brackets is an error, not a crash."""
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        root: Node | None = None
        open_nodes: list[Listing | Mapping] = []
        keys: list[Scalar | None] = []  # of each open mapping: the key that waits for its value
        for event in yaml.parse(text, Loader=loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            node: Node
            match event:
                case yaml.ScalarEvent():
                    node = Scalar(event.value, event.style in (None, ""), line)
                case yaml.SequenceStartEvent():
                    node = Listing(line)
                case yaml.MappingStartEvent():
                    node = Mapping(line)
                case yaml.AliasEvent():
                    raise self.fatal(line, f"*{event.anchor} is an alias", "Write the value out")
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    open_nodes.pop()
                    keys.pop()
                    continue
                case yaml.DocumentStartEvent() if root is not None:
                    raise self.fatal(line, "a second document begins here", "Remove the line '---'")
                case _:
                    continue
            if event.tag is not None and event.tag != "!":
                raise self.fatal(line, "tags such as !!str are not used here", "Remove the tag")
            if event.anchor is not None:
                raise self.fatal(line, f"&{event.anchor} is an anchor", "Remove it")
            if not open_nodes:
                root = node
            elif isinstance(parent := open_nodes[-1], Listing):
                parent.items.append(node)
            elif (key := keys[-1]) is None:
                if not isinstance(node, Scalar):
                    raise self.fatal(line, "a key is a list or a mapping", "Write the key as a word")
                keys[-1] = node
            else:
                keys[-1] = None
                if key.text in parent.items:
                    self.error(
                        key.line,
                        f"the key '{key.text}' stands twice, first in line {parent.lines[key.text]}",
                        "Keep one of them",
                    )
                else:
                    parent.items[key.text] = node
                    parent.lines[key.text] = key.line
            if not isinstance(node, Scalar):
                if len(open_nodes) >= MAX_DEPTH:
                    raise self.fatal(line, f"nested deeper than {MAX_DEPTH} levels", "Check the brackets")
                open_nodes.append(node)
                keys.append(None)
        return root

    def _syntax_error(self, text: str, error: yaml.YAMLError) -> ConfigErrors:
        if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
            lines = text.splitlines()
            line = min(mark.line + 1, max(len(lines), 1))
            source = lines[line - 1] if lines else ""
            if re.match(r" *\t", source):
                return self.fatal(line, "the line is indented with a tab", "Indent with spaces")
            problem = str(error.problem)
            if "cannot start any token" in problem:
                return self.fatal(line, f"not YAML: {problem}", "Put the value in quotes")
            if "mapping values are not allowed" in problem:
                return self.fatal(
                    line, f"not YAML: {problem}", "Check the indentation; quote a value that holds ': '"
                )
            since = f", begun in line {error.context_mark.line + 1}" if error.context_mark else ""
            return self.fatal(line, f"not YAML: {problem}{since}", "Check indentation, brackets and quotes")
        position = getattr(error, "position", 0)
        return self.fatal(
            text.count("\n", 0, position) + 1, "the file holds a control character", "Remove the character"
        )


class Section:
    """A mapping under reading. It notes what was asked for; :meth:`close` refuses whatever else is in it."""

    def __init__(self, document: Document, node: Node, path: str) -> None:
        self.document = document
        self.path = path
        self.line = node.line
        self._asked: list[str] = []
        self._node = Mapping(node.line)
        self._usable = isinstance(node, Mapping)
        if isinstance(node, Mapping):
            self._node = node
        else:
            self.error(
                node.line,
                f"{path or 'the file'}: {kind_of(node)} where a mapping is wanted",
                "Write keys and values",
            )

    def error(self, line: int, message: str, mend: str) -> None:
        self.document.error(line, message, mend)

    def where(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def line_of(self, key: str) -> int:
        return self._node.lines.get(key, self.line)

    def node(self, key: str) -> Node | None:
        """The value of a key, None if it is missing or null."""
        self._asked.append(key)
        node = self._node.items.get(key)
        return None if isinstance(node, Scalar) and node.is_null else node

    def get(self, key: str, reader: Callable[[Node], T], default: T) -> T:
        """The value of a key as ``reader`` makes it; ``default`` if it is missing or wrong."""
        node = self.node(key)
        if node is None:
            return default
        try:
            return reader(node)
        except Wrong as wrong:
            self.error(node.line, f"{self.where(key)}: {wrong.message}", wrong.mend)
            return default

    def need(self, key: str, reader: Callable[[Node], T], mend: str) -> T | None:
        """The same for a key that must be there; None only if an error was noted."""
        if self.node(key) is None:
            if self._usable:
                self.error(self.line_of(key), f"{self.path}: {key} is missing", mend)
            return None
        return self.get(key, reader, None)

    def section(self, key: str) -> Section | None:
        node = self.node(key)
        return None if node is None else Section(self.document, node, self.where(key))

    def sections(self) -> list[tuple[str, Section]]:
        """Of a mapping from names to mappings: each name with its section. An empty value is an empty one."""
        found = []
        for key, node in self._node.items.items():
            self._asked.append(key)
            body = Mapping(self.line_of(key)) if isinstance(node, Scalar) and node.is_null else node
            found.append((key, Section(self.document, body, self.where(key))))
        return found

    def items(self, key: str) -> list[Section]:
        """Of a list of mappings: a section each."""
        node = self.node(key)
        if node is None:
            return []
        if not isinstance(node, Listing):
            self.error(
                node.line,
                f"{self.where(key)}: {kind_of(node)} where a list is wanted",
                "Begin each with '- '",
            )
            return []
        return [Section(self.document, item, f"{self.where(key)}[{n}]") for n, item in enumerate(node.items)]

    def refuse(self, key: str, message: str, mend: str) -> None:
        """Say about a key more than that it is unknown."""
        if self.node(key) is not None:
            self.error(self.line_of(key), f"{self.where(key)}: {message}", mend)

    def close(self) -> None:
        for key, line in self._node.lines.items():
            if key not in self._asked:
                known = sorted(set(self._asked))
                self.error(line, f"{self.path or 'the file'}: unknown key '{key}'", meant(key, known))


def meant(word: str, known: Iterable[str]) -> str:
    """'Did you mean ...?', or what there is to choose from."""
    names = sorted(known)
    if guess := closest(word, names):
        return f"Did you mean '{guess}'?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"Known: {shown}" if names else "None is declared"


def closest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant, whatever its case."""
    return _closest(word, tuple(known))


@lru_cache(maxsize=256)  # a name that is not declared is often used a thousand times
def _closest(word: str, known: tuple[str, ...]) -> str | None:
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), folded, 1, 0.65)
    return folded[close[0]] if close else None


def kind_of(node: Node) -> str:
    match node:
        case Mapping():
            return "a mapping"
        case Listing():
            return "a list"
        case Scalar() if node.is_null:
            return "nothing"
        case _:
            return "a single value"


# --- readers of one node --------------------------------------------------------------------------------


def text(node: Node) -> str:
    """A scalar as it was written, at most 200 characters, without control characters."""
    if not isinstance(node, Scalar) or node.is_null:
        raise Wrong(f"{kind_of(node)} where text is wanted", "Write one value on the line")
    value = node.text.strip()
    if not 0 < len(value) <= 200 or any(unicodedata.category(c) in UNSEEN for c in value):
        raise Wrong("text of 1 to 200 visible characters is wanted", "Shorten it, or remove line breaks")
    return value


def number(low: float, high: float) -> Callable[[Node], float]:
    def read(node: Node) -> float:
        if not isinstance(node, Scalar) or not re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?", node.text):
            raise Wrong(
                f"{_shown(node)} where a number is wanted", f"Write a number from {low:g} to {high:g}"
            )
        value = float(node.text)
        if not low <= value <= high:
            raise Wrong(f"{node.text} is out of range", f"Write a number from {low:g} to {high:g}")
        return value

    return read


def whole(low: int, high: int) -> Callable[[Node], int]:
    def read(node: Node) -> int:
        if not isinstance(node, Scalar) or not re.fullmatch(r"\d{1,15}", node.text):
            raise Wrong(
                f"{_shown(node)} where a whole number is wanted", f"Write a number from {low} to {high}"
            )
        value = int(node.text)
        if not low <= value <= high:
            raise Wrong(f"{value} is out of range", f"Write a number from {low} to {high}")
        return value

    return read


def flag(node: Node) -> bool:
    if isinstance(node, Scalar) and node.text.lower() in ("true", "false"):
        return node.text.lower() == "true"
    raise Wrong(f"{_shown(node)} where true or false is wanted", "Write true or false")


def word(choices: Iterable[str]) -> Callable[[Node], str]:
    known = list(choices)

    def read(node: Node) -> str:
        value = text(node)
        if value not in known:
            guess = closest(value, known)
            mend = f"Did you mean '{guess}'?" if guess else "Write one of them"
            raise Wrong(f"'{value}' is not one of {', '.join(known)}", mend)
        return value

    return read


def identifier(value: str) -> str:
    """An id: it stands in URLs, metrics and file names."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise Wrong(
            f"'{value[:80]}' cannot be an id",
            "Use 1 to 64 letters, digits, '.', '_' and '-' of ASCII; the name can be in Chinese",
        )
    return value


def variable_name(node: Node) -> str:
    """Name of an environment variable that holds a secret."""
    name = text(node)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", name):
        # Not quoted: whoever writes a password here by mistake must not find it in a log.
        raise Wrong("this is not the name of an environment variable", "Write its name, not the password")
    if name.startswith("SHARPEYES_"):
        raise Wrong(
            "names that begin with SHARPEYES_ are settings", "Use another name, such as CAMERA_PASSWORD"
        )
    return name


def listing(reader: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    def read(node: Node) -> tuple[T, ...]:
        if not isinstance(node, Listing):
            raise Wrong(f"{kind_of(node)} where a list is wanted", "Write [a, b]")
        return tuple(reader(item) for item in node.items)

    return read


def _shown(node: Node) -> str:
    return f"'{node.text[:40]}'" if isinstance(node, Scalar) and not node.is_null else kind_of(node)


def _guess_encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return " (it looks like UTF-16)"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return " (it looks like GB18030)"
