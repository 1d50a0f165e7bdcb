"""Leases: issued, extended, narrowed, revoked; overrides and their review."""

from dataclasses import replace

import pytest
from access_people import (
    ADMIN,
    APPROVER,
    ASKER,
    AUDITOR,
    COLLEAGUE,
    CROSSING,
    FORM,
    GATE,
    GRANT,
    HOUR,
    MINUTE,
    NOW,
    OPERATOR,
    PARK,
    RULES,
    SCHOOL_APPROVER,
    SECOND,
    person,
    rules,
)

from sharpeyes.access.grants import (
    count_against,
    counts_against,
    ended,
    extend,
    issue,
    narrow,
    override,
    review,
    revoke,
)
from sharpeyes.access.policy import DEFAULTS, ViewPolicy
from sharpeyes.access.requests import approve, submit
from sharpeyes.domain.access import Action, Place, Purpose, Role, Schedule, Subject
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms

COMMUNITY = DEFAULTS[Tier.COMMUNITY]
LIVE = frozenset({Action.LIVE})


def test_an_approved_part_becomes_a_grant_with_its_terms() -> None:
    request = approve(submit("r1", ASKER, FORM, (PARK, GATE), NOW, RULES), "police", APPROVER, NOW)
    part = request.part("police")
    assert part is not None
    grant = issue("g1", request, part, Ms(NOW + 5), COMMUNITY)
    assert (grant.owner, grant.cameras, grant.request) == ("police", {"park"}, "r1")
    assert (grant.applicant, grant.terms, grant.issued) == ("wang", request.terms, NOW + 5)
    assert not grant.emergency


def test_extending_within_the_longest_life() -> None:
    longer = extend(GRANT, APPROVER, Ms(NOW + 9 * HOUR), NOW, COMMUNITY)
    assert longer.terms.period.end == NOW + 9 * HOUR
    with pytest.raises(InvalidInputError, match="longest life"):
        extend(GRANT, APPROVER, Ms(NOW + 72 * HOUR + 1), NOW, COMMUNITY)
    with pytest.raises(InvalidInputError, match="not later"):
        extend(GRANT, APPROVER, Ms(NOW + 8 * HOUR), NOW, COMMUNITY)
    with pytest.raises(ConflictError, match="ended already"):
        extend(GRANT, APPROVER, Ms(NOW + 9 * HOUR), Ms(NOW + 8 * HOUR), COMMUNITY)


def test_one_approver_cannot_lengthen_what_two_agreed_on() -> None:
    with pytest.raises(ForbiddenError, match="2 approvers"):
        extend(GRANT, APPROVER, Ms(NOW + 9 * HOUR), NOW, DEFAULTS[Tier.PUBLIC_SECURITY])


@pytest.mark.parametrize("who", [ASKER, OPERATOR, ADMIN, AUDITOR, SCHOOL_APPROVER])
def test_who_does_not_extend(who: Subject) -> None:
    with pytest.raises(ForbiddenError):
        extend(GRANT, who, Ms(NOW + 9 * HOUR), NOW, COMMUNITY)


def test_narrowing_takes_away_and_never_gives() -> None:
    assert narrow(GRANT, APPROVER, NOW, cameras=frozenset({"park"})).cameras == {"park"}
    assert narrow(GRANT, APPROVER, NOW, users=frozenset({"li"})).terms.users == {"li"}
    assert narrow(GRANT, APPROVER, NOW, end=Ms(NOW + HOUR)).terms.period.end == NOW + HOUR
    day = Schedule(start=480, end=1080)
    noon = Schedule(start=600, end=780, days=frozenset({0}))
    daily = narrow(GRANT, APPROVER, NOW, schedule=day)
    assert narrow(daily, APPROVER, NOW, schedule=noon).terms.schedule == noon
    for more in (
        {"cameras": frozenset({"park", "gate"})},
        {"cameras": frozenset()},
        {"users": frozenset({"he"})},
        {"actions": frozenset({Action.SNAPSHOT})},
        {"end": Ms(NOW + 9 * HOUR)},
        {"end": NOW},
        {"schedule": Schedule(start=470, end=1080)},
        {"schedule": Schedule(start=900, end=600)},
    ):
        with pytest.raises(InvalidInputError):
            narrow(daily, APPROVER, NOW, **more)  # type: ignore[arg-type]


def test_a_grant_to_come_does_not_end_before_it_begins() -> None:
    start = GRANT.terms.period.start
    early = Ms(start - HOUR)
    for end in (Ms(start - 1), start):
        with pytest.raises(InvalidInputError):
            narrow(GRANT, APPROVER, early, end=end)
    assert narrow(GRANT, APPROVER, early, end=Ms(start + 1)).terms.period.end == start + 1


def test_revoking_ends_a_grant_at_once() -> None:
    over = revoke(GRANT, APPROVER, "case closed", Ms(NOW + 5))
    assert not ended(GRANT, Ms(NOW + 5))
    assert ended(over, Ms(NOW + 5))
    with pytest.raises(ConflictError):
        revoke(over, APPROVER, "once more", Ms(NOW + 6))
    with pytest.raises(InvalidInputError, match="reason"):
        revoke(GRANT, APPROVER, "", NOW)


@pytest.mark.parametrize("who", [APPROVER, SECOND, ADMIN, ASKER])
def test_who_may_end_a_grant(who: Subject) -> None:
    assert revoke(GRANT, who, "no longer needed", NOW).revocation is not None


