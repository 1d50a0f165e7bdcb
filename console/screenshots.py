"""Pictures of every page of the console, in both languages, both themes and two sizes.

    python console/screenshots.py --out /tmp/pictures                  # of a demo of its own, as each role
    python console/screenshots.py --url URL --token-file token.txt [--only overview,cameras]
    python console/screenshots.py --url URL --username wang --password-file pw.txt --only access,live

Needs Chromium, and fonts that have Chinese (Debian: chromium, fonts-noto-cjk).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Collection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from stage import ROLES, demo

from console_browser import Tab, browser

SIZES = ((1366, 768), (3840, 2160))
PAGES = {
    "sign-in": "/sign-in",
    "overview": "/",
    "wall": "/wall",
    "cameras": "/cameras",
    "camera": "/cameras/{camera}",
    "map": "/map",
    "near": "/map?at=30.195,120.205",
    "faults": "/faults",
    "tickets": "/faults?view=list",
    "rates": "/rates?by=department",
    "course": "/rates?by=tier&step=hour",
    "exclusions": "/disputes",
    "contests": "/disputes?tab=contests",
    "reports": "/reports",
    "discovery": "/discovery",
    "shifts": "/shifts",
    "dossiers": "/dossiers",
    "import": "/dossiers/import",
    "causes": "/causes",
    "live": "/live?numbers=1&cameras={watched}",
    "access": "/access",
    "register": "/register",
    "journal": "/journal",
    "help": "/help",
    "settings": "/settings",
    "tiers": "/settings?tab=tiers",
    "departments": "/settings?tab=departments",
    "areas": "/settings?tab=areas",
    "account": "/settings?tab=account",
    "users": "/settings?tab=users",
    "policies": "/settings?tab=policies",
    "messages": "/settings?tab=messages",
    "tokens": "/settings?tab=tokens",
}
SEEN = {
    "operator": set(PAGES)
    - {"register", "settings", "users", "tiers", "departments", "areas"}
    - {"policies", "messages", "tokens", "discovery", "import"},
    "requester": {"access", "help"},
    "approver": {"access", "help", "exclusions"},
    "auditor": {"access", "register", "shifts"},
    "maintainer": {"camera", "dossiers", "live"},
    "admin": {
        "camera", "cameras", "discovery", "dossiers", "exclusions", "help", "import",
        "settings", "account", "users", "tiers", "departments", "areas", "policies", "messages", "tokens",
    },
}  # fmt: skip
"""Pages of each role: all that look otherwise to it than to those before."""
SETTLE_S = 1.2


async def shoot(
    tab: Tab, url: str, only: Collection[str], folder: Path, *, token: str = "", prefix: str = ""
) -> None:
    """``token`` is empty for somebody who has logged in."""
    camera, watched = await _cameras(tab, url, {"Authorization": f"Bearer {token}"} if token else {})
    for locale in ("zh-CN", "en"):
        for theme in ("light", "dark"):
            await tab.call(
                "(kept) => Object.assign(localStorage, kept)",
                {"sharpeyes.locale": locale, "sharpeyes.theme": theme},
            )
            for name, path in PAGES.items():
                if only and name not in only:
                    continue
                signed_in = name != "sign-in"
                await tab.call(
                    "(kept) => { sessionStorage.clear(); Object.assign(sessionStorage, kept); }",
                    {"sharpeyes.token": token} if token and signed_in else {},
                )
                for width, height in SIZES:
                    await tab.size(width, height)
                    await tab.open(url + path.format(camera=camera, watched=watched))
                    await tab.until("() => !document.querySelector('.skeleton')")
                    await asyncio.sleep(SETTLE_S)
                    file = folder / f"{prefix}{name}-{locale}-{theme}-{width}.png"
                    await tab.page.screenshot(path=file)
                    sys.stdout.write(f"{file}\n")
    for complaint in sorted(set(tab.complaints)):
        sys.stderr.write(f"complaint: {complaint}\n")


async def _cameras(tab: Tab, url: str, headers: dict[str, str]) -> list[str]:
    """One that is out of order, which shows more, and some to watch, with commas."""
    await tab.open(url + "/sign-in")
    found: list[str] = await tab.call(
        """async (headers) => {
          const ask = async path => (await fetch("/api/v1/" + path, {headers})).json();
          const {user} = headers.Authorization ? {} : await ask('session');
          const own = user ? `&department=${user.department}` : '';
          const list = async query => (await ask("cameras?" + query)).items;
          const online = await list('state=online&limit=4');
          const mine = await list('state=online&limit=4' + own);
          const ill = [...await list('state=offline&limit=1' + own), ...await list('state=offline&limit=1')];
          return [[...ill, ...online][0].id, (mine.length ? mine : online).map(one => one.id).join()];
        }""",
        headers,
    )
    return found


async def log_in(tab: Tab, url: str, username: str, password: str) -> None:
    await tab.open(url + "/sign-in")
    status = await tab.call(
        """async (username, password) => (await fetch('/api/v1/session', {
          method: 'POST',
          headers: {'Content-Type': 'application/json'},
          body: JSON.stringify({username, password}),
        })).status""",
        username,
        password,
    )
    if status != 201:
        raise SystemExit(f"{username} could not log in: {status}")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--token-file", type=Path, help="file with an API token")
    who.add_argument("--username", help="somebody with an account")
    parser.add_argument("--password-file", type=Path, help="of that account")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--only", default="", help="names of pages, with commas")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, given.only.split(",")))
    async with browser() as tab:
        if given.token_file:
            token = given.token_file.read_text().strip()
            await shoot(tab, given.url, only, given.out, token=token)
        elif given.username:
            await log_in(tab, given.url, given.username, given.password_file.read_text().strip())
            await shoot(tab, given.url, only, given.out)
        else:
            await _of_a_demo(tab, only, given.out)


async def _of_a_demo(tab: Tab, only: Collection[str], folder: Path) -> None:
    async with demo() as stage:
        sys.stderr.write(f"{stage.url}: some minutes until there is something to see\n")
        await stage.story()
        for role, username in ROLES.items():
            if pages := SEEN[role] & set(only or PAGES):
                await log_in(tab, stage.url, username, stage.passwords[username])
                await shoot(tab, stage.url, pages, folder, prefix=f"{role}-")


if __name__ == "__main__":
    asyncio.run(main())
