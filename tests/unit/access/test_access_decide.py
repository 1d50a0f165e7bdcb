"""Who may watch what, and why not: one row a reason."""

from dataclasses import replace

import pytest
from access_people import (
    ADMIN,
    APPROVER,
    ASKER,
    AUDITOR,
    COLLEAGUE,
    CROSSING,
    GATE,
    GRANT,
    HOUR,
    MAINTAINER,
    NOW,
    OPERATOR,
    PARK,
    RULES,
    TERMS,
    person,
    rules,
)
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.access.decide import admit, decide, decide_among
from sharpeyes.domain.access import (
    FORBIDDEN_PLACES,
    Action,
    Allowed,
    Basis,
    Grant,
    Place,
    Reason,
    Refused,
    Revocation,
    Role,
    Schedule,
    Subject,
    Target,
)
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span


def test_a_named_user_watches_until_the_lease_ends() -> None:
    assert decide(ASKER, CROSSING, Action.LIVE, GRANT, NOW, RULES) == Allowed(
        basis=Basis.GRANT, grant="g1", until=Ms(NOW + 8 * HOUR), watermark=False
    )


ENDED = replace(GRANT, revocation=Revocation(by="zhao", at=NOW, reason="over"))
ALL_ROLES = frozenset(Role)

REFUSALS: list[tuple[Reason, Subject, Target, Action, Grant | None, int]] = [
    (Reason.USER_DISABLED, replace(ASKER, enabled=False), CROSSING, Action.LIVE, GRANT, 0),
    (Reason.CAMERA_RETIRED, ASKER, replace(CROSSING, retired=True), Action.LIVE, GRANT, 0),
    (Reason.AUDITOR, AUDITOR, CROSSING, Action.LIVE, GRANT, 0),
    (Reason.AUDITOR, replace(ASKER, roles=ALL_ROLES), CROSSING, Action.LIVE, GRANT, 0),
    (Reason.MAINTAINER, MAINTAINER, CROSSING, Action.LIVE, None, 0),
    (Reason.MAINTAINER, replace(ASKER, roles=frozenset({Role.MAINTAINER})), CROSSING, Action.LIVE, GRANT, 0),
    (Reason.ROLE, ADMIN, CROSSING, Action.LIVE, None, 0),
    (Reason.ROLE, APPROVER, CROSSING, Action.LIVE, None, 0),
    (Reason.NO_GRANT, ASKER, CROSSING, Action.LIVE, None, 0),
    (Reason.NO_GRANT, OPERATOR, GATE, Action.LIVE, None, 0),
    (Reason.OTHER_DEPARTMENT, replace(ASKER, department="school"), CROSSING, Action.LIVE, GRANT, 0),
    (Reason.OTHER_USER, person("he", "traffic", Role.REQUESTER), CROSSING, Action.LIVE, GRANT, 0),
    (Reason.OTHER_CAMERA, ASKER, GATE, Action.LIVE, GRANT, 0),
    (Reason.OTHER_OWNER, ASKER, replace(CROSSING, owner="school"), Action.LIVE, GRANT, 0),
    (Reason.ACTION, ASKER, CROSSING, Action.SNAPSHOT, GRANT, 0),
    (Reason.REVOKED, ASKER, CROSSING, Action.LIVE, ENDED, 0),
    (Reason.NOT_YET, ASKER, CROSSING, Action.LIVE, GRANT, -1),
    (Reason.EXPIRED, ASKER, CROSSING, Action.LIVE, GRANT, 8 * HOUR),
]


@pytest.mark.parametrize(("reason", "subject", "target", "action", "grant", "later"), REFUSALS)
def test_refusals(
    reason: Reason, subject: Subject, target: Target, action: Action, grant: Grant | None, later: int
) -> None:
    answer = decide(subject, target, action, grant, Ms(NOW + later), RULES)
    assert isinstance(answer, Refused)
    assert answer.reason is reason
    assert answer.message


@pytest.mark.parametrize("place", sorted(FORBIDDEN_PLACES))
def test_nobody_watches_where_the_law_forbids_cameras(place: Place) -> None:
    there = replace(PARK, place=place)
    for subject, grant in ((OPERATOR, None), (ASKER, GRANT)):
        answer = decide(subject, there, Action.LIVE, grant, NOW, RULES)
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.PLACE_FORBIDDEN
    assert admit(there) is not None


def test_the_places_of_article_8() -> None:
    assert {str(place) for place in FORBIDDEN_PLACES} == {
        "dormitory",
        "hotel_room",
        "bath",
        "toilet",
        "changing_room",
        "nursing_room",
        "fitting_room",
    }
    assert admit(PARK) is None


