"""Chromium as the console's user: driven by its DevTools protocol, with what it complains about collected."""

from __future__ import annotations

import asyncio
import base64
import bisect
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import websockets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60.0


class Tab:
    """One tab. ``complaints``: uncaught errors and violated policies; ``hosts``: who was asked."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.received = 0
        """Bytes over the network, headers included."""
        self.heard: dict[str, Callable[[dict[str, Any]], None]] = {}
        """Who is told of an event, by its name, besides."""
        self._listening = asyncio.create_task(self._listen())

    async def start(self) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        number = len(self._asked) + 1
        self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        return await asyncio.wait_for(self._asked[number], PATIENCE_S)

    async def call(self, function: str, *arguments: object) -> Any:
        """Call a JavaScript function in the page; gives its result."""
        text = f"({function})({', '.join(map(json.dumps, arguments))})"
        result = await self.ask("Runtime.evaluate", expression=text, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, condition: str, *arguments: object, patience_s: float = PATIENCE_S) -> Any:
        """Wait until a JavaScript function gives something true, and give it."""
        try:
            async with asyncio.timeout(patience_s):
                while not (found := await self.call(condition, *arguments)):
                    await asyncio.sleep(0.03)
        except TimeoutError:
            shown = await self.call("() => document.body.innerText.slice(0, 600)")
            raise AssertionError(f"never: {condition} {arguments}\n{self.complaints}\n{shown}") from None
        return found

    async def sees(self, text: str, patience_s: float = PATIENCE_S) -> None:
        await self.until("t => document.body.innerText.includes(t)", text, patience_s=patience_s)

    async def open(self, url: str) -> None:
        await self.ask("Page.navigate", url=url)
        await self.until("() => document.readyState === 'complete' && !!document.querySelector('#app > *')")

    async def click(self, selector: str, text: str = "") -> None:
        """Click the first element of ``selector`` that shows ``text``, once there is one."""
        await self.until(
            """(selector, text) => {
              const found = [...document.querySelectorAll(selector)].find(
                e => e.innerText.includes(text) && !e.disabled && e.getClientRects().length);
              found?.click();
              return !!found;
            }""",
            selector,
            text,
        )

    async def type(self, selector: str, text: str) -> None:
        """Replace what an input holds."""
        await self.until(
            "s => { const e = document.querySelector(s); e?.focus(); e?.select(); return !!e; }", selector
        )
        if text:
            await self.ask("Input.insertText", text=text)
        else:
            await self.press("Delete")

    async def press(self, key: str) -> None:
        codes = {"ArrowDown": 40, "ArrowUp": 38, "Escape": 27, "Enter": 13, "Delete": 46, " ": 32, "End": 35}
        for kind in ("keyDown", "keyUp"):
            await self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes.get(key, 0)
            )

    async def press_at(self, x: float, y: float) -> None:
        """Click at a point of the page."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def size(self, width: int, height: int) -> None:
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def frames(self, function: str) -> list[float]:
        """Milliseconds of CPU of the page's main thread in each frame while a function of the page runs:
        script, style, layout and painting, whatever else the machine does."""
        events: list[dict[str, Any]] = []
        over = asyncio.get_running_loop().create_future()
        self.heard["Tracing.dataCollected"] = lambda about: events.extend(about["value"])
        self.heard["Tracing.tracingComplete"] = lambda _: over.set_result(None)
        wanted = ["devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata"]
        await self.ask("Tracing.start", traceConfig={"includedCategories": wanted})
        await self.call(function)
        await self.ask("Tracing.end")
        await asyncio.wait_for(over, PATIENCE_S)
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

    async def heap(self) -> dict[str, int]:
        """What the page holds after a collection of garbage: bytes of script, elements, listeners."""
        for _ in range(3):
            await self.ask("HeapProfiler.collectGarbage")
        used = await self.ask("Runtime.getHeapUsage")
        counted = await self.ask("Memory.getDOMCounters")
        return {
            "bytes": int(used["usedSize"]),
            "nodes": int(counted["nodes"]),
            "listeners": int(counted["jsEventListeners"]),
        }

    async def picture(self, file: Path) -> None:
        shot = await self.ask("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    async def _listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                waiting = self._asked[message["id"]]
                if not waiting.done():
                    waiting.set_result(message.get("result") or {"error": message.get("error")})
                continue
            about = message["params"]
            if hears := self.heard.get(message["method"]):
                hears(about)
            match message["method"]:
                case "Runtime.exceptionThrown":
                    detail = about["exceptionDetails"]
                    self.complaints.append(detail.get("exception", {}).get("description") or detail["text"])
                case "Log.entryAdded" if about["entry"]["source"] != "network":
                    if about["entry"]["level"] not in ("warning", "error"):
                        continue  # such as that a field was typed into before it took the focus itself
                    self.complaints.append(about["entry"]["text"])
                case "Runtime.consoleAPICalled" if about["type"] in ("error", "assert"):
                    self.complaints.append(
                        str([one.get("value", one.get("description")) for one in about["args"]])
                    )
                case "Network.loadingFinished":
                    self.received += int(about["encodedDataLength"])
                case "Network.requestWillBeSent":
                    url = urlsplit(about["request"]["url"])
                    if url.scheme not in ("data", "blob", "about"):
                        self.hosts.add(url.netloc)


@contextlib.asynccontextmanager
async def browser(folder: Path, *more: str, language: str = "en") -> AsyncIterator[Tab]:
    """Chromium without a window, in a profile of its own in ``folder``."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--accept-lang={language}",
        f"--lang={language}",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        *more,
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said = folder / "DevToolsActivePort"
        async with asyncio.timeout(PATIENCE_S):
            while not (said.exists() and said.read_text().strip()):
                await asyncio.sleep(0.05)
            port = said.read_text().split()[0]
            async with httpx.AsyncClient() as http:
                tabs: list[dict[str, str]] = []
                while not tabs:
                    listed = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
                    tabs = [tab for tab in listed if tab["type"] == "page"]
                    await asyncio.sleep(0.05)
        async with websockets.connect(tabs[0]["webSocketDebuggerUrl"], max_size=None) as socket:
            tab = Tab(socket)
            await tab.start()
            try:
                yield tab
            finally:
                await tab.close()
    finally:
        process.terminate()
        await process.wait()
