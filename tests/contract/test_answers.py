"""Every method of the real client, answered by the real service with the real model on real photographs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import pytest
from odd_images import two_faces
from starlette.testclient import TestClient

from embedder import FaceEmbedder, copy_bundle, load
from embedder.explain import Explainer
from service.app import create_app
from service.client import (
    AsyncFaceClient,
    EmbeddingResponse,
    FaceClient,
    ModelResponse,
    NoFaceError,
    NotAnImageError,
    from_problem,
)
from service.settings import Settings

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]


def test_two_photos_of_one_person_are_the_same_person(ask: Ask, photo: Photo, embedder: FaceEmbedder) -> None:
    answer = ask("verify", photo("001-neutral"), photo("001-smiling"))
    direct = embedder.verify(photo("001-neutral"), photo("001-smiling"))
    assert answer.same is True
    assert answer.distance == pytest.approx(direct.distance, abs=1e-6)
    assert answer.threshold == pytest.approx(direct.threshold, abs=1e-5)
    assert answer.threshold_reason == direct.threshold_reason
    assert answer.operating_point.model_dump() == direct.operating_point.model_dump()
    assert answer.probability == pytest.approx(direct.probability, abs=1e-4)
    assert answer.log_likelihood_ratio == pytest.approx(direct.log_likelihood_ratio, abs=1e-3)
    assert answer.prior == direct.prior
    assert answer.model.digest == embedder.identity.digest
    assert (answer.probe.n_faces, answer.probe.choice) == (None, "dominant")
    assert answer.probe.box.width == pytest.approx(direct.probe.face.box.width, abs=0.01)
    assert answer.timings_ms.total > 0
    assert answer.request_id


def test_photos_of_two_people_are_not(ask: Ask, photo: Photo) -> None:
    answer = ask("verify", photo("001-neutral"), photo("005-neutral"))
    assert answer.same is False
    assert answer.distance >= answer.threshold


def test_a_threshold_of_the_callers_own_decides_and_is_told(ask: Ask, photo: Photo) -> None:
    answer = ask("verify", photo("001-neutral"), photo("001-smiling"), threshold=0.01)
    assert (answer.same, answer.threshold, answer.operating_point) == (False, 0.01, None)


@pytest.mark.parametrize("asked", ["fmr-1e-4", "fmr=1e-4"])
def test_a_point_and_a_prior_of_the_callers_choice_are_in_every_answer(ask: Ask, photo: Photo, asked: str) -> None:
    standard = {"operating_point": asked, "prior": 0.125}
    alone = ask("verify", photo("001-neutral"), photo("001-smiling"), **standard)
    (among_many,) = ask("verify_many", photo("001-neutral"), [photo("001-smiling")], **standard).results
    probe, reference = (ask("embed", photo(name)) for name in ("001-neutral", "001-smiling"))
    stored = ask("compare", probe, [reference], **standard)
    for answer in (alone, among_many.verdict, stored):
        assert (answer.operating_point.name, answer.prior) == ("fmr-1e-4", 0.125)
    assert among_many.verdict.probability == pytest.approx(alone.probability, abs=1e-3)
    assert stored.results[0].probability == pytest.approx(alone.probability, abs=1e-3)


def test_a_face_rule_of_the_callers_own_is_followed_and_told(ask: Ask, two_people: bytes, photo: Photo) -> None:
    answer = ask("verify", two_people, photo("001-neutral"), face="largest")
    assert (answer.probe.choice, answer.probe.n_faces, answer.reference.n_faces) == ("largest", None, None)


def test_each_photo_has_a_face_choice_of_its_own_by_rule_or_place(
    ask: Ask, two_people: bytes, photo: Photo, embedder: FaceEmbedder
) -> None:
    listed = ask("detect", two_people).faces
    right = next(index for index, face in enumerate(listed) if face.box.x > 500)
    x, y = listed[right].box.x + 5, listed[right].box.y + 5
    for method, references in (("verify", two_people), ("verify_many", [two_people]), ("explain", two_people)):
        answer = ask(method, photo("041-smiling"), references, face="only", reference_face=right)
        verdict = answer.results[0].verdict if method == "verify_many" else answer
        assert (verdict.same, verdict.probe.choice, verdict.reference.choice) == (True, "only", str(right))
    answer = ask("verify", two_people, two_people, probe_face=1 - right, reference_face=f"at:{x:.1f},{y:.1f}")
    assert (answer.same, answer.reference.box, answer.reference.n_faces) == (False, listed[right].box, 2)
    assert answer.notes == list(
        embedder.verify(two_people, two_people, probe_face=1 - right, reference_face=right).notes
    )
    assert "two faces in it" in answer.notes[0]
    assert ask("embed", two_people, face=right).sample.box == listed[right].box


def test_each_of_many_references_gets_a_verdict_or_a_problem_in_order(ask: Ask, photo: Photo, nobody: bytes) -> None:
    references = [photo("001-smiling"), nobody, photo("005-neutral"), b"not an image"]
    answer = ask("verify_many", photo("001-neutral"), references)
    same, no_face, different, no_image = answer.results
    assert (same.verdict.same, different.verdict.same) == (True, False)
    assert same.problem is None
    assert (no_face.problem.code, no_face.problem.image, no_face.problem.n_faces) == ("no_face", "reference", 0)
    assert no_image.problem.code == "not_an_image"
    assert type(from_problem(no_face.problem)) is NoFaceError


def test_one_of_many_is_as_far_away_as_alone(ask: Ask, photo: Photo) -> None:
    many = ask("verify_many", photo("021-neutral"), [photo("021-smiling"), photo("041-smiling")])
    for result, name in zip(many.results, ("021-smiling", "041-smiling"), strict=True):
        alone = ask("verify", photo("021-neutral"), photo(name))
        assert result.verdict.distance == pytest.approx(alone.distance, abs=1e-5)


def test_an_explanation_says_what_verify_says_and_why(ask: Ask, photo: Photo, embedder: FaceEmbedder) -> None:
    pair = photo("001-neutral"), photo("005-smiling")
    answer, direct = ask("explain", *pair), Explainer(embedder).explain(*pair)
    assert (answer.same, answer.quality) == (direct.comparison.same, "refuse")
    assert answer.distance == pytest.approx(direct.comparison.distance, abs=1e-6)
    assert [each.channel for each in answer.channels] == [each.channel for each in direct.channels]
    for found, wanted in (
        (answer.saliency.probe, direct.saliency.probe),
        (answer.saliency.reference, direct.saliency.reference),
    ):
        assert np.allclose(found.map, wanted.coarse, atol=1e-3)
        assert [each.region for each in found.regions] == [each.region for each in wanted.regions]


def test_an_explanation_follows_the_callers_options(ask: Ask, photo: Photo, two_people: bytes) -> None:
    standard = {"operating_point": "fmr-1e-4", "prior": 0.125}
    answer = ask("explain", two_people, photo("001-neutral"), face="largest", saliency=False, **standard)
    assert (answer.operating_point.name, answer.prior, answer.probe.choice) == ("fmr-1e-4", 0.125, "largest")
    assert answer.saliency is None
    assert len(answer.channels) == 128


def test_every_face_is_found(ask: Ask, photo: Photo, two_people: bytes) -> None:
    (face,) = ask("detect", photo("041-neutral")).faces
    assert face.score > 0.9
    assert len(face.landmarks) == 5
    assert len(ask("detect", two_people).faces) == 2


def test_no_face_is_an_empty_list_when_faces_are_asked_for(ask: Ask, nobody: bytes) -> None:
    assert ask("detect", nobody).faces == []


def test_an_embedding_is_that_of_the_embedder(ask: Ask, photo: Photo, embedder: FaceEmbedder) -> None:
    answer = ask("embed", photo("021-neutral"))
    expected = embedder.embed(photo("021-neutral")).vector
    assert np.allclose(answer.embedding, expected, atol=1e-5)
    assert answer.model.digest == embedder.identity.digest


def test_embeddings_are_as_far_apart_as_their_photos(ask: Ask, photo: Photo) -> None:
    probe, *references = (ask("embed", photo(name)) for name in ("001-neutral", "001-smiling", "005-neutral"))
    answer = ask("compare", probe, references)
    assert [result.same for result in answer.results] == [True, False]
    verdict = ask("verify", photo("001-neutral"), photo("001-smiling"))
    assert answer.results[0].distance == pytest.approx(verdict.distance, abs=1e-5)
    assert answer.operating_point == verdict.operating_point


def test_an_embedding_that_was_stored_as_json_can_be_compared_later(ask: Ask, photo: Photo) -> None:
    answer = ask("embed", photo("001-neutral"))
    stored = EmbeddingResponse.model_validate_json(answer.model_dump_json())
    assert ask("compare", answer, [stored]).results[0].distance == pytest.approx(0, abs=1e-6)


def test_bare_vectors_are_compared_under_the_digest_given(ask: Ask, photo: Photo) -> None:
    answer = ask("embed", photo("001-neutral"))
    vector = np.array(answer.embedding, np.float32)
    result = ask("compare", vector, np.stack([vector, -vector]), model_digest=answer.model.digest, threshold=0.5)
    assert result.results[0].distance == pytest.approx(0, abs=1e-6)
    assert result.results[1].distance == pytest.approx(2 * float(np.linalg.norm(vector)), rel=1e-5)
    assert ({each.threshold for each in result.results}, result.operating_point) == ({0.5}, None)


def test_a_thousand_embeddings_go_in_one_call(ask: Ask, photo: Photo) -> None:
    answer = ask("embed", photo("001-neutral"))
    assert len(ask("compare", answer, [answer] * 1000).results) == 1000


def test_the_model_says_what_it_is(ask: Ask, embedder: FaceEmbedder) -> None:
    model = ask("model")
    assert (model.name, model.digest, model.card_digest) == (
        embedder.identity.name,
        embedder.identity.digest,
        embedder.identity.card_digest,
    )
    card = embedder.card
    assert [point.model_dump() for point in model.operating_points] == [
        point.model_dump() for point in card.operating_points
    ]
    assert model.default_point == card.default_point
    assert model.calibration.data.population == card.calibration.data.population
    assert model.calibration.log_likelihood_ratio.slope == card.calibration.log_likelihood_ratio.slope
    assert model.provenance.license == "Apache-2.0"
    assert model.limits


def test_the_model_says_which_population_set_a_point(embedder: FaceEmbedder, photo: Photo, tmp_path: Path) -> None:
    card = embedder.card
    assert card.calibration is not None
    further = card.calibration.data.model_copy(update={"name": "others", "population": "Other people."})
    points = [point.model_copy(update={"population": "others"}) for point in card.operating_points]
    calibration = card.calibration.model_copy(update={"populations": (further,)})
    facts = {"calibration": calibration, "operating_points": tuple(points)}
    copy_bundle(None, tmp_path / "bundle", card.model_validate(dict(card) | facts))
    with TestClient(create_app(Settings(), load(tmp_path / "bundle"))) as http:
        client = FaceClient(http=http)
        model, answer = client.model(), client.verify(photo("001-neutral"), photo("001-smiling"))
        sent = http.get("/v1/model").json()
    assert {point.population for point in model.operating_points} == {"others"}
    assert [(data.name, data.population) for data in model.calibration.populations] == [("others", "Other people.")]
    assert answer.operating_point.population == "others"
    assert sent["calibration"]["populations"] == [further.model_dump(mode="json")]


def test_a_model_of_one_population_says_nothing_of_populations(embedder: FaceEmbedder, tmp_path: Path) -> None:
    card = embedder.card
    assert card.calibration is not None
    points = tuple(point.model_copy(update={"population": None}) for point in card.operating_points)
    calibration = card.calibration.model_copy(update={"populations": ()})
    facts = {"calibration": calibration, "operating_points": points}
    copy_bundle(None, tmp_path / "bundle", card.model_validate(dict(card) | facts))
    with TestClient(create_app(Settings(), load(tmp_path / "bundle"))) as http:
        model = FaceClient(http=http).model()
        sent = http.get("/v1/model").json()
    assert model.calibration.populations == ()
    assert {point.population for point in model.operating_points} == {None}
    assert "populations" not in sent["calibration"]


def not_sent(read: object, sent: object, place: str = "") -> list[str]:
    """Where the client's reading of an answer holds what the answer does not say."""
    if isinstance(read, dict) and isinstance(sent, dict):
        return [each for key in read for each in not_sent(read[key], sent.get(key, KeyError), f"{place}.{key}")]
    if isinstance(read, list) and isinstance(sent, list) and len(read) == len(sent):
        return [each for pair in zip(read, sent, strict=True) for each in not_sent(*pair, f"{place}[]")]
    return [] if read == sent else [place]


