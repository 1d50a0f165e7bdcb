"""Runs and found devices as rows, on both databases."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from sharpeyes.domain.camera import Device, Identity
from sharpeyes.domain.discovery import FoundStatus, How, Outcome
from sharpeyes.domain.time import Ms
from sharpeyes.store import discovery
from sharpeyes.store.database import Database
from sharpeyes.store.devices import put_devices
from sharpeyes.store.discovery import FORGET_MS, RUNS, Found, FoundFilter, Run, RunError

DAY = 24 * 3600 * 1000


def row(number: int, status: FoundStatus = FoundStatus.NEW, **fields: object) -> Found:
    values: dict[str, object] = {
        "id": f"fnd-{number}",
        "identity": Identity(
            address=f"10.0.0.{number}:80", mac=f"02:00:00:00:00:{number:02x}", model=f"M_{number}"
        ),
        "xaddr": f"http://10.0.0.{number}/onvif/device_service",
        "status": status,
        "how": How.SWEEP,
        "first": Ms(number),
        "last": Ms(number),
        "told": {"channels": []},
    } | fields
    return Found(**values)  # type: ignore[arg-type]


def test_found_devices_are_kept_found_counted_and_forgotten(store_url: str) -> None:
    urgent = FoundStatus.NEEDS_CREDENTIALS
    rows = [
        row(2, FoundStatus.ENROLLED),
        row(10),
        row(9, urgent, kind="auth_failed"),
        row(3, FoundStatus.IGNORED),
    ]

    def story(connection: Connection) -> None:
        discovery.put_found(connection, rows)
        assert list(discovery.get_found(connection, ["fnd-10", "fnd-2", "nobody"]).values()) == [
            rows[1],
            rows[0],
        ]
        discovery.put_found(connection, [replace(rows[1], name="gate", told=None)])
        assert discovery.get_found(connection, ["fnd-10"])["fnd-10"].name == "gate"

        def page(wanted: FoundFilter = FoundFilter(), **how: object) -> list[str]:  # noqa: B008
            found, total = discovery.list_found(connection, wanted, **how)  # type: ignore[arg-type]
            assert total >= len(found)
            return [one.id for one in found]

        assert page(sort="status", down=False) == ["fnd-10", "fnd-9", "fnd-2", "fnd-3"]
        assert page(sort="address", down=False) == ["fnd-2", "fnd-3", "fnd-9", "fnd-10"]
        assert page(sort="model", down=True, limit=1, offset=1) == ["fnd-3"]
        assert page(FoundFilter(search="M_1 GATE")) == ["fnd-10"]
        assert page(FoundFilter(search="m%")) == []
        assert page(FoundFilter(search="10.0.0.9")) == ["fnd-9"]
        assert page(FoundFilter(search="10.0.0.9", addresses=False)) == []
        assert discovery.tally_found(connection, FoundFilter(statuses=(urgent,)), "status") == {
            "new": 1,
            "needs_credentials": 1,
            "enrolled": 1,
            "ignored": 1,
        }
        assert discovery.tally_found(connection, FoundFilter(), "kind") == {"auth_failed": 1}
        like = [Identity(address="10.0.0.10:80"), Identity(mac="02:00:00:00:00:09")]
        assert [one.id for one in discovery.found_like(connection, like)] == ["fnd-10", "fnd-9"]
        discovery.mark_unreachable(connection, ["fnd-9"])
        gone = discovery.get_found(connection, ["fnd-9"])["fnd-9"]
        assert (gone.status, gone.told) == (FoundStatus.UNREACHABLE, {"channels": []})
        assert discovery.forget_found(connection, now=Ms(FORGET_MS + 10)) == 1  # the one of 9, not that of 10
        assert page(sort="first", down=False) == ["fnd-2", "fnd-3", "fnd-10"]

    with Database(store_url) as database:
        database.upgrade()
        database.write(story)


def test_the_device_at_an_address_is_the_one_with_cameras(store_url: str) -> None:
    def story(connection: Connection) -> None:
        devices = [
            Device(id="a", identity=Identity(address="10.0.0.1:80", mac="02:00:00:00:00:01")),
            Device(id="b", identity=Identity(address="10.0.0.2:80"), retired_ms=Ms(1)),
        ]
        put_devices(connection, devices, now=Ms(1))
        found = discovery.enrolled_at(connection, ["10.0.0.1:80", "10.0.0.2:80"])
        assert {key: (one.id, one.cameras) for key, one in found.items()} == {"10.0.0.1:80": ("a", 0)}

    with Database(store_url) as database:
        database.upgrade()
        database.write(story)


def test_runs_are_kept_up_to_a_number_and_a_dangling_one_was_cut_short(store_url: str) -> None:
    error = RunError("10.0.0.9:80", "auth_failed", "why")

    def story(connection: Connection) -> None:
        for number in range(RUNS + 3):
            discovery.put_run(
                connection, Run(id=f"run-{number}", started=Ms(number), by="x", scope={"ports": [80]})
            )
        number, done = RUNS + 2, Outcome.DONE
        last = Run(
            id=f"run-{number}",
            started=Ms(number),
            by="x",
            scope={},
            ended=Ms(9_000),
            outcome=done,
            errors=(error,),
            asked=7,
        )
        discovery.put_run(connection, last)
        runs = discovery.list_runs(connection)
        assert len(runs) == RUNS
        assert runs[0] == last
        assert discovery.cut_short(connection) == RUNS - 1
        assert {one.outcome for one in discovery.list_runs(connection)[1:]} == {Outcome.CUT_SHORT}

    with Database(store_url) as database:
        database.upgrade()
        database.write(story)


def test_a_run_knows_whom_it_saw_even_if_later_ones_saw_them_too(store_url: str) -> None:
    def run(number: int) -> Run:
        return Run(id=f"run-{number}", started=Ms(number), by="chen", scope={}, outcome=Outcome.DONE)

    def seen(connection: Connection, number: int) -> list[str]:
        found, total = discovery.list_found(connection, FoundFilter(run=f"run-{number}"), sort="address")
        assert (
            total
            == len(found)
            == sum(discovery.tally_found(connection, FoundFilter(run=f"run-{number}"), "status").values())
        )
        return sorted(one.id for one in found)

    def story(connection: Connection) -> None:
        for number in (1, 2):
            discovery.put_run(connection, run(number))
        discovery.put_found(connection, [row(1, run="run-1"), row(2, run="run-1"), row(3)])
        discovery.put_found(connection, [row(2, run="run-2"), row(3, run="run-2", last=Ms(FORGET_MS))])
        discovery.put_found(connection, [row(2, FoundStatus.IGNORED, run="run-2")])  # as a decision does
        assert seen(connection, 1) == ["fnd-1", "fnd-2"]
        assert seen(connection, 2) == ["fnd-2", "fnd-3"]
        assert discovery.forget_found(connection, now=Ms(FORGET_MS + 100)) == 1
        assert seen(connection, 1) == ["fnd-2"]
        for number in range(3, RUNS + 2):
            discovery.put_run(connection, run(number))
        assert seen(connection, 1) == []  # with the run its sightings are forgotten
        assert seen(connection, 2) == ["fnd-2", "fnd-3"]

    with Database(store_url) as database:
        database.upgrade()
        database.write(story)