def test_operators_watch_their_own_departments_cameras_if_policy_says_so() -> None:
    assert decide(OPERATOR, PARK, Action.LIVE, None, NOW, RULES) == Allowed(
        basis=Basis.OWN, grant=None, until=None, watermark=False
    )
    strict = rules(Tier.COMMUNITY, operators_watch_own=False)
    answer = decide(OPERATOR, PARK, Action.LIVE, None, NOW, strict)
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.POLICY


def test_an_operator_needs_a_grant_for_the_cameras_of_others() -> None:
    """And a requester of the owning department is no operator."""
    for subject, target in (
        (OPERATOR, GATE),
        (person("wang", "police", Role.REQUESTER), PARK),
    ):
        assert isinstance(decide(subject, target, Action.LIVE, None, NOW, RULES), Refused)


def test_the_watermark_is_burned_in_where_policy_wants_it() -> None:
    answer = decide(
        ASKER, CROSSING, Action.LIVE, GRANT, NOW, rules(Tier.PUBLIC_SECURITY, burned_watermark=True)
    )
    assert isinstance(answer, Allowed)
    assert answer.watermark


def test_a_daily_schedule_opens_and_closes_the_view() -> None:
    """22:13 in Shanghai: within 22-23 it is allowed until 23:00; outside, it says when it opens."""
    evening = replace(GRANT, terms=replace(TERMS, schedule=Schedule(start=22 * 60, end=23 * 60)))
    closes = Ms(NOW + (46 * 60 + 40) * 1000)
    assert decide(ASKER, CROSSING, Action.LIVE, evening, NOW, RULES) == Allowed(
        basis=Basis.GRANT, grant="g1", until=closes, watermark=False
    )
    answer = decide(ASKER, CROSSING, Action.LIVE, evening, closes, RULES)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.until) == (
        Reason.SCHEDULE,
        Ms(NOW + 8 * HOUR),
    )  # ends before it opens again


def test_what_is_refused_too_early_says_when_to_come_back() -> None:
    answer = decide(ASKER, CROSSING, Action.LIVE, GRANT, Ms(NOW - 5), RULES)
    assert isinstance(answer, Refused)
    assert answer.until == NOW


def test_a_clock_that_is_put_back_gives_no_revoked_grant_back() -> None:
    later = replace(GRANT, revocation=Revocation(by="zhao", at=Ms(NOW + 5), reason="over"))
    answer = decide(ASKER, CROSSING, Action.LIVE, later, NOW, RULES)
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.REVOKED


def test_an_emergency_is_named_as_such() -> None:
    answer = decide(ASKER, CROSSING, Action.LIVE, replace(GRANT, request=None), NOW, RULES)
    assert isinstance(answer, Allowed)
    assert answer.basis is Basis.EMERGENCY


def test_among_several_grants_the_longest_counts() -> None:
    short = replace(GRANT, id="short", terms=replace(TERMS, period=Span(NOW, Ms(NOW + 5))))
    answer = decide_among(ASKER, CROSSING, Action.LIVE, (short, GRANT, ENDED), NOW, RULES)
    assert isinstance(answer, Allowed)
    assert answer.grant == "g1"
    both = person("zhou", "police", Role.OPERATOR)
    assert isinstance(decide_among(both, PARK, Action.LIVE, (), NOW, RULES), Allowed)


def test_among_several_refusals_the_nearest_miss_is_told() -> None:
    answer = decide_among(COLLEAGUE, GATE, Action.LIVE, (), NOW, RULES)
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.NO_GRANT
    answer = decide_among(
        ASKER, CROSSING, Action.LIVE, (replace(GRANT, cameras=frozenset({"x"})), ENDED), NOW, RULES
    )
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.REVOKED


schedules = st.builds(
    lambda start, length, days: Schedule(
        start=start, end=(start + length - 1) % 1440 + 1, days=frozenset(days)
    ),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sets(st.integers(0, 6), min_size=1),
)


@given(st.integers(-48 * HOUR, 48 * HOUR), schedules)
def test_the_answer_holds_until_the_instant_it_names(later: int, schedule: Schedule) -> None:
    """What the gateway's timer relies on: nothing changes before ``until``, and at ``until`` it may."""
    grant = replace(
        GRANT,
        terms=replace(TERMS, schedule=schedule, period=Span(Ms(NOW - 24 * HOUR), Ms(NOW + 24 * HOUR))),
    )
    now = Ms(NOW + later)
    answer = decide(ASKER, CROSSING, Action.LIVE, grant, now, RULES)
    if answer.until is None:
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.EXPIRED
        return
    assert answer.until > now
    for moment in (now, now + (answer.until - now) // 2, answer.until - 1):
        assert type(decide(ASKER, CROSSING, Action.LIVE, grant, Ms(moment), RULES)) is type(answer)
    if isinstance(answer, Allowed):
        assert isinstance(decide(ASKER, CROSSING, Action.LIVE, grant, answer.until, RULES), Refused)
