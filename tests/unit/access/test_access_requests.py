"""The life of a request: who may take which step, and what becomes of it."""

from dataclasses import replace

import pytest
from access_people import (
    ADMIN,
    APPROVER,
    ASKER,
    AUDITOR,
    CAMERAS,
    COLLEAGUE,
    CROSSING,
    FORM,
    GATE,
    HOUR,
    NOW,
    OPERATOR,
    PARENTS,
    PARK,
    RULES,
    SCHOOL_APPROVER,
    SECOND,
    person,
    rules,
)

from sharpeyes.access.requests import approve, expire, reject, resolve, submit, withdraw
from sharpeyes.domain.access import Place, Purpose, Request, Role, Selection, Stage, Target
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span


def a_request(*targets: Target) -> Request:
    return submit("r1", ASKER, FORM, targets or (PARK,), NOW, RULES)


def stages(request: Request) -> dict[str, Stage]:
    return {part.owner: part.stage for part in request.parts}


def test_a_request_has_a_part_for_each_owner_with_its_approvers() -> None:
    request = a_request(CROSSING, PARK, GATE)
    assert [(part.owner, sorted(part.cameras), part.needed) for part in request.parts] == [
        ("police", ["crossing", "park"], 2),
        ("school", ["gate"], 1),
    ]
    assert request.open
    assert request.terms.department == "traffic"
    assert request.terms.users == {"wang", "li"}


def test_without_an_end_the_strictest_default_counts() -> None:
    assert a_request(PARK).terms.period == Span(NOW, Ms(NOW + 8 * HOUR))
    assert a_request(PARK, CROSSING).terms.period == Span(NOW, Ms(NOW + 4 * HOUR))


def test_one_yes_is_enough_for_a_community_camera() -> None:
    assert stages(approve(a_request(), "police", APPROVER, NOW)) == {"police": Stage.APPROVED}


def test_two_different_people_approve_public_security_cameras() -> None:
    once = approve(a_request(CROSSING), "police", APPROVER, NOW, "fine")
    assert stages(once) == {"police": Stage.SUBMITTED}
    with pytest.raises(ConflictError, match="approved this already"):
        approve(once, "police", APPROVER, NOW)
    twice = approve(once, "police", SECOND, Ms(NOW + 1))
    assert stages(twice) == {"police": Stage.APPROVED}
    assert [vote.by for vote in twice.parts[0].approvals] == ["zhao", "qian"]


def test_each_owner_decides_on_its_own_part_alone() -> None:
    request = a_request(PARK, GATE)
    request = reject(request, "school", SCHOOL_APPROVER, NOW, "Not during lessons")
    request = approve(request, "police", APPROVER, NOW)
    assert stages(request) == {"police": Stage.APPROVED, "school": Stage.REJECTED}
    assert not request.open
    with pytest.raises(ForbiddenError):
        approve(a_request(PARK, GATE), "school", APPROVER, NOW)
    with pytest.raises(ForbiddenError):  # whether it has a part is not told to others
        approve(request, "harbour", APPROVER, NOW)
    with pytest.raises(InvalidInputError, match="no camera of 'school'"):
        approve(a_request(PARK), "school", SCHOOL_APPROVER, NOW)


def test_policy_that_became_stricter_holds_and_one_that_became_laxer_does_not() -> None:
    stricter = approve(a_request(PARK), "police", APPROVER, NOW, needed=2)
    assert stages(stricter) == {"police": Stage.SUBMITTED}
    assert stages(approve(stricter, "police", SECOND, NOW)) == {"police": Stage.APPROVED}
    laxer = approve(a_request(CROSSING), "police", APPROVER, NOW, needed=1)
    assert stages(laxer) == {"police": Stage.SUBMITTED}


def test_the_word_of_somebody_who_is_no_approver_any_more_does_not_count() -> None:
    first = approve(a_request(CROSSING), "police", APPROVER, NOW)
    second = approve(first, "police", SECOND, NOW, gone=frozenset({APPROVER.id}))
    assert stages(second) == {"police": Stage.SUBMITTED}
    third = person("chu", "police", Role.APPROVER)
    assert stages(approve(second, "police", third, NOW, gone=frozenset({APPROVER.id}))) == {
        "police": Stage.APPROVED
    }


