"""What guards the doors: the throttle, codes, passwords, session tokens and tickets."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest
from access_people import MINUTE, NOW
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.access import passwords, sessions, totp
from sharpeyes.access.throttle import ACCOUNT, ADDRESS, MOST_KEYS, PAIR, QUIET_MS, Throttle, network_of
from sharpeyes.access.tickets import Ticket, TicketGate, TicketOffice
from sharpeyes.domain.access import Action, Reason, Refused
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms

# --- the throttle -------------------------------------------------------------------------------------


def fail(
    throttle: Throttle, times: int, *, account: str = "a", address: str = "192.0.2.1", now: int = NOW
) -> int:
    """That many failures as fast as allowed; returns the time."""
    for _ in range(times):
        while wait := throttle.begin(account, address, Ms(now), known=False):
            now += wait
    return now


def test_the_first_failures_cost_nothing_and_then_the_wait_doubles() -> None:
    throttle = Throttle()
    waits = []
    now = NOW
    for _ in range(8):
        wait = throttle.begin("a", "192.0.2.1", Ms(now), known=True)
        waits.append(wait)
        if wait:
            now += wait
            assert throttle.begin("a", "192.0.2.1", Ms(now), known=True) == 0
    assert waits == [0, 0, 0, 0, 1000, 2000, 4000, 8000]


def test_waiting_does_not_lengthen_the_wait() -> None:
    throttle = Throttle()
    now = fail(throttle, 6)
    first = throttle.begin("a", "192.0.2.1", Ms(now), known=False)
    for later in range(100):
        assert throttle.begin("a", "192.0.2.1", Ms(now + later), known=False) == first - later


def test_many_attempts_at_once_are_no_way_around() -> None:
    throttle = Throttle()
    let_in = [throttle.begin("a", "192.0.2.1", NOW, known=False) for _ in range(1000)].count(0)
    assert let_in == PAIR.free + 1


def test_success_starts_the_pair_afresh() -> None:
    throttle = Throttle()
    now = fail(throttle, 3)
    assert throttle.begin("a", "192.0.2.1", Ms(now), known=False) == 0
    throttle.succeeded("a", "192.0.2.1", known=False)
    assert [throttle.begin("a", "192.0.2.1", Ms(now), known=False) for _ in range(4)] == [0, 0, 0, 0]


def test_a_stranger_cannot_lock_somebody_out() -> None:
    """However many addresses guess, from home one is let in at once; from elsewhere within the ceiling."""
    throttle = Throttle()
    now = int(NOW)
    for number in range(2000):
        throttle.begin("a", f"2001:db8:{number:x}::1", Ms(now), known=False)
        now += 10
    assert throttle.begin("a", "192.0.2.1", Ms(now), known=True) == 0
    wait = throttle.begin("a", "198.51.100.9", Ms(now), known=False)
    assert 0 < wait <= ACCOUNT.ceiling_ms


def test_guessing_over_many_accounts_from_one_address_is_slowed() -> None:
    throttle = Throttle()
    tried = sum(throttle.begin(f"user{number}", "192.0.2.1", NOW, known=False) == 0 for number in range(500))
    assert tried == ADDRESS.free + 1


def test_an_account_of_ones_own_does_not_clear_the_address() -> None:
    throttle = Throttle()
    for number in range(ADDRESS.free + 1):
        assert throttle.begin(f"user{number}", "192.0.2.1", NOW, known=False) == 0
    throttle.succeeded("mine", "192.0.2.1", known=True)
    throttle.begin("user", "192.0.2.1", NOW, known=False)
    assert throttle.begin("another", "192.0.2.1", NOW, known=False) > 0


def test_failures_are_forgotten_after_a_quiet_time() -> None:
    throttle = Throttle()
    now = fail(throttle, 12)
    assert throttle.begin("a", "192.0.2.1", Ms(now + QUIET_MS), known=False) == 0


@pytest.mark.parametrize("limit", [PAIR, ACCOUNT, ADDRESS])
def test_no_wait_is_for_ever(limit: object) -> None:
    assert limit.wait_ms(10**6) == limit.ceiling_ms < QUIET_MS  # type: ignore[attr-defined]


def test_memory_is_bounded_whatever_names_are_tried() -> None:
    throttle = Throttle()
    for number in range(MOST_KEYS + 1000):
        throttle.begin(
            f"user{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW, known=False
        )
    assert len(throttle._counts) == MOST_KEYS


def test_what_counts_as_one_address() -> None:
    assert (
        network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    )
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") != network_of("192.0.2.2")
    assert len(network_of("x" * 1000)) == 64


# --- codes --------------------------------------------------------------------------------------------

RFC_SECRET = Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, seconds // 30, 8) == code


def test_a_code_opens_once_and_not_for_long() -> None:
    secret = totp.new_secret()
    step = NOW // totp.STEP_MS
    code = totp.code_at(secret, step)
    assert totp.accept(secret, code, NOW, 0) == step
    assert totp.accept(secret, code, NOW, step) is None  # seen over a shoulder
    assert totp.accept(secret, totp.code_at(secret, step - 1), NOW, step) is None  # nor an older one
    assert totp.accept(secret, f" {code[:3]} {code[3:]} ", Ms(NOW + totp.STEP_MS), 0) == step
    assert totp.accept(secret, code, Ms(NOW + 2 * totp.STEP_MS), 0) is None
    assert totp.accept(totp.new_secret(), code, NOW, 0) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６"])
def test_what_is_no_code(code: str) -> None:
    assert totp.accept(RFC_SECRET, code, NOW, 0) is None


def test_the_uri_for_an_app_is_a_secret() -> None:
    uri = totp.uri(RFC_SECRET, "王芳@traffic")
    assert RFC_SECRET.reveal() not in repr(uri)
    assert uri.reveal().startswith("otpauth://totp/SharpEyes:%E7%8E%8B%E8%8A%B3%40traffic?secret=GEZD")


# --- passwords ----------------------------------------------------------------------------------------


def test_a_password_is_kept_as_argon2id_with_19_mib() -> None:
    encoded = passwords.hash_password(Secret("correct horse battery"))
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(encoded, Secret("correct horse battery"))
    assert not passwords.matches(encoded, Secret("correct horse batterz"))
    assert not passwords.matches(None, Secret(""))  # the stand-in for no account opens nothing
    assert not passwords.matches("not a hash", Secret("x"))
    assert not passwords.matches(encoded, Secret("x" * 1_000_000))
    assert not passwords.matches(encoded, Secret("\ud800"))
    assert not passwords.outdated(encoded)
    assert passwords.outdated(encoded.replace("m=19456", "m=8192"))


@pytest.mark.parametrize("bad", ["short", "aaaaaaaaaaaaaaaa", "wang.fang-2026", "x" * 257])
def test_passwords_that_anybody_guesses(bad: str) -> None:
    with pytest.raises(InvalidInputError, match="password"):
        passwords.check_strength(Secret(bad), username="Wang.Fang")


def test_a_good_password_needs_no_funny_characters() -> None:
    passwords.check_strength(Secret("correct horse battery"), username="a")


# --- sessions -----------------------------------------------------------------------------------------


def test_a_session_ends_when_idle_when_old_and_when_told() -> None:
    policy = sessions.SessionPolicy(idle_ms=10, longest_ms=25)
    session, token, kept = sessions.begin("u1", NOW, policy, address="192.0.2.1", client="x" * 999)
    assert kept == sessions.token_hash(token.reveal())
    assert len(kept) == 32
    assert len(token.reveal()) >= 43  # 256 bits
    assert len(session.client) == 200
    assert sessions.live(session, Ms(NOW + 9), policy)
    assert not sessions.live(session, Ms(NOW + 10), policy)
    used = replace(session, seen=Ms(NOW + 20))
    assert sessions.live(used, Ms(NOW + 24), policy)
    assert not sessions.live(used, Ms(NOW + 25), policy)
    assert not sessions.live(replace(session, ended=NOW), NOW, policy)


# --- tickets ------------------------------------------------------------------------------------------

OFFICE = TicketOffice(bytes(range(32)))


def issue(life_ms: int = MINUTE, now: int = NOW) -> tuple[Ticket, str]:
    ticket, text = OFFICE.issue(
        user="wang",
        department="traffic",
        camera="crossing",
        action=Action.LIVE,
        grant="g1",
        client="192.0.2.1",
        now=Ms(now),
        life_ms=life_ms,
    )
    return ticket, text.reveal()


def gate() -> TicketGate:
    return TicketGate(OFFICE.public, NOW)


def refusal(answer: Ticket | Refused) -> Reason:
    assert isinstance(answer, Refused)
    return answer.reason


def test_a_ticket_opens_once() -> None:
    ticket, text = issue()
    door = gate()
    assert door.redeem(text, "192.0.2.1", Ms(NOW + 1)) == ticket
    assert refusal(door.redeem(text, "192.0.2.1", Ms(NOW + 2))) is Reason.TICKET_USED


def test_a_ticket_opens_for_one_minute_at_most() -> None:
    _, text = issue()
    assert refusal(gate().redeem(text, "192.0.2.1", Ms(NOW + MINUTE))) is Reason.TICKET_EXPIRED
    with pytest.raises(InvalidInputError):
        issue(MINUTE + 1)
    _, early = issue(now=NOW + MINUTE)
    assert refusal(gate().redeem(early, "192.0.2.1", NOW)) is Reason.TICKET_INVALID


def test_a_ticket_opens_for_its_client_and_a_thief_does_not_spend_it() -> None:
    ticket, text = issue()
    door = gate()
    assert refusal(door.redeem(text, "198.51.100.9", NOW)) is Reason.TICKET_CLIENT
    assert door.redeem(text, "192.0.2.1", NOW) == ticket


def test_a_gateway_that_restarted_takes_no_ticket_from_before() -> None:
    """It cannot know whether it has redeemed it."""
    _, text = issue(now=NOW - 10_000)
    assert refusal(gate().redeem(text, "192.0.2.1", NOW)) is Reason.TICKET_EXPIRED


def test_a_ticket_of_another_key_opens_nothing() -> None:
    _, text = issue()
    stranger = TicketGate(TicketOffice(bytes(32)).public, NOW)
    assert refusal(stranger.redeem(text, "192.0.2.1", NOW)) is Reason.TICKET_INVALID


@given(st.data())
def test_no_altered_ticket_opens_anything(data: st.DataObject) -> None:
    _, text = issue()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    bent = text[:at] + other + text[at + 1 :]
    assert refusal(gate().redeem(bent, "192.0.2.1", NOW)) is Reason.TICKET_INVALID


def test_a_ticket_names_everything_that_it_is_for() -> None:
    _, text = issue()
    padded = text.split(".")[1]
    said = json.loads(urlsafe_b64decode(padded + "=" * (-len(padded) % 4)))
    assert set(said) == {
        "id",
        "user",
        "department",
        "camera",
        "action",
        "grant",
        "client",
        "issued",
        "expires",
        "session",
    }
