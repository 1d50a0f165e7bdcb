"""Whether the console leaks in a long day: all pages, round after round without a reload, at 4,000 cameras.

    python tests/bench/bench_console_soak.py [rounds]

After each round garbage is collected and what is left is counted. Growth is given from the third round on:
the first two fill caches and load the pages. Needs Chromium and the built console.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_console import serving
from browser_costs import heap

from console_browser import CHROMIUM, Tab, browser
from sharpeyes.api.console import ASSETS

ROUNDS = 8
WARM = 2
STAY_S = 0.5
USER, PASSWORD = "soak", "a long phrase of words 9"
ROLES = ("operator", "requester", "approver", "maintainer", "admin")


async def add_user(folder: Path) -> None:
    """Somebody who sees every page but the register, which is for auditors alone."""
    (folder / "password").write_text(PASSWORD)
    roles = [part for role in ROLES for part in ("--role", role)]
    adding = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "user", "add", USER, *roles, "--department", "d0"),
        *("--password-file", str(folder / "password"), "--data-dir", str(folder / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await adding.wait() == 0


async def one_round(tab: Tab) -> None:
    places = await tab.call("() => [...document.querySelectorAll('nav a:not(.brand)')].map(a => a.pathname)")
    for place in places:
        await tab.click(f"nav a[href='{place}']:not(.brand)")
        await tab.until("p => location.pathname === p && !document.querySelector('.skeleton')", place)
        await asyncio.sleep(STAY_S)
        if place == "/cameras":
            await tab.click("[data-row] a")
            await tab.until("() => location.pathname !== '/cameras' && !document.querySelector('.skeleton')")
            await asyncio.sleep(STAY_S)
    await tab.click("a[href='/wall']")
    await tab.until("() => location.pathname === '/wall' && !document.querySelector('.skeleton')")
    await asyncio.sleep(STAY_S)
    await tab.press("Escape")
    await tab.until("() => location.pathname === '/'")


async def main() -> None:
    if CHROMIUM is None or not (ASSETS / "index.html").exists():
        print("bench_console_soak: needs Chromium and the built console; left out")
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        async with serving(Path(name)) as (url, _), browser() as tab:
            await tab.size(1920, 1080)
            await tab.open(url + "/sign-in")
            await add_user(Path(name))
            await tab.type("input[name=username]", USER)
            await tab.type("input[name=password]", PASSWORD)
            await tab.click("button[type=submit]")
            await tab.until("() => location.pathname === '/'")
            left = []
            for number in range(rounds):
                await one_round(tab)
                left.append(await heap(tab))
                print(f"round {number + 1}: {told(left[-1])}")
            first, last = left[min(WARM, rounds - 1)], left[-1]
            counted = max(1, rounds - WARM - 1)
            growth = {key: (last[key] - first[key]) / counted for key in first}
            print(
                f"growth a round: {growth['bytes'] / 1e3:+.0f} kB, {growth['nodes']:+.0f} nodes,"
                f" {growth['listeners']:+.0f} listeners; complaints: {sorted(set(tab.complaints))}"
            )


def told(left: dict[str, int]) -> str:
    return f"heap {left['bytes'] / 1e6:.2f} MB, {left['nodes']} nodes, {left['listeners']} listeners"


if __name__ == "__main__":
    asyncio.run(main())
