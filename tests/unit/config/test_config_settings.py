"""Settings from the environment and the command line."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from sharpeyes.config import Settings, variables
from sharpeyes.domain.errors import InvalidInputError


def test_defaults_listen_on_this_machine_only() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.metrics_allow) == ("127.0.0.1", 8080, ())
    assert str(settings.database) == "sqlite:///data/sharpeyes.db"
    assert settings.key_file == Path("data/secrets.key")


def test_every_setting_from_the_environment() -> None:
    settings = Settings.read(
        {
            "PATH": "/bin",
            "CAMERA_PASSWORD": "x",
            "SHARPEYES_CONFIG": "/etc/sharpeyes/cameras.yaml",
            "SHARPEYES_DATA_DIR": "/var/lib/sharpeyes",
            "SHARPEYES_DATABASE_URL": "postgresql://sharp:hunter2@db/eyes",
            "SHARPEYES_HOST": "::",
            "SHARPEYES_PORT": "80",
            "SHARPEYES_METRICS_ALLOW": "10.0.0.0/8, 192.0.2.7",
            "SHARPEYES_CAMERA_METRICS": "yes",
            "SHARPEYES_REPORTS": "month, week",
            "SHARPEYES_LOG_LEVEL": "DEBUG",
            "SHARPEYES_MAX_IN_FLIGHT": "64",
        }
    )
    assert settings.config == Path("/etc/sharpeyes/cameras.yaml")
    assert (settings.database.host, settings.database.password) == ("db", "hunter2")
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.database) + str(settings.database)
    assert (settings.host, settings.port, settings.camera_metrics) == ("::", 80, True)
    assert settings.reports == ("month", "week")
    assert settings.metrics_allow == (ip_network("10.0.0.0/8"), ip_network("192.0.2.7/32"))
    assert (settings.log_level, settings.max_in_flight) == ("debug", 64)


def test_no_reports_at_all_can_be_said() -> None:
    assert Settings.read({"SHARPEYES_REPORTS": "none"}).reports == ()
    assert Settings.read({"SHARPEYES_REPORTS": ""}).reports == Settings().reports  # nothing was said


def test_the_docs_have_every_setting_as_it_is() -> None:
    docs = Path(__file__).parents[3] / "docs" / "settings.md"
    assert docs.read_text(encoding="utf-8") == variables.draw(), (
        "run: python -m sharpeyes.config.variables > docs/settings.md"
    )


def test_any_folder_can_hold_the_data() -> None:
    assert Settings.read({}, data_dir="/a b?/%41").database.database == "/a b?/%41/sharpeyes.db"


def test_the_command_line_wins_if_it_says_anything() -> None:
    environ = {"SHARPEYES_PORT": "80", "SHARPEYES_HOST": "::1"}
    settings = Settings.read(environ, port=81, host=None, data_dir=Path("/tmp/x"))
    assert (settings.port, settings.host, settings.data_dir) == (81, "::1", Path("/tmp/x"))


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SHARPEYES_DATADIR", "x", "SHARPEYES_DATADIR is not a setting. Did you mean 'SHARPEYES_DATA_DIR'?"),
        ("SHARPEYES_PORT", "http", "SHARPEYES_PORT: 'http' is not a whole number from 0 to 65535"),
        ("SHARPEYES_PORT", "65536", "is not a whole number from 0 to 65535"),
        ("SHARPEYES_MAX_IN_FLIGHT", "0", "is not a whole number from 1 to 20000"),
        ("SHARPEYES_METRICS_ALLOW", "10.0.0.1/8", "'10.0.0.1/8' is not a network; write for example"),
        ("SHARPEYES_CAMERA_METRICS", "maybe", "neither true nor false"),
        ("SHARPEYES_REPORTS", "month, year", "'year' is not one of day, week, month"),
        ("SHARPEYES_LOG_LEVEL", "loud", "not one of debug, info, warning, error"),
        ("SHARPEYES_DATABASE_URL", "hunter2", "not a database URL; write for example"),
        ("SHARPEYES_HOST", "a b", "not an address or a host name"),
    ],
)
def test_a_wrong_variable_is_refused(variable: str, value: str, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Settings.read({variable: value})
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_flag_is_named_as_it_was_written() -> None:
    with pytest.raises(InvalidInputError, match="--metrics-allow: 'all' is not a network"):
        Settings.read({}, metrics_allow="all")


def test_all_wrong_variables_are_told_at_once_and_empty_ones_are_not_set() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Settings.read({"SHARPEYES_PORT": "x", "SHARPEYES_HOTS": "y", "SHARPEYES_LOG_LEVEL": ""})
    assert len(str(caught.value).splitlines()) == 2


def test_canaries_are_on_and_listen_on_loopback_unless_told_otherwise() -> None:
    assert Settings.read({}).canaries
    assert Settings.read({}).canary_addresses == {}
    given = {"SHARPEYES_CANARIES": "off", "SHARPEYES_CANARY_ADDRESSES": "police=10.1.0.5, street=10.2.0.5"}
    settings = Settings.read(given)
    assert not settings.canaries
    assert settings.canary_addresses == {"police": "10.1.0.5", "street": "10.2.0.5"}


@pytest.mark.parametrize(
    "value", ["10.1.0.5", "police=", "police=gate", "=10.1.0.5", "a=::1", "a=1.1.1.1 a=1.1.1.2"]
)
def test_addresses_of_canaries_that_are_none(value: str) -> None:
    with pytest.raises(InvalidInputError, match="SHARPEYES_CANARY_ADDRESSES"):
        Settings.read({"SHARPEYES_CANARY_ADDRESSES": value})


@pytest.mark.parametrize("value", ["https://tiles.example/{z}/{x}/{y}.png", "/tiles/{z}/{x}/{y}.webp"])
def test_tiles_of_the_map(value: str) -> None:
    assert Settings.read({"SHARPEYES_MAP_TILES": value}).map_tiles == value


@pytest.mark.parametrize(
    "value",
    [
        "https://tiles.example/{z}/{x}.png",
        "https://{s}.tiles.example/{z}/{x}/{y}.png",
        "https://a; script-src *//{z}/{x}/{y}",
        "//tiles.example/{z}/{x}/{y}.png",
        "ftp://tiles.example/{z}/{x}/{y}.png",
        "tiles/{z}/{x}/{y}.png",
    ],
)
def test_tiles_that_are_none(value: str) -> None:
    with pytest.raises(InvalidInputError, match="SHARPEYES_MAP_TILES"):
        Settings.read({"SHARPEYES_MAP_TILES": value})


def test_reports_may_be_of_several_parts_and_languages() -> None:
    given = {
        "SHARPEYES_REPORT_BY": "department,all",
        "SHARPEYES_REPORT_LANGUAGES": "zh,en,zh",
        "SHARPEYES_REPORT_MAIL": "li,sun",
    }
    settings = Settings.read(given)
    assert (settings.report_by, settings.report_languages) == (("department", "all"), ("zh", "en"))
    assert settings.report_mail == ("li", "sun")
    for name, wrong in (("BY", "camera"), ("LANGUAGES", "fr")):
        with pytest.raises(InvalidInputError, match="is not one of"):
            Settings.read({f"SHARPEYES_REPORT_{name}": wrong})
