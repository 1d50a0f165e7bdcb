"""Masks and what is said beforehand, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest

from api_client import Client
from api_people import Staff, staff_of
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.store.cameras import put_cameras

MASKS = {"masks": [{"name": "Windows", "points": [[0, 0], [0.25, 0], [0.25, 0.3333]]}]}


@pytest.fixture
async def staff(client: Client) -> AsyncIterator[Staff]:
    async with staff_of(client, ("wang", "feng", "wu", "zhou")) as staff:
        yield staff


async def beforehand(staff: Staff, *cameras: str, decodes: tuple[str, ...] = ("h264",)) -> Any:
    form = {"cameras": cameras, "decodes": decodes}
    answer = await staff["wang"].post("/api/v1/views/preflight", json=form)
    assert answer.status_code == 200, answer.text
    return [(item["verdict"], item["why"]) for item in answer.json()["items"]]


async def test_masks_are_set_by_those_who_may_and_registered(staff: Staff) -> None:
    place = "/api/v1/cameras/gate-1/masks"
    assert (await staff["wang"].put(place, json=MASKS)).status_code == 403
    assert (await staff["feng"].put("/api/v1/cameras/none/masks", json=MASKS)).status_code == 404
    assert (await staff["feng"].put(place, json=MASKS)).status_code == 200
    assert (await staff["wang"].get(place)).json() == MASKS
    (entry,) = await staff.register(kind="policy_changed")
    assert (entry["user"], entry["details"]["camera"]) == (staff.id("feng"), "gate-1")
    assert entry["details"]["after"][0]["points"] == [0, 0, 2500, 0, 2500, 3333]
    assert (await staff["feng"].put(place, json={"masks": []})).json() == {"masks": []}


@pytest.mark.parametrize(
    "points", [[[0, 0], [1, 1]], [[0, 0], [0.5, 0.5], [1, 1]], [[0, 0], [1.5, 0], [1, 1]], [[0, 0]] * 3]
)
async def test_a_mask_that_covers_nothing_is_refused(staff: Staff, points: list[list[float]]) -> None:
    form = {"masks": [{"points": points}]}
    assert (await staff["feng"].put("/api/v1/cameras/gate-1/masks", json=form)).status_code == 422


async def test_a_still_is_shown_under_the_masks_of_today(client: Client, staff: Staff) -> None:
    picture = cv2.imencode(".jpg", np.full((384, 640, 3), 200, np.uint8))[1].tobytes()
    still = await client.service.evidence.keep("gate-1", "still", picture, keep_ms=60_000)

    async def shown() -> np.ndarray:
        answer = await staff["zhou"].get(f"/api/v1/cameras/gate-1/stills/{still}")
        assert answer.status_code == 200
        return np.asarray(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE))

    assert (await shown())[30, 120] > 190
    await staff["feng"].put("/api/v1/cameras/gate-1/masks", json=MASKS)
    masked = await shown()
    assert masked[30, 120] < 60
    assert masked[300, 500] > 190
    client.service.database.write(lambda c: c.exec_driver_sql("UPDATE camera_mask SET masks = '[{}]'"))
    with pytest.raises(KeyError):  # what the masks are cannot be read: an error, and no picture
        await shown()


async def test_what_a_browser_will_see_is_said_beforehand(client: Client, staff: Staff) -> None:
    camera = Camera(
        id="new",
        name="New",
        tier=Tier.DEPARTMENTAL,
        department="edu",
        area="north",
        zone="police",
        streams=(Stream(role=StreamRole.MAIN, url="rtsp://127.0.0.1:1/n", codec="H.265"),),
    )
    client.service.database.write(lambda c: put_cameras(c, [camera], now=Ms(1)))
    assert await beforehand(staff, "gate-1", "new") == [("unknown", []), ("transcode", ["codec"])]
    assert await beforehand(staff, "new", decodes=("h264", "h265")) == [("passthrough", [])]
    await staff["feng"].put("/api/v1/cameras/new/masks", json=MASKS)
    assert await beforehand(staff, "new", "gate-1") == [("transcode", ["mask", "codec"]), ("unknown", [])]
    policy = (await staff["feng"].get("/api/v1/view-policies/departmental")).json()
    del policy["tier"]
    assert policy.pop("transcode") is True
    await staff["feng"].put("/api/v1/view-policies/departmental", json={**policy, "transcode": False})
    await staff["feng"].put("/api/v1/cameras/new/masks", json={"masks": []})
    assert await beforehand(staff, "new") == [("cannot", ["codec", "policy"])]
    form = {"cameras": ["new"] * 201, "decodes": ["h264"]}
    assert (await staff["wang"].post("/api/v1/views/preflight", json=form)).status_code == 422
    form = {"cameras": ["nothing"], "decodes": ["h264"]}
    assert (await staff["wang"].post("/api/v1/views/preflight", json=form)).status_code == 404
