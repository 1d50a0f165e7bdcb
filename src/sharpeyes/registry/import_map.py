"""How the files of one source are read: which heading is which column, what its codes mean, what is the rest.

::

    columns: {摄像机编号: code, 摄像机名称: name, 备注: ""}       # "" is passed over
    codes: {networked: {"0": 已联网, "1": 未联网}}
    defaults: {tier: community, zone: community}
    keys: [ipv4]                                               # names a camera where there is no code
    encoding: gb18030
    sheet: 一机一档
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sharpeyes.domain.dossier import BY_FIELD
from sharpeyes.domain.errors import InvalidInputError

KEYS = ("id", "name", "ipv4", "mac", "address", "alias")
"""Columns that may tell which camera a row without a known code means."""
DEFAULTS = ("tier", "department", "area", "zone", "credential", "point_type", "networked", "status")
MOST = 200
_ALIASES = {
    "设备名称": "name", "摄像机名称": "name", "点位名称": "name", "统一编号": "code", "国标编码": "code",
    "摄像机编码": "code", "设备厂商": "manufacturer", "设备厂家": "manufacturer", "设备型号": "model",
    "点位俗称": "alias", "ip地址": "ipv4", "ip": "ipv4", "ipv4地址": "ipv4", "ipv6地址": "ipv6",
    "mac地址": "mac", "补光属性": "fill_light", "视频编码格式": "encoding", "摄像机编码格式": "encoding",
    "摄像机功能类型": "function_type", "摄像机位置类型": "place_type", "设备状态码": "status",
    "录像保存时间": "retention_days", "行政区划": "region", "行政区域代码": "region",
    "管理单位联系方式": "contact", "所属部门": "industry", "行业": "industry", "rtsp": "main",
    "主码流地址": "main", "子码流地址": "sub",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMap:
    """The reading of one source."""

    columns: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    encoding: str | None = None
    sheet: str | None = None

    @classmethod
    def of(cls, document: Any) -> ImportMap:
        """From JSON or YAML; InvalidInputError names the member that is wrong."""
        if not isinstance(document, Mapping):
            raise InvalidInputError(
                "map: a mapping is wanted", mend="Write for example columns: {名称: name}"
            )
        known = ("columns", "codes", "defaults", "keys", "encoding", "sheet")
        for name in document:
            if name not in known:
                raise InvalidInputError(
                    f"map: unknown member {str(name)[:40]!r}", mend=f"Known: {', '.join(known)}"
                )
        columns = _words(document.get("columns"), "columns")
        for heading, name in columns.items():
            _known(name, (*BY_FIELD, ""), f"columns.{heading}")
        codes: dict[str, Mapping[str, str]] = {}
        for name, table in _mapping(document.get("codes"), "codes").items():
            _known(name, BY_FIELD, "codes")
            codes[name] = _words(table, f"codes.{name}")
        defaults = _words(document.get("defaults"), "defaults")
        for name in defaults:
            _known(name, DEFAULTS, "defaults")
        keys = document.get("keys") or ()
        if not isinstance(keys, list | tuple) or len(keys) > len(KEYS):
            raise InvalidInputError("map.keys: a list is wanted", mend=f"Of {', '.join(KEYS)}")
        for name in keys:
            _known(str(name), KEYS, "keys")
        return cls(
            columns={heading_key(heading): name for heading, name in columns.items()},
            codes=codes,
            defaults=defaults,
            keys=tuple(dict.fromkeys(str(name) for name in keys)),
            encoding=_text(document.get("encoding"), "encoding"),
            sheet=_text(document.get("sheet"), "sheet"),
        )

    def field_of(self, heading: str) -> str | None:
        """The column that a heading means; "" if it is to be passed over, None if it is not known."""
        key = heading_key(heading)
        return self.columns.get(key, HEADINGS.get(key))

    def document(self) -> dict[str, Any]:
        """What :meth:`of` reads back."""
        return {
            "columns": dict(self.columns),
            "codes": {name: dict(table) for name, table in self.codes.items()},
            "defaults": dict(self.defaults),
            "keys": list(self.keys),
            "encoding": self.encoding,
            "sheet": self.sheet,
        }


def heading_key(text: str) -> str:
    """Two spellings of a heading are one: marks of mandatory columns, brackets, spaces, case."""
    bare = re.sub(r"[(（\[【].*?[)）\]】]", "", text)
    return re.sub(r"[\s*＊:：_]", "", bare).casefold()


HEADINGS = {
    **{heading_key(name): target for name, target in _ALIASES.items()},
    **{heading_key(column.field): column.field for column in BY_FIELD.values()},
    **{heading_key(column.heading): column.field for column in BY_FIELD.values()},
}


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MOST:
        raise InvalidInputError(f"map.{where}: a mapping of at most {MOST} members is wanted")
    return {str(key): one for key, one in value.items()}


def _words(value: Any, where: str) -> dict[str, str]:
    found = {}
    for key, one in _mapping(value, where).items():
        if one is not None and not isinstance(one, str | int | float):
            raise InvalidInputError(f"map.{where}.{key[:40]}: text is wanted")
        found[key] = "" if one is None else str(one).strip()[:200]
    return found


def _known(name: str, known: Any, where: str) -> None:
    if name not in known:
        shown = ", ".join(one for one in known if one)
        raise InvalidInputError(f"map.{where}: {name[:40]!r} is not known", mend=f"One of {shown}")


def _text(value: Any, where: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 100:
        raise InvalidInputError(f"map.{where}: text of at most 100 characters is wanted")
    return value
