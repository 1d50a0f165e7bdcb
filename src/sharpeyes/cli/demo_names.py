"""What the demo's town is called in either language: names in English, and the Chinese one of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """Of the names in a town."""

    ZH = "zh"
    EN = "en"

    def say(self, *names: str, gap: str = " ") -> str:
        """What is called so in English, one after the other; Chinese wants no gap between. KeyError for what
        nobody has given a Chinese name."""
        return "".join(CHINESE[name] for name in names) if self is Language.ZH else gap.join(names)

    def camera(self, place: str, spot: str, number: str) -> str:
        """The name of a camera: 'Court, yard 3', '法院院内 3 号机'."""
        return f"{self.say(place, spot, gap=', ')} {number}" + (" 号机" if self is Language.ZH else "")


def spoken(environment: Mapping[str, str]) -> Language:
    """The language of whoever starts a program, as POSIX finds it: LC_ALL, else LC_MESSAGES, else LANG."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Language.ZH if locale.lower().startswith("zh") else Language.EN


CHINESE: Mapping[str, str] = {
    # site and areas
    "Demo city": "临江市（演示）",
    "Old Town": "老城区",
    "Riverside": "滨江区",
    "Riverside East": "滨江东街道",
    "Harbour": "港区",
    # zones
    "Police video network": "公安视频专网",
    "Government extranet": "电子政务外网",
    "Community network": "社会面视频网",
    # departments
    "Public Security Bureau": "市公安局",
    "Traffic Police": "交警支队",
    "Education Bureau": "教育局",
    "Health Commission": "卫生健康委员会",
    "Riverside Street Office": "滨江东街道办事处",
    "Housing Estates": "住宅小区物业",
    "Harbour Police": "港航公安分局",
    "Supervision Office": "督察办公室",
    # people
    "Administrator": "系统管理员",
    "Auditor": "审计员",
    "Police control room": "公安指挥中心",
    "Police chief": "公安审批人",
    "Police deputy": "公安审批人（副）",
    "Police workshop": "公安运维组",
    "Traffic control room": "交警指挥中心",
    "Traffic chief": "交警审批人",
    "Traffic deputy": "交警审批人（副）",
    "School office": "学校办公室",
    "Head of schools": "教育局审批人",
    "Clinic control room": "医院监控室",
    "Head of clinics": "卫健委审批人",
    "Street office": "街道综治办",
    "Head of the street office": "街道审批人",
    "Street workshop": "街道运维组",
    "Head of estates": "物业审批人",
    # places
    "Renmin Road": "人民路",
    "Jiefang Square": "解放广场",
    "North Station": "火车北站",
    "Harbour Bridge": "港湾大桥",
    "Ring Road East": "环城东路",
    "Museum": "博物馆",
    "Court": "法院",
    "Town Hall": "市民中心",
    "Clinic": "社区医院",
    "Primary School": "实验小学",
    "Bus Depot": "公交总站",
    "Reservoir": "水库",
    "Waterworks": "自来水厂",
    "Market Hall": "农贸市场",
    "Library": "图书馆",
    "Stadium": "体育场",
    "Lakeside Estate": "湖畔花园",
    "Willow Lane": "柳浪巷",
    "Garden Court": "桂花苑",
    "Old Mill": "老磨坊",
    "Corner Shop": "便民超市",
    "Underground Car Park": "地下车库",
    "Quay": "码头",
    "Ferry pier": "轮渡码头",
    # spots
    "north gate": "北门",
    "south gate": "南门",
    "crossing": "路口",
    "entrance": "入口",
    "car park": "停车场",
    "footbridge": "天桥",
    "yard": "院内",
    "corridor": "走廊",
    "crane": "岸桥",
    "gangway": "引桥",
    # what else stands in the books
    "Switch in the cabinet at Riverside": "滨江机柜交换机",
    "police station": "派出所",
    "photo": "照片",
    "Sports day: a crossing and a clinic on the way": "运动会：沿途路口与医院",
    "Ambulances leave by this crossing": "救护车由此路口出车",
    "Lantern festival": "元宵灯会",
    "asked by the demo": "演示自动提交",
    "Windows": "居民窗户",
    "set by the demo": "演示自动设置",
}
