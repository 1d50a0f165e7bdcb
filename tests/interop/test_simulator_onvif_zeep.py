"""onvif-zeep-async, as it comes, enrols a virtual recorder: zeep reads our answers by ONVIF's own WSDL."""

from __future__ import annotations

from pathlib import Path

import onvif
import pytest
from onvif import ONVIFCamera

from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet, OnvifLogin
from sharpeyes.simulator.simulator import Simulator

PLACE = Addressing(network="127.9.7.1", rtsp_port=0, onvif_port=0, discovery_port=None)
SPEC = ClipSpec(width=320, height=180, gop=10, gops=1, kbps=300)
RECORDER = DevicePlan(
    id="nvr",
    channels=tuple(
        ChannelPlan(
            id=f"nvr-{n}", name=f"门口 & gate {n}", streams=((StreamRole.MAIN, SPEC), (StreamRole.SUB, SPEC))
        )
        for n in (1, 2)
    ),
    manufacturer="Haitian Vision",
    credentials=Credentials("admin", Secret("secret")),
    onvif_login=OnvifLogin.WSSE,
)


@pytest.mark.parametrize("offset", [0.0, 7200.0])
async def test_enrols(tmp_path: Path, offset: float) -> None:
    fleet = Fleet(
        devices=(
            DevicePlan(**{n: getattr(RECORDER, n) for n in RECORDER.__slots__} | {"clock_offset_s": offset}),
        )
    )
    async with Simulator(fleet, addressing=PLACE, cache=tmp_path) as simulator:
        endpoint = simulator.endpoints["nvr-1"]
        port = int(endpoint.xaddr.split(":")[2].split("/")[0])
        folder = str(Path(onvif.__file__).parent / "wsdl")
        camera = ONVIFCamera(endpoint.address, port, "admin", "secret", wsdl_dir=folder, adjust_time=True)
        try:
            await camera.update_xaddrs()
            devicemgmt = await camera.create_devicemgmt_service()
            information = await devicemgmt.GetDeviceInformation()
            assert information.Manufacturer == "Haitian Vision"
            assert information.SerialNumber == RECORDER.serial_number
            (interface,) = await devicemgmt.GetNetworkInterfaces()
            assert interface.Info.HwAddress == RECORDER.hardware_address
            assert (await devicemgmt.GetHostname()).Name == "nvr"
            scopes = [each.ScopeItem for each in await devicemgmt.GetScopes()]
            assert f"onvif://www.onvif.org/MAC/{RECORDER.hardware_address}" in scopes
            media = await camera.create_media_service()
            assert [each.token for each in await media.GetVideoSources()] == ["source1", "source2"]
            profiles = await media.GetProfiles()
            assert [each.Name for each in profiles][:2] == ["门口 & gate 1 main", "门口 & gate 1 sub"]
            assert [each.VideoEncoderConfiguration.Resolution.Width for each in profiles] == [320] * 4
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            for profile, camera_id, role in zip(
                profiles, ["nvr-1"] * 2 + ["nvr-2"] * 2, [StreamRole.MAIN, StreamRole.SUB] * 2, strict=True
            ):
                answer = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": profile.token})
                assert answer.Uri == simulator.endpoints[camera_id].streams[role]
                answer = await media.GetSnapshotUri({"ProfileToken": profile.token})
                assert answer.Uri == simulator.endpoints[camera_id].snapshot_url
        finally:
            await camera.close()
