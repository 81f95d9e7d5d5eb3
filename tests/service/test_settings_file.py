"""The settings file: below the environment and the flags, with strict types and known names only."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load_settings, read_settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "visavis.toml"
# What the example states for settings that have no value by default.
WITHOUT_DEFAULT = {
    "model": "sface-128",
    "runtime": "openvino",
    "metrics_port": 9464,
    "keys": "keys.json",
    "audit": "/var/lib/visavis/audit",
    "gallery": "sqlite:////var/lib/visavis/gallery.db",
    "tls_certificate": "certificate.pem",
    "tls_key": "key.pem",
    "rate_limit": "600/minute",
    "address_rate_limit": "600/minute",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, "config"):
        monkeypatch.delenv(f"VISAVIS_{name.upper()}", raising=False)


def _file(folder: Path, text: str) -> str:
    path = folder / "visavis.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_flags_go_before_the_environment_and_this_before_the_file_and_this_before_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, 'port = 1\nmax_waiting = 2\nmax_concurrent = 3\nhost = "localhost"')
    monkeypatch.setenv("VISAVIS_PORT", "11")
    monkeypatch.setenv("visavis_max_waiting", "12")
    read = load_settings(file, port=21)
    assert (read.port, read.max_waiting, read.max_concurrent, read.max_pixels) == (21, 12, 3, 50_000_000)
    assert read.host == "localhost"


def test_the_variable_names_the_file_and_the_flag_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CONFIG", _file(tmp_path, "port = 1"))
    assert load_settings().port == 1
    other = tmp_path / "other.toml"
    other.write_text("port = 2")
    assert load_settings(str(other)).port == 2


def test_an_unknown_name_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"visavis.toml: there is no setting prot \(did you mean port\?\)"):
        load_settings(_file(tmp_path, "prot = 1"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('port = "8000"', "port: Input should be a valid integer"),
        ("port = true", "port: Input should be a valid integer"),
        ("port = 99999", "port: Input should be less than or equal to 65535"),
        ("host = 1", "host: Input should be a valid string"),
        ("port = 2026-01-01", "port: Input should be a valid integer"),
        ("body_timeout_s = nan", "body_timeout_s: Input should be a finite number"),
        ('origins = ["example.org"]', "origins: Value error, entry 1 is not an origin"),
        ('log_level = "loud"', "log_level: Input should be 'debug'"),
        ("[port]\nnumber = 1", "port: Input should be a valid integer"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_file_and_key(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"visavis.toml: .*{re.escape(told)}"):
        load_settings(_file(tmp_path, line))


def test_whole_numbers_of_seconds_and_lists_are_read(tmp_path: Path) -> None:
    read = load_settings(_file(tmp_path, 'body_timeout_s = 5\norigins = ["https://a.example", "https://b.example"]'))
    assert (read.body_timeout_s, read.origins) == (5.0, ("https://a.example", "https://b.example"))


def test_all_faults_of_all_sources_are_told_and_the_valid_settings_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_PROT", "1")
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", "0")
    reading = read_settings(_file(tmp_path, 'hots = "a"\nmax_waiting = "x"\nmax_concurrent = 7'))
    told = " ".join(reading.faults)
    assert len(reading.faults) == 4
    assert all(name in told for name in ("VISAVIS_PROT", "VISAVIS_MAX_PIXELS: ", "hots", "max_waiting: "))
    assert (reading.settings.max_concurrent, reading.settings.max_waiting) == (7, 32)


def test_a_limit_that_depends_on_others_is_checked_when_all_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, "memory_bytes = 100000000")
    reading = read_settings(file)
    assert [fault for fault in reading.faults if "memory_bytes" in fault.lower()] == list(reading.faults)
    assert reading.settings == Settings()
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", "1000000")
    assert load_settings(file).memory_bytes == 100_000_000


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"port = ", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"port = 1\nport = 2", "not a TOML file"),
        (b"#" * (2**16 + 1), "more than 65,536 bytes"),
        (b"port = " + b"[" * 60_000, "lists in lists"),
        (b"port = " + b"9" * 60_000, "not a TOML file"),
        (b"a" + b".a" * 30_000 + b" = 1", "more than 32 parts"),
    ],
)
def test_what_is_no_settings_file_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "visavis.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=told):
        load_settings(str(tmp_path / "visavis.toml"))


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the settings file cannot be read"):
        load_settings(str(tmp_path / name))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "visavis.toml")
    with pytest.raises(SettingsError, match="not a regular file"):
        load_settings(str(tmp_path / "visavis.toml"))


def test_a_key_in_the_place_of_a_name_is_not_shown_and_a_long_name_is_cut(tmp_path: Path) -> None:
    key = f"visavis_aB3dE6gH_{'s' * 43}_0a0a0a"
    with pytest.raises(SettingsError, match="no setting with an API key as its name") as refusal:
        load_settings(_file(tmp_path, f"{key} = 1\n{'x' * 60_000} = 1"))
    assert key not in str(refusal.value)
    assert len(str(refusal.value)) < 1_000


def test_a_fault_is_one_line_and_shows_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ORIGINS", "https://user:hunter2@example.org/\n2026 INFO all is well\x1b[2J")
    monkeypatch.setenv("VISAVIS_API\nKEY", "hunter2")
    reading = read_settings(_file(tmp_path, '"to\\nken" = "hunter2"'))
    assert len(reading.faults) == 3
    assert all(fault.isprintable() for fault in reading.faults)
    assert "hunter2" not in " ".join(reading.faults)


def test_the_example_has_every_setting_with_its_default() -> None:
    lines = [line.removeprefix("#") for line in EXAMPLE.read_text().splitlines() if re.match(r"#[a-z_]+ = ", line)]
    stated = tomllib.loads("\n".join(lines))
    assert stated.keys() == Settings.model_fields.keys()
    defaults = Settings.model_validate({}).model_dump(mode="json")
    assert stated == defaults | WITHOUT_DEFAULT


def test_the_example_can_be_used_as_it_is_and_with_every_line(tmp_path: Path) -> None:
    assert load_settings(str(EXAMPLE)) == Settings()
    every_line = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", EXAMPLE.read_text())
    assert load_settings(_file(tmp_path, every_line)).metrics_port == 9464
