"""A real pull for a viewer, as the fleet is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway_town import LOOPBACK, LiveCamera
from rtp_media import decode_size, encode
from scripted_camera import Reply, Script, ScriptedCamera, challenged_and_closed
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Rung
from sharpeyes.gateway.upstream import Source, Upstream
from sharpeyes.health.viewing import Seen


async def test_a_pull_says_what_it_sees_and_when_it_ends(tmp_path: Path) -> None:
    camera = LiveCamera(encode("h264", width=320, height=180, frames=50, gop=25))
    await camera.start()
    pulls: list[tuple[str, str, Seen]] = []
    ends: list[str] = []

    def viewing(name: str, url: str, credentials: Credentials | None, seen: Seen) -> Callable[[], None]:
        assert credentials is None
        pulls.append((name, url, seen))
        return lambda: ends.append(name)

    upstream = Upstream(
        Source(camera="park", role=StreamRole.MAIN, url=camera.url),
        LOOPBACK,
        left=lambda _: None,
        codec_changed=lambda _: None,
        viewing=viewing,
    )
    try:
        await asyncio.sleep(0)
        assert [(name, url) for name, url, _ in pulls] == [("park", camera.url)]
        seen = pulls[0][2]
        assert seen() is None  # nothing has come yet
        async with asyncio.timeout(60):
            while (result := seen()) is None:
                await asyncio.sleep(0.02)
        assert result.rung is Rung.KEYFRAME
        assert result.packets > 0
        assert result.keyframe is not None
        assert decode_size("h264", result.keyframe.data) == (320, 180)
        await camera.kill()
        async with asyncio.timeout(60):
            while not ends:
                await asyncio.sleep(0.02)
        assert seen() is None
    finally:
        await upstream.close()
    assert ends == ["park"] * len(pulls)


async def test_a_camera_that_hangs_up_after_its_challenge_is_watched() -> None:
    clip = encode("h264", frames=12, gop=6)
    script: dict[str, Script | Reply] = {"DESCRIBE": challenged_and_closed}
    digest = 'Digest realm="cam", nonce="abc", qop="auth"'
    async with ScriptedCamera(clip.sdp(), clip.packets(), script=script, challenges=[digest]) as cam:
        source = Source(
            camera="park",
            role=StreamRole.MAIN,
            url=cam.url,
            credentials=Credentials("admin", Secret("s3cret")),
        )
        upstream = Upstream(source, LOOPBACK, left=lambda _: None, codec_changed=lambda _: None)
        try:
            facts = await upstream.ready(60, picture=True)
            assert facts.codec == "h264"
            assert cam.connections == 2
        finally:
            await upstream.close()