@pytest.mark.parametrize(
    "who", [COLLEAGUE, OPERATOR, SCHOOL_APPROVER, AUDITOR, replace(ADMIN, enabled=False)]
)
def test_who_may_not_end_a_grant(who: Subject) -> None:
    for act in (
        lambda: revoke(GRANT, who, "because I say so", NOW),
        lambda: narrow(GRANT, who, NOW, end=Ms(NOW + 1)),
    ):
        with pytest.raises(ForbiddenError):
            act()


# --- emergencies --------------------------------------------------------------------------------------


def test_an_override_opens_for_the_asker_alone_and_not_for_long() -> None:
    opened, grant = override("e1", OPERATOR, (GATE,), LIVE, "Fire at the school gate", NOW, RULES)
    assert (grant.owner, grant.cameras, grant.terms.users) == ("school", {"gate"}, {"zhou"})
    assert (grant.terms.period.length_ms, grant.terms.purpose) == (30 * MINUTE, Purpose.EMERGENCY)
    assert grant.emergency
    assert (opened.grant, opened.by, opened.department) == ("e1", "zhou", "police")
    assert opened.review_by == NOW + 24 * HOUR
    with pytest.raises(ForbiddenError, match="not extended"):
        extend(grant, SCHOOL_APPROVER, Ms(NOW + HOUR), NOW, COMMUNITY)
    assert revoke(grant, AUDITOR, "no emergency", NOW).revocation is not None


@pytest.mark.parametrize(
    ("who", "targets", "reason", "options", "error"),
    [
        (ASKER, (GATE,), "Fire at the gate", {}, ForbiddenError),
        (replace(OPERATOR, enabled=False), (GATE,), "Fire at the gate", {}, ForbiddenError),
        (person("x", "police", Role.OPERATOR, Role.AUDITOR), (GATE,), "Fire at the gate", {}, ForbiddenError),
        (OPERATOR, (), "Fire at the gate", {}, InvalidInputError),
        (OPERATOR, (GATE, PARK), "Fire at the gate", {}, InvalidInputError),
        (OPERATOR, (GATE,), "", {}, InvalidInputError),
        (OPERATOR, (GATE,), "Fire at the gate", {"life_ms": 31 * MINUTE}, InvalidInputError),
        (OPERATOR, (GATE,), "Fire at the gate", {"life_ms": 0}, InvalidInputError),
        (OPERATOR, (replace(GATE, place=Place.DORMITORY),), "Fire at the gate", {}, ForbiddenError),
        (OPERATOR, (replace(GATE, retired=True),), "Fire at the gate", {}, ForbiddenError),
        (
            OPERATOR,
            tuple(replace(GATE, camera=f"c{n}") for n in range(9)),
            "Fire there",
            {},
            InvalidInputError,
        ),
    ],
)
def test_what_is_no_override(
    who: Subject, targets: tuple[object, ...], reason: str, options: dict[str, int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        override("e1", who, targets, LIVE, reason, NOW, RULES, **options)  # type: ignore[arg-type]


def test_policy_can_rule_overrides_out() -> None:
    with pytest.raises(ForbiddenError, match="policy allows no emergency"):
        override("e1", OPERATOR, (PARK,), LIVE, "Fire there", NOW, rules(Tier.COMMUNITY, override=False))


def test_somebody_else_reviews_an_override() -> None:
    opened, _ = override("e1", OPERATOR, (GATE,), LIVE, "Fire at the school gate", NOW, RULES)
    for who in (AUDITOR, SCHOOL_APPROVER):
        assert not counts_against(review(opened, who, True, "There was a fire", NOW), NOW)
    assert counts_against(review(opened, AUDITOR, False, "There was none", NOW), NOW)
    same = replace(AUDITOR, id="zhou")
    for who in (APPROVER, ADMIN, OPERATOR, same, replace(AUDITOR, enabled=False)):
        with pytest.raises(ForbiddenError):
            review(opened, who, True, "There was a fire", NOW)
    with pytest.raises(ConflictError):
        review(review(opened, AUDITOR, True, "fine by me", NOW), SCHOOL_APPROVER, False, "not by me", NOW)
    with pytest.raises(InvalidInputError, match="reason"):
        review(opened, AUDITOR, True, "", NOW)


def test_an_override_that_nobody_reviews_in_time_counts_against_the_department() -> None:
    opened, _ = override("e1", OPERATOR, (GATE,), LIVE, "Fire at the school gate", NOW, RULES)
    assert not counts_against(opened, Ms(opened.review_by - 1))
    assert counts_against(opened, opened.review_by)
    assert counts_against(review(opened, AUDITOR, True, "fine, but late", opened.review_by), NOW)
    assert count_against([opened, opened], opened.review_by) == {"police": 2}
    assert count_against([opened], NOW) == {}


# --- policy -------------------------------------------------------------------------------------------


def test_public_security_wants_two_approvers_and_a_shorter_life() -> None:
    strict, loose = DEFAULTS[Tier.PUBLIC_SECURITY], DEFAULTS[Tier.COMMUNITY]
    assert (strict.approvers, loose.approvers) == (2, 1)
    assert strict.longest_life_ms < loose.longest_life_ms


def test_cameras_of_several_tiers_get_the_strictest_of_each_rule() -> None:
    policy = rules(Tier.COMMUNITY, most_cameras=3, burned_watermark=True).strictest((CROSSING, PARK))
    assert (policy.approvers, policy.most_cameras, policy.burned_watermark) == (2, 3, True)
    assert policy.longest_life_ms == DEFAULTS[Tier.PUBLIC_SECURITY].longest_life_ms


@pytest.mark.parametrize(
    "changes", [{"approvers": 0}, {"override_life_ms": -1}, {"default_life_ms": 9 * 24 * HOUR}]
)
def test_policies_that_mean_nothing_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError):
        ViewPolicy(tier=Tier.COMMUNITY, **changes)  # type: ignore[arg-type]
