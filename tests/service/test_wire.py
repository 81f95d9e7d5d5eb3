"""What travels is not told by accident in an error."""

import pytest
from pydantic import ValidationError

from service.wire import CompareRequest

SECRET = 0.123456
VECTOR = [SECRET] * 128


def test_an_error_about_an_embedding_does_not_show_it() -> None:
    with pytest.raises(ValidationError) as caught:
        CompareRequest(probe=VECTOR[:-1], references=[VECTOR], model_digest="sha256:0")
    assert str(SECRET) not in str(caught.value)
