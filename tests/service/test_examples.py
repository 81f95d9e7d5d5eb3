"""The example answers are those of the default model, and the document of the API shows them."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from embedder.explain import Explainer
from gallery import claim_for
from service import gallery_openapi, openapi as told, serializers
from service.wire import ExplainResponse

API_DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
SHOWN: list[Any] = [told.VERIFY_ANSWER, told.VERIFY_MANY_ANSWER["results"][2]["verdict"]]
OF_ONE_ANSWER = ("model", "timings_ms", "request_id")
NAMES = ("001-neutral", "001-smiling", "005-neutral")


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every single value with its place."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if pairs is None:
        yield place, value
    else:
        for key, each in pairs:
            yield from _leaves(each, f"{place}.{key}")


def _is_shown(shown: object, value: object) -> bool:
    """Is `shown` the value, but for rounding?"""
    if isinstance(value, float) and isinstance(shown, float):
        return shown == pytest.approx(value, rel=2e-3, abs=1e-4)
    return shown == value


def _differing(shown: object, answered: object) -> dict[str, tuple[object, object]]:
    """Return place -> (what is shown, what was answered) wherever it is not the same."""
    left, right = dict(_leaves(shown)), dict(_leaves(answered))
    missing = object()
    pairs = {place: (left.get(place, missing), right.get(place, missing)) for place in left | right}
    return {place: pair for place, pair in pairs.items() if not _is_shown(*pair)}


@pytest.fixture(scope="module")
def photos(examples: Path) -> list[bytes]:
    return [(examples / f"{name}.jpg").read_bytes() for name in NAMES]


def test_the_examples_name_the_default_model(embedder: FaceEmbedder) -> None:
    wanted = serializers.model(embedder.identity).model_dump()
    assert told.VERIFY_ANSWER["model"] == told.VERIFY_MANY_ANSWER["model"] == told.COMPARE_ANSWER["model"] == wanted


def test_the_examples_are_what_the_model_says_of_the_example_photos(
    embedder: FaceEmbedder, photos: list[bytes]
) -> None:
    probe, *references = photos
    for comparison, example in zip(embedder.verify_many(probe, references).results, SHOWN, strict=True):
        shown = {key: value for key, value in example.items() if key not in OF_ONE_ANSWER}
        assert _differing(shown, serializers.verdict(comparison, "refuse").model_dump(mode="json")) == {}


def test_the_examples_are_what_the_model_says_of_the_embeddings(embedder: FaceEmbedder, photos: list[bytes]) -> None:
    probe, *references = (embedder.embed(photo).vector for photo in photos)
    distances = embedder.compare(probe, np.stack(references), model_digest=embedder.card.digest)
    answered = [serializers.judgement(each).model_dump(mode="json") for each in distances.results]
    assert _differing(told.COMPARE_ANSWER["results"], answered) == {}
    for key in ("operating_point", "prior"):
        assert told.COMPARE_ANSWER[key] == told.VERIFY_ANSWER[key]


def test_the_example_of_an_explanation_is_the_beginning_of_what_the_model_says(
    embedder: FaceEmbedder, photos: list[bytes]
) -> None:
    shown, found = ExplainResponse.model_validate(told.EXPLAIN_ANSWER), Explainer(embedder).explain(*photos[:2])
    answered = serializers.explanation(found, "refuse", total_ms=0, asked_as="")
    for ours, theirs in zip(shown.channels, answered.channels[: len(shown.channels)], strict=True):
        assert _differing(ours.model_dump(), theirs.model_dump()) == {}
    assert shown.saliency is not None
    assert answered.saliency is not None
    for face in ("probe", "reference"):
        ours, theirs = getattr(shown.saliency, face), getattr(answered.saliency, face)
        assert np.allclose(ours.map, [row[:4] for row in theirs.map[:2]], atol=2e-3)
        assert [each.region for each in ours.regions] == [each.region for each in theirs.regions[:2]]
        assert [each.share for each in ours.regions] == pytest.approx([e.share for e in theirs.regions[:2]], rel=2e-3)
        chips = getattr(shown.chips, face), getattr(answered.chips, face)
        assert np.allclose(*(chip.landmarks for chip in chips), atol=0.01)
        assert chips[1].picture.startswith(chips[0].picture.removesuffix("..."))


def _blocks(heading: str) -> list[str]:
    """Return the JSON blocks of a section of the document."""
    section = API_DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def _is_shortened(shown: object, value: object) -> bool:
    is_short = isinstance(shown, str) and shown.endswith("...")
    return is_short and isinstance(value, str) and value.startswith(str(shown)[:-3])


def test_the_document_of_the_api_shows_the_first_example_as_it_is() -> None:
    shown = json.loads(_blocks("POST /v1/verify")[0])
    differing = _differing(shown, told.VERIFY_ANSWER)
    assert {place: pair for place, pair in differing.items() if not _is_shortened(*pair)} == {}


def test_the_document_of_the_api_lists_every_route(client: TestClient) -> None:
    table = API_DOCUMENT.split("\n## ")[0]
    listed = set(re.findall(r"`(GET|POST|PUT|DELETE) (/\S+)`", table))
    paths = client.get("/openapi.json").json()["paths"]
    assert listed == {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_the_document_of_the_api_shows_the_detector_of_the_default_model(embedder: FaceEmbedder) -> None:
    (shown,) = re.findall(
        r'"detector": {"name": "(\S+)", "weights_sha256": "(\S+)\.\.\."}', _blocks("GET /v1/model")[0]
    )
    detector = embedder.card.detector
    assert shown[0] == detector.name
    assert detector.weights_sha256.startswith(shown[1])


def test_of_one_photo_no_stage_of_an_example_took_longer_than_all_of_it() -> None:
    (shown,) = re.findall(r'"timings_ms": ({.*}),', _blocks("POST /v1/embeddings")[0])
    *stages, total = json.loads(shown).values()
    assert 0 < sum(stages) <= total


@pytest.mark.parametrize(
    ("heading", "nth", "results"),
    [
        ("POST /v1/verify/many", 0, SHOWN),
        ("POST /v1/embeddings/compare", 1, told.COMPARE_ANSWER["results"]),
    ],
)
def test_the_document_of_the_api_shows_the_figures_of_the_others(heading: str, nth: int, results: list[Any]) -> None:
    block = _blocks(heading)[nth]
    for key in ("distance", "threshold", "normalized_distance", "probability", "log_likelihood_ratio"):
        shown = [float(figure) for figure in re.findall(rf'"{key}": (-?[\d.]+)', block)]
        assert shown in ([], [result[key] for result in results])
    assert '"threshold": ' in block


def test_the_example_of_an_identification_claims_what_the_card_carries(embedder: FaceEmbedder) -> None:
    face: Any = gallery_openapi.IDENTIFY_ANSWER["faces"]
    shown = face[0]["claim"]
    claim = asdict(claim_for(embedder.card, fpir=0.01, n_templates=shown["n_templates"]))
    assert _differing(shown, claim) == {}
    (candidate,) = face[0]["candidates"]
    assert f"< {claim['threshold']:.4f}," in candidate["reason"]
    assert candidate["reason"] in API_DOCUMENT
