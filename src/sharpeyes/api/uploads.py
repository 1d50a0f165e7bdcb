"""Files that somebody uploaded and has not imported yet: few, for an hour, in memory."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from sharpeyes.domain.errors import LimitError, NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import Plan

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


class Uploads:
    """Each person or token has one at a time; a new one takes the place of the last."""

    def __init__(self) -> None:
        self._kept: dict[str, Upload] = {}

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
