"""Single sign-on against an independent OpenID Connect provider, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api_client import client_of
from api_people import Staff, staff_of
from sharpeyes.access.throttle import ADDRESS
from sharpeyes.config import Settings
from sharpeyes.domain.access import Role
from sharpeyes.domain.errors import InvalidInputError

PROVIDER = """
import sys
from oidc_provider_mock import run_server_in_thread, User
people = [User(sub=f"id-{name}", claims={"preferred_username": name}) for name in sys.argv[1:]]
with run_server_in_thread(require_nonce=True, user_claims=people) as server:
    print(server.server_port, flush=True)
    sys.stdin.read()
"""
ODD = ("\u212aelvin", "x" * 300)
CALLBACK = "/api/v1/session/oidc/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    run = [sys.executable, "-W", "ignore", "-c", PROVIDER, "Chen", "zhao", "stranger", *ODD]
    with subprocess.Popen(
        run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://localhost:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture
async def staff(tmp_path: Path, issuer: str) -> AsyncIterator[Staff]:
    settings = {
        "oidc_issuer": issuer,
        "oidc_client_id": "sharpeyes",
        "oidc_client_secret": "of the client",
        "oidc_label": "Portal",
        "public_url": "http://localhost",
    }
    async with client_of(tmp_path, **settings) as client, staff_of(client, names=("wu", "feng")) as found:
        await client.service.access.people.add(  # type: ignore[union-attr]
            None, username="chen", name="Chen", department="edu", roles={Role.REQUESTER}, password=None
        )
        yield found


async def test_the_sign_in_page_is_told_of_it(staff: Staff) -> None:
    browser = await staff.browser()
    assert (await browser.get("/api/v1/session/ways")).json() == {"password": True, "sign_on": "Portal"}


async def test_whoever_the_provider_vouches_for_is_logged_in(staff: Staff) -> None:
    browser = await staff.browser(url="http://localhost")
    back = await browser.get(await at_provider(browser, "Chen", after="/live?layout=4"))
    assert back.status_code == 303
    assert back.headers["location"] == "/live?layout=4"
    who = (await browser.get("/api/v1/session")).json()
    assert who["user"]["name"] == "Chen"
    newest = (await staff.register(kind="login"))[0]
    assert (newest["user"], newest["details"]["by"]) == (who["user"]["id"], "oidc")


async def test_an_identity_stays_with_its_account(staff: Staff) -> None:
    first = await staff.browser(url="http://localhost")
    await first.get(await at_provider(first, "Chen"))
    account = (await first.get("/api/v1/session")).json()["user"]["id"]
    assert (await staff["feng"].patch(f"/api/v1/users/{account}", json={"enabled": False})).status_code == 200
    again = await staff.browser(url="http://localhost")
    back = await again.get(await at_provider(again, "Chen"))
    assert parse_qs(urlsplit(back.headers["location"]).query)["problem"] == ["no_account"]
    assert (await again.get("/api/v1/session")).status_code == 401


@pytest.mark.parametrize("name", ["zhao", "stranger"])
async def test_nobody_gets_into_an_account_with_a_password_or_into_none(staff: Staff, name: str) -> None:
    browser = await staff.browser(url="http://localhost")
    back = await browser.get(await at_provider(browser, name))
    assert back.headers["location"].startswith("/sign-in?problem=no_account")
    assert (await browser.get("/api/v1/session")).status_code == 401
    newest = (await staff.register(kind="login"))[0]
    assert newest["details"]["outcome"] == "unknown"


async def test_one_whose_name_looks_like_anothers_does_not_get_the_account(staff: Staff) -> None:
    """The Kelvin sign folds to a k."""
    people = staff.client.service.access.people  # type: ignore[union-attr]
    await people.add(
        None, username="kelvin", name="K", department="edu", roles={Role.REQUESTER}, password=None
    )
    browser = await staff.browser(url="http://localhost")
    back = await browser.get(await at_provider(browser, "\u212aelvin"))
    assert back.headers["location"].startswith("/sign-in?problem=no_account")


async def test_a_subject_that_is_too_long_is_not_cut_to_anothers(staff: Staff) -> None:
    browser = await staff.browser(url="http://localhost")
    back = await browser.get(await at_provider(browser, "x" * 300))
    assert back.headers["location"].startswith("/sign-in?problem=unauthenticated")


async def test_who_proves_nothing_again_and_again_is_told_to_wait(staff: Staff) -> None:
    browser = await staff.browser(url="http://localhost")
    for number in range(ADDRESS.free + 2):
        back = await browser.get(f"{CALLBACK}?state=x&code={number}")
        found = parse_qs(urlsplit(back.headers["location"]).query)["problem"]
        assert found == (["unauthenticated"] if number <= ADDRESS.free else ["throttled"])


async def test_an_answer_opens_only_the_browser_that_asked(staff: Staff) -> None:
    browser, other = await staff.browser(url="http://localhost"), await staff.browser(url="http://localhost")
    url = await at_provider(browser, "Chen")
    for thief in (other, await began(staff)):
        back = await thief.get(url)
        assert back.headers["location"].startswith("/sign-in?problem=unauthenticated")
        assert (await thief.get("/api/v1/session")).status_code == 401


async def test_an_answer_opens_once(staff: Staff) -> None:
    browser = await staff.browser(url="http://localhost")
    url = await at_provider(browser, "Chen")
    pending = browser.cookies["sharpeyes_sign_on"]
    await browser.get(url)
    browser.cookies.set("sharpeyes_sign_on", pending, domain="localhost.local", path=CALLBACK)
    back = await browser.get(url)
    assert back.headers["location"].startswith("/sign-in?problem=unauthenticated")


async def test_nobody_is_sent_to_another_site(staff: Staff) -> None:
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nb"):
        browser = await staff.browser(url="http://localhost")
        back = await browser.get(await at_provider(browser, "Chen", after=evil))
        assert back.headers["location"] == "/", evil


async def test_a_person_who_declines_sees_the_sign_in_page(staff: Staff) -> None:
    browser = await began(staff)
    back = await browser.get(f"{CALLBACK}?error=access_denied&state=x")
    assert back.headers["location"] == "/sign-in?problem=declined"


async def test_a_provider_that_is_down_is_said_and_passwords_go_on(tmp_path: Path) -> None:
    settings = {
        "oidc_issuer": "http://127.0.0.1:1",
        "oidc_client_id": "sharpeyes",
        "public_url": "http://localhost",
    }
    async with client_of(tmp_path, **settings) as client, staff_of(client, names=("wu",)) as staff:
        answer = await staff["wu"].get("/api/v1/session/oidc", params={"next": "/rates"})
        assert answer.headers["location"] == "/sign-in?problem=unavailable&next=%2Frates"


def test_settings_name_what_single_sign_on_lacks() -> None:
    with pytest.raises(InvalidInputError, match=r"SHARPEYES_OIDC_CLIENT_ID.*\n.*SHARPEYES_PUBLIC_URL"):
        Settings.read({"SHARPEYES_OIDC_ISSUER": "https://sso.example"})
    with pytest.raises(InvalidInputError, match="https address"):
        Settings.read({"SHARPEYES_OIDC_ISSUER": "http://sso.example"})


async def began(staff: Staff) -> httpx.AsyncClient:
    """A browser that is on its way to the provider."""
    browser = await staff.browser(url="http://localhost")
    await browser.get("/api/v1/session/oidc")
    return browser


async def at_provider(browser: httpx.AsyncClient, name: str, after: str = "/") -> str:
    """Begin here, say who one is there; the address that the provider sends the browser back to."""
    there = (await browser.get("/api/v1/session/oidc", params={"next": after})).headers["location"]
    asked = parse_qs(urlsplit(there).query)
    assert asked["code_challenge_method"] == ["S256"]
    async with httpx.AsyncClient() as outside:
        answer = await outside.post(there, data={"sub": f"id-{name}"})
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert (back.hostname, back.path) == ("localhost", CALLBACK)
    return f"{back.path}?{back.query}"