@pytest.mark.parametrize(
    "who",
    [
        ASKER,
        OPERATOR,
        ADMIN,
        AUDITOR,
        SCHOOL_APPROVER,
        replace(APPROVER, enabled=False),
        replace(ASKER, department="police", roles=frozenset({Role.APPROVER})),
        replace(COLLEAGUE, department="police", roles=frozenset({Role.APPROVER})),
    ],
    ids=["asker", "operator", "admin", "auditor", "other owner", "disabled", "applicant", "named user"],
)
def test_who_does_not_decide(who: object) -> None:
    for act in (
        lambda: approve(a_request(), "police", who, NOW),  # type: ignore[arg-type]
        lambda: reject(a_request(), "police", who, NOW, "a good reason"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ForbiddenError):
            act()


def test_a_department_approves_its_own_people_only_by_somebody_else() -> None:
    both = person("zhao", "police", Role.APPROVER, Role.REQUESTER)
    request = submit("r1", both, replace(FORM, users=(both,)), (PARK,), NOW, RULES)
    with pytest.raises(ForbiddenError, match="of their own"):
        approve(request, "police", both, NOW)
    assert stages(approve(request, "police", SECOND, NOW)) == {"police": Stage.APPROVED}


@pytest.mark.parametrize("reason", ["", " . ", "no", "x" * 2001])
def test_a_rejection_has_a_reason(reason: str) -> None:
    with pytest.raises(InvalidInputError, match="reason"):
        reject(a_request(), "police", APPROVER, NOW, reason)


def test_a_rejection_ends_a_part_that_one_has_approved() -> None:
    once = approve(a_request(CROSSING), "police", APPROVER, NOW)
    over = reject(once, "police", SECOND, NOW, "不同意查看")
    assert stages(over) == {"police": Stage.REJECTED}
    for late in (lambda: approve(over, "police", SECOND, NOW), lambda: withdraw(over, ASKER, NOW)):
        with pytest.raises(ConflictError):
            late()


def test_the_applicant_withdraws_what_is_undecided() -> None:
    request = approve(a_request(PARK, GATE), "police", APPROVER, NOW)
    assert stages(withdraw(request, ASKER, NOW)) == {"police": Stage.APPROVED, "school": Stage.WITHDRAWN}
    with pytest.raises(ForbiddenError):
        withdraw(request, COLLEAGUE, NOW)


def test_what_nobody_decides_expires() -> None:
    request = a_request(CROSSING)
    assert request.decide_by == NOW + 4 * HOUR  # the end of the period comes before three days
    assert expire(request, Ms(NOW + 4 * HOUR - 1)) is request
    assert stages(expire(request, Ms(NOW + 4 * HOUR))) == {"police": Stage.EXPIRED}
    with pytest.raises(ConflictError, match="expired"):
        approve(request, "police", APPROVER, Ms(NOW + 4 * HOUR))
    approved = approve(a_request(), "police", APPROVER, NOW)
    assert expire(approved, Ms(NOW + 99 * HOUR)) is approved


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"users": ()}, "users: nobody"),
        ({"users": (OPERATOR,)}, "users: 'zhou' is not of your department"),
        ({"users": (replace(ASKER, enabled=False),)}, "disabled"),
        ({"users": (replace(ASKER, roles=frozenset({Role.APPROVER})),)}, "no role that may watch"),
        ({"users": (replace(ASKER, roles=frozenset({Role.REQUESTER, Role.AUDITOR})),)}, "no role"),
        ({"actions": frozenset()}, "actions"),
        ({"purpose_text": " "}, "purpose_text"),
        ({"purpose": Purpose.INVESTIGATION}, "case_number"),
        ({"case_number": "x" * 101}, "case_number"),
        ({"start": Ms(NOW + 90 * 24 * HOUR + 1)}, "start: more than 90 days"),
        ({"end": NOW}, "end: is not after"),
        ({"start": Ms(NOW + 9), "end": Ms(NOW + 9)}, "end: is not after"),
        ({"end": Ms(NOW + 7 * 24 * HOUR + 1)}, "lasts at most 168 hours"),
    ],
)
def test_what_is_not_a_proper_request(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        submit("r1", ASKER, replace(FORM, **changes), (PARK,), NOW, RULES)  # type: ignore[arg-type]


def test_a_start_in_the_past_does_not_lengthen_a_grant() -> None:
    request = submit("r1", ASKER, replace(FORM, start=Ms(NOW - 24 * HOUR)), (PARK,), NOW, RULES)
    assert request.terms.period.start == NOW


def test_who_does_not_ask() -> None:
    for who in (APPROVER, AUDITOR, ADMIN, replace(ASKER, enabled=False)):
        with pytest.raises(ForbiddenError):
            submit("r1", who, FORM, (PARK,), NOW, RULES)


def test_policy_bounds_how_many_cameras_and_users_a_request_names() -> None:
    many = tuple(replace(PARK, camera=f"c{number}") for number in range(51))
    with pytest.raises(InvalidInputError, match="51 are chosen, and policy allows 50"):
        a_request(*many)
    assert a_request(*many[:50]).open
    with pytest.raises(InvalidInputError, match="policy allows 1"):
        submit("r1", ASKER, FORM, (PARK,), NOW, rules(Tier.COMMUNITY, most_users=1))


# --- choosing cameras ---------------------------------------------------------------------------------


def chosen(**selection: object) -> list[str]:
    wanted = Selection(**{name: frozenset(value) for name, value in selection.items()})  # type: ignore[arg-type]
    return [target.camera for target in resolve(wanted, CAMERAS, PARENTS)]


def test_cameras_are_chosen_by_name_area_and_tag() -> None:
    assert chosen(cameras=["park"]) == ["park"]
    assert chosen(areas=["north"]) == ["crossing", "park"]
    assert chosen(areas=["city"]) == ["crossing", "gate", "park"]
    assert chosen(tags=["road"]) == ["crossing", "gate"]
    assert chosen(cameras=["park"], tags=["gate"]) == ["gate", "park"]
    assert chosen() == []


@pytest.mark.parametrize("selection", [{"cameras": ["nowhere"]}, {"areas": ["nowhere"]}])
def test_names_that_do_not_exist_are_refused(selection: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="'nowhere' is not in the registry"):
        chosen(**selection)


@pytest.mark.parametrize("changes", [{"retired": True}, {"place": Place.BATH}])
def test_what_nobody_may_watch_is_passed_over_or_refused_if_named(changes: dict[str, object]) -> None:
    cameras = (replace(PARK, **changes), CROSSING)  # type: ignore[arg-type]
    found = resolve(Selection(areas=frozenset({"north"})), cameras, PARENTS)
    assert [target.camera for target in found] == ["crossing"]
    with pytest.raises(InvalidInputError, match="'park' is retired, or stands where none may be watched"):
        resolve(Selection(cameras=frozenset({"park"})), cameras, PARENTS)


def test_a_tree_of_areas_with_a_loop_ends() -> None:
    parents = {"a": "b", "b": "a", "c": None}
    found = resolve(Selection(areas=frozenset({"c"})), (replace(PARK, area="a"),), parents)
    assert found == ()
