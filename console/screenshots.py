"""Pictures of every page of a running console, in both languages, both themes and two sizes.

    sharpeyes demo &
    python console/screenshots.py --token-file token.txt --out /tmp/pictures [--only overview,cameras]

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
    "camera": "",
    "faults": "/faults",
    "rates": "/rates?by=department",
    "discovery": "/discovery",
    "access": "/access",
    "register": "/register",
    "journal": "/journal",
    "settings": "/settings",
}
SETTLE_S = 1.2


async def shoot(tab: Tab, url: str, only: set[str], token: str, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    camera = await _a_camera(tab, url, headers)
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
                    {"sharpeyes.token": token} if signed_in else {},
                )
                for width, height in SIZES:
                    await tab.size(width, height)
                    await tab.open(url + (path or f"/cameras/{camera}"))
                    await tab.until("() => !document.querySelector('.skeleton')")
                    await asyncio.sleep(SETTLE_S)
                    file = folder / f"{name}-{locale}-{theme}-{width}.png"
                    await tab.picture(file)
                    sys.stdout.write(f"{file}\n")
    for complaint in sorted(set(tab.complaints)):
        sys.stderr.write(f"complaint: {complaint}\n")


async def _a_camera(tab: Tab, url: str, headers: dict[str, str]) -> str:
    """One that is out of order, which shows more."""
    await tab.open(url + "/sign-in")
    return await tab.call(
        """async (headers) => {
          for (const query of ['state=offline&limit=1', 'limit=1']) {
            const page = await (await fetch('/api/v1/cameras?' + query, {headers})).json();
            if (page.items.length) return page.items[0].id;
          }
        }""",
        headers,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--token-file", type=Path, required=True, help="file with an API token")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--only", default="", help="names of pages, with commas")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, given.only.split(",")))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with browser(Path(profile)) as tab:
            await shoot(tab, given.url, only, given.token_file.read_text().strip(), given.out)


if __name__ == "__main__":
    asyncio.run(main())
