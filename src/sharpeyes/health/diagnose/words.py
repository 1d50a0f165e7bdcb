"""What a diagnosis says, in the console's languages: one table, a line a message.

A message is a key and measured values; the sentence is made where it is read. {name} is a measured number.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any, Literal

Language = Literal["en", "zh"]

SENTENCES: dict[str, dict[Language, str]] = {
    "diagnose.normal": {"en": "Within the normal range.", "zh": "在正常范围内。"},
    "diagnose.needs_two": {
        "en": "A second picture, seconds later, is needed.",
        "zh": "需要数秒后的第二幅画面才能判断。",
    },
    "diagnose.moves": {
        "en": "It does not stand still: something moves in the pictures right behind the keyframe.",
        "zh": "画面未冻结：关键帧之后的画面中有运动。",
    },
    "diagnose.mode_not_learned": {
        "en": "The camera's normal picture in mode {mode} is not learned yet.",
        "zh": "尚未学习该摄像机在 {mode} 模式下的正常画面。",
    },
    "diagnose.damaged": {
        "en": "Data of the picture is lost: what is drawn in its place says nothing of the scene.",
        "zh": "画面数据丢失，补画的内容不能说明场景状况。",
    },
    "diagnose.undecodable": {
        "en": "Whole keyframes arrive, but no picture comes out of them.",
        "zh": "收到完整的关键帧，但无法解码出画面。",
    },
    "diagnose.signal_lost": {
        "en": "No scene is seen: {lost_top_level:.0%} of the picture has one grey level, its contrast is"
        " {lost_std:.1f}.",
        "zh": "看不到任何场景：画面的 {lost_top_level:.0%} 为同一灰度，对比度仅 {lost_std:.1f}。",
    },
    "diagnose.over_exposed": {
        "en": "The picture is too bright: {over_bright:.0%} of it is near white, the mean is"
        " {over_luma:.0f}, where 235 is white.",
        "zh": "画面过亮：{over_bright:.0%} 接近白色，平均亮度 {over_luma:.0f}（白色为 235）。",
    },
    "diagnose.under_exposed": {
        "en": "The picture is too dark: its mean is {under_luma:.0f}, where 16 is black and 235 white;"
        " {under_dark:.0%} of it is near black.",
        "zh": "画面过暗：平均亮度 {under_luma:.0f}（黑色为 16，白色为 235），{under_dark:.0%} 接近黑色。",
    },
    "diagnose.frozen": {
        "en": "Two pictures seconds apart are the same: they differ by {still_p50:.2f} grey levels, and even"
        " their noise agrees ({still_flat_correlation:.2f}).",
        "zh": "相隔数秒的两幅画面相同：仅相差 {still_p50:.2f} 个灰度级，连噪声也一致"
        "（{still_flat_correlation:.2f}）。",
    },
    "diagnose.frozen_again": {
        "en": "The picture is, to the last bit, one at which it stood still before.",
        "zh": "画面与此前冻结时的画面逐位相同。",
    },
    "diagnose.blurred": {
        "en": "The picture is out of focus or smeared: edges are {blur_width_x:.1f} by {blur_width_y:.1f}"
        " pixels wide.",
        "zh": "画面失焦或拖影：边缘宽度为 {blur_width_x:.1f} × {blur_width_y:.1f} 像素。",
    },
    "diagnose.color_cast": {
        "en": "A colour lies over the whole picture: dark and bright parts alike are off by {cast_min:.0f}"
        " steps of chroma.",
        "zh": "整个画面偏色：亮部与暗部的色度都偏离 {cast_min:.0f} 级。",
    },
    "diagnose.color_loss": {
        "en": "The colour is gone: {loss_chroma_mean_ratio:.0%} of the colour that this camera usually shows"
        " by day is left.",
        "zh": "色彩丢失：仅剩该摄像机白天正常色彩的 {loss_chroma_mean_ratio:.0%}。",
    },
    "diagnose.noise": {
        "en": "Noise lies over the picture: {grain_noise_p25:.1f} grey levels even in its calm parts,"
        " {grain_specks:.1%} specks.",
        "zh": "画面有噪点：平坦区域噪声也达 {grain_noise_p25:.1f} 个灰度级，斑点占 {grain_specks:.1%}。",
    },
    "diagnose.stripes": {
        "en": "Stripes or bands run through the picture: row profiles share {stripes_rows_wide_shared:.1f}"
        " and column profiles {stripes_columns_wide_shared:.1f} grey levels over their whole length.",
        "zh": "画面有条纹：横向共有 {stripes_rows_wide_shared:.1f}、纵向共有"
        " {stripes_columns_wide_shared:.1f} 个灰度级的贯穿起伏。",
    },
    "diagnose.occluded": {
        "en": "Something covers {covered:.0%} of the picture: the structure that is always there is gone"
        " and nothing moves there.",
        "zh": "画面的 {covered:.0%} 被遮挡：一直存在的景物消失，且该处没有任何运动。",
    },
    "diagnose.scene_shift": {
        "en": "The camera looks elsewhere: only {shift_zero:.0%} of its usual edges are in place; they are"
        " found {moved_by:.0%} of the picture's width away ({shift_peak:.0%}).",
        "zh": "摄像机朝向已变：仅 {shift_zero:.0%} 的常见边缘在原位；在相距画面宽度"
        " {moved_by:.0%} 处找到（{shift_peak:.0%}）。",
    },
    "diagnose.corrupt": {
        "en": "The picture is damaged by lost data: steps on the macroblock grid (log ratio"
        " {damage_grid_log:.1f}), smears ({damage_smear_down:.0%}) or green blocks"
        " ({damage_green_share:.0%}).",
        "zh": "数据丢失导致花屏：宏块边界台阶（对数比 {damage_grid_log:.1f}）、拖尾"
        "（{damage_smear_down:.0%}）或绿块（{damage_green_share:.0%}）。",
    },
}


class _Careful(Formatter):
    """An unknown number is a dash."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, float) and value != value:
            return "–"
        said = str(super().format_field(value, format_spec))
        return said.removeprefix("-") if said in ("-0%", "-0", "-0.0", "-0.0%") else said


_FORMATTER = _Careful()


def say(key: str, values: Mapping[str, str | float], language: Language) -> str:
    """KeyError for an unknown key or a value that is not given."""
    return _FORMATTER.vformat(SENTENCES[key][language], (), values)


def names_of(key: str) -> frozenset[str]:
    """The values that a message's sentences want."""
    return frozenset(
        name for text in SENTENCES[key].values() for _, name, _, _ in _FORMATTER.parse(text) if name
    )
