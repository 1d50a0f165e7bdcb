"""The dossier of a camera (一机一档): the 27 columns that a city keeps of each, their codes and their traps.

A value is read by :func:`read` from what a person wrote into a cell, or refused with what is wrong with it.
What is read is normal: two spellings of one value are one value.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TypeAlias

from sharpeyes.domain.access import Place
from sharpeyes.domain.errors import InvalidInputError

Value: TypeAlias = str | int | float
MAX_TEXT = 200
UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of what nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What is kept of a camera besides what the registry works with; None is a cell that was not filled."""

    manufacturer: str | None = None
    region: str | None = None
    """GB/T 2260 code or name of the administrative region, as written."""
    point_type: str | None = None
    """1, 2, 3 (public security, other units, society), 4 inside the police, 9 other."""
    model: str | None = None
    alias: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    mac: str | None = None
    camera_type: str | None = None
    function_type: str | None = None
    fill_light: str | None = None
    encoding: str | None = None
    address: str | None = None
    """Where it hangs, in words."""
    longitude: float | None = None
    """Degrees, WGS 84."""
    latitude: float | None = None
    place_type: str | None = None
    direction: str | None = None
    networked: str | None = None
    """``connected`` or ``disconnected``."""
    police_unit: str | None = None
    installed: str | None = None
    """Date, ``YYYY-MM-DD``."""
    keeper: str | None = None
    """The unit that manages it."""
    contact: str | None = None
    retention_days: int | None = None
    """How long recordings are kept."""
    status: str | None = None
    """``1`` in use, ``2`` under repair, ``3`` dismantled."""
    industry: str | None = None
    filing_number: str | None = None
    """Number under which it is filed with public security (Order 799, article 14)."""
    filing_date: str | None = None
    sign: str | None = None
    """What proves the conspicuous sign beside it (article 13): a photo's reference, a work order."""


FIELDS = tuple(f.name for f in fields(Dossier))
EMPTY = Dossier()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dossier file."""

    field: str
    heading: str
    mandatory: bool = False
    personal: bool = False
    """Addresses in the network and people's telephones: for who mends cameras."""


COLUMNS = (
    Column("code", "设备编码", mandatory=True),
    Column("name", "名称", mandatory=True),
    Column("manufacturer", "厂商", mandatory=True),
    Column("region", "行政区域", mandatory=True),
    Column("point_type", "点位类型", mandatory=True),
    Column("model", "型号"),
    Column("alias", "俗称"),
    Column("ipv4", "IPv4", personal=True),
    Column("ipv6", "IPv6", personal=True),
    Column("mac", "MAC", personal=True),
    Column("camera_type", "摄像机类型"),
    Column("function_type", "功能类型"),
    Column("fill_light", "补光"),
    Column("encoding", "编码格式"),
    Column("address", "安装地址", mandatory=True),
    Column("longitude", "经度", mandatory=True),
    Column("latitude", "纬度", mandatory=True),
    Column("place_type", "位置类型", mandatory=True),
    Column("direction", "监视方位"),
    Column("networked", "联网属性", mandatory=True),
    Column("police_unit", "所属辖区公安机关", mandatory=True),
    Column("installed", "安装时间", mandatory=True),
    Column("keeper", "管理单位", mandatory=True),
    Column("contact", "联系方式", mandatory=True, personal=True),
    Column("retention_days", "录像保存天数", mandatory=True),
    Column("status", "设备状态", mandatory=True),
    Column("industry", "所属部门/行业"),
)
"""The 27, in the order of the import form."""

DUTIES = (
    Column("filing_number", "备案编号"),
    Column("filing_date", "备案日期"),
    Column("sign", "标识牌"),
)
"""What Order 799 wants before a public camera is put to use."""

PLACING = (
    Column("id", "ID"),
    Column("tier", "视频层级"),
    Column("department", "部门"),
    Column("area", "区域"),
    Column("zone", "网络区"),
    Column("main", "主码流", personal=True),
    Column("sub", "子码流", personal=True),
    Column("credential", "凭据"),
    Column("tags", "标签"),
)
"""What SharpEyes needs besides: whose a camera is, and how it is looked at."""

