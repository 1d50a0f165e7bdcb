"""``sharpeyes`` with its event loop watched: how long each step holds it, and what each request costs.

Run: python tests/bench/held.py REPORT serve ...      (as ``sharpeyes serve ...``)

The loop is the interpreter's own, whose every step can be timed; each is a little dearer than in life.
SIGUSR1 begins anew, SIGUSR2 writes REPORT: JSON with the longest steps (CPU of the loop's thread, so that
what else runs on the machine does not matter), and for each route requests, steps, CPU on the loop and in
readers' threads, and waits: for a thread, for the database's connection, and for the loop itself.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import uvloop

LONGEST = 40
ROUTE: ContextVar[str] = ContextVar("route", default="")


class Watch:
    """What was seen since it began."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.longest: list[tuple[float, int, float, str, str]] = []
        self.numbers = itertools.count()
        self.by_work: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        self.routes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.collected: list[list[float]] = [[], [], []]
        self.began = time.monotonic()

    def step(self, handle: asyncio.Handle, cpu_ms: float, wall_ms: float) -> None:
        context = getattr(handle, "_context", None)
        route = context.get(ROUTE, "") if context is not None else ""
        work = _name(handle)
        if route:
            seen = self.routes[route]
            seen["steps"] += 1
            seen["loop_cpu_ms"] += cpu_ms
            seen["loop_wait_ms"] += wall_ms - cpu_ms
            seen["longest_ms"] = max(seen["longest_ms"], cpu_ms)
        kind = self.by_work[route or work]
        kind[0] += 1
        kind[1] += cpu_ms
        kind[2] = max(kind[2], cpu_ms)
        entry = (cpu_ms, next(self.numbers), wall_ms, route, work)
        if len(self.longest) < LONGEST:
            heapq.heappush(self.longest, entry)
        elif entry > self.longest[0]:
            heapq.heapreplace(self.longest, entry)

    def report(self) -> dict[str, Any]:
        return {
            "seconds": time.monotonic() - self.began,
            "longest": [
                {"cpu_ms": cpu, "wall_ms": wall, "route": route, "work": work}
                for cpu, _, wall, route, work in sorted(self.longest, reverse=True)
            ],
            "work": {
                name: {"steps": number, "cpu_ms": cpu, "longest_ms": most}
                for name, (number, cpu, most) in sorted(self.by_work.items(), key=lambda one: -one[1][1])[:60]
            },
            "routes": self.routes,
            "collected": [[len(some), sum(some), max(some, default=0.0)] for some in self.collected],
        }


def _name(handle: asyncio.Handle) -> str:
    callback = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        name = owner.get_name()
        return f"{'' if name.startswith('Task-') else name} {owner.get_coro().__qualname__}"
    return getattr(callback, "__qualname__", repr(callback)[:80])


def watch_steps(watch: Watch) -> None:
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # type: ignore[attr-defined]

    def timed(self: asyncio.Handle) -> None:
        cpu, wall = time.thread_time(), time.perf_counter()
        run(self)
        watch.step(self, 1000 * (time.thread_time() - cpu), 1000 * (time.perf_counter() - wall))

    asyncio.Handle._run = timed  # type: ignore[attr-defined]


def watch_collector(watch: Watch) -> None:
    """The collector stops every thread, in the midst of whatever step calls for it."""
    begun = [0.0]

    def told(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            begun[0] = time.thread_time()
        else:
            watch.collected[info["generation"]].append(1000 * (time.thread_time() - begun[0]))

    gc.callbacks.append(told)


def watch_reads(watch: Watch) -> None:
    from sharpeyes.store.database import Database

    for name in ("aread", "aquick", "awrite"):
        plain = getattr(Database, name)

        async def asked(
            self: Database, fn: Callable[..., Any], _plain: Any = plain, _name: str = name, **more: Any
        ) -> Any:
            route, began = ROUTE.get(), time.perf_counter()
            seen = watch.routes[route or "(the service itself)"]

            def inside(connection: Any) -> Any:
                begun, cpu = time.perf_counter(), time.thread_time()
                try:
                    return fn(connection)
                finally:
                    seen[f"{_name}_s"] += 1
                    seen["thread_cpu_ms"] += 1000 * (time.thread_time() - cpu)
                    seen["thread_wall_ms"] += 1000 * (time.perf_counter() - begun)
                    seen["thread_wait_ms"] += 1000 * (begun - began)

            return await _plain(self, inside, **more)

        setattr(Database, name, asked)


def watch_requests(watch: Watch) -> None:
    from sharpeyes.api.headers import PrivateAnswers

    plain = PrivateAnswers.__call__

    async def named(self: Any, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        query = scope.get("query_string", b"").decode()
        if "/cameras/" in path and "table" not in path:
            path = "/".join("{camera}" if n == 4 else part for n, part in enumerate(path.split("/")))
        route = f"{path}?{query}" if query else path
        ROUTE.set(route)  # for good: the step that ends a request is part of it
        began = time.perf_counter()
        try:
            await plain(self, scope, receive, send)
        finally:
            seen = watch.routes[route]
            seen["requests"] += 1
            seen["wall_ms"] += 1000 * (time.perf_counter() - began)

    PrivateAnswers.__call__ = named  # type: ignore[method-assign]


def main() -> None:
    report, *command = sys.argv[1:]
    watch = Watch()
    watch_steps(watch)
    watch_collector(watch)
    watch_reads(watch)
    watch_requests(watch)
    uvloop.new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]
    signal.signal(signal.SIGUSR1, lambda *_: watch.begin())
    signal.signal(
        signal.SIGUSR2, lambda *_: Path(report).write_text(json.dumps(watch.report(), indent=1), "utf-8")
    )
    from sharpeyes.cli import main as cli

    sys.argv = ["sharpeyes", *command]
    cli()


if __name__ == "__main__":
    main()
