"""The words of reports, in Chinese and English. A word that is missing stands for itself."""

from __future__ import annotations

from enum import StrEnum

from sharpeyes.domain.dossier import COLUMNS


class Lang(StrEnum):
    ZH = "zh"
    EN = "en"


WORDS: dict[str, tuple[str, str]] = {
    # tables
    "title": ("摄像机在线率报告", "Online rate of cameras"),
    "summary": ("概要", "Summary"),
    "rates": ("在线率", "Rates"),
    "rungs": ("分级在线率", "Rates of the rungs"),
    "trend": ("趋势", "Trend"),
    "worst": ("在线率最低的摄像机", "Cameras with the lowest rate"),
    "causes": ("离线原因", "Offline time by cause"),
    "gaps": ("无可用摄像机的区域", "Areas without a working camera"),
    "dossiers": ("一机一档完整率", "Completeness of dossiers"),
    "dossier": ("档案各字段填写率", "Columns of the dossier"),
    "exclusions": ("免责时段", "Exclusions"),
    "contests": ("申诉", "Contested intervals"),
    # what identifies a report
    "site": ("单位", "Site"),
    "timezone": ("时区", "Time zone"),
    "period": ("统计周期", "Period"),
    "by": ("统计维度", "By"),
    "from": ("起始", "From"),
    "to": ("截止", "To"),
    "made": ("生成时间", "Made"),
    "formula": ("公式版本", "Formula version"),
    "coverage_gate": ("最低覆盖率", "Least coverage"),
    "none": ("无", "None"),
    "day": ("日报", "Daily"),
    "week": ("周报", "Weekly"),
    "month": ("月报", "Monthly"),
    "note": (
        "原始在线率=在线时长/(应在线时长−未知时长);调整在线率另扣除已批准的免责时段。完好率=在线、画面无严重故障且时钟未超差的时长/画面已判定的时长;"
        "时钟未知不计为不完好。覆盖率低于95%时不作结论。",
        "Raw = online / (obliged - unknown); adjusted leaves out approved exclusions as well. "
        "Intact = online, no critical fault of the picture, clock not out of tolerance / time in which the "
        "picture was judged; an unknown clock is not held against a camera. No verdict below 95 % coverage.",
    ),
    "hours": ("小时", "h"),
    # columns
    "key": ("编号", "Id"),
    "name": ("名称", "Name"),
    "cameras": ("摄像机数", "Cameras"),
    "raw": ("原始在线率", "Raw rate"),
    "adjusted": ("调整在线率", "Adjusted rate"),
    "coverage": ("覆盖率", "Coverage"),
    "target": ("目标", "Target"),
    "verdict": ("结论", "Verdict"),
    "adjusted_verdict": ("调整后结论", "Adjusted verdict"),
    "intact": ("完好率", "Intact rate"),
    "intact_coverage": ("完好判定覆盖率", "Coverage of intact"),
    "picture_coverage": ("画面判定覆盖率", "Picture judged"),
    "clock_coverage": ("时钟已知占比", "Clock known"),
    "rung_reachable": ("可达", "Reachable"),
    "rung_rtsp": ("应答", "Answering"),
    "rung_authenticated": ("认证通过", "Authenticated"),
    "rung_media": ("码流正常", "Flowing"),
    "rung_keyframe": ("关键帧完整", "Keyframe"),
    "rung_decoded": ("可解码", "Decoded"),
    "rung_changing": ("画面变化", "Changing"),
    "rung_usable": ("画面可用", "Usable"),
    "whole": ("必填项齐全", "All mandatory"),
    "mandatory": ("必填", "Mandatory"),
    "mandatory_share": ("必填项填写率", "Mandatory filled"),
    "filled_share": ("全部填写率", "All filled"),
    "filed": ("已备案", "Filed"),
    "headcount": ("期末在线比", "Online at the end"),
    "online_now": ("期末在线数", "Online then"),
    "total_now": ("期末总数", "Total then"),
    "offline_now": ("离线数", "Offline"),
    "unknown_now": ("未知数", "Unknown"),
    "obliged": ("应在线时长", "Obliged"),
    "online": ("在线", "Online"),
    "degraded": ("降级", "Degraded"),
    "offline": ("离线", "Offline"),
    "unknown": ("未知", "Unknown"),
    "maintenance": ("维护", "Maintenance"),
    "excluded": ("免责", "Excluded"),
    "outages": ("离线次数", "Outages"),
    "mtbf": ("平均无故障时间", "MTBF"),
    "mttr": ("平均修复时间", "MTTR"),
    "start": ("开始", "Start"),
    "end": ("结束", "End"),
    "share": ("占比", "Share"),
    "cause": ("原因", "Cause"),
    "field": ("字段", "Field"),
    "filled": ("已填", "Filled"),
    "stage": ("状态", "Stage"),
    "retroactive": ("事后申请", "After the fact"),
    "scope": ("范围", "Scope"),
    "subjects": ("对象", "Subjects"),
    "reason": ("理由", "Reason"),
    "applicant": ("申请人", "Applicant"),
    "decider": ("审批人", "Decided by"),
    "camera": ("摄像机", "Camera"),
    "department": ("部门", "Department"),
    "area": ("区域", "Area"),
    "zone": ("网络分区", "Zone"),
    "tier": ("层级", "Tier"),
    "author": ("申诉人", "Author"),
    "text": ("申诉内容", "Text"),
    "outcome": ("处理结果", "Outcome"),
    "answer": ("答复", "Answer"),
    "answered_by": ("答复人", "Answered by"),
    # values
    "all": ("全部", "All"),
    "public_security": ("公安", "Public security"),
    "departmental": ("部门", "Departmental"),
    "community": ("社区", "Community"),
    "met": ("达标", "Met"),
    "missed": ("未达标", "Missed"),
    "collecting": ("数据不足", "Collecting"),
    "yes": ("是", "Yes"),
    "no": ("否", "No"),
    "pending": ("待审批", "Pending"),
    "approved": ("已批准", "Approved"),
    "refused": ("被拒绝", "Refused"),
    "revoked": ("已撤销", "Revoked"),
    "withdrawn": ("已撤回", "Withdrawn"),
    "upheld": ("成立", "Upheld"),
    "dismissed": ("不成立", "Dismissed"),
    "unnamed": ("未注明", "Not said"),
    # causes, as probes name them
    "name_unknown": ("域名无法解析", "Name unknown"),
    "unreachable": ("网络不可达", "Unreachable"),
    "timeout": ("超时", "Timeout"),
    "closed": ("连接被关闭", "Connection closed"),
    "tls": ("TLS失败", "TLS failure"),
    "certificate": ("证书不受信任", "Certificate refused"),
    "auth_failed": ("认证失败", "Login refused"),
    "auth_unsupported": ("认证方式不支持", "Login scheme unknown"),
    "not_found": ("码流不存在", "No such stream"),
    "rtsp_status": ("RTSP错误", "RTSP error"),
    "malformed": ("响应格式错误", "Malformed reply"),
    "no_video": ("无视频", "No video"),
    "no_media": ("无媒体数据", "No media"),
    "no_keyframe": ("无关键帧", "No keyframe"),
    "undecodable": ("无法解码", "Undecodable"),
    "upstream": ("上级设备故障", "Upstream"),
}


HEADINGS = {column.field: column.heading for column in COLUMNS}


def say_field(field: str, lang: Lang) -> str:
    """A column of the dossier: its official heading, or its name in English."""
    if lang is Lang.ZH:
        return HEADINGS.get(field, field)
    return {"ipv4": "IPv4", "ipv6": "IPv6", "mac": "MAC"}.get(field, field.replace("_", " ").capitalize())


def say(word: str, lang: Lang) -> str:
    found = WORDS.get(word)
    return word if found is None else found[0 if lang is Lang.ZH else 1]


def say_cause(word: str, lang: Lang) -> str:
    """A cause; ``refused`` is a connection's here, not an application's."""
    if word == "refused":
        return "连接被拒绝" if lang is Lang.ZH else "Connection refused"
    return say(word, lang)