def test_every_key_of_the_card_that_the_client_reads_is_one_that_the_service_sends(embedder: FaceEmbedder) -> None:
    with TestClient(create_app(Settings(), embedder)) as http:
        read = FaceClient(http=http).model().model_dump(mode="json")
        sent = http.get("/v1/model").json()
    assert not_sent(read, sent) == []
    assert {"calibration", "quality_penalties", "provenance"} <= read.keys()
    assert not_sent(read, {**sent, "provenance": {}}) == [f".provenance.{key}" for key in read["provenance"]]


def test_a_card_of_a_newer_service_may_say_more_than_the_client_knows(embedder: FaceEmbedder) -> None:
    with TestClient(create_app(Settings(), embedder)) as http:
        sent = http.get("/v1/model").json()
    newer = {**sent, "novel": 1, "provenance": {**sent["provenance"], "novel": 2}}
    assert ModelResponse.model_validate(newer) == ModelResponse.model_validate(sent)


def test_a_service_that_answers_is_ready(ask: Ask) -> None:
    assert ask("ready") is True


def test_a_service_before_its_first_inference_is_there_but_not_ready(embedder: FaceEmbedder) -> None:
    never_started = TestClient(create_app(Settings(), embedder))
    assert FaceClient(http=never_started).ready() is False


