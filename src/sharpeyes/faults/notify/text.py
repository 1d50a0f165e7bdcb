"""Messages in words, Chinese and English: one notice, or several in one digest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from sharpeyes.domain.faults import FaultKind, Notice, Scope, Severity, Topic
from sharpeyes.domain.time import Ms
from sharpeyes.faults.notify.recipients import Language

ZH, EN = Language.ZH, Language.EN

LONGEST_NAME = 120
LINES_IN_DIGEST = 50

SCOPES = {
    Scope.CAMERA: {ZH: "摄像机", EN: "Camera"},
    Scope.NODE: {ZH: "上游设备", EN: "Upstream"},
    Scope.ZONE: {ZH: "网络区域", EN: "Zone"},
}
KINDS = {
    FaultKind.OFFLINE: {ZH: "离线", EN: "is offline"},
    FaultKind.DEGRADED: {ZH: "图像异常", EN: "has a degraded picture"},
    FaultKind.FLAPPING: {ZH: "反复上下线", EN: "keeps coming and going"},
    FaultKind.CLOCK: {ZH: "时钟超差", EN: "has a wrong clock"},
    FaultKind.BLIND: {ZH: "无法探测(本系统侧故障)", EN: "cannot be seen: the fault is on our side"},
}
SEVERITIES = {
    Severity.CRITICAL: {ZH: "严重", EN: "Critical"},
    Severity.MAJOR: {ZH: "重要", EN: "Major"},
    Severity.MINOR: {ZH: "一般", EN: "Minor"},
}
CAUSES_ZH = {
    "upstream": "上游故障",
    "name_unknown": "域名无法解析",
    "refused": "连接被拒绝",
    "unreachable": "网络不可达",
    "timeout": "超时无应答",
    "closed": "连接被对端关闭",
    "tls": "TLS 握手失败",
    "certificate": "证书不受信任",
    "auth_failed": "认证失败",
    "auth_unsupported": "不支持的认证方式",
    "busy": "设备会话已满",
    "not_found": "流地址不存在",
    "rtsp_status": "RTSP 返回错误",
    "malformed": "报文格式错误",
    "no_video": "没有视频流",
    "no_media": "没有媒体数据",
    "no_keyframe": "没有关键帧",
    "undecodable": "画面无法解码",
}
WORDS = {
    "recovered": {ZH: "已恢复", EN: "has recovered"},
    "escalated": {ZH: "工单升级({level}级)", EN: "escalated to level {level}"},
    "children": {ZH: "影响 {n} 路摄像机", EN: "{n} cameras are down because of it"},
    "ticket": {ZH: "工单", EN: "Ticket"},
    "cause": {ZH: "原因", EN: "Cause"},
    "since": {ZH: "开始时间", EN: "Since"},
    "ended": {ZH: "恢复时间", EN: "Until"},
    "lasted": {ZH: "持续", EN: "Lasted"},
    "unit": {ZH: "责任单位", EN: "Responsible"},
    "area": {ZH: "区域", EN: "Area"},
    "due": {ZH: "处理期限", EN: "Due"},
    "digest": {
        ZH: "故障汇总:未恢复 {down} 项,已恢复 {up} 项",
        EN: "Faults in brief: {down} going on, {up} recovered",
    },
    "more": {ZH: "另有 {n} 项,详见系统", EN: "and {n} more"},
    "test": {ZH: "【测试】SharpEyes 通知测试", EN: "[Test] SharpEyes reaches you here"},
    "only_test": {ZH: "此消息仅用于测试通知渠道,无需处理", EN: "Only a test: nothing is wrong"},
    "recipient": {ZH: "接收方", EN: "Recipient"},
    "at": {ZH: "时间", EN: "At"},
    "separator": {ZH: ":", EN: ": "},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes out, whatever the channel."""

    key: str
    """The same for every attempt."""
    subject: str
    lines: tuple[str, ...]
    created: Ms
    notices: tuple[Notice, ...]
    thread: str
    """The same for all messages about one cycle of a ticket."""
    files: tuple[Path, ...] = ()
    """To be attached, where the channel is e-mail."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def compose(key: str, created: Ms, notices: Sequence[Notice], language: Language, zone: tzinfo) -> Message:
    """The message for one notice or more; the same arguments give the same words."""
    if len(notices) == 1:
        (notice,) = notices
        subject, lines = headline(notice, language), _details(notice, language, zone)
        thread = f"ticket-{notice.ticket}-{notice.cycle}"
    else:
        subject, lines = _digest(notices, language, zone)
        thread = f"digest-{key}"
    return Message(
        key=key,
        subject=subject,
        lines=tuple(lines),
        created=created,
        notices=tuple(notices),
        thread=thread,
    )


def trial(key: str, created: Ms, recipient: str, language: Language, zone: tzinfo) -> Message:
    """The message that shows whether a channel works: about no fault."""
    rows = (("recipient", plain(recipient)), ("at", clock(created, zone)))
    separator = WORDS["separator"][language]
    return Message(
        key=key,
        subject=WORDS["test"][language],
        lines=(
            WORDS["only_test"][language],
            *(f"{WORDS[word][language]}{separator}{value}" for word, value in rows),
        ),
        created=created,
        notices=(),
        thread=f"test-{key}",
    )


def headline(notice: Notice, language: Language) -> str:
    """One line that says it all."""
    name = plain(notice.name)
    scope, severity = SCOPES[notice.scope][language], SEVERITIES[notice.severity][language]
    if notice.topic is Topic.UP:
        return (
            f"【恢复】{scope} {name} 已恢复"
            if language is ZH
            else f"[Recovered] {scope} {name} has recovered"
        )
    state = KINDS[notice.kind][language]
    line = (
        f"【{severity}】{scope} {name} {state}" if language is ZH else f"[{severity}] {scope} {name} {state}"
    )
    separator = "," if language is ZH else "; "
    if notice.children:
        line += separator + WORDS["children"][language].format(n=notice.children)
    if notice.topic is Topic.ESCALATED:
        line += separator + WORDS["escalated"][language].format(level=notice.level)
    return line


def _details(notice: Notice, language: Language, zone: tzinfo) -> list[str]:
    rows = [("ticket", f"#{notice.ticket}")]
    if notice.cause and notice.topic is not Topic.UP:
        cause = CAUSES_ZH.get(notice.cause, notice.cause) if language is ZH else notice.cause
        rows.append(("cause", plain(cause)))
    rows.append(("since", clock(notice.started, zone)))
    if notice.topic is Topic.UP and notice.ended is not None:
        rows.append(("ended", clock(notice.ended, zone)))
        rows.append(("lasted", span(notice.ended - notice.started, language)))
    if notice.area:
        rows.append(("area", plain(notice.area)))
    if notice.topic is not Topic.UP:
        if notice.unit:
            rows.append(("unit", plain(notice.unit)))
        rows.append(("due", clock(notice.due, zone)))
    return [f"{WORDS[word][language]}{WORDS['separator'][language]}{value}" for word, value in rows]


def _digest(notices: Sequence[Notice], language: Language, zone: tzinfo) -> tuple[str, list[str]]:
    """Each ticket once, as it stands after the last of the notices; what goes on comes first, worst first."""
    last: dict[tuple[int, int], Notice] = {}
    for notice in notices:
        last[notice.ticket, notice.cycle] = notice
    counted = Counter(notice.topic is Topic.UP for notice in last.values())
    subject = WORDS["digest"][language].format(down=counted[False], up=counted[True])
    ordered = sorted(last.values(), key=lambda n: (n.topic is Topic.UP, n.severity.rank, n.started, n.ticket))
    lines = []
    for notice in ordered[:LINES_IN_DIGEST]:
        times = clock(notice.started, zone)
        if notice.topic is Topic.UP and notice.ended is not None:
            times += f" – {clock(notice.ended, zone)} ({span(notice.ended - notice.started, language)})"
        lines.append(f"#{notice.ticket} {headline(notice, language)} {times}")
    if len(ordered) > LINES_IN_DIGEST:
        lines.append(WORDS["more"][language].format(n=len(ordered) - LINES_IN_DIGEST))
    return subject, lines


def clock(at: Ms, zone: tzinfo) -> str:
    """On the wall of the site, with its offset from UTC."""
    return f"{datetime.fromtimestamp(at // 1000, zone):%Y-%m-%d %H:%M:%S %z}"


def span(ms: int, language: Language) -> str:
    """A length of time in at most two units."""
    seconds = max(0, ms) // 1000
    units = (("天", " d", 86_400), ("小时", " h", 3_600), ("分", " min", 60), ("秒", " s", 1))
    parts: list[str] = []
    for zh, en, size in units:
        number, seconds = divmod(seconds, size)
        if number or (size == 1 and not parts):
            parts.append(f"{number}{zh if language is ZH else en}")
        if parts and len(parts) == 2:
            break
    return ("" if language is ZH else " ").join(parts)


def plain(text: str) -> str:
    """Names come from devices and imports: one line, bounded, nothing that a channel takes for markup."""
    kept = "".join(c if c.isprintable() and c not in "<>[]`*#|" else " " for c in text[: LONGEST_NAME + 1])
    kept = " ".join(kept.split())
    return kept if len(kept) <= LONGEST_NAME else kept[: LONGEST_NAME - 1] + "…"
