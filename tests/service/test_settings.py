"""Settings come from the environment and the command; a slip is told, never ignored."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"VISAVIS_{field.upper()}", raising=False)


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, None)
    assert (settings.max_image_bytes, settings.max_pixels) == (20 * 2**20, 50_000_000)
    assert (settings.max_concurrent, settings.max_waiting) == (2, 32)
    assert (settings.runtime, settings.device, settings.precision) == (None, "cpu", "f32")


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_PORT", "9000")
    monkeypatch.setenv("VISAVIS_MODEL", "some/bundle")
    assert (load_settings().port, load_settings().model) == (9000, "some/bundle")


def test_an_argument_goes_before_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_PORT", "9000")
    assert load_settings(port=9001).port == 9001


def test_a_misspelt_variable_is_refused_with_a_hint_and_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_MAX_PIXEL", "1000")
    with pytest.raises(SettingsError, match=r"VISAVIS_MAX_PIXEL \(did you mean VISAVIS_MAX_PIXELS\?\)") as refusal:
        load_settings()
    assert all(f"VISAVIS_{field.upper()}" in str(refusal.value) for field in Settings.model_fields)


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVISION_PORT", "1")
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNTIME", "abacus"),
        ("PORT", "99999"),
        ("PORT", "http"),
        ("MAX_PIXELS", "0"),
        ("BODY_TIMEOUT_S", "nan"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"VISAVIS_{variable}", value)
    with pytest.raises(SettingsError, match=f"VISAVIS_{variable}: ") as refusal:
        load_settings()
    assert f"={value}" not in str(refusal.value)


KEY = "visavis_0123abcd_" + "s3cr3t" * 7 + "x_000000"


# accepted as they are, and used later
TEXTS = ("host", "model", "device", "keys", "audit", "tls_certificate", "tls_key", "gallery")


@pytest.mark.parametrize("field", list(Settings.model_fields))
@pytest.mark.parametrize("secret", [KEY, "hunter2 hunter2", "https://me:hunter2@app.example.org/"])
def test_no_message_shows_a_value(field: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"VISAVIS_{field.upper()}", secret)
    if secret != KEY and field in TEXTS:
        assert getattr(load_settings(), field) == secret
        return
    with pytest.raises(SettingsError, match=f"VISAVIS_{field.upper()}: ") as refusal:
        load_settings()
    assert secret not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "odd"),
    [
        ("HOSTS", "https://face.example.org"),
        ("HOSTS", "face.example.org:8000"),
        ("HOSTS", "Face.example.org"),
        ("HOSTS", "*"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("RATE_LIMIT", "fast"),
        ("ADDRESS_RATE_LIMIT", "10/week"),
        ("INSECURE", "perhaps"),
    ],
)
def test_a_setting_of_access_is_checked(variable: str, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"VISAVIS_{variable}", odd)
    with pytest.raises(SettingsError, match=f"VISAVIS_{variable}: "):
        load_settings()


def test_lists_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOSTS", "face.example.org, localhost")
    monkeypatch.setenv("VISAVIS_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    settings = load_settings()
    assert (settings.hosts, settings.trusted_proxies) == (("face.example.org", "localhost"), ("10.0.0.0/8", "::1"))


def test_settings_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1
    with pytest.raises(ValidationError):
        Settings.model_validate({"prot": 1})


def test_the_document_of_the_api_has_every_setting() -> None:
    document = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"| `VISAVIS_{name.upper()}` |" in document
