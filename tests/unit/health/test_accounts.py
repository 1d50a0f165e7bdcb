"""Logging in without locking accounts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Failure, FailureKind, Phase, ProbeResult, Rung, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.health.accounts import FIRST_MS, LONGEST_MS, Accounts, Login, Permit, Trust, login

NVR = "10.0.0.1:554"
GOOD = Credentials("admin", Secret("right"))
BAD = Credentials("admin", Secret("wrong"))
MIN = 60_000


def ms(n: int) -> Ms:
    return Ms(n)


def test_an_unproven_account_is_tried_by_one_probe_at_a_time() -> None:
    accounts = Accounts()
    assert accounts.ask(NVR, "c1", BAD, ms(0)) is Permit.USE
    assert accounts.ask(NVR, "c2", BAD, ms(0)) is Permit.WAIT
    assert accounts.ask("10.0.0.2:554", "d1", BAD, ms(0)) is Permit.USE  # another host, another account
    accounts.tell(NVR, "c1", BAD, Login.UNTRIED, ms(5))
    assert accounts.ask(NVR, "c2", BAD, ms(5)) is Permit.USE


def test_32_channels_and_a_wrong_password_cost_one_failed_login() -> None:
    accounts = Accounts()
    logins = 0
    for n in range(32):
        if accounts.ask(NVR, f"c{n}", BAD, ms(n)) is Permit.USE:
            logins += 1
            accounts.tell(NVR, f"c{n}", BAD, Login.REFUSED, ms(n))
    assert logins == 1
    assert accounts.trust(NVR, BAD) is Trust.REFUSED


def test_the_back_off_doubles_up_to_six_hours() -> None:
    accounts, now, pauses = Accounts(), 0, []
    for _ in range(7):
        assert accounts.ask(NVR, "c", BAD, ms(now)) is Permit.USE
        accounts.tell(NVR, "c", BAD, Login.REFUSED, ms(now))
        until = accounts.withheld_until(NVR, "c", BAD)
        assert until is not None
        assert accounts.ask(NVR, "c", BAD, ms(until - 1)) is Permit.WITHHOLD
        pauses.append((until - now) // MIN)
        now = until
    assert pauses == [30, 60, 120, 240, 360, 360, 360]
    assert LONGEST_MS == 360 * MIN


def test_changed_credentials_are_tried_at_once() -> None:
    accounts = Accounts()
    accounts.ask(NVR, "c", BAD, ms(0))
    accounts.tell(NVR, "c", BAD, Login.REFUSED, ms(0))
    assert accounts.ask(NVR, "c", BAD, ms(1)) is Permit.WITHHOLD
    assert accounts.ask(NVR, "c", GOOD, ms(1)) is Permit.USE


def test_a_proven_account_is_used_by_all_and_a_changed_password_costs_two_logins() -> None:
    accounts = Accounts()
    accounts.ask(NVR, "c1", GOOD, ms(0))
    accounts.tell(NVR, "c1", GOOD, Login.ACCEPTED, ms(0))
    assert accounts.trust(NVR, GOOD) is Trust.PROVEN
    failed = 0
    for n in range(32):  # now the device has another password
        if accounts.ask(NVR, f"c{n}", GOOD, ms(n)) is Permit.USE:
            failed += 1
            accounts.tell(NVR, f"c{n}", GOOD, Login.REFUSED, ms(n))
    assert failed == 2


def test_one_channel_without_rights_does_not_take_its_neighbours_down() -> None:
    accounts = Accounts()
    refused = {"c7"}
    withheld: dict[str, int] = {}
    for sweep in range(10):
        for n in range(16):
            camera, now = f"c{n}", ms(sweep * 30_000 + n)
            if accounts.ask(NVR, camera, GOOD, now) is Permit.USE:
                outcome = Login.REFUSED if camera in refused else Login.ACCEPTED
                accounts.tell(NVR, camera, GOOD, outcome, now)
            else:
                withheld[camera] = withheld.get(camera, 0) + 1
    assert withheld == {"c7": 9}


def test_a_refusal_from_before_a_restart_holds() -> None:
    accounts = Accounts()
    accounts.refuse(NVR, BAD, ms(FIRST_MS))
    assert accounts.ask(NVR, "c", BAD, ms(FIRST_MS - 1)) is Permit.WITHHOLD
    assert accounts.ask(NVR, "c", BAD, ms(FIRST_MS)) is Permit.USE


def test_forgiven_means_tried_once_more() -> None:
    accounts = Accounts()
    accounts.ask(NVR, "c", BAD, ms(0))
    accounts.tell(NVR, "c", BAD, Login.REFUSED, ms(0))
    accounts.forgive(NVR, BAD)
    assert accounts.ask(NVR, "c", BAD, ms(1)) is Permit.USE
    assert accounts.ask(NVR, "d", BAD, ms(1)) is Permit.WAIT


def test_what_a_result_says_about_the_login() -> None:
    def ended(rung: Rung, kind: FailureKind | None) -> Login:
        failure = None if kind is None else Failure(Phase.DESCRIBE, kind, "")
        return login(ProbeResult(at=ms(0), rung=rung, failure=failure, timings=Timings()))

    assert ended(Rung.RTSP, FailureKind.AUTH_FAILED) is Login.REFUSED
    assert ended(Rung.NONE, FailureKind.TIMEOUT) is Login.UNTRIED
    assert ended(Rung.AUTHENTICATED, FailureKind.BUSY) is Login.ACCEPTED
    assert ended(Rung.KEYFRAME, None) is Login.ACCEPTED


def test_accounts_without_cameras_are_forgotten() -> None:
    accounts = Accounts()
    for host in ("a:554", "b:554"):
        accounts.ask(host, "c", BAD, ms(0))
        accounts.tell(host, "c", BAD, Login.REFUSED, ms(0))
    accounts.keep({("a:554", BAD)})
    assert accounts.counts()[Trust.REFUSED] == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Login), st.integers(0, 40 * MIN)), max_size=80))
def test_refusals_are_half_an_hour_apart(story: list[tuple[int, Login, int]]) -> None:
    """With a password that is wrong throughout, whatever the order of the channels and of silent ends."""
    accounts, now = Accounts(), 0
    refusals: list[int] = []
    for channel, outcome, step in story:
        now += step
        if accounts.ask(NVR, f"c{channel}", BAD, ms(now)) is Permit.USE:
            outcome = Login.REFUSED if outcome is Login.ACCEPTED else outcome
            accounts.tell(NVR, f"c{channel}", BAD, outcome, ms(now))
            if outcome is Login.REFUSED:
                refusals.append(now)
    for first, second in itertools.pairwise(refusals):
        assert second - first >= FIRST_MS