def test_threads_may_share_a_client(url: str, photo: Photo) -> None:
    names = ["001-smiling", "005-smiling", "021-smiling", "041-smiling"] * 3
    with FaceClient(url) as client, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda name: client.verify(photo("001-neutral"), photo(name)).same, names))
    assert answers == [True, False, False, False] * 3


async def test_questions_may_be_asked_side_by_side(url: str, photo: Photo) -> None:
    names = ["001-smiling", "005-smiling", "021-smiling", "041-smiling"]
    async with AsyncFaceClient(url) as client:
        answers = await asyncio.gather(*(client.verify(photo("005-neutral"), photo(name)) for name in names))
    assert [answer.same for answer in answers] == [False, True, False, False]


async def test_the_async_client_also_talks_to_an_app_in_its_own_process(embedder: FaceEmbedder, photo: Photo) -> None:
    transport = httpx2.ASGITransport(create_app(Settings(), embedder))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await AsyncFaceClient(http=http).verify(photo("001-neutral"), photo("001-smiling"))
    assert answer.same is True


def test_every_face_of_several_images_comes_with_its_image(ask: Ask, photo: Photo, embedder: FaceEmbedder) -> None:
    images = [two_faces(), b"no image", photo("001-neutral")]
    answer = ask("embed_all", images)
    assert [face.image for face in answer.faces] == [0, 0, 2]
    direct = [*embedder.embed_all(images[0]), *embedder.embed_all(images[2])]
    for face, expected in zip(answer.faces, direct, strict=True):
        assert np.abs(np.subtract(face.embedding, expected.vector)).max() <= 1e-5
        assert face.box.width == pytest.approx(expected.sample.face.box.width, abs=0.01)
        assert face.quality.sharpness == pytest.approx(expected.sample.quality.sharpness, abs=1e-3)
    (problem,) = answer.problems
    error = from_problem(problem)
    assert (type(error), error.image, error.status) == (NotAnImageError, 1, 415)
    assert "image=1" in str(error)
    assert "embedding=" not in repr(answer)


def test_faces_of_a_group_can_be_compared(ask: Ask, photo: Photo) -> None:
    everyone = ask("embed_all", [photo("001-smiling"), photo("005-neutral")])
    known = ask("embed", photo("001-neutral"))
    results = ask("compare", known, [face.embedding for face in everyone.faces]).results
    assert [result.same for result in results] == [True, False]
