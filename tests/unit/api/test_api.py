"""The API as a caller sees it: a real database, a real fleet, no network but the loopback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api_client import Client, client_of, until_probed

PROBLEM = "application/problem+json"


class TestViewMetrics:
    async def test_views_and_what_is_coded_anew_are_counted(self, client: Client) -> None:
        page = (await client.get("/metrics")).text
        said = dict(line.split(" ", 1) for line in page.splitlines() if line.startswith("sharpeyes_"))
        assert (said["sharpeyes_views"], said["sharpeyes_transcodes"]) == ("0.0", "0.0")
        places = client.service.views.gateway.settings.transcodes
        assert float(said["sharpeyes_transcode_places"]) == places > 0


class TestWhoMayAsk:
    async def test_every_route_but_health_and_metrics_needs_a_token(self, client: Client) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        free = {
            "/healthz",
            "/readyz",
            "/metrics",
            "/metrics/cameras",
            "/sd",
            "/probe",
            "/api/v1/session/ways",
        }
        asked = 0
        for path, methods in paths.items():
            for method in methods:
                url = re.sub(r"\{.*?\}", "x", path)
                answer = await client.request(method, url, headers={"Authorization": ""})
                if path in free or (method, path) == ("post", "/api/v1/session"):
                    assert answer.status_code in (200, 404, 422), path
                elif path.startswith("/api/v1/session/oidc"):
                    assert answer.headers["location"].startswith("/sign-in?problem="), path
                elif path.startswith(("/api/v1/views/sessions/", "/api/v1/views/hls/")):
                    # A view's own address is unguessable and bound to its client: all that WHEP and HLS have.
                    assert answer.status_code in (404, 422), f"{method} {path}"
                else:
                    assert answer.status_code == 401, f"{method} {path}"
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                    asked += 1
        assert asked >= 10

    @pytest.mark.parametrize("token", ["", "nonsense", "se_x_y", "se_0123456789ab_" + "A" * 43, "é"])
    async def test_a_wrong_token_is_refused_with_a_mend(self, client: Client, token: str) -> None:
        answer = await client.get(
            "/api/v1/cameras", headers={"Authorization": f"Bearer {token}".encode("latin-1")}
        )
        assert answer.status_code == 401
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["mend"]

    async def test_a_read_token_reads_and_changes_nothing(self, client: Client) -> None:
        made = (await client.post("/api/v1/tokens", json={"name": "grafana", "scopes": ["read"]})).json()
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert (await client.get("/api/v1/cameras", headers=headers)).status_code == 200
        refused = await client.post("/api/v1/cameras/gate-1/probe", headers=headers)
        assert refused.status_code == 403
        assert "admin" in refused.json()["detail"]

    async def test_a_revoked_token_is_refused_at_once(self, client: Client) -> None:
        made = (await client.post("/api/v1/tokens", json={"name": "old", "scopes": ["read"]})).json()
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert (await client.get("/api/v1/states", headers=headers)).status_code == 200
        assert (await client.delete(f"/api/v1/tokens/{made['id']}")).status_code == 204
        assert (await client.get("/api/v1/states", headers=headers)).status_code == 401

    async def test_tokens_are_listed_without_their_secrets(self, client: Client) -> None:
        made = (await client.post("/api/v1/tokens", json={"name": "n", "scopes": ["read"]})).json()
        listed = await client.get("/api/v1/tokens")
        assert made["id"] in listed.text
        assert made["token"] not in listed.text

    async def test_metrics_are_for_this_machine_and_the_allow_list(self, tmp_path: Path) -> None:
        async with client_of(tmp_path, peer="192.0.2.7") as far:
            bare = {"Authorization": ""}
            refused = await far.get("/metrics", headers=bare)
            assert refused.status_code == 403
            assert "SHARPEYES_METRICS_ALLOW" in refused.json()["mend"]
            assert (await far.get("/metrics")).status_code == 200  # with a token
        (tmp_path / "data" / "sharpeyes.db").unlink()
        async with client_of(tmp_path, peer="192.0.2.7", metrics_allow="192.0.2.0/24") as near:
            assert (await near.get("/metrics", headers=bare)).status_code == 200


class TestCameras:
    async def test_filters_and_pages(self, client: Client) -> None:
        async def ids(query: str) -> list[str]:
            return [c["id"] for c in (await client.get(f"/api/v1/cameras?{query}")).json()["items"]]

        assert await ids("") == ["gate-1", "gate-2", "school-1"]
        assert await ids("tier=departmental") == ["school-1"]
        assert await ids("department=psb") == ["gate-1", "gate-2"]
        assert await ids("area=north") == ["gate-1", "school-1"]
        assert await ids("area=city") == ["gate-1", "gate-2", "school-1"]
        assert await ids("state=maintenance") == ["school-1"]
        assert await ids("q=一号") == ["gate-1"]
        first = (await client.get("/api/v1/cameras?limit=2")).json()
        assert (first["total"], first["next"]) == (3, "gate-2")
        assert await ids("limit=2&after=gate-2") == ["school-1"]

    async def test_numbered_where_area_and_industry_are_known(self, client: Client) -> None:
        code = (await client.get("/api/v1/cameras/gate-1")).json()["code"]
        assert code.startswith("44030500" + "00" + "132" + "1")
        assert len(code) == 20

    async def test_one_camera_shows_its_last_probe(self, client: Client) -> None:
        await until_probed(client)
        camera = (await client.get("/api/v1/cameras/gate-1")).json()
        probe = camera["last_probe"]
        assert (probe["rung"], probe["ok"]) == ("none", False)
        assert (probe["error"]["kind"], probe["error"]["blame"]) == ("refused", "camera")
        assert probe["transcript"]

    async def test_probe_now(self, client: Client) -> None:
        answer = await client.post("/api/v1/cameras/gate-2/probe")
        assert answer.status_code == 200
        assert answer.json()["error"]["phase"] == "connect"

    async def test_unknown_camera(self, client: Client) -> None:
        for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/probe")):
            answer = await client.request(method, f"/api/v1/cameras/nobody{path}", json={})
            assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
            assert "nobody" in answer.json()["detail"]

    async def test_a_camera_of_the_file_is_changed_in_the_file(self, client: Client) -> None:
        answer = await client.patch("/api/v1/cameras/gate-1", json={"maintenance": True})
        assert answer.status_code == 409
        assert "cameras.yaml" in answer.json()["detail"]

    async def test_an_unknown_field_is_named(self, client: Client) -> None:
        answer = await client.patch("/api/v1/cameras/gate-1", json={"maintainance": True})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "body.maintainance"


class TestStatesAndRates:
    async def test_offline_after_three_refusals_dated_to_the_first(self, client: Client) -> None:
        await until_probed(client)
        first = (await client.get("/api/v1/cameras/gate-1")).json()["last_probe"]["at"]
        for _ in range(3):
            await client.post("/api/v1/cameras/gate-1/probe")
        standing = (await client.get("/api/v1/cameras/gate-1")).json()["standing"]
        assert (standing["state"], standing["cause"]) == ("offline", "refused")
        assert standing["since"] <= first

    async def test_intervals_tile_the_time_and_end_with_the_open_one(self, client: Client) -> None:
        await until_probed(client)
        for _ in range(3):
            await client.post("/api/v1/cameras/gate-1/probe")
        await client.service.recorder.flush()
        items = (await client.get("/api/v1/intervals?camera=gate-1")).json()["items"]
        assert [i["state"] for i in items] == ["unknown", "offline"]
        assert items[0]["end"] == items[1]["start"]
        assert items[1]["end"] is None

    async def test_states_count_every_camera_once(self, client: Client) -> None:
        items = {i["key"]: i for i in (await client.get("/api/v1/states")).json()["items"]}
        assert items["departmental"]["maintenance"] == 1
        assert sum(i["cameras"] for i in items.values()) == 3

    async def test_an_unseen_camera_lowers_the_coverage_and_not_the_rate(self, client: Client) -> None:
        await client.service.recorder.flush()
        rates = (await client.get("/api/v1/rates?by=all")).json()["items"]
        assert rates[0]["online_rate"] is None
        assert rates[0]["verdict"] == "collecting"

    @pytest.mark.parametrize("by", ["tier", "department", "area", "zone", "camera", "all"])
    async def test_rates_by_every_dimension(self, client: Client, by: str) -> None:
        await client.service.recorder.flush()
        answer = (await client.get(f"/api/v1/rates?by={by}")).json()
        assert answer["by"] == by
        assert answer["items"]
        assert all(i["obliged_s"] >= i["online_s"] + i["offline_s"] for i in answer["items"])

    @pytest.mark.parametrize(
        "query",
        [
            "from=2026-01-01T00:00:00",  # no zone
            "from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z",
            "from=1999-01-01T00:00:00Z",
            "from=yesterday",
            "by=person",
        ],
    )
    async def test_a_bad_span_is_refused_by_name(self, client: Client, query: str) -> None:
        answer = await client.get(f"/api/v1/rates?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
        assert query.split("=")[0] in answer.json()["detail"]


class TestMetrics:
    async def test_aggregates_by_tier_and_state(self, client: Client) -> None:
        await until_probed(client)
        for camera in ("gate-1", "gate-2"):
            for _ in range(3):
                await client.post(f"/api/v1/cameras/{camera}/probe")
        text = (await client.get("/metrics")).text
        assert 'sharpeyes_online_ratio{tier="public_security"} 0.0' in text
        assert 'sharpeyes_online_ratio{tier="departmental"}' not in text  # in maintenance: nothing to say
        assert 'sharpeyes_cameras{state="offline",tier="public_security"} 2.0' in text
        assert 'sharpeyes_coverage_ratio{tier="public_security"} 1.0' in text
        assert re.search(r'sharpeyes_probes_total\{result="refused"\} (\d+)\.0', text)
        assert "gate-1" not in text

    async def test_metrics_by_camera_are_opt_in(self, client: Client, tmp_path: Path) -> None:
        assert (await client.get("/metrics/cameras")).status_code == 404
        other = tmp_path / "other"
        other.mkdir()
        async with client_of(other, camera_metrics=True) as on:
            for _ in range(3):
                await on.post("/api/v1/cameras/gate-1/probe")
            text = (await on.get("/metrics/cameras")).text
            assert 'sharpeyes_camera_up{camera_id="gate-1"} 0\n' in text
            assert 'sharpeyes_camera_up{camera_id="school-1"}' not in text


class TestService:
    async def test_health_and_readiness(self, client: Client) -> None:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200

    async def test_openapi_describes_every_answer(self, client: Client) -> None:
        document = (await client.get("/openapi.json")).json()
        assert document["info"]["title"] == "SharpEyes"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                assert operation.get("description"), f"{method} {path} says nothing about itself"

    async def test_secrets_are_nowhere(self, client: Client) -> None:
        for path in ("/api/v1/cameras", "/api/v1/events", "/api/v1/tokens", "/metrics"):
            assert "password" not in (await client.get(path)).text.lower()