BY_FIELD = {column.field: column for column in (*COLUMNS, *DUTIES, *PLACING)}
MANDATORY = tuple(column.field for column in COLUMNS if column.mandatory)
PERSONAL = frozenset(column.field for column in BY_FIELD.values() if column.personal)

CODES: Mapping[str, Mapping[str, str]] = {
    "point_type": {
        **{n: n for n in "12349"},
        "1类": "1", "2类": "2", "3类": "3", "一类": "1", "二类": "2", "三类": "3",
        "一类视频监控点": "1", "二类视频监控点": "2", "三类视频监控点": "3",
        "公安内部": "4", "公安内部视频监控点": "4", "其他": "9", "其他点位": "9",
    },
    "networked": {
        "已联网": "connected", "未联网": "disconnected", "联网": "connected",
        "connected": "connected", "disconnected": "disconnected", "是": "connected", "否": "disconnected",
    },
    "status": {
        **{n: n for n in "123"},
        "在用": "1", "维修": "2", "拆除": "3", "使用中": "1", "维修中": "2", "已拆除": "3",
        "in use": "1", "repair": "2", "dismantled": "3",
    },
}  # fmt: skip
"""Columns of coded values: what may stand in a cell, and what it means here. The bare digits of 联网属性 are
not among them: 1 is *connected* in one system and *not connected* in another, so each source says which."""

SHOWN: Mapping[str, Mapping[str, str]] = {
    "networked": {"connected": "已联网", "disconnected": "未联网"},
    "status": {"1": "在用", "2": "维修", "3": "拆除"},
    "point_type": {"1": "1类", "2": "2类", "3": "3类", "4": "公安内部", "9": "其他"},
}
"""The same, back into a cell; every word reads back as what it was."""

TIER_OF_POINT = {"1": "public_security", "2": "departmental", "3": "community", "4": "public_security"}
"""The tier of a point's type, where nobody says another."""

_PLACES = {
    Place.HOTEL_ROOM: ("客房",),
    Place.DORMITORY: ("宿舍", "寝室"),
    Place.BATH: ("浴室", "洗浴间", "淋浴间"),
    Place.TOILET: ("卫生间", "厕所", "公厕", "洗手间"),
    Place.CHANGING_ROOM: ("更衣室", "更衣间"),
    Place.NURSING_ROOM: ("哺乳室", "母婴室"),
    Place.FITTING_ROOM: ("试衣间", "试衣室"),
}


def place_of(text: str | None) -> Place:
    """The kind of place that a place type names: what article 8 singles out, by our word or in Chinese.

    A place before such a room (更衣室门口) or around it (宿舍区) is not that room.
    """
    word = re.sub("(内部?|里)$", "", "".join((text or "").split()).casefold())
    if word in {place.value for place in Place}:
        return Place(word)
    for place, words in _PLACES.items():
        if word.endswith(words):
            return place
    return Place.OPEN


def read(field: str, text: str, codes: Mapping[str, str] | None = None) -> Value:
    """The value that ``text`` (not empty) means in the column; ``codes`` is the source's own table for it.

    Raises InvalidInputError: what is wrong with the value, and the mend; the caller names the column.
    """
    text = text.strip()
    if len(text) > MAX_TEXT or any(unicodedata.category(c) in UNSEEN for c in text):
        raise InvalidInputError(f"1 to {MAX_TEXT} visible characters are wanted", mend="Shorten the text")
    if codes:
        text = codes.get(text, text)
    if field in CODES:
        return _coded(field, text)
    reader = _READERS.get(field)
    return reader(text) if reader is not None else text


