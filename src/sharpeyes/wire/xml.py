"""XML from strangers: bounded, without DTD and entities, in whatever encoding a camera really used.

Two steps, so that a stricter parser can be given the first one's result: :func:`decode` turns bytes into
text that is free of what XML forbids, :func:`parse` turns that text into a tree or refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree  # the target below refuses DTDs before anything in them is read

from sharpeyes.wire.errors import WireSyntaxError


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """What one document may cost."""

    elements: int = 30_000
    """A recorder of 128 channels with two profiles each needs about 15,000."""
    depth: int = 64
    attributes: int = 64


class XmlSyntaxError(WireSyntaxError):
    """Not well-formed, or asking for more than an honest document needs."""


_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,200}\?>", re.ASCII)
_ENCODING = re.compile(rb"\A\s*<\?xml[^>]{0,120}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# XML 1.0 section 2.2: characters that no document may hold; cameras put them in names all the same.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Encodings met in the field. A list, since Python's registry also holds codecs that are no encodings.
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "utf-16": "utf-16",
    "gb2312": "gb18030",  # its superset: what says GB2312 often holds GBK
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
    "shift_jis": "shift_jis",
    "euc-kr": "euc-kr",
    "iso-8859-1": "latin-1",
    "windows-1251": "cp1251",
    "windows-1252": "cp1252",
}


def decode(data: bytes, charset: str | None = None) -> str:
    """Text of a document, without its XML declaration, and without the characters that XML forbids.

    Tried in turn: a byte order mark, the encoding declared inside, the ``charset`` of the HTTP header, UTF-8,
    GB18030 (devices declare UTF-8 and send GB2312); what fits none of them is read as UTF-8 with replacement
    characters, since one broken name should not hide a camera.
    """
    text = None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        data = data.removeprefix(b"\xef\xbb\xbf")
        declared = _ENCODING.match(data)
        names = [declared[1].decode("ascii") if declared else "", charset or ""]
        for codec in [*filter(None, (_CODECS.get(name.lower()) for name in names)), "utf-8", "gb18030"]:
            try:
                text = data.decode(codec)
                break
            except UnicodeDecodeError:
                continue
    if text is None:
        text = data.decode("utf-8", "replace")
    return _DECLARATION.sub("", _FORBIDDEN.sub("", text).strip(), count=1).lstrip()


class _BoundedTarget:
    """Builds the tree while counting; raises from inside the parser, so that nothing is built beyond."""

    def __init__(self, limits: XmlLimits) -> None:
        self._builder = ElementTree.TreeBuilder()
        self._limits = limits
        self._elements = 0
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        self._elements += 1
        self._depth += 1
        limits = self._limits
        if (
            self._elements > limits.elements
            or self._depth > limits.depth
            or len(attributes) > limits.attributes
        ):
            raise XmlSyntaxError(
                f"more than {limits.elements} elements, {limits.depth} levels "
                f"or {limits.attributes} attributes",
                offset=0,
                path="xml",
            )
        return self._builder.start(tag, attributes)

    def end(self, tag: str) -> ElementTree.Element:
        self._depth -= 1
        return self._builder.end(tag)

    def data(self, data: str) -> None:
        self._builder.data(data)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called before the internal subset is read: no entity ever comes to life."""
        del name, pubid, system
        raise XmlSyntaxError("a document type declaration is not accepted", offset=0, path="xml > doctype")

    def close(self) -> ElementTree.Element:
        return self._builder.close()


def parse(text: str, limits: XmlLimits = XmlLimits()) -> ElementTree.Element:
    """The root element.

    :raises XmlSyntaxError: not well-formed, a DTD, or beyond the limits.
    """
    parser = ElementTree.XMLParser(target=_BoundedTarget(limits))  # noqa: S314 (hardened by its target)
    try:
        parser.feed(text.encode("utf-8"))
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        line, column = error.position
        offset = sum(len(row) + 1 for row in text.split("\n")[: line - 1]) + column
        raise XmlSyntaxError(
            str(error).split(":")[0] or "not well-formed", offset=offset, path="xml"
        ) from error
    except (ValueError, AssertionError, IndexError) as error:
        raise XmlSyntaxError("not well-formed", offset=0, path="xml") from error
    return root


def local(element: ElementTree.Element) -> str:
    """Its name without the namespace: devices get prefixes and namespaces wrong more often than names."""
    return element.tag.rpartition("}")[2]


def children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """The direct children of that local name."""
    return (child for child in element if local(child) == name)


def child(element: ElementTree.Element | None, *path: str) -> ElementTree.Element | None:
    """Follows local names downwards; None where the path ends."""
    for name in path:
        if element is None:
            return None
        element = next(children(element, name), None)
    return element


def text_of(element: ElementTree.Element | None, limit: int = 2048) -> str:
    """Its own text, trimmed and cut; the empty string for none."""
    return "" if element is None or element.text is None else element.text[: limit + 64].strip()[:limit]
