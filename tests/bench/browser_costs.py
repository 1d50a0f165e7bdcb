"""What a page costs the browser, as Chromium's own instruments tell it."""

from __future__ import annotations

import bisect
import json
from typing import Any

from console_browser import Tab


async def frames(tab: Tab, function: str) -> list[float]:
    """Milliseconds of CPU of the page's main thread in each frame while a function of the page runs:
    script, style, layout and painting, whatever else the machine does."""
    chromium = tab.page.context.browser
    assert chromium is not None
    wanted = ["devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata"]
    await chromium.start_tracing(page=tab.page, categories=wanted)
    await tab.call(function)
    events: list[dict[str, Any]] = json.loads(await chromium.stop_tracing())["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    ends = sorted(one["ts"] for one in events if one["name"] == "Commit")
    costs = [0.0] * len(ends)
    tasks = [
        one
        for one in events
        if one["name"] == "RunTask" and "dur" in one and (one["pid"], one["tid"]) in mains
    ]
    for task in tasks:
        # A frame is all that was done since the one before was handed to the compositor.
        if (at := bisect.bisect_left(ends, task["ts"])) < len(ends):
            costs[at] += task.get("tdur", task["dur"]) / 1000
    return costs[1:]


async def heap(tab: Tab) -> dict[str, int]:
    """What the page holds after a collection of garbage: bytes of script, elements, listeners."""
    for _ in range(3):
        await tab.page.request_gc()
    used = await tab.devtools.send("Runtime.getHeapUsage")
    counted = await tab.devtools.send("Memory.getDOMCounters")
    return {
        "bytes": int(used["usedSize"]),
        "nodes": int(counted["nodes"]),
        "listeners": int(counted["jsEventListeners"]),
    }


class Received:
    """Bytes over the network since this was made, headers included."""

    def __init__(self, tab: Tab) -> None:
        self.bytes = 0
        tab.devtools.on("Network.loadingFinished", self._count)

    def _count(self, told: dict[str, Any]) -> None:
        self.bytes += int(told["encodedDataLength"])
