"""What travels is not shown by accident: neither printed nor told in an error."""

import pytest
from pydantic import BaseModel, ValidationError

from service import openapi as told
from service.wire import (
    CompareRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    FacesRequest,
    VerifyManyRequest,
    VerifyRequest,
)

IMAGE, CHANNEL = "c2VjcmV0", 0.123456
VECTOR = [CHANNEL] * 128


@pytest.mark.parametrize(
    "message",
    [
        VerifyRequest(probe=IMAGE, reference=IMAGE),
        VerifyManyRequest(probe=IMAGE, reference=[IMAGE]),
        FacesRequest(image=IMAGE),
        EmbeddingRequest(image=IMAGE),
        CompareRequest(probe=VECTOR, references=[VECTOR], model_digest="sha256:0"),
        EmbeddingResponse.model_validate(
            {
                "embedding": VECTOR,
                "sample": told.VERIFY_ANSWER["probe"],
                **{key: told.VERIFY_ANSWER[key] for key in ("model", "timings_ms", "request_id")},
            }
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_messages_repr_shows_neither_image_nor_embedding(message: BaseModel) -> None:
    assert IMAGE in message.model_dump_json() or str(CHANNEL) in message.model_dump_json()
    assert IMAGE not in repr(message)
    assert str(CHANNEL) not in repr(message)


def test_an_error_about_an_embedding_does_not_show_it() -> None:
    with pytest.raises(ValidationError) as caught:
        CompareRequest(probe=VECTOR[:63], references=[VECTOR], model_digest="sha256:0")
    assert str(CHANNEL) not in str(caught.value)
