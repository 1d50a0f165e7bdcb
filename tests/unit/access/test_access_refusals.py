"""Who is refused again and again: told to wait, counted, and told of in one line."""

import pytest
from access_people import NOW

from sharpeyes.access.refusals import ADDRESS, MOST_KEYS, USER, Refusals
from sharpeyes.access.register.entry import Entry, Kind, encode
from sharpeyes.access.throttle import WaitError
from sharpeyes.domain.time import Ms


def a_refusal(at: int = NOW, user: str | None = "u1", address: str | None = None, reason: str = "x") -> Entry:
    return Entry(
        kind=Kind.REFUSAL, at=Ms(at), user=user, camera="c1", address=address, details={"reason": reason}
    )


def written(refusals: Refusals, *entries: Entry) -> int:
    count = 0
    for entry in entries:
        try:
            refusals.take(entry)
        except WaitError:
            continue
        count += 1
    return count


def test_the_first_are_written_one_by_one_and_then_one_a_refill() -> None:
    refusals = Refusals()
    assert written(refusals, *[a_refusal()] * 1000) == USER.burst
    with pytest.raises(WaitError) as caught:
        refusals.take(a_refusal())
    assert caught.value.retry_after_s == USER.refill_ms / 1000
    hour = [a_refusal(NOW + second * 1000) for second in range(1, 3601)]
    assert written(refusals, *hour) == 3_600_000 // USER.refill_ms


def test_the_others_are_told_of_in_one_line() -> None:
    refusals = Refusals()
    written(refusals, *[a_refusal(reason="expired")] * 4000, *[a_refusal(NOW + 5, reason="role")] * 1000)
    ((summary, account),) = refusals.summaries(Ms(NOW + 9))
    assert (summary.kind, summary.user, summary.camera, summary.at) == (Kind.REFUSAL, "u1", None, NOW + 9)
    assert summary.details["count"] == 5000 - USER.burst
    assert summary.details["reasons"] == {"expired": 4000 - USER.burst, "role": 1000}
    assert encode(summary)
    written(refusals, a_refusal(NOW + 10))  # while that line is being written
    refusals.told(summary, account)
    ((rest, account),) = refusals.summaries(Ms(NOW + 20))
    assert rest.details["count"] == 1
    refusals.told(rest, account)
    assert list(refusals.summaries(Ms(NOW + 30))) == []


def test_an_address_has_an_allowance_of_its_own_over_all_users() -> None:
    refusals = Refusals()
    many = [a_refusal(user=f"u{number}", address="192.0.2.1") for number in range(1000)]
    assert written(refusals, *many) == ADDRESS.burst
    assert written(refusals, a_refusal(user="u9999", address="192.0.2.2")) == 1
    strangers = [a_refusal(user=None, address=f"2001:db8::{number:x}") for number in range(1000)]
    assert written(refusals, *strangers) == ADDRESS.burst  # one /64


def test_a_dear_step_is_refused_beforehand() -> None:
    refusals = Refusals()
    refusals.check("u1", NOW)
    written(refusals, *[a_refusal()] * USER.burst)
    with pytest.raises(WaitError):
        refusals.check("u1", NOW)
    refusals.check("u2", NOW)
    refusals.check("u1", Ms(NOW + USER.refill_ms))


def test_a_clock_that_is_put_back_keeps_nobody_waiting_longer() -> None:
    refusals = Refusals()
    written(refusals, *[a_refusal()] * 100)
    past = NOW - 10**10
    assert refusals.wait_ms("u1", Ms(past)) == USER.refill_ms
    assert refusals.wait_ms("u1", Ms(past + USER.refill_ms)) == 0


def test_memory_is_bounded_and_what_is_forgotten_is_told_without_a_name() -> None:
    refusals = Refusals()
    written(refusals, *[a_refusal()] * (USER.burst + 7))
    for number in range(MOST_KEYS):
        refusals.take(a_refusal(user=f"other{number}"))
    assert len(refusals._accounts) == MOST_KEYS
    ((summary, _),) = refusals.summaries(NOW)
    assert (summary.user, summary.details["count"]) == (None, 7)
