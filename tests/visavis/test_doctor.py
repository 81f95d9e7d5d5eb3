"""`visavis doctor` tells the facts of this machine, measures honestly and advises only with a reason."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from embedder import FaceEmbedder
from service import this_machine
from visavis.cli.doctor import Diagnosis, Speed, _advice, _drawn_picture, as_text, diagnosis, doctor

GIB = 2**30
PLAIN = replace(this_machine(), cpu_quota=None, memory_bytes=8 * GIB, memory_limit_bytes=None, features=("avx2",))
EQUAL = tuple(Speed(precision, 10.0) for precision in ("f32", "bf16", "int8"))


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    return diagnosis()


def test_it_measures_each_precision_that_runs_here(found: Diagnosis) -> None:
    assert [each.precision for each in found.speeds] == ["f32", "bf16", "int8"]
    assert all((each.network_ms is None) == (each.reason is not None) for each in found.speeds)
    assert found.speeds[0].network_ms is not None
    assert min(found.speeds[0].network_ms, found.detector_ms) > 0
    assert 50 < found.worker_mib < 2000


def test_the_picture_that_it_measures_on_shows_no_face(embedder: FaceEmbedder) -> None:
    assert embedder.detect(_drawn_picture()) == []


def test_the_text_says_what_was_measured_and_on_what(found: Diagnosis) -> None:
    text = as_text(found)
    assert "without a face" in text
    assert f"cores       {found.machine.n_cores} usable" in text
    assert found.versions["openvino"]
    assert f"openvino {found.versions['openvino']}" in text


def test_json_has_the_same_facts() -> None:
    ran = CliRunner().invoke(doctor, ["--json"])
    told = json.loads(ran.output)
    assert told.keys() == Diagnosis.__dataclass_fields__.keys()
    assert told["machine"]["n_cores"] == this_machine().n_cores


def test_a_machine_without_problems_gets_no_advice() -> None:
    assert _advice(PLAIN, EQUAL, {}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_cores": 8, "cpu_quota": 1.5}, "1.5 of 8 cores"),
        ({"memory_limit_bytes": GIB}, "1,024 MiB of memory"),
        ({"features": ("avx512f",)}, "no AVX2"),
    ],
)
def test_a_limit_of_the_machine_is_told(change: dict[str, object], told: str) -> None:
    (advice,) = _advice(replace(PLAIN, **change), EQUAL, {})
    assert told in advice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@example.org"),
        ("PYTHONDEVMODE", "1"),
        ("OMP_WAIT_POLICY", "active"),
    ],
)
def test_a_surprising_variable_is_told_without_its_value(name: str, value: str) -> None:
    (advice,) = _advice(PLAIN, EQUAL, {name: value})
    assert name in advice
    assert "hunter2" not in advice


def test_a_faster_precision_is_named_with_its_price() -> None:
    speeds = (Speed("f32", 10.0), Speed("bf16", None, "not here"), Speed("int8", 4.0))
    (advice,) = _advice(PLAIN, speeds, {})
    assert "2.5 times as fast in int8" in advice
    assert "embeddings differ" in advice