def shown(field: str, value: Value | None) -> str:
    """A value as it stands in a cell; the empty string for None."""
    if value is None:
        return ""
    if field in SHOWN:
        return SHOWN[field].get(str(value), str(value))
    return f"{value:.7f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _coded(field: str, text: str) -> str:
    table = CODES[field]
    value = table.get(text) or table.get(text.casefold())
    if value is not None:
        return value
    if field == "networked" and text in ("0", "1"):
        raise InvalidInputError(
            f"{text} is 已联网 in some systems and 未联网 in others",
            mend='Say which: codes: {networked: {"0": 已联网, "1": 未联网}}, or the other way round',
        )
    known = ", ".join(dict.fromkeys(SHOWN[field][code] for code in table.values()))
    raise InvalidInputError(
        f"{text[:40]!r} is not a known code", mend=f"Write one of {known}, or give a code map"
    )


def _code(text: str) -> str:
    if re.fullmatch(r"\d(\.\d+)?[eE]\+?\d+", text):
        raise InvalidInputError(
            "the number lost its digits in a spreadsheet", mend="Format the column as text and enter it again"
        )
    if not (text.isascii() and text.isdigit() and len(text) == 20):
        raise InvalidInputError(
            f"a unified number has 20 digits, this has {len(text)} characters", mend="Write all 20 digits"
        )
    return text


def _ip(version: int) -> Callable[[str], str]:
    def reader(text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise InvalidInputError(
                f"{text[:45]!r} is not an address", mend=f"Write an IPv{version} address, without a port"
            ) from None
        if address.version != version:
            raise InvalidInputError(
                f"{text} is an IPv{address.version} address", mend=f"It belongs into IPv{address.version}"
            )
        return str(address)

    return reader


def _mac(text: str) -> str:
    digits = re.sub(r"[\s:.\-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise InvalidInputError(f"{text[:40]!r} is not a MAC", mend="Write 12 hexadecimal digits")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _degrees(limit: int) -> Callable[[str], float]:
    def reader(text: str) -> float:
        if not re.fullmatch(r"[+-]?\d{1,3}(\.\d{1,18})?", text) or abs(float(text)) > limit:
            raise InvalidInputError(
                f"{text[:40]!r} is not in degrees", mend=f"Write a decimal number from -{limit} to {limit}"
            )
        return round(float(text), 7)

    return reader


def _date(text: str) -> str:
    plain = re.sub(r"[年月/.]", "-", text.removesuffix("日")).split(" ")[0].split("T")[0]
    if re.fullmatch(r"\d{8}", plain):
        plain = f"{plain[:4]}-{plain[4:6]}-{plain[6:]}"
    parts = plain.split("-")
    try:
        if len(parts) != 3:
            raise ValueError
        day = date(*(int(part) for part in parts))
    except ValueError:
        raise InvalidInputError(f"{text[:40]!r} is not a date", mend="Write it as 2026-10-05") from None
    if not 1980 <= day.year <= 2200:
        raise InvalidInputError(f"{text[:40]} is hardly the date of a camera", mend="Check the year")
    return day.isoformat()


def _days(text: str) -> int:
    digits = text.removesuffix("天").strip()
    if not re.fullmatch(r"\d{1,5}", digits):
        raise InvalidInputError(f"{text[:40]!r} is not a number of days", mend="Write a whole number")
    return int(digits)


_READERS: Mapping[str, Callable[[str], Value]] = {
    "code": _code,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "mac": _mac,
    "longitude": _degrees(180),
    "latitude": _degrees(90),
    "installed": _date,
    "filing_date": _date,
    "retention_days": _days,
}


def plain(value: object) -> str:
    """What a spreadsheet's cell holds, as the text that a person sees in it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, float):
        # From 15 digits on a spreadsheet has lost some: left in the form that readers know it by.
        return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(value)
    text = str(value).strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]  # how a spreadsheet is talked into keeping digits
    return text[1:] if text[:1] == "'" and text[1:2] in _RISKY else text


_RISKY = tuple("=+-@\t\r\n'0123456789")


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula; :func:`plain` gives the text back."""
    risky = text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") and not re.fullmatch(r"[+-]?\d+(\.\d+)?", text)
    return f"'{text}" if risky or (text[:1] == "'" and text[1:2] in _RISKY) else text
