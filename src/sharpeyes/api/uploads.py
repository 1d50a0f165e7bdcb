"""Files that somebody uploaded and has not imported yet: few, for an hour, in memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sharpeyes.domain.errors import ConflictError, LimitError, NotFoundError
from sharpeyes.domain.time import Ms, iso
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import Plan, Step, Told

MOST = 4
KEPT_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file, and its latest preview."""

    id: str
    by: str
    name: str
    data: bytes
    expires: Ms
    how: ImportMap | None = None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How far the work on a file is."""

    step: Step
    done: int
    of: int | None


class Uploads:
    """Each person or token has one at a time; a new one takes the place of the last."""

    def __init__(self) -> None:
        self._writing: tuple[Upload, Ms] | None = None
        self._kept: dict[str, Upload] = {}
        self._work: dict[str, Work] = {}
        self._working: dict[str, object] = {}

    @contextmanager
    def writing(self, upload: Upload, now: Ms) -> Iterator[None]:
        """One is written at a time: ConflictError while another is."""
        if self._writing is not None:
            other, since = self._writing
            raise ConflictError(
                f"another import is under way since {iso(since)}: imported from {other.name} by {other.by}",
                mend="Try again in a minute",
            )
        self._writing = upload, now
        try:
            yield
        finally:
            self._writing = None

    @contextmanager
    def working(self, by: str) -> Iterator[Told]:
        """While it lasts, :meth:`work` says what was told last; it may be told in any thread."""
        mine = object()

        def told(step: Step, done: int, of: int | None) -> None:
            if self._working.get(by) is mine:
                self._work[by] = Work(step, done, of)

        self._working[by] = mine
        try:
            yield told
        finally:
            if self._working.get(by) is mine:
                del self._working[by]
                self._work.pop(by, None)

    def work(self, by: str) -> Work | None:
        """What is under way for this person or token."""
        return self._work.get(by)

    def add(self, by: str, name: str, data: bytes, now: Ms) -> Upload:
        """LimitError while too many others are at it."""
        self._kept = {key: one for key, one in self._kept.items() if one.expires > now and one.by != by}
        if len(self._kept) >= MOST:
            raise LimitError(f"{MOST} other imports are under way", mend="Wait until they are done")
        upload = Upload(id=secrets.token_hex(8), by=by, name=name, data=data, expires=Ms(now + KEPT_MS))
        self._kept[upload.id] = upload
        return upload

    def get(self, key: str, by: str, now: Ms) -> Upload:
        """NotFoundError if it is not there any more, or another's."""
        upload = self._kept.get(key)
        if upload is None or upload.by != by or upload.expires <= now:
            raise NotFoundError("there is no such upload", mend="Upload the file again")
        return upload

    def previewed(self, upload: Upload, how: ImportMap, plan: Plan) -> None:
        if upload.id in self._kept:
            self._kept[upload.id] = replace(upload, how=how, plan=plan)

    def forget(self, upload: Upload) -> None:
        self._kept.pop(upload.id, None)
