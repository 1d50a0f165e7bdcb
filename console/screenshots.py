"""Pictures of every page of a running console, in both languages, both themes and two sizes.

    sharpeyes demo &
    python console/screenshots.py --token-file token.txt --out /tmp/pictures [--only overview,cameras]
    python console/screenshots.py --username wang --password-file pw.txt --only access,live

Needs Chromium, and fonts that have Chinese (Debian: chromium, fonts-noto-cjk).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from console_browser import Tab, browser

SIZES = ((1366, 768), (3840, 2160))
PAGES = {
    "sign-in": "/sign-in",
    "overview": "/",
    "wall": "/wall",
    "cameras": "/cameras",
    "camera": "/cameras/{camera}",
    "map": "/map",
    "faults": "/faults",
    "rates": "/rates?by=department",
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
    "settings": "/settings",
    "account": "/settings?tab=account",
    "users": "/settings?tab=users",
    "policies": "/settings?tab=policies",
    "messages": "/settings?tab=messages",
    "tokens": "/settings?tab=tokens",
}
SETTLE_S = 1.2


async def shoot(tab: Tab, url: str, only: set[str], token: str, folder: Path) -> None:
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
                    file = folder / f"{name}-{locale}-{theme}-{width}.png"
                    await tab.picture(file)
                    sys.stdout.write(f"{file}\n")
    for complaint in sorted(set(tab.complaints)):
        sys.stderr.write(f"complaint: {complaint}\n")


async def _cameras(tab: Tab, url: str, headers: dict[str, str]) -> list[str]:
    """One that is out of order, which shows more, and some to watch, with commas."""
    await tab.open(url + "/sign-in")
    found: list[str] = await tab.call(
        """async (headers) => {
          const ask = query => fetch("/api/v1/cameras?" + query, {headers});
          const list = async query => (await (await ask(query)).json()).items;
          const online = await list('state=online&limit=4');
          const offline = await list('state=offline&limit=1');
          return [[...offline, ...online][0].id, online.map(one => one.id).join()];
        }""",
        headers,
    )
    return found


async def _log_in(tab: Tab, url: str, username: str, password: str) -> None:
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
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--token-file", type=Path, help="file with an API token")
    who.add_argument("--username", help="somebody with an account")
    parser.add_argument("--password-file", type=Path, help="of that account")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--only", default="", help="names of pages, with commas")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, given.only.split(",")))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with browser(Path(profile)) as tab:
            token = given.token_file.read_text().strip() if given.token_file else ""
            if given.username:
                await _log_in(tab, given.url, given.username, given.password_file.read_text().strip())
            await shoot(tab, given.url, only, token, given.out)


if __name__ == "__main__":
    asyncio.run(main())
