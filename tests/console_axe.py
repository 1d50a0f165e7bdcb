"""axe-core on what a tab shows: a helper of the browser tests."""

from __future__ import annotations

from pathlib import Path

from console_browser import Tab

AXE = Path(__file__).parents[1] / "console" / "node_modules" / "axe-core" / "axe.min.js"
FOUND = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ['violations']});
  const told = node => `${node.target} (${[...node.any, ...node.all, ...node.none][0]?.message})`;
  return violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => `${one.id}: ${one.nodes.slice(0, 3).map(told).join('; ')}`);
}"""


async def serious(tab: Tab) -> list[str]:
    """Serious and critical findings on the page as it stands."""
    # A debugger's script is not the page's: the policy, which holds for the page, need not allow it.
    await tab.page.evaluate(AXE.read_text(encoding="utf-8"))
    await tab.until("() => document.getAnimations().every(one => one.playState !== 'running')")
    findings: list[str] = await tab.call(FOUND)
    return findings


async def in_both_themes(tab: Tab) -> list[str]:
    """The same, as it is and in the other theme."""
    turn = "() => document.documentElement.classList.toggle('dark')"
    found = await serious(tab)
    await tab.call(turn)
    found += await serious(tab)
    await tab.call(turn)
    return found
