"""Embeddings become one request, and only if one model made them all."""

import json

import numpy as np
import pytest

from service.client import DigestMismatchError, EmbeddingResponse
from service.client.calls import compare
from service.openapi import VERIFY_ANSWER
from service.wire import CompareRequest, ModelIdentity, Sample, Timings

OURS, THEIRS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
VECTOR = [0.1] * 127 + [0.3333333432674408]
SECRET = 0.123456789


def embedding(digest: str = OURS, vector: list[float] = VECTOR) -> EmbeddingResponse:
    return EmbeddingResponse(
        embedding=vector,
        sample=Sample.model_validate(VERIFY_ANSWER["probe"]),
        model=ModelIdentity(name="a", digest=digest, card_digest=THEIRS),
        timings_ms=Timings(decode=1, detect=2, embed=3, total=6),
        request_id="r",
    )


def asked(probe: object, references: object, **named: object) -> CompareRequest:
    call = compare(probe, references, **{"model_digest": None, **named})
    return CompareRequest.model_validate_json(call.json)


def test_answers_of_embed_say_themselves_which_model_made_them() -> None:
    request = asked(embedding(), [embedding(), embedding()])
    assert (request.model_digest, request.probe, len(request.references)) == (OURS, VECTOR, 2)


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda v: np.array(v, np.float32), lambda v: list(np.array(v, np.float32))]
)
def test_vectors_of_every_kind_are_sent_with_the_digest_they_were_given(kind: type) -> None:
    request = asked(kind(VECTOR), [kind(VECTOR)], model_digest=OURS)
    assert request.model_digest == OURS
    assert np.array_equal(np.float32(request.probe), np.float32(VECTOR))


def test_a_matrix_is_taken_as_its_rows() -> None:
    assert len(asked(np.zeros(128), np.zeros((5, 128)), model_digest=OURS).references) == 5


def test_an_answer_may_be_compared_with_a_bare_vector_since_it_brings_the_digest() -> None:
    assert asked(embedding(), [VECTOR]).model_digest == OURS


def test_bare_vectors_without_a_digest_are_refused() -> None:
    with pytest.raises(TypeError, match="model_digest"):
        asked(VECTOR, [VECTOR])


@pytest.mark.parametrize(
    ("probe", "references", "digest"),
    [
        (embedding(OURS), [embedding(THEIRS)], None),
        (embedding(OURS), [embedding(OURS), embedding(THEIRS)], None),
        (embedding(OURS), [VECTOR], THEIRS),
        (VECTOR, [embedding(OURS)], THEIRS),
    ],
)
def test_embeddings_of_two_models_are_refused_before_anything_is_sent(
    probe: object, references: object, digest: str | None
) -> None:
    with pytest.raises(DigestMismatchError, match="different models") as caught:
        asked(probe, references, model_digest=digest)
    assert caught.value.status is None


NOT_EMBEDDINGS = {
    "too short": [SECRET] * 63,
    "too long": [SECRET] * 1025,
    "empty": [],
    "with NaN": [*[SECRET] * 127, float("nan")],
    "with infinity": [*[SECRET] * 127, float("inf")],
    "of words": ["x"] * 128,
    "a matrix": np.full((1, 128), SECRET),
    "text": str(SECRET),
    "bytes": b"0" * 128,
    "nothing": None,
}


@pytest.mark.parametrize("vector", NOT_EMBEDDINGS.values(), ids=NOT_EMBEDDINGS)
def test_what_is_no_embedding_is_refused_without_being_shown(vector: object) -> None:
    with pytest.raises(ValueError, match="not an embedding") as caught:
        asked(vector, [VECTOR], model_digest=OURS)
    assert str(SECRET) not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_bad_reference_is_refused_as_a_bad_probe_is() -> None:
    with pytest.raises(ValueError, match="not an embedding"):
        asked(VECTOR, [VECTOR, VECTOR[:5]], model_digest=OURS)


def test_embeddings_of_two_sizes_are_not_sent() -> None:
    with pytest.raises(ValueError, match="they have 127 and 128 numbers"):
        asked(VECTOR, [VECTOR, VECTOR[:127]], model_digest=OURS)


@pytest.mark.parametrize("n", [0, 1001])
def test_more_or_fewer_references_than_the_service_takes_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 1,000 references"):
        asked(VECTOR, [VECTOR] * n, model_digest=OURS)


@pytest.mark.parametrize("options", [{"threshold": 0.5, "prior": 0.5}, {"operating_point": "fmr-1e-4", "prior": 0.1}])
def test_the_options_travel_with_the_embeddings(options: dict[str, object]) -> None:
    request = asked(embedding(), [embedding()], **options)
    assert {name: getattr(request, name) for name in options} == options


def test_the_repr_of_a_call_shows_no_embedding() -> None:
    call = compare([SECRET] * 128, [VECTOR], model_digest=OURS)
    assert json.loads(call.json)["probe"][0] == SECRET
    assert str(SECRET) not in repr(call)
