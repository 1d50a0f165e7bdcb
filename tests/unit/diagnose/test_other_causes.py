"""What rules settle alone: what has another cause is no fault, what is certain needs no other opinion."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose.checks import CHECKS, blurred, corrupt, occluded, scene_shift
from sharpeyes.health.diagnose.reading import Check, Values, settled

NAN = float("nan")

STARVED = {
    "blur_slope": -0.07,
    "blur_coarse": -0.31,
    "grain_noise_p50_ratio": -0.64,
    "grain_noise_p50": 0.2,
    "has_ref": 1.0,
}
BLANK = STARVED | {"blur_slope": NAN, "grain_noise_p50": 0.02, "has_ref": 0.0}
FOG = {
    "cover_lost_cosine": 0.72,
    "unseen_cosine": 0.71,
    "cover_contrast_lost": 1.28,
    "cover_part_light": 120.0,
}
GLARE = FOG | {"cover_lost_cosine": 0.1, "cover_part_light": 217.0}
GIVES = {
    "shift_gain": 0.0,
    "shift_distance": 2.8,
    "shift_tiles_shift": 2.8,
    "shift_sharpness": 30.0,
    "shift_least_zero": 2.0,
    "mark_coarse": 0.9,
}
BARE_ELSEWHERE = {
    "mark_coarse": NAN,
    "shift_tiles_known": 0.1,
    "shift_new": 1.3,
    "shift_sharpness": 6.0,
    "shift_gain": 0.2,
    "shift_distance": 30.0,
    "shift_tiles_shift": 12.0,
    "shift_least_zero": 0.1,
}
OUT_OF_FOCUS = {
    "has_ref": 1.0,
    "blur_slope": NAN,
    "blur_width_x_p20_ratio": 0.9,
    "blur_width_y_p20_ratio": 1.1,
    "mark_fine": 0.03,
    "mark_fine_drop": 0.6,
    "mark_coarse": 0.45,
    "mark_slope_far": -1.0,
    "shift_gain": 0.0,
    "shift_sharpness": 20.0,
}
PATCH = {
    "unseen_part": 0.2,
    "unseen_chroma": 5.3,
    "unseen_luma": 19.0,
    "unseen_flat": 0.4,
    "unseen_step": 0.85,
    "unseen_kept": 0.6,
    "unseen_known": 0.0,
    "unseen_cosine": 0.1,
    "unseen_light": 80.0,
    "shift_gain": 0.0,
    **dict.fromkeys(("blur_middle_p90_drop", "mark_fine", "mark_middle", "mark_coarse"), NAN),
}
WHOLE = PATCH | {
    "unseen_part": 0.98,
    "unseen_chroma": 17.0,
    "unseen_step": 0.0,
    "unseen_kept": 0.45,
    "blur_middle_p90_drop": 0.42,
    "mark_fine": 0.06,
    "mark_middle": 0.1,
    "mark_coarse": 0.15,
}
SMALL_PAINT = PATCH | {
    "unseen_part": 0.045,
    "unseen_chroma": 0.0,
    "unseen_luma": 33.0,
    "unseen_flat": 1.8,
    "unseen_step": 0.7,
    "unseen_kept": 0.01,
    "unseen_known": 0.25,
}
FIRST_NIGHT = {
    "hidden_by_day": 1.0,
    "hidden_part": 0.2,
    "hidden_flat": 1.5,
    "hidden_lost": 0.97,
    "hidden_rest": 0.3,
    "hidden_cosine": 0.1,
    "hidden_dark": 60.0,
    "hidden_light": 70.0,
    "hidden_moved": 0.5,
}
UNDAMAGED = {
    "has_ref": 0.0,
    "damage_green_share": 0.0,
    "damage_unfilled": 0.0,
    "damage_repeat_part": 0.0,
    "damage_flags": 0.0,
    "damage_repeat_step": 0.1,
    "drawn_on": 0.0,
    "lost_std": 0.0,
    "bars_everywhere": 1.5,
}
REPEATED = UNDAMAGED | {"damage_repeat_part": 0.12, "damage_repeat_step": 0.95}
REPEATED_HERE = REPEATED | {"has_ref": 1.0, "damage_repeat_row": 0.77, "damage_jump": 0.77}


@pytest.mark.parametrize(
    ("rule", "values", "change"),
    [
        *((blurred.unless, STARVED, {name: -0.9}) for name in ("blur_slope", "blur_coarse")),
        (blurred.unless, STARVED, {"grain_noise_p50_ratio": -0.13}),
        (blurred.unless, BLANK, {"grain_noise_p50": 0.2}),
        (blurred.unless, BLANK, {"has_ref": 1.0}),
        *((occluded.unless, FOG, {name: 0.3}) for name in ("cover_lost_cosine", "unseen_cosine")),
        (occluded.unless, FOG, {"cover_contrast_lost": 0.2}),
        (occluded.unless, GLARE, {"cover_part_light": 190.0}),
        *(
            (blurred.certain, OUT_OF_FOCUS, change)
            for change in (
                {"has_ref": 0.0},
                {"blur_slope": -0.3},
                {"blur_width_x_p20_ratio": 0.2},
                {"blur_width_y_p20_ratio": 0.2},
                {"mark_fine": 0.12},
                {"mark_fine": NAN},
                {"mark_fine_drop": 0.2},
                {"mark_coarse": 0.15},
                {"mark_slope_far": -0.2},
                {"shift_gain": 0.3},
            )
        ),
        *(
            (scene_shift.unless, BARE_ELSEWHERE, change)
            for change in (
                {"mark_coarse": 0.2},
                {"shift_tiles_known": 0.6},
                {"shift_new": 5.0},
                {"shift_sharpness": 30.0},
            )
        ),
        (scene_shift.unless, GIVES, {"shift_gain": 0.2}),
        (scene_shift.unless, GIVES, {"shift_distance": 8.0}),
        (scene_shift.unless, GIVES, {"shift_tiles_shift": 8.0}),
        (scene_shift.unless, GIVES, {"shift_sharpness": 5.0}),
        (scene_shift.unless, GIVES, {"shift_least_zero": 0.6}),
        (occluded.certain, PATCH, {"unseen_chroma": 1.3}),
        (occluded.certain, PATCH, {"unseen_part": 0.08}),
        (occluded.certain, PATCH, {"unseen_step": 0.6}),
        (occluded.certain, PATCH, {"unseen_known": 0.2}),
        (occluded.certain, PATCH, {"unseen_cosine": 0.8}),
        (occluded.certain, PATCH, {"unseen_light": 230.0}),
        (occluded.certain, PATCH, {"shift_gain": 0.2}),
        *(
            (occluded.certain, WHOLE, change)
            for change in (
                {"unseen_part": 0.7},
                {"unseen_chroma": 6.0},
                {"blur_middle_p90_drop": -0.5},
                {"mark_fine": 0.3},
                {"mark_middle": 0.3},
                {"mark_coarse": 0.5},
                {"unseen_light": 230.0},
                {"shift_gain": 0.2},
            )
        ),
        (occluded.certain, SMALL_PAINT, {"unseen_step": 0.5}),
        (occluded.certain, SMALL_PAINT, {"unseen_luma": 15.0}),
        (occluded.certain, SMALL_PAINT, {"unseen_kept": 0.5}),
        (corrupt.certain, UNDAMAGED | {"damage_green_share": 0.17}, {"damage_green_share": 0.02}),
        (corrupt.certain, REPEATED, {"damage_repeat_step": 0.5}),
        *((corrupt.certain, each, {"damage_repeat_part": 0.8}) for each in (REPEATED, REPEATED_HERE)),
        (corrupt.certain, REPEATED_HERE, {"damage_repeat_row": 0.2}),
        (corrupt.certain, REPEATED_HERE, {"damage_jump": 0.2}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_part": 0.05}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_flat": 0.6}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_by_day": 0.0}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_lost": 0.8}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_rest": 0.6}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_cosine": 0.7}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_dark": 10.0}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_light": 220.0}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_moved": 9.0}),
        (occluded.by_other_mode, FIRST_NIGHT, {"hidden_moved": NAN}),
    ],
)
def test_a_rule_holds_by_every_one_of_its_limits(
    rule: Callable[[Values], float], values: Values, change: Values
) -> None:
    assert rule(values) > 0
    assert rule({**values, **change}) <= 0


def test_edges_that_cannot_be_measured_do_not_hide_a_blur_and_vehicles_do_not_pass_for_a_moved_view() -> None:
    nothing = dict.fromkeys(("blur_width_x_p20_ratio", "blur_width_y_p20_ratio"), NAN)
    assert blurred.certain(OUT_OF_FOCUS | nothing) > 0
    assert blurred.certain(OUT_OF_FOCUS | {"shift_gain": 0.3, "shift_sharpness": 5.0}) > 0


def test_the_larger_the_cover_the_more_of_the_rest_may_be_missing() -> None:
    assert occluded.by_other_mode(FIRST_NIGHT | {"hidden_rest": 0.6, "hidden_part": 0.45}) > 0


def of(kind: PictureFault) -> Check:
    return next(check for check in CHECKS if check.kind == kind)


def test_what_has_another_cause_is_taken_back_and_what_is_certain_stands() -> None:
    here = {"has_ref": 1.0}
    fog = FOG | PATCH | here
    assert occluded.unless(fog) <= 0 < occluded.certain(fog)
    check = of(PictureFault.OCCLUDED)
    nothing = dict.fromkeys(PATCH, NAN) | here
    assert settled(check, 3.0, nothing | FOG) < 0
    assert settled(check, 3.0, nothing | FOG | {"cover_contrast_lost": 0.0}) == 3.0
    assert settled(check, -3.0, nothing | FOG | PATCH) > 0


def test_without_a_reference_of_the_mode_less_is_said() -> None:
    assert settled(of(PictureFault.STRIPES), 3.0, UNDAMAGED) == 0.5
    assert settled(of(PictureFault.CORRUPT), 3.0, UNDAMAGED) == pytest.approx(2.3)
    assert settled(of(PictureFault.OCCLUDED), 9.0, {"has_ref": 0.0} | dict.fromkeys(FIRST_NIGHT, NAN)) < 0
    assert settled(of(PictureFault.OCCLUDED), -9.0, {"has_ref": 0.0} | FIRST_NIGHT) > 0


def test_most_of_the_picture_drawn_again_is_damage_where_the_decoder_says_so() -> None:
    smeared = REPEATED | {"damage_repeat_part": 0.8}
    assert corrupt.certain(smeared) < 0 < corrupt.certain(smeared | {"damage_flags": 1.0})
